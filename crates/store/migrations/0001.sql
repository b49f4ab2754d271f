-- Times are milliseconds since 1970 by the database's clock.

CREATE TABLE portolan_replica (
  id TEXT PRIMARY KEY NOT NULL,
  started_at {integer} NOT NULL,
  beat_at {integer} NOT NULL,
  version TEXT NOT NULL,
  -- Where other replicas reach it, if anywhere.
  forward TEXT,
  facts TEXT NOT NULL,
  draining {integer} NOT NULL
) {strict};

CREATE TABLE portolan_ended (
  session TEXT PRIMARY KEY NOT NULL,
  expires_at {integer} NOT NULL
) {strict};
CREATE INDEX portolan_ended_expires ON portolan_ended (expires_at);

CREATE TABLE portolan_fact (
  session TEXT NOT NULL,
  name TEXT NOT NULL,
  -- Random, so that no two states of a fact have the same.
  version {integer} NOT NULL,
  value {bytes} NOT NULL,
  expires_at {integer} NOT NULL,
  PRIMARY KEY (session, name)
) {strict};
CREATE INDEX portolan_fact_expires ON portolan_fact (expires_at);

CREATE TABLE portolan_hold (
  session TEXT PRIMARY KEY NOT NULL,
  replica TEXT NOT NULL,
  expires_at {integer} NOT NULL
) {strict};
CREATE INDEX portolan_hold_expires ON portolan_hold (expires_at);

CREATE TABLE portolan_event (
  stream TEXT NOT NULL,
  sequence {integer} NOT NULL,
  value {bytes} NOT NULL,
  size {integer} NOT NULL,
  -- 1 for the mark behind the last event.
  ends {integer} NOT NULL,
  expires_at {integer} NOT NULL,
  PRIMARY KEY (stream, sequence)
) {strict};
CREATE INDEX portolan_event_expires ON portolan_event (expires_at);

CREATE TABLE portolan_key (
  number {integer} PRIMARY KEY NOT NULL,
  -- Sealed by the master key.
  wrapped TEXT NOT NULL,
  made_at {integer} NOT NULL,
  seals_from {integer} NOT NULL,
  earlier_until {integer} NOT NULL
) {strict};
