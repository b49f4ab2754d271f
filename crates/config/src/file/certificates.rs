//! Flat table: who calls by something else than a token.

use super::Texts;
use crate::read::{choice, table};
use crate::template::Template;

table! {
    /// Certificate authorities that vouch for callers by their client certificates.
    #[schemars(extend("required" = ["ca", "principal"]))]
    Certificates {
        /// A PEM file of the authorities, with references.
        ca: Template,
        /// What of a certificate says who calls. One that has several of the kind is refused.
        principal: CertificateName,
        /// Globs of these names. Only these may come. `*` also stands for `/`.
        allow: Texts,
        /// The scopes that each of them has.
        scopes: Texts,
    }
}

choice! {
    /// What of a certificate says who calls.
    CertificateName {
        /// The URI among its subject alternative names, as a SPIFFE ID is.
        "san-uri" => SanUri,
        /// The DNS name among these, in lower case.
        "san-dns" => SanDns,
        /// The mail address among these.
        "san-email" => SanEmail,
        /// Its subject, as RFC 4514 writes it: `CN=planner,O=Example`.
        "subject" => Subject,
    }
}
