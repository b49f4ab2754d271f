//! Proofs of possession (RFC 9449; MCP SEP-1932).

use std::time::SystemTime;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base::plan::identity::Algorithm;
use mcp::json::Object;

use crate::fault::{ProofFault, TokenFault};
use crate::jwk::{Key, sha256};
use crate::jws::Jws;
use crate::replays::{ProofMark, WINDOW};
use crate::strict;
use crate::token::is_within;
use crate::url::normal;

/// What a proof may be signed by: `dpop_signing_alg_values_supported` of an endpoint's metadata (RFC 9728 §2).
pub const PROOF_ALGORITHMS: [Algorithm; 5] =
    [Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa, Algorithm::Ps256, Algorithm::Rs256];
/// The longest name of a proof. A hash or a UUID has 20 to 70 bytes.
const LONGEST_NAME: usize = 256;

/// What a proof has to be about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) method: &'a str,
    /// In its normal form.
    pub(crate) url: &'a str,
    /// SHA-256 of the token.
    pub(crate) token: &'a [u8; 32],
    /// The thumbprint of the key that the token is bound to.
    pub(crate) key: &'a [u8; 32],
    pub(crate) now: SystemTime,
}

/// A proof that is good, if it was not used before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proven {
    pub(crate) mark: ProofMark,
    /// The nonce that it has, whoever made it up.
    pub(crate) nonce: Option<String>,
    /// Until when it could be used.
    pub(crate) until: SystemTime,
}

impl About<'_> {
    /// RFC 9449 §4.3: all checks but the last one.
    ///
    /// # Errors
    /// When the proof is not good.
    pub(crate) fn check(&self, proof: &str) -> Result<Proven, ProofFault> {
        let malformed = |fault| match fault {
            TokenFault::Algorithm => ProofFault::Algorithm,
            _ => ProofFault::Malformed,
        };
        if proof.len() > crate::shown::MOST_BYTES {
            return Err(ProofFault::Malformed);
        }
        let jws = Jws::read(proof).map_err(malformed)?;
        let header = jws.header().map_err(malformed)?;
        if header.kind.as_deref() != Some("dpop+jwt") {
            return Err(ProofFault::Type);
        }
        let algorithm = header.algorithm.filter(|one| PROOF_ALGORITHMS.contains(one));
        let algorithm = algorithm.ok_or(ProofFault::Algorithm)?;
        let key = header.members.get("jwk").map_err(|_twice| ProofFault::Key)?.ok_or(ProofFault::Key)?;
        let key = Key::read(key, &[algorithm]).map_err(|_left_out| ProofFault::Key)?;
        let claims = strict::object(&jws.claims).map_err(malformed)?;
        let (name, made) = self.says(&claims)?;
        // What costs most comes last.
        if verify_slices_are_equal(&key.thumbprint, self.key).is_err() {
            return Err(ProofFault::OtherKey);
        }
        if !key.has_signed(algorithm, jws.signed, &jws.signature) {
            return Err(ProofFault::Signature);
        }
        let whole = sha256(&[key.thumbprint.as_slice(), name.as_bytes()].concat());
        let mut mark = ProofMark::default();
        mark.copy_from_slice(whole.split_at(size_of::<ProofMark>()).0);
        let nonce = strict::text(&claims, "nonce").map_err(malformed)?.map(|nonce| nonce.into_owned());
        Ok(Proven { mark, nonce, until: made.checked_add(WINDOW).unwrap_or(made) })
    }

    /// What its claims say: its name, and when it was made.
    fn says(&self, claims: &Object<'_>) -> Result<(String, SystemTime), ProofFault> {
        let text = |name| strict::text(claims, name).map_err(|_kind| ProofFault::Malformed);
        // RFC 9110 §9.1: methods are case-sensitive.
        if text("htm")?.as_deref() != Some(self.method) {
            return Err(ProofFault::Method);
        }
        let url = text("htu")?.and_then(|url| normal(&url)).ok_or(ProofFault::Url)?;
        if url != self.url {
            return Err(ProofFault::Url);
        }
        let token = text("ath")?.and_then(|hash| strict::base64url(&hash)).ok_or(ProofFault::Token)?;
        if verify_slices_are_equal(&token, self.token).is_err() {
            return Err(ProofFault::Token);
        }
        let made = strict::time(claims, "iat").ok().flatten().ok_or(ProofFault::Time)?;
        if !is_within(made, self.now, WINDOW) {
            return Err(ProofFault::Time);
        }
        let name = text("jti")?.filter(|name| (1..=LONGEST_NAME).contains(&name.len()));
        Ok((name.ok_or(ProofFault::Name)?.into_owned(), made))
    }
}
