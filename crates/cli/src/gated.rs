//! What needs scopes, tried out: a rule that gates nothing of what servers offer protects nothing, and is perhaps a slip.

use std::collections::BTreeMap;

use base::names::Names;
use base::plan::{RoutePlan, Selection};
use mcp::json::Object;
use mcp::method::Kind;

/// What a server was seen to offer, under the names that it is shown with, without prefixes.
#[derive(Debug, Default)]
pub(crate) struct Offered {
    names: BTreeMap<Kind, Vec<String>>,
    /// Of which it did not give the list.
    unknown: Vec<Kind>,
}

impl Offered {
    /// Notes the entries of a list, by the member that names them.
    pub(crate) fn add(&mut self, (kind, member): (Kind, &str), entries: &[Object<'_>]) {
        let name = |entry: &Object<'_>| Some(entry.string(member).ok().flatten()?.into_owned());
        self.names.entry(kind).or_default().extend(entries.iter().filter_map(name));
    }

    /// Notes that it did not give a list.
    pub(crate) fn not_listed(&mut self, kind: Kind) {
        self.unknown.push(kind);
    }

    fn of(&self, kind: Kind) -> &[String] {
        self.names.get(&kind).map(Vec::as_slice).unwrap_or_default()
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
    let public = |kind: Kind| -> Vec<String> {
        let each = servers.iter().enumerate();
        let forms = each.flat_map(|(at, (_, offered))| offered.of(kind).iter().map(move |name| (at, name)));
        match kind {
            Kind::Tool | Kind::Prompt => forms.flat_map(|(at, name)| names.forms(at, name, &plain)).collect(),
            _ => forms.filter_map(|(at, name)| Some(names.public_uri(at, name)?.into_owned())).collect(),
        }
    };
    let templates = public(Kind::Template);
    let mut lines = Vec::new();
    for rule in &resource.scopes {
        let (noun, lists) = match rule.kind {
            Kind::Tool => ("tool", &[Kind::Tool][..]),
            Kind::Prompt => ("prompt", &[Kind::Prompt][..]),
            _ => ("resource", &[Kind::Resource, Kind::Template][..]),
        };
        if servers.iter().any(|(_, offered)| offered.unknown.iter().any(|kind| lists.contains(kind))) {
            continue;
        }
        // What a template stands for begins as it does.
        let of_templates = templates.iter().filter(|_| lists.contains(&Kind::Template));
        let begins: Vec<&str> =
            of_templates.map(|template| template.split('{').next().unwrap_or_default()).collect();
        for glob in rule.names.idle(&public(rule.kind), &begins) {
            let scope = rule.scopes.join(" ");
            lines.push(format!(
                "route {}: no {noun} that its servers list needs the scope {scope:?} by {glob:?}; globs are of public names, as `portolan list` shows them",
                route.name
            ));
        }
    }
    lines
}
