//! Sessions with legacy servers that belong to one client's session outlive the replica that opened them: the server keeps what
//! the client has built up in them, so whoever goes on with the one goes on with the other.

use std::sync::Arc;

use base::digest::Digest;
use base::error::CallError;
use base::plan::Limits;
use bytes::Bytes;
use http::HeaderValue;
use mcp::json::{self, Object};
use mcp::jsonrpc::Message;
use store::seal::Bound;
use store::sessions::If;
use store::{Store, StoreFault};

use super::HttpWire;
use crate::link::Whose;

/// How long it is remembered: as long as any client's session may go on.
fn keep() -> std::time::Duration {
    Limits::default().longest_seal()
}

/// What a fact about a session with this server begins with.
fn prefix(wire: &HttpWire) -> String {
    format!("upstream:{}:", wire.shared.plan.name)
}

/// One for each server, wherever it is, and for each set of what its client can be asked.
fn fact(wire: &HttpWire, whose: &Whose) -> String {
    let url = wire.reach.destination.url().to_string();
    format!("{}{}", prefix(wire), Digest::of([url.as_str(), &*whose.declared]))
}

fn purpose(wire: &HttpWire) -> String {
    format!("upstream-session:{}", wire.shared.plan.name)
}

/// The store and the client's session, if that is one that outlives this replica.
fn outliving<'w>(wire: &'w HttpWire, whose: &'w Whose) -> Option<(&'w Store, &'w Arc<str>)> {
    Some((wire.shared.world.store.as_deref()?, whose.session.as_ref()?))
}

/// Remembers a session, and what the server said when it was opened. Whether that was done.
pub(super) async fn remember(wire: &HttpWire, whose: &Whose, id: &HeaderValue, answer: &Message) -> bool {
    let Some((store, session)) = outliving(wire, whose) else { return false };
    let Ok(id) = id.to_str() else { return false };
    let Ok(answer) = std::str::from_utf8(answer.bytes()) else { return false };
    let payload = format!(r#"{{"id":{},"answer":{answer}}}"#, json::quote(id));
    let world = &wire.shared.world;
    let bound = Bound { purpose: &purpose(wire), principal: whose.principal.id() };
    // To know a session's id is to be let into it.
    let Ok(sealed) = world.seal.seal(bound, world.clock.now() + keep(), payload.as_bytes()) else {
        return false;
    };
    let put = store.put_fact((session, &fact(wire, whose)), sealed.as_bytes(), keep(), If::Any).await;
    match put {
        Ok(put) => put.is_some(),
        Err(fault) => {
            tracing::warn!(
                upstream = wire.shared.plan.name,
                "a session does not outlive this replica: {fault}"
            );
            false
        }
    }
}

/// The session that was remembered: its id, and what the server said when it was opened.
///
/// # Errors
/// When the store is away. To open another session then would lose what the client has built up, without a word.
pub(super) async fn recall(
    wire: &HttpWire,
    whose: &Whose,
) -> Result<Option<(HeaderValue, Message)>, CallError> {
    let Some((store, session)) = outliving(wire, whose) else { return Ok(None) };
    let fact = store.fact((session, &fact(wire, whose))).await;
    let away = |fault: StoreFault| CallError::store_away("a session with a server", &fault);
    Ok(fact.map_err(away)?.and_then(|fact| open(wire, whose, &fact.value)))
}

/// All that were remembered for this client's session.
pub(super) async fn recall_all(wire: &HttpWire, whose: &Whose) -> Vec<(HeaderValue, Message)> {
    let Some((store, session)) = outliving(wire, whose) else { return Vec::new() };
    let facts = store.facts(session).await.unwrap_or_else(|fault| {
        tracing::warn!(
            upstream = wire.shared.plan.name,
            "sessions of a client that ended may be left: {fault}"
        );
        Vec::new()
    });
    let mine = facts.into_iter().filter(|(name, _)| name.starts_with(&prefix(wire)));
    mine.filter_map(|(_, fact)| open(wire, whose, &fact.value)).collect()
}

fn open(wire: &HttpWire, whose: &Whose, sealed: &[u8]) -> Option<(HeaderValue, Message)> {
    let world = &wire.shared.world;
    let bound = Bound { purpose: &purpose(wire), principal: whose.principal.id() };
    let opened = world.seal.open(bound, world.clock.now(), std::str::from_utf8(sealed).ok()?);
    let payload = opened.inspect_err(|fault| tracing::debug!(%fault, "a remembered session")).ok()?;
    let object = Object::parse(std::str::from_utf8(&payload).ok()?).ok()?;
    let id = HeaderValue::from_str(&object.string("id").ok().flatten()?).ok()?;
    let answer = Bytes::copy_from_slice(object.get("answer").ok().flatten()?.as_bytes());
    Some((id, Message::parse(answer).ok()?))
}
