//! Whose client certificates say who calls.

use std::sync::Arc;

use crate::globs::Globs;

/// Certificate authorities that vouch for callers by certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificatesPlan {
    /// Their name in the configuration. Two subjects of one spelling are two principals under two names.
    pub name: String,
    /// The authorities: the text of a PEM file.
    pub authorities: Arc<[u8]>,
    /// What of a certificate says who it is.
    pub principal: CertificateName,
    /// Who may come, of all for whom they vouch; everybody, if not said.
    pub allow: Option<Globs>,
    /// The scopes that each of them has.
    pub scopes: Vec<String>,
}

/// What of a certificate says who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateName {
    /// The one URI of its subject alternative names, as a SPIFFE ID is.
    SanUri,
    /// The one DNS name of these.
    SanDns,
    /// The one mail address of these.
    SanEmail,
    /// Its subject, as RFC 4514 writes it.
    Subject,
}
