//! A client on one stream for both directions: a process's pipes, or an HTTP+SSE connection. Both eras, many calls at once.
//!
//! What opens a conversation tells its era: a message whose `_meta` names its revision is modern and stands for
//! itself; `initialize` opens the one legacy session of this stream. Source: MCP 2026-07-28 `basic/transports/stdio`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use auth::Identity;
use base::aside::client_message;
use base::error::CallError;
use base::reply;
use base::sync::lock;
use bytes::Bytes;
use catalog::caller::Caller;
use catalog::changes::subscription::StreamSlot;
use futures_util::future::join_all;
use http::HeaderMap;
use mcp::answer::error_message;
use mcp::inbound;
use mcp::json::Object;
use mcp::jsonrpc::{Id, Message, MessageKind, Unread};
use mcp::legacy::batch::{self, Member};
use mcp::reject::{Reject, code};
use mcp::version::{self, Era};
use tokio::time::{Duration, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bridge::endpoint::{Disposition, Endpoint};
use crate::bridge::session::SessionClaims;
use crate::flow::in_flight::InFlight;
use crate::flow::{Flow, Last, Step, Steps};
use crate::listener::batch::{Taken, take as take_member};
use crate::listener::outbox::Outbox;
use crate::listener::{pong, request_id};

/// One client on one stream.
pub(super) struct Conversation {
    endpoint: Mutex<Arc<Endpoint>>,
    /// How long calls have to finish when it ends.
    drain: Duration,
    /// Tells servers which calls are this client's.
    name: Arc<str>,
    /// Who it is, as was shown last: over HTTP+SSE each message has credentials of its own, of the same principal.
    identity: Mutex<Identity>,
    out: Outbox,
    calls: Arc<Mutex<HashMap<Id, CancellationToken>>>,
    session: Mutex<Option<SessionClaims>>,
    tasks: TaskTracker,
    /// Ends streams, which would never end by themselves, in good order.
    pub(super) eof: CancellationToken,
    /// Ends everything that this client has going on.
    pub(super) end: CancellationToken,
}

impl Conversation {
    /// A conversation whose answers go to `out`. What `end` is cancelled by is the client's going away.
    pub(super) fn new(
        endpoint: Arc<Endpoint>,
        (name, identity): (Arc<str>, Identity),
        out: Outbox,
        end: CancellationToken,
    ) -> Arc<Self> {
        let eof = endpoint.drain.child_token();
        Arc::new(Self {
            drain: endpoint.limits.drain,
            endpoint: Mutex::new(endpoint),
            name,
            identity: Mutex::new(identity),
            out,
            calls: Arc::default(),
            session: Mutex::default(),
            tasks: TaskTracker::new(),
            eof,
            end,
        })
    }

    /// The endpoint that its client is at: a reload may have put another one in the place of the first.
    fn endpoint(&self) -> Arc<Endpoint> {
        let mut endpoint = lock(&self.endpoint);
        if endpoint.successor.get().is_some() {
            let newest = endpoint.newest();
            *endpoint = newest;
        }
        Arc::clone(&endpoint)
    }

    /// Takes no more, and lets calls finish that are about to be answered.
    pub(super) async fn finish(&self) {
        // Whoever pipes a few requests in closes the input at once and still wants the answers.
        self.eof.cancel();
        self.tasks.close();
        if timeout(self.drain, self.tasks.wait()).await.is_err() {
            self.end.cancel();
            self.tasks.wait().await;
        }
        self.out.finish();
    }

    /// The legacy session that was opened on it.
    pub(super) fn claims(&self) -> Option<SessionClaims> {
        lock(&self.session).clone()
    }

    fn identity(&self) -> Identity {
        lock(&self.identity).clone()
    }

    /// What is taken from now on came with these credentials.
    pub(super) fn shows(&self, identity: Identity) {
        if let Some(claims) = &mut *lock(&self.session) {
            claims.identity = identity.clone();
        }
        *lock(&self.identity) = identity;
    }

    /// Takes the bytes of a message, or of a batch, and the headers that they came with.
    pub(super) async fn take_bytes(self: &Arc<Self>, bytes: Bytes, headers: HeaderMap) {
        if batch::is_array(&bytes)
            && let Some(claims) = self.claims().filter(|claims| claims.revision.has_batches)
        {
            return self.take_batch(&bytes, claims, headers).await;
        }
        match client_message(&bytes, self.endpoint().route.json_depth).await {
            Ok(message) => self.take(message, headers).await,
            Err(Unread { fault, id }) => {
                self.fail(&CallError::Reject(Reject::from(fault)), id.as_ref(), Era::Modern).await;
            }
        }
    }

    /// Something was left out because it cannot be read.
    pub(super) async fn skipped(&self, why: &str, asks: Option<&Id>) {
        self.say(error_message(asks, code::INVALID_REQUEST, &format!("{why}; it was skipped"), None)).await;
    }

    /// Takes a message, and the headers that it came with.
    pub(super) async fn take(self: &Arc<Self>, message: Message, headers: HeaderMap) {
        let id = request_id(&message);
        let era = if inbound::claims_modern(&message) { Era::Modern } else { Era::Legacy };
        let taken = self.sort(message, era, headers).await;
        if let Err(error) = taken {
            // Without an id it was a notification, which is never answered.
            if id.is_some() {
                self.fail(&error, id.as_ref(), era).await;
            }
        }
    }

    async fn sort(self: &Arc<Self>, message: Message, era: Era, headers: HeaderMap) -> Result<(), CallError> {
        if let MessageKind::Notification(note) = message.kind()
            && &*note.method == "notifications/cancelled"
        {
            self.cancel(&message);
        }
        if era == Era::Modern {
            if let MessageKind::Request(_) = message.kind() {
                let call = inbound::modern_stdio(message)?;
                let revision = version::newest(Era::Modern);
                let caller = Caller::new(&self.identity(), call.client().clone(), revision);
                let caller = Caller { client: Some(Arc::clone(&self.name)), headers, ..caller };
                let (route, eof) = (Arc::clone(&self.endpoint().route), self.eof.clone());
                let flow = Flow::new(route, Box::new(call), caller, None, eof);
                return self.start(flow, None);
            }
            return Ok(());
        }
        let opens =
            matches!(message.kind(), MessageKind::Request(request) if &*request.method == "initialize");
        let claims = lock(&self.session).clone();
        if let (None, Some(pong)) = (&claims, pong(&message)) {
            self.say(pong).await;
            return Ok(());
        }
        match (claims, opens) {
            (None, true) => self.open(message).await,
            (Some(claims), _) if asks_a_server(&message) => {
                let this = Arc::clone(self);
                self.tasks.spawn(async move { this.take_turn(message, &claims, headers).await });
                Ok(())
            }
            (Some(claims), _) => {
                self.take_turn(message, &claims, headers).await;
                Ok(())
            }
            // Neither era was opened: what a modern request lacks is what it is told.
            (None, false) => match inbound::modern_stdio(message) {
                Err(fault) => Err(CallError::from(fault)),
                Ok(_) => Err(CallError::Internal("a modern request was not told by its _meta".to_owned())),
            },
        }
    }

    async fn take_turn(self: &Arc<Self>, message: Message, claims: &SessionClaims, headers: HeaderMap) {
        let id = request_id(&message);
        let taken = self.endpoint().take(message, claims, headers).await;
        let done = match taken {
            Ok(Disposition::Answer(bytes)) => {
                self.say(bytes).await;
                Ok(())
            }
            Ok(Disposition::Accepted) => Ok(()),
            Ok(Disposition::Call(flow, in_flight)) => self.start(*flow, Some(in_flight)),
            Err(error) => Err(error),
        };
        // Without an id it was a notification, which is never answered.
        if let (Err(error), Some(id)) = (done, id) {
            self.fail(&error, Some(&id), Era::Legacy).await;
        }
    }

    /// Carries out what came in one array, and answers with one array when all of it is done.
    async fn take_batch(self: &Arc<Self>, bytes: &Bytes, claims: SessionClaims, headers: HeaderMap) {
        let members = match batch::read(bytes, self.endpoint().route.json_depth) {
            Ok(members) => members,
            Err(fault) => {
                return self.fail(&CallError::Reject(Reject::from(fault)), None, Era::Legacy).await;
            }
        };
        let this = Arc::clone(self);
        self.tasks.spawn(async move {
            let replies = members.into_iter().map(|member| this.reply_to(member, &claims, &headers));
            let replies: Vec<_> = join_all(replies).await.into_iter().flatten().collect();
            if !replies.is_empty() {
                this.say(batch::join(&replies)).await;
            }
        });
    }

    async fn reply_to(&self, member: Member, claims: &SessionClaims, headers: &HeaderMap) -> Option<Bytes> {
        match take_member(member, &self.endpoint(), claims, headers).await {
            Taken::Nothing => None,
            Taken::Reply(bytes) => Some(bytes),
            Taken::Call(steps, delivery) => tokio::select! {
                reply = self.carry(steps, &delivery.id) => reply,
                () = self.end.cancelled() => None,
            },
        }
    }

    async fn open(self: &Arc<Self>, message: Message) -> Result<(), CallError> {
        let opened = self.endpoint().open_here(&message, &self.identity()).await?;
        *lock(&self.session) = Some(opened.claims.clone());
        self.say(opened.answer).await;
        let this = Arc::clone(self);
        self.tasks.spawn(async move { this.notify(&opened.claims).await });
        Ok(())
    }

    /// Tells the session what belongs to no call, from one endpoint to the next.
    async fn notify(&self, claims: &SessionClaims) {
        let mut endpoint = self.endpoint();
        let Ok(_seat) = StreamSlot::take(&endpoint.route.changes).await else { return };
        let mut notifications = Arc::clone(&endpoint).notifications(claims.clone()).await;
        loop {
            let told = tokio::select! {
                biased;
                () = self.eof.cancelled() => return,
                () = endpoint.route.changes.replaced.cancelled() => None,
                told = notifications.next() => told,
            };
            if let Some(told) = told {
                self.say(told).await;
                continue;
            }
            let newest = self.endpoint();
            if Arc::ptr_eq(&endpoint, &newest) {
                return;
            }
            endpoint = newest;
            notifications = Arc::clone(&endpoint).notifications(claims.clone()).await;
            // Other servers, other names.
            notifications.tell_everything();
        }
    }

    /// Carries out a call beside the others.
    fn start(self: &Arc<Self>, flow: Flow, in_flight: Option<InFlight>) -> Result<(), CallError> {
        let era = if in_flight.is_some() { Era::Legacy } else { Era::Modern };
        let cancel = in_flight.as_ref().map_or_else(|| self.end.child_token(), |call| call.cancel.clone());
        let key = flow.id().canonical();
        if era == Era::Modern {
            let mut calls = lock(&self.calls);
            if calls.contains_key(&key) {
                return Err(CallError::Reject(Reject::NotARequest(
                    "a request with this id is still in flight",
                )));
            }
            calls.insert(key.clone(), cancel.clone());
        }
        let this = Arc::clone(self);
        let id = flow.id().clone();
        // It goes on by itself, so that its deadlines hold whether or not the client reads.
        let steps = match in_flight {
            Some(in_flight) => Steps::detached(flow, in_flight, &self.tasks),
            None => Steps::tied(flow, &self.tasks),
        };
        self.tasks.spawn(async move {
            tokio::select! {
                reply = this.carry(steps, &id) => {
                    if let Some(reply) = reply {
                        this.say(reply).await;
                    }
                }
                () = cancel.cancelled() => {}
                () = this.end.cancelled() => cancel.cancel(),
            }
            lock(&this.calls).remove(&key);
        });
        Ok(())
    }

    /// Says what a call says, up to its response; none when it was cancelled.
    async fn carry(&self, mut steps: Steps, id: &Id) -> Option<Bytes> {
        loop {
            match steps.next().await? {
                Step::Begun { .. } => {}
                Step::Notice(bytes) | Step::Ask(bytes) => self.say(bytes).await,
                Step::Last(last) => {
                    let bytes = match last {
                        Last::Message(message, _) => message.bytes().clone(),
                        Last::Built(text) => text.text(),
                        Last::Error(wire) => wire.body(Some(id)),
                        Last::Ended(bytes) => bytes,
                    };
                    return Some(bytes);
                }
            }
        }
    }

    fn cancel(&self, message: &Message) {
        let params = message.params().and_then(|params| Object::parse(params).ok());
        let id = params.and_then(|params| params.get("requestId").ok().flatten().and_then(Id::parse));
        if let Some(cancel) = id.and_then(|id| lock(&self.calls).get(&id.canonical()).cloned()) {
            cancel.cancel();
        }
    }

    async fn fail(&self, error: &CallError, id: Option<&Id>, era: Era) {
        let wire = reply::wire_for(error, era);
        wire.log(error, "");
        self.say(wire.body(id)).await;
    }

    async fn say(&self, message: Bytes) {
        self.out.put(message).await;
    }
}

/// Whether an answer to a message waits for a server although it is no call: what comes after it must not wait, too.
fn asks_a_server(message: &Message) -> bool {
    let MessageKind::Request(request) = message.kind() else { return false };
    matches!(&*request.method, "resources/subscribe" | "resources/unsubscribe")
}
