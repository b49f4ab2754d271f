//! Who calls by something else than a token.

use base::plan::identity::{CertificateName, CertificatesPlan};
use http::HeaderName;
use transport::tls::Authorities;

use super::Lowering;
use super::http::CREDENTIALS;
use super::identity::texts;
use super::listener::asks_clients;
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

    /// A header in which whoever stands in front says who calls.
    pub(super) fn identity_header(&mut self, name: &At<String>) -> Option<HeaderName> {
        let header = self.header_name(name, "taken from a proxy")?;
        if CREDENTIALS.contains(&header.as_str()) {
            let finding = self.findings.error(name.span, format!("{header} is what clients send"));
            finding.help("name the header that the proxy sets, and takes away when a client sends it");
            return None;
        }
        Some(header)
    }

    /// What says who calls ends here, whichever server is asked.
    pub(super) fn identity_is_not_forwarded(&mut self, config: &Config) {
        let issuers = config.issuer.iter().flat_map(|given| &given.value.0);
        let issuers = issuers.filter_map(|entry| entry.value.as_ref()?.value.token_header.as_ref());
        let proxies = config.proxy.iter().flat_map(|given| &given.value.0);
        let proxies = proxies.filter_map(|entry| Some(&entry.value.as_ref()?.value));
        let proxies = proxies
            .flat_map(|given| [&given.user_header, &given.groups_header, &given.certificate_header])
            .flatten();
        let taken: Vec<&At<String>> = issuers.chain(proxies).collect();
        let servers = config.upstream.iter().flat_map(|given| &given.value.0);
        let servers = servers.filter_map(|entry| entry.value.as_ref()?.value.forward_headers.as_ref());
        for name in servers.flat_map(|names| &names.value) {
            let Some(same) = taken.iter().find(|taken| taken.value.eq_ignore_ascii_case(&name.value)) else {
                continue;
            };
            let message = format!("{} says who calls, and is never forwarded", name.value);
            self.findings.error(name.span, message).label(same.span, "it is read here").help("leave it out");
        }
    }

    /// Those that a route names, if a client can show one there.
    pub(super) fn route_certificates(
        &mut self,
        given: &file::Route,
        config: &Config,
        all: &[CertificatesPlan],
    ) -> Vec<CertificatesPlan> {
        let found = self.named_certificates(given.certificates.as_ref(), config, all);
        if let Some(names) = given.certificates.as_ref().filter(|_| !asks_clients(config, given)) {
            let finding = self
                .findings
                .error(names.span, "no listener of this route asks its clients for certificates");
            finding.help("write client_certificates = true in the tls of the listener");
        }
        found
    }

    pub(super) fn named_certificates(
        &mut self,
        names: Option<&At<file::Texts>>,
        config: &Config,
        all: &[CertificatesPlan],
    ) -> Vec<CertificatesPlan> {
        let named =
            self.named_tables(("certificates", "ca and principal"), names, config.certificates.as_ref());
        named.into_iter().filter_map(|name| all.iter().find(|plan| plan.name == name).cloned()).collect()
    }
}
