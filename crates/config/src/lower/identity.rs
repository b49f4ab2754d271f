//! Who vouches for callers, and what routes ask of them.

use std::time::Duration;

use base::plan::identity::{
    Algorithm, CertificatesPlan, ClaimNames, ClaimRule, DpopRule, IntrospectionPlan, IssuerPlan, KeySource,
    ProxyPlan, ResourcePlan, ScopeRule, TokenTypes,
};
use http::Uri;
use mcp::json::{self, Object};
use mcp::method::Kind;
use transport::http::client::Destination;

use super::listener::asks_clients;
use super::{LITERAL, Lowering, MINUTE};
use crate::file::{self, Config};
use crate::node::At;
use crate::read::Entry;
use crate::template::Template;

/// What the SPIFFE ID of a trust domain begins with.
const SPIFFE: &str = "spiffe://";

impl Lowering<'_, '_> {
    pub(super) fn issuers(&mut self, config: &Config) -> Vec<IssuerPlan> {
        let mut issuers: Vec<IssuerPlan> = Vec::new();
        for Entry { name, value } in config.issuer.iter().flat_map(|given| &given.value.0) {
            self.name("an issuer", name);
            let Some(At { value: given, .. }) = value else { continue };
            let Some(issuer) = self.issuer(name, given) else { continue };
            if let Some(same) = issuers.iter().find(|other| other.issuer == issuer.issuer) {
                let message = format!("this is issuer {:?} already", same.name);
                self.findings.error(name.span, message).help("one issuer stands here once");
            }
            issuers.push(issuer);
        }
        issuers
    }

    fn issuer(&mut self, name: &At<String>, given: &file::Issuer) -> Option<IssuerPlan> {
        let Some(url) = &given.url else {
            if given.written.key("url").is_none() {
                let help = "url = \"https://id.example.com/realms/main\"";
                self.findings.error(name.span, "an issuer needs a url: the `iss` of its tokens").help(help);
            }
            return None;
        };
        let allow_http = given.allow_http.as_ref().is_some_and(|allowed| allowed.value);
        let is_domain = self.resolve_open(url)?.starts_with(SPIFFE);
        let issuer = if is_domain {
            self.trust_domain(url)?
        } else {
            self.issuer_place("an issuer", url, allow_http)?.0
        };
        let mut plan = IssuerPlan::new(&name.value, &issuer);
        if is_domain {
            self.has_a_bundle(given, url);
            plan.algorithms = Algorithm::OF_SVIDS.to_vec();
        }
        plan.allow_http = allow_http;
        plan.keys = self.key_source(given, allow_http)?;
        if let Some(names) = &given.algorithms {
            plan.algorithms = names.value.iter().filter_map(|name| self.algorithm(name)).collect();
            if names.value.is_empty() {
                self.findings.error(names.span, "without an algorithm, no token is good");
            }
        }
        let by_itself = given.jwks_file.is_none() && given.token_header.is_none() && !is_domain;
        plan.sign_in = given.sign_in.as_ref().map_or(by_itself, |given| given.value);
        plan.token_header = given.token_header.as_ref().and_then(|name| self.identity_header(name));
        if let (Some(_), Some(asked)) = (&given.token_header, &given.introspection) {
            let finding = self.findings.error(asked.span, "nobody is asked about tokens that a proxy sends");
            finding.help("leave out introspection, or make it another issuer");
        }
        self.signer(&mut plan, given);
        plan.audiences = texts(given.audiences.as_ref());
        self.set(&mut plan.leeway, given.leeway.as_ref(), Duration::ZERO..=5 * MINUTE);
        plan.not_before = given.not_before.as_ref().map(|moment| moment.value.0);
        plan.types = match given.types.as_ref().map(|types| types.value) {
            _ if is_domain => TokenTypes::Svids,
            Some(file::TokenTypes::AccessTokens) => TokenTypes::AccessTokens,
            Some(file::TokenTypes::Usual) | None => TokenTypes::Usual,
        };
        if let Some(At { value: claims, .. }) = &given.claims {
            plan.claims = claim_names(claims);
            self.policy_claims(claims);
        }
        for Entry { name, value } in given.require.iter().flat_map(|given| &given.value.0) {
            let Some(values) = value else { continue };
            if values.value.is_empty() {
                self.findings.error(values.span, "without a value, no token is good");
            }
            plan.required.push(ClaimRule { claim: path(&name.value), values: texts(Some(values)) });
        }
        plan.principal_by_client = given.principal_by_client.as_ref().is_some_and(|given| given.value);
        plan.introspection =
            given.introspection.as_ref().and_then(|given| self.introspection(given, allow_http));
        plan.client.authorities = given.ca.as_ref().and_then(|ca| self.authorities(ca));
        Some(plan)
    }

    /// The SPIFFE ID of a trust domain (SPIFFE-ID §2.1).
    fn trust_domain(&mut self, text: &At<Template>) -> Option<String> {
        let written = self.resolve_open(text)?;
        let domain = written.strip_prefix(SPIFFE)?;
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
        if domain.is_empty() || domain.len() > 255 || !domain.bytes().all(fits) {
            let finding = self.findings.error(text.span, "this is no trust domain of SPIFFE");
            finding.help(
                "such as \"spiffe://example.org\": small letters, digits, '-', '.' and '_', and no path",
            );
            return None;
        }
        Some(written)
    }

    /// Who signs, if that is a load balancer.
    fn signer(&mut self, plan: &mut IssuerPlan, given: &file::Issuer) {
        let Some(signer) = &given.signer else { return };
        if !signer.value.starts_with("arn:") {
            self.findings
                .error(signer.span, "this is no ARN")
                .help("that of the load balancer: \"arn:aws:elasticloadbalancing:…\"");
        }
        if given.token_header.is_none() || given.jwks_url.is_none() {
            let finding = self.findings.error(signer.span, "a load balancer has token_header and jwks_url");
            finding.help("token_header = \"x-amzn-oidc-data\", jwks_url = \"https://public-keys.auth.elb.REGION.amazonaws.com/\"");
        }
        for (key, span) in [
            ("algorithms", given.algorithms.as_ref().map(|names| names.span)),
            ("audiences", given.audiences.as_ref().map(|names| names.span)),
        ] {
            let Some(span) = span else { continue };
            let finding = self.findings.error(span, format!("{key} of a load balancer mean nothing"));
            finding.help("it signs with ES256, and its tokens name their signer in place of an audience: leave them out");
        }
        plan.signer = Some(signer.value.clone());
        plan.algorithms = vec![Algorithm::Es256];
    }

    /// What a trust domain needs, and has not.
    fn has_a_bundle(&mut self, given: &file::Issuer, url: &At<Template>) {
        if given.jwks_url.is_none() && given.jwks_file.is_none() && !given.written.strange {
            let finding = self.findings.error(url.span, "the keys of a trust domain are in its bundle");
            finding.help("jwks_url = the URL of its bundle endpoint, or jwks_file = \"bundle.json\"");
        }
        if let Some(asked) = &given.introspection {
            self.findings.error(asked.span, "nobody is asked about tokens of a trust domain");
        }
        if let Some(types) = &given.types {
            let finding = self.findings.error(types.span, "tokens of a trust domain have types of their own");
            finding.help("leave it out: JWT, JOSE or none (SPIFFE JWT-SVID §2.3)");
        }
    }

    /// A URL of an issuer's: as it is written, and where it leads.
    fn issuer_place(&mut self, of: &str, text: &At<Template>, http: bool) -> Option<(String, Destination)> {
        let uri = self.url(of, text)?;
        if uri.scheme_str() != Some("https") && !(http && is_here(&uri)) {
            let message = format!("{of} is asked over https only: who can change its answer can be anybody");
            let help = "for trying things out on this machine: allow_http = true, and a loopback address";
            self.findings.error(text.span, message).help(help);
            return None;
        }
        if of == "an issuer" && uri.query().is_some() {
            self.findings.error(text.span, "the url of an issuer has no query (RFC 8414 §2)");
            return None;
        }
        // It is compared as it is written, which a parsed URL may no longer be.
        let written = self.resolve_open(text)?;
        // A URL that was read above names a host.
        Some((written, Destination::new(uri).ok()?))
    }

    fn key_source(&mut self, given: &file::Issuer, http: bool) -> Option<KeySource> {
        match (&given.jwks_url, &given.jwks_file) {
            (Some(url), Some(file)) => {
                let finding = self.findings.error(file.span, "an issuer's keys are at one place");
                finding.label(url.span, "this is the other").help("leave out one of them");
                None
            }
            (Some(url), None) => {
                let (written, place) = self.issuer_place("the keys of an issuer", url, http)?;
                if given.signer.is_some() && !written.ends_with('/') {
                    let finding = self.findings.error(url.span, "the name of a key comes behind this URL");
                    finding.help("such as \"https://public-keys.auth.elb.eu-central-1.amazonaws.com/\"");
                }
                Some(if given.signer.is_some() { KeySource::Named(place) } else { KeySource::Url(place) })
            }
            (None, Some(file)) => {
                let path = self.path(file)?;
                let text = self.outside.text(&path, file.span, self.findings)?;
                if !holds_keys(&text) {
                    let finding = self.findings.error(file.span, "this file holds no key set");
                    finding.help("a key set is JSON (RFC 7517 §5): {\"keys\": [{\"kty\": …}, …]}, as an issuer publishes it at its jwks_uri");
                }
                Some(KeySource::Given(text.into_bytes().into()))
            }
            (None, None) => Some(KeySource::Discover),
        }
    }

    fn algorithm(&mut self, name: &At<String>) -> Option<Algorithm> {
        let found = Algorithm::named(&name.value);
        if found.is_none() {
            let all = Algorithm::ALL.map(Algorithm::name).join(", ");
            let finding =
                self.findings.error(name.span, "this is no algorithm that tokens may be signed with");
            finding.help(format!("one of {all}; with any other, who can check a token could make it"));
        }
        found
    }

    fn introspection(
        &mut self,
        At { value: given, span }: &At<file::Introspection>,
        http: bool,
    ) -> Option<IntrospectionPlan> {
        let (Some(url), Some(client_id), Some(secret)) = (&given.url, &given.client_id, &given.client_secret)
        else {
            if !given.written.strange {
                self.findings.error(*span, "introspection needs url, client_id and client_secret");
            }
            return None;
        };
        if let Some(literal) = secret.value.as_literal().filter(|text| !text.is_empty()) {
            self.outside.secrets.add(literal, LITERAL);
            let finding = self.findings.warning(secret.span, "a secret stands in the file");
            finding.help("write ${env:NAME} or ${file:PATH} for it");
        }
        let (_, endpoint) = self.issuer_place("introspection", url, http)?;
        Some(IntrospectionPlan {
            endpoint,
            client_id: self.resolve_open(client_id)?,
            secret: self.resolve(secret)?,
        })
    }

    /// What a route asks of its callers, if it asks for anything.
    pub(super) fn resource(
        &mut self,
        name: &At<String>,
        given: &file::Route,
        (config, certificates, proxies): (&Config, &[CertificatesPlan], &[ProxyPlan]),
    ) -> Option<ResourcePlan> {
        let known = config.issuer.as_ref().map(|given| given.value.0.as_slice()).unwrap_or_default();
        let known: Vec<&str> = known.iter().map(|entry| entry.name.value.as_str()).collect();
        let Some(public_url) = &given.public_url else {
            self.without_public_url(given);
            return None;
        };
        let api_keys = given.api_keys.as_ref().is_some_and(|keys| keys.value);
        if let Some(keys) = given.api_keys.as_ref().filter(|keys| keys.value && config.store.is_none()) {
            let finding = self.findings.error(keys.span, "keys are kept in a store, and there is none");
            finding.help("such as store = \"sqlite:portolan.db\", above the first table");
        }
        let names = given.issuers.as_ref().filter(|names| !names.value.is_empty());
        let is_there =
            |names: &Option<At<file::Texts>>| names.as_ref().is_some_and(|names| !names.value.is_empty());
        let by_connection = is_there(&given.certificates) || is_there(&given.proxies);
        if names.is_none() && !api_keys && !by_connection {
            let finding =
                self.findings.error(public_url.span, "nobody vouches for the callers of this route");
            let all = if known.is_empty() { "NAME".to_owned() } else { known.join("\", \"") };
            finding.help(format!(
                "name the issuers: issuers = [\"{all}\"]; each is a table [issuer.NAME]. Or: api_keys = true, certificates, proxies"
            ));
            return None;
        }
        let issuers = self.named_tables(("issuer", "its url"), names, config.issuer.as_ref());
        let issuers = issuers.into_iter().map(str::to_owned).collect();
        let resource = self.public_url(public_url, given)?;
        let path = given.path.as_ref().map_or("/mcp", |path| path.value.as_str()).to_owned();
        // Whatever stands in front leads to the one as it does to the other.
        let outside = resource.strip_suffix(&*path);
        let sse = given.sse_path.as_ref().zip(outside);
        let sse = sse.map(|(sse, before)| (sse.value.clone(), format!("{before}{}", sse.value)));
        let mut plan = ResourcePlan {
            route: name.value.clone(),
            path,
            resource,
            sse,
            shows_issuer: given.issuer_at_origin.as_ref().is_some_and(|shown| shown.value),
            also_audiences: texts(given.also_audiences.as_ref()),
            issuers,
            scopes_supported: texts(given.initial_scopes.as_ref()),
            scopes: Vec::new(),
            hides: given.without_scope.as_ref().is_none_or(|what| what.value == file::WithoutScope::Hide),
            dpop: match given.dpop.as_ref().map(|dpop| dpop.value) {
                Some(file::Dpop::Require) => DpopRule::Require,
                Some(file::Dpop::RequireNonce) => DpopRule::RequireNonce,
                Some(file::Dpop::Off) => DpopRule::Off,
                Some(file::Dpop::Accept) | None => DpopRule::Accept,
            },
            api_keys,
            certificates: self.route_certificates(given, config, certificates),
            certificate_bound: asks_clients(config, given),
            proxies: self.route_proxies(given, config, proxies),
        };
        if let Some(dpop) = given
            .dpop
            .as_ref()
            .filter(|dpop| matches!(dpop.value, file::Dpop::Require | file::Dpop::RequireNonce))
        {
            let finding =
                self.findings.warning(dpop.span, "clients that have no proofs of possession cannot log in");
            finding.help(format!("the official Python client is one; route {:?} refuses it", name.value));
        }
        plan.certificate_bound |= plan.proxies.iter().any(|proxy| proxy.certificate.is_some());
        self.scopes(&mut plan, given);
        self.scopes_can_be_had(&plan, given);
        if let Some(shown) =
            given.issuer_at_origin.as_ref().filter(|shown| shown.value && plan.issuers.len() != 1)
        {
            let finding = self.findings.error(shown.span, "there is one place at the origin, for one issuer");
            finding.help("leave it out: clients of 2025-06-18 and later do not need it");
        }
        Some(plan)
    }

    /// Keys that mean nothing without the URL that tokens are made for.
    fn without_public_url(&mut self, given: &file::Route) {
        let written = [
            given.issuers.as_ref().map(|given| given.span),
            given.also_audiences.as_ref().map(|given| given.span),
            given.initial_scopes.as_ref().map(|given| given.span),
            given.issuer_at_origin.as_ref().filter(|shown| shown.value).map(|given| given.span),
            given.scopes.as_ref().map(|given| given.span),
            given
                .without_scope
                .as_ref()
                .filter(|what| what.value != file::WithoutScope::Hide)
                .map(|given| given.span),
            given.dpop.as_ref().filter(|dpop| dpop.value != file::Dpop::Accept).map(|given| given.span),
            given.api_keys.as_ref().filter(|keys| keys.value).map(|given| given.span),
            given.certificates.as_ref().map(|given| given.span),
            given.proxies.as_ref().map(|given| given.span),
        ];
        if let Some(span) = written.into_iter().flatten().next() {
            let finding = self.findings.error(span, "this needs the public_url of the route");
            finding.help("such as public_url = \"https://mcp.example.com/mcp\": what tokens are made for");
        }
    }

    fn public_url(&mut self, text: &At<Template>, given: &file::Route) -> Option<String> {
        let uri = self.url("a route", text)?;
        if uri.query().is_some() {
            self.findings.error(text.span, "the URL of a route has no query");
            return None;
        }
        if uri.scheme_str() != Some("https") && !is_here(&uri) {
            let finding = self.findings.warning(text.span, "tokens travel in the clear over http");
            finding.help("the URL is the one that clients use: https, if a proxy in front speaks TLS");
        }
        let written = self.resolve_open(text)?;
        // RFC 3986 §2: what else a parser lets pass would not pass in a challenge.
        let is_of_a_url =
            |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
        if !written.bytes().all(is_of_a_url) {
            let finding = self.findings.error(text.span, "this URL has characters that no URL has");
            finding.help("write them with percent signs");
            return None;
        }
        let path = given.path.as_ref().map_or("/mcp", |path| path.value.as_str());
        if uri.path().trim_end_matches('/') != path.trim_end_matches('/') {
            let finding = self.findings.warning(
                text.span,
                format!("the path of this URL is {:?}, and that of the route {path:?}", uri.path()),
            );
            finding.help("whatever stands in front must lead the one to the other, and its /.well-known/oauth-protected-resource, too");
        }
        Some(written)
    }

    fn scopes(&mut self, plan: &mut ResourcePlan, given: &file::Route) {
        for Entry { name, value } in given.scopes.iter().flat_map(|given| &given.value.0) {
            self.scope_name(name);
            let Some(At { value: gates, span }) = value else { continue };
            let kinds = [
                (Kind::Tool, &gates.tools),
                (Kind::Prompt, &gates.prompts),
                (Kind::Resource, &gates.resources),
            ];
            let written: usize =
                kinds.iter().filter_map(|(_, globs)| globs.as_ref()).map(|globs| globs.value.len()).sum();
            if written == 0 && !gates.written.strange {
                let finding = self.findings.error(*span, format!("nothing needs the scope {:?}", name.value));
                finding.help("say what does: tools = [\"*\"]");
            }
            for (kind, globs) in kinds {
                for glob in globs.iter().filter(|_| kind == Kind::Resource).flat_map(|globs| &globs.value) {
                    self.resource_glob(glob);
                }
                let Some(names) = globs.as_ref().and_then(|globs| self.globs(Some(globs))) else { continue };
                plan.scopes.push(ScopeRule { kind, names, scopes: vec![name.value.clone()] });
            }
        }
        for name in given.initial_scopes.iter().flat_map(|names| &names.value) {
            self.scope_name(name);
            if name.value == "offline_access" {
                // MCP 2026-07-28 `basic/authorization`: it says nothing of what is to be protected here.
                let finding =
                    self.findings.warning(name.span, "\"offline_access\" is between a client and its issuer");
                finding.help("leave it out; clients ask for it themselves");
            }
        }
    }

    /// Tokens and keys may have any scope. Where there are none, certificates have those of their tables, and users of a proxy none.
    fn scopes_can_be_had(&mut self, plan: &ResourcePlan, given: &file::Route) {
        if !plan.issuers.is_empty() || plan.api_keys {
            return;
        }
        let carried = plan.proxies.iter().filter_map(|proxy| proxy.certificate.as_ref());
        let of: Vec<_> = plan.certificates.iter().chain(carried.flat_map(|carried| &carried.of)).collect();
        for Entry { name, .. } in given.scopes.iter().flat_map(|given| &given.value.0) {
            if of.iter().any(|certificates| certificates.scopes.contains(&name.value)) {
                continue;
            }
            let text = format!(
                "nobody who calls here can have the scope {:?}, so nobody may use what needs it",
                name.value
            );
            let finding = self.findings.warning(name.span, text);
            match of.first() {
                Some(first) => finding.help(format!(
                    "callers by a certificate have the scopes of its table: [certificates.{}] scopes = [{:?}]",
                    first.name, name.value
                )),
                None => finding
                    .help("users of a proxy have no scopes: leave it out, or let callers come by tokens or keys, too"),
            };
        }
    }

    /// RFC 3986 §6.2.2.1: servers read schemes and hosts without regard to case, so one name in capitals would guard one spelling.
    fn resource_glob(&mut self, glob: &At<String>) {
        let Some((scheme, rest)) = glob.value.split_once("://") else { return };
        let host = rest.split(['/', '*', '?', '[', '{']).next().unwrap_or_default();
        if scheme.chars().chain(host.chars()).any(|letter| letter.is_ascii_uppercase()) {
            let finding = self.findings.error(glob.span, "this guards one spelling of the URI only");
            finding.help(format!(
                "write its scheme and host in lower case, which stands for all: \"{}://{}{}\"",
                scheme.to_ascii_lowercase(),
                host.to_ascii_lowercase(),
                rest.strip_prefix(host).unwrap_or_default()
            ));
        }
    }

    /// Which claims policies may look at beside those that they know.
    fn policy_claims(&mut self, given: &file::ClaimNames) {
        let mut before: Vec<&str> = Vec::new();
        for name in given.policy.iter().flat_map(|names| &names.value) {
            let text = name.value.as_str();
            let wrong = if text.split('.').any(str::is_empty) || text.chars().any(char::is_control) {
                Some("this is the name of no claim")
            } else if before.contains(&text) {
                Some("this claim stands here twice")
            } else if before.len() >= MOST_CLAIMS {
                Some("these are too many claims")
            } else {
                None
            };
            if let Some(wrong) = wrong {
                let finding = self.findings.error(name.span, wrong);
                finding.help(format!(
                    "up to {MOST_CLAIMS} names, \"a.b\" for the claim b in the claim a, each once"
                ));
                return;
            }
            before.push(text);
        }
    }

    /// RFC 6749 §3.3.
    pub(super) fn scope_name(&mut self, name: &At<String>) {
        let is_scope = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if name.value.is_empty() || !name.value.bytes().all(is_scope) {
            let finding = self.findings.error(name.span, "this is no scope");
            finding.help("a scope has no spaces, no quotes, no backslashes, and only ASCII");
        }
    }
}

/// The most claims of one issuer that policies may look at.
const MOST_CLAIMS: usize = 32;

/// Whether there is a key in a key set. Whether it can be used is found out later; one that is half written has none.
fn holds_keys(text: &str) -> bool {
    let Ok(set) = Object::parse(text.trim()) else { return false };
    let keys = set.get("keys").ok().flatten().map(json::array).and_then(Result::ok);
    keys.is_some_and(|keys| {
        let is_key =
            |key: &&str| Object::parse(key).is_ok_and(|key| key.get("kty").is_ok_and(|kind| kind.is_some()));
        keys.iter().any(is_key)
    })
}

pub(super) fn texts(given: Option<&At<file::Texts>>) -> Vec<String> {
    given.into_iter().flat_map(|given| &given.value).map(|text| text.value.clone()).collect()
}

fn claim_names(given: &file::ClaimNames) -> ClaimNames {
    let mut names = ClaimNames::default();
    if let Some(subject) = &given.subject {
        names.subject = path(&subject.value);
    }
    if let Some(groups) = &given.groups {
        names.groups = path(&groups.value);
    }
    names.client = given.client.as_ref().map(|name| path(&name.value));
    names.scopes = given.scopes.as_ref().map(|name| path(&name.value));
    names.more = texts(given.policy.as_ref()).iter().map(|name| (name.as_str().into(), path(name))).collect();
    names
}

/// The names on the way to a claim. What has a URL for a name lies in no other.
fn path(name: &str) -> Vec<String> {
    if name.contains("://") {
        return vec![name.to_owned()];
    }
    name.split('.').map(str::to_owned).collect()
}

fn is_here(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
