//! Arguments and results themselves, for whoever has the key: each is one line in a file apart, encrypted to a public key.
//!
//! HPKE (RFC 9180), base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. What it is, is authenticated with it, so that no
//! line is good in another place; and its record has the digest of the line.

use std::fmt;

use base::detail::Examined;
use base::plan::audit::AuditPlan;
use base::random;
use base::redact::Redaction;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use mcp::json::Object;
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};

use crate::hash::{Hash, hex, of_hex};

/// What is encrypted is good for nothing else.
const INFO: &[u8] = b"portolan payload 1";
const PUBLIC: &str = "hpke-x25519:";
const PRIVATE: &str = "hpke-x25519-private:";

fn suite() -> &'static dyn Hpke {
    DH_KEM_X25519_HKDF_SHA256_AES_256
}

/// Whom payloads are encrypted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadPublicKey([u8; 32]);

impl fmt::Display for PayloadPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC}{}", hex(&self.0))
    }
}

/// What payloads are read with.
pub struct PayloadKey([u8; 32]);

impl fmt::Debug for PayloadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PayloadKey").finish_non_exhaustive()
    }
}

impl PayloadKey {
    /// A new one, and the public key that belongs to it. Nothing where there are no random numbers.
    #[must_use]
    pub fn new() -> Option<(Self, PayloadPublicKey)> {
        let (public, private) = suite().generate_key_pair().ok()?;
        let private = private.secret_bytes().try_into().ok()?;
        Some((Self(private), PayloadPublicKey(public.0.try_into().ok()?)))
    }

    /// As a file holds it.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{PRIVATE}{}\n", hex(&self.0))
    }

    /// What a file holds.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        of_hex(text.trim().strip_prefix(PRIVATE)?).map(Self)
    }

    /// What a payload says.
    ///
    /// # Errors
    /// When it is another's, or was changed.
    pub fn open(&self, payload: &Payload<'_>) -> Result<String, PayloadFault> {
        let enc = BASE64_STANDARD.decode(payload.enc).map_err(|_not| PayloadFault::Malformed)?;
        let sealed = BASE64_STANDARD.decode(payload.ciphertext).map_err(|_not| PayloadFault::Malformed)?;
        let aad = aad(payload.replica, payload.id, payload.part);
        let key = HpkePrivateKey::from(self.0.to_vec());
        let opened = suite().open(&EncapsulatedSecret(enc), INFO, &aad, &sealed, &key);
        String::from_utf8(opened.map_err(|_other| PayloadFault::Key)?).map_err(|_not| PayloadFault::Malformed)
    }
}

/// Why a payload cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayloadFault {
    /// It is no payload.
    #[error("this is no payload, or it was changed")]
    Malformed,
    /// It does not open.
    #[error("this key does not open it: it was encrypted to another one, or was changed")]
    Key,
}

/// One line of a file of payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload<'l> {
    /// Its name, which its record has, too.
    pub id: &'l str,
    /// Whose record that is.
    pub replica: &'l str,
    /// `arguments` or `result`.
    pub part: &'l str,
    enc: &'l str,
    ciphertext: &'l str,
}

impl<'l> Payload<'l> {
    /// Reads a line without its line break. What was erased is none.
    #[must_use]
    pub fn read(line: &'l str) -> Option<Self> {
        let object = Object::parse(line).ok()?;
        let text = |name: &str| -> Option<&'l str> {
            let raw: &'l str = object.get(name).ok()??;
            // None of them has anything to be escaped.
            raw.strip_prefix('"')?.strip_suffix('"').filter(|text| !text.contains(['\\', '"']))
        };
        let of = Self {
            id: text("id")?,
            replica: text("replica")?,
            part: text("part")?,
            enc: text("enc")?,
            ciphertext: text("ciphertext")?,
        };
        is_id(of.id).then_some(of)
    }
}

/// Whether a text may be the name of a payload.
#[must_use]
pub fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn aad(replica: &str, id: &str, part: &str) -> Vec<u8> {
    format!("portolan payload 1\n{replica}\n{id}\n{part}").into_bytes()
}

/// What becomes of texts that are to be kept.
#[derive(Debug, Clone, Default)]
pub struct Keeper {
    redaction: Redaction,
    recipient: Option<[u8; 32]>,
    replica: String,
}

/// What a record says of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It is there under this name, as a line of this digest.
    As { id: String, digest: Hash, redacted: usize },
    /// It is not there, because of this.
    Not(&'static str),
}

impl Keeper {
    /// For the records of that replica.
    #[must_use]
    pub fn new(plan: &AuditPlan, replica: &str) -> Self {
        Self {
            redaction: plan.redaction.clone(),
            recipient: plan.payloads.as_ref().map(|payloads| payloads.recipient),
            replica: replica.to_owned(),
        }
    }

    /// Whether it can encrypt, where it is to.
    pub(crate) fn works(&self) -> bool {
        self.recipient.is_none() || self.seal("arguments", "{}").is_some()
    }

    /// A text as it may be written into a record. Nothing where nobody can tell what to take out.
    pub(crate) fn plain<'t>(&self, text: &'t str) -> Option<(std::borrow::Cow<'t, str>, usize)> {
        self.redaction.apply(text)
    }

    /// Encrypts a text, and adds its line to `lines`.
    pub(crate) fn keep(&self, part: &str, text: &Examined, lines: &mut String) -> Kept {
        // Whoever has examined it has left out what is too long.
        let Some(text) = text.text.as_deref() else { return Kept::Not("long") };
        let Some((text, redacted)) = self.redaction.apply(text) else { return Kept::Not("unreadable") };
        let Some((id, line)) = self.seal(part, &text) else { return Kept::Not("failed") };
        let digest = Hash::of(&[line.as_bytes()]);
        lines.push_str(&line);
        lines.push('\n');
        Kept::As { id, digest, redacted }
    }

    fn seal(&self, part: &str, text: &str) -> Option<(String, String)> {
        let recipient = HpkePublicKey(self.recipient?.to_vec());
        let id = random::hex::<16>().ok()?;
        let aad = aad(&self.replica, &id, part);
        let (enc, sealed) = suite().seal(INFO, &aad, text.as_bytes(), &recipient).ok()?;
        let (enc, sealed) = (BASE64_STANDARD.encode(enc.0), BASE64_STANDARD.encode(sealed));
        let line = format!(
            r#"{{"v":1,"id":"{id}","replica":"{}","part":"{part}","enc":"{enc}","ciphertext":"{sealed}"}}"#,
            self.replica
        );
        Some((id, line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_key_opens_a_payload_and_only_in_its_place() {
        let (key, public) = PayloadKey::new().unwrap();
        let (other, _) = PayloadKey::new().unwrap();
        let keeper = Keeper { recipient: Some(public.0), replica: "web-1".to_owned(), ..Keeper::default() };
        assert!(keeper.works());
        let text = Examined { digest: None, bytes: 7, text: Some(r#"{"a":1}"#.into()) };
        let mut lines = String::new();
        let Kept::As { id, digest, redacted: 0 } = keeper.keep("arguments", &text, &mut lines) else {
            panic!()
        };
        let line = lines.trim_end();
        assert_eq!(Hash::of(&[line.as_bytes()]), digest);
        assert!(!line.contains("{\"a\""), "{line}");
        let payload = Payload::read(line).unwrap();
        assert_eq!((payload.id, payload.replica, payload.part), (&*id, "web-1", "arguments"));
        assert_eq!(PayloadKey::of_text(&key.to_text()).unwrap().open(&payload).unwrap(), r#"{"a":1}"#);
        assert_eq!(other.open(&payload), Err(PayloadFault::Key));
        for moved in [
            Payload { part: "result", ..payload },
            Payload { replica: "web-2", ..payload },
            Payload { id: "0123456789abcdef0123456789abcdef", ..payload },
        ] {
            assert_eq!(key.open(&moved), Err(PayloadFault::Key), "{moved:?}");
        }
        assert_eq!(keeper.keep("result", &Examined::sized(9), &mut lines), Kept::Not("long"));
        assert!(!format!("{key:?}").contains(&hex(&key.0)));
    }

    #[test]
    fn a_key_that_nothing_can_be_encrypted_to_is_found_out() {
        let zero = Keeper { recipient: Some([0; 32]), ..Keeper::default() };
        assert!(!zero.works() && Keeper::default().works());
    }
}
