//! What can be wrong with a token or a proof. The texts are for callers and for the log alike: they say nothing of what was
//! sent, and have none of `=`, `"` and `\` (see [`auth::Refusal`]).

use auth::{Refusal, Why};
use mcp::json::JsonFault;

/// Why a token is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "its text says what it is")]
pub enum TokenFault {
    NotThreeParts,
    Encrypted,
    NotBase64,
    NotJson,
    DuplicateMember,
    TooDeep,
    MemberKind,
    Critical,
    Nested,
    Algorithm,
    Type,
    UnknownIssuer,
    NoKey,
    SeveralKeys,
    Signature,
    Audience,
    Signer,
    NoExpiry,
    Time,
    Expired,
    NotYet,
    IssuedAhead,
    IssuedTooEarly,
    NoSubject,
    NoSpiffeId,
    Rule,
    Inactive,
    Bound,
    NotBound,
    Unbound,
    UnknownBinding,
    BoundOff,
    NoCertificate,
    OtherCertificate,
    UnknownKey,
    Revoked,
}

impl TokenFault {
    /// All of them.
    pub const ALL: [Self; 36] = [
        Self::NotThreeParts,
        Self::Encrypted,
        Self::NotBase64,
        Self::NotJson,
        Self::DuplicateMember,
        Self::TooDeep,
        Self::MemberKind,
        Self::Critical,
        Self::Nested,
        Self::Algorithm,
        Self::Type,
        Self::UnknownIssuer,
        Self::NoKey,
        Self::SeveralKeys,
        Self::Signature,
        Self::Audience,
        Self::Signer,
        Self::NoExpiry,
        Self::Time,
        Self::Expired,
        Self::NotYet,
        Self::IssuedAhead,
        Self::IssuedTooEarly,
        Self::NoSubject,
        Self::NoSpiffeId,
        Self::Rule,
        Self::Inactive,
        Self::Bound,
        Self::NotBound,
        Self::Unbound,
        Self::UnknownBinding,
        Self::BoundOff,
        Self::NoCertificate,
        Self::OtherCertificate,
        Self::UnknownKey,
        Self::Revoked,
    ];

    /// What is said of it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::NotThreeParts => "the token is no signed JWT, and nobody can be asked about it",
            Self::Encrypted => "the token is encrypted; this endpoint takes signed tokens",
            Self::NotBase64 => "a part of the token is not base64url without padding",
            Self::NotJson => "a part of the token is not a JSON object",
            Self::DuplicateMember => "a member of the token stands twice",
            Self::TooDeep => "the token has objects too deep in each other",
            Self::MemberKind => "a member of the token is of the wrong kind",
            Self::Critical => "the token has a critical header that is not understood",
            Self::Nested => "the token holds another token",
            Self::Algorithm => "the token is signed by an algorithm that is not allowed",
            Self::Type => "the token is of another type than an access token",
            Self::UnknownIssuer => "the token is of an issuer that does not vouch for callers here",
            Self::NoKey => "the token is signed by a key that its issuer does not publish",
            Self::SeveralKeys => "the token does not say which key of its issuer has signed it",
            Self::Signature => "the signature of the token is wrong",
            Self::Audience => "the token was not issued for this endpoint",
            Self::Signer => "the token is signed by another load balancer",
            Self::NoExpiry => "the token does not say when it expires",
            Self::Time => "a time in the token is no time",
            Self::Expired => "the token has expired",
            Self::NotYet => "the token is not valid yet",
            Self::IssuedAhead => "the token was issued in the future",
            Self::IssuedTooEarly => "the token was issued before those that are still good",
            Self::NoSubject => "the token does not say who it is about",
            Self::NoSpiffeId => "the subject of the token is no SPIFFE ID of a workload",
            Self::Rule => "the token lacks a claim that this issuer must make",
            Self::Inactive => "the token is not active",
            Self::Bound => "the token is bound to a key; show it with the scheme DPoP and a proof",
            Self::NotBound => "the token is not bound to a key, and this endpoint takes only those that are",
            Self::Unbound => "the token is not bound to a key; show it with the scheme Bearer",
            Self::UnknownBinding => "the token is bound in a way that is not understood",
            Self::BoundOff => "the token is bound to a key, and this endpoint takes no such tokens",
            Self::NoCertificate => "the token is bound to a certificate, and the connection has none",
            Self::OtherCertificate => "the token is bound to another certificate than that of the connection",
            Self::UnknownKey => "the API key is not known, or not good here any more",
            Self::Revoked => "the token was revoked",
        }
    }
}

impl From<TokenFault> for Refusal {
    fn from(fault: TokenFault) -> Self {
        Self::Unauthenticated(Why::Token(fault.text()))
    }
}

impl From<JsonFault> for TokenFault {
    fn from(fault: JsonFault) -> Self {
        match fault {
            JsonFault::Duplicate(_) => Self::DuplicateMember,
            JsonFault::Kind { expected: "an object", .. } | JsonFault::Syntax(_) | JsonFault::TooMany(_) => {
                Self::NotJson
            }
            JsonFault::Kind { .. } | JsonFault::NotText => Self::MemberKind,
        }
    }
}

/// Why a proof of possession is not good (RFC 9449 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "its text says what it is")]
pub enum ProofFault {
    Missing,
    Malformed,
    Type,
    Algorithm,
    Key,
    Signature,
    Method,
    Url,
    Time,
    Token,
    Name,
    OtherKey,
    Replayed,
}

impl ProofFault {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Missing,
        Self::Malformed,
        Self::Type,
        Self::Algorithm,
        Self::Key,
        Self::Signature,
        Self::Method,
        Self::Url,
        Self::Time,
        Self::Token,
        Self::Name,
        Self::OtherKey,
        Self::Replayed,
    ];

    /// What is said of it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Missing => "there is no DPoP proof with the token",
            Self::Malformed => "the DPoP proof is no signed JWT that can be read in one way only",
            Self::Type => "the DPoP proof is of another type than dpop+jwt",
            Self::Algorithm => "the DPoP proof is signed by an algorithm that is not allowed",
            Self::Key => "the DPoP proof has no public key that can be used",
            Self::Signature => "the signature of the DPoP proof is wrong",
            Self::Method => "the DPoP proof is for another HTTP method",
            Self::Url => "the DPoP proof is for another URL than that of this endpoint",
            Self::Time => "the DPoP proof was not made within the last five minutes; is the clock right?",
            Self::Token => "the DPoP proof is for another token",
            Self::Name => "the DPoP proof has no jti that can be used",
            Self::OtherKey => "the DPoP proof is by another key than the token is bound to",
            Self::Replayed => "the DPoP proof was used before",
        }
    }
}

impl From<ProofFault> for Refusal {
    fn from(fault: ProofFault) -> Self {
        Self::Unauthenticated(Why::Proof(fault.text()))
    }
}

/// Why a certificate is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "its text says what it is")]
pub enum CertificateFault {
    Stranger,
    Expired,
    NotYet,
    Purpose,
    Broken,
    NoName,
    SeveralNames,
    NotAllowed,
}

impl CertificateFault {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Stranger,
        Self::Expired,
        Self::NotYet,
        Self::Purpose,
        Self::Broken,
        Self::NoName,
        Self::SeveralNames,
        Self::NotAllowed,
    ];

    /// What is said of it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Stranger => "the certificate is not signed by an authority that vouches for callers here",
            Self::Expired => "the certificate, or one on the way to its authority, has expired",
            Self::NotYet => "the certificate is not valid yet",
            Self::Purpose => "the certificate is not for clients",
            Self::Broken => "the certificate cannot be read, or not in one way only",
            Self::NoName => "the certificate has no name of the kind that counts here",
            Self::SeveralNames => "the certificate has more than one name of the kind that counts here",
            Self::NotAllowed => "the name in the certificate is not one of those that may come here",
        }
    }
}

/// Why nothing is known by the word of a proxy in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "its text says what it is")]
pub enum ProxyFault {
    Elsewhere,
    Twice,
    Several,
    Value,
}

impl ProxyFault {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Elsewhere, Self::Twice, Self::Several, Self::Value];

    /// What is said of it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Elsewhere => {
                "a header that a proxy in front sets has come from another address than its own"
            }
            Self::Twice => "a header that a proxy in front sets stands there twice",
            Self::Several => "the certificate has come through more than one proxy",
            Self::Value => "a header that a proxy in front sets cannot be read, or not in one way only",
        }
    }
}

impl From<ProxyFault> for Refusal {
    fn from(fault: ProxyFault) -> Self {
        Self::Unauthenticated(Why::Proxy(fault.text()))
    }
}

impl From<CertificateFault> for Refusal {
    fn from(fault: CertificateFault) -> Self {
        Self::Unauthenticated(Why::Certificate(fault.text()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn texts_can_stand_in_a_challenge() {
        let tokens = TokenFault::ALL.iter().map(|fault| fault.text());
        let proofs = ProofFault::ALL.iter().map(|fault| fault.text());
        let certificates = CertificateFault::ALL.iter().map(|fault| fault.text());
        let proxies = ProxyFault::ALL.iter().map(|fault| fault.text());
        let texts: BTreeSet<&str> = tokens.chain(proofs).chain(certificates).chain(proxies).collect();
        let connections = CertificateFault::ALL.len() + ProxyFault::ALL.len();
        let all = TokenFault::ALL.len() + ProofFault::ALL.len() + connections;
        assert_eq!(texts.len(), all, "one text for each");
        for text in texts {
            // RFC 6750 §3: what an error_description may hold; and no scheme or parameter begins in it.
            assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && !text.contains(['=', '"', '\\']));
        }
    }
}
