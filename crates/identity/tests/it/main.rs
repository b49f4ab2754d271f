//! Who calls, seen from outside: requests in, identities or refusals out.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod certificates;
mod hostile;
mod inspecting;
mod issuers;
mod keys;
mod logs;
mod opaque;
mod proofs;
mod proxies;
mod revocations;
mod signer;
mod stand;
mod tokens;
mod workloads;
