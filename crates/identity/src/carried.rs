//! A client's certificate as a proxy in front sends it in a header.

use base::plan::identity::{CarriedPlan, CertificateForm};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use transport::tls::Presented;

use crate::fault::ProxyFault;
use crate::percent;

/// What lies on the way to the authority (RFC 9440 §2.3).
pub(crate) static CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");

/// The certificate that the proxy's client has presented; nothing where it says that there is none.
///
/// # Errors
/// When it cannot be read, or in more than one way.
pub(crate) fn read(headers: &HeaderMap, plan: &CarriedPlan) -> Result<Option<Presented>, ProxyFault> {
    let Some(value) = headers.get(&plan.header) else { return Ok(None) };
    let text = text(value)?;
    if text.is_empty() {
        return Ok(None);
    }
    let presented = match plan.form {
        CertificateForm::Rfc9440 => Presented::new(byte_sequences(text, headers)?),
        CertificateForm::Pem => Presented::of_pem(percent::decoded(text).as_bytes()),
        CertificateForm::Xfcc => forwarded(text)?,
    };
    presented.map(Some).ok_or(ProxyFault::Value)
}

fn text(value: &HeaderValue) -> Result<&str, ProxyFault> {
    value.to_str().map(|text| text.trim_matches([' ', '\t'])).map_err(|_not_ascii| ProxyFault::Value)
}

/// RFC 9440 §2.2: an item that is a byte sequence; §2.3: a list of these.
fn byte_sequences(own: &str, headers: &HeaderMap) -> Result<Vec<Vec<u8>>, ProxyFault> {
    let item = |text: &str| {
        let inner = text.trim_matches([' ', '\t']).strip_prefix(':').and_then(|text| text.strip_suffix(':'));
        STANDARD.decode(inner.ok_or(ProxyFault::Value)?).map_err(|_fault| ProxyFault::Value)
    };
    let mut chain = vec![item(own)?];
    for value in headers.get_all(&CHAIN) {
        for one in text(value)?.split(',') {
            chain.push(item(one)?);
        }
    }
    Ok(chain)
}

/// Envoy's: `key=value` with semicolons between them, and commas between the proxies that it has come through. One proxy is
/// known here, so there is one element.
fn forwarded(text: &str) -> Result<Option<Presented>, ProxyFault> {
    let (mut own, mut chain) = (None, None);
    for pair in pairs(text)? {
        let (key, value) = pair.split_once('=').ok_or(ProxyFault::Value)?;
        let place = match key {
            _ if key.eq_ignore_ascii_case("cert") => &mut own,
            _ if key.eq_ignore_ascii_case("chain") => &mut chain,
            _ => continue,
        };
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        let presented = Presented::of_pem(percent::decoded(value).as_bytes()).ok_or(ProxyFault::Value)?;
        if place.replace(presented).is_some() {
            return Err(ProxyFault::Value);
        }
    }
    match (own, chain) {
        (Some(own), Some(chain)) if own.thumbprint != chain.thumbprint => Err(ProxyFault::Value),
        (_, Some(chain)) => Ok(Some(chain)),
        (own, None) => Ok(own),
    }
}

/// Takes one element apart. A backslash within quotes keeps what follows from ending them.
fn pairs(text: &str) -> Result<Vec<&str>, ProxyFault> {
    let (mut found, mut from, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return Err(ProxyFault::Several),
            b';' if !quoted => {
                found.extend(text.get(from..at));
                from = at + 1;
            }
            _ => {}
        }
    }
    if quoted {
        return Err(ProxyFault::Value);
    }
    found.extend(text.get(from..));
    Ok(found)
}
