//! What a caller's view shows of one server.

use std::sync::Arc;

use auth::definition::{Definition, Sort};
use auth::{Action, Known, View};
use mcp::method::Kind;

/// One server as a view shows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight<'a> {
    upstream: &'a Arc<str>,
    view: &'a View,
}

impl<'a> Sight<'a> {
    pub(crate) fn of(upstream: &'a Arc<str>, view: &'a View) -> Self {
        Self { upstream, view }
    }

    /// The server's name.
    pub(crate) fn upstream(self) -> &'a str {
        self.upstream
    }

    /// Whether all of it is shown, so that nobody need ask for each thing.
    pub(crate) fn is_whole(self) -> bool {
        self.view.shows_everything()
    }

    /// Whether it shows the server's thing of that kind and own name: who may not use it does not see it.
    pub(crate) fn has(self, kind: Kind, name: &str) -> bool {
        self.has_defined(kind, name, None)
    }

    /// The same of what its server says this of.
    pub(crate) fn has_defined(self, kind: Kind, name: &str, definition: Option<&Arc<Definition>>) -> bool {
        let Some(sort) = sort(kind) else { return true };
        let method = match sort {
            Sort::Tool => "tools/call",
            Sort::Prompt => "prompts/get",
            Sort::Resource | Sort::Template => "resources/read",
        };
        let known = Known { sort: Some(sort), definition, ..Known::default() };
        let shows = |name: &str| {
            self.view.shows(&Action { method, upstream: self.upstream, name: Some(name), known })
        };
        let other = || (sort == Sort::Resource).then(|| identity::other_spelling(name))?;
        self.is_whole() || (shows(name) && other().is_none_or(|other| shows(&other)))
    }

    /// Whether it shows a resource, and lets its changes be heard of.
    pub(crate) fn watches(self, uri: &str) -> bool {
        let watches =
            |uri: &str| self.view.shows(&Action::new("resources/subscribe", self.upstream, Some(uri)));
        let other = || identity::other_spelling(uri);
        self.is_whole()
            || (self.has(Kind::Resource, uri) && watches(uri) && other().is_none_or(|other| watches(&other)))
    }

    /// Whether it shows anything of a kind: who may not list does not hear, either, that the list has changed.
    pub(crate) fn lists(self, kind: Kind) -> bool {
        let method = super::list_name(kind);
        self.view.shows(&Action::new(method, self.upstream, None))
    }
}

/// What a thing of that kind is to whoever decides; nothing where nobody does.
pub(crate) fn sort(kind: Kind) -> Option<Sort> {
    match kind {
        Kind::Tool => Some(Sort::Tool),
        Kind::Prompt => Some(Sort::Prompt),
        Kind::Resource => Some(Sort::Resource),
        Kind::Template => Some(Sort::Template),
        Kind::Server | Kind::Task => None,
    }
}
