//! A client of servers of any era over any transport: a gateway in front of them, spoken to in memory as a modern client
//! over stdio would.

use std::sync::Arc;

use base::error::CallError;
use base::fault::Why;
use base::plan::UpstreamPlan;
use gateway::assembly::Gateway;
use mcp::answer;
use mcp::json::{Object, quote};
use mcp::jsonrpc::{ErrorParts, Id, Message, MessageKind};
use mcp::meta::{CLIENT_CAPABILITIES, LOG_LEVEL, LogLevel, PROGRESS_TOKEN, PROTOCOL_VERSION};
use mcp::version::{self, Era};
use tokio::io::{DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::task::JoinHandle;
use transport::lines::{LineReader, write_line};
use transport::wire::Tap;
use transport::workers::Workers;
use upstream::Health;

use crate::exit::Exit;
use crate::fault::Fault;
use crate::outside;
use crate::targets::Targets;

/// The most bytes of a message. Who reads a large resource with this tool has asked for it.
const MESSAGE_BYTES: usize = 1 << 30;
/// The buffer between the client and its gateway.
const BUFFER: usize = 64 * 1024;

/// A client of one server, or of some behind one gateway.
pub(crate) struct Client {
    gateway: Arc<Gateway>,
    lines: LineReader<ReadHalf<DuplexStream>>,
    out: WriteHalf<DuplexStream>,
    next_id: u64,
    /// What this client can be asked, as a JSON object.
    capabilities: String,
    /// The request that has no answer yet.
    waiting: Option<Id>,
    serving: JoinHandle<()>,
    /// Whether there is one server, which has a name only because everything has one here.
    is_one_nameless: bool,
}

/// Hears what a server says in the middle of a call.
pub(crate) trait Ear {
    /// From which level on log messages are wanted.
    fn level(&self) -> Option<LogLevel>;
    /// Whether progress is wanted.
    fn wants_progress(&self) -> bool;
    /// A notification came.
    fn hear(&mut self, method: &str, params: &Object<'_>);
}

/// Wants to hear nothing.
pub(crate) struct Deaf;

impl Ear for Deaf {
    fn level(&self) -> Option<LogLevel> {
        None
    }

    fn wants_progress(&self) -> bool {
        false
    }

    fn hear(&mut self, _method: &str, _params: &Object<'_>) {}
}

/// A server's answer.
#[derive(Debug)]
pub(crate) struct Answer {
    message: Message,
}

impl Client {
    /// A client of this server, which begins to be reached at once.
    pub(crate) fn open(server: UpstreamPlan, tap: Option<Arc<dyn Tap>>) -> Result<Self, Fault> {
        Self::of(&Targets::one(server), tap)
    }

    /// A client of these servers.
    pub(crate) fn of(servers: &Targets, tap: Option<Arc<dyn Tap>>) -> Result<Self, Fault> {
        let mut plan = servers.plan();
        let is_one_nameless = servers.file().is_none();
        for server in &mut plan.upstreams {
            server.message_bytes = MESSAGE_BYTES;
        }
        plan.limits.request_bytes = MESSAGE_BYTES;
        let world = outside::world(&plan, outside::passing_seal()?, tap, Workers::default())?;
        let tasks = world.tasks.clone();
        let gateway = Gateway::new(plan, world);
        let (near, far) = duplex(BUFFER);
        let (input, output) = split(far);
        let serving = Arc::clone(&gateway);
        let serving = tasks.spawn(async move {
            if let Err(error) = serving.serve_stdio(input, output).await {
                tracing::debug!(%error, "the line to the own gateway broke");
            }
        });
        let (read, out) = split(near);
        Ok(Self {
            gateway,
            lines: LineReader::new(read, MESSAGE_BYTES),
            out,
            next_id: 1,
            capabilities: "{}".to_owned(),
            waiting: None,
            serving,
            is_one_nameless,
        })
    }

    /// From now on the server is told that this client can be asked for this. Before, for nothing.
    pub(crate) fn declare(&mut self, capabilities: String) {
        self.capabilities = capabilities;
    }

    /// Sends a request and waits for its answer. `params` are members of its `params`, each as `"name":value`.
    pub(crate) async fn ask(
        &mut self,
        method: &str,
        params: &[String],
        ear: &mut dyn Ear,
    ) -> Result<Answer, Fault> {
        let id = Id::number(self.next_id);
        self.next_id += 1;
        let members = [params, &[meta(&id, &self.capabilities, ear)]].concat().join(",");
        let request = answer::request_message(&id, method, Some(&format!("{{{members}}}")));
        let broke =
            |error: &std::io::Error| Fault::Bug(format!("the line to the own gateway broke: {error}"));
        self.waiting = Some(id.clone());
        write_line(&mut self.out, &request).await.map_err(|error| broke(&error))?;
        loop {
            let line = match self.lines.next().await.map_err(|error| broke(&error))? {
                Some(Ok(line)) => line,
                Some(Err(too_long)) => return Err(Fault::Unreachable(too_long.to_string())),
                None => return Err(Fault::Bug("the own gateway hung up".to_owned())),
            };
            let message = Message::parse(line).map_err(|fault| Fault::Bug(fault.to_string()))?;
            match message.kind() {
                MessageKind::Notification(note) => {
                    if let Ok(params) = Object::parse(message.params().unwrap_or("{}")) {
                        ear.hear(&note.method, &params);
                    }
                }
                MessageKind::Request(_) => {}
                MessageKind::Result(_) | MessageKind::Error(_) => {
                    if message.response_id() == Some(&id) {
                        self.waiting = None;
                        return Ok(Answer { message });
                    }
                }
            }
        }
    }

    /// The same, where only a result is of use.
    pub(crate) async fn get(
        &mut self,
        method: &str,
        params: &[String],
        ear: &mut dyn Ear,
    ) -> Result<Answer, Fault> {
        let answer = self.ask(method, params, ear).await?;
        match answer.message.kind() {
            MessageKind::Error(parts) => Err(self.refusal(&answer.message, parts)),
            _ => Ok(answer),
        }
    }

    /// What stands in front of the server.
    pub(crate) fn gateway(&self) -> Arc<Gateway> {
        Arc::clone(&self.gateway)
    }

    /// How the server is, where there is one.
    pub(crate) fn health(&self) -> Health {
        self.gateway.health().pop().map_or(Health::Unknown, |(_, health)| health)
    }

    /// How each server is.
    pub(crate) fn each_health(&self) -> Vec<(String, Health)> {
        self.gateway.health()
    }

    /// What it comes to that servers are missing: nothing, as long as one is there.
    pub(crate) fn exit(&self) -> Exit {
        let health = self.gateway.health();
        let is_down = |(_, health): &(String, Health)| matches!(health, Health::Down { .. });
        if !health.is_empty() && health.iter().all(is_down) { Exit::Unreachable } else { Exit::Ok }
    }

    /// What is wrong with the only server, if there is one and it is down.
    pub(crate) fn only_fault(&self) -> Option<CallError> {
        let mut all = self.gateway.health();
        let (_, health) = all.pop().filter(|_| all.is_empty())?;
        match health {
            Health::Down { error, .. } => Some(*error),
            _ => None,
        }
    }

    /// Why the only server is down, if there is one and it is.
    pub(crate) fn only_down(&self) -> Option<String> {
        match self.gateway.health().as_slice() {
            [(name, _)] => self.why_down(name).map(|why| why.to_string()),
            _ => None,
        }
    }

    /// Why a server of this name is down, if it is one of ours and is.
    pub(crate) fn why_down(&self, name: &str) -> Option<Why> {
        let (_, health) = self.gateway.health().into_iter().find(|(server, _)| server == name)?;
        let Health::Down { why, said, .. } = health else { return None };
        Some(Why { what: self.without_name(why), said, ..Why::default() })
    }

    /// A text about the server that has a name only because everything has one here.
    fn without_name(&self, text: String) -> String {
        let ours = format!("upstream {:?}", crate::given::SERVER);
        if self.is_one_nameless { text.replace(&ours, "the server") } else { text }
    }

    /// What an error response means for the user: whether the server says no, or is not there.
    fn refusal(&self, message: &Message, parts: &ErrorParts) -> Fault {
        let error = answer::error_view(message, parts);
        let data = error.data.and_then(|data| Object::parse(data).ok());
        let reason = data.as_ref().and_then(|data| data.string("reason").ok().flatten());
        let absent = reason.as_deref().is_some_and(|reason| {
            reason.starts_with("upstream_") || matches!(reason, "overloaded" | "draining")
        });
        // Of a server that is not ours, such as one behind a gateway, we know no more than is said.
        let member = data.as_ref().and_then(|data| data.string("upstream").ok().flatten());
        let name = member.as_deref().unwrap_or(crate::given::SERVER);
        if absent && let Some(why) = self.why_down(name) {
            return Fault::Down(why);
        }
        let details = error.data.map(|data| format!("\ndata: {}", mcp::json::laid_out(data, 0)));
        let text = self.without_name(error.message.into_owned());
        let text = format!("{text} ({}){}", error.code, details.unwrap_or_default());
        match reason.as_deref() {
            Some("upstream_broke_off") => {
                Fault::Unreachable(text).hint("-v shows what it has sent until then")
            }
            // It may let whoever comes connect, and ask who it is of a call.
            Some("upstream_unauthorized") => Fault::Unauthorized(text),
            _ if absent => Fault::Unreachable(text),
            _ => {
                let needs = data.as_ref().and_then(|data| data.object("requiredCapabilities").ok().flatten());
                Fault::Refused { what: text, hint: needs.as_ref().and_then(how_to_serve) }
            }
        }
    }

    /// Cancels what is under way, and ends what was started.
    pub(crate) async fn close(self) {
        let Self { gateway, lines, mut out, waiting, serving, .. } = self;
        if let Some(id) = waiting {
            let params = format!(r#"{{"requestId":{},"reason":"the user no longer waits"}}"#, id.raw());
            let cancel = answer::notification_message("notifications/cancelled", Some(&params));
            // The gateway may have hung up, and then there is nothing to cancel.
            drop(write_line(&mut out, &cancel).await);
        }
        drop((lines, out));
        // It hears the cancel before it is told to end.
        drop(serving.await);
        gateway.stop().await;
    }
}

impl Answer {
    /// The text of the result object, as it came.
    pub(crate) fn text(&self) -> &str {
        match self.message.kind() {
            MessageKind::Result(parts) => self.message.at(parts.result),
            _ => "{}",
        }
    }

    /// The result, looked into.
    pub(crate) fn object(&self) -> Result<Object<'_>, Fault> {
        Object::parse(self.text())
            .map_err(|fault| Fault::Unreachable(format!("the server's result cannot be read: {fault}")))
    }

    /// Whether it asks for input before there is a result.
    pub(crate) fn asks(&self) -> Result<bool, Fault> {
        let object = self.object()?;
        Ok(object.string("resultType").ok().flatten().as_deref() == Some("input_required"))
    }

    /// The whole message.
    pub(crate) fn message(&self) -> &Message {
        &self.message
    }
}

/// How the user can give the server what it needs of its client.
fn how_to_serve(capabilities: &Object<'_>) -> Option<String> {
    let flags = capabilities.iter().filter_map(|capability| match &*capability.name {
        "elicitation" => {
            Some("it wants to ask something: answer with --answer NAME=VALUE, or refuse with --decline")
        }
        "sampling" => Some("it wants to ask a model: name a command that plays it with --sample-with"),
        "roots" => Some("it wants to know directories: name them with --root"),
        _ => None,
    });
    let flags: Vec<_> = flags.collect();
    (!flags.is_empty()).then(|| flags.join("; "))
}

/// What a modern request says of its client. Who it is goes without saying: the gateway names itself, and it is us.
fn meta(id: &Id, capabilities: &str, ear: &dyn Ear) -> String {
    let mut members = vec![
        format!("{}:{}", quote(PROTOCOL_VERSION), quote(version::newest(Era::Modern).name)),
        format!("{}:{capabilities}", quote(CLIENT_CAPABILITIES)),
    ];
    members.extend(ear.level().map(|level| format!("{}:\"{level}\"", quote(LOG_LEVEL))));
    if ear.wants_progress() {
        members.push(format!("{}:{}", quote(PROGRESS_TOKEN), id.raw()));
    }
    format!("\"_meta\":{{{}}}", members.join(","))
}
