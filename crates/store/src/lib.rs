//! What outlives a request, and what replicas share. It knows nothing of the protocol: sessions, streams and keys are
//! names and bytes here.
//!
//! Reading order: [`seal`] (everything that is handed out and comes back, and the keys of it), [`place`] (where the store
//! is), [`Store`], [`StoreFault`] (away, refused or broken); then one module a kind of fact: [`replicas`], [`sessions`],
//! [`streams`], [`notices`], [`api_keys`], [`revocations`], [`limits`], [`approvals`], [`pins`], [`checkpoints`], [`keys`] (and [`keeper`]), [`sweep`]; then the ground: `sql` (one text for both databases), `sqlite`,
//! `postgres`, `migrate`.

pub mod api_keys;
pub mod approvals;
pub mod checkpoints;
pub mod fault;
pub mod keeper;
pub mod keys;
pub mod limits;
mod migrate;
pub mod notices;
pub mod pins;
pub mod place;
mod postgres;
pub mod replicas;
pub mod revocations;
pub mod seal;
pub mod sessions;
mod sql;
mod sqlite;
pub mod store;
pub mod streams;
pub mod sweep;

pub use fault::StoreFault;
pub use place::Place;
pub use store::{Settings, Store};
