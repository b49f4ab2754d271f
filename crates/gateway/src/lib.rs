//! The data plane.

pub mod plan;
