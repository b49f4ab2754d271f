//! What the gate is asked about.

use std::sync::Arc;

/// What a principal wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action<'a> {
    /// The MCP method.
    pub method: &'a str,
    /// The upstream it goes to.
    pub upstream: &'a Arc<str>,
    /// The upstream's own name of what it is about.
    pub name: Option<&'a str>,
}
