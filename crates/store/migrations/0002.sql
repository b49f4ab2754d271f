-- The key itself is nowhere: only what SHA-256 makes of it.
CREATE TABLE portolan_api_key (
  digest TEXT PRIMARY KEY NOT NULL,
  -- What people call it by.
  id TEXT NOT NULL,
  principal TEXT NOT NULL,
  -- Names, one a line; all routes where there is none.
  routes TEXT NOT NULL,
  -- One a line.
  scopes TEXT NOT NULL,
  made_at {integer} NOT NULL,
  -- The largest number that there is, if it does not expire.
  expires_at {integer} NOT NULL
) {strict};
CREATE UNIQUE INDEX portolan_api_key_id ON portolan_api_key (id);
CREATE INDEX portolan_api_key_expires ON portolan_api_key (expires_at);
