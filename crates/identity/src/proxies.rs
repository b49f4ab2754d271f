//! Who calls by the word of a proxy in front. It is known by the address of the connection, and by nothing that a header says
//! of addresses: `Forwarded` (RFC 7239 §8.1) and its like are whatever a client has made up.

use std::net::IpAddr;
use std::sync::Arc;

use auth::{Claims, Identity, Peer, Principal};
use base::plan::identity::{CertificateForm, Peers, ProxyPlan};
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use transport::tls::Presented;

use crate::carried;
use crate::certificates::Certificates;
use crate::fault::ProxyFault;

/// The longest name of a user.
const LONGEST_NAME: usize = 2048;

/// The proxies in front of one endpoint.
#[derive(Debug)]
pub(crate) struct Proxies {
    of: Vec<Fronting>,
    /// All their headers, each once.
    names: Vec<HeaderName>,
    nobodys: Certificates,
}

#[derive(Debug)]
struct Fronting {
    plan: ProxyPlan,
    names: Vec<HeaderName>,
    certificates: Certificates,
}

/// What a proxy says of a request.
#[derive(Debug, Default)]
pub(crate) struct ProxyWord<'p> {
    /// Whether one stands in front: what is known of the connection then is known of the proxy.
    pub(crate) in_front: bool,
    /// Who calls.
    pub(crate) who: Option<Identity>,
    /// What its client has presented, and whose certificates count.
    pub(crate) certificate: Option<(Presented, &'p Certificates)>,
}

impl Proxies {
    pub(crate) fn new(plans: &[ProxyPlan]) -> Self {
        let mut names: Vec<HeaderName> = Vec::new();
        let of = plans.iter().map(|plan| {
            let certificate = plan.certificate.as_ref();
            let mut own: Vec<HeaderName> =
                [plan.user.clone(), plan.groups.clone()].into_iter().flatten().collect();
            own.extend(certificate.map(|carried| carried.header.clone()));
            if certificate.is_some_and(|carried| carried.form == CertificateForm::Rfc9440) {
                own.push(carried::CHAIN.clone());
            }
            names.extend(own.iter().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>());
            let certificates = Certificates::new(certificate.map_or(&[], |carried| &carried.of));
            Fronting { plan: plan.clone(), names: own, certificates }
        });
        let of = of.collect();
        Self { of, names, nobodys: Certificates::new(&[]) }
    }

    /// No certificate says who calls.
    pub(crate) fn nobodys(&self) -> &Certificates {
        &self.nobodys
    }

    /// In which headers they say anything.
    pub(crate) fn names(&self) -> &[HeaderName] {
        &self.names
    }

    /// Whether one of them lets in whom it has let in under that name.
    pub(crate) fn vouches(&self, issuer: &str) -> bool {
        self.of.iter().any(|one| issuer_name(&one.plan.name) == issuer || one.certificates.vouches(issuer))
    }

    /// What the proxy says by which a request has come.
    ///
    /// # Errors
    /// When one of their headers comes from elsewhere, twice, or cannot be read.
    pub(crate) fn read(&self, headers: &HeaderMap, peer: Peer<'_>) -> Result<ProxyWord<'_>, ProxyFault> {
        if self.of.is_empty() {
            return Ok(ProxyWord::default());
        }
        let by = self.of.iter().find(|one| one.is_at(peer));
        let is_known = |name: &HeaderName| by.is_some_and(|by| by.names.contains(name));
        if self.names.iter().any(|name| headers.contains_key(name) && !is_known(name)) {
            return Err(ProxyFault::Elsewhere);
        }
        let Some(by) = by else { return Ok(ProxyWord::default()) };
        // The chain is a list (RFC 9440 §2.3), which may come in several lines.
        let single = by.names.iter().filter(|name| **name != carried::CHAIN);
        for name in single {
            if headers.get_all(name).iter().nth(1).is_some() {
                return Err(ProxyFault::Twice);
            }
        }
        let certificate = match &by.plan.certificate {
            Some(plan) => carried::read(headers, plan)?.map(|presented| (presented, &by.certificates)),
            None => None,
        };
        Ok(ProxyWord { in_front: true, who: by.who(headers)?, certificate })
    }
}

impl Fronting {
    fn is_at(&self, peer: Peer<'_>) -> bool {
        match peer {
            Peer::Unknown => false,
            Peer::Unix => self.plan.peers.contains(&Peers::Unix),
            Peer::Host(host) => {
                let address = host.parse::<IpAddr>();
                address.is_ok_and(|address| self.plan.peers.iter().any(|peers| peers.has(address)))
            }
        }
    }

    fn who(&self, headers: &HeaderMap) -> Result<Option<Identity>, ProxyFault> {
        let user = self.plan.user.as_ref().and_then(|name| headers.get(name)).map(text).transpose()?;
        let Some(user) = user.filter(|user| !user.is_empty()) else { return Ok(None) };
        if user.len() > LONGEST_NAME {
            return Err(ProxyFault::Value);
        }
        let groups = self.plan.groups.as_ref().and_then(|name| headers.get(name)).map(text).transpose()?;
        let groups = groups.unwrap_or_default().split(',').map(str::trim).filter(|group| !group.is_empty());
        let issuer = issuer_name(&self.plan.name);
        let principal = Principal::of(&issuer, user, None);
        let claims = Claims {
            issuer,
            subject: user.to_owned(),
            groups: groups.map(str::to_owned).collect(),
            ..Claims::default()
        };
        Ok(Some(Identity { principal, until: None, claims: Some(Arc::new(claims)), address: None }))
    }
}

/// A name may have letters that are not ASCII; proxies send them as UTF-8.
fn text(value: &HeaderValue) -> Result<&str, ProxyFault> {
    std::str::from_utf8(value.as_bytes()).map(str::trim).map_err(|_not_text| ProxyFault::Value)
}

/// A proxy has no URL for a name, so it is no issuer of tokens.
fn issuer_name(name: &str) -> String {
    format!("proxy:{name}")
}
