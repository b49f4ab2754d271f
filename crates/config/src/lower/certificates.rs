//! Who calls by something else than a token.

use base::plan::identity::{CertificateName, CertificatesPlan};
use transport::tls::Authorities;

use super::Lowering;
use super::identity::texts;
use crate::file::{self, Config};
use crate::node::At;
use crate::read::Entry;

impl Lowering<'_, '_> {
    /// All that the file has, whether a route names them or not.
    pub(super) fn certificates(&mut self, config: &Config) -> Vec<CertificatesPlan> {
        let mut found = Vec::new();
        for Entry { name, value } in config.certificates.iter().flat_map(|given| &given.value.0) {
            self.name("certificates", name);
            let Some(At { value: given, .. }) = value else { continue };
            found.extend(self.certificates_of(name, given));
        }
        found
    }

    fn certificates_of(&mut self, name: &At<String>, given: &file::Certificates) -> Option<CertificatesPlan> {
        let missing = ["ca", "principal"].map(|key| given.written.key(key).is_none());
        if missing.contains(&true) && !given.written.strange {
            let finding = self.findings.error(name.span, "certificates need ca and principal");
            finding.help("ca = \"clients.pem\", and principal = \"san-uri\", \"san-dns\", \"san-email\" or \"subject\"");
        }
        for scope in given.scopes.iter().flat_map(|scopes| &scopes.value) {
            self.scope_name(scope);
        }
        if let Some(allow) = given.allow.as_ref().filter(|allow| allow.value.is_empty()) {
            self.findings
                .error(allow.span, "without a glob, nobody may come")
                .help("leave it out, and all may");
        }
        let allow = self.globs(given.allow.as_ref());
        let (ca, principal) = (given.ca.as_ref()?, given.principal.as_ref()?);
        let path = self.path(ca)?;
        let pem = self.outside.text(&path, ca.span, self.findings)?;
        if let Err(why) = Authorities::read(pem.as_bytes()) {
            self.findings.error(ca.span, format!("{}: {why}", path.display()));
        }
        Some(CertificatesPlan {
            name: name.value.clone(),
            authorities: pem.into_bytes().into(),
            principal: match principal.value {
                file::CertificateName::SanUri => CertificateName::SanUri,
                file::CertificateName::SanDns => CertificateName::SanDns,
                file::CertificateName::SanEmail => CertificateName::SanEmail,
                file::CertificateName::Subject => CertificateName::Subject,
            },
            allow,
            scopes: texts(given.scopes.as_ref()),
        })
    }

    /// Those that a route names, if a client can show one there.
    pub(super) fn route_certificates(
        &mut self,
        given: &file::Route,
        config: &Config,
        all: &[CertificatesPlan],
    ) -> Vec<CertificatesPlan> {
        let Some(names) = &given.certificates else { return Vec::new() };
        let entries = config.certificates.iter().flat_map(|given| &given.value.0);
        let known: Vec<&str> = entries.map(|entry| entry.name.value.as_str()).collect();
        if known.is_empty() && !names.value.is_empty() {
            let finding = self.findings.error(names.span, "there are no certificates");
            finding.help("they are a table [certificates.NAME] with ca and principal");
            return Vec::new();
        }
        if !asks_clients(config, given) {
            let finding = self
                .findings
                .error(names.span, "no listener of this route asks its clients for certificates");
            finding.help("write client_certificates = true in the tls of the listener");
        }
        let named = self.references("certificates", names, &known);
        named.into_iter().filter_map(|name| all.iter().find(|plan| plan.name == name).cloned()).collect()
    }
}

/// Whether a listener of the route asks its clients for certificates.
pub(super) fn asks_clients(config: &Config, route: &file::Route) -> bool {
    let serves = |name: &str| {
        let named = route.listeners.as_ref();
        named.is_none_or(|names| names.value.iter().any(|one| one.value == name))
    };
    let listeners = config.listener.iter().flat_map(|given| &given.value.0);
    let mut tls = listeners
        .filter(|entry| serves(&entry.name.value))
        .filter_map(|entry| entry.value.as_ref()?.value.tls.as_ref());
    tls.any(|tls| tls.value.client_certificates.as_ref().is_some_and(|asks| asks.value))
}
