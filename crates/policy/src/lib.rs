//! Who may do what: policies in Cedar over callers, what servers have, and the arguments of calls.
//!
//! Read [`SCHEMA`] first, which is what policies can speak of; then `policies` (what they say), `rule`, `ask` and `reads` (what is known
//! of a policy), `standing` (what is known before a call), `arguments` (what they see of a call), `near` and `leaf` (how they are asked about it). For people:
//! `unmet` (what would have to differ), `remarks` and `doubts` (what is odd about policies that are good).

mod allowances;
mod approval;
mod arguments;
mod ask;
mod attach;
mod context;
mod doubts;
mod fault;
mod leaf;
mod load;
mod memory;
mod near;
mod number;
mod places;
mod pointers;
mod policies;
mod reads;
mod remarks;
mod rule;
mod said;
mod schema;
mod shape;
mod sight;
mod standing;
mod thing;
mod unmet;
mod verdict;
mod who;

pub use self::attach::{Attached, attach};
pub use self::fault::PolicyFault;
pub use self::places::PolicyPlace;
pub use self::policies::{Ground, Policies, is_decided};
pub use self::remarks::Surroundings;
pub use self::schema::SCHEMA;
pub use self::sight::RoutePolicies;
pub use self::unmet::{Part, Unmet};
pub use self::verdict::{Verdict, Why};
