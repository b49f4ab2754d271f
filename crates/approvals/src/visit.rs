//! What somebody in a browser has sent, and the proof that it was they who were shown the question.

use std::time::{Duration, SystemTime};

use auth::Principal;
use store::seal::{Bound, Seal, SealFault};

/// How long somebody may look at a question before they answer it.
const LOOKING: Duration = Duration::from_secs(600);
/// The most bytes of what is sent.
pub const BODY: usize = 64 * 1024;

/// What somebody has sent from the page of a question.
#[derive(Clone, PartialEq, Eq)]
pub enum Sent {
    /// A key or token, to be shown the question.
    Key(String),
    /// An answer.
    Answer {
        /// Whether it is a yes.
        approves: bool,
        /// Who says so: the id of a principal.
        by: String,
        /// The proof that the question was shown to it.
        proof: String,
    },
}

impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // It holds what lets somebody in.
        f.debug_struct("Sent").finish_non_exhaustive()
    }
}

impl Sent {
    /// Reads a form (WHATWG URL §5.1). Nothing if it is none of ours, or says something twice.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let mut fields: Vec<(String, String)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded(name)?;
            if fields.len() >= 8 || fields.iter().any(|(known, _)| *known == name) {
                return None;
            }
            fields.push((name, decoded(value)?));
        }
        let field =
            |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        if let Some(key) = field("key") {
            let key = key.trim().to_owned();
            return (!key.is_empty()).then_some(Self::Key(key));
        }
        let approves = match field("answer")?.as_str() {
            "approve" => true,
            "deny" => false,
            _ => return None,
        };
        Some(Self::Answer { approves, by: field("by")?, proof: field("proof")? })
    }
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn purpose(id: &str) -> String {
    format!("approval-page:{id}")
}

/// The proof that the question of that name was shown to somebody who may answer it. No other page can make one.
///
/// # Errors
/// When there are no random numbers.
pub fn proof(seal: &Seal, id: &str, principal: &Principal, now: SystemTime) -> Result<String, SealFault> {
    let purpose = purpose(id);
    seal.seal(Bound { purpose: &purpose, principal: principal.id() }, now + LOOKING, b"")
}

/// Whether it is such a proof for somebody of that id, and in time.
#[must_use]
pub fn is_proven(seal: &Seal, id: &str, (principal, proof): (&str, &str), now: SystemTime) -> bool {
    let purpose = purpose(id);
    seal.open(Bound { purpose: &purpose, principal }, now, proof).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read() {
        let key = |text: &str| Some(Sent::Key(text.to_owned()));
        assert_eq!(Sent::read(b"key=a%2Bb+c%C3%A4"), key("a+b c\u{e4}"));
        let answer = Sent::read(b"by=a%23%22b%22&proof=x-_&answer=approve");
        let (by, proof) = ("a#\"b\"".to_owned(), "x-_".to_owned());
        assert_eq!(answer, Some(Sent::Answer { approves: true, by, proof }));
        for bad in [
            &b""[..],
            b"key=",
            b"key=+",
            b"key=a&key=b",
            b"answer=approve&answer=deny&by=a&proof=b",
            b"answer=yes&by=a&proof=b",
            b"answer=approve&by=a",
            b"key=%",
            b"key=%f",
            b"key=%zz",
            b"key=%ff",
            b"key=%+1",
            b"\xff",
            b"a&b&c&d&e&f&g&h&i&key=x",
        ] {
            assert_eq!(Sent::read(bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }
}
