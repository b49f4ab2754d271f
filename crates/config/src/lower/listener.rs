//! Listeners, the admin address, and TLS.

use base::plan::{ListenerPlan, TlsFiles};
use transport::http::server::ServerLimits;
use transport::net::Address;
use transport::tls;

use super::Lowering;
use crate::file::{self, Config};
use crate::node::{At, NOWHERE, Span};
use crate::outside;

pub(super) const DEFAULT_NAME: &str = "main";
pub(super) const DEFAULT_PORT: u16 = 8808;

/// A listener, and where its address is written.
pub(super) struct Bound {
    pub(super) plan: ListenerPlan,
    pub(super) span: Span,
}

impl Lowering<'_, '_> {
    pub(super) fn listeners(&mut self, config: &Config, limits: &ServerLimits) -> Vec<Bound> {
        let given = config.listener.as_ref();
        let entries = given.map(|given| given.value.0.as_slice()).unwrap_or_default();
        if entries.is_empty() {
            let plan = listener(DEFAULT_NAME, default_address(), limits);
            return vec![Bound { plan, span: NOWHERE }];
        }
        let mut listeners = Vec::new();
        for entry in entries {
            self.name("a listener", &entry.name);
            let Some(At { value: given, .. }) = &entry.value else { continue };
            let span = given.address.as_ref().map_or(entry.name.span, |address| address.span);
            let address = match &given.address {
                Some(text) => self.resolve_open(text).and_then(|resolved| self.address(&resolved, text.span)),
                // What was meant by a key that is wrong is not known.
                None => {
                    let unwritten = given.written.key("address").is_none() && !given.written.strange;
                    unwritten.then(default_address)
                }
            };
            let mut plan =
                listener(&entry.name.value, address.clone().unwrap_or_else(default_address), limits);
            plan.tls = given.tls.as_ref().and_then(|tls| self.tls(tls));
            plan.allowed_hosts = self.hosts(given.allowed_hosts.as_ref());
            plan.allowed_origins = self.origins(given.allowed_origins.as_ref());
            plan.reuse_port = given.reuse_port.as_ref().is_some_and(|reuse_port| reuse_port.value);
            if address.is_some() {
                self.exposure(&plan, (given, knows_callers(config, &plan.name)), span);
                listeners.push(Bound { plan, span });
            }
        }
        listeners
    }

    pub(super) fn admin(&mut self, given: &At<file::Admin>) -> Option<At<Address>> {
        let Some(text) = &given.value.address else {
            if given.value.written.key("address").is_none() {
                let finding = self.findings.error(given.span, "[admin] needs an address");
                finding.help("address = \"127.0.0.1:8809\"");
            }
            return None;
        };
        let resolved = self.resolve_open(text)?;
        self.address(&resolved, text.span).map(|value| At { value, span: text.span })
    }

    /// Whatever is reachable from outside lets in whoever comes: there is no authentication yet.
    fn exposure(&mut self, plan: &ListenerPlan, (given, knows_callers): (&file::Listener, bool), span: Span) {
        let all_hosts = plan.allowed_hosts.iter().any(|host| host == "*");
        if plan.address.is_local() {
            if let Some(hosts) = given.allowed_hosts.as_ref().filter(|_| all_hosts) {
                self.findings
                    .warning(hosts.span, "with \"*\", any web page can reach this listener by DNS rebinding")
                    .help("name the hosts, or leave allowed_hosts out: loopback names are always allowed");
            }
            return;
        }
        let plain = if plan.tls.is_none() { ", and without TLS" } else { "" };
        if !knows_callers {
            self.findings
            .warning(
                span,
                format!(
                    "{} is reachable from other machines, without authentication{plain}: whoever can connect to it \
                     can use every server behind it",
                    plan.address
                ),
            )
            .help(
                "listen at 127.0.0.1, let nobody connect but a proxy that authenticates clients, or name who vouches for \
                 callers: public_url and issuers of each route",
            );
        }
        let any = matches!(&plan.address, Address::Tcp(host, _) if host == "0.0.0.0" || host == "::");
        if any && plan.allowed_hosts.is_empty() {
            self.findings
                .warning(
                    span,
                    "only requests that are addressed to this machine by a loopback name are let in",
                )
                .help("name the hosts by which clients reach it: allowed_hosts = [\"mcp.example.com\"]");
        }
    }

    fn tls(&mut self, given: &At<file::Tls>) -> Option<TlsFiles> {
        for key in ["certificate", "key"] {
            if given.value.written.key(key).is_none() && !given.value.written.strange {
                let finding = self.findings.error(given.span, format!("tls needs a {key}"));
                finding.help("tls = { certificate = \"cert.pem\", key = \"key.pem\" }");
            }
        }
        let (certificate_at, key_at) = (given.value.certificate.as_ref(), given.value.key.as_ref());
        let certificate = certificate_at.and_then(|text| self.readable(text));
        let key = key_at.and_then(|text| self.readable(text));
        let (certificate, key) = certificate.zip(key)?;
        if let Some(text) = key_at {
            outside::private(&key, text.span, self.findings);
        }
        let asks_clients = given.value.client_certificates.as_ref().is_some_and(|asks| asks.value);
        if let Err(fault) = tls::server(&certificate, &key, asks_clients) {
            let (at, message) = match &fault {
                tls::TlsFault::Pem { path, .. } if *path == key => (key_at, fault.to_string()),
                tls::TlsFault::Refused(why) => {
                    (None, format!("the certificate and the key do not serve together: {why}"))
                }
                _ => (certificate_at, fault.to_string()),
            };
            self.findings.error(at.map_or(given.span, |text| text.span), message);
        }
        Some(TlsFiles { certificate, key, asks_clients })
    }

    /// A path of a file that can be read.
    pub(super) fn readable(&mut self, text: &At<crate::template::Template>) -> Option<std::path::PathBuf> {
        let path = self.path(text)?;
        self.outside.text(&path, text.span, self.findings)?;
        Some(path)
    }
}

fn listener(name: &str, address: Address, limits: &ServerLimits) -> ListenerPlan {
    ListenerPlan {
        name: name.to_owned(),
        address,
        tls: None,
        allowed_hosts: Vec::new(),
        allowed_origins: Vec::new(),
        limits: limits.clone(),
        reuse_port: false,
    }
}

fn default_address() -> Address {
    Address::Tcp("127.0.0.1".to_owned(), DEFAULT_PORT)
}

/// Whether the listener of that name serves a route.
fn is_at(route: &file::Route, listener: &str) -> bool {
    let named = route.listeners.as_ref();
    named.is_none_or(|names| names.value.iter().any(|name| name.value == listener))
}

/// Whether each route of a listener asks who calls.
fn knows_callers(config: &Config, listener: &str) -> bool {
    let routes =
        config.route.iter().flat_map(|given| &given.value.0).filter_map(|entry| entry.value.as_ref());
    let here = routes.filter(|route| is_at(&route.value, listener));
    let mut known = here.map(|route| route.value.public_url.is_some()).peekable();
    known.peek().is_some() && known.all(|known| known)
}

/// Whether a listener of the route asks its clients for certificates.
pub(super) fn asks_clients(config: &Config, route: &file::Route) -> bool {
    let listeners = config.listener.iter().flat_map(|given| &given.value.0);
    let mut tls = listeners
        .filter(|entry| is_at(route, &entry.name.value))
        .filter_map(|entry| entry.value.as_ref()?.value.tls.as_ref());
    tls.any(|tls| tls.value.client_certificates.as_ref().is_some_and(|asks| asks.value))
}
