//! What a scripted server does by itself.

use mcp::version::Era;

use super::{Asked, Listening, Persona, ScriptedServer, Seen};

/// The member that holds the entries of each list.
const LISTS: [(&str, &str); 4] = [
    ("prompts/list", "prompts"),
    ("resources/list", "resources"),
    ("resources/templates/list", "resourceTemplates"),
    ("tools/list", "tools"),
];

const OWN: [&str; 10] = [
    "DELETE",
    "GET",
    "initialize",
    "logging/setLevel",
    "ping",
    "resources/subscribe",
    "resources/unsubscribe",
    "response",
    "server/discover",
    "subscriptions/listen",
];

/// Whether a server can answer this by itself.
pub(super) fn knows(seen: &Seen) -> bool {
    let method = seen.method();
    OWN.contains(&method.as_str())
        || method.starts_with("notifications/")
        || LISTS.iter().any(|(name, _)| *name == method)
}

impl ScriptedServer {
    pub(super) async fn answer_routine(&self, asked: Asked) {
        let Some(persona) = self.persona_for(&asked.seen) else {
            let code = if asked.seen.method() == "initialize" { -32022 } else { -32600 };
            return asked.error(code, "this connection is in the other era", None).await;
        };
        if self.has_lost_session(&asked) {
            return asked.respond(404, "text/plain", &[], b"no such session").await;
        }
        let method = asked.seen.method();
        if let Some((_, member)) = LISTS.iter().find(|(name, _)| *name == method) {
            let entries = persona.lists.get(&method).map_or("[]", String::as_str);
            let comma = if persona.list_members.is_empty() { "" } else { "," };
            let result = format!(r#"{{{}{comma}"{member}":{entries}}}"#, persona.list_members);
            return asked.result(&result).await;
        }
        if asked.seen.id().is_none() && !asked.seen.body.is_empty() || method == "response" {
            return asked.accepted().await;
        }
        match persona.era {
            Era::Modern => self.answer_modern(asked, &method, &persona).await,
            Era::Legacy => self.answer_legacy(asked, &method, &persona).await,
        }
    }

    /// What it is for a message; nothing where a process is in the other era already.
    fn persona_for(&self, seen: &Seen) -> Option<Persona> {
        let persona = self.persona().clone();
        if persona.other.is_none() {
            return Some(persona);
        }
        let is_modern = seen.text().contains("io.modelcontextprotocol/protocolVersion");
        let era = if is_modern { Era::Modern } else { Era::Legacy };
        let is_new = seen.id().is_some() && seen.line == "line";
        let first = self.inner.locked.lock().unwrap().get(&seen.connection).copied();
        if is_new && first.is_none() {
            self.inner.locked.lock().unwrap().insert(seen.connection, era);
        }
        let fits = seen.line != "line" || seen.id().is_none() || first.is_none_or(|first| first == era);
        fits.then(|| persona.in_era(era).clone())
    }

    async fn answer_modern(&self, asked: Asked, method: &str, persona: &Persona) {
        match method {
            "server/discover" => asked.result(&discover(persona)).await,
            "subscriptions/listen" => self.listen(asked).await,
            "GET" | "DELETE" => asked.respond(405, "text/plain", &[], b"").await,
            _ => {
                let text = error_text(asked.seen.id(), -32601, "no such method", None);
                asked.respond(404, "application/json", &[], text.as_bytes()).await;
            }
        }
    }

    async fn answer_legacy(&self, asked: Asked, method: &str, persona: &Persona) {
        match method {
            "initialize" => self.open(asked, persona).await,
            "GET" if persona.has_stream => {
                let events = asked.stream().await;
                self.hear(Listening { id: None, events });
            }
            "GET" => asked.respond(405, "text/plain", &[], b"").await,
            "DELETE" => asked.respond(200, "", &[], b"").await,
            "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => {
                asked.result("{}").await;
            }
            _ => {
                let text = error_text(asked.seen.id(), -32000, "Bad Request: not initialized", None);
                asked.respond(400, "application/json", &[], text.as_bytes()).await;
            }
        }
    }

    /// Whether a request names a session that is not there (any more).
    #[must_use]
    pub fn has_lost_session(&self, asked: &Asked) -> bool {
        // Ids of another form were given by the test itself.
        let named = asked.seen.header("mcp-session-id").filter(|id| id.starts_with("session-"));
        named.is_some_and(|id| !self.inner.sessions.lock().unwrap().contains(id))
    }

    async fn open(&self, asked: Asked, persona: &Persona) {
        let instructions = instructions(persona);
        let result = format!(
            r#"{{"protocolVersion":"{}","capabilities":{},"serverInfo":{}{instructions}}}"#,
            persona.revision, persona.capabilities, persona.info
        );
        self.inner.sessions_opened.send_modify(|opened| *opened += 1);
        let id = format!("session-{}", self.sessions_opened());
        let mut headers = Vec::new();
        if persona.gives_session_ids {
            self.inner.sessions.lock().unwrap().insert(id.clone());
            headers.push(("mcp-session-id", id.as_str()));
        }
        if let Some(events) = asked.unprompted() {
            // The one process is the session, and says on its output what belongs to no request.
            self.hear(Listening { id: None, events });
        }
        asked.result_with(&headers, &result).await;
    }

    async fn listen(&self, asked: Asked) {
        let id = asked.seen.id().unwrap_or("null").to_owned();
        let filter = asked.seen.param("notifications").unwrap_or("{}").to_owned();
        let mut events = asked.stream().await;
        let meta = format!(r#""_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}"#);
        let method = "notifications/subscriptions/acknowledged";
        let params = format!(r#"{{{meta},"notifications":{filter}}}"#);
        events.message(&format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#)).await;
        self.hear(Listening { id: Some(id), events });
    }

    fn hear(&self, listening: Listening) {
        self.inner.listening.lock().unwrap().push(listening);
        self.inner.listeners.send_modify(|listeners| *listeners += 1);
    }
}

fn instructions(persona: &Persona) -> String {
    persona.instructions.as_ref().map(|text| format!(r#","instructions":"{text}""#)).unwrap_or_default()
}

fn discover(persona: &Persona) -> String {
    let info = format!(r#""_meta":{{"io.modelcontextprotocol/serverInfo":{}}}"#, persona.info);
    format!(
        r#"{{"resultType":"complete","supportedVersions":["{}"],"capabilities":{}{},"ttlMs":60000,"cacheScope":"public",{info}}}"#,
        persona.revision,
        persona.capabilities,
        instructions(persona)
    )
}

/// The text of a JSON-RPC error response.
pub(super) fn error_text(id: Option<&str>, code: i64, message: &str, data: Option<&str>) -> String {
    let id = id.map(|id| format!(r#""id":{id},"#)).unwrap_or_default();
    let data = data.map(|data| format!(r#","data":{data}"#)).unwrap_or_default();
    format!(r#"{{"jsonrpc":"2.0",{id}"error":{{"code":{code},"message":"{message}"{data}}}}}"#)
}
