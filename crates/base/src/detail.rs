//! What records say of calls beside what is counted: only where somebody keeps such records.

use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use auth::definition::Definition;
use auth::{Claims, Decision};

use crate::sync::lock;

/// Looks at texts for records: what they are is for the records' reader to know only where whoever runs this wants it so.
pub trait Examine: Send + Sync + Debug {
    /// Stands for a text, and cannot be made by who has not its key.
    fn digest(&self, text: &[u8]) -> [u8; 32];

    /// What is kept of calls of this tool beside digests.
    fn keeps(&self, server: &str, name: &str) -> Keeps;

    /// How long what is written down as it is may be, in bytes.
    fn most_kept(&self) -> usize;
}

/// A digest that only the holder of the key of records can make ([`Examine::digest`]), as records spell it.
#[must_use]
pub fn keyed(digest: &[u8; 32]) -> String {
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
    "hmac-sha256:".chars().chain(digits).collect()
}

/// What is kept of a tool's calls beside digests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keeps {
    /// The arguments, in the record, for whoever reads it.
    pub plain: bool,
    /// The arguments, for whoever has the key.
    pub arguments: bool,
    /// The result, for whoever has the key.
    pub result: bool,
}

/// What is known of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// Stands for it ([`Examine::digest`]); nothing where it was made of what others said, and only how long it is matters.
    pub digest: Option<[u8; 32]>,
    /// How long it is.
    pub bytes: usize,
    /// The text itself, where it is to be kept.
    pub text: Option<Box<str>>,
}

impl Examined {
    /// Looks at a text.
    pub fn of(by: &dyn Examine, text: &[u8]) -> Self {
        Self { digest: Some(by.digest(text)), bytes: text.len(), text: None }
    }

    /// Of a text of which only the length matters.
    #[must_use]
    pub fn sized(bytes: usize) -> Self {
        Self { digest: None, bytes, text: None }
    }
}

/// How a call went out to its server: known while it is under way, so that it is known of one that was given up, too.
#[derive(Debug)]
pub struct SentAs {
    by: Arc<dyn Examine>,
    sent: Mutex<SendFacts>,
}

/// The same, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SendFacts {
    /// Our id of the request that was sent last.
    pub id: u64,
    /// How often it was sent.
    pub times: u32,
    /// Stands for the session that the server has given us, where it has ([`Examine::digest`]): who knows it could go on in it.
    pub session: Option<[u8; 32]>,
}

impl SentAs {
    /// It is not sent yet.
    #[must_use]
    pub fn new(by: &Arc<dyn Examine>) -> Self {
        Self { by: Arc::clone(by), sent: Mutex::default() }
    }

    /// It is sent now, under that id, in that session of the server's.
    pub fn sends(&self, id: u64, session: Option<&str>) {
        let session = session.map(|session| self.by.digest(session.as_bytes()));
        let mut sent = lock(&self.sent);
        *sent = SendFacts { id, times: sent.times.saturating_add(1), session };
    }

    /// It was not sent, after all.
    pub fn unsent(&self) {
        let mut sent = lock(&self.sent);
        sent.times = sent.times.saturating_sub(1);
    }

    /// How it was sent; nothing where it was not.
    #[must_use]
    pub fn now(&self) -> Option<SendFacts> {
        Some(lock(&self.sent).clone()).filter(|sent| sent.times > 0)
    }
}

/// What is known of a call.
#[derive(Debug, Clone, Default)]
pub struct Detail {
    /// What was said of the caller by whoever vouches for it.
    pub claims: Option<Arc<Claims>>,
    /// Stands for the one token or key that it came with, by the name that its issuer has for it ([`Examine::digest`]).
    pub credential: Option<[u8; 32]>,
    /// The route's name.
    pub route: Option<Arc<str>>,
    /// The client's era, and the revision that it speaks.
    pub era: Option<(&'static str, &'static str)>,
    /// Where its connection comes from, as far as anybody looked.
    pub address: Option<IpAddr>,
    /// The client's legacy session, by a name that opens nothing.
    pub session: Option<Arc<str>>,
    /// What the client says that it is: its name and its version.
    pub client: Option<(Box<str>, Box<str>)>,
    /// The trace that it belongs to: 32 hexadecimal digits.
    pub trace: Option<Box<str>>,
    /// The client's id of the call: JSON.
    pub id: Option<Box<str>>,
    /// What it is about: `tool`, `prompt` or `resource`, and the server's own name of it.
    pub thing: Option<(&'static str, Box<str>)>,
    /// What its server says of that.
    pub definition: Option<Arc<Definition>>,
    /// What is kept of it beside digests.
    pub keeps: Keeps,
    /// How it went out to its server.
    pub sent: Option<Arc<SentAs>>,
    /// Its arguments, as the client has sent them.
    pub arguments: Option<Examined>,
    /// Its result, or the error, as the server has given it.
    pub result: Option<Examined>,
    /// What was decided about it, and by what.
    pub decision: Option<Decision>,
    /// The approval by which it was sent.
    pub approval: Option<Box<str>>,
    /// Stands for the task that it has become, or that it is about ([`Examine::digest`]).
    pub task: Option<[u8; 32]>,
    /// Whether it was sent again, with what its server had asked for.
    pub again: bool,
}
