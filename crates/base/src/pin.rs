//! The seam at which what servers list is held against what was pinned of it. Whoever lists and sends asks here, and knows
//! nothing of where pins are kept.

use std::collections::HashSet;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use mcp::method::Kind;

/// Something that is done some time.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What becomes of an entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pinned {
    /// It is as it was pinned, or nobody minds.
    Same,
    /// It is shown as it is, and the list says this of it.
    Said(String),
    /// It is shown as it was pinned, with this text, and the list says why.
    AsPinned(Arc<str>, String),
    /// It is not shown, and the list says why.
    Withheld(String),
}

/// What a server says of a thing now, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed<'a> {
    /// Nobody keeps that.
    Unknown,
    /// Nothing: it is not listed, or cannot be read.
    No,
    /// The definition with this digest.
    As(&'a str),
}

/// Why a thing may not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unpinned {
    /// Nobody has ever listed it.
    Unknown,
    /// It is held, for this reason.
    Held(String),
}

/// Whether things of a kind are definitions, which are pinned: resources come and go.
#[must_use]
pub fn is_definition(kind: Kind) -> bool {
    matches!(kind, Kind::Tool | Kind::Prompt | Kind::Template)
}

/// The pins of one server.
pub trait Pins: fmt::Debug + Send + Sync {
    /// How often anything has changed that a list is made by: a list of another version is old.
    fn version(&self) -> u64;

    /// How often it was decided what is pinned: what was found out of a list before counts no more.
    fn decisions(&self) -> u64;

    /// Whether what is not as it was pinned is held, so that before a call it must be known what it is.
    fn holds(&self) -> bool;

    /// Sees to it that the pins were read, if they can be. Cancel safe.
    fn ready(&self) -> Pending<'_, ()>;

    /// What becomes of the entry of that kind, own name, text and digest ([`crate::define::digest`]).
    fn look(&self, kind: Kind, name: &str, entry: &str, digest: &Arc<str>) -> Pinned;

    /// A page was looked at: others hear what was found. Cancel safe.
    fn settle(&self) -> Pending<'_, ()>;

    /// A list was read from its beginning to its end and had these names. Gives those that were pinned and that it lacks. Cancel
    /// safe.
    fn ended(&self, kind: Kind, names: HashSet<String>) -> Pending<'_, Vec<String>>;

    /// Whether a thing may be used.
    ///
    /// # Errors
    /// When it may not.
    fn permit(&self, kind: Kind, name: &str, listed: Listed<'_>) -> Result<(), Unpinned>;
}
