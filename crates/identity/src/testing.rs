//! What the fuzz targets look at: readers of what anybody can send. No configuration leads here.

use std::time::{Duration, SystemTime};

use auth::Peer;
pub use base::plan::identity::CertificateForm;
use base::plan::identity::{Algorithm, CarriedPlan, CertificateName, Peers, ProxyPlan};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};

use crate::jwk::Key;
use crate::jws::Jws;
use crate::proof::About;
use crate::proxies::Proxies;
use crate::{strict, x509};

/// How a proxy in front may send a certificate.
pub const FORMS: [CertificateForm; 3] =
    [CertificateForm::Rfc9440, CertificateForm::Pem, CertificateForm::Xfcc];
/// In which header it does here.
pub const CARRIED: &str = "x-client-cert";

/// A signed text as it is read.
#[derive(Debug)]
pub struct Signed {
    /// The JSON text of its header, if no member of it stands twice.
    pub header: Option<String>,
    /// Likewise of what it says.
    pub claims: Option<String>,
    /// The text as it would be written.
    pub again: String,
}

/// Reads a signed text.
#[must_use]
pub fn signed(text: &str) -> Option<Signed> {
    let jws = Jws::read(text).ok()?;
    drop(jws.header().map(|header| (header.algorithm, header.key.is_some(), header.kind)));
    let clear = |text: &String| strict::object(text).is_ok().then(|| text.clone());
    let parts = [jws.header.as_bytes(), jws.claims.as_bytes(), &jws.signature].map(strict::to_base64url);
    Some(Signed { header: clear(&jws.header), claims: clear(&jws.claims), again: parts.join(".") })
}

/// Whether a text is a good proof; none is that was not made for this.
#[must_use]
pub fn is_proof(text: &str) -> bool {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_785_196_800);
    let url = "https://gw.example/mcp";
    About { method: "POST", url, token: &[1; 32], key: &[2; 32], now }.check(text).is_ok()
}

/// Whether a text is a key that can be used.
#[must_use]
pub fn is_key(text: &str) -> bool {
    Key::read(text, &Algorithm::ALL).is_ok()
}

/// The normal form of a URL.
#[must_use]
pub fn url(text: &str) -> Option<String> {
    crate::url::normal(text)
}

/// What a proxy in front has said of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// The certificates that its client has presented, its own first; empty where it has presented none.
    pub chain: Vec<Vec<u8>>,
    /// Who it is.
    pub user: Option<String>,
}

/// Reads what a proxy in front has said: of a user in `x-user`, of a certificate in [`CARRIED`]. None if it is refused, as it is from
/// elsewhere.
#[must_use]
pub fn carried(headers: &HeaderMap, form: CertificateForm, is_in_front: bool) -> Option<Carried> {
    let proxies = Proxies::new(&[ProxyPlan {
        name: "front".to_owned(),
        peers: vec![Peers::Unix],
        user: Some(HeaderName::from_static("x-user")),
        groups: Some(HeaderName::from_static("x-groups")),
        certificate: Some(CarriedPlan { header: HeaderName::from_static(CARRIED), form, of: Vec::new() }),
    }]);
    let peer = if is_in_front { Peer::Unix } else { Peer::Host("192.0.2.1") };
    let said = proxies.read(headers, peer).ok()?;
    let user = said.who.and_then(|who| Some(who.claims?.subject.clone()));
    let chain = said.certificate.map(|(presented, _)| presented.chain).unwrap_or_default();
    Some(Carried { chain, user })
}

/// The headers in which a proxy in front would send certificates.
#[must_use]
pub fn carrying(chain: &[Vec<u8>], form: CertificateForm) -> HeaderMap {
    let item = |der: &Vec<u8>| format!(":{}:", STANDARD.encode(der));
    let block = |der: &Vec<u8>| {
        let text = STANDARD.encode(der).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        format!("-----BEGIN%20CERTIFICATE-----%0A{text}%0A-----END%20CERTIFICATE-----%0A")
    };
    let blocks = || chain.iter().map(block).collect::<String>();
    let (own, others) = match (form, chain.split_first()) {
        (CertificateForm::Rfc9440, Some((own, others))) => {
            (item(own), others.iter().map(item).collect::<Vec<_>>().join(", "))
        }
        (CertificateForm::Xfcc, _) => {
            (format!("By=spiffe://gw;Chain=\"{}\";Hash=0", blocks()), String::new())
        }
        _ => (blocks(), String::new()),
    };
    let named = [(CARRIED, own), ("client-cert-chain", others)];
    let written = named.into_iter().filter(|(_, text)| !text.is_empty());
    let header = |(name, text): (&'static str, String)| {
        Some((HeaderName::from_static(name), HeaderValue::from_str(&text).ok()?))
    };
    written.filter_map(header).collect()
}

/// The names in a certificate that may say who its subject is, of each kind; none where it cannot be read in one way.
#[must_use]
pub fn names(der: &[u8]) -> Vec<String> {
    let kinds = [
        CertificateName::SanUri,
        CertificateName::SanDns,
        CertificateName::SanEmail,
        CertificateName::Subject,
    ];
    kinds.into_iter().filter_map(|kind| Some(x509::read(der, kind).ok()?.subject)).collect()
}
