//! What a route offers, and to whom: the lists of its servers as their clients see them, the way from a public name back to the
//! server that has it, and what servers tell of changes.
//!
//! Reading order: [`caller`] (who asks), [`Catalog`] (merged, filtered, named), [`server_lists`] (one server's lists, cached),
//! [`listing`] and [`describe`] (what clients get), [`sight`] (what they may see of it), [`changes`].

pub mod caller;
mod catalog;
pub mod changes;

pub use self::catalog::{
    Catalog, Member, Merged, Target, describe, entries, index, listing, reading, remarks, server_lists, sight,
};
