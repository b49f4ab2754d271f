//! Streamable HTTP both ways, on hyper.

pub mod body;
pub mod client;
pub mod server;
