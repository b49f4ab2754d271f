//! Tools with which a test sees what reached the server, and that nothing was lost or changed on the way.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::HeaderMap;
use mcp::json::{self, Kind, Object};
use mcp::meta::{CLIENT_CAPABILITIES, CLIENT_INFO, LOG_LEVEL, PROTOCOL_VERSION};
use tokio::time::sleep;

use crate::live::LiveCall;
use crate::tool::{Content, Stop, Tool};

pub(super) const TOOLS: &[Tool] = &[
    Tool::new("add", "Adds two numbers; whole ones exactly", |live| Box::pin(add(live)))
        .takes(
            r#"{"type":"object","properties":{"a":{"type":"number"},"b":{"type":"number"}},"required":["a","b"]}"#,
        )
        .gives(r#"{"type":"object","properties":{"sum":{"type":"number"}},"required":["sum"]}"#),
    Tool::new("echo", "Returns its arguments, byte for byte", |live| {
        Box::pin(async move { Ok(Content::structured(live.call.arguments().unwrap_or("{}").to_owned())) })
    }),
    Tool::new("whoami", "Shows with which era, revision, _meta and headers this very call arrived", |live| {
        Box::pin(async move { Ok(whoami(live)) })
    }),
    Tool::new("counters", "Counts sessions, requests and streams", |live| {
        Box::pin(async move { Ok(counters(live)) })
    })
    .gives(
        r#"{"type":"object","properties":{"requests":{"type":"integer"},"sessionsOpened":{"type":"integer"},"sessions":{"type":"integer"},"streams":{"type":"integer"},"listens":{"type":"integer"}}}"#,
    ),
    Tool::new(
        "cancellations",
        "Says how many tool calls were cancelled so far, once there are at least so many or the time is up",
        |live| Box::pin(cancellations(live)),
    )
    .takes(
        r#"{"type":"object","properties":{"atLeast":{"type":"integer","minimum":0,"default":0},"withinMs":{"type":"integer","minimum":0,"default":10000}}}"#,
    )
    .gives(r#"{"type":"object","properties":{"cancellations":{"type":"integer"}},"required":["cancellations"]}"#),
    Tool::new(
        "test_cancellation",
        "Reports progress 0 of 1, then waits to be cancelled; test_cancellation_outcome tells if it was",
        |live| Box::pin(wait_to_be_cancelled(live)),
    )
    .takes(
        r#"{"type":"object","properties":{"seconds":{"type":"integer","minimum":0,"maximum":600,"default":30},"token":{"type":"string"}}}"#,
    ),
    Tool::new("test_cancellation_outcome", "Says how the test_cancellation of that token fares", |live| {
        Box::pin(async move {
            let outcome = live.server.world.outcome(&live.required_text("token")?);
            let structured = Some(format!(r#"{{"outcome":"{outcome}"}}"#));
            Ok(Content { structured, ..Content::text(outcome) })
        })
    })
    .takes(r#"{"type":"object","properties":{"token":{"type":"string"}},"required":["token"]}"#)
    .gives(
        r#"{"type":"object","properties":{"outcome":{"type":"string","enum":["unknown","running","finished","cancelled"]}},"required":["outcome"]}"#,
    ),
    Tool::new("test_seen_request", "Shows the HTTP headers and the _meta with which this very call arrived", |live| {
        Box::pin(async move { Ok(seen(live)) })
    }),
];

async fn add(live: &LiveCall) -> Result<Content, Stop> {
    let number = |name: &str| match live.argument(name)? {
        Some(raw) if Kind::of(raw) == Kind::Number => Ok(raw),
        _ => Err(Stop::Failed(format!("argument {name:?} must be a number"))),
    };
    let (a, b) = (number("a")?, number("b")?);
    let exact = a.parse::<i128>().ok().zip(b.parse::<i128>().ok()).and_then(|(a, b)| a.checked_add(b));
    let sum = match exact {
        Some(sum) => sum.to_string(),
        None => match a.parse::<f64>().ok().zip(b.parse::<f64>().ok()).map(|(a, b)| a + b) {
            Some(sum) if sum.is_finite() => sum.to_string(),
            _ => return Err(Stop::Failed("the sum is not a number that JSON can hold".to_owned())),
        },
    };
    Ok(Content { structured: Some(format!(r#"{{"sum":{sum}}}"#)), ..Content::text(&sum) })
}

fn whoami(live: &LiveCall) -> Content {
    Content::structured(format!(
        r#"{{"era":"{}","protocolVersion":"{}","meta":{},"headers":{}}}"#,
        live.era().name(),
        live.origin.revision.name,
        live.call.meta().unwrap_or("null"),
        header_object(&live.origin.headers)
    ))
}

/// The headers as one JSON object; a repeated header's values are joined as a list.
fn header_object(headers: &HeaderMap) -> String {
    let mut joined: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in headers {
        let all = joined.entry(name.as_str()).or_default();
        let comma = if all.is_empty() { "" } else { ", " };
        *all = format!("{all}{comma}{}", String::from_utf8_lossy(value.as_bytes()));
    }
    let members: Vec<_> =
        joined.iter().map(|(name, value)| format!("{}:{}", json::quote(name), json::quote(value))).collect();
    format!("{{{}}}", members.join(","))
}

fn counters(live: &LiveCall) -> Content {
    let world = &live.server.world;
    Content::structured(format!(
        r#"{{"requests":{},"sessionsOpened":{},"sessions":{},"streams":{},"listens":{}}}"#,
        world.requests.load(Ordering::Relaxed),
        world.sessions_opened.load(Ordering::Relaxed),
        live.server.sessions.len(),
        world.streams.read(),
        world.listens.read()
    ))
}

async fn cancellations(live: &LiveCall) -> Result<Content, Stop> {
    let at_least = live.count_argument("atLeast", 0)?;
    let within = Duration::from_millis(live.count_argument("withinMs", 10_000)?);
    let count = live.server.world.cancellations(at_least, within).await;
    Ok(Content::structured(format!(r#"{{"cancellations":{count}}}"#)))
}

async fn wait_to_be_cancelled(live: &LiveCall) -> Result<Content, Stop> {
    let seconds = live.count_argument("seconds", 30)?.min(600);
    let token = live.text_argument("token")?.unwrap_or_default().into_owned();
    let note = |outcome| live.server.world.note_outcome(&token, outcome);
    note("running");
    // Dropped before it is disarmed if the call is cancelled: that is how a tool hears of it.
    let cancelled = OnDrop(Some(|| note("cancelled")));
    live.progress(0, 1).await;
    sleep(Duration::from_secs(seconds)).await;
    cancelled.disarm();
    note("finished");
    Ok(Content::text(&format!("Not cancelled within {seconds} seconds")))
}

struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> OnDrop<F> {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(run) = self.0.take() {
            run();
        }
    }
}

/// The shape that the other fixtures of `interop/` give it: what the protocol puts into `_meta` apart from the rest.
fn seen(live: &LiveCall) -> Content {
    let meta = live.call.meta().and_then(|raw| Object::parse(raw).ok());
    let part = |wanted: bool| {
        let members: Vec<_> = meta
            .iter()
            .flat_map(Object::iter)
            .filter(|member| is_envelope(&member.name) == wanted)
            .map(|member| format!("{}:{}", member.raw_name, member.value))
            .collect();
        if members.is_empty() { "null".to_owned() } else { format!("{{{}}}", members.join(",")) }
    };
    let headers = &live.origin.headers;
    let headers = if headers.is_empty() { "null".to_owned() } else { header_object(headers) };
    Content::text(&format!(r#"{{"headers":{headers},"meta":{},"envelope":{}}}"#, part(false), part(true)))
}

fn is_envelope(name: &str) -> bool {
    [PROTOCOL_VERSION, CLIENT_CAPABILITIES, CLIENT_INFO, LOG_LEVEL].contains(&name)
}
