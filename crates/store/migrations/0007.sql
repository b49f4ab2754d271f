-- Checkpoints of ledgers, kept where those who can write a ledger's files cannot. The first that comes for a place stays.
CREATE TABLE portolan_checkpoint (
  replica TEXT NOT NULL,
  seq {integer} NOT NULL,
  line TEXT NOT NULL,
  kept_at {integer} NOT NULL,
  PRIMARY KEY (replica, seq)
) {strict};
CREATE INDEX portolan_checkpoint_kept ON portolan_checkpoint (kept_at)
