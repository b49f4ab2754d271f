//! One key: its secret, its id, and the cipher made of it once.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use aws_lc_rs::digest;

use super::SealFault;

pub(super) const KEY_ID_LEN: usize = 4;

/// Which key it is: the first bytes of a digest of its secret. It stands in every token and may be shown.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub(super) [u8; KEY_ID_LEN]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A key. Its secret is never shown.
#[derive(Clone)]
pub struct Key {
    secret: [u8; 32],
    id: KeyId,
    cipher: Arc<LessSafeKey>,
}

impl Key {
    /// The key with this secret.
    ///
    /// # Errors
    /// Never for 32 bytes.
    pub fn new(secret: [u8; 32]) -> Result<Self, SealFault> {
        let cipher = UnboundKey::new(&AES_256_GCM, &secret).map_err(|_unspecified| SealFault::Malformed)?;
        let digest = digest::digest(&digest::SHA256, &secret);
        let mut id = [0; KEY_ID_LEN];
        id.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        Ok(Self { secret, id: KeyId(id), cipher: Arc::new(LessSafeKey::new(cipher)) })
    }

    /// A new key.
    ///
    /// # Errors
    /// When there are no random numbers.
    pub fn random() -> Result<Self, SealFault> {
        let mut secret = [0; 32];
        // From the system itself: the generator of `rand` gathers noise for tens of milliseconds before its first number,
        // and a start need not wait for that.
        getrandom::getrandom(&mut secret).map_err(|_failed| SealFault::Random)?;
        Self::new(secret)
    }

    /// The key that this text is: 64 hexadecimal digits.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let mut secret = [0; 32];
        for (byte, digits) in secret.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Self::new(secret).ok()
    }

    /// The text that it is. This is the secret.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.secret.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Which one it is.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    pub(super) fn cipher(&self) -> &LessSafeKey {
        &self.cipher
    }

    /// The secret, to be sealed by another key.
    pub(crate) fn secret(&self) -> &[u8; 32] {
        &self.secret
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}
