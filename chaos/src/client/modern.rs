//! A modern client: each request says everything.

use http::Method;
use serde_json::{Value, json};

use super::heard::{self, Not};
use super::{Broken, Door, Replica, Response};
use crate::servers::modern::REVISION;

/// A request without its id.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    method: &'static str,
    /// What `Mcp-Name` says.
    name: Option<String>,
    params: Value,
}

impl Ask {
    pub(crate) fn of(method: &'static str, mut params: Value) -> Self {
        let name = params["name"].as_str().or_else(|| params["uri"].as_str()).map(str::to_owned);
        let meta = &mut params["_meta"];
        meta["io.modelcontextprotocol/protocolVersion"] = json!(REVISION);
        meta["io.modelcontextprotocol/clientInfo"] = json!({"name": "chaos", "version": "1"});
        meta["io.modelcontextprotocol/clientCapabilities"] = json!({"elicitation": {}});
        Self { method, name, params }
    }

    pub(crate) fn call(tool: &str, id: &str, wait: u64) -> Self {
        Self::of("tools/call", json!({"name": tool, "arguments": {"id": id, "wait": wait}}))
    }

    /// Wants to hear how it goes on.
    pub(crate) fn with_progress(mut self, token: &str) -> Self {
        self.params["_meta"]["progressToken"] = json!(token);
        self
    }

    pub(crate) fn with_level(mut self, level: &str) -> Self {
        self.params["_meta"]["io.modelcontextprotocol/logLevel"] = json!(level);
        self
    }

    /// The same again, with what was asked for.
    pub(crate) fn answering(&self, asked: &Value, word: &str) -> Self {
        let mut again = self.clone();
        let keys = asked["inputRequests"].as_object().into_iter().flat_map(|all| all.keys());
        for key in keys {
            again.params["inputResponses"][key] = json!({"action": "accept", "content": {"word": word}});
        }
        again.params["requestState"] = asked["requestState"].clone();
        again
    }

    /// Sends it.
    pub(crate) async fn send(&self, door: &Door) -> Result<Response, Broken> {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": self.method, "params": self.params});
        let mut headers = vec![
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", REVISION),
            ("mcp-method", self.method),
        ];
        headers.extend(self.name.as_deref().map(|name| ("mcp-name", name)));
        door.send(Method::POST, &headers, Some(&message)).await
    }

    /// Sends it and hears all of the answer: notifications, and what came of it.
    pub(crate) async fn whole(&self, door: &Door) -> Whole {
        let mut whole = Whole { replica: None, told: Vec::new(), end: Err(Not::Lost(String::new())) };
        let mut response = match self.send(door).await {
            Ok(response) => response,
            Err(broken) => {
                whole.end = Err(broken.into());
                return whole;
            }
        };
        whole.replica = response.replica;
        whole.end = loop {
            match response.next().await {
                Ok(Some(message)) if message.json.get("method").is_some() => whole.told.push(message.json),
                Ok(Some(message)) => {
                    break heard::read(response.status, response.was_sent, false, &message.json);
                }
                Ok(None) if response.status == 200 => {
                    break Err(Not::Wrong(
                        "the response ended in good order, and without an answer".to_owned(),
                    ));
                }
                Ok(None) => break heard::read(response.status, response.was_sent, false, &Value::Null),
                Err(broken) => break Err(broken.into()),
            }
        };
        whole
    }
}

/// Everything that came for a request.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) replica: Replica,
    /// Notifications, in their order.
    pub(crate) told: Vec<Value>,
    pub(crate) end: Result<Value, Not>,
}
