//! Proxies on the way to servers: which one, if any, and how a connection is made through it.
//!
//! Sources: RFC 9110 §9.3.6 (CONNECT), RFC 9112 §3.2.2 (absolute form); for the environment variables there is none, so it is
//! done as curl and Go's `httpproxy` do it.

use std::fmt;
use std::io;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::uri::Scheme;
use http::{HeaderValue, Uri};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::net::{Address, BoxIo};

/// The most bytes of a proxy's answer to CONNECT.
const MOST_HEAD: usize = 16 * 1024;

/// A proxy. What is shown of it has no credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    host: String,
    port: u16,
    /// Whether it is itself spoken to over TLS.
    secure: bool,
    authorization: Option<HeaderValue>,
}

/// Why a text names no proxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadProxy {
    /// It is no URL.
    #[error("it is no URL such as http://proxy.example.com:3128")]
    NoUrl,
    /// It is of another kind.
    #[error("a proxy of the kind {0}:// is not spoken to here, only http:// and https://")]
    Scheme(String),
}

impl Proxy {
    /// Reads `http://USER:PASSWORD@HOST:PORT`; without a scheme, http is meant.
    ///
    /// # Errors
    /// When it is none, or one of another kind.
    pub fn read(text: &str) -> Result<Self, BadProxy> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            other => return Err(BadProxy::Scheme(other.to_owned())),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (credentials, named) = match authority.rsplit_once('@') {
            Some((credentials, named)) => (Some(credentials), named),
            None => (None, authority),
        };
        let uri: Uri = format!("http://{named}/").parse().map_err(|_invalid| BadProxy::NoUrl)?;
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let has_port = named.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        if host.is_empty() || (has_port && uri.port_u16().is_none()) {
            return Err(BadProxy::NoUrl);
        }
        let authorization = credentials.and_then(|credentials| {
            let basic = format!("Basic {}", STANDARD.encode(decoded(credentials)));
            let mut value = HeaderValue::from_str(&basic).ok()?;
            value.set_sensitive(true);
            Some(value)
        });
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Self { host: host.to_owned(), port, secure, authorization })
    }

    /// The proxy that the environment names for a URL, and by which variable. None for this machine itself, ever.
    ///
    /// # Errors
    /// When what the variable holds is no proxy.
    pub fn of_environment(
        url: &Uri,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, (&'static str, BadProxy)> {
        // A text of several words was never meant as a URL.
        let is_meant = |value: &String| value.split_whitespace().count() == 1;
        let get = |name: &'static str| env(name).filter(is_meant).map(|value| (name, value));
        let own: &[&'static str] = if url.scheme() == Some(&Scheme::HTTPS) {
            &["https_proxy", "HTTPS_PROXY"]
        } else if env("REQUEST_METHOD").is_some() {
            // There HTTP_PROXY may be what a client has sent in a header (CVE-2016-5385).
            &["http_proxy"]
        } else {
            &["http_proxy", "HTTP_PROXY"]
        };
        let named = own.iter().chain(&["all_proxy", "ALL_PROXY"]).find_map(|name| get(name));
        let Some((name, value)) = named else { return Ok(None) };
        let none = ["no_proxy", "NO_PROXY"].iter().find_map(|name| env(name).filter(|none| !none.is_empty()));
        if is_near(url) || none.is_some_and(|none| is_excepted(url, &none)) {
            return Ok(None);
        }
        Self::read(&value).map(Some).map_err(|bad| (name, bad))
    }

    /// Where it is.
    pub(super) fn address(&self) -> Address {
        Address::Tcp(self.host.clone(), self.port)
    }

    /// Its name, if it is spoken to over TLS.
    pub(super) fn tls_name(&self) -> Option<&str> {
        self.secure.then_some(&self.host)
    }

    /// Who we are to it.
    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// Asks it, on a connection to it, for a way to a host.
    pub(super) async fn tunnel(&self, io: &mut BoxIo, target: &Address) -> io::Result<()> {
        let agent = concat!("portolan/", env!("CARGO_PKG_VERSION"));
        let mut head =
            format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: {agent}\r\n").into_bytes();
        if let Some(authorization) = &self.authorization {
            head.extend([&b"Proxy-Authorization: "[..], authorization.as_bytes(), b"\r\n"].concat());
        }
        head.extend(b"\r\n");
        io.write_all(&head).await?;
        io.flush().await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            // Byte by byte, because what follows is not ours to read.
            let byte = io.read_u8().await;
            answer.push(byte.map_err(|_ended| io::Error::other("it hangs up when asked to CONNECT"))?);
            if answer.len() > MOST_HEAD {
                return Err(io::Error::other("its answer to CONNECT has no end"));
            }
        }
        let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        match line.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok()) {
            Some(200..300) if line.starts_with("HTTP/1.") => Ok(()),
            Some(407) => Err(io::Error::other("it wants credentials (HTTP 407): write them into its URL")),
            Some(status) => Err(io::Error::other(format!("it answers HTTP {status} to CONNECT {target}"))),
            None => Err(io::Error::other("it does not speak HTTP")),
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.secure { "https" } else { "http" }, self.address())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// Whether a URL leads to this machine.
fn is_near(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
    host.ends_with(".localhost") || Address::Tcp(host, 0).is_local()
}

/// Whether a list such as `.example.com, 10.0.0.0/8, host:8080, *` has a URL's host.
fn is_excepted(url: &Uri, list: &str) -> bool {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
    let host = host.trim_end_matches('.');
    let default = if url.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    let port = url.port_u16().unwrap_or(default);
    let ip: Option<IpAddr> = host.parse().ok();
    let entries = list.split([',', ' ', '\t']).map(str::trim).filter(|entry| !entry.is_empty());
    entries.map(str::to_ascii_lowercase).any(|entry| {
        if entry == "*" {
            return true;
        }
        if let (Some((network, bits)), Some(ip)) = (entry.split_once('/'), ip) {
            return network
                .parse()
                .is_ok_and(|network| bits.parse().is_ok_and(|bits| within(ip, network, bits)));
        }
        let (name, of_port) = split_port(&entry);
        if of_port.is_some_and(|of_port| of_port != port) {
            return false;
        }
        if let (Some(ip), Ok(named)) = (ip, name.parse::<IpAddr>()) {
            return ip.to_canonical() == named.to_canonical();
        }
        let name = name.trim_start_matches("*.").trim_start_matches('.').trim_end_matches('.');
        let above = host.strip_suffix(name).filter(|_| ip.is_none() && !name.is_empty());
        host == name || above.is_some_and(|above| above.ends_with('.'))
    })
}

/// A name and the port behind it, if there is one. An IPv6 address needs brackets for that.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    if let Some(rest) = entry.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').unwrap_or((rest, ""));
        return (host, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match entry.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, port.parse().ok()),
        _ => (entry, None),
    }
}

fn within(ip: IpAddr, network: IpAddr, bits: u32) -> bool {
    let shift = |width: u32| width.checked_sub(bits);
    match (ip.to_canonical(), network.to_canonical()) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => shift(32)
            .is_some_and(|shift| (u32::from(ip) ^ u32::from(network)).checked_shr(shift).unwrap_or(0) == 0),
        (IpAddr::V6(ip), IpAddr::V6(network)) => shift(128)
            .is_some_and(|shift| (u128::from(ip) ^ u128::from(network)).checked_shr(shift).unwrap_or(0) == 0),
        _ => false,
    }
}

/// What percent signs stand for.
fn decoded(text: &str) -> Vec<u8> {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                out.extend(part.bytes().skip(2));
            }
            None => {
                out.push(b'%');
                out.extend(part.bytes());
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str, env: &[(&str, &str)]) -> Option<String> {
        let env =
            |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Proxy::of_environment(&url.parse().unwrap(), &env).unwrap().map(|proxy| proxy.to_string())
    }

    #[test]
    fn a_proxy_is_read_and_shown_without_its_credentials() {
        for (text, shown, basic) in [
            ("http://proxy:3128", "http://proxy:3128", None),
            ("proxy.example.com:8080/", "http://proxy.example.com:8080", None),
            ("https://proxy", "https://proxy:443", None),
            ("http://[::1]:3128", "http://[::1]:3128", None),
            ("http://user:p%40ss%3A@proxy:1", "http://proxy:1", Some("Basic dXNlcjpwQHNzOg==")),
        ] {
            let proxy = Proxy::read(text).unwrap();
            assert_eq!((proxy.to_string().as_str(), format!("{proxy:?}").contains("user")), (shown, false));
            assert_eq!(proxy.authorization.as_ref().map(|value| value.to_str().unwrap()), basic);
        }
        assert_eq!(Proxy::read("socks5://proxy:1080"), Err(BadProxy::Scheme("socks5".to_owned())));
        for bad in ["", "http://", "http://proxy:port", "http://a b"] {
            assert_eq!(Proxy::read(bad), Err(BadProxy::NoUrl), "{bad}");
        }
    }

    #[test]
    fn the_environment_names_one_for_each_scheme() {
        let env = [("HTTPS_PROXY", "http://s:1"), ("http_proxy", "http://p:2"), ("ALL_PROXY", "http://a:3")];
        assert_eq!(of("https://x.example/", &env).as_deref(), Some("http://s:1"));
        assert_eq!(of("http://x.example/", &env).as_deref(), Some("http://p:2"));
        assert_eq!(of("http://x.example/", &[("all_proxy", "a:3")]).as_deref(), Some("http://a:3"));
        assert_eq!(of("http://x.example/", &[("HTTP_PROXY", "a:3")]).as_deref(), Some("http://a:3"));
        assert_eq!(of("http://x.example/", &[("HTTP_PROXY", "a:3"), ("REQUEST_METHOD", "GET")]), None);
        assert_eq!(of("https://x.example/", &[("HTTPS_PROXY", " ")]), None);
        for near in ["https://localhost/", "http://127.0.0.7:1/", "http://[::1]/", "http://a.localhost/"] {
            assert_eq!(of(near, &env), None, "{near}");
        }
    }

    #[tokio::test]
    async fn a_way_is_asked_for_and_nothing_behind_the_answer_is_read() {
        for (answer, refused) in [
            ("HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nthen", None),
            ("HTTP/1.0 200 OK\r\n\r\nthen", None),
            ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", Some("wants credentials")),
            (
                "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
                Some("HTTP 403 to CONNECT x.example:443"),
            ),
            ("SSH-2.0\r\n\r\n", Some("does not speak HTTP")),
            ("HTTP/1.1 200", Some("hangs up")),
        ] {
            let (near, mut far) = tokio::io::duplex(4096);
            let mut near: BoxIo = Box::new(near);
            let proxy = Proxy::read("http://user:pass@proxy:1").unwrap();
            let target = Address::Tcp("x.example".to_owned(), 443);
            let asked = tokio::spawn(async move {
                let done = proxy.tunnel(&mut near, &target).await;
                (done, near)
            });
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(far.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            assert!(head.starts_with("CONNECT x.example:443 HTTP/1.1\r\nHost: x.example:443\r\n"), "{head}");
            assert!(head.contains("\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n"), "{head}");
            far.write_all(answer.as_bytes()).await.unwrap();
            drop(far);
            let (done, mut near) = asked.await.unwrap();
            match refused {
                None => {
                    let mut rest = String::new();
                    near.read_to_string(&mut rest).await.unwrap();
                    assert_eq!(rest, "then");
                }
                Some(why) => assert!(done.unwrap_err().to_string().contains(why), "{why}"),
            }
        }
    }

    #[test]
    fn what_needs_none_is_said_as_curl_and_go_read_it() {
        let through = |url: &str, none: &str| of(url, &[("ALL_PROXY", "p:1"), ("NO_PROXY", none)]).is_some();
        for (url, none) in [
            ("https://example.com/", "example.com"),
            ("https://a.example.com/", "example.com"),
            ("https://a.example.com/", "x, .example.com"),
            ("https://a.EXAMPLE.com/", "*.Example.com"),
            ("https://example.com:8443/", "example.com:8443"),
            ("https://example.com/", "example.com:443"),
            ("http://10.1.2.3/", "10.0.0.0/8"),
            ("http://10.1.2.3/", "192.168.0.1 10.1.2.3"),
            ("http://[fd00::1]/", "fd00::/8"),
            ("http://[fd00::1]:80/", "[fd00::1]:80"),
            ("http://10.1.2.3/", "0.0.0.0/0"),
            ("http://anything/", "*"),
        ] {
            assert!(!through(url, none), "{url} {none}");
        }
        for (url, none) in [
            ("https://badexample.com/", "example.com"),
            ("https://example.com/", "a.example.com"),
            ("https://example.com/", "example.com:8443"),
            ("http://11.1.2.3/", "10.0.0.0/8"),
            ("http://10.1.2.3/", "2.3"),
            ("http://10.1.2.3/", "10.0.0.0/99"),
            ("http://10.1.2.3/", ","),
        ] {
            assert!(through(url, none), "{url} {none}");
        }
    }
}
