//! The URIs in what servers say, in the form that a route's clients know them by.

use std::sync::Arc;

use bytes::Bytes;
use mcp::json::{JsonFault, Object, Patch};
use mcp::uris;

use crate::names::Names;

/// Whose URIs are to be mapped.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// The names of the route.
    pub names: Arc<Names>,
    /// The server's place in it.
    pub server: usize,
}

/// Puts the public URIs of one server's resources into its result of a method.
///
/// # Errors
/// When the result cannot be read.
pub fn map_result_uris(
    (names, server): (&Names, usize),
    method: &str,
    result: &Object<'_>,
    offset: usize,
    patch: &mut Patch,
) -> Result<(), JsonFault> {
    uris::in_result(&|uri| names.public_uri(server, uri), method, result, offset, patch)
}

/// Puts the public form of the URI into an error that says it is not there.
pub fn map_error_uri(names: &Names, server: usize, error: &str, offset: usize, patch: &mut Patch) {
    uris::in_error(&|uri| names.public_uri(server, uri), error, offset, patch);
}

/// A tool's text with the public URIs of the user interfaces that it names, if it may name any that has another one.
///
/// # Errors
/// When the tool cannot be read.
pub fn map_app_uris((names, server): (&Names, usize), tool: &Bytes) -> Result<Option<Bytes>, JsonFault> {
    if names.is_transparent() {
        return Ok(None);
    }
    uris::in_tool(&|uri| names.public_uri(server, uri), tool)
}
