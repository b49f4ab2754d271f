//! What a caller's view shows of one server.

use std::sync::Arc;

use auth::definition::{Definition, Sort};
use auth::{Action, Decision, Gate, Known, Permit, Principal, Refusal, View};
use mcp::method::Kind;

/// One server as a view shows it.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    upstream: &'a Arc<str>,
    view: &'a View,
}

impl<'a> Sight<'a> {
    pub fn of(upstream: &'a Arc<str>, view: &'a View) -> Self {
        Self { upstream, view }
    }

    /// The server's name.
    pub fn upstream(self) -> &'a str {
        self.upstream
    }

    /// Whether all of it is shown, so that nobody need ask for each thing.
    pub fn is_whole(self) -> bool {
        self.view.shows_everything()
    }

    /// Whether it shows the server's thing of that kind and own name: who may not use it does not see it.
    pub fn has(self, kind: Kind, name: &str) -> bool {
        self.has_defined(kind, name, None)
    }

    /// The same of what its server says this of.
    pub fn has_defined(self, kind: Kind, name: &str, definition: Option<&Arc<Definition>>) -> bool {
        let Some(sort) = Sort::of(kind) else { return true };
        let known = Known { sort: Some(sort), definition, ..Known::default() };
        self.shows(&Action { known, ..Action::new(sort.method(), self.upstream, Some(name)) })
    }

    /// Whether it shows a resource, and lets its changes be heard of.
    pub fn watches(self, uri: &str) -> bool {
        let known = Known { sort: Some(Sort::Resource), ..Known::default() };
        let watch = Action { known, ..Action::new("resources/subscribe", self.upstream, Some(uri)) };
        self.has(Kind::Resource, uri) && self.shows(&watch)
    }

    fn shows(self, action: &Action<'_>) -> bool {
        let other = || other_spelling(action);
        self.is_whole()
            || (self.view.shows(action)
                && other().is_none_or(|other| self.view.shows(&Action { name: Some(&other), ..*action })))
    }

    /// Whether it shows anything of a kind: who may not list does not hear, either, that the list has changed.
    pub fn lists(self, kind: Kind) -> bool {
        let method = super::list_name(kind);
        self.view.shows(&Action::new(method, self.upstream, None))
    }
}

/// Asks the gate, about a resource under each URI that its server may take for it.
///
/// `told` gets what was decided, the last time that it was asked.
pub fn permit(
    gate: &Gate,
    principal: &Principal,
    action: &Action<'_>,
    mut told: Option<&mut Option<Decision>>,
) -> Result<Permit, Refusal> {
    let mut ask = |action: &Action<'_>| match told.as_deref_mut() {
        None => gate.permit(principal, action),
        Some(told) => {
            let (permitted, decided) = gate.permit_and_tell(principal, action);
            *told = decided;
            permitted
        }
    };
    if let Some(other) = other_spelling(action).filter(|_| gate.decides()) {
        ask(&Action { name: Some(&other), ..*action })?;
    }
    ask(action)
}

fn other_spelling(action: &Action<'_>) -> Option<String> {
    action.name.filter(|_| action.known.sort == Some(Sort::Resource)).and_then(identity::other_spelling)
}
