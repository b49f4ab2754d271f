//! Servers that ask in mid-call, and clients that answer: every kind of client before every kind of server.

use testkit::clock::WallClock;
use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Asked, Desk, Events, Persona, ScriptedServer, Seen};
use testkit::spawn::MemorySpawn;
use tokio::task::JoinHandle;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::doors::{Door, Kind};
use crate::stand::{Over, Running, Stand};

mod carried;
mod counted;
mod ends;
mod interleaved;
mod owners;
mod refused;
mod states;
mod urls;

/// Capabilities of a client that can be asked everything.
pub(crate) const ALL: &str = r#"{"elicitation":{"form":{},"url":{}},"roots":{},"sampling":{}}"#;

/// What may be asked: the method, its params if it has any, and an answer.
pub(crate) const FORM: Ask = Ask(
    "elicitation/create",
    Some(r#"{"message":"m","requestedSchema":{"type":"object","properties":{}},"x":1.0}"#),
    r#"{"action":"accept","content":{"n":42.0}}"#,
);
pub(crate) const SAMPLE: Ask = Ask(
    "sampling/createMessage",
    Some(r#"{"messages":[],"maxTokens":1}"#),
    r#"{"role":"assistant","content":{"type":"text","text":"t"},"model":"m"}"#,
);
pub(crate) const ROOTS: Ask = Ask("roots/list", None, r#"{"roots":[{"uri":"file:///a"}]}"#);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask(&'static str, Option<&'static str>, &'static str);

impl Ask {
    fn answer_to(method: &str) -> &'static str {
        [FORM, SAMPLE, ROOTS].iter().find(|ask| ask.0 == method).unwrap().2
    }

    fn params(self) -> String {
        self.1.map(|params| format!(r#","params":{params}"#)).unwrap_or_default()
    }
}

/// How a legacy server asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    /// Over HTTP, on the stream of the call.
    OnItsStream,
    /// Over HTTP, on the session's stream; the call is answered with events.
    OnTheSessions,
    /// The same; the call is answered with JSON, of which nothing comes before its end.
    OnTheSessionsOnly,
    /// As a process.
    InLines,
}

impl Asks {
    pub(crate) const ALL: [Self; 4] =
        [Self::OnItsStream, Self::OnTheSessions, Self::OnTheSessionsOnly, Self::InLines];

    fn over(self) -> Over {
        if self == Self::InLines { Over::Stdio } else { Over::Http }
    }
}

/// A gateway before one server.
pub(crate) struct Scene {
    pub(crate) running: Running,
    pub(crate) server: ScriptedServer,
    pub(crate) desk: Desk,
    pub(crate) clock: WallClock,
    pub(crate) spawn: MemorySpawn,
    /// Streams of sessions, by the session's id.
    streams: Vec<(String, Events)>,
}

impl Scene {
    pub(crate) async fn new(over: Over, persona: Persona, change: impl FnOnce(&mut Stand)) -> Self {
        let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
        let (server, desk) = stand.add("up", over, persona).await;
        change(&mut stand);
        let (clock, spawn) = (stand.clock.clone(), stand.spawn.clone());
        let running = stand.start().await;
        running.gateway.settled().await;
        testkit::idle().await;
        Self { running, server, desk, clock, spawn, streams: Vec::new() }
    }

    /// Before a legacy server.
    pub(crate) async fn legacy(asks: Asks) -> Self {
        Self::legacy_with(asks, |_| {}).await
    }

    pub(crate) async fn legacy_with(asks: Asks, change: impl FnOnce(&mut Stand)) -> Self {
        let persona = Persona::legacy().scripted(&["response"]);
        let streams = matches!(asks, Asks::OnTheSessions | Asks::OnTheSessionsOnly);
        let persona = if streams { persona.scripted(&["GET"]) } else { persona };
        Self::new(asks.over(), persona, change).await
    }

    /// A client that can be asked everything.
    pub(crate) async fn door(&self, kind: Kind) -> Door {
        Door::open_with(kind, &self.running, ALL).await
    }

    /// The next call at a legacy server.
    pub(crate) async fn call(&mut self, asks: Asks) -> Serving {
        let asked = self.desk.asked("tools/call").await;
        let id = asked.seen.id().unwrap().to_owned();
        let session = asked.seen.header("mcp-session-id").unwrap_or_default().to_owned();
        let aside = match asks {
            Asks::OnTheSessions | Asks::OnTheSessionsOnly => Some(self.stream_of(&session).await),
            Asks::OnItsStream | Asks::InLines => None,
        };
        let seen = asked.seen.clone();
        let (late, own) = match asks {
            Asks::OnTheSessionsOnly => (Some(asked), None),
            _ => (None, Some(asked.stream().await)),
        };
        Serving { seen, id, own, late, aside }
    }

    /// The stream of a session.
    pub(crate) async fn stream_of(&mut self, session: &str) -> Events {
        loop {
            if let Some(at) = self.streams.iter().position(|(id, _)| id == session) {
                return self.streams.remove(at).1;
            }
            let asked = self.desk.asked("GET").await;
            let id = asked.seen.header("mcp-session-id").unwrap().to_owned();
            self.streams.push((id, asked.stream().await));
        }
    }

    /// The next answer to what a legacy server has asked.
    pub(crate) async fn answer(&mut self) -> Seen {
        let answer = self.desk.asked("response").await;
        let seen = answer.seen.clone();
        answer.accepted().await;
        seen
    }

    /// How often the tool was called.
    pub(crate) fn calls(&self) -> usize {
        self.server.seen_of("tools/call").len()
    }

    /// The cancels that reached the server.
    pub(crate) fn cancels(&self) -> usize {
        self.server.seen_of("notifications/cancelled").len()
    }
}

/// A call at a legacy server.
pub(crate) struct Serving {
    pub(crate) seen: Seen,
    pub(crate) id: String,
    own: Option<Events>,
    late: Option<Asked>,
    aside: Option<Events>,
}

impl Serving {
    /// Asks its client for something.
    pub(crate) async fn ask(&mut self, id: &str, what: Ask) {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{}"{}}}"#, what.0, what.params());
        self.say(&text).await;
    }

    /// Says something of the call.
    pub(crate) async fn say(&mut self, text: &str) {
        self.aside.as_mut().or(self.own.as_mut()).unwrap().message(text).await;
    }

    /// Says how far it is.
    pub(crate) async fn progress(&mut self, progress: usize) {
        let params = format!(r#"{{"progressToken":{},"progress":{progress}}}"#, self.id);
        let text = format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{params}}}"#);
        self.own.as_mut().or(self.aside.as_mut()).unwrap().message(&text).await;
    }

    /// No longer wants an answer.
    pub(crate) async fn withdraw(&mut self, id: &str) {
        let params = format!(r#"{{"requestId":{id}}}"#);
        let text = format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{params}}}"#);
        self.say(&text).await;
    }

    /// Answers the call, and stays.
    pub(crate) async fn answer(&mut self, result: &str) {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, self.id);
        match self.own.take() {
            Some(mut own) => {
                own.message(&text).await;
                // A process says more on the same lines.
                if self.aside.is_some() { own.end().await } else { self.own = Some(own) }
            }
            None => self.late.take().unwrap().response(&[], &text).await,
        }
    }

    /// Answers the call.
    pub(crate) async fn end(self, result: &str) {
        match (self.own, self.late) {
            (Some(own), _) => own.result(result).await,
            (None, Some(late)) => late.result(result).await,
            (None, None) => {}
        }
    }
}

/// What a client heard of one call.
#[derive(Debug)]
pub(crate) struct Heard {
    /// What it was asked: methods, and the texts of params. For a modern client, with the number of the result.
    pub(crate) asked: Vec<(usize, String, Option<String>)>,
    /// The progress that it heard of, with its token.
    pub(crate) progress: Vec<(String, String)>,
    /// How it ended.
    pub(crate) response: String,
}

/// Lets a client make a call and answer all that it is asked.
pub(crate) fn carry(mut door: Door) -> JoinHandle<(Door, Heard)> {
    tokio::spawn(async move {
        let heard =
            if door.kind.is_modern() { carry_modern(&mut door).await } else { carry_legacy(&mut door).await };
        (door, heard)
    })
}

pub(crate) const TOOL: &str = r#""name":"t","arguments":{"a":1}"#;

async fn carry_modern(door: &mut Door) -> Heard {
    let mut heard = Heard { asked: Vec::new(), progress: Vec::new(), response: String::new() };
    let mut members = TOOL.to_owned();
    for round in 0.. {
        let token = format!(r#""progressToken":"token-{round}""#);
        let mut messages = door.ask(&door.body(&round.to_string(), "tools/call", &members, &token)).await;
        heard.response = messages.pop().unwrap();
        messages.iter().for_each(|message| heard.note(message));
        let Some(asked) = asked_of(&heard.response) else { break };
        let answers: Vec<_> =
            asked.iter().map(|(key, method, _)| format!(r#""{key}":{}"#, Ask::answer_to(method))).collect();
        heard.asked.extend(asked.into_iter().map(|(_, method, params)| (round, method, params)));
        members = retry(TOOL, &heard.response, &answers.join(","));
    }
    heard
}

async fn carry_legacy(door: &mut Door) -> Heard {
    let mut heard = Heard { asked: Vec::new(), progress: Vec::new(), response: String::new() };
    let body = door.body("1", "tools/call", TOOL, r#""progressToken":"token-0""#);
    let mut call = door.begin(&body).await;
    loop {
        let message = door.next(&mut call).await.unwrap();
        let method = json::at(&message, &["method"]).map(json::plain);
        match (method, json::at(&message, &["id"])) {
            (Some(method), Some(id)) => {
                let params = json::at(&message, &["params"]).map(str::to_owned);
                heard.asked.push((0, method.to_owned(), params));
                let answer = Ask::answer_to(method);
                door.say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{answer}}}"#)).await;
            }
            (Some(_), None) => heard.note(&message),
            (None, _) => {
                heard.response = message;
                return heard;
            }
        }
    }
}

impl Heard {
    fn note(&mut self, message: &str) {
        let at = |name| json::at(message, &["params", name]).map(json::plain).unwrap_or_default().to_owned();
        self.progress.push((at("progressToken"), at("progress")));
    }

    /// What it was asked, without saying when.
    pub(crate) fn methods(&self) -> Vec<&str> {
        self.asked.iter().map(|(_, method, _)| method.as_str()).collect()
    }
}

/// What a result asks for: keys, methods, params.
pub(crate) fn asked_of(response: &str) -> Option<Vec<(String, String, Option<String>)>> {
    let kind = json::at(response, &["result", "resultType"]).map(json::plain);
    if kind != Some("input_required") {
        return None;
    }
    let requests = json::at(response, &["result", "inputRequests"]).unwrap_or("{}");
    let each = |(key, request): (&str, &str)| {
        let method = json::plain(json::at(request, &["method"]).unwrap()).to_owned();
        (json::plain(key).to_owned(), method, json::at(request, &["params"]).map(str::to_owned))
    };
    Some(json::members(requests).into_iter().map(each).collect())
}

/// The members of a retry's params: those of the call, with answers (members of an object) and the state.
pub(crate) fn retry(members: &str, response: &str, answers: &str) -> String {
    let state = json::at(response, &["result", "requestState"]);
    let state = state.map(|state| format!(r#","requestState":{state}"#)).unwrap_or_default();
    format!(r#"{members},"inputResponses":{{{answers}}}{state}"#)
}

/// A modern client's call whose server asks for a form: the result that says so.
pub(crate) async fn suspended(scene: &mut Scene, door: Door, asks: Asks) -> (Door, String, Serving) {
    let call = first(door);
    let mut serving = scene.call(asks).await;
    serving.ask("\"q\"", FORM).await;
    let (door, response) = call.await.unwrap();
    assert_eq!(asked_of(&response).unwrap().len(), 1, "{response}");
    (door, response, serving)
}

/// Makes a call; what comes of it.
pub(crate) fn first(door: Door) -> JoinHandle<(Door, String)> {
    again(door, TOOL.to_owned())
}

/// Calls the tool with these members of params; what comes of it.
pub(crate) fn again(mut door: Door, members: String) -> JoinHandle<(Door, String)> {
    static NEXT: AtomicUsize = AtomicUsize::new(100);
    let id = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
    tokio::spawn(async move {
        let body = door.body(&id, "tools/call", &members, "");
        let response = door.response(&body).await;
        assert_eq!(json::at(&response, &["id"]), Some(id.as_str()), "{response}");
        (door, response)
    })
}

/// A text with another letter at a place.
pub(crate) fn changed(text: &str, at: usize) -> String {
    let other = |letter: char| if letter == 'A' { 'B' } else { 'A' };
    text.chars().enumerate().map(|(n, letter)| if n == at { other(letter) } else { letter }).collect()
}

/// The code and the reason of an error.
pub(crate) fn refusal(response: &str) -> (&str, &str) {
    let code = json::at(response, &["error", "code"]).unwrap_or("none");
    (code, json::at(response, &["error", "data", "reason"]).map_or("none", json::plain))
}

pub(crate) const MODERN: [Kind; 2] = [Kind::ModernHttp, Kind::ModernStdio];
pub(crate) const LEGACY: [Kind; 2] = [Kind::LegacyHttp, Kind::LegacyStdio];
