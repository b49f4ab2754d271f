//! What lists show to a token that lacks scopes.

use std::fmt;
use std::sync::Arc;

use auth::{Action, Claims, Gate, Narrow, Principal, View};
use base::names::Names;
use base::plan::UpstreamPlan;
use mcp::method::Kind;

use crate::identifier::Identifier;
use crate::url::spellings;

/// What everybody may see of a route.
#[derive(Debug, Clone)]
pub struct Views {
    gate: Gate,
    /// Where lists leave out what a token is not good for.
    rules: Option<Arc<ScopeRules>>,
}

/// Which of a route's things need which scopes.
struct ScopeRules {
    identifier: Arc<Identifier>,
    names: Arc<Names>,
    /// The servers of the route, in its order.
    servers: Vec<(Arc<str>, UpstreamPlan)>,
    /// All scopes that something needs, each once.
    scopes: Vec<String>,
}

/// The view of a token that lacks some of the scopes.
#[derive(Debug)]
struct Scoped {
    rules: Arc<ScopeRules>,
    lacking: Vec<String>,
}

impl Views {
    /// Behind a gate, of servers with these names in the order of the route.
    #[must_use]
    pub fn new<'s>(
        gate: &Gate,
        identifier: Option<&Arc<Identifier>>,
        (names, servers): (&Arc<Names>, impl Iterator<Item = (&'s Arc<str>, &'s UpstreamPlan)>),
    ) -> Self {
        let hides =
            |identifier: &&Arc<Identifier>| identifier.plan().hides && !identifier.plan().scopes.is_empty();
        let rules = identifier.filter(hides).map(|identifier| {
            let mut scopes: Vec<String> = Vec::new();
            for scope in identifier.plan().scopes.iter().flat_map(|rule| &rule.scopes) {
                if !scopes.contains(scope) {
                    scopes.push(scope.clone());
                }
            }
            let servers = servers.map(|(name, plan)| (Arc::clone(name), plan.clone())).collect();
            let (identifier, names) = (Arc::clone(identifier), Arc::clone(names));
            Arc::new(ScopeRules { identifier, names, servers, scopes })
        });
        Self { gate: gate.clone(), rules }
    }

    /// What somebody may see, as far as their token is good for it. Who is anonymous is not asked: over stdio nobody is.
    #[must_use]
    pub fn of(&self, (principal, claims): (&Principal, Option<&Arc<Claims>>)) -> View {
        let view = self.gate.view(principal, claims);
        let Some(rules) = self.rules.as_ref().filter(|_| *principal != Principal::anonymous()) else {
            return view;
        };
        let nothing = Claims::default();
        let lacking = claims.map_or(&nothing, Arc::as_ref).lacks(rules.scopes.iter().map(String::as_str));
        if lacking.is_empty() {
            return view;
        }
        let lacking = lacking.into_iter().map(str::to_owned).collect();
        view.narrowed(Arc::new(Scoped { rules: Arc::clone(rules), lacking }))
    }

    /// What leads anywhere for somebody: what a token is not good for is there all the same, and its caller is told what it needs
    /// (MCP 2026-07-28 `basic/authorization` §Scope Challenge Handling).
    #[must_use]
    pub fn leading(&self, (principal, claims): (&Principal, Option<&Arc<Claims>>)) -> View {
        self.gate.leading(principal, claims)
    }

    /// Whether lists show to one what they do not show to another.
    #[must_use]
    pub fn differ(&self) -> bool {
        self.rules.is_some() || self.gate.decides()
    }
}

impl Narrow for Scoped {
    fn id(&self) -> Arc<str> {
        // A scope has no spaces.
        self.lacking.join(" ").into()
    }

    fn shows(&self, action: &Action<'_>) -> bool {
        let Some(own) = action.name else { return true };
        let mut servers = self.rules.servers.iter().enumerate();
        // What Portolan itself offers needs no scope.
        let Some((number, (_, plan))) = servers.find(|(_, (name, _))| name == action.upstream) else {
            return true;
        };
        let names = &self.rules.names;
        let (kind, forms) = match action.method {
            "tools/call" => (Kind::Tool, all_names(names, (number, plan), Kind::Tool, own)),
            "prompts/get" => (Kind::Prompt, all_names(names, (number, plan), Kind::Prompt, own)),
            "resources/read" | "resources/subscribe" => {
                // No URI has a brace (RFC 3986 §2), and every template that is not a URI itself has one (RFC 6570 §2).
                let kind = if own.contains('{') { Kind::Template } else { Kind::Resource };
                let public = names.public_uri(number, own).unwrap_or_else(|| own.into());
                (kind, spellings(&public).to_vec())
            }
            _ => return true,
        };
        let forms: Vec<&str> = forms.iter().map(String::as_str).collect();
        let needed = self.rules.identifier.plan().scopes_of(kind, &forms);
        !needed.into_iter().any(|scope| self.lacking.iter().any(|lacks| lacks == scope))
    }
}

/// Every name that leads to a tool or a prompt of a server: what one of them needs a scope for, it needs by any.
#[must_use]
pub fn all_names(
    names: &Names,
    (server, plan): (usize, &UpstreamPlan),
    kind: Kind,
    own: &str,
) -> Vec<String> {
    let selection = if kind == Kind::Tool { &plan.tools } else { &plan.prompts };
    names.forms(server, own, selection)
}

impl fmt::Debug for ScopeRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopeRules").field("scopes", &self.scopes).finish_non_exhaustive()
    }
}
