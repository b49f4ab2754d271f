//! Who stands in front, and what it says of who calls.

use std::net::IpAddr;

use http::HeaderName;

use super::CertificatesPlan;

/// A proxy in front that says in headers who calls. It is known by the address that it connects from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyPlan {
    /// Its name in the configuration. Users of one name are two principals behind two proxies.
    pub name: String,
    /// Where it connects from.
    pub peers: Vec<Peers>,
    /// In which header it says who calls.
    pub user: Option<HeaderName>,
    /// In which header it says the caller's groups, with commas between them.
    pub groups: Option<HeaderName>,
    /// In which header it sends the certificate that its client has presented.
    pub certificate: Option<CarriedPlan>,
}

/// A header with a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarriedPlan {
    /// Its name.
    pub header: HeaderName,
    /// How it is written.
    pub form: CertificateForm,
    /// Whose certificates say who calls.
    pub of: Vec<CertificatesPlan>,
}

/// How a certificate stands in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CertificateForm {
    /// A byte sequence, and what lies on the way to the authority in `Client-Cert-Chain` (RFC 9440 §2).
    #[default]
    Rfc9440,
    /// PEM with percent signs.
    Pem,
    /// As Envoy's `X-Forwarded-Client-Cert`.
    Xfcc,
}

/// Where connections come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peers {
    /// Through a Unix socket of ours.
    Unix,
    /// From an address that begins with so many bits of this one.
    Network {
        /// The address. What comes after the bits is 0.
        address: IpAddr,
        /// How many.
        bits: u8,
    },
}

impl Peers {
    /// `unix`, an address, or a network as `10.0.0.0/8`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "unix" {
            return Some(Self::Unix);
        }
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => bits.parse().ok()?,
            Some(_) => return None,
        };
        // One network has one spelling.
        let is_plain =
            bits <= most && address.to_canonical() == address && first_bits(address, bits) == number(address);
        is_plain.then_some(Self::Network { address, bits })
    }

    /// Whether an address is one of these.
    #[must_use]
    pub fn has(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        match *self {
            Self::Unix => false,
            Self::Network { address, bits } => {
                peer.is_ipv4() == address.is_ipv4() && first_bits(peer, bits) == number(address)
            }
        }
    }
}

/// An address as a number of 128 bits, the first bit of either kind in the first place.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
        IpAddr::V6(address) => u128::from(address),
    }
}

fn first_bits(address: IpAddr, bits: u8) -> u128 {
    let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
    number(address) & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_in_one_way() {
        let has = |network: &str, peer: &str| Peers::parse(network).unwrap().has(peer.parse().unwrap());
        assert!(has("10.0.0.0/8", "10.255.0.1") && !has("10.0.0.0/8", "11.0.0.1"));
        assert!(has("10.0.0.0/8", "::ffff:10.1.2.3"), "one address");
        assert!(has("192.0.2.7", "192.0.2.7") && !has("192.0.2.7", "192.0.2.6"));
        assert!(has("2001:db8::/32", "2001:db8:ffff::1") && !has("2001:db8::/32", "2001:db9::1"));
        assert!(has("fd00::1", "fd00::1") && !has("::/0", "10.0.0.1") && has("0.0.0.0/0", "10.0.0.1"));
        assert!(!has("0.0.0.0/0", "::1") && !has("unix", "127.0.0.1"));
        assert!(!has("10.0.0.0/31", "10.0.0.2") && has("10.0.0.0/31", "10.0.0.1"));
        for none in [
            "",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "010.0.0.0",
            "10.0.0",
            "fd00::1/8",
            "fd00::/129",
            "::ffff:10.0.0.0/104",
            "localhost",
            "10.0.0.0/8/8",
            "*",
            "unix:x",
        ] {
            assert_eq!(Peers::parse(none), None, "{none}");
        }
    }
}
