//! What the gate is asked about.

use std::net::IpAddr;
use std::sync::Arc;

use crate::approval::Approved;
use crate::claims::Claims;
use crate::definition::{Definition, Sort};

/// What a principal wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action<'a> {
    /// The MCP method.
    pub method: &'a str,
    /// The upstream it goes to.
    pub upstream: &'a Arc<str>,
    /// The upstream's own name of what it is about.
    pub name: Option<&'a str>,
    /// What else is known.
    pub known: Known<'a>,
}

/// What is known of an action beside what it is. Where nobody decides by it, nothing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Known<'a> {
    /// What was said of who wants it.
    pub claims: Option<&'a Arc<Claims>>,
    /// What it is about, where the method alone does not say.
    pub sort: Option<Sort>,
    /// What the server says of what it is about, if it lists that.
    pub definition: Option<&'a Arc<Definition>>,
    /// The arguments of a call: JSON, as they will be sent.
    pub arguments: Option<&'a str>,
    /// Where the connection comes from.
    pub address: Option<IpAddr>,
    /// The client's era.
    pub era: Option<&'static str>,
    /// The id of the trace that it belongs to.
    pub trace: Option<&'a str>,
    /// The proof that it was approved, if it was.
    pub approved: Option<&'a Approved>,
}

impl<'a> Action<'a> {
    /// One of which nothing else is known.
    #[must_use]
    pub fn new(method: &'a str, upstream: &'a Arc<str>, name: Option<&'a str>) -> Self {
        Self { method, upstream, name, known: Known::default() }
    }
}
