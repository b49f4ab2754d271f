-- Tokens that are not good any more, although they have not expired.
CREATE TABLE portolan_revocation (
  -- Who vouches for them.
  issuer TEXT NOT NULL,
  -- 'token': the one of that name; 'subject': all of that subject that were issued before.
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  revoked_at {integer} NOT NULL,
  expires_at {integer} NOT NULL,
  PRIMARY KEY (issuer, kind, name)
) {strict};
CREATE INDEX portolan_revocation_expires ON portolan_revocation (expires_at);
-- How often something was changed, for those who keep a copy of it.
CREATE TABLE portolan_change (what TEXT PRIMARY KEY NOT NULL, version {integer} NOT NULL) {strict}
