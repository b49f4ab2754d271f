//! Hearing of one server's changes: one subscription for all who want to know, Portolan's own caches among them.
//!
//! A modern server is listened to with the union of what is wanted, in one stream; a wider union opens a second stream
//! before the first is closed. A legacy server says what it says, on its notification stream or its stdout, and is
//! asked to watch single resources. After every new beginning, what happened in between is unknown, so everything
//! counts as changed. Source: MCP 2026-07-28 `basic/patterns/subscriptions`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use auth::{Action, Gate, Principal, View};
use base::error::CallError;
use base::sync::lock;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use mcp::call::Call;
use mcp::json;
use mcp::jsonrpc::{Message, MessageKind};
use mcp::listen::Filter;
use mcp::meta::{ClientFacts, LogWish};
use mcp::notify::{Notice, Seen};
use mcp::version::Era;
use replica::Replica;
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use upstream::{Answer, Arrival, Health, HealthCheck, Order, Upstream, Want};

use crate::catalog::reading::Reader;
use crate::catalog::server_lists::ServerLists;
use crate::catalog::sight::Sight;
use crate::changes::feed::ChangeFeed;

mod telling;

/// The first pause before a stream that broke is opened again, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// For so long a server may be away before its clients are told.
const MOMENT: Duration = Duration::from_secs(2);
/// How many requests to watch a resource are under way at once.
const SUBSCRIBING: usize = 16;

/// Hears of one server's changes.
#[derive(Debug)]
pub struct Watch {
    upstream: Arc<Upstream>,
    /// The era of the clients that it is for: it listens in the conversation that is theirs.
    era: Era,
    /// Who listens for legacy clients, as long as the server is spoken to in both eras. This one, which is for modern
    /// clients, listens for all others.
    legacy: Option<Arc<Self>>,
    gate: Gate,
    /// Who tells the others, where each replica has a process of its own.
    replica: Option<Arc<Replica>>,
    principal: Principal,
    wanted: Mutex<Wanted>,
    wanted_changed: Notify,
    /// What a legacy server said to requests to watch a resource that is wanted, and that it does not watch.
    refused: Mutex<BTreeMap<String, Message>>,
    /// What the server honours, none while it is away, and up to which wish this is the answer.
    honoured: watch::Sender<Option<(u64, Option<Filter>)>>,
    /// Who is told: a route for each of its places that this server has.
    feeds: Arc<Mutex<Vec<Told>>>,
    /// Whether a stream ended and no other one began yet.
    gap: AtomicBool,
    /// Whose caches end with a change.
    all_lists: Arc<Mutex<Vec<Weak<ServerLists>>>>,
    /// Who tells that the server has gone, and what came late.
    readers: Arc<Mutex<Vec<Weak<Reader>>>>,
}

/// A route, and the server's place in it.
type Told = (usize, Weak<ChangeFeed>);

#[derive(Debug, Default)]
struct Wanted {
    version: u64,
    uris: BTreeMap<String, usize>,
}

impl Watch {
    pub fn new(upstream: &Arc<Upstream>, gate: &Gate, replica: Option<&Arc<Replica>>) -> Arc<Self> {
        let (feeds, all_lists, readers) = (Arc::default(), Arc::default(), Arc::default());
        let of = |era, legacy| Self {
            upstream: Arc::clone(upstream),
            era,
            legacy,
            gate: gate.clone(),
            replica: replica.cloned(),
            principal: Principal::anonymous(),
            wanted: Mutex::default(),
            wanted_changed: Notify::new(),
            refused: Mutex::default(),
            honoured: watch::Sender::new(None),
            feeds: Arc::clone(&feeds),
            gap: AtomicBool::new(false),
            all_lists: Arc::clone(&all_lists),
            readers: Arc::clone(&readers),
        };
        Arc::new(of(Era::Modern, Some(Arc::new(of(Era::Legacy, None)))))
    }

    /// Who listens for clients of an era.
    pub fn of(self: &Arc<Self>, client: Era) -> &Arc<Self> {
        match &self.legacy {
            Some(legacy) if self.upstream.listener(client) == Era::Legacy => legacy,
            _ => self,
        }
    }

    /// What a view shows of its server.
    pub(super) fn sight<'a>(&'a self, view: &'a View) -> Sight<'a> {
        Sight::of(self.upstream.label(), view)
    }

    /// Until when its server is waited for, so that others need not wait for a sick one.
    pub(super) fn patience(&self) -> Instant {
        self.upstream.patience(Want::List)
    }

    /// Whom it concerns what is heard here: one era's clients or all.
    fn concerned(&self) -> Option<Era> {
        self.upstream.speaks_both().then_some(self.era)
    }

    /// Makes the caches of a server's lists end with the server's changes.
    pub fn guard(&self, server_lists: &Arc<ServerLists>) {
        lock(&self.all_lists).push(Arc::downgrade(server_lists));
    }

    /// Makes a reader tell when the server goes and is back.
    pub fn tells_of_absence(&self, reader: &Arc<Reader>) {
        lock(&self.readers).push(Arc::downgrade(reader));
    }

    /// Tells a route of the server's changes, under the server's place in it.
    pub fn feed(&self, place: usize, feed: &Arc<ChangeFeed>) {
        lock(&self.feeds).push((place, Arc::downgrade(feed)));
    }

    /// Wants to hear of these resources until the interest is dropped; says which of them, and which lists, the server
    /// will tell of, or nothing if it is away and cannot say.
    pub async fn want(self: &Arc<Self>, uris: Vec<String>, until: Instant) -> (Interest, Option<Filter>) {
        let version = {
            let mut wanted = lock(&self.wanted);
            for uri in &uris {
                *wanted.uris.entry(uri.clone()).or_default() += 1;
            }
            if !uris.is_empty() {
                wanted.version += 1;
            }
            wanted.version
        };
        let interest = Interest { watch: Arc::clone(self), uris };
        if !interest.uris.is_empty() {
            self.wanted_changed.notify_one();
        }
        let mut honoured = self.honoured.subscribe();
        let answered =
            honoured.wait_for(|state| state.as_ref().is_some_and(|(answered, _)| *answered >= version));
        let filter = match tokio::time::timeout_at(until, answered).await {
            Ok(Ok(answered)) => answered.as_ref().and_then(|(_, filter)| filter.clone()),
            _ => {
                // What a server changes that is only being reached will not be heard.
                if !matches!(self.upstream.health(), Health::Up { .. }) {
                    self.gap.store(true, Ordering::Relaxed);
                }
                None
            }
        };
        (interest, filter)
    }

    /// Listens until stopped.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let legacy = async {
            match &self.legacy {
                Some(legacy) => legacy.run_while_both().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = Arc::clone(&self).run_here() => {}
            () = legacy => {}
            () = stop.cancelled() => {}
        }
    }

    /// Listens for legacy clients whenever they are spoken for in their own era, and modern ones in theirs.
    async fn run_while_both(self: &Arc<Self>) {
        let mut both = self.upstream.both_eras();
        loop {
            if both.wait_for(|both| *both).await.is_err() {
                return;
            }
            tokio::select! {
                () = Box::pin(Arc::clone(self).run_here()) => {}
                _ = both.wait_for(|both| !*both) => {}
            }
            self.gap.store(true, Ordering::Relaxed);
        }
    }

    /// Tells of what belongs to no call, and of what may have been missed, and keeps listening.
    async fn run_here(self: Arc<Self>) {
        let pulse = HealthCheck::new(Arc::clone(&self.upstream), self.gate.clone(), self.principal.clone());
        let mut pause = FIRST_PAUSE;
        let mut epoch = self.upstream.epoch(self.era);
        let mut notices = self.upstream.notices();
        let overheard = async {
            loop {
                match notices.recv().await {
                    Ok((era, change)) if self.upstream.listener(era) == self.era => {
                        self.tell(&change);
                        self.tell_others(&change);
                    }
                    Ok(_) => {}
                    Err(broadcast::error::RecvError::Lagged(_)) => self.everything_changed(),
                    Err(broadcast::error::RecvError::Closed) => return,
                }
            }
        };
        let began_anew = async {
            let mut epoch = self.upstream.epoch(self.era);
            loop {
                let before = *epoch.borrow_and_update();
                if epoch.changed().await.is_err() {
                    return;
                }
                // The first connection has missed nothing.
                if before > 0 {
                    // Who was given a list without it is told by this, too.
                    self.each_reader(|reader| reader.owes_nothing());
                    self.everything_changed();
                }
            }
        };
        let keep_listening = async {
            // So that it is known soon how the server is, whoever else asks.
            drop(self.upstream.discovered(&self.principal, self.era, None).await);
            loop {
                let era = self.link_client().await;
                if self.upstream.is_process() && !self.upstream.is_connected(&self.principal, era).await {
                    self.away();
                    if epoch.changed().await.is_err() {
                        return;
                    }
                }
                let began = Instant::now();
                match self.listen().await {
                    // A stream that lived is opened again at once; one that ends each time has to wait ever longer.
                    Ok(()) if began.elapsed() >= LONGEST_PAUSE => pause = FIRST_PAUSE,
                    Ok(()) => {}
                    Err(error) => {
                        tracing::debug!(upstream = self.upstream.name(), %error, "cannot listen for changes");
                        self.upstream.away(&error);
                        self.away();
                    }
                }
                self.gap.store(true, Ordering::Relaxed);
                tokio::select! {
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                    () = self.wanted_changed.notified() => {}
                    _ = epoch.changed() => {}
                }
            }
        };
        tokio::select! {
            () = overheard => {}
            () = began_anew => {}
            () = keep_listening => {}
            // One of the two is enough.
            () = pulse.run(), if self.era == Era::Modern => {}
            () = self.presence(), if self.era == Era::Modern => {}
        }
    }

    /// Sees the server go and come. Who goes for a moment only, and comes back, has not been away.
    async fn presence(&self) {
        let mut health = self.upstream.health_changes();
        loop {
            let now = health.borrow_and_update().clone();
            match now {
                Health::Up { .. } => {
                    self.upstream.answers();
                    self.each_reader(|reader| reader.back());
                }
                Health::Down { .. } => {
                    let back = health.wait_for(|health| !matches!(health, Health::Down { .. }));
                    if let Ok(back) = tokio::time::timeout(MOMENT, back).await {
                        if back.is_err() {
                            return;
                        }
                        continue;
                    }
                    tracing::debug!(upstream = self.upstream.name(), "away for longer than {MOMENT:?}");
                    self.each_reader(|reader| reader.gone());
                    if health.wait_for(|health| !matches!(health, Health::Down { .. })).await.is_err() {
                        return;
                    }
                    continue;
                }
                Health::Unknown => {}
            }
            if health.changed().await.is_err() {
                return;
            }
        }
    }

    fn each_reader(&self, tell: impl Fn(&Arc<Reader>)) {
        let readers: Vec<_> = lock(&self.readers).iter().filter_map(Weak::upgrade).collect();
        readers.iter().for_each(tell);
    }

    /// The era of the clients in whose conversation to listen. Of the two that a process may have, the one that is there will
    /// do for all, as long as it is not known to speak both.
    async fn link_client(&self) -> Era {
        if self.era == Era::Legacy || self.upstream.speaks_both() {
            return self.era;
        }
        self.upstream.own_era(&self.principal).await
    }

    /// Listens until the stream ends.
    async fn listen(&self) -> Result<(), CallError> {
        let client = self.link_client().await;
        let (era, discovered) = self.upstream.discovered(&self.principal, client, None).await?;
        let capabilities = &discovered.capabilities;
        match era {
            Era::Modern => {
                let lists = Filter {
                    tools: capabilities.tools_changed,
                    prompts: capabilities.prompts_changed,
                    resources: capabilities.resources_changed,
                    uris: BTreeSet::new(),
                };
                self.listen_modern(&lists, capabilities.subscribe).await
            }
            // Many of them do not declare what they do (the Python SDK 1.x by default), so what they do counts.
            Era::Legacy => {
                let lists = Filter {
                    tools: capabilities.tools,
                    prompts: capabilities.prompts,
                    resources: capabilities.resources,
                    uris: BTreeSet::new(),
                };
                self.listen_legacy(lists).await
            }
        }
    }

    async fn listen_modern(&self, lists: &Filter, subscribes: bool) -> Result<(), CallError> {
        let mut stream: Option<Answer> = None;
        loop {
            let (version, filter) = self.modern_filter(lists, subscribes);
            if filter.is_empty() {
                self.honoured.send_replace(Some((version, Some(filter))));
                self.wanted_changed.notified().await;
                continue;
            }
            let (mut next, honoured) = self.open(&filter).await?;
            self.close_gap();
            if let Some(mut old) = stream.take() {
                // What the old stream had still to say was said before the new one began.
                while let Some(Ok(arrival)) = old.next().now_or_never() {
                    self.arrived(arrival);
                }
            }
            self.honoured.send_replace(Some((version, Some(honoured.clone()))));
            loop {
                tokio::select! {
                    arrival = next.next() => match arrival? {
                        Arrival::Response(_) => return Ok(()),
                        other => self.arrived(other),
                    },
                    () = self.wanted_changed.notified() => {
                        let (version, wider) = self.modern_filter(lists, subscribes);
                        if wider.or(&filter) != filter {
                            break;
                        }
                        // The stream is wide enough for another who wants the same.
                        self.honoured.send_replace(Some((version, Some(honoured.clone()))));
                    }
                }
            }
            stream = Some(next);
        }
    }

    /// What a modern server is asked to tell of.
    fn modern_filter(&self, lists: &Filter, subscribes: bool) -> (u64, Filter) {
        let (version, mut filter) = self.filter(lists);
        if !subscribes {
            filter.uris.clear();
        }
        (version, filter)
    }

    /// Opens a subscription stream and waits for its acknowledgement.
    async fn open(&self, filter: &Filter) -> Result<(Answer, Filter), CallError> {
        let within = self.upstream.plan().deadlines.list;
        let params = format!(r#"{{"notifications":{}}}"#, filter.text());
        let mut answer = self.send("subscriptions/listen", &params, true).await?;
        let late = || CallError::Deadline { upstream: self.upstream.name().to_owned(), after: within };
        let first = tokio::time::timeout(within, answer.next()).await.map_err(|_elapsed| late())??;
        let invalid = |why: &str| CallError::InvalidAnswer {
            upstream: self.upstream.name().to_owned(),
            why: why.to_owned(),
        };
        match first {
            Arrival::Notice(message, Seen { notice: Notice::Acknowledged, .. }) => {
                let honoured = Filter::read(message.params())
                    .map_err(|_unreadable| invalid("an unreadable acknowledgement"))?;
                Ok((*answer, honoured.and(filter)))
            }
            Arrival::Notice(..) | Arrival::Ask(_) => {
                Err(invalid("a subscription stream that does not begin with its acknowledgement"))
            }
            Arrival::Response(_) => Err(invalid("it refuses the subscription")),
        }
    }

    async fn listen_legacy(&self, lists: Filter) -> Result<(), CallError> {
        // A process says it on its stdout; over HTTP there is a stream for it, or there is none.
        let mut stream = self.upstream.notification_stream(&self.principal, self.link_client().await).await?;
        let hears = stream.is_some() || self.upstream.is_process();
        if hears && self.upstream.is_process() && *self.upstream.epoch(self.era).borrow() > 1 {
            // It is heard from its beginning on, of which it was told already that anything may have changed.
            self.gap.store(false, Ordering::Relaxed);
        } else if hears {
            self.close_gap();
        }
        let hear = async {
            match &mut stream {
                Some(stream) => stream.last().await,
                None => std::future::pending().await,
            }
        };
        let keep_subscribed = async {
            let mut subscribed = BTreeSet::new();
            loop {
                let (version, filter) = self.filter(&lists);
                let filter = if hears { filter } else { Filter { uris: filter.uris, ..Filter::default() } };
                let uris = self.subscribe(&filter, &mut subscribed).await;
                let honoured = Filter { uris, ..filter };
                self.honoured.send_replace(Some((version, Some(honoured))));
                self.wanted_changed.notified().await;
            }
        };
        let mut epoch = self.upstream.epoch(self.era);
        tokio::select! {
            () = hear => Ok(()),
            () = keep_subscribed => Ok(()),
            // Subscriptions are lost with the session.
            _ = epoch.changed() => Ok(()),
        }
    }

    /// Makes a legacy server watch exactly these resources; says which of them it does.
    async fn subscribe(&self, filter: &Filter, subscribed: &mut BTreeSet<String>) -> BTreeSet<String> {
        let gone: Vec<String> = subscribed.difference(&filter.uris).cloned().collect();
        let new: Vec<String> = filter.uris.difference(subscribed).cloned().collect();
        for uris in gone.chunks(SUBSCRIBING) {
            join_all(uris.iter().map(|uri| self.ask("resources/unsubscribe", uri))).await;
            lock(&self.refused).retain(|uri, _| filter.uris.contains(uri));
            subscribed.retain(|uri| !uris.contains(uri));
        }
        for uris in new.chunks(SUBSCRIBING) {
            let done = join_all(uris.iter().map(|uri| self.ask("resources/subscribe", uri))).await;
            for (uri, answer) in uris.iter().zip(done) {
                match answer {
                    Some(message) if matches!(message.kind(), MessageKind::Result(_)) => {
                        lock(&self.refused).remove(uri);
                        subscribed.insert(uri.clone());
                    }
                    Some(refusal) => drop(lock(&self.refused).insert(uri.clone(), refusal)),
                    None => {}
                }
            }
        }
        subscribed.clone()
    }

    /// Why its legacy server does not watch a resource, in its own words.
    pub fn refusal(&self, uri: &str) -> Option<Message> {
        lock(&self.refused).get(uri).cloned()
    }

    /// What the server answers, if it does.
    async fn ask(&self, method: &str, uri: &str) -> Option<Message> {
        let params = format!(r#"{{"uri":{}}}"#, json::quote(uri));
        let asked = async {
            let mut answer = self.send(method, &params, false).await?;
            loop {
                if let Arrival::Response(response) = answer.next().await? {
                    return Ok::<_, CallError>(response.message);
                }
            }
        };
        let within = self.upstream.plan().deadlines.list;
        let answer = tokio::time::timeout(within, asked).await.ok().and_then(Result::ok);
        if !answer.as_ref().is_some_and(|message| matches!(message.kind(), MessageKind::Result(_))) {
            tracing::debug!(upstream = self.upstream.name(), method, uri, "refused");
        }
        answer
    }

    async fn send(&self, method: &str, params: &str, listens: bool) -> Result<Box<Answer>, CallError> {
        let client =
            ClientFacts { capabilities: Bytes::from_static(b"{}"), info: None, log: LogWish::Nothing };
        let call = Call::own(method, params, client)?;
        let action = Action::new(method, self.upstream.label(), None);
        let permit = self.gate.permit(&self.principal, &action)?;
        let era = self.link_client().await;
        let order = Order { listens, ..Order::ours(&call, era, self.upstream.plan().deadlines.list) };
        self.upstream.send(permit.cover(order)).await
    }

    fn filter(&self, lists: &Filter) -> (u64, Filter) {
        let wanted = lock(&self.wanted);
        (wanted.version, Filter { uris: wanted.uris.keys().cloned().collect(), ..lists.clone() })
    }

    /// The answer to all wishes as long as the server is away.
    fn away(&self) {
        let version = lock(&self.wanted).version;
        self.honoured.send_replace(Some((version, None)));
    }
}

/// Wants to hear of some resources as long as it lives.
#[derive(Debug)]
pub struct Interest {
    watch: Arc<Watch>,
    uris: Vec<String>,
}

impl Interest {
    pub fn uris(&self) -> &[String] {
        &self.uris
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        if self.uris.is_empty() {
            return;
        }
        let mut wanted = lock(&self.watch.wanted);
        for uri in &self.uris {
            if let Some(count) = wanted.uris.get_mut(uri) {
                *count -= 1;
                if *count == 0 {
                    wanted.uris.remove(uri);
                    lock(&self.watch.refused).remove(uri);
                }
            }
        }
        // A filter that is too wide does no harm, so the stream is not opened anew for it; the next wish sees it.
    }
}
