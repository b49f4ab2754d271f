-- What servers' tools and prompts were approved as: of each server one text, so that it is changed whole or not at all.
CREATE TABLE portolan_pins (
  server TEXT PRIMARY KEY NOT NULL,
  -- Counts the changes, from 1.
  version {integer} NOT NULL,
  pins TEXT NOT NULL,
  changed_at {integer} NOT NULL
) {strict};
-- What was seen of them since that is something else, and waits for somebody to say whether it may be.
CREATE TABLE portolan_pin_waiting (
  server TEXT NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  digest TEXT NOT NULL,
  -- Empty where it is too large, or too much waits already.
  definition TEXT NOT NULL,
  why TEXT NOT NULL,
  -- 1 where something of that name is pinned: for these there is always room.
  of_pinned {integer} NOT NULL,
  seen_at {integer} NOT NULL,
  PRIMARY KEY (server, kind, name, digest)
) {strict}
