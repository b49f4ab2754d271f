-- Rates that replicas share. There is no index but that of names: what is changed so often is changed in its place only where no
-- index has it, and what has expired is looked for seldom.
CREATE TABLE portolan_limit (
  -- Who is counted by which limit: what SHA-256 makes of it.
  name TEXT PRIMARY KEY NOT NULL,
  -- When the next would come if all came evenly, in nanoseconds since 1970.
  next_at {integer} NOT NULL,
  -- What was given to who asked last.
  given {integer} NOT NULL,
  expires_at {integer} NOT NULL
) {strict}
