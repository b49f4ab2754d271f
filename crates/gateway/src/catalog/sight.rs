//! What a caller's view shows of one server.

use std::sync::Arc;

use auth::{Action, View};
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
        let method = match kind {
            Kind::Tool => "tools/call",
            Kind::Prompt => "prompts/get",
            Kind::Resource | Kind::Template => "resources/read",
            Kind::Server | Kind::Task => return true,
        };
        self.view.shows(&Action { method, upstream: self.upstream, name: Some(name) })
    }

    /// Whether it shows a resource, and lets its changes be heard of.
    pub(crate) fn watches(self, uri: &str) -> bool {
        let watch = Action { method: "resources/subscribe", upstream: self.upstream, name: Some(uri) };
        self.has(Kind::Resource, uri) && self.view.shows(&watch)
    }

    /// Whether it shows anything of a kind: who may not list does not hear, either, that the list has changed.
    pub(crate) fn lists(self, kind: Kind) -> bool {
        let method = super::list_name(kind);
        self.view.shows(&Action { method, upstream: self.upstream, name: None })
    }
}
