-- What somebody is asked to approve before it is done, and what has become of it.
CREATE TABLE portolan_approval (
  id TEXT PRIMARY KEY NOT NULL,
  -- Stands for all that is approved.
  binding TEXT NOT NULL,
  -- Who wants it; by whose word, and whom that means: '' for nobody.
  principal TEXT NOT NULL,
  issuer TEXT NOT NULL,
  subject TEXT NOT NULL,
  -- For people: what it is.
  route TEXT NOT NULL,
  server TEXT NOT NULL,
  method TEXT NOT NULL,
  thing TEXT NOT NULL,
  arguments TEXT NOT NULL,
  reason TEXT NOT NULL,
  policies TEXT NOT NULL,
  -- Who may approve it: JSON.
  approvers TEXT NOT NULL,
  -- How long the question is open, and what was approved is good.
  lasts {integer} NOT NULL,
  made_at {integer} NOT NULL,
  expires_at {integer} NOT NULL,
  forgotten_at {integer} NOT NULL,
  -- 'pending', 'approved', 'denied', 'used'; 'expired' as soon as somebody has noticed.
  state TEXT NOT NULL,
  decided_by TEXT NOT NULL,
  decided_at {integer} NOT NULL,
  used_at {integer} NOT NULL,
  -- How often the call has been sent, or sent on.
  turn {integer} NOT NULL
) {strict};
CREATE UNIQUE INDEX portolan_approval_open ON portolan_approval (binding) WHERE state IN ('pending', 'approved');
CREATE INDEX portolan_approval_principal ON portolan_approval (principal, made_at);
CREATE INDEX portolan_approval_forgotten ON portolan_approval (forgotten_at)
