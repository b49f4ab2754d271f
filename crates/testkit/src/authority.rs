//! Certificate authorities and clients' certificates, as tests want them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};

/// Signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate that was signed, and its key.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The certificate, in DER.
    pub der: Vec<u8>,
    /// Its key, PKCS #8 in DER.
    pub key: Vec<u8>,
}

impl Signed {
    /// The certificate, in PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        pem("CERTIFICATE", &self.der)
    }

    /// Its key, in PEM.
    #[must_use]
    pub fn key_pem(&self) -> String {
        pem("PRIVATE KEY", &self.key)
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// What a certificate says; by default, that it is a client's, from July to August 2026.
#[derive(Debug)]
pub struct Certificate(CertificateParams);

impl Authority {
    /// One that has signed its own certificate.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(authority(name), key).expect("a certificate"))
    }

    /// The same, of which the certificate is good until the beginning of that day: year, month and day.
    #[must_use]
    pub fn until(name: &str, (year, month, day): (i32, u8, u8)) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = authority(name);
        params.not_after = date_time_ymd(year, month, day);
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// One whose certificate this one has signed.
    #[must_use]
    pub fn intermediate(&self, name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::signed_by(authority(name), key, &self.0).expect("a certificate"))
    }

    /// The same, of which the certificate is good until the beginning of that day: year, month and day.
    #[must_use]
    pub fn intermediate_until(&self, name: &str, (year, month, day): (i32, u8, u8)) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = authority(name);
        params.not_after = date_time_ymd(year, month, day);
        Self(CertifiedIssuer::signed_by(params, key, &self.0).expect("a certificate"))
    }

    /// Its certificate, in PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Its certificate, in DER.
    #[must_use]
    pub fn der(&self) -> Vec<u8> {
        self.0.der().to_vec()
    }

    /// Signs one.
    #[must_use]
    pub fn sign(&self, certificate: &Certificate) -> Signed {
        let key = KeyPair::generate().expect("a key");
        let signed = certificate.0.signed_by(&key, &self.0).expect("a certificate");
        Signed { der: signed.der().to_vec(), key: key.serialize_der() }
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority")
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

impl Default for Certificate {
    fn default() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Self(params).dated((2026, 7, 1), (2026, 8, 1))
    }
}

impl Certificate {
    /// A client's with this URI for its name.
    #[must_use]
    pub fn of_uri(uri: &str) -> Self {
        Self::default().uri(uri)
    }

    /// A URI more.
    #[must_use]
    pub fn uri(mut self, uri: &str) -> Self {
        self.0.subject_alt_names.push(SanType::URI(uri.try_into().expect("ASCII")));
        self
    }

    /// A DNS name more.
    #[must_use]
    pub fn dns(mut self, name: &str) -> Self {
        self.0.subject_alt_names.push(SanType::DnsName(name.try_into().expect("ASCII")));
        self
    }

    /// A mail address more.
    #[must_use]
    pub fn email(mut self, address: &str) -> Self {
        self.0.subject_alt_names.push(SanType::Rfc822Name(address.try_into().expect("ASCII")));
        self
    }

    /// A part of the subject more.
    #[must_use]
    pub fn subject(mut self, kind: DnType, text: &str) -> Self {
        self.0.distinguished_name.push(kind, text);
        self
    }

    /// The days on which its time begins and ends.
    #[must_use]
    pub fn dated(mut self, from: (i32, u8, u8), until: (i32, u8, u8)) -> Self {
        self.0.not_before = date_time_ymd(from.0, from.1, from.2);
        self.0.not_after = date_time_ymd(until.0, until.1, until.2);
        self
    }

    /// It is good by any clock.
    #[must_use]
    pub fn for_long(self) -> Self {
        self.dated((2000, 1, 1), (2100, 1, 1))
    }

    /// It is a server's.
    #[must_use]
    pub fn of_a_server(mut self) -> Self {
        self.0.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self
    }
}
