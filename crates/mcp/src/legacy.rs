//! The legacy era (2025-11-25 and earlier), fenced off: how its sessions open, and how its messages differ.

pub mod batch;
pub mod convert;
pub mod downgrade;
pub mod endpoint;
pub mod initialize;
pub mod refusal;
pub mod tasks;
