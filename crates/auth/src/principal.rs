//! Who makes a call, and what says so.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use http::{HeaderMap, Method};
use mcp::json;

use crate::claims::Claims;

/// Who makes a call. Caches, sessions and seals are bound to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Principal(Arc<str>);

impl Principal {
    pub(crate) fn named(id: &str) -> Self {
        Self(id.into())
    }

    /// The one principal of an endpoint without identity.
    #[must_use]
    pub fn anonymous() -> Self {
        static ANONYMOUS: LazyLock<Principal> = LazyLock::new(|| Principal::named("anonymous"));
        ANONYMOUS.clone()
    }

    /// A subject of an issuer; with a client, the subject as it acts by that client. No two triples have one name, and none
    /// has the name of a principal of another kind: what an issuer is called has no `#` here, and the rest is quoted.
    #[must_use]
    pub fn of(issuer: &str, subject: &str, client: Option<&str>) -> Self {
        let issuer = issuer.replace('%', "%25").replace('#', "%23");
        let client = client.map(|client| format!("#{}", json::quote(client))).unwrap_or_default();
        Self::named(&format!("{issuer}#{}{client}", json::quote(subject)))
    }

    /// Whoever has a key of Portolan's own for this name.
    #[must_use]
    pub fn of_key(name: &str) -> Self {
        Self::named(&format!("api-key##{}", json::quote(name)))
    }

    /// The name that caches and seals are bound to.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a request shows of who sends it.
#[derive(Debug, Clone, Copy)]
pub struct Credentials<'a> {
    /// The headers that it came with; none over stdio.
    pub headers: &'a HeaderMap,
    /// The HTTP method; POST over stdio.
    pub method: &'a Method,
    /// The path and query that it is sent to, as it came to us; empty over stdio.
    pub target: &'a str,
    /// The connection that it came by.
    pub connection: Connection<'a>,
}

/// What is known of a connection itself, whatever is said over it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Connection<'a> {
    /// Where it comes from.
    pub peer: Peer<'a>,
    /// The certificates that whoever made it has presented and has the key of, in DER, its own first.
    pub chain: &'a [Vec<u8>],
    /// SHA-256 of the first of them.
    pub thumbprint: Option<&'a [u8; 32]>,
}

/// Who has made a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Peer<'a> {
    /// Nobody knows.
    #[default]
    Unknown,
    /// Somebody at this IP address.
    Host(&'a str),
    /// Somebody through a Unix socket of ours.
    Unix,
}

/// Who sends a request, as its credentials say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who it is.
    pub principal: Principal,
    /// Until when the credentials are good.
    pub until: Option<SystemTime>,
    /// What was said of the caller by whoever vouches for it; nothing where nobody does.
    pub claims: Option<Arc<Claims>>,
    /// Where its connection comes from, where somebody decides by it.
    pub address: Option<IpAddr>,
}

impl Identity {
    /// The one identity of an endpoint without identity.
    #[must_use]
    pub fn anonymous() -> Self {
        Self { principal: Principal::anonymous(), until: None, claims: None, address: None }
    }

    /// An identity that another replica has found out, and says under the seal of all replicas: credentials may be good
    /// once only, so they are not looked at twice.
    #[must_use]
    pub fn told_by_replica(principal: &str, until: Option<SystemTime>, claims: Option<Claims>) -> Self {
        Self { principal: Principal::named(principal), until, claims: claims.map(Arc::new), address: None }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_callers_have_one_name() {
        let parts =
            ["", "a", "a#\"b\"", "\"b\"", "b", "anonymous", "a%23", "a#", "\\", "api-key#", "api-key", "#"];
        let mut names = BTreeSet::from([Principal::anonymous()]);
        let mut count = 1;
        for one in parts {
            assert!(names.insert(Principal::of_key(one)), "{one}");
            for other in parts {
                assert!(names.insert(Principal::of(one, other, None)), "{one} {other}");
                count += 1;
                for client in parts {
                    assert!(names.insert(Principal::of(one, other, Some(client))), "{one} {other} {client}");
                    count += 1;
                }
            }
            count += 1;
        }
        assert_eq!(names.len(), count);
        assert_eq!(Principal::of("https://id.example", "a", None).id(), "https://id.example#\"a\"");
    }
}
