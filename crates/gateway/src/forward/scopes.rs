//! What a token is good for: a call that needs scopes which its token lacks is refused, and told all of them at once, so that a
//! client need ask its user only once more (MCP 2026-07-28 `basic/authorization` §Scope Challenge Handling).

use std::sync::Arc;

use catalog::Catalog;
use identity::Identifier;
use mcp::method::Kind;

use super::filter::{Admit, At, Filter, Stage};

/// Refuses what a caller's token is not good for.
#[derive(Debug)]
pub(crate) struct Scopes {
    pub(crate) identifier: Arc<Identifier>,
    pub(crate) catalog: Arc<Catalog>,
}

impl Filter for Scopes {
    fn stage(&self) -> Stage {
        Stage::Scopes
    }

    fn admit<'a>(&'a self, at: At<'a>) -> Admit<'a> {
        let (Some(subject), whose) = (at.call.subject(), (&at.caller.principal, at.caller.claims.as_deref()))
        else {
            return Admit::PASS;
        };
        let refused = match at.call.kind() {
            kind @ (Kind::Tool | Kind::Prompt) => {
                let of = (at.target.server, at.target.member.upstream.plan());
                let own = at.target.name.as_deref().unwrap_or(&subject.text);
                let all = identity::all_names(&self.catalog.names, of, kind, own);
                let names: Vec<&str> = all.iter().map(String::as_str).chain([&*subject.text]).collect();
                self.identifier.lacks(whose, kind, &names)
            }
            kind @ (Kind::Resource | Kind::Template) => {
                self.identifier.lacks_for_uri(whose, kind, &subject.text)
            }
            Kind::Server | Kind::Task => None,
        };
        refused.map_or(Admit::PASS, |refusal| Admit::Now(Err(refusal.into())))
    }
}
