//! The four doors of a gateway, as a client sees them: either era, over HTTP and over stdio.

use std::sync::Arc;

use testkit::http::Client;
use testkit::json;
use testkit::lines::LineClient;
use testkit::soon;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::ask::{META, mirrored};
use crate::stand::Running;

/// A kind of client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    ModernHttp,
    LegacyHttp,
    ModernStdio,
    LegacyStdio,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] =
        [Self::ModernHttp, Self::LegacyHttp, Self::ModernStdio, Self::LegacyStdio];

    pub(crate) fn is_modern(self) -> bool {
        matches!(self, Self::ModernHttp | Self::ModernStdio)
    }
}

/// A client at its door.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) kind: Kind,
    /// The revision of a legacy session.
    revision: &'static str,
    /// What a legacy session was opened with.
    pub(crate) opened: String,
    way: Way,
    /// The text of the client's capabilities.
    capabilities: &'static str,
}

#[derive(Debug)]
enum Way {
    Http { client: Client, session: Option<String> },
    Lines(LineClient),
}

/// A request under way, as its client hears of it. Dropped over HTTP, it closes the connection.
#[derive(Debug)]
pub(crate) enum Begun {
    Http { messages: mpsc::UnboundedReceiver<String>, _reading: JoinSet<()> },
    Lines,
}

impl Door {
    /// Comes to a gateway; a legacy client opens its session.
    pub(crate) async fn open(kind: Kind, running: &Running) -> Self {
        Self::open_with(kind, running, "{}").await
    }

    /// The same for a client with these capabilities.
    pub(crate) async fn open_with(kind: Kind, running: &Running, capabilities: &'static str) -> Self {
        Self::open_at(kind, running, capabilities, "2025-11-25").await
    }

    /// The same, with a legacy session of a revision.
    pub(crate) async fn open_at(
        kind: Kind,
        running: &Running,
        capabilities: &'static str,
        revision: &'static str,
    ) -> Self {
        let way = match kind {
            Kind::ModernHttp | Kind::LegacyHttp => {
                Way::Http { client: running.client.clone(), session: None }
            }
            Kind::ModernStdio | Kind::LegacyStdio => Way::Lines(lines(running)),
        };
        let mut door = Self { kind, way, capabilities, revision, opened: String::new() };
        if !kind.is_modern() {
            door.initialize(capabilities).await;
        }
        door
    }

    async fn initialize(&mut self, capabilities: &str) {
        let revision = self.revision;
        let params = format!(
            r#"{{"protocolVersion":"{revision}","capabilities":{capabilities},"clientInfo":{{"name":"c","version":"1"}}}}"#
        );
        let body = format!(r#"{{"jsonrpc":"2.0","id":"open","method":"initialize","params":{params}}}"#);
        let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        match &mut self.way {
            Way::Http { client, session } => {
                let reply = client.post(&[], body.as_bytes()).await;
                *session = Some(reply.header("mcp-session-id").unwrap().to_owned());
                self.opened = reply.response().await;
            }
            Way::Lines(client) => {
                client.send(body.as_bytes()).await;
                self.opened = client.next().await.unwrap();
            }
        }
        self.say(initialized).await;
    }

    /// A request's body: `members` are those of its params, `meta` those of its `_meta` that are the client's own.
    pub(crate) fn body(&self, id: &str, method: &str, members: &str, meta: &str) -> String {
        let owned = META.strip_prefix(r#""_meta":{"#).and_then(|rest| rest.strip_suffix('}')).unwrap();
        let declared = format!(r#"clientCapabilities":{}"#, self.capabilities);
        let owned = owned.replace(r#"clientCapabilities":{}"#, &declared);
        let comma = if meta.is_empty() { "" } else { "," };
        let meta = if self.kind.is_modern() { format!("{meta}{comma}{owned}") } else { meta.to_owned() };
        format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{members},"_meta":{{{meta}}}}}}}"#
        )
    }

    /// The id of a legacy session over HTTP.
    pub(crate) fn session(&self) -> &str {
        let Way::Http { session: Some(id), .. } = &self.way else { panic!("no session over HTTP") };
        id
    }

    /// Ends a legacy session over HTTP.
    pub(crate) async fn end(&mut self) {
        let Way::Http { client, session: Some(id) } = &self.way else { panic!("no session over HTTP") };
        let reply = client.send(&client.request("DELETE /mcp", &[("mcp-session-id", id)], b"")).await;
        assert_eq!(reply.status, 200);
    }

    /// Sends a notification.
    pub(crate) async fn say(&mut self, body: &str) {
        match &mut self.way {
            Way::Http { client, session } => {
                let headers: Vec<_> = session.iter().map(|id| ("mcp-session-id", id.as_str())).collect();
                let reply = client.post(&headers, body.as_bytes()).await;
                assert_eq!(reply.status, 202);
            }
            Way::Lines(client) => client.send(body.as_bytes()).await,
        }
    }

    /// Sends a request, without waiting for anything; [`Door::next`] gives what comes of it.
    pub(crate) async fn begin(&mut self, body: &str) -> Begun {
        match &mut self.way {
            Way::Http { client, session } => {
                let (client, body) = (client.clone(), body.to_owned());
                let mut headers = mirrored(&body);
                if let Some(id) = session.clone() {
                    headers = vec![("mcp-session-id", id), ("mcp-protocol-version", "2025-11-25".to_owned())];
                }
                let (sender, messages) = mpsc::unbounded_channel();
                let mut reading = JoinSet::new();
                reading.spawn(async move {
                    let headers: Vec<_> =
                        headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                    let mut reply = client.post(&headers, body.as_bytes()).await;
                    if reply.media() != "text/event-stream" {
                        return drop(sender.send(reply.body().await));
                    }
                    while let Some(event) = reply.event().await {
                        drop(sender.send(event));
                    }
                });
                Begun::Http { messages, _reading: reading }
            }
            Way::Lines(client) => {
                client.send(body.as_bytes()).await;
                Begun::Lines
            }
        }
    }

    /// The next message of a request under way; over lines, of anything. None when its stream has ended.
    pub(crate) async fn next(&mut self, begun: &mut Begun) -> Option<String> {
        match (begun, &mut self.way) {
            (Begun::Http { messages, .. }, _) => soon("a message of a call", messages.recv()).await,
            (Begun::Lines, Way::Lines(client)) => client.next().await,
            (Begun::Lines, Way::Http { .. }) => panic!("begun at another door"),
        }
    }

    /// The next message of a request over HTTP if it is here.
    pub(crate) fn next_now(begun: &mut Begun) -> Option<String> {
        match begun {
            Begun::Http { messages, .. } => messages.try_recv().ok(),
            Begun::Lines => panic!("lines are not read ahead"),
        }
    }

    /// Sends a request; gives the notifications that belong to it, and then its response.
    pub(crate) async fn ask(&mut self, body: &str) -> Vec<String> {
        match &mut self.way {
            Way::Http { client, session } => {
                let session = session.clone();
                let mut headers = mirrored(body);
                if let Some(id) = session {
                    headers =
                        vec![("mcp-session-id", id), ("mcp-protocol-version", self.revision.to_owned())];
                }
                let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let mut reply = client.post(&headers, body.as_bytes()).await;
                if reply.media() != "text/event-stream" {
                    return vec![reply.body().await];
                }
                let mut events = Vec::new();
                while let Some(event) = reply.event().await {
                    events.push(event);
                }
                events
            }
            Way::Lines(client) => {
                client.send(body.as_bytes()).await;
                let mut lines = Vec::new();
                loop {
                    let line = client.next().await.unwrap();
                    let is_response = json::at(&line, &["id"]).is_some();
                    lines.push(line);
                    if is_response {
                        return lines;
                    }
                }
            }
        }
    }

    /// Sends a request; gives its response.
    pub(crate) async fn response(&mut self, body: &str) -> String {
        self.ask(body).await.pop().unwrap()
    }
}

/// A client over lines, served by the gateway.
pub(crate) fn lines(running: &Running) -> LineClient {
    let (client, input, output) = LineClient::new();
    let gateway = Arc::clone(&running.gateway);
    tokio::spawn(async move { gateway.serve_stdio(input, output).await });
    client
}
