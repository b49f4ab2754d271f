//! Keys (RFC 7517) that can check and not sign.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    self, EcdsaVerificationAlgorithm, ParsedPublicKey, RsaParameters, VerificationAlgorithm,
};
use base::plan::identity::Algorithm;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcp::json::{self, Object};

use crate::{spiffe, strict};

/// The most keys of one set that are looked at. Issuers have two to ten.
pub(crate) const MOST_KEYS: usize = 100;
/// The fewest bytes of an RSA modulus (RFC 7518 §3.3: 2048 bits), and the most: checking takes longer with each.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=512;

/// What stands before the point of such a key (RFC 5480 §2.1.1, SEC 1 §2.3.3).
const P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

/// A key, ready to check what is signed by one of its algorithms.
pub(crate) struct Key {
    pub(crate) id: Option<String>,
    checks: Vec<(Algorithm, ParsedPublicKey)>,
    /// RFC 7638, with SHA-256.
    pub(crate) thumbprint: [u8; 32],
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why a key is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeftOut(pub(crate) &'static str);

/// What a key is made of.
enum Material {
    Curve { name: &'static str, x: Vec<u8>, y: Vec<u8> },
    Ed25519 { x: Vec<u8> },
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

impl Key {
    /// Reads a key that is to check what is signed by one of these algorithms.
    pub(crate) fn read(text: &str, allowed: &[Algorithm]) -> Result<Self, LeftOut> {
        let members =
            strict::object(text).map_err(|_fault| LeftOut("it is no object, or not a clear one"))?;
        let optional =
            |name| strict::text(&members, name).map_err(|_fault| LeftOut("a member is of the wrong kind"));
        // A bundle of SPIFFE has its own word (SPIFFE Trust Domain and Bundle §4.2.1).
        if optional("use")?.is_some_and(|purpose| purpose != "sig" && purpose != "jwt-svid") {
            return Err(LeftOut("it is not for signatures"));
        }
        let operations = members.get("key_ops").map_err(|_twice| LeftOut("a member stands twice"))?;
        let operations = operations.map(strict::texts).transpose();
        let operations = operations.map_err(|_fault| LeftOut("a member is of the wrong kind"))?;
        if operations.is_some_and(|operations| !operations.iter().any(|one| one == "verify")) {
            return Err(LeftOut("it is not for checking signatures"));
        }
        // Whoever publishes this has lost the key.
        if ["d", "p", "q", "k"].iter().any(|name| members.get(name).is_ok_and(|value| value.is_some())) {
            return Err(LeftOut("it is a secret key"));
        }
        let only =
            optional("alg")?.map(|name| Algorithm::named(&name).ok_or(LeftOut("its algorithm is unknown")));
        let only = only.transpose()?;
        let material = Material::read(&members)?;
        let fits = |one: &&Algorithm| material.fits(**one) && only.is_none_or(|only| only == **one);
        let checks = allowed.iter().filter(fits).map(|one| Ok((*one, material.prepare(*one)?)));
        let checks = checks.collect::<Result<Vec<_>, LeftOut>>()?;
        if checks.is_empty() {
            return Err(LeftOut("no algorithm that is allowed goes with it"));
        }
        let id = optional("kid")?.map(std::borrow::Cow::into_owned);
        Ok(Self { id, checks, thumbprint: material.thumbprint() })
    }

    /// A key on P-256 in PEM (RFC 5480), under a name.
    pub(crate) fn of_pem(text: &str, name: &str) -> Result<Self, LeftOut> {
        let wrong = LeftOut("it is no public key on P-256 in PEM");
        let lines: String = text.lines().map(str::trim).collect();
        let inner = lines.strip_prefix("-----BEGIN PUBLIC KEY-----");
        let inner = inner.and_then(|rest| rest.strip_suffix("-----END PUBLIC KEY-----")).ok_or(wrong)?;
        let der = STANDARD.decode(inner).map_err(|_fault| wrong)?;
        let point = der.strip_prefix(P256).filter(|point| point.len() == 64).ok_or(wrong)?;
        let (x, y) = point.split_at(32);
        let material = Material::Curve { name: "P-256", x: x.to_vec(), y: y.to_vec() };
        let checks = vec![(Algorithm::Es256, material.prepare(Algorithm::Es256)?)];
        Ok(Self { id: Some(name.to_owned()), checks, thumbprint: material.thumbprint() })
    }

    /// Whether it can check what is signed by an algorithm.
    pub(crate) fn fits(&self, algorithm: Algorithm) -> bool {
        self.checks.iter().any(|(one, _)| *one == algorithm)
    }

    /// Whether the signature is one of this text.
    pub(crate) fn has_signed(&self, algorithm: Algorithm, text: &str, signature: &[u8]) -> bool {
        let check = self.checks.iter().find(|(one, _)| *one == algorithm);
        check.is_some_and(|(_, key)| key.verify_sig(text.as_bytes(), signature).is_ok())
    }
}

impl Material {
    fn read(members: &Object<'_>) -> Result<Self, LeftOut> {
        let wrong = LeftOut("a part of it is missing or malformed");
        let text = |name| strict::text(members, name).ok().flatten().ok_or(wrong);
        let bytes = |name| text(name).and_then(|value| strict::base64url(&value).ok_or(wrong));
        let sized = |name, size| {
            bytes(name).and_then(|value| if value.len() == size { Ok(value) } else { Err(wrong) })
        };
        match &*text("kty")? {
            "EC" => {
                let (name, size) = match &*text("crv")? {
                    "P-256" => ("P-256", 32),
                    "P-384" => ("P-384", 48),
                    _ => return Err(LeftOut("its curve is not supported")),
                };
                Ok(Self::Curve { name, x: sized("x", size)?, y: sized("y", size)? })
            }
            "OKP" if text("crv")? == "Ed25519" => Ok(Self::Ed25519 { x: sized("x", 32)? }),
            "OKP" => Err(LeftOut("its curve is not supported")),
            "RSA" => {
                let (n, e) = (bytes("n")?, bytes("e")?);
                // RFC 7518 §6.3.1.1: the modulus has no leading zeros; some write one nevertheless.
                let n = match n.split_first() {
                    Some((0, rest)) => rest.to_vec(),
                    _ => n,
                };
                if !RSA_BYTES.contains(&n.len()) {
                    return Err(LeftOut("its modulus has fewer than 2048 or more than 4096 bits"));
                }
                if e.len() > 4 {
                    return Err(LeftOut("its exponent is too large"));
                }
                Ok(Self::Rsa { n, e })
            }
            _ => Err(LeftOut("its type is not supported")),
        }
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        match self {
            Self::Curve { name: "P-256", .. } => algorithm == Algorithm::Es256,
            Self::Curve { .. } => algorithm == Algorithm::Es384,
            Self::Ed25519 { .. } => algorithm == Algorithm::EdDsa,
            Self::Rsa { .. } => rsa(algorithm).is_some(),
        }
    }

    fn prepare(&self, algorithm: Algorithm) -> Result<ParsedPublicKey, LeftOut> {
        let parsed = match (self, curve(algorithm), rsa(algorithm)) {
            (Self::Curve { x, y, .. }, Some(curve), _) => {
                // SEC 1 §2.3.3: an uncompressed point.
                ParsedPublicKey::new(curve, [&[4], x.as_slice(), y.as_slice()].concat())
            }
            (Self::Ed25519 { x }, ..) => {
                ParsedPublicKey::new(&signature::ED25519 as &'static dyn VerificationAlgorithm, x)
            }
            (Self::Rsa { n, e }, _, Some(rsa)) => PublicKeyComponents { n, e }.to_parsed_public_key(rsa),
            _ => return Err(LeftOut("no algorithm that is allowed goes with it")),
        };
        parsed.map_err(|_rejected| LeftOut("it is no key of its kind"))
    }

    fn thumbprint(&self) -> [u8; 32] {
        let member = |bytes: &[u8]| json::quote(&strict::to_base64url(bytes));
        // RFC 7638 §3.2: the members that make the key, in the order of their names, without space.
        let text = match self {
            Self::Curve { name, x, y } => {
                format!(r#"{{"crv":"{name}","kty":"EC","x":{},"y":{}}}"#, member(x), member(y))
            }
            Self::Ed25519 { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":{}}}"#, member(x)),
            Self::Rsa { n, e } => format!(r#"{{"e":{},"kty":"RSA","n":{}}}"#, member(e), member(n)),
        };
        sha256(text.as_bytes())
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

fn curve(algorithm: Algorithm) -> Option<&'static EcdsaVerificationAlgorithm> {
    match algorithm {
        Algorithm::Es256 => Some(&signature::ECDSA_P256_SHA256_FIXED),
        Algorithm::Es384 => Some(&signature::ECDSA_P384_SHA384_FIXED),
        _ => None,
    }
}

fn rsa(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
        Algorithm::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => None,
    }
}

/// Reads a set of keys (RFC 7517 §5), key by key: one that is odd does not cost the others. It may be the bundle of a trust domain
/// of SPIFFE.
pub(crate) fn read_set(
    text: &str,
    allowed: &[Algorithm],
    is_bundle: bool,
) -> Result<(Vec<Key>, Vec<LeftOut>), LeftOut> {
    let set = Object::parse(text).map_err(|_fault| LeftOut("it is no JSON object"))?;
    let list = set.get("keys").ok().flatten().ok_or(LeftOut("it has no member «keys»"))?;
    let (list, more) = json::array_within(list, MOST_KEYS).map_err(|_fault| LeftOut("«keys» is no list"))?;
    if more {
        return Err(LeftOut("it has more than 100 keys"));
    }
    let (mut keys, mut left_out): (Vec<Key>, _) = (Vec::new(), Vec::new());
    for text in list {
        if is_bundle && !spiffe::is_for_tokens(text) {
            left_out.push(LeftOut("it is not for JWT-SVIDs"));
            continue;
        }
        match Key::read(text, allowed) {
            Ok(key) if keys.iter().any(|other| other.thumbprint == key.thumbprint && other.id == key.id) => {}
            Ok(key) => keys.push(key),
            Err(why) => left_out.push(why),
        }
    }
    Ok((keys, left_out))
}
