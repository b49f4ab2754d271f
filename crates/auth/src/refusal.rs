//! Why something is not done for a caller, told by what it is to do about it.

use std::time::Duration;

use crate::approval::Asked;

/// Why something is not done. What it says holds nothing that a caller has sent, and none of `=`, `"` and `\`: official
/// clients take a challenge's parameters from wherever their names stand first, also from within a description.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No rule allows it.
    #[error("not allowed")]
    Denied,
    /// A policy does not allow it, with the reason that the policy gives to callers.
    #[error("a policy does not allow this{}", .0.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default())]
    Policy(Option<Box<str>>),
    /// Somebody has to approve it first.
    #[error("a policy wants this to be approved first{}", after(&.0.reason))]
    Approval(Box<Asked>),
    /// Policies must know the arguments, which are not what the tool takes, or can be read in two ways.
    #[error("{0}")]
    Arguments(String),
    /// Nobody knows who calls: 401 (RFC 6750 §3.1, RFC 9449 §7.1).
    #[error("{0}")]
    Unauthenticated(Why),
    /// The credentials cannot be read in one way only: 400, `invalid_request` (RFC 6750 §3.1).
    #[error("{0}")]
    Malformed(&'static str),
    /// The token is good, and not for this. All scopes that this needs: 403, `insufficient_scope` (RFC 6750 §3.1).
    #[error("the token lacks a scope that this needs")]
    Scopes(Vec<String>),
    /// It cannot be found out now whether the credentials are good: 503.
    #[error("who calls cannot be found out now; try again")]
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
}

fn after(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {}", reason.replace('\n', "; ")) }
}

/// Why nobody knows who calls.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// There are no credentials. A challenge then has no `error` (RFC 6750 §3.1).
    #[error("this needs an access token")]
    NoToken,
    /// There are no credentials, and an access token would not help: what would. No `error`, as without credentials.
    #[error("{0}")]
    Nothing(&'static str),
    /// The token is not good here: `invalid_token`.
    #[error("{0}")]
    Token(&'static str),
    /// There is no token, and the certificate of the connection is not good here: no `error`, as without credentials.
    #[error("{0}")]
    Certificate(&'static str),
    /// What should be the word of a proxy in front is none: no `error`, as without credentials.
    #[error("{0}")]
    Proxy(&'static str),
    /// The proof of possession is not good: `invalid_dpop_proof` (RFC 9449 §7.1).
    #[error("{0}")]
    Proof(&'static str),
    /// The proof must have this nonce: `use_dpop_nonce`, and the nonce in `DPoP-Nonce` (RFC 9449 §9).
    #[error("the DPoP proof must have the nonce of this response")]
    Nonce(Box<str>),
}

impl Why {
    /// The challenge's `error`.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::NoToken | Self::Nothing(_) | Self::Certificate(_) | Self::Proxy(_) => None,
            Self::Token(_) => Some("invalid_token"),
            Self::Proof(_) => Some("invalid_dpop_proof"),
            Self::Nonce(_) => Some("use_dpop_nonce"),
        }
    }

    /// Whether it is about a proof of possession, so that the challenge is one of the scheme `DPoP` (RFC 9449 §7.1).
    #[must_use]
    pub fn is_of_dpop(&self) -> bool {
        matches!(self, Self::Proof(_) | Self::Nonce(_))
    }
}
