//! What needs scopes, tried out: a rule that gates nothing of what servers offer protects nothing, and is perhaps a slip.

use std::collections::BTreeMap;

use base::names::Names;
use base::plan::{RoutePlan, Selection};
use mcp::json::Object;
use mcp::method::Kind;

/// What a server was seen to offer, under the names that it is shown with, without prefixes.
#[derive(Debug, Default)]
pub(crate) struct Offered {
    names: BTreeMap<&'static str, Vec<String>>,
    /// The lists that it did not give.
    unknown: Vec<&'static str>,
}

impl Offered {
    /// Notes the entries of a list, by the member that names them.
    pub(crate) fn add(&mut self, (kind, member): (&'static str, &str), entries: &[Object<'_>]) {
        let name = |entry: &Object<'_>| Some(entry.string(member).ok().flatten()?.into_owned());
        self.names.entry(kind).or_default().extend(entries.iter().filter_map(name));
    }

    /// Notes that it did not give a list.
    pub(crate) fn not_listed(&mut self, kind: &'static str) {
        self.unknown.push(kind);
    }

    fn of(&self, kind: &str) -> &[String] {
        self.names.get(kind).map(Vec::as_slice).unwrap_or_default()
    }
}

/// A line for each glob of a route's scopes that gates nothing of what its servers offer. Nothing is said of a route of which a server
/// was not seen, nor of lists that one did not give.
pub(crate) fn idle(route: &RoutePlan, seen: &BTreeMap<String, (String, Offered)>) -> Vec<String> {
    let Some(resource) = route.resource.as_ref().filter(|resource| !resource.scopes.is_empty()) else {
        return Vec::new();
    };
    let servers: Option<Vec<_>> = route.upstreams.iter().map(|name| seen.get(name)).collect();
    let Some(servers) = servers else { return Vec::new() };
    let names = Names::new(&route.naming, servers.iter().map(|(prefix, _)| prefix.as_str()));
    // They are renamed already.
    let plain = Selection::default();
    let public = |kind: &str| -> Vec<String> {
        let each = servers.iter().enumerate();
        let forms = each.flat_map(|(at, (_, offered))| offered.of(kind).iter().map(move |name| (at, name)));
        match kind {
            "tools" | "prompts" => forms.flat_map(|(at, name)| names.forms(at, name, &plain)).collect(),
            _ => forms.filter_map(|(at, name)| Some(names.public_uri(at, name)?.into_owned())).collect(),
        }
    };
    let (tools, prompts, resources) = (public("tools"), public("prompts"), public("resources"));
    let templates = public("resource templates");
    let begins: Vec<&str> =
        templates.iter().map(|template| template.split('{').next().unwrap_or_default()).collect();
    let mut lines = Vec::new();
    for rule in &resource.scopes {
        let (noun, offered, lists) = match rule.kind {
            Kind::Tool => ("tool", &tools, &["tools"][..]),
            Kind::Prompt => ("prompt", &prompts, &["prompts"][..]),
            _ => ("resource", &resources, &["resources", "resource templates"][..]),
        };
        if servers.iter().any(|(_, offered)| offered.unknown.iter().any(|list| lists.contains(list))) {
            continue;
        }
        let begins = if noun == "resource" { begins.as_slice() } else { &[] };
        for glob in rule.names.idle(offered, begins) {
            let scope = rule.scopes.join(" ");
            lines.push(format!(
                "route {}: no {noun} that its servers list needs the scope {scope:?} by {glob:?}; globs are of public names, as `portolan list` shows them",
                route.name
            ));
        }
    }
    lines
}
