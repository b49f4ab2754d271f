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

table! {
    /// A proxy in front that says in headers who calls. It must take these headers away from what its own clients send.
    #[schemars(extend("required" = ["addresses"]))]
    Proxy {
        /// Where it connects from: addresses, networks as `"10.0.0.0/8"`, and `"unix"` for Unix sockets that Portolan listens at. What
        /// a header says of addresses does not count. From anywhere else its headers are refused.
        addresses: Texts,
        /// The header with the name of who calls.
        user_header: String,
        /// The header with that one's groups, with commas between them.
        groups_header: String,
        /// The header with the certificate that its client has presented.
        certificate_header: String,
        /// How the certificate is written.
        certificate_form: CertificateForm = "rfc9440",
        /// Names of the certificates by which callers are known that send no token.
        certificates: Texts,
    }
}

choice! {
    /// How a certificate stands in a header.
    CertificateForm {
        /// As `Client-Cert` and `Client-Cert-Chain` of RFC 9440.
        "rfc9440" => Rfc9440,
        /// PEM with percent signs, as nginx's `$ssl_client_escaped_cert`.
        "pem" => Pem,
        /// As Envoy's `X-Forwarded-Client-Cert`, with `Cert` or `Chain` in it.
        "xfcc" => Xfcc,
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
