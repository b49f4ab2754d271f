//! The seal: authenticated encryption of what is handed out and comes back (session ids, cursors).
//!
//! A sealed token is worthless for another purpose or another principal, after its expiry, or when a bit of it was
//! changed, and tells its holder nothing. Layout before base64url: version (1 byte), key id (4), nonce (12),
//! AES-256-GCM of expiry (8, seconds since 1970, big-endian) and payload. Purpose and principal are authenticated
//! beside it.
//!
//! Several keys open and one of them seals: a [`Ring`]. Which does what is a pure function of the [`turns`] that keys
//! take, so that all replicas agree. A ring is made when a key comes or goes, never per call, and is swapped under those
//! who seal and open: they take no lock and wait for nobody.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub mod kept;
pub mod key;
pub mod ring;
pub mod turns;

use key::{KEY_ID_LEN, Key};
use ring::Ring;

const VERSION: u8 = 1;
const EXPIRY_LEN: usize = 8;

/// Why a token is not opened. Which of them it was is for the log; the holder hears only that it is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealFault {
    /// Not of this format.
    #[error("not a sealed token")]
    Malformed,
    /// Sealed with a key that is not here.
    #[error("sealed with a key that is not known here")]
    UnknownKey,
    /// Altered, or sealed for another purpose or principal.
    #[error("altered, or sealed for another purpose or principal")]
    NotAuthentic,
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// The system's random source failed.
    #[error("no random numbers")]
    Random,
}

/// Seals and opens tokens.
pub struct Seal {
    ring: ArcSwap<Ring>,
}

impl Seal {
    /// A seal with these keys.
    #[must_use]
    pub fn new(ring: Ring) -> Self {
        Self { ring: ArcSwap::from_pointee(ring) }
    }

    /// A seal with a new random key: what it sealed is worthless after a restart.
    ///
    /// # Errors
    /// When there are no random numbers.
    pub fn random() -> Result<Self, SealFault> {
        Ok(Self::new(Ring::of(&Key::random()?)))
    }

    /// A seal with the key that `secret` holds.
    ///
    /// # Errors
    /// Never for 32 bytes.
    pub fn from_secret(secret: &[u8; 32]) -> Result<Self, SealFault> {
        Ok(Self::new(Ring::of(&Key::new(*secret)?)))
    }

    /// From now on these keys seal and open.
    pub fn turn_to(&self, ring: Ring) {
        self.ring.store(ring.into());
    }

    /// Seals a payload. The token is of `[A-Za-z0-9_-]`.
    ///
    /// # Errors
    /// When there are no random numbers.
    pub fn seal(&self, bound: Bound<'_>, expires: SystemTime, payload: &[u8]) -> Result<String, SealFault> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_unspecified| SealFault::Random)?;
        let seconds = expires.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let mut sealed = Vec::with_capacity(EXPIRY_LEN + payload.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&seconds.to_be_bytes());
        sealed.extend_from_slice(payload);
        let aad = Aad::from(bound.bytes());
        let ring = self.ring.load();
        let key = ring.sealing();
        key.cipher()
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
            .map_err(|_unspecified| SealFault::Malformed)?;
        let mut token = Vec::with_capacity(1 + KEY_ID_LEN + NONCE_LEN + sealed.len());
        token.push(VERSION);
        token.extend_from_slice(&key.id().0);
        token.extend_from_slice(&nonce);
        token.extend_from_slice(&sealed);
        Ok(URL_SAFE_NO_PAD.encode(token))
    }

    /// Opens a token that was sealed for this purpose and principal.
    ///
    /// # Errors
    /// When it was not, or its time is over at `now`.
    pub fn open(&self, bound: Bound<'_>, now: SystemTime, token: &str) -> Result<Vec<u8>, SealFault> {
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_not_base64| SealFault::Malformed)?;
        let rest = bytes.strip_prefix(&[VERSION]).ok_or(SealFault::Malformed)?;
        let (key_id, rest) = rest.split_at_checked(KEY_ID_LEN).ok_or(SealFault::Malformed)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SealFault::Malformed)?;
        let ring = self.ring.load();
        let mut fault = SealFault::UnknownKey;
        // Two keys may have one id, however unlikely that is.
        for key in ring.opening().filter(|key| key.id().0 == key_id) {
            let mut sealed = sealed.to_vec();
            let aad = Aad::from(bound.bytes());
            match key.cipher().open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut sealed) {
                Ok(opened) => return unexpired(opened, now),
                Err(_unspecified) => fault = SealFault::NotAuthentic,
            }
        }
        Err(fault)
    }
}

/// Has the process's first random number drawn, which takes tens of milliseconds, so that no client waits for it. To be
/// called on a thread of its own.
pub fn draw_first_random() {
    // Whoever needs one is told if there are none.
    let _first = rand::fill(&mut [0; 1]);
}

/// The payload of what was opened, unless its time is over.
fn unexpired(opened: &[u8], now: SystemTime) -> Result<Vec<u8>, SealFault> {
    let (expiry, payload) = opened.split_first_chunk::<EXPIRY_LEN>().ok_or(SealFault::Malformed)?;
    let expires = UNIX_EPOCH.checked_add(Duration::from_secs(u64::from_be_bytes(*expiry)));
    if expires.is_some_and(|expires| expires <= now) {
        return Err(SealFault::Expired);
    }
    Ok(payload.to_vec())
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal").field("ring", &self.ring.load()).finish_non_exhaustive()
    }
}

/// What a token is bound to.
#[derive(Debug, Clone, Copy)]
pub struct Bound<'a> {
    /// What it is for.
    pub purpose: &'a str,
    /// Whose it is.
    pub principal: &'a str,
}

impl Bound<'_> {
    /// Unambiguous: no purpose or principal can be cut differently to give the same bytes.
    fn bytes(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + self.purpose.len() + self.principal.len());
        out.extend_from_slice(&(self.purpose.len() as u64).to_be_bytes());
        out.extend_from_slice(self.purpose.as_bytes());
        out.extend_from_slice(self.principal.as_bytes());
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::*;

    const MINE: Bound<'static> = Bound { purpose: "session", principal: "me" };

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_opens_for_its_purpose_principal_and_time_only() {
        let seal = Seal::from_secret(&[7; 32]).unwrap();
        let token = seal.seal(MINE, at(100), b"payload").unwrap();
        assert_eq!(seal.open(MINE, at(99), &token).unwrap(), b"payload");
        assert_eq!(seal.open(MINE, at(100), &token), Err(SealFault::Expired));
        for other in [Bound { purpose: "cursor", ..MINE }, Bound { principal: "you", ..MINE }] {
            assert_eq!(seal.open(other, at(0), &token), Err(SealFault::NotAuthentic));
        }
        let shifted = Bound { purpose: "sessionm", principal: "e" };
        assert_eq!(seal.open(shifted, at(0), &token), Err(SealFault::NotAuthentic));
        let stranger = Seal::from_secret(&[8; 32]).unwrap();
        assert_eq!(stranger.open(MINE, at(0), &token), Err(SealFault::UnknownKey));
    }

    #[test]
    fn equal_payloads_have_unequal_tokens() {
        let seal = Seal::random().unwrap();
        assert_ne!(seal.seal(MINE, at(1), b"x").unwrap(), seal.seal(MINE, at(1), b"x").unwrap());
    }

    proptest! {
        #[test]
        fn no_changed_token_opens(at_bit in any::<prop::sample::Index>()) {
            let seal = Seal::from_secret(&[7; 32]).unwrap();
            let token = seal.seal(MINE, at(100), b"payload").unwrap();
            let mut bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
            let bit = at_bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(seal.open(MINE, at(0), &URL_SAFE_NO_PAD.encode(bytes)).is_err());
        }

        #[test]
        fn opening_garbage_never_panics(text in any::<String>()) {
            let seal = Seal::from_secret(&[7; 32]).unwrap();
            assert!(seal.open(MINE, at(0), &text).is_err());
        }
    }
}
