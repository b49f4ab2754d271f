//! A legacy session, whichever transport it came by.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::HeaderMap;
use mcp::inbound;
use mcp::json::{self, Object};
use mcp::jsonrpc::{Id, Message, MessageKind};
use mcp::legacy::initialize::Opening;
use mcp::listen::Filter;
use mcp::meta::{ClientFacts, LogLevel, LogWish};
use mcp::method;
use mcp::reject::Reject;
use mcp::version::Revision;
use tokio_util::sync::CancellationToken;

use crate::answer::{Answer, Refusal};
use crate::calls::{Calls, locked};
use crate::changes::Changes;
use crate::legacy::inquiries::Inquiries;
use crate::live::{Asking, Line, LiveCall, Origin};
use crate::methods;
use crate::resources;
use crate::server::{self, Server};

/// How many resources one session may watch; the template alone gives any number.
const WATCHED: usize = 256;

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    /// The revision that was agreed on.
    pub(crate) revision: &'static Revision,
    /// Cancelled when it is over.
    pub(crate) over: CancellationToken,
    /// What the client said of itself, and which log messages it wants since.
    client: Mutex<ClientFacts>,
    watched: Mutex<BTreeSet<String>>,
    inquiries: Arc<Inquiries>,
    calls: Arc<Calls>,
}

impl Session {
    /// Opens a session by the params of `initialize`, and gives the answer's members.
    pub(crate) fn open(server: &Server, params: Option<&str>) -> Result<(Self, Answer), Refusal> {
        let opening = Opening::read(params)?;
        let session = Self {
            revision: opening.revision,
            over: server.stop.child_token(),
            client: Mutex::new(opening.client),
            watched: Mutex::default(),
            inquiries: Arc::default(),
            calls: Arc::default(),
        };
        let members = format!(
            r#""protocolVersion":"{}","capabilities":{},"serverInfo":{},"instructions":{}"#,
            opening.revision.name,
            server::capabilities(),
            server.info,
            json::quote(server::INSTRUCTIONS)
        );
        Ok((session, Answer::complete(members)))
    }

    /// Begins to answer a request on `line`.
    pub(crate) fn request(
        self: &Arc<Self>,
        server: &Arc<Server>,
        message: Message,
        headers: HeaderMap,
        line: Line,
    ) -> Result<(), Refusal> {
        let request = inbound::request_of(&message)?;
        if method::find(&request.method).is_none_or(|method| !method.legacy) {
            return Err(Reject::UnknownMethod(request.method.into()).into());
        }
        let call = inbound::legacy(message, locked(&self.client).clone())?;
        let ticket = self.calls.enter(call.id(), &self.over)?;
        let origin = Origin { revision: self.revision, headers };
        let asking = Asking::InBetween(Arc::clone(&self.inquiries));
        let session = Arc::clone(self);
        let live = LiveCall::new(server, call, origin, asking, line);
        live.start(ticket, |live| async move { session.answer(live).await });
        Ok(())
    }

    /// Takes a notification or a response.
    pub(crate) fn hear(&self, message: &Message) {
        match message.kind() {
            MessageKind::Notification(note) if &*note.method == "notifications/cancelled" => {
                if let Some(id) = cancelled_id(message) {
                    self.calls.cancel(&id);
                }
            }
            // Nothing here waits for `notifications/initialized`, and roots are asked for when they are needed.
            MessageKind::Notification(_) | MessageKind::Request(_) => {}
            MessageKind::Result(_) | MessageKind::Error(_) => self.inquiries.settle(message),
        }
    }

    /// The next notifications that belong to no call.
    pub(crate) async fn next_changes(&self, changes: &mut Changes) -> Vec<Bytes> {
        let changed = changes.next().await;
        let uris = locked(&self.watched).clone();
        let filter = Filter { tools: true, prompts: true, resources: false, uris };
        changed.iter().filter_map(|change| change.notification(&filter, None)).collect()
    }

    async fn answer(&self, live: LiveCall) -> Result<Answer, Refusal> {
        match live.call.method_name() {
            "ping" => Ok(Answer::complete("")),
            "logging/setLevel" => self.set_level(&live),
            "resources/subscribe" => {
                let uri = methods::subject(&live);
                if !resources::exists(uri) {
                    return Err(Refusal::NoResource(uri.to_owned()));
                }
                let mut watched = locked(&self.watched);
                if watched.len() >= WATCHED {
                    return Err(Refusal::Busy);
                }
                watched.insert(uri.to_owned());
                Ok(Answer::complete(""))
            }
            "resources/unsubscribe" => {
                locked(&self.watched).remove(methods::subject(&live));
                Ok(Answer::complete(""))
            }
            "initialize" => Err(Refusal::Params("the session is open already".to_owned())),
            _ => methods::answer(live).await,
        }
    }

    fn set_level(&self, live: &LiveCall) -> Result<Answer, Refusal> {
        let bad = |fault| Refusal::Rule(Reject::member("level", &fault));
        let params = Object::parse(live.call.params().unwrap_or("{}")).map_err(bad)?;
        let name = params.string("level").map_err(bad)?.unwrap_or_default();
        let level = LogLevel::find(&name)
            .ok_or_else(|| Refusal::Params(format!("\"level\": there is no log level {name:?}")))?;
        locked(&self.client).log = LogWish::AtLeast(level);
        Ok(Answer::complete(""))
    }
}

/// The request that `notifications/cancelled` names.
pub(crate) fn cancelled_id(message: &Message) -> Option<Id> {
    let params = Object::parse(message.params()?).ok()?;
    Id::parse(params.get("requestId").ok()??)
}
