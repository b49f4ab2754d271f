//! Reads the sources of the workspace: which file needs which, where that goes round in circles, which room imports from
//! above itself, and what else may be written in few places only.
//!
//! [`sources`] finds the files, [`reading`] reads a crate as the compiler would, [`arrows`] follows each path to the file
//! where what it names is defined. On these stand [`circles`], [`floors`], [`spawns`], [`doubles`], [`pages`] and
//! [`sizes`]; [`report`] is for people, the tests under `tests/` say what must not be.

pub mod arrows;
pub mod circles;
pub mod doubles;
pub mod floors;
pub mod known;
pub mod pages;
pub mod reading;
pub mod report;
pub mod sizes;
pub mod sources;
pub mod spawns;
pub mod tree;
mod visitor;
