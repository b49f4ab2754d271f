//! Making tokens, good ones and others.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Whoever signs.
pub(crate) enum Signer {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Header and claims, signed by a function.
pub(crate) fn signed(header: &str, claims: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let text = format!("{}.{}", b64(header), b64(claims));
    let signature = sign(text.as_bytes());
    format!("{text}.{}", b64(signature))
}

/// What one who takes a public key for a secret one would take for its signature.
pub(crate) fn hmac256(secret: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text).as_ref().to_vec()
}

impl Signer {
    pub(crate) fn es256() -> Self {
        Self::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn eddsa() -> Self {
        Self::EdDsa(Ed25519KeyPair::generate().unwrap())
    }

    pub(crate) fn rsa() -> Self {
        Self::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
    }

    /// The name of the algorithm that it uses if nothing else is asked for.
    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Es256(_) => "ES256",
            Self::EdDsa(_) => "EdDSA",
            Self::Rsa(_) => "RS256",
        }
    }

    pub(crate) fn sign(&self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Es256(pair) => pair.sign(&SystemRandom::new(), text).unwrap().as_ref().to_vec(),
            Self::EdDsa(pair) => pair.sign(text).as_ref().to_vec(),
            Self::Rsa(_) => self.sign_rsa(&signature::RSA_PKCS1_SHA256, text),
        }
    }

    pub(crate) fn sign_rsa(&self, by: &'static dyn signature::RsaEncoding, text: &[u8]) -> Vec<u8> {
        let Self::Rsa(pair) = self else { panic!("not RSA") };
        let mut out = vec![0; pair.public_modulus_len()];
        pair.sign(by, &SystemRandom::new(), text, &mut out).unwrap();
        out
    }

    /// The members of its public JWK that make the key, in the order of RFC 7638.
    pub(crate) fn members(&self) -> String {
        match self {
            Self::Es256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (b64(&point[1..33]), b64(&point[33..]));
                format!(r#""crv":"P-256","kty":"EC","x":"{x}","y":"{y}""#)
            }
            Self::EdDsa(pair) => {
                format!(r#""crv":"Ed25519","kty":"OKP","x":"{}""#, b64(pair.public_key().as_ref()))
            }
            Self::Rsa(pair) => {
                // RFC 8017 A.1.1, of a modulus of 2048 bits.
                let der = pair.public_key().as_ref();
                let (n, e) = (&der[9..265], &der[267..]);
                format!(r#""e":"{}","kty":"RSA","n":"{}""#, b64(e), b64(n))
            }
        }
    }

    /// Its public JWK with more members.
    pub(crate) fn jwk(&self, more: &str) -> String {
        format!("{{{}{more}}}", self.members())
    }

    /// The thumbprint of its key.
    pub(crate) fn thumbprint(&self) -> String {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, self.jwk("").as_bytes());
        b64(digest.as_ref())
    }

    /// Its public key as a file would hold it, for who mistakes it for a secret.
    pub(crate) fn public_der(&self) -> Vec<u8> {
        match self {
            Self::Es256(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::EdDsa(pair) => pair.public_key().as_ref().to_vec(),
            Self::Rsa(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
        }
    }
}
