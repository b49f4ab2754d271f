//! What a token is good for: a call that needs scopes which its token lacks is refused, and told all of them at once, so that a
//! client need ask its user only once more (MCP 2026-07-28 `basic/authorization` §Scope Challenge Handling).

use std::sync::Arc;

use auth::{Principal, Refusal};
use identity::Identifier;
use mcp::method::Kind;

use super::filter::{Admit, At, Filter, Stage};

/// Refuses what a caller's token is not good for.
#[derive(Debug)]
pub(crate) struct Scopes(pub(crate) Arc<Identifier>);

impl Filter for Scopes {
    fn stage(&self) -> Stage {
        Stage::Scopes
    }

    fn admit<'a>(&'a self, at: At<'a>) -> Admit<'a> {
        let kind = match at.call.kind() {
            Kind::Template => Kind::Resource,
            kind => kind,
        };
        let Some(subject) = at.call.subject() else { return Admit::PASS };
        // Over stdio nobody is asked who it is, and Portolan itself is nobody; over HTTP no anonymous caller comes here.
        if at.caller.principal == Principal::anonymous() {
            return Admit::PASS;
        }
        let needed = self.0.plan().scopes_of(kind, &subject.text);
        let lacks = match &at.caller.claims {
            Some(claims) => !claims.lacks(needed.iter().copied()).is_empty(),
            None => !needed.is_empty(),
        };
        if !lacks {
            return Admit::PASS;
        }
        Admit::Now(Err(Refusal::Scopes(needed.into_iter().map(str::to_owned).collect()).into()))
    }
}
