//! Streamable HTTP both ways, on hyper.

pub mod body;
pub mod client;
mod opening;
pub mod server;
