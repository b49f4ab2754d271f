//! A legacy client: one session, whatever replica has it.

use std::sync::atomic::{AtomicU64, Ordering};

use http::Method;
use serde_json::{Value, json};

use super::heard::{self, Not};
use super::{Broken, Door, Replica, Response};

/// An open session.
#[derive(Debug)]
pub(crate) struct Session {
    door: Door,
    id: String,
    revision: &'static str,
    next: AtomicU64,
    /// Who opened it.
    pub(crate) home: Replica,
}

/// What a client does with what its server asks in mid-call.
pub(crate) type Word<'a> = Option<&'a str>;

/// What has come for one request.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Who answered, each time the client came for it.
    pub(crate) replicas: Vec<usize>,
    pub(crate) told: Vec<Value>,
    /// The last event's id.
    pub(crate) last: Option<String>,
    /// How often it went on after its connection was gone.
    pub(crate) resumed: u32,
}

/// How to hear a call.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner<'a> {
    /// What to answer when asked.
    pub(crate) word: Word<'a>,
    /// Cut the connection after so many messages, once.
    pub(crate) cut_after: Option<usize>,
}

impl Session {
    /// Opens one.
    pub(crate) async fn open(door: &Door, revision: &'static str) -> Result<Self, Not> {
        let params = json!({
            "protocolVersion": revision, "capabilities": {"elicitation": {}}, "clientInfo": {"name": "chaos", "version": "1"}
        });
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        let headers =
            [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
        let mut response = door.send(Method::POST, &headers, Some(&message)).await?;
        let came = response.next().await?.map_or(Value::Null, |message| message.json);
        heard::read(response.status, response.was_sent, false, &came)?;
        let id = response.headers.get("mcp-session-id").and_then(|value| value.to_str().ok());
        let id = id.ok_or_else(|| Not::Wrong("initialize gave no session id".to_owned()))?.to_owned();
        let next = AtomicU64::new(1);
        let session = Self { door: door.clone(), id, revision, next, home: response.replica };
        session.tell(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await?;
        Ok(session)
    }

    async fn post(&self, message: &Value) -> Result<Response, Broken> {
        let headers = [
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", self.revision),
            ("mcp-session-id", self.id.as_str()),
        ];
        self.door.send(Method::POST, &headers, Some(message)).await
    }

    /// Sends what has no answer, or is one.
    pub(crate) async fn tell(&self, message: &Value) -> Result<(), Not> {
        let mut response = self.post(message).await?;
        if response.status == 202 {
            return Ok(());
        }
        let came = response.next().await?.map_or(Value::Null, |message| message.json);
        match heard::read(response.status, response.was_sent, true, &came) {
            Ok(result) => Err(Not::Wrong(format!("a notification was answered: {result}"))),
            Err(not) => Err(not),
        }
    }

    /// Opens the session's own stream, or goes on with it, or with that of a call.
    pub(crate) async fn stream(&self, last: Option<&str>) -> Result<Response, Not> {
        let mut headers = vec![
            ("accept", "text/event-stream"),
            ("mcp-protocol-version", self.revision),
            ("mcp-session-id", self.id.as_str()),
        ];
        headers.extend(last.map(|last| ("last-event-id", last)));
        let mut response = self.door.send(Method::GET, &headers, None).await?;
        if matches!(response.status, 200 | 204) {
            return Ok(response);
        }
        let came = response.next().await?.map_or(Value::Null, |message| message.json);
        match heard::read(response.status, response.was_sent, true, &came) {
            Ok(result) => Err(Not::Wrong(format!("HTTP {} with a result: {result}", response.status))),
            Err(not) => Err(not),
        }
    }

    /// Ends it; whether it was there.
    pub(crate) async fn end(&self) -> Result<(), Not> {
        let headers = [("mcp-protocol-version", self.revision), ("mcp-session-id", self.id.as_str())];
        let mut response = self.door.send(Method::DELETE, &headers, None).await?;
        if matches!(response.status, 200 | 202 | 204) {
            return Ok(());
        }
        let came = response.next().await?.map_or(Value::Null, |message| message.json);
        heard::read(response.status, response.was_sent, true, &came).map(drop)
    }

    pub(crate) async fn ping(&self) -> Result<Value, Not> {
        self.request("ping", json!({}), Manner::default(), &mut Heard::default()).await
    }

    /// A request that only looks.
    pub(crate) async fn looked(&self, method: &str, params: &Value) -> Result<Value, Not> {
        self.request(method, params.clone(), Manner::default(), &mut Heard::default()).await
    }

    /// Calls a tool.
    pub(crate) async fn call(
        &self,
        params: Value,
        manner: Manner<'_>,
        heard: &mut Heard,
    ) -> Result<Value, Not> {
        self.request("tools/call", params, manner, heard).await
    }

    /// Sends a request and hears it out, on as many connections as it takes.
    pub(crate) async fn request(
        &self,
        method: &str,
        params: Value,
        manner: Manner<'_>,
        heard: &mut Heard,
    ) -> Result<Value, Not> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let mut response = self.post(&message).await?;
        let mut cut_after = manner.cut_after;
        loop {
            heard.replicas.extend(response.replica);
            let left = match self.hear(&mut response, (manner.word, cut_after), heard).await {
                Ok(Some(answer)) => return answer,
                Ok(None) if heard.last.is_some() => "it ended before its answer".to_owned(),
                Ok(None) => {
                    return Err(Not::Wrong(
                        "the response ended in good order, and without an answer".to_owned(),
                    ));
                }
                Err(broken) => broken.what,
            };
            drop(response);
            cut_after = None;
            // A client that knows no event has nothing to come back to.
            let Some(last) = heard.last.clone() else { return Err(Not::Lost(left)) };
            heard.resumed += 1;
            response = match self.come_back(&last).await {
                Ok(response) if response.status == 200 => response,
                Ok(_) => return Err(Not::Lost(format!("{left}; nothing is left of its stream (204)"))),
                Err(Not::NoEvent) => return Err(Not::Lost(format!("{left}; its stream cannot be resumed"))),
                Err(Not::Refused(why) | Not::Lost(why)) => return Err(Not::Lost(format!("{left}; {why}"))),
                Err(not) => return Err(not),
            };
        }
    }

    /// A GET is asked again while nobody takes it: it does nothing.
    async fn come_back(&self, last: &str) -> Result<Response, Not> {
        for _ in 0..20 {
            match self.stream(Some(last)).await {
                Err(Not::Refused(_)) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
                other => return other,
            }
        }
        self.stream(Some(last)).await
    }

    /// Reads one connection until the answer, its end, or where it is to be cut.
    async fn hear(
        &self,
        response: &mut Response,
        (word, cut_after): (Word<'_>, Option<usize>),
        heard: &mut Heard,
    ) -> Result<Option<Result<Value, Not>>, Broken> {
        let before = heard.told.len();
        loop {
            if heard.last.is_some() && cut_after.is_some_and(|after| heard.told.len() >= before + after) {
                return Err(Broken { was_sent: true, what: "we cut it".to_owned() });
            }
            let Some(message) = response.next().await? else {
                let refused = response.status != 200;
                let read = || heard::read(response.status, response.was_sent, true, &Value::Null);
                return Ok(refused.then(read));
            };
            if message.event.is_some() {
                heard.last = message.event;
            }
            let json = message.json;
            if json["method"] == json!("elicitation/create") {
                let answer = match word {
                    Some(word) => json!({"action": "accept", "content": {"word": word}}),
                    None => json!({"action": "decline"}),
                };
                let answer = json!({"jsonrpc": "2.0", "id": json["id"], "result": answer});
                match self.answer(&answer).await {
                    Ok(()) | Err(Not::Lost(_) | Not::Refused(_)) => {}
                    Err(not) => return Ok(Some(Err(not))),
                }
            } else if json.get("method").is_some() {
                heard.told.push(json);
            } else if !(json.is_null() && response.status == 200) {
                return Ok(Some(heard::read(response.status, response.was_sent, true, &json)));
            }
        }
    }

    /// An answer is given again until somebody takes it. Its id works once, so that to give it twice does nothing.
    async fn answer(&self, answer: &Value) -> Result<(), Not> {
        for _ in 0..20 {
            match self.tell(answer).await {
                Err(Not::Refused(_) | Not::Lost(_)) => {
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
                other => return other,
            }
        }
        self.tell(answer).await
    }
}
