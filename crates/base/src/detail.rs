//! What records say of calls beside what is counted: only where somebody keeps such records.

use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Arc;

use auth::definition::Definition;
use auth::{Claims, Decision};

/// Looks at texts for records: what they are is for the records' reader to know only where whoever runs this wants it so.
pub trait Examine: Send + Sync + Debug {
    /// Stands for a text, and cannot be made by who has not its key.
    fn digest(&self, text: &[u8]) -> [u8; 32];

    /// Whether the arguments of this tool are written down as they are.
    fn keeps_arguments(&self, server: &str, name: &str) -> bool;

    /// How long what is written down as it is may be, in bytes.
    fn most_kept(&self) -> usize;
}

/// What is known of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// Stands for it ([`Examine::digest`]).
    pub digest: [u8; 32],
    /// How long it is.
    pub bytes: usize,
    /// The text itself, where it is to be kept.
    pub text: Option<Box<str>>,
}

impl Examined {
    /// Looks at a text.
    pub fn of(by: &dyn Examine, text: &[u8]) -> Self {
        Self { digest: by.digest(text), bytes: text.len(), text: None }
    }
}

/// What is known of a call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Detail {
    /// What was said of the caller by whoever vouches for it.
    pub claims: Option<Arc<Claims>>,
    /// The route's name.
    pub route: Option<Arc<str>>,
    /// The client's era, and the revision that it speaks.
    pub era: Option<(&'static str, &'static str)>,
    /// Where its connection comes from, as far as anybody looked.
    pub address: Option<IpAddr>,
    /// The trace that it belongs to: 32 hexadecimal digits.
    pub trace: Option<Box<str>>,
    /// The client's id of the call: JSON.
    pub id: Option<Box<str>>,
    /// What it is about: `tool`, `prompt` or `resource`, and the server's own name of it.
    pub thing: Option<(&'static str, Box<str>)>,
    /// What its server says of that.
    pub definition: Option<Arc<Definition>>,
    /// Its arguments, as the client has sent them.
    pub arguments: Option<Examined>,
    /// Its result, or the error, as the server has given it.
    pub result: Option<Examined>,
    /// What was decided about it, and by what.
    pub decision: Option<Decision>,
    /// The approval by which it was sent.
    pub approval: Option<Box<str>>,
    /// Whether it was sent again, with what its server had asked for.
    pub again: bool,
}
