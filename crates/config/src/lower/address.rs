//! Addresses to listen at, and the names by which they are asked for.

use transport::net::Address;

use super::Lowering;
use super::listener::{Bound, DEFAULT_PORT};
use crate::file;
use crate::node::{At, NOWHERE, Span};

/// What fits into the system's `sockaddr_un`.
const SOCKET_PATH: usize = 107;

impl Lowering<'_, '_> {
    /// Parses where to listen.
    pub(super) fn address(&mut self, text: &str, span: Span) -> Option<Address> {
        let wrong = |lowering: &mut Self, message: &str, help: String| {
            lowering.findings.error(span, message).help(help);
            None
        };
        if let Some(path) = text.strip_prefix("unix:") {
            let path = self.outside.path(path.strip_prefix("//").unwrap_or(path));
            if path.as_os_str().len() > SOCKET_PATH {
                let message = format!("the path of a Unix socket has at most {SOCKET_PATH} bytes");
                return wrong(self, &message, format!("this one has {}", path.as_os_str().len()));
            }
            return Some(Address::Unix(path));
        }
        if text.contains("://") {
            let help = "write \"HOST:PORT\", such as \"127.0.0.1:8808\"; paths belong to routes".to_owned();
            return wrong(self, "expected an address, found a URL", help);
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, port),
            None if text.parse::<u16>().is_ok() => ("", text),
            None => {
                return wrong(self, "the address has no port", format!("write \"{text}:{DEFAULT_PORT}\""));
            }
        };
        let Ok(port) = port.parse::<u16>() else {
            return wrong(self, "expected a port from 0 to 65535 after the last colon", example());
        };
        if host.is_empty() || host == "*" {
            let help = format!("write \"127.0.0.1:{port}\", or \"0.0.0.0:{port}\" for every network");
            return wrong(self, "the address has no host", help);
        }
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let valid = match bare {
            Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
            None if host.contains(':') => {
                return wrong(
                    self,
                    "an IPv6 address stands in brackets",
                    format!("write \"[{host}]:{port}\""),
                );
            }
            None => is_host(host),
        };
        if !valid {
            return wrong(self, "this is no host name or IP address", example());
        }
        Some(Address::Tcp(bare.unwrap_or(host).to_owned(), port))
    }

    /// Two sockets cannot have one address.
    pub(super) fn addresses_are_free(&mut self, listeners: &[Bound], admin: Option<&At<Address>>) {
        let listeners = listeners.iter().map(|bound| (&bound.plan.address, bound.span));
        let all: Vec<_> = listeners.chain(admin.map(|admin| (&admin.value, admin.span))).collect();
        for (index, (address, span)) in all.iter().enumerate() {
            let taken = all.iter().take(index).find(|(other, _)| collide(address, other));
            if let Some((other, first)) = taken {
                let finding = self.findings.error(*span, format!("{other} is taken already"));
                if *first == NOWHERE {
                    finding.help("this is where the default listener is; write a [listener.main] to move it");
                } else {
                    finding.label(*first, "by this");
                }
            }
        }
    }

    pub(super) fn hosts(&mut self, given: Option<&At<file::Texts>>) -> Vec<String> {
        let mut hosts = Vec::new();
        for host in given.into_iter().flat_map(|given| &given.value) {
            let text = host.value.to_ascii_lowercase();
            if text == "*" || is_host(&text) || text.parse::<std::net::Ipv6Addr>().is_ok() {
                hosts.push(text);
                continue;
            }
            let finding =
                self.findings.error(host.span, "expected a host name, without scheme, port or path");
            let rest = text.split_once("://").map_or(text.as_str(), |(_, rest)| rest);
            let bare = rest.split([':', '/']).next().unwrap_or_default();
            if is_host(bare) {
                finding.help(format!("write {bare:?}"));
            }
        }
        hosts
    }

    pub(super) fn origins(&mut self, given: Option<&At<file::Texts>>) -> Vec<String> {
        let mut origins = Vec::new();
        for origin in given.into_iter().flat_map(|given| &given.value) {
            let text = origin.value.to_ascii_lowercase();
            let bare = text.trim_end_matches('/');
            let scheme_and_rest = bare.split_once("://").filter(|(scheme, rest)| {
                !scheme.is_empty() && !rest.is_empty() && !rest.contains(['/', '?', '#', '@', ' ', '*'])
            });
            if text == "*" || (scheme_and_rest.is_some() && bare.len() == text.len()) {
                origins.push(text);
                continue;
            }
            let finding =
                self.findings.error(origin.span, "expected an origin: scheme, host and port, nothing else");
            match scheme_and_rest {
                Some(_) => finding.help(format!("write {bare:?}")),
                None => finding.help("such as \"https://app.example\" or \"http://10.0.0.7:3000\""),
            };
        }
        origins
    }
}

fn example() -> String {
    format!("such as \"127.0.0.1:{DEFAULT_PORT}\" or \"[::1]:{DEFAULT_PORT}\"")
}

pub(super) fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    text.len() <= 253 && text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}

fn collide(a: &Address, b: &Address) -> bool {
    match (a, b) {
        (Address::Tcp(a, port), Address::Tcp(b, other)) => {
            let any = |host: &str| host == "0.0.0.0" || host == "::";
            let local = |name: &str, host: &str| {
                name.eq_ignore_ascii_case("localhost") && (host == "127.0.0.1" || host == "::1")
            };
            let same = a.eq_ignore_ascii_case(b) || local(a, b) || local(b, a);
            *port != 0 && port == other && (same || any(a) || any(b))
        }
        _ => a == b,
    }
}
