//! Who the client says it is: tokens that an issuer of ours has signed, and proofs that they are the client's own.
//!
//! Signing costs the load's process, which nobody measures. Everything that is signed has one length, so that it can be put
//! into a request that was made before.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// The issuer's name, and what its tokens are for.
pub(crate) const ISSUER: &str = "https://id.example";
pub(crate) const RESOURCE: &str = "https://gw.example/mcp";

/// Who the client says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Who {
    /// Nobody
    Anonymous,
    /// Whoever an ES256 token names
    Token,
    /// The same, with a proof of possession for each call (RFC 9449)
    Proof,
}

/// What signs tokens, and proofs of their owner: one key does both.
pub(crate) struct Signer {
    key: EcdsaKeyPair,
    random: SystemRandom,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

impl Signer {
    /// A new key, kept in a file for the other processes of a run.
    pub(crate) fn make(path: &Path) -> Result<Self, Fault> {
        let made = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(Fault::of("a key"))?;
        let text = made.to_pkcs8v1().map_err(Fault::of("a key"))?;
        std::fs::write(path, text.as_ref()).map_err(Fault::of("the file of a key"))?;
        Ok(Self { key: made, random: SystemRandom::new() })
    }

    /// The key that was kept there.
    pub(crate) fn read(path: &Path) -> Result<Self, Fault> {
        let text = std::fs::read(path).map_err(Fault::of("--key"))?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &text);
        Ok(Self { key: key.map_err(Fault::of("--key"))?, random: SystemRandom::new() })
    }

    /// The issuer's key set (RFC 7517).
    pub(crate) fn key_set(&self) -> String {
        let (x, y) = self.point();
        let head = r#"{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"k""#;
        format!(r#"{head},"x":"{x}","y":"{y}"}}]}}"#)
    }

    fn point(&self) -> (String, String) {
        // Uncompressed, as SEC 1 §2.3.3 has it: one byte, and the two halves.
        let point = self.key.public_key().as_ref();
        (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]))
    }

    fn signed(&self, header: &str, claims: &str) -> Result<String, Fault> {
        let mut text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.key.sign(&self.random, text.as_bytes()).map_err(Fault::of("signing"))?;
        text.push('.');
        text.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Ok(text)
    }

    /// A token with this number, good for an hour. One that goes with proofs is bound to the key (RFC 9449 §6.1).
    fn token(&self, who: Who, number: u64) -> Result<String, Fault> {
        let now = now()?;
        let bound = if who == Who::Proof {
            let (x, y) = self.point();
            // RFC 7638 §3.2: these members, in this order, and nothing else.
            let jwk = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
            let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, jwk.as_bytes()));
            format!(r#","cnf":{{"jkt":"{thumbprint}"}}"#)
        } else {
            String::new()
        };
        let claims = format!(
            r#"{{"iss":"{ISSUER}","aud":"{RESOURCE}","sub":"bench","client_id":"bench","scope":"mcp:read","jti":"{number:010}","iat":{now},"exp":{}{bound}}}"#,
            now + 3600
        );
        self.signed(r#"{"alg":"ES256","kid":"k","typ":"at+jwt"}"#, &claims)
    }

    /// A proof for one call with a token (RFC 9449 §4.2).
    fn proof(&self, token: &str, number: u64) -> Result<String, Fault> {
        let (x, y) = self.point();
        let header = format!(
            r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}}}"#
        );
        let hash = URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes()));
        // No two runs of a load have a proof in common.
        let (run, now) = (std::process::id(), now()?);
        let claims = format!(
            r#"{{"jti":"{run:010}-{now}-{number:012}","htm":"POST","htu":"{RESOURCE}","iat":{now},"ath":"{hash}"}}"#
        );
        self.signed(&header, &claims)
    }
}

#[expect(clippy::disallowed_methods, reason = "the tokens of a measurement are read by a real clock")]
fn now() -> Result<u64, Fault> {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs()).map_err(Fault::of("the clock"))
}

/// What a load says of itself: the same for all its callers.
#[derive(Debug)]
pub(super) struct Credentials {
    signer: Signer,
    who: Who,
    /// Those that are used in turn; if there is none, each call has a new one.
    tokens: Vec<String>,
}

impl Credentials {
    /// So many tokens, signed beforehand.
    pub(super) fn make(signer: Signer, who: Who, tokens: u64) -> Result<Self, Fault> {
        let tokens = (0..tokens).map(|number| signer.token(who, number)).collect::<Result<_, _>>()?;
        Ok(Self { signer, who, tokens })
    }

    /// The headers of the call with this number.
    pub(super) fn headers(&self, number: u64) -> Result<Vec<(&'static str, String)>, Fault> {
        let made;
        let token = match self.tokens.len() as u64 {
            0 => {
                made = self.signer.token(self.who, number)?;
                &made
            }
            count => &self.tokens[usize::try_from(number % count).map_err(Fault::of("a number"))?],
        };
        Ok(match self.who {
            Who::Anonymous => Vec::new(),
            Who::Token => vec![("authorization", format!("Bearer {token}"))],
            Who::Proof => {
                vec![("authorization", format!("DPoP {token}")), ("dpop", self.signer.proof(token, number)?)]
            }
        })
    }

    /// Whether no two calls have the same headers.
    pub(super) fn change(&self) -> bool {
        self.who == Who::Proof || self.tokens.len() != 1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_is_signed_has_one_length_and_another_text_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        Signer::make(&path).unwrap();
        for (who, tokens) in [(Who::Token, 0), (Who::Token, 3), (Who::Proof, 1)] {
            let credentials = Credentials::make(Signer::read(&path).unwrap(), who, tokens).unwrap();
            let all: Vec<_> = (0..3).map(|number| credentials.headers(number).unwrap()).collect();
            let last = |at: usize| all[at].last().unwrap().1.clone();
            assert!(credentials.change());
            assert_eq!((0..3).map(|at| last(at).len()).collect::<BTreeSet<_>>().len(), 1, "{who:?}");
            assert_eq!((0..3).map(last).collect::<BTreeSet<_>>().len(), 3, "{who:?}");
        }
        let one = Credentials::make(Signer::read(&path).unwrap(), Who::Token, 1).unwrap();
        assert!(!one.change());
        assert_eq!(one.headers(1).unwrap(), one.headers(2).unwrap());
    }
}
