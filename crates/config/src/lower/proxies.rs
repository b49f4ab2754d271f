//! Who stands in front, and what it says of who calls.

use base::plan::identity::{CarriedPlan, CertificateForm, CertificatesPlan, Peers, ProxyPlan};

use super::Lowering;
use crate::file::{self, Config};
use crate::node::At;
use crate::read::Entry;

impl Lowering<'_, '_> {
    /// All that the file has, whether a route names them or not.
    pub(super) fn proxies(&mut self, config: &Config, certificates: &[CertificatesPlan]) -> Vec<ProxyPlan> {
        let mut found = Vec::new();
        for Entry { name, value } in config.proxy.iter().flat_map(|given| &given.value.0) {
            self.name("a proxy", name);
            let Some(At { value: given, .. }) = value else { continue };
            found.push(self.in_front(name, given, (config, certificates)));
        }
        found
    }

    fn in_front(
        &mut self,
        name: &At<String>,
        given: &file::Proxy,
        (config, certificates): (&Config, &[CertificatesPlan]),
    ) -> ProxyPlan {
        let peers: Vec<Peers> = given
            .addresses
            .iter()
            .flat_map(|texts| &texts.value)
            .filter_map(|text| self.peers(text))
            .collect();
        let is_empty = given.addresses.as_ref().is_none_or(|texts| texts.value.is_empty());
        if is_empty && !given.written.strange {
            let finding = self.findings.error(name.span, "a proxy is known by where it connects from");
            finding.help("addresses = [\"10.0.0.5\"]");
        }
        if given.user_header.is_none() && given.certificate_header.is_none() && !given.written.strange {
            let finding = self.findings.error(name.span, "this proxy says nothing of who calls");
            finding.help("name the header in which it does: user_header, or certificate_header");
        }
        if let (Some(groups), None) = (&given.groups_header, &given.user_header) {
            self.findings
                .error(groups.span, "there are no groups of nobody")
                .help("user_header says whose they are");
        }
        if let (Some(names), None) = (&given.certificates, &given.certificate_header) {
            let finding = self.findings.error(names.span, "this proxy sends no certificates");
            finding.help("name the header in which it does: certificate_header");
        }
        let of = self.named_certificates(given.certificates.as_ref(), config, certificates);
        let mut header =
            |name: &Option<At<String>>| name.as_ref().and_then(|name| self.identity_header(name));
        let (user, groups) = (header(&given.user_header), header(&given.groups_header));
        let certificate = header(&given.certificate_header).map(|header| CarriedPlan {
            header,
            form: match given.certificate_form.as_ref().map(|form| form.value) {
                Some(file::CertificateForm::Pem) => CertificateForm::Pem,
                Some(file::CertificateForm::Xfcc) => CertificateForm::Xfcc,
                Some(file::CertificateForm::Rfc9440) | None => CertificateForm::Rfc9440,
            },
            of,
        });
        let all = [user.as_ref(), groups.as_ref(), certificate.as_ref().map(|carried| &carried.header)];
        let written = [&given.user_header, &given.groups_header, &given.certificate_header];
        for (at, (name, text)) in all.iter().zip(written).enumerate() {
            if let (Some(name), Some(text)) = (name, text)
                && all.iter().take(at).any(|other| *other == Some(*name))
            {
                self.findings.error(text.span, "one header does not say two things");
            }
        }
        ProxyPlan { name: name.value.clone(), peers, user, groups, certificate }
    }

    fn peers(&mut self, text: &At<String>) -> Option<Peers> {
        let Some(peers) = Peers::parse(&text.value) else {
            let finding = self.findings.error(text.span, "this is no address, and no network");
            finding.help("such as \"10.0.0.5\", \"10.0.0.0/8\" (nothing but zeros after so many bits), \"fd00::/8\", \"unix\"");
            return None;
        };
        if matches!(peers, Peers::Network { bits: 0, .. }) {
            let finding =
                self.findings.error(text.span, "whoever connects would be this proxy, and could be anybody");
            finding.help("name the addresses of the proxy");
            return None;
        }
        Some(peers)
    }

    /// Those that a route names.
    pub(super) fn route_proxies(
        &mut self,
        given: &file::Route,
        config: &Config,
        all: &[ProxyPlan],
    ) -> Vec<ProxyPlan> {
        let table = ("proxy", "addresses and the headers that it sets");
        let named = self.named_tables(table, given.proxies.as_ref(), config.proxy.as_ref());
        named.into_iter().filter_map(|name| all.iter().find(|plan| plan.name == name).cloned()).collect()
    }
}
