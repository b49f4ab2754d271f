//! How a conversation with a process begins: finding out its era, and opening a legacy session.
//!
//! Source: MCP 2026-07-28 `basic/versioning` §Era detection, stdio: `server/discover` first; any answer but a modern
//! one, or none, means `initialize`. A server that is slow to start may answer either one late, so both stay open.

use std::sync::Arc;
use std::time::Duration;

use base::error::CallError;
use base::plan::EraRule;
use http::HeaderMap;
use mcp::answer;
use mcp::discover::Discovered;
use mcp::era::{self, Verdict};
use mcp::jsonrpc::{Id, Message, MessageKind};
use mcp::legacy::{initialize, refusal};
use mcp::version::{self, Era, Revision};

use crate::arrival::Arrival;
use crate::link::{Link, Transport, Whose};
use crate::pipe::{Pipe, PipeStream, Wants};
use crate::shared::Shared;

/// How long a server may be silent before it is taken for a legacy one.
const SILENCE: Duration = Duration::from_secs(3);

/// With what to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opener {
    /// As the plan says.
    Detect,
    /// With `initialize`, because the server has ended itself at anything else.
    Initialize,
}

/// Whether the plan leaves the era to be found out.
pub(crate) fn detects(shared: &Shared) -> bool {
    shared.plan.era == EraRule::Detect
}

/// Finds out what is at the other end. The caller bounds the time.
pub(crate) async fn converse(
    shared: &Arc<Shared>,
    pipe: &Pipe,
    opener: Opener,
    whose: &Whose,
) -> Result<Link, CallError> {
    let rule = if opener == Opener::Initialize { EraRule::Is(Era::Legacy) } else { shared.plan.era };
    if rule == EraRule::Is(Era::Legacy) {
        return converse_legacy(shared, pipe, whose, Transport::Stdio).await;
    }
    let mut probe = discover(shared, pipe).await?;
    let mut first = first_word(&mut probe, rule).await;
    // A program may write half a line before it listens, which looks like an answer to the first request.
    if matches!(first, Some(Err(CallError::InvalidAnswer { .. }))) {
        probe = discover(shared, pipe).await?;
        first = first_word(&mut probe, rule).await;
    }
    let Some(first) = first else { return either(shared, pipe, probe, whose).await };
    match judge(&first?) {
        Judged::Legacy if rule == EraRule::Detect => {
            converse_legacy(shared, pipe, whose, Transport::Stdio).await
        }
        judged => judged.link(shared),
    }
}

/// What is answered to a probe; none where the server may be a legacy one, and has been silent for too long.
async fn first_word(probe: &mut PipeStream, rule: EraRule) -> Option<Result<Message, CallError>> {
    let waiting = response_of(probe);
    if rule == EraRule::Is(Era::Modern) {
        return Some(waiting.await);
    }
    tokio::time::timeout(SILENCE, waiting).await.ok()
}

/// Asks a server that has refused to open a session.
pub(crate) async fn converse_modern(shared: &Arc<Shared>, pipe: &Pipe) -> Result<Link, CallError> {
    let mut probe = discover(shared, pipe).await?;
    judge(&response_of(&mut probe).await?).link(shared)
}

/// Opens the one legacy session of a conversation.
pub(crate) async fn converse_legacy(
    shared: &Shared,
    pipe: &Pipe,
    whose: &Whose,
    transport: Transport,
) -> Result<Link, CallError> {
    let message = response(initialize(shared, pipe, whose, version::newest(Era::Legacy)).await?).await?;
    go_on(shared, pipe, whose, (message, transport)).await
}

/// Goes on from the answer to a first `initialize`: one that was refused for its revision is sent again with what the server
/// speaks.
async fn go_on(
    shared: &Shared,
    pipe: &Pipe,
    whose: &Whose,
    (mut message, transport): (Message, Transport),
) -> Result<Link, CallError> {
    let mut tried = vec![version::newest(Era::Legacy)];
    while let MessageKind::Error(parts) = message.kind()
        && let Some(next) = refusal::next_revision(&tried, message.at(parts.error))
    {
        tried.push(next);
        message = response(initialize(shared, pipe, whose, next).await?).await?;
    }
    finish_legacy(shared, pipe, &message, transport)
}

/// Both questions are asked; the first answer that tells anything decides. A refused `initialize` tells nothing while the
/// modern question is open, because modern servers refuse it, too.
async fn either(
    shared: &Arc<Shared>,
    pipe: &Pipe,
    mut probe: PipeStream,
    whose: &Whose,
) -> Result<Link, CallError> {
    let mut opening = initialize(shared, pipe, whose, version::newest(Era::Legacy)).await?;
    let first = tokio::select! {
        message = response_of(&mut opening) => message?,
        message = response_of(&mut probe) => return match judge(&message?) {
            Judged::Legacy => {
                let first = response(opening).await?;
                go_on(shared, pipe, whose, (first, Transport::Stdio)).await
            }
            Judged::Modern(link) => modern_unless_opened(shared, pipe, opening, link).await,
            judged @ Judged::Other(_) => judged.link(shared),
        },
    };
    if !matches!(first.kind(), MessageKind::Error(_)) {
        return finish_legacy(shared, pipe, &first, Transport::Stdio);
    }
    let waiting = response_of(&mut probe);
    let late = match era::of_stdio(&first) {
        // No legacy server says that. The caller bounds the time.
        Verdict::OtherRevisions(_) | Verdict::ModernRefusal(_) => waiting.await?,
        _ => match tokio::time::timeout(SILENCE, waiting).await {
            Ok(message) => message?,
            Err(_elapsed) => return go_on(shared, pipe, whose, (first, Transport::Stdio)).await,
        },
    };
    match judge(&late) {
        Judged::Legacy => go_on(shared, pipe, whose, (first, Transport::Stdio)).await,
        judged => judged.link(shared),
    }
}

/// A modern server was asked to open a session as well. One of both eras that does so is in the legacy era from then on (the
/// official TypeScript SDK), and answers nothing modern any more.
async fn modern_unless_opened(
    shared: &Shared,
    pipe: &Pipe,
    opening: PipeStream,
    link: Link,
) -> Result<Link, CallError> {
    match tokio::time::timeout(SILENCE, response(opening)).await {
        Ok(Ok(first)) if !matches!(first.kind(), MessageKind::Error(_)) => {
            finish_legacy(shared, pipe, &first, Transport::Stdio)
        }
        Ok(Err(over @ CallError::BrokeOff { .. })) => Err(over),
        // It has refused, or says nothing to what it does not know.
        _ => Ok(link),
    }
}

enum Judged {
    Modern(Link),
    Legacy,
    Other(String),
}

impl Judged {
    fn link(self, shared: &Shared) -> Result<Link, CallError> {
        match self {
            Self::Modern(link) => Ok(link),
            Self::Legacy => Err(shared.invalid("it does not speak the modern era that it is configured for")),
            Self::Other(why) => Err(shared.invalid(&why)),
        }
    }
}

fn judge(message: &Message) -> Judged {
    match era::of_stdio(message) {
        Verdict::Modern(revision, discovered) => {
            Judged::Modern(Link::new(revision, Arc::new(*discovered), Transport::Stdio))
        }
        Verdict::OtherRevisions(theirs) => match era::common(&theirs) {
            // It names a revision that it then refuses: asking again would go round in circles.
            Some(revision) => {
                Judged::Other(format!("it refuses revision {}, which it says it speaks", revision.name))
            }
            None => Judged::Other(format!("it speaks only {}, which is not spoken here", theirs.join(", "))),
        },
        Verdict::ModernRefusal(code) => {
            Judged::Other(format!("it answers server/discover with error {code}"))
        }
        Verdict::Legacy | Verdict::Unauthorized(_) | Verdict::Unwell(_) => Judged::Legacy,
    }
}

async fn discover(shared: &Shared, pipe: &Pipe) -> Result<PipeStream, CallError> {
    let id = shared.next_id();
    let params = shared.discover_params(version::newest(Era::Modern));
    let body = answer::request_message(&Id::number(id), "server/discover", Some(&params));
    pipe.request(id, body, HeaderMap::new(), Wants::default()).await
}

async fn initialize(
    shared: &Shared,
    pipe: &Pipe,
    whose: &Whose,
    revision: &Revision,
) -> Result<PipeStream, CallError> {
    let id = shared.next_id();
    let params = initialize::params(revision, &whose.declared, whose.introduced(&shared.world.identity));
    let body = answer::request_message(&Id::number(id), "initialize", Some(&params));
    pipe.request(id, body, HeaderMap::new(), Wants::default()).await
}

fn finish_legacy(
    shared: &Shared,
    pipe: &Pipe,
    message: &Message,
    transport: Transport,
) -> Result<Link, CallError> {
    let name = &shared.plan.name;
    if let MessageKind::Error(parts) = message.kind() {
        let view = answer::error_view(message, parts);
        let why = format!("it answers initialize with error {}: {}", view.code, view.message);
        return Err(shared.invalid(&why));
    }
    let opened = initialize::Opened::read(message).map_err(|fault| CallError::invalid(name, &fault))?;
    pipe.say(answer::notification_message("notifications/initialized", None));
    shared.world.metrics.session_opened(name);
    let discovered: Discovered = opened.discovered;
    Ok(Link::new(opened.revision, Arc::new(discovered), transport))
}

async fn response(mut stream: PipeStream) -> Result<Message, CallError> {
    response_of(&mut stream).await
}

async fn response_of(stream: &mut PipeStream) -> Result<Message, CallError> {
    loop {
        if let Arrival::Response(response) = stream.next().await? {
            return Ok(response.message);
        }
    }
}
