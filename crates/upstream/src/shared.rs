//! What all parts of one upstream share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use base::era::PerEra;
use base::error::CallError;
use base::fault::{Absence, Fault, Why};
use base::plan::{EraRule, Reach, TransportRule, UpstreamPlan};
use base::sync::lock;
use base::world::World;
use http::StatusCode;
use mcp::discover::Discovered;
use mcp::json;
use mcp::jsonrpc::Message;
use mcp::meta;
use mcp::notify::{Notice, Seen};
use mcp::tolerant;
use mcp::version::{Era, Revision};
use tokio::sync::watch;
use transport::http::client::{Reply, SendFault};
use transport::memory::Share;

use crate::challenge;
use crate::departed::Departed;
use crate::eras::Eras;
use crate::health::breaker_cell::BreakerCell;
use crate::link::{Health, Link, Transport, Whose};
use crate::notices::Notices;
use crate::suspense::Suspense;
use crate::temper::Temper;
use crate::unsolicited::Unsolicited;

/// What a server said of itself, and in which era; none as long as it was not reached.
pub(crate) type Known = Option<(Era, Arc<Discovered>)>;

/// What all parts of one upstream share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) plan: UpstreamPlan,
    pub(crate) world: World,
    /// What is held of what it says counts there.
    pub(crate) share: Share,
    pub(crate) most_children: usize,
    /// Which eras it was found to speak.
    pub(crate) eras: Eras,
    /// Notifications that belong to no call.
    pub(crate) notices: Notices,
    /// Who can be asked outside of any call.
    pub(crate) unsolicited: Unsolicited,
    /// Whose own conversations are not needed any more.
    pub(crate) departed: Departed,
    /// Whether it minds what is declared to it.
    pub(crate) temper: Temper,
    /// How often a connection to it was begun anew, for clients of each era; what was missed in between is unknown.
    epochs: PerEra<watch::Sender<u64>>,
    ids: AtomicU64,
    /// Counts the beginnings and ends of calls that may change something.
    acts: AtomicU64,
    health: watch::Sender<Health>,
    /// What it said last to why it refuses our credentials.
    challenge: Mutex<Option<String>>,
    /// What keeps it from being asked too often when it is sick.
    pub(crate) breaker: BreakerCell,
    /// What keeps others from waiting for it then.
    pub(crate) suspense: Suspense,
    /// What it was last found to be.
    pub(crate) known: PerEra<watch::Sender<Known>>,
}

impl Shared {
    pub(crate) fn new(plan: UpstreamPlan, world: World, most_children: usize) -> Self {
        let unsolicited = Unsolicited::new(&world.tasks);
        let breaker = BreakerCell::new(&plan, &world.metrics);
        let is_sse = matches!(&plan.reach, Reach::Http(reach) if reach.transport == TransportRule::Sse);
        Self {
            breaker,
            eras: Eras::new(if is_sse { EraRule::Is(Era::Legacy) } else { plan.era }),
            plan,
            share: world.memory.share(),
            world,
            most_children,
            notices: Notices::new(),
            unsolicited,
            departed: Departed::default(),
            temper: Temper::default(),
            epochs: PerEra::default(),
            ids: AtomicU64::new(0),
            acts: AtomicU64::new(0),
            health: watch::Sender::new(Health::Unknown),
            challenge: Mutex::default(),
            suspense: Suspense::default(),
            known: PerEra::default(),
        }
    }

    /// It was found to be this.
    pub(crate) fn knows(&self, link: &Link) {
        self.known.of(link.era()).send_replace(Some((link.era(), Arc::clone(&link.discovered))));
    }

    /// Whether it was ever found to be there.
    pub(crate) fn was_up(&self) -> bool {
        [Era::Modern, Era::Legacy].into_iter().any(|era| self.known.of(era).borrow().is_some())
    }

    /// What is said of a resource in the conversation of one client alone is meant for that client, whether or not it has
    /// subscribed.
    pub(crate) fn tell_client_of(&self, whose: &Whose, message: &Message, seen: &Seen) {
        if let (Some(client), Notice::ResourceUpdated { uri, .. }) = (&whose.session, &seen.notice)
            && self.plan.resources.shows(uri)
        {
            self.unsolicited.updated(client, message, seen);
        }
    }

    /// An id that no other request to this server has, which is also its progress token.
    pub(crate) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What a response with an id that no request to the server can have had means for the one that a stream is for. Some
    /// answer notifications, by an id that is nothing.
    pub(crate) fn strange(&self, message: &Message, ours: u64) -> Option<CallError> {
        let came = message.response_id()?.raw();
        let is_known = tolerant::number(came).map_or(came == "\"\"", |number| number <= self.requests());
        (!is_known).then(|| self.strange_id(came, Some(ours)))
    }

    /// It answers by an id that is not the request's.
    pub(crate) fn strange_id(&self, came: &str, ours: Option<u64>) -> CallError {
        let ours = ours.map(|id| format!(", and the request's is {id}")).unwrap_or_default();
        self.invalid(&format!("it answers with the id {came}{ours}"))
    }

    /// A call that may change something begins or ends.
    pub(crate) fn acted(&self) {
        self.acts.fetch_add(1, Ordering::Relaxed);
    }

    /// Changes when something may have been changed.
    pub(crate) fn acts(&self) -> u64 {
        self.acts.load(Ordering::Relaxed)
    }

    /// How many requests there have been.
    pub(crate) fn requests(&self) -> u64 {
        self.ids.load(Ordering::Relaxed)
    }

    /// Whether there may be one more retry.
    pub(crate) fn may_retry(&self) -> bool {
        self.breaker.may_retry(self.requests())
    }

    /// A connection was begun anew, in an era.
    pub(crate) fn begun(&self, era: Era) {
        self.epochs.of(self.listener(era)).send_modify(|epoch| *epoch += 1);
    }

    /// Counts what is begun anew for who listens for clients of an era.
    pub(crate) fn epoch(&self, listener: Era) -> watch::Receiver<u64> {
        self.epochs.of(listener).subscribe()
    }

    /// Who is concerned by what is said in an era: those who listen for clients of that era, or, where all clients are spoken
    /// to in one, those who listen for all, which are those of the modern era.
    pub(crate) fn listener(&self, era: Era) -> Era {
        if self.eras.are_both() { era } else { Era::Modern }
    }

    /// How the server is, as last seen.
    pub(crate) fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// Whether it only says that the server speaks the other era as well, which says nothing new of how it is.
    fn is_up_in_the_other_era(&self, now: &Health) -> bool {
        let up_in = |health: &Health| match health {
            Health::Up { era, .. } => Some(*era),
            Health::Unknown | Health::Down { .. } => None,
        };
        self.eras.are_both() && up_in(&self.health.borrow()).is_some() && up_in(now).is_some()
    }

    /// It speaks an era.
    pub(crate) fn found(&self, era: Era) {
        let before = self.eras.are_both();
        self.eras.found(era);
        if self.eras.are_both() && !before {
            tracing::info!(
                upstream = self.plan.name,
                "speaks both eras; each client is spoken for in its own"
            );
        }
    }

    /// The server was seen to be so.
    pub(crate) fn set_health(&self, mut now: Health) {
        if let Health::Down { why, said, .. } = &mut now {
            *why = self.masked(why);
            *said = said.take().map(|said| self.masked(&said));
        }
        if *self.health.borrow() == now || self.is_up_in_the_other_era(&now) {
            return;
        }
        let is_told = matches!((&*self.health.borrow(), &now), (Health::Down { why: before, .. }, Health::Down { why, .. }) if before == why);
        if is_told {
            // What it says to it may be other words each time.
            self.health.send_replace(now);
            return;
        }
        let name = &self.plan.name;
        match &now {
            // We are always there for ourselves.
            Health::Up { transport: Transport::Own, .. } => {}
            Health::Up { era, revision, transport } => {
                let (era, transport) = (era.name(), transport.name());
                // Who was told that it is down is told of this, too, however little else is shown of this crate.
                if matches!(*self.health.borrow(), Health::Down { .. }) {
                    tracing::info!(target: "portolan::servers", upstream = name, era, revision, transport, "up again");
                } else {
                    tracing::info!(upstream = name, era, revision, transport, "reached");
                }
            }
            Health::Down { why, said, .. } => {
                let said = said.as_ref().map(|said| format!("; it said: {said}")).unwrap_or_default();
                tracing::warn!(upstream = name, "down: {why}{said}");
            }
            Health::Unknown => {}
        }
        self.world.metrics.up(name, matches!(now, Health::Up { .. }));
        self.health.send_replace(now);
    }

    /// It was found to be there.
    pub(crate) fn answered(&self, link: &Link) {
        // What was sent before its breaker opened decides nothing.
        if self.breaker.due().is_some() {
            return;
        }
        self.set_health(Health::Up {
            era: link.era(),
            revision: link.revision.name,
            transport: link.transport,
        });
    }

    /// A call ended with a fault of the server.
    pub(crate) fn went_wrong(&self, fault: Fault, error: &CallError) {
        let has_opened = self.breaker.record_failure(fault, error);
        self.noted(has_opened, error);
    }

    /// A fault was told to the breaker, which may have opened for it.
    pub(crate) fn noted(&self, has_opened: bool, error: &CallError) {
        if has_opened {
            self.set_health(Health::down(error));
        }
    }

    /// It was not reached, or did not answer; of a limit of our own nothing follows for it.
    pub(crate) fn set_down(&self, error: &CallError) {
        if !error.is_ours() {
            self.set_health(Health::down(error));
        }
    }

    /// What others wrote of it or in it, as it may be shown.
    pub(crate) fn masked(&self, text: &str) -> String {
        self.plan.masks.mask(text).into_owned()
    }

    /// It cannot be reached, and why.
    pub(crate) fn unreachable(&self, why: &str) -> CallError {
        self.not_there(why.into())
    }

    /// The same with what its program said.
    pub(crate) fn not_there(&self, why: Why) -> CallError {
        let Why { how, what, said } = why;
        let why = Why { how, what: self.masked(&what), said: said.map(|said| self.masked(&said)) };
        CallError::Unreachable { upstream: self.plan.name.clone(), why: why.into(), fault: None }
    }

    /// It cannot be reached, why, and what is the matter with it.
    pub(crate) fn unreached(&self, why: &str, fault: Fault) -> CallError {
        let (upstream, why) = (self.plan.name.clone(), self.masked(why));
        CallError::Unreachable { upstream, why: why.into(), fault: Some(fault) }
    }

    /// It was reached and does not serve now, by its status.
    pub(crate) fn not_serving(&self, status: u16) -> CallError {
        let what = format!("it answers HTTP {status}");
        let fault = StatusCode::from_u16(status).ok().and_then(Fault::of_status);
        let why = Why { how: Absence::NotServing, what, said: None };
        CallError::Unreachable { upstream: self.plan.name.clone(), why: why.into(), fault }
    }

    /// It answers what no client may be given, and what is wrong with that.
    pub(crate) fn invalid(&self, why: &str) -> CallError {
        CallError::InvalidAnswer { upstream: self.plan.name.clone(), why: self.masked(why) }
    }

    /// What a fault of the connection means for a call.
    pub(crate) fn fault(&self, fault: SendFault) -> CallError {
        let upstream = self.plan.name.clone();
        match fault {
            SendFault::Connect(why) => self.unreached(&why, Fault::NoConnection),
            SendFault::OutOfDescriptors(why) => CallError::OutOfDescriptors { why },
            SendFault::Late(why) => self.unreached(&format!("{why} (timeouts.connect)"), Fault::Late),
            SendFault::Broken(why) => CallError::BrokeOff { upstream, why: self.masked(&why).into() },
            SendFault::Full(full) => CallError::NoRoom { upstream, full },
            SendFault::TooLarge { .. } | SendFault::Redirected(_) | SendFault::Encoded(_) => {
                CallError::InvalidAnswer { upstream, why: self.masked(&fault.to_string()) }
            }
        }
    }

    /// A reply, or what it means that there is none. What is said with it to why our credentials are refused is kept for the error
    /// that comes of that, which only the operator reads whole: with forwarded headers it may be another client's of that moment.
    pub(crate) fn came(&self, sent: Result<Reply, SendFault>) -> Result<Reply, CallError> {
        let reply = sent.map_err(|fault| self.fault(fault))?;
        if matches!(reply.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            *lock(&self.challenge) = challenge::reason(reply.headers());
        }
        Ok(reply)
    }

    /// It refuses our credentials.
    pub(crate) fn unauthorized(&self, status: u16) -> CallError {
        let said = lock(&self.challenge).as_ref().map(|said| challenge::cut(&self.masked(said)));
        CallError::Unauthorized { upstream: self.plan.name.clone(), status, said }
    }

    /// What a status without a JSON-RPC body means for a call.
    pub(crate) fn status_fault(&self, status: StatusCode, media: Option<&str>) -> CallError {
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.unauthorized(status.as_u16()),
            StatusCode::TOO_MANY_REQUESTS => self.not_serving(status.as_u16()),
            // It need not be the server that says so: what stands between may have lost it on the way.
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                let why = format!("HTTP {} without an answer", status.as_u16());
                CallError::BrokeOff { upstream: self.plan.name.clone(), why: why.into() }
            }
            _ => {
                self.invalid(&format!("HTTP {} with {}", status.as_u16(), media.unwrap_or("no Content-Type")))
            }
        }
    }

    /// The params of our own `server/discover`: we ask for ourselves, so we declare nothing.
    pub(crate) fn discover_params(&self, revision: &Revision) -> String {
        format!(
            r#"{{"_meta":{{"{}":{},"{}":{{}},"{}":{}}}}}"#,
            meta::PROTOCOL_VERSION,
            json::quote(revision.name),
            meta::CLIENT_CAPABILITIES,
            meta::CLIENT_INFO,
            self.world.identity
        )
    }
}
