//! What is checked of a request before its body is read: whom it is addressed to, which page sent it, and whether it
//! can be a message at all.
//!
//! Source: MCP 2026-07-28 `basic/transports/streamable-http` §Security. Against DNS rebinding the Host is checked, too, as the
//! conformance suite asks (its scenario `dns-rebinding`).

use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use transport::net::Address;

use crate::plan::ListenerPlan;

/// Why a request is refused before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected {
    /// The HTTP status.
    pub status: StatusCode,
    /// What its sender is told.
    pub why: &'static str,
}

/// Which hosts and origins a listener takes.
#[derive(Debug, Clone)]
pub struct HostCheck {
    hosts: Vec<String>,
    origins: Vec<String>,
    any_host: bool,
    /// Whether any IP address will do.
    any_address: bool,
    any_origin: bool,
}

impl HostCheck {
    /// For a listener that is bound to `bound`.
    pub fn new(plan: &ListenerPlan, bound: &Address) -> Self {
        let mut hosts: Vec<String> =
            ["localhost", "127.0.0.1", "::1"].iter().map(|host| (*host).to_owned()).collect();
        if let Address::Tcp(host, _) = bound {
            hosts.push(host.to_ascii_lowercase());
        }
        hosts.extend(plan.allowed_hosts.iter().cloned());
        // Over a Unix socket the host is whatever the client makes up, and no web page gets there.
        let any_host = plan.allowed_hosts.iter().any(|host| host == "*") || matches!(bound, Address::Unix(_));
        let any_origin = plan.allowed_origins.iter().any(|origin| origin == "*");
        Self { hosts, origins: plan.allowed_origins.clone(), any_host, any_address: false, any_origin }
    }

    /// For the admin listener, which monitors reach by an address or by a name that a listener has. A page that rebinds a
    /// name of its own to us still sends that name.
    pub fn of_admin(bound: &Address, listeners: &[ListenerPlan]) -> Self {
        let mut hosts: Vec<String> = listeners.iter().flat_map(|plan| plan.allowed_hosts.clone()).collect();
        hosts.push("localhost".to_owned());
        if let Address::Tcp(host, _) = bound {
            hosts.push(host.to_ascii_lowercase());
        }
        let any_host = hosts.iter().any(|host| host == "*") || matches!(bound, Address::Unix(_));
        Self { hosts, origins: Vec::new(), any_host, any_address: true, any_origin: false }
    }

    /// For what other replicas forward: it was checked where it came in.
    pub fn of_replicas() -> Self {
        let none = Vec::new;
        Self { hosts: none(), origins: none(), any_host: true, any_address: true, any_origin: false }
    }

    /// Checks whom a request is addressed to and which page sent it.
    pub fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Rejected> {
        self.check_host(uri, headers)?;
        if self.origin(headers).is_some_and(|allowed| !allowed) {
            return Err(Rejected {
                status: StatusCode::FORBIDDEN,
                why: "this Origin may not use the listener; allowed_origins names more",
            });
        }
        Ok(())
    }

    /// Checks whom a request is addressed to. Which page has sent it, who asks this must look at itself.
    pub fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Rejected> {
        if headers.get_all(HOST).iter().nth(1).is_some() {
            // RFC 9112 §3.2.
            return Err(Rejected { status: StatusCode::BAD_REQUEST, why: "there is more than one Host" });
        }
        // The target may name a host, too: HTTP/2 has it there only, and in HTTP/1.1 it counts before the header.
        let host = headers.get(HOST).map(|value| value.to_str().unwrap_or_default());
        let named = uri.authority().map(Authority::as_str);
        let is_ours = |host: &str| {
            let is_address = |host: &str| self.any_address && host.parse::<std::net::IpAddr>().is_ok();
            let is_known = |host: &str| self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host));
            bare_host(host).is_some_and(|host| is_address(host) || is_known(host))
        };
        let is_named = named.is_some() || host.is_some();
        let is_addressed = self.any_host || (is_named && named.into_iter().chain(host).all(is_ours));
        if !is_addressed {
            return Err(Rejected {
                status: StatusCode::FORBIDDEN,
                why: "this Host is not one of the listener's; allowed_hosts names more",
            });
        }
        Ok(())
    }

    /// Whether the page that sent the request may; none if no page did.
    fn origin(&self, headers: &HeaderMap) -> Option<bool> {
        let mut all = headers.get_all(ORIGIN).iter();
        let first = all.next()?;
        let (Ok(origin), None) = (first.to_str(), all.next()) else { return Some(false) };
        if self.any_origin || self.origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)) {
            return Some(true);
        }
        // Pages of this machine's own servers, on any port: the development tools.
        let local = origin.split_once("://").and_then(|(_, host)| bare_host(host));
        let is_here =
            |host: &str| ["localhost", "127.0.0.1", "::1"].iter().any(|here| here.eq_ignore_ascii_case(host));
        Some(local.is_some_and(is_here))
    }

    /// What tells a browser that the page may read the response.
    pub fn share(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        headers.get(ORIGIN).filter(|_| self.origin(headers) == Some(true)).cloned()
    }
}

/// A host without its port and brackets; none if what stands behind the host is no port.
fn bare_host(host: &str) -> Option<&str> {
    let (bare, rest) = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let is_port =
        rest.strip_prefix(':').map_or(rest.is_empty(), |port| port.bytes().all(|b| b.is_ascii_digit()));
    is_port.then_some(bare)
}

/// Whether a POST's body can be a message.
pub fn content_type(headers: &HeaderMap) -> Result<(), Rejected> {
    if headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(Rejected {
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            why: "Content-Encoding is not read here; send the message as it is",
        });
    }
    let mut all = headers.get_all(CONTENT_TYPE).iter();
    let first = all.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = first.split(';').next().unwrap_or_default().trim();
    if all.next().is_none() && media.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Rejected { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, why: "Content-Type must be application/json" })
}

/// What a client can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readable {
    /// `application/json`.
    pub json: bool,
    /// `text/event-stream`.
    pub events: bool,
}

/// What a client says that it can read; everything, if it says nothing.
pub fn readable(headers: &HeaderMap) -> Readable {
    let mut said = false;
    let mut readable = Readable { json: false, events: false };
    for value in headers.get_all(ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let refused = parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
            if media.is_empty() || refused {
                continue;
            }
            said = true;
            let is_one_of = |all: [&str; 3]| all.iter().any(|one| one.eq_ignore_ascii_case(media));
            readable.json |= is_one_of(["application/json", "*/*", "application/*"]);
            readable.events |= is_one_of(["text/event-stream", "*/*", "text/*"]);
        }
    }
    if said { readable } else { Readable { json: true, events: true } }
}

#[cfg(test)]
mod tests {
    use transport::http::server::ServerLimits;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (http::HeaderName::from_static(n), v.parse().unwrap())).collect()
    }

    fn keeper(hosts: &[&str], origins: &[&str]) -> HostCheck {
        let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        let address = Address::Tcp("127.0.0.1".to_owned(), 8808);
        let plan = ListenerPlan {
            name: "main".to_owned(),
            address: address.clone(),
            tls: None,
            allowed_hosts: owned(hosts),
            allowed_origins: owned(origins),
            limits: ServerLimits::default(),
            reuse_port: false,
        };
        HostCheck::new(&plan, &address)
    }

    #[test]
    fn only_known_hosts_and_origins_get_in() {
        let keeper = keeper(&["mcp.example.com"], &["https://app.example.com"]);
        let enters =
            |pairs: &[(&'static str, &str)]| keeper.check(&Uri::from_static("/mcp"), &headers(pairs)).is_ok();
        for host in ["localhost:8808", "127.0.0.1", "[::1]:9", "LOCALHOST", "mcp.example.com:443"] {
            assert!(enters(&[("host", host)]), "{host}");
        }
        for host in [
            "evil.example.com",
            "localhost.evil.com",
            "",
            "127.0.0.1.nip.io",
            "::1",
            "localhost:1@evil.com",
            "[::1]x",
        ] {
            assert!(!enters(&[("host", host)]), "{host}");
        }
        let from = |origin: &str| enters(&[("host", "localhost"), ("origin", origin)]);
        assert!(from("http://localhost:5173") && from("https://app.example.com") && from("http://[::1]:3"));
        assert!(
            !from("https://evil.example.com") && !from("null") && !from("https://app.example.com.evil.com")
        );
        let h2: Uri = "http://localhost:8808/mcp".parse().unwrap();
        assert!(keeper.check(&h2, &HeaderMap::new()).is_ok());
    }

    #[test]
    fn media_types_are_compared_as_types() {
        let typed = |value: &str| content_type(&headers(&[("content-type", value)])).is_ok();
        assert!(typed("application/json") && typed("Application/JSON; charset=utf-8"));
        assert!(!typed("application/json-seq") && !typed("text/plain") && !typed(""));
        let reads = |value: &str| readable(&headers(&[("accept", value)]));
        let both = Readable { json: true, events: true };
        assert_eq!(reads("application/json, text/event-stream"), both);
        assert_eq!(reads("*/*"), both);
        assert_eq!(readable(&HeaderMap::new()), both);
        assert_eq!(reads("application/json"), Readable { json: true, events: false });
        assert_eq!(reads("text/html"), Readable { json: false, events: false });
        assert_eq!(reads("application/json, text/event-stream;q=0"), Readable { json: true, events: false });
    }
}
