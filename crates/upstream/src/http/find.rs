//! Reading a stream no further than to the one response that is wanted, where nobody waits for what comes before it.

use base::error::CallError;
use mcp::glance;
use mcp::jsonrpc::{EnvelopeFault, Message};
use mcp::sse::Decoder;
use transport::http::client::Reply;
use transport::memory::SMALL;

use super::HttpWire;

/// What a stream that answers a request says first of those things that matter.
pub(super) enum FirstEvent {
    /// The response.
    Response(Message),
    /// Where to POST to: it is a stream of HTTP+SSE.
    Endpoint,
}

/// Reads a stream up to the response to `id`; what comes before it belongs to nobody.
pub(super) async fn find_response(wire: &HttpWire, reply: &mut Reply, id: u64) -> Result<Message, CallError> {
    match find_first(wire, reply, id).await? {
        FirstEvent::Response(message) => Ok(message),
        FirstEvent::Endpoint => Err(wire.invalid("its stream is one of HTTP+SSE")),
    }
}

/// Reads a stream up to the response to `id`, or to what shows that there will be none.
pub(super) async fn find_first(wire: &HttpWire, reply: &mut Reply, id: u64) -> Result<FirstEvent, CallError> {
    let mut decoder = Decoder::new(wire.shared.plan.message_bytes);
    let (mut found, mut held) = (None, wire.shared.share.nothing());
    let mut skipped = None;
    while let Some(chunk) = reply.chunk().await.map_err(|fault| wire.fault(fault))? {
        let fed = decoder.feed(&chunk, |event| {
            if event.name.as_deref() == Some("endpoint") {
                found = found.take().or(Some(Ok(FirstEvent::Endpoint)));
                return;
            }
            let answer = match Message::of_server(event.data.clone(), wire.shared.plan.json_depth) {
                // An error may lack the id when the server could not read ours; on this stream it can be no other's.
                Ok(message) if is_answer(&message, id) => Some(Ok(FirstEvent::Response(message))),
                Ok(message) => wire.shared.strange(&message, id).map(Err),
                Err(fault) if glance::answers(&event.data, id) => Some(Err(wire.invalid(&fault.to_string()))),
                Err(fault) => {
                    skipped.get_or_insert_with(|| no_message(&event.data, &fault));
                    None
                }
            };
            found = found.take().or(answer);
        });
        fed.map_err(|fault| wire.invalid(&fault.to_string()))?;
        if let Some(answer) = found.take() {
            return answer;
        }
        if decoder.held() > SMALL {
            held.hold(decoder.held()).await.map_err(|full| wire.fault(full.into()))?;
        }
    }
    Err(wire.invalid(&ended(skipped.as_deref())))
}

/// Why there is no response on a stream, with the first of its events that are no message: it may have been meant for one.
pub(super) fn ended(skipped: Option<&str>) -> String {
    let skipped =
        skipped.map(|skipped| format!("; an event on it is no message: {skipped}")).unwrap_or_default();
    format!("its stream ended without a response{skipped}")
}

/// What is wrong with an event that is no message, with its beginning.
pub(super) fn no_message(data: &[u8], fault: &EnvelopeFault) -> String {
    const SHOWN: usize = 60;
    let text = String::from_utf8_lossy(data.get(..4 * SHOWN).unwrap_or(data)).into_owned();
    let more = if data.len() > 4 * SHOWN || text.chars().count() > SHOWN { "…" } else { "" };
    format!("{fault}: {:?}{more}", text.chars().take(SHOWN).collect::<String>())
}

fn is_answer(message: &Message, id: u64) -> bool {
    message.is_response() && message.response_id().is_none_or(|theirs| theirs.as_number() == Some(id))
}
