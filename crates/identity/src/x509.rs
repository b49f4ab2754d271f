//! Reading certificates (RFC 5280) for what they say of their subject. That an authority has signed it is known before.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use base::plan::identity::CertificateName;
use x509_parser::der_parser::asn1_rs::{FromDer as _, Tag};
use x509_parser::pem::Pem;
use x509_parser::prelude::{GeneralName, X509Certificate};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use crate::fault::CertificateFault;

/// The longest name of a subject. A SPIFFE ID may have so many bytes.
const LONGEST_NAME: usize = 2048;

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Says {
    pub(crate) subject: String,
    pub(crate) until: SystemTime,
}

/// Reads a certificate.
///
/// # Errors
/// When it does not say who it is about, or in more than one way.
pub(crate) fn read(der: &[u8], name: CertificateName) -> Result<Says, CertificateFault> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_fault| CertificateFault::Broken)?;
    if !rest.is_empty() {
        return Err(CertificateFault::Broken);
    }
    let subject = match name {
        CertificateName::Subject => distinguished(certificate.subject())?,
        _ => alternative(&certificate, name)?,
    };
    if subject.is_empty() {
        return Err(CertificateFault::NoName);
    }
    if subject.len() > LONGEST_NAME {
        return Err(CertificateFault::Broken);
    }
    Ok(Says { subject, until: end(&certificate) })
}

/// The subjects of those certificates of a PEM text that have ended by then. An authority vouches as long as it is trusted, for of
/// trust anchors only name and key count (RFC 5280 §6.1.1).
pub(crate) fn ended(pem: &[u8], now: SystemTime) -> Vec<String> {
    let blocks = Pem::iter_from_buffer(pem).filter_map(Result::ok);
    let subject = |block: Pem| {
        let certificate = block.parse_x509().ok().filter(|certificate| end(certificate) <= now)?;
        // What cannot be written in the one way is shown in any.
        let name = certificate.subject();
        Some(distinguished(name).unwrap_or_else(|_fault| name.to_string()))
    };
    blocks.filter(|block| block.label == "CERTIFICATE").filter_map(subject).collect()
}

fn end(certificate: &X509Certificate<'_>) -> SystemTime {
    let seconds = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The one subject alternative name of a kind (RFC 5280 §4.2.1.6).
fn alternative(certificate: &X509Certificate<'_>, name: CertificateName) -> Result<String, CertificateFault> {
    let names = certificate.subject_alternative_name().map_err(|_fault| CertificateFault::Broken)?;
    let mut found = None;
    for general in names.iter().flat_map(|names| &names.value.general_names) {
        let text = match (general, name) {
            (GeneralName::URI(text), CertificateName::SanUri)
            | (GeneralName::RFC822Name(text), CertificateName::SanEmail) => (*text).to_owned(),
            // RFC 4343: case says nothing.
            (GeneralName::DNSName(text), CertificateName::SanDns) => text.to_ascii_lowercase(),
            (GeneralName::Invalid(..), _) => return Err(CertificateFault::Broken),
            _ => continue,
        };
        // IA5String, and nothing that looks like another text.
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(CertificateFault::Broken);
        }
        if found.replace(text).is_some() {
            return Err(CertificateFault::SeveralNames);
        }
    }
    found.ok_or(CertificateFault::NoName)
}

/// A subject as RFC 4514 §2 writes it, so that no two have one text.
fn distinguished(name: &X509Name<'_>) -> Result<String, CertificateFault> {
    let relative: Vec<_> = name.iter_rdn().collect();
    let mut parts = Vec::with_capacity(relative.len());
    for one in relative.into_iter().rev() {
        let attributes = one.iter().map(attribute).collect::<Result<Vec<_>, _>>()?;
        parts.push(attributes.join("+"));
    }
    Ok(parts.join(","))
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> Result<String, CertificateFault> {
    let value = attribute.attr_value();
    let is_text = [Tag::Utf8String, Tag::PrintableString, Tag::Ia5String].contains(&value.tag());
    // Other kinds can be read in more than one way (T.61) or are rare.
    let text = attribute.as_str().ok().filter(|_| is_text).ok_or(CertificateFault::Broken)?;
    let id = attribute.attr_type().to_id_string();
    // RFC 4514 §3.
    let kind = match id.as_str() {
        "2.5.4.3" => "CN",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        other => other,
    };
    Ok(format!("{kind}={}", escaped(text)))
}

/// RFC 4514 §2.4.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (place, letter) in text.chars().enumerate() {
        let at_an_end = (letter == ' ' && (place == 0 || place == last)) || (letter == '#' && place == 0);
        match letter {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' => out.extend(['\\', letter]),
            _ if at_an_end => out.extend(['\\', letter]),
            _ if letter.is_control() => {
                let mut bytes = [0; 4];
                for byte in letter.encode_utf8(&mut bytes).bytes() {
                    // Writing to a String cannot fail.
                    let _infallible = write!(out, "\\{byte:02x}");
                }
            }
            _ => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_values_have_one_text() {
        assert_eq!(escaped("a,O=b"), "a\\,O\\=b");
        assert_eq!(escaped(" #a# "), "\\ #a#\\ ");
        assert_eq!(escaped("#"), "\\#");
        assert_eq!(escaped("a\0\u{85}"), "a\\00\\c2\\85");
        assert_eq!(escaped(" "), "\\ ");
    }
}
