//! What a legacy client's message means, whatever it came by: a call for the spine, or something between the client
//! and us.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use auth::definition::Sort;
use auth::{Action, Claims, Identity, Known, Principal};
use base::error::CallError;
use base::plan::Limits;
use base::reply;
use base::sink::Event;
use base::sync::lock;
use bytes::Bytes;
use catalog::caller::Caller;
use catalog::changes::subscription::Subscription;
use catalog::changes::watch::Interest;
use catalog::sight;
use futures_util::future::join_all;
use http::HeaderMap;
use mcp::answer;
use mcp::call::Call;
use mcp::discover::Discovered;
use mcp::inbound;
use mcp::json::{Object, Patch};
use mcp::jsonrpc::{Id, Message, MessageKind, Notification, Request};
use mcp::legacy::initialize::{self, Opening};
use mcp::listen::{Filter, MOST_URIS};
use mcp::meta;
use mcp::method::Kind;
use mcp::reject::Reject;
use mcp::version::Era;
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use upstream::{UnsolicitedMessage, Upstream};

use crate::bridge::asked::{Concerns, Ended, LOGGING, SessionAnswer, between_us, caller_of, uri_of};
use crate::bridge::session::{SessionClaims, SessionState, Sessions, fits};
use crate::flow::Flow;
use crate::flow::in_flight::InFlight;
use crate::forward::questions::Asking;
use crate::forward::record::CallRecord;
use crate::route::Route;
use base::names::Owner;

/// How long a client may take to say that it is ready before it is told what there is all the same.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// Ends what servers hold for a session. One that takes its time holds up no other.
async fn forget(route: Arc<Route>, principal: Principal, session: Arc<str>) {
    let members = &route.catalog.members;
    join_all(members.iter().map(|member| member.upstream.forget(&principal, &session))).await;
}

/// What a path leads to: a route, and what legacy clients have going on there.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) route: Arc<Route>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) limits: Limits,
    pub(crate) drain: CancellationToken,
    /// What a new plan has put in this one's place.
    pub(crate) successor: OnceLock<Arc<Self>>,
}

/// What to do about a message.
pub(crate) enum Disposition {
    /// Answer with this.
    Answer(Bytes),
    /// Say that it was taken.
    Accepted,
    /// Carry out a call, which goes on until it is answered or cancelled.
    Call(Box<Flow>, InFlight),
}

/// A session that was just opened.
pub(crate) struct Opened {
    pub(crate) id: String,
    pub(crate) claims: SessionClaims,
    pub(crate) answer: Bytes,
}

impl Ended for Opened {
    fn tell(&self, record: &mut CallRecord) {
        if let Some(detail) = record.detail() {
            detail.session = Some(Arc::clone(&self.claims.name));
        }
    }
}

impl Endpoint {
    /// What the path leads to now.
    pub(crate) fn newest(self: &Arc<Self>) -> Arc<Self> {
        let mut endpoint = self;
        while let Some(next) = endpoint.successor.get() {
            endpoint = next;
        }
        Arc::clone(endpoint)
    }

    /// Opens a session that outlives its connections: any replica can find it.
    pub(crate) async fn open(
        &self,
        message: &Message,
        identity: &Identity,
        headers: &HeaderMap,
    ) -> Result<Opened, CallError> {
        let opened = async {
            let Some(replica) = &self.route.replica else { return self.open_as(message, identity, "").await };
            Box::pin(replica.renewed())
                .await
                .map_err(|fault| CallError::store_away("this change of a session", &fault))?;
            self.open_as(message, identity, &replica.id()).await
        };
        let caller = caller_of(message, identity, headers);
        self.written_down("initialize", (Some(message), &caller), (&Concerns::new(), opened)).await
    }

    /// Opens the session of one connection, which ends with it.
    pub(crate) async fn open_here(
        &self,
        message: &Message,
        identity: &Identity,
    ) -> Result<Opened, CallError> {
        let caller = caller_of(message, identity, &HeaderMap::new());
        let opened = self.open_as(message, identity, "");
        self.written_down("initialize", (Some(message), &caller), (&Concerns::new(), opened)).await
    }

    /// Has it written down how a request went that is no call.
    async fn written_down<T: Ended>(
        &self,
        method: &'static str,
        of: (Option<&Message>, &Caller),
        (concerns, done): (&Concerns, impl Future<Output = Result<T, CallError>>),
    ) -> Result<T, CallError> {
        let mut record = CallRecord::of_request(&self.route.world, of, (method, &self.route.name))?;
        let done = done.await;
        if let Some((upstream, own, told)) = concerns.get() {
            record.concerns(upstream, own, told.clone());
        }
        let outcome =
            done.as_ref().map_or_else(|error| reply::wire_for(error, Era::Legacy).label, Ended::outcome);
        if let Ok(done) = &done {
            done.tell(&mut record);
        }
        record.close(outcome).await?;
        done
    }

    async fn open_as(
        &self,
        message: &Message,
        identity: &Identity,
        opener: &str,
    ) -> Result<Opened, CallError> {
        let request = inbound::request_of(message)?;
        let opening = Opening::read(message.params())?;
        if !fits(&opening) {
            return Err(CallError::Reject(Reject::Params(
                "\"capabilities\" are larger than a session can hold".to_owned(),
            )));
        }
        let caller = Caller::new(identity, opening.client.clone(), opening.revision);
        let (mut discovered, _) = self.route.descriptions.discovered(&caller).await?;
        if self.route.tasks.sender.gate.enforces() {
            // A list does not say which tools its tasks run.
            discovered.raw_capabilities = initialize::without_task_list(&discovered.raw_capabilities);
        }
        let now = self.now();
        let (id, claims) = self
            .sessions
            .open(&opening, identity, &self.limits, (opener, now))
            .map_err(|fault| CallError::Internal(fault.to_string()))?;
        self.sessions.opening(&claims.name);
        self.tell_session((&claims.name, &identity.principal), "opened");
        for (over, principal) in self.sessions.sweep(now) {
            self.tell_session((&over, &principal), "expired");
            self.route.world.tasks.spawn(forget(Arc::clone(&self.route), principal, over));
        }
        let result = initialize::result(&discovered, claims.revision, &self.route.world.identity);
        Ok(Opened { id, claims, answer: answer::result_message(&request.id, &result) })
    }

    /// Has it written down what has become of a session, if anything is.
    fn tell_session(&self, (session, principal): (&str, &Principal), outcome: &'static str) {
        let sinks = &self.route.world.sinks;
        if sinks.examines().is_none() {
            return;
        }
        let mut members = vec![
            ("outcome", outcome.to_owned()),
            ("principal", principal.id().to_owned()),
            ("route", self.route.name.clone()),
        ];
        // What a client shows that nobody knows is no name of a session.
        if !session.is_empty() {
            members.push(("session", session.to_owned()));
        }
        sinks.note(&Event { kind: "session", members });
    }

    /// The session of that id.
    pub(crate) fn find(&self, id: &str, identity: &Identity) -> Result<SessionClaims, CallError> {
        self.sessions.find(id, identity, self.now()).map_err(|fault| {
            tracing::debug!(%fault, "a session id is not valid");
            self.tell_session(("", &identity.principal), "lost");
            CallError::NoSession
        })
    }

    /// A client ends its session, everywhere, whether or not it waits for that.
    pub(crate) async fn end_for_client(self: &Arc<Self>, claims: &SessionClaims) -> Result<(), CallError> {
        let caller = claims.caller(claims.client.clone());
        self.written_down("DELETE", (None, &caller), (&Concerns::new(), self.end(claims))).await
    }

    /// Ends a session, everywhere.
    pub(crate) async fn end(self: &Arc<Self>, claims: &SessionClaims) -> Result<(), CallError> {
        let principal = claims.identity.principal.clone();
        let (endpoint, claims) = (Arc::clone(self), claims.clone());
        let ending = self.route.world.tasks.spawn(async move {
            // What servers hold for it is ended first: that it has ended is the last that is known of it.
            forget(Arc::clone(&endpoint.route), principal, Arc::clone(&claims.name)).await;
            endpoint.mark_ended(&claims).await?;
            endpoint.sessions.end(&claims, endpoint.now());
            endpoint.tell_session((&claims.name, &claims.identity.principal), "closed");
            if let Some(traces) = endpoint.route.world.sinks.traces() {
                let lasted = claims.lasted(endpoint.limits.session_ttl, endpoint.now());
                traces.session_ended(claims.revision.name, lasted);
            }
            Ok(())
        });
        ending.await.unwrap_or_else(|fault| Err(CallError::Internal(format!("ending a session: {fault}"))))
    }

    /// What a message in a session means.
    pub(crate) async fn take(
        &self,
        message: Message,
        claims: &SessionClaims,
        headers: HeaderMap,
    ) -> Result<Disposition, CallError> {
        // Whoever goes on without saying so is ready, too.
        let pings = matches!(message.kind(), MessageKind::Request(request) if &*request.method == "ping");
        if !pings {
            self.sessions.opened(&claims.name);
        }
        match message.kind() {
            MessageKind::Request(request) => {
                let request = request.clone();
                let Some(method) = between_us(&request.method) else {
                    return self.call(message, claims, headers);
                };
                let logs = method != LOGGING || Box::pin(self.logs(claims)).await?;
                // A server of its own may log although it does not say so.
                if !logs && self.only_own().is_some() {
                    return self.call(message, claims, headers);
                }
                let caller = Caller { headers, ..claims.caller(claims.client.clone()) };
                let concerns = Concerns::new();
                let answered = self.answer(&message, &request, (claims, logs), &concerns);
                let answered = (&concerns, answered);
                let answered = Box::pin(self.written_down(method, (Some(&message), &caller), answered));
                Ok(Disposition::Answer(answered.await?.text))
            }
            MessageKind::Notification(note) => {
                self.take_notification(&message, note, claims);
                Ok(Disposition::Accepted)
            }
            MessageKind::Result(_) | MessageKind::Error(_) => {
                let held = self.sessions.held(claims);
                if !held.is_some_and(|held| held.questions.answered(&message)) {
                    tracing::debug!("a client answers what nobody waits for (any more)");
                }
                Ok(Disposition::Accepted)
            }
        }
    }

    /// Answers a request that is no call.
    async fn answer(
        &self,
        message: &Message,
        request: &Request,
        (claims, logs): (&SessionClaims, bool),
        concerns: &Concerns,
    ) -> Result<SessionAnswer, CallError> {
        match &*request.method {
            LOGGING => {
                if !logs {
                    return Err(CallError::Reject(Reject::UnknownMethod(request.method.to_string())));
                }
                let params = message.params().unwrap_or("{}");
                let object = Object::parse(params).map_err(|fault| Reject::member("params", &fault))?;
                let raw = object.get("level").map_err(|fault| Reject::member("level", &fault))?;
                let level = raw.ok_or_else(|| Reject::Params("\"level\" is required".to_owned()))?;
                let level = meta::log_level(level).map_err(|reject| Reject::Params(reject.to_string()))?;
                Box::pin(self.remember_level(claims, level)).await?;
                self.sessions.hold(claims, self.now()).set_level(level);
            }
            "resources/subscribe" => {
                if let Some(refusal) = self.subscribe(&uri_of(message)?, claims, concerns).await? {
                    let mut patch = Patch::new();
                    refusal.set_id(&request.id, &mut patch);
                    return Ok(SessionAnswer { text: patch.apply(refusal.bytes()), outcome: "error" });
                }
                Box::pin(self.remember_interests(claims)).await?;
            }
            "resources/unsubscribe" => {
                if let Some(held) = self.sessions.held(claims) {
                    lock(&held.interests).remove(&uri_of(message)?);
                    held.comes_as.send_replace(claims.identity.claims.clone());
                    Box::pin(self.remember_interests(claims)).await?;
                }
            }
            "initialize" => {
                return Err(CallError::Reject(Reject::NotARequest("this session is already open")));
            }
            // A ping.
            _ => {}
        }
        Ok(SessionAnswer { text: answer::result_message(&request.id, "{}"), outcome: "ok" })
    }

    /// The server that each client has a session of its own with, if there is no other: what a client says to whoever it is
    /// can only be meant for that.
    fn only_own(&self) -> Option<&Upstream> {
        let upstream = &self.route.catalog.only()?.upstream;
        upstream.is_ones_own().then_some(upstream)
    }

    /// Whether any server logs, as far as is known. One that is away may.
    async fn logs(&self, claims: &SessionClaims) -> Result<bool, CallError> {
        let told = self.route.descriptions.discovered(&claims.caller(claims.client.clone())).await;
        let logs = |(found, missing): (Discovered, BTreeMap<_, _>)| {
            found.capabilities.logging || !missing.is_empty()
        };
        Ok(told.map_or(true, logs))
    }

    fn call(
        &self,
        message: Message,
        claims: &SessionClaims,
        headers: HeaderMap,
    ) -> Result<Disposition, CallError> {
        let held = self.sessions.hold(claims, self.now());
        let call: Call = inbound::legacy(message, claims.facts(Some(&held)))?;
        let Some(in_flight) = held.begin(call.id()) else {
            return Err(CallError::Reject(Reject::NotARequest("a request with this id is still in flight")));
        };
        let caller = Caller { headers, ..claims.caller(call.client().clone()) };
        let (call, drain) = (Box::new(call), self.drain.clone());
        let flow = Flow::new(Arc::clone(&self.route), call, caller, Some(&held.questions), drain);
        Ok(Disposition::Call(Box::new(flow), in_flight))
    }

    fn take_notification(&self, message: &Message, note: &Notification, claims: &SessionClaims) {
        match &*note.method {
            "notifications/cancelled" => self.take_cancel(message, claims),
            "notifications/progress" => {
                let held = self.sessions.held(claims);
                if held.is_some_and(|held| held.questions.progressed(message)) {
                    return;
                }
                match self.only_own() {
                    Some(upstream) => {
                        let client = (&claims.name, &claims.client);
                        upstream.tell_own(&claims.identity.principal, client, message.bytes());
                    }
                    None => tracing::debug!("a client tells of progress that nobody waits for"),
                }
            }
            "notifications/roots/list_changed" => {
                for member in &self.route.catalog.members {
                    let client = (&claims.name, &claims.client);
                    member.upstream.roots_changed(&claims.identity.principal, client, message.bytes());
                }
            }
            _ => {}
        }
    }

    fn take_cancel(&self, message: &Message, claims: &SessionClaims) {
        let params = message.params().and_then(|params| Object::parse(params).ok());
        let id = params.and_then(|params| params.get("requestId").ok().flatten().and_then(Id::parse));
        if let (Some(id), Some(held)) = (id, self.sessions.held(claims)) {
            held.cancel(&id);
        }
    }

    /// Watches a resource for a session until it unsubscribes or ends; gives the server's refusal, if that is what it says.
    pub(super) async fn subscribe(
        &self,
        uri: &str,
        claims: &SessionClaims,
        concerns: &Concerns,
    ) -> Result<Option<Message>, CallError> {
        let unknown = || CallError::UnknownName { kind: Kind::Resource, name: uri.to_owned() };
        let (owner, own) = self.route.catalog.names.uri_owner(uri);
        let Owner::Server(server, _) = owner else { return Err(unknown()) };
        let (Some(watch), Some(member)) =
            (self.route.changes.watch(server), self.route.catalog.members.get(server))
        else {
            return Err(unknown());
        };
        let (gate, principal) = (&self.route.gate, &claims.identity.principal);
        let said = claims.identity.claims.as_ref();
        if !member.sight(&self.route.catalog.views.leading((principal, said))).has(Kind::Resource, &own) {
            return Err(unknown());
        }
        if let Some(identifier) = &self.route.identifier {
            let of = (principal, said.map(Arc::as_ref));
            identifier.lacks_for_uri(of, Kind::Resource, uri).map_or(Ok(()), Err)?;
        }
        let address = claims.identity.address;
        let (sort, era) = (Some(Sort::Resource), Some(Era::Legacy.name()));
        let known = Known { claims: said, sort, address, era, ..Known::default() };
        let upstream = member.upstream.label();
        let action = Action { method: "resources/subscribe", upstream, name: Some(&own), known };
        let mut told = None;
        let keeps = self.route.world.sinks.examines().is_some();
        let permitted = sight::permit(gate, principal, &action, keeps.then_some(&mut told));
        // It is told once.
        drop(concerns.set((Arc::clone(upstream), own.as_str().into(), told)));
        drop(permitted?);
        let is_one_too_many = |interests: &BTreeMap<String, Interest>| {
            interests.len() >= MOST_URIS && !interests.contains_key(uri)
        };
        let too_many =
            || CallError::Overloaded { what: "watched resources of a session".to_owned(), limit: MOST_URIS };
        if self.sessions.held(claims).is_some_and(|held| is_one_too_many(&lock(&held.interests))) {
            return Err(too_many());
        }
        let within = member.upstream.plan().deadlines.list;
        // So that it is known who listens for clients of this era; what is wrong is seen below.
        drop(member.upstream.discovered(principal, Era::Legacy, Some(&claims.client)).await);
        let watch = watch.of(Era::Legacy);
        let (interest, honoured) = watch.want(vec![own.clone()], Instant::now() + within).await;
        if !honoured.is_some_and(|honoured| honoured.uris.contains(&own)) {
            if let Some(refusal) = watch.refusal(&own) {
                return Ok(Some(refusal));
            }
            return Err(CallError::NotBridged {
                what: "resources/subscribe".to_owned(),
                why: format!(
                    "upstream {:?} does not tell of changes to this resource",
                    member.upstream.name()
                ),
            });
        }
        let held = self.sessions.hold(claims, self.now());
        {
            let mut interests = lock(&held.interests);
            // Many may have come at once.
            if is_one_too_many(&interests) {
                return Err(too_many());
            }
            interests.insert(uri.to_owned(), interest);
        }
        held.comes_as.send_replace(claims.identity.claims.clone());
        Ok(None)
    }

    /// The notifications that belong to no call, for the newest stream of a session.
    pub(crate) async fn notifications(self: Arc<Self>, claims: SessionClaims) -> Notifications {
        let held = self.sessions.hold(&claims, self.now());
        let mut number = 0;
        held.streams.send_modify(|count| {
            *count += 1;
            number = *count;
        });
        let (interests, streams) = (held.comes_as.subscribe(), held.streams.subscribe());
        let (asides, aside) = UnsolicitedMessage::channel();
        let principal = &claims.identity.principal;
        for (place, member) in self.route.catalog.members.iter().enumerate() {
            member.upstream.can_ask((principal, place), (&claims.name, &claims.client), &asides);
        }
        let asking = Asking::new(Arc::clone(&held.questions));
        let whose = (principal, claims.identity.claims.as_ref());
        let subscription =
            Subscription::aside(&self.route.changes, all_changes(&held), (whose, Era::Legacy)).await;
        let unready = Some((claims.name, Instant::now() + READY_WITHIN));
        let outdated = false;
        Notifications {
            endpoint: self,
            held,
            principal: claims.identity.principal,
            unready,
            subscription,
            aside,
            asking,
            interests,
            streams,
            number,
            outdated,
        }
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.route.world.clock.now()
    }
}

/// A session's stream of notifications.
pub(crate) struct Notifications {
    endpoint: Arc<Endpoint>,
    held: Arc<SessionState>,
    principal: Principal,
    /// The session's name, as long as its client may not be told anything yet, and until when that is waited for.
    unready: Option<(Arc<str>, Instant)>,
    subscription: Subscription,
    /// What legacy servers ask, or say to this one client, outside of any call.
    aside: mpsc::Receiver<UnsolicitedMessage>,
    asking: Asking,
    interests: tokio::sync::watch::Receiver<Option<Arc<Claims>>>,
    streams: tokio::sync::watch::Receiver<u64>,
    number: u64,
    /// Whether the session wants to hear of other resources than the subscription knows.
    outdated: bool,
}

impl Notifications {
    /// Says that everything may have changed.
    pub(crate) fn tell_everything(&mut self) {
        self.subscription.tell_everything();
    }

    /// The next notification; none when the stream is over: another one took its place, or the session ended.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        if let Some((name, until)) = &self.unready {
            tokio::select! {
                () = self.endpoint.sessions.initialized(name) => {}
                () = sleep_until(*until) => {}
                () = self.endpoint.drain.cancelled() => return None,
            }
            self.unready = None;
        }
        loop {
            if self.outdated {
                let claims = self.interests.borrow_and_update().clone();
                let whose = (&self.principal, claims.as_ref());
                self.subscription.change(&self.endpoint.route.changes, all_changes(&self.held), whose).await;
                self.outdated = false;
            }
            let woken = tokio::select! {
                // What it wants to hear of comes before what is heard.
                biased;
                changed = self.interests.changed() => changed.map(|()| true),
                changed = self.streams.changed() => changed.map(|()| false),
                () = self.endpoint.drain.cancelled() => return None,
                Some(aside) = self.aside.recv() => match aside {
                    UnsolicitedMessage::Word(word) => return Some(word),
                    UnsolicitedMessage::Updated(place, told) => match self.subscription.unasked(place, &told.0, &told.1) {
                        Some(told) => return Some(told),
                        None => continue,
                    },
                    UnsolicitedMessage::Ask(ask) => match self.asking.pass_on(*ask) {
                        Some(asked) => return Some(asked),
                        None => continue,
                    },
                },
                told = self.subscription.next() => return told,
            };
            match woken {
                Ok(true) => self.outdated = true,
                Ok(false) if *self.streams.borrow_and_update() == self.number => {}
                Ok(false) | Err(_) => return None,
            }
        }
    }
}

/// All that a session may hear of.
fn all_changes(held: &SessionState) -> Filter {
    let uris = lock(&held.interests).keys().cloned().collect();
    Filter { tools: true, prompts: true, resources: true, uris }
}
