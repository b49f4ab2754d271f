-- Rates that replicas share.
CREATE TABLE portolan_limit (
  -- Who is counted by which limit: what SHA-256 makes of it.
  name TEXT PRIMARY KEY NOT NULL,
  -- When the next would come if all came evenly, in nanoseconds since 1970.
  next_at {integer} NOT NULL,
  -- What was given to who asked last.
  given {integer} NOT NULL,
  expires_at {integer} NOT NULL
) {strict};
CREATE INDEX portolan_limit_expires ON portolan_limit (expires_at)
