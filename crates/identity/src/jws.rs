//! A signed text in the compact form (RFC 7515 §7.1): tokens and proofs of possession.

use std::borrow::Cow;

use base::plan::identity::Algorithm;
use mcp::json::Object;

use crate::fault::TokenFault;
use crate::strict;

/// A signed text, taken apart and not verified. What it says is worth nothing yet.
pub(crate) struct Jws<'a> {
    pub(crate) header: String,
    pub(crate) claims: String,
    /// What is signed.
    pub(crate) signed: &'a str,
    pub(crate) signature: Vec<u8>,
    /// Whether its parts are filled up, as RFC 7515 §2 does not have it.
    pub(crate) is_padded: bool,
}

/// What its header says.
pub(crate) struct Header<'h> {
    /// By its own word; nothing of ours has it.
    pub(crate) algorithm: Option<Algorithm>,
    pub(crate) key: Option<Cow<'h, str>>,
    /// In lower case, without what may be left out.
    pub(crate) kind: Option<String>,
    pub(crate) members: Object<'h>,
}

/// Whether a text can be a signed one at all. What cannot may be a token that says nothing itself.
pub(crate) fn has_three_parts(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// Whether it is an encrypted text (RFC 7516 §7.1).
pub(crate) fn has_five_parts(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b'.').count() == 4
}

impl<'a> Jws<'a> {
    /// Takes a text apart.
    ///
    /// # Errors
    /// When it is not three parts, each as it must be.
    pub(crate) fn read(text: &'a str) -> Result<Self, TokenFault> {
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenFault::NotThreeParts);
        };
        let signed = text.get(..header.len() + 1 + claims.len()).ok_or(TokenFault::NotThreeParts)?;
        let is_padded = text.contains('=');
        let bare = |part: &'a str| if is_padded { strict::unpadded(part) } else { Some(part) };
        let bare = |part: &'a str| bare(part).ok_or(TokenFault::NotBase64);
        let signature = strict::base64url(bare(signature)?).ok_or(TokenFault::NotBase64)?;
        let (header, claims) = (strict::part(bare(header)?)?, strict::part(bare(claims)?)?);
        Ok(Self { header, claims, signed, signature, is_padded })
    }

    /// Reads the header. What would lead elsewhere for a key (`jku`, `x5u`, `jwk`, `x5c`) is not looked at: some issuers
    /// put it into good tokens, and no key comes from there.
    ///
    /// # Errors
    /// When something in it changes what the rest means, and is not understood.
    pub(crate) fn header(&self) -> Result<Header<'_>, TokenFault> {
        let members = strict::object(&self.header)?;
        // RFC 7515 §4.1.11: whatever it lists must be understood, and nothing that could be listed is.
        if has(&members, "crit")? {
            return Err(TokenFault::Critical);
        }
        if has(&members, "enc")? || has(&members, "zip")? {
            return Err(TokenFault::Encrypted);
        }
        // RFC 7519 §5.2: the content is another token.
        if has(&members, "cty")? {
            return Err(TokenFault::Nested);
        }
        let algorithm = strict::text(&members, "alg")?.ok_or(TokenFault::Algorithm)?;
        let kind = strict::text(&members, "typ")?.map(|kind| {
            // RFC 7515 §4.1.9: not case-sensitive, and `application/` may be left out.
            let kind = kind.to_ascii_lowercase();
            kind.strip_prefix("application/").map(str::to_owned).unwrap_or(kind)
        });
        let key = strict::text(&members, "kid")?;
        Ok(Header { algorithm: Algorithm::named(&algorithm), key, kind, members })
    }
}

fn has(members: &Object<'_>, name: &str) -> Result<bool, TokenFault> {
    Ok(members.get(name).map_err(TokenFault::from)?.is_some())
}
