//! Routes: what they point at, and whether anything leads where it should.

use base::plan::identity::{CertificatesPlan, ProxyPlan};
use base::plan::policy::ServerFacts;
use base::plan::{Naming, PrefixRule, RoutePlan};

use super::identity::texts;
use super::upstream::Upstream;
use super::{JSON_DEPTHS, Lowering, listener};
use crate::file::{self, Config};
use base::nearest::nearest;

use crate::findings::quoted;
use crate::node::{At, NOWHERE, Span};
use crate::read::{Entries, Entry};

const DEFAULT_NAME: &str = "main";
const DEFAULT_PATH: &str = "/mcp";
/// Below it are pages for people, such as those of approvals: no route can be there.
const OWN_PATHS: &str = "/.portolan";
/// A route, and where it is written.
struct Written {
    plan: RoutePlan,
    path: Span,
    sse_path: Option<Span>,
    issuer_at_origin: Option<Span>,
}

impl Written {
    /// All its paths, and where they are written.
    fn paths(&self) -> impl Iterator<Item = (&str, Span)> {
        let sse = self.plan.sse_path.as_deref().zip(self.sse_path);
        std::iter::once((self.plan.path.as_str(), self.path)).chain(sse)
    }

    /// Whether some listener serves both.
    fn meets(&self, other: &Self) -> bool {
        let (a, b) = (&self.plan.listeners, &other.plan.listeners);
        a.is_empty() || b.is_empty() || a.iter().any(|name| b.contains(name))
    }

    /// The issuer that it shows at the origin.
    fn shown_issuer(&self) -> Option<&str> {
        let resource = self.plan.resource.as_ref().filter(|resource| resource.shows_issuer)?;
        resource.issuers.first().map(String::as_str)
    }
}

impl Lowering<'_, '_> {
    pub(super) fn routes(
        &mut self,
        config: &Config,
        (upstreams, facts): (&[Upstream], &[ServerFacts]),
        json_depth: usize,
    ) -> Vec<RoutePlan> {
        let entries = config.route.as_ref().map(|given| given.value.0.as_slice()).unwrap_or_default();
        let mut routes = Vec::new();
        let certificates = self.certificates(config);
        let proxies = self.proxies(config, &certificates);
        let common = self.common_policy(config);
        if entries.is_empty() {
            let all: Vec<_> = upstreams.iter().filter(|upstream| !upstream.disabled).collect();
            let mut naming = Naming::default();
            let given = config.upstream.iter().flat_map(|given| &given.value.0);
            let is_off = |entry: &&Entry<file::Upstream>| {
                let disabled = entry.value.as_ref().and_then(|given| given.value.disabled.as_ref());
                disabled.is_some_and(|disabled| disabled.value)
            };
            if self.foreign() && given.filter(|entry| !is_off(entry)).count() > 1 {
                // What a tool is called does not depend on whether the other servers can be used.
                naming.prefix = PrefixRule::Always;
            }
            Self::make_room(&mut naming, &all);
            let mut plan = RoutePlan {
                name: DEFAULT_NAME.to_owned(),
                listeners: Vec::new(),
                path: DEFAULT_PATH.to_owned(),
                sse_path: None,
                upstreams: names(&all),
                naming,
                page_size: None,
                durable_streams: false,
                json_depth,
                tells_of_changes: true,
                resource: None,
                policy: None,
                decides: None,
            };
            plan.upstreams = names(&self.prefixes(&plan.naming, &all, None));
            if let Some(named) = common.clone() {
                self.something_is_trusted((DEFAULT_NAME, &named), &plan.upstreams, facts);
                plan.policy = Some(named.0);
            }
            routes.push(Written { plan, path: NOWHERE, sse_path: None, issuer_at_origin: None });
        }
        for entry in entries {
            self.name("a route", &entry.name);
            let Some(At { value: given, .. }) = &entry.value else { continue };
            let mut depth = json_depth;
            self.set(&mut depth, given.json_depth.as_ref(), JSON_DEPTHS);
            let named = self.route_policy(config, given, common.as_ref());
            let around = (config, upstreams, (&*certificates, &*proxies));
            let Some(mut route) = self.route(&entry.name, given, around, depth) else { continue };
            if let Some(named) = named {
                self.something_is_trusted((&entry.name.value, &named), &route.plan.upstreams, facts);
                route.plan.policy = Some(named.0);
            }
            routes.push(route);
        }
        self.paths_are_single(&routes);
        self.origins_are_single(&routes);
        if !entries.is_empty() && routes.len() == entries.len() {
            self.all_are_reached(&routes, config, upstreams);
            self.all_are_named(config);
        }
        routes.into_iter().map(|route| route.plan).collect()
    }

    fn route(
        &mut self,
        name: &At<String>,
        given: &file::Route,
        (config, upstreams, callers): (&Config, &[Upstream], (&[CertificatesPlan], &[ProxyPlan])),
        json_depth: usize,
    ) -> Option<Written> {
        let path = match &given.path {
            Some(path) => self.route_path(path),
            None => Some(DEFAULT_PATH.to_owned()),
        };
        let sse_path = given.sse_path.as_ref().and_then(|path| self.route_path(path));
        let listeners = self.route_listeners(given, config);
        let chosen: Vec<&Upstream> = match &given.upstreams {
            Some(names) => self.route_upstreams(names, upstreams),
            None => upstreams.iter().collect(),
        };
        let found = chosen.len();
        let chosen: Vec<_> = chosen.into_iter().filter(|upstream| !upstream.disabled).collect();
        let names_found = given.upstreams.as_ref().filter(|names| names.value.len() == found);
        if let Some(names) = names_found.filter(|_| chosen.is_empty()) {
            self.findings.warning(names.span, format!("route {:?} leads to no server", name.value));
        }
        let mut naming = self.naming(given.naming.as_ref());
        if given.naming.as_ref().is_none_or(|naming| naming.value.max_length.is_none()) {
            Self::make_room(&mut naming, &chosen);
        }
        self.prefixes(&naming, &chosen, Some(name));
        let page_size = given.page_size.as_ref().and_then(|size| self.bounded(size, 1..=100_000));
        let resource = self.resource(name, given, (config, callers.0, callers.1));
        let plan = RoutePlan {
            name: name.value.clone(),
            listeners,
            path: path?,
            sse_path,
            upstreams: names(&chosen),
            naming,
            page_size,
            json_depth,
            durable_streams: given.durable_streams.as_ref().is_some_and(|given| given.value),
            tells_of_changes: true,
            resource,
            policy: None,
            decides: None,
        };
        let path = given.path.as_ref().map_or(name.span, |path| path.span);
        let sse_path = given.sse_path.as_ref().map(|path| path.span);
        let issuer_at_origin = given.issuer_at_origin.as_ref().map(|shown| shown.span);
        Some(Written { plan, path, sse_path, issuer_at_origin })
    }

    fn route_path(&mut self, given: &At<String>) -> Option<String> {
        let text = given.value.as_str();
        let parsed = text.parse::<http::uri::PathAndQuery>();
        let valid = parsed.is_ok_and(|parsed| {
            parsed.query().is_none() && parsed.path() == text && text.starts_with('/') && !text.contains("//")
        });
        if !valid {
            let finding = self.findings.error(given.span, "expected a path such as \"/mcp\"");
            match text.split_once("://").and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..))) {
                Some(path) => finding.help(format!("write {path:?}; host and port belong to a listener")),
                None => {
                    finding.help("a path begins with '/', and has no query, no spaces and no empty parts")
                }
            };
            return None;
        }
        if text == OWN_PATHS || text.strip_prefix(OWN_PATHS).is_some_and(|rest| rest.starts_with('/')) {
            let text = format!("{OWN_PATHS} is for pages of Portolan's own");
            self.findings.error(given.span, text).help("give the route another path");
            return None;
        }
        if text.len() > 1 && text.ends_with('/') {
            self.findings
                .warning(given.span, "clients must write the '/' at the end, too")
                .help(format!("write {:?}", text.trim_end_matches('/')));
        }
        Some(text.to_owned())
    }

    fn route_listeners(&mut self, given: &file::Route, config: &Config) -> Vec<String> {
        let entries = config.listener.as_ref().map(|given| given.value.0.as_slice()).unwrap_or_default();
        let mut known: Vec<&str> = entries.iter().map(|entry| entry.name.value.as_str()).collect();
        if known.is_empty() {
            known.push(listener::DEFAULT_NAME);
        }
        let Some(names) = &given.listeners else { return Vec::new() };
        if names.value.is_empty() {
            let finding = self.findings.error(names.span, "a route is served by at least one listener");
            finding.help("leave it out for all");
        }
        let found = self.references("listener", names, &known);
        found.into_iter().map(str::to_owned).collect()
    }

    fn route_upstreams<'u>(
        &mut self,
        names: &At<file::Texts>,
        upstreams: &'u [Upstream],
    ) -> Vec<&'u Upstream> {
        let known: Vec<&str> = upstreams.iter().map(|upstream| upstream.name.value.as_str()).collect();
        let found = self.references("upstream", names, &known);
        found
            .into_iter()
            .filter_map(|name| upstreams.iter().find(|upstream| upstream.name.value == name))
            .collect()
    }

    /// Follows names to what has them.
    pub(super) fn references<'k>(
        &mut self,
        of: &str,
        names: &At<file::Texts>,
        known: &[&'k str],
    ) -> Vec<&'k str> {
        let mut found: Vec<&str> = Vec::new();
        for (index, name) in names.value.iter().enumerate() {
            let Some(target) = known.iter().find(|known| **known == name.value) else {
                let finding = self.findings.error(name.span, format!("there is no {of} {:?}", name.value));
                match nearest(&name.value, known.iter().copied()) {
                    Some(meant) => finding.help(format!("did you mean {meant:?}?")),
                    None => finding.help(format!("there is {}", quoted(known.iter().copied(), "and"))),
                };
                continue;
            };
            match names.value.iter().take(index).find(|other| other.value == name.value) {
                Some(first) => {
                    let finding =
                        self.findings.error(name.span, format!("{of} {:?} stands here twice", name.value));
                    finding.label(first.span, "the first is here");
                }
                None => found.push(target),
            }
        }
        found
    }

    fn paths_are_single(&mut self, routes: &[Written]) {
        let mut taken: Vec<(&Written, &str, Span)> = Vec::new();
        for route in routes {
            for (path, span) in route.paths() {
                let same =
                    |(other, theirs, _): &&(&Written, &str, Span)| *theirs == path && route.meets(other);
                if let Some((other, _, first)) = taken.iter().find(same) {
                    let message = format!("the path {path:?} leads to route {:?} already", other.plan.name);
                    self.findings
                        .error(span, message)
                        .label(*first, "here")
                        .help("give it another path, or another listener");
                }
                taken.push((route, path, span));
            }
        }
    }

    /// A listener has one origin, and clients that look there find one issuer, or none if there should be two.
    fn origins_are_single(&mut self, routes: &[Written]) {
        for (at, route) in routes.iter().enumerate() {
            let (Some(issuer), Some(span)) = (route.shown_issuer(), route.issuer_at_origin) else { continue };
            let shows_another = |other: &&Written| {
                route.meets(other) && other.shown_issuer().is_some_and(|theirs| theirs != issuer)
            };
            let Some(other) = routes.iter().take(at).find(shows_another) else { continue };
            let theirs = other.shown_issuer().unwrap_or_default();
            let message = format!(
                "one issuer can stand at the origin of a listener: {issuer:?} of route {:?} and {theirs:?} of route {:?} are two",
                route.plan.name, other.plan.name
            );
            let finding = self.findings.error(span, message);
            if let Some(first) = other.issuer_at_origin {
                finding.label(first, "the other is here");
            }
            finding.help("leave it out of one, or serve the two at different listeners");
        }
    }

    /// The tables of a kind that are named somewhere, of which there may be none at all; `holds` is what one is made of.
    pub(super) fn named_tables<'k, T>(
        &mut self,
        (of, holds): (&str, &str),
        names: Option<&At<file::Texts>>,
        given: Option<&'k At<Entries<T>>>,
    ) -> Vec<&'k str> {
        let Some(names) = names else { return Vec::new() };
        let known: Vec<&str> = entries(given).into_iter().map(|name| name.value.as_str()).collect();
        if known.is_empty() && !names.value.is_empty() {
            let finding = self.findings.error(names.span, format!("there is no table [{of}.NAME]"));
            finding.help(format!("write one, with {holds}"));
            return Vec::new();
        }
        self.references(of, names, &known)
    }

    /// Warns of those who say who calls, and whom no route asks.
    fn all_are_named(&mut self, config: &Config) {
        let routes =
            || config.route.iter().flat_map(|given| &given.value.0).filter_map(|entry| entry.value.as_ref());
        let named = |of: fn(&file::Route) -> Option<&At<file::Texts>>| -> Vec<String> {
            routes().flat_map(|route| texts(of(&route.value))).collect()
        };
        let proxies =
            config.proxy.iter().flat_map(|given| &given.value.0).filter_map(|entry| entry.value.as_ref());
        let mut certificates = named(|route| route.certificates.as_ref());
        certificates.extend(proxies.flat_map(|proxy| texts(proxy.value.certificates.as_ref())));
        for (what, key, there, named) in [
            ("issuer", "issuers", entries(config.issuer.as_ref()), named(|route| route.issuers.as_ref())),
            ("certificates", "certificates", entries(config.certificates.as_ref()), certificates),
            ("proxy", "proxies", entries(config.proxy.as_ref()), named(|route| route.proxies.as_ref())),
        ] {
            for name in there.into_iter().filter(|name| !named.contains(&name.value)) {
                let text = format!(
                    "no route names [{what}.{}]: it lets nobody in, and keeps nobody out",
                    name.value
                );
                self.findings
                    .warning(name.span, text)
                    .help(format!("write {key} = [{:?}] in a route, or leave it out", name.value));
            }
        }
    }

    /// Warns of listeners and servers that no route has.
    fn all_are_reached(&mut self, routes: &[Written], config: &Config, upstreams: &[Upstream]) {
        for upstream in upstreams.iter().filter(|upstream| !upstream.disabled) {
            let name = &upstream.name;
            if !routes.iter().any(|route| route.plan.upstreams.contains(&name.value)) {
                let finding =
                    self.findings.warning(name.span, format!("no route leads to upstream {:?}", name.value));
                finding.help("add it to the upstreams of a route, or write disabled = true");
            }
        }
        let all = routes.iter().any(|route| route.plan.listeners.is_empty());
        let listeners = config.listener.iter().flat_map(|given| &given.value.0).filter(|_| !all);
        for Entry { name, .. } in listeners {
            if !routes.iter().any(|route| route.plan.listeners.contains(&name.value)) {
                self.findings.warning(name.span, format!("no route is served by listener {:?}", name.value));
            }
        }
    }
}

fn names(upstreams: &[&Upstream]) -> Vec<String> {
    upstreams.iter().map(|upstream| upstream.name.value.clone()).collect()
}

/// The names of the tables of a kind.
pub(super) fn entries<T>(given: Option<&At<Entries<T>>>) -> Vec<&At<String>> {
    given.into_iter().flat_map(|given| &given.value.0).map(|entry| &entry.name).collect()
}
