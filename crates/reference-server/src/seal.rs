//! `requestState`: what a call has learnt so far, sealed, because the client keeps it for us and may change it.
//!
//! Source: MCP 2026-07-28 `basic/patterns/mrtr` §requestState: integrity, a short expiry, and a binding to the request.

use std::io;
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::time::Instant;

/// How long a client may take to answer.
const LIFETIME: Duration = Duration::from_secs(600);

/// A key of this process, with which states are sealed.
pub(crate) struct Seal {
    key: RandomizedNonceKey,
    /// Expiry times count from here: no state outlives the process anyway.
    epoch: Instant,
}

impl Seal {
    /// A fresh key.
    pub(crate) fn new() -> io::Result<Self> {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).map_err(io::Error::other)?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(io::Error::other)?;
        Ok(Self { key, epoch: Instant::now() })
    }

    /// Seals `state` for the request that `binding` describes; `None` if the library fails.
    pub(crate) fn close(&self, state: &str, binding: &str) -> Option<String> {
        let expiry_ms = u64::try_from((self.epoch.elapsed() + LIFETIME).as_millis()).ok()?;
        let mut sealed = expiry_ms.to_be_bytes().to_vec();
        sealed.extend_from_slice(state.as_bytes());
        let nonce = self.key.seal_in_place_append_tag(Aad::from(binding), &mut sealed).ok()?;
        Some(URL_SAFE_NO_PAD.encode([nonce.as_ref().as_slice(), &sealed].concat()))
    }

    /// The state, if it was sealed here for the same request and not too long ago.
    pub(crate) fn open(&self, sealed: &str, binding: &str) -> Option<String> {
        let mut bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let opened = self.key.open_in_place(nonce, Aad::from(binding), sealed).ok()?;
        let (expiry_ms, state) = opened.split_first_chunk::<8>()?;
        let in_time = self.epoch.elapsed() < Duration::from_millis(u64::from_be_bytes(*expiry_ms));
        in_time.then(|| String::from_utf8(state.to_vec()).ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_state_opens_only_unchanged_in_time_and_for_its_own_request() {
        let seal = Seal::new().unwrap();
        let sealed = seal.close("{}", "a").unwrap();
        assert_eq!(seal.open(&sealed, "a").as_deref(), Some("{}"));
        assert_eq!(seal.open(&sealed, "b"), None);
        assert_eq!(seal.open(&format!("{sealed}-TAMPERED"), "a"), None);
        assert_eq!(seal.open("", "a"), None);
        assert_eq!(Seal::new().unwrap().open(&sealed, "a"), None);
        tokio::time::advance(LIFETIME).await;
        assert_eq!(seal.open(&sealed, "a"), None);
    }
}
