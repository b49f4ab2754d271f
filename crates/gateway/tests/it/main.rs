//! What someone outside can see of a gateway: bytes in and bytes out, with scripted servers behind it, in memory and with
//! the clock paused.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, but does not take these modules for tests"
)]

mod admin;
mod approvals;
mod ask;
mod asking;
mod batches;
mod breakers;
mod certificates;
mod changes;
mod copies;
mod deadlines;
mod depth;
mod descriptors;
mod doors;
mod dual;
mod ending;
mod eras;
mod failures;
mod fidelity;
mod field;
mod hearing;
mod held;
mod http2;
mod keeping;
mod large;
mod leaving;
mod lies;
mod limits;
mod listening;
mod listings;
mod lists;
mod lost;
mod naming;
mod openings;
mod oracles;
mod origin;
mod own_session;
mod pages;
mod pins;
mod pipes;
mod pool;
mod processes;
mod properties;
mod protected;
mod rates;
mod records;
mod refusals;
mod repairs;
mod replicas;
mod resume;
mod resuming;
mod retries;
mod returning;
mod revisions;
mod revoked;
mod scoped;
mod sessions;
mod smuggling;
mod sse;
mod stand;
mod starting;
mod streams;
mod tasks;
mod told;
mod tolerance;
mod unbidden;
mod unbridgeable;
mod undeclared;
mod views;
mod waiting;
