//! One configured MCP server: what is known of it, and whose conversation with it a client has.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use auth::Principal;
use base::bulkhead::{Bulkhead, Slot};
use base::error::CallError;
use base::fault::BreakerState;
use base::metrics::Crowd;
use base::plan::{Reach, UpstreamPlan};
use base::sync::lock;
use base::world::World;
use bytes::Bytes;
use futures_util::FutureExt as _;
use mcp::discover::Discovered;
use mcp::meta::ClientFacts;
use mcp::mrtr;
use mcp::version::Era;
use tokio::sync::{broadcast, mpsc, watch};

use crate::failed::Failed;
use crate::http::{Connection, HttpWire};
use crate::link::{Health, Link, NOTHING, Whose};
use crate::notices::Told;
use crate::notification_stream::NotificationStream;
use crate::own::{OwnWire, Serve, Vacant};
use crate::pipe::pool::Need;
use crate::shared::Shared;
use crate::stdio::{Processes, StdioWire};
use crate::unsolicited::UnsolicitedMessage;

/// One configured MCP server.
#[derive(Debug)]
pub struct Upstream {
    pub(crate) shared: Arc<Shared>,
    label: Arc<str>,
    pub(crate) wire: Wire,
    pub(crate) places: Bulkhead,
    /// What was declared to it for clients so far.
    declared: Mutex<BTreeSet<Arc<str>>>,
    /// What is declared for clients that can be asked nothing.
    nothing: Arc<str>,
}

/// How many sets of capabilities are told apart: all that there are, as long as they say what is known here. They are the clients' to choose, and each costs
/// a session or a process; clients with another one are served, but not asked anything.
const MOST_DECLARED: usize = 64;

/// What a client has whose roots a server may know.
const ROOTS: &str = r#"{"roots":{}}"#;

/// What lies between it and us.
#[derive(Debug)]
pub(crate) enum Wire {
    Http(Arc<HttpWire>),
    Stdio(Arc<StdioWire>),
    Own(OwnWire),
}

impl Wire {
    /// That of HTTP, if it is one.
    pub(crate) fn over_http(&self) -> Option<&HttpWire> {
        if let Self::Http(wire) = self { Some(wire) } else { None }
    }
}

impl Upstream {
    /// A server that nobody has tried to reach yet.
    #[must_use]
    pub fn new(plan: UpstreamPlan, world: World, most_children: usize) -> Self {
        let reach = plan.reach.clone();
        let shared = Arc::new(Shared::new(plan, world, most_children));
        let wire = match reach {
            Reach::Own => return Self::serving(shared, Arc::new(Vacant)),
            Reach::Http(reach) => Wire::Http(HttpWire::new(Arc::clone(&shared), reach)),
            Reach::Stdio(reach) => {
                Wire::Stdio(Arc::new(StdioWire::new(Arc::clone(&shared), Processes::new(reach))))
            }
        };
        Self::over(shared, wire)
    }

    /// Portolan itself as a server; [`UpstreamPlan::own`] is its configuration.
    #[must_use]
    pub fn own(plan: UpstreamPlan, serve: Arc<dyn Serve>, world: World) -> Self {
        Self::serving(Arc::new(Shared::new(plan, world, 0)), serve)
    }

    /// It is up, and stays so.
    fn serving(shared: Arc<Shared>, serve: Arc<dyn Serve>) -> Self {
        let wire = OwnWire::new(serve);
        let link = wire.link();
        shared.found(link.era());
        shared.knows(&link);
        let this = Self::over(shared, Wire::Own(wire));
        this.answered(&link);
        this
    }

    fn over(shared: Arc<Shared>, wire: Wire) -> Self {
        let plan = &shared.plan;
        let what = format!("calls to {}", plan.name);
        let places = Bulkhead::new(what, plan.concurrent_calls, plan.queued_calls);
        let label = plan.name.as_str().into();
        Self { shared, label, wire, places, declared: Mutex::default(), nothing: NOTHING.into() }
    }

    /// Its configuration.
    #[must_use]
    pub fn plan(&self) -> &UpstreamPlan {
        &self.shared.plan
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.plan.name
    }

    /// Its name, for who keeps it.
    pub fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// Changes when a call begins or ends that may change something, such as what it lists.
    pub fn acts(&self) -> u64 {
        self.shared.acts()
    }

    /// How it is, as last seen.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.health().borrow().clone()
    }

    /// What its breaker does.
    #[must_use]
    pub fn breaker(&self) -> BreakerState {
        self.shared.breaker.state()
    }

    /// What was last found of it in the era of such clients, by whomever it was reached: to say what it can do, nobody need be reached anew.
    pub fn known_link(&self, client: Era) -> Option<(Era, Arc<Discovered>)> {
        let known = self.shared.known.of(self.link_era(client)).borrow().clone();
        // What has turned out not to be modern any more is found out anew.
        let is_doubted = |era| {
            era == Era::Modern
                && matches!(&self.wire, Wire::Http(wire) if !wire.is_modern() && !wire.is_sse())
        };
        known.filter(|(era, _)| !is_doubted(*era))
    }

    /// The same as it changes.
    pub fn knowledge(&self, client: Era) -> watch::Receiver<Option<(Era, Arc<Discovered>)>> {
        self.shared.known.of(self.link_era(client)).subscribe()
    }

    /// Its health as it changes.
    pub fn health_changes(&self) -> watch::Receiver<Health> {
        self.shared.health()
    }

    /// A place for a call of that principal that was begun and suspended.
    pub async fn place(&self, whose: &Principal) -> Result<Slot, CallError> {
        self.places.take_for(whose).await
    }

    /// How many of its places are taken, and how many calls wait for one.
    #[must_use]
    pub fn crowd(&self) -> Crowd {
        self.places.crowd()
    }

    /// Waits until no call is under way.
    pub async fn idle(&self) {
        self.places.idle().await;
    }

    /// Notifications of it that belong to no call, from now on.
    pub fn notices(&self) -> broadcast::Receiver<Told> {
        self.shared.notices.listen()
    }

    /// Counts connections that were begun anew, for who listens for clients of an era.
    pub fn epoch(&self, listener: Era) -> watch::Receiver<u64> {
        self.shared.epoch(listener)
    }

    /// The era in which clients of an era are spoken for, as far as is known.
    pub fn link_era(&self, client: Era) -> Era {
        self.shared.eras.of_link(client)
    }

    /// Whether clients of each era are spoken for in their own.
    pub fn speaks_both(&self) -> bool {
        self.shared.eras.are_both()
    }

    /// The same as it changes.
    pub fn both_eras(&self) -> watch::Receiver<bool> {
        self.shared.eras.both()
    }

    /// Who listens for clients of an era: whoever does for all, where the server is not spoken to in both.
    pub fn listener(&self, era: Era) -> Era {
        self.shared.listener(era)
    }

    /// The era of our own questions: that of the conversation that there is, where each costs a process.
    pub async fn own_era(&self, principal: &Principal) -> Era {
        let has = |era| Box::pin(self.is_connected(principal, era));
        if self.is_process() && !has(Era::Modern).await && has(Era::Legacy).await {
            return Era::Legacy;
        }
        Era::Modern
    }

    /// Whether each legacy client has a conversation of its own with it, and in its own era.
    pub fn is_ones_own(&self) -> bool {
        self.is_per_client() && self.link_era(Era::Legacy) == Era::Legacy
    }

    /// Whether it is a process, which nobody starts only to hear of its changes.
    pub fn is_process(&self) -> bool {
        matches!(self.wire, Wire::Stdio(_))
    }

    /// Whether it is connected now, for clients of an era.
    pub async fn is_connected(&self, principal: &Principal, era: Era) -> bool {
        let whose = self.whose(principal, era, None, NOTHING);
        match &self.wire {
            Wire::Stdio(wire) => wire.current(&whose).await.is_some(),
            Wire::Http(wire) => wire.current(&whose).await.is_some(),
            Wire::Own(_) => true,
        }
    }

    /// The legacy era's stream of notifications that belong to no call, where it has one of its own: what it carries
    /// goes to [`Upstream::notices`] while the stream is being read.
    pub async fn notification_stream(
        &self,
        principal: &Principal,
        era: Era,
    ) -> Result<Option<NotificationStream>, CallError> {
        let Wire::Http(wire) = &self.wire else { return Ok(None) };
        Ok(match wire.connection(&self.whose(principal, era, None, NOTHING)).await? {
            Connection::Modern(_) => None,
            Connection::Legacy(session) => {
                session.open_get_stream(wire).await?.map(NotificationStream::stream)
            }
            Connection::Sse(running, _) => Some(NotificationStream::pipe(running.pipe)),
        })
    }

    /// A legacy client listens until the other end of `asides` is dropped: it can be asked outside of any call what it has
    /// declared, and hears the end of what it was given to visit. `place` is this server's in its route.
    pub fn can_ask(
        &self,
        (principal, place): (&Principal, usize),
        (session, client): (&Arc<str>, &ClientFacts),
        asides: &mpsc::Sender<UnsolicitedMessage>,
    ) {
        let whose = self.whose_of(principal, Era::Legacy, (Some(session), client));
        self.shared.unsolicited.listen((whose, place), session, asides);
    }

    /// A legacy client has other roots now, of which its legacy server was told that there are some.
    pub fn roots_changed(
        &self,
        principal: &Principal,
        (session, client): (&Arc<str>, &ClientFacts),
        word: &Bytes,
    ) {
        if mrtr::covers(&mrtr::askable(client.capabilities()), ROOTS) {
            self.tell_own(principal, (session, client), word);
        }
    }

    /// A legacy client says something in the session that its legacy server has with it.
    pub fn tell_own(
        &self,
        principal: &Principal,
        (session, client): (&Arc<str>, &ClientFacts),
        word: &Bytes,
    ) {
        let whose = self.whose_of(principal, Era::Legacy, (Some(session), client));
        match &self.wire {
            Wire::Stdio(wire) => wire.tell(&whose, word),
            Wire::Http(wire) => wire.tell(&whose, word),
            Wire::Own(_) => {}
        }
    }

    /// A legacy client was told by this server to visit URLs first.
    pub fn gave(&self, elicitations: Vec<String>, client: &Arc<str>) {
        self.shared.unsolicited.gave(elicitations, client);
    }

    /// The outside.
    pub fn world(&self) -> &World {
        &self.shared.world
    }

    /// What it says of itself to a client of an era, or to nobody in particular; it is reached for that if it was not yet.
    pub async fn discovered(
        &self,
        principal: &Principal,
        era: Era,
        client: Option<&ClientFacts>,
    ) -> Result<(Era, Arc<Discovered>), CallError> {
        // Where each client has its own session, this one belongs to none of them.
        let client = client.filter(|_| !self.is_per_client());
        let declared =
            client.map_or_else(|| NOTHING.to_owned(), |client| mrtr::askable(client.capabilities()));
        let whose = self.whose(principal, era, None, &declared);
        // What is rare lies in a box of its own.
        let link = match client {
            Some(_) if self.shared.breaker.due().is_some() => Box::pin(self.link_guarded(&whose)).await?,
            Some(_) => match self.link(&whose, Need::Look).await {
                Err(error) => Box::pin(self.link_again(&whose, error)).await?,
                link => link?,
            },
            None => self.link(&whose, Need::Own).await?,
        };
        Ok((link.era(), link.discovered))
    }

    /// What it was found to be, while its breaker is open: reached as a trial, if it was not yet.
    async fn link_guarded(&self, whose: &Whose) -> Result<Link, CallError> {
        if let Some(link) = self.known(whose) {
            return Ok(link);
        }
        let admission = self.admit()?;
        // That it was reached says nothing of how it answers calls.
        self.link(whose, Need::Look)
            .await
            .inspect_err(|error| self.record_failure(admission, &Failed::of(error)))
    }

    /// Reaches it again for a client, where that may help. Nothing that has effects was sent.
    async fn link_again(&self, whose: &Whose, mut error: CallError) -> Result<Link, CallError> {
        let mut tried = 0;
        while self.wait_to_retry(&Failed::of(&error), true, tried).await {
            error = match self.link(whose, Need::Look).await {
                Ok(link) => return Ok(link),
                Err(error) => error,
            };
            tried += 1;
        }
        if let Ok(admission) = self.admit() {
            self.record_failure(admission, &Failed::of(&error));
        }
        Err(error)
    }

    /// What it was found to be, if it was.
    fn known(&self, whose: &Whose) -> Option<Link> {
        let Wire::Http(wire) = &self.wire else { return None };
        let current = std::pin::pin!(wire.current(whose));
        current.now_or_never().flatten().map(|connection| connection.link().clone())
    }

    /// Ends what it holds: sessions and processes.
    pub async fn stop(&self) {
        self.shared.unsolicited.stop();
        match &self.wire {
            Wire::Http(wire) => wire.stop().await,
            Wire::Stdio(wire) => wire.stop().await,
            Wire::Own(_) => {}
        }
    }

    /// Ends what it holds for one downstream session.
    pub async fn forget(&self, principal: &Principal, session: &Arc<str>) {
        if !self.is_per_client() {
            return;
        }
        self.shared.departed.add(session);
        let whose = self.whose(principal, Era::Legacy, Some((session, None)), NOTHING);
        match &self.wire {
            Wire::Http(wire) => wire.forget(&whose).await,
            Wire::Stdio(wire) => wire.forget(&whose).await,
            Wire::Own(_) => {}
        }
    }

    pub(crate) async fn link(&self, whose: &Whose, need: Need) -> Result<Link, CallError> {
        match &self.wire {
            Wire::Stdio(wire) => {
                self.note(whose, wire.running(whose, need).await, |running| &running.link).map(|r| r.link)
            }
            Wire::Http(wire) => {
                let connection = self.note(whose, wire.connection(whose).await, Connection::link);
                connection.map(|connection| connection.link().clone())
            }
            Wire::Own(wire) => Ok(wire.link()),
        }
    }

    /// Whose conversation a client of that era has with it; `session` is the downstream one.
    pub(crate) fn whose_of(
        &self,
        principal: &Principal,
        era: Era,
        (session, client): (Option<&Arc<str>>, &ClientFacts),
    ) -> Whose {
        let own = session.map(|session| (session, client.info.as_ref()));
        let declared = match own {
            Some(_) if self.is_per_client() => mrtr::introduction(client.capabilities()),
            _ => mrtr::askable(client.capabilities()),
        };
        self.whose(principal, era, own, &declared)
    }

    fn is_per_client(&self) -> bool {
        self.shared.plan.sessions == base::plan::SessionRule::PerClient
    }

    pub(crate) fn whose(
        &self,
        principal: &Principal,
        era: Era,
        own: Option<(&Arc<str>, Option<&Bytes>)>,
        declared: &str,
    ) -> Whose {
        let own = own.filter(|_| self.is_per_client());
        let (session, client) = own.unzip();
        let (session, client) = (session.cloned(), client.flatten().cloned());
        // What is one client's own is not to be told apart from others'.
        let declared = match &session {
            Some(_) if declared != NOTHING => declared.into(),
            _ => self.declared(declared),
        };
        Whose { era, principal: principal.clone(), session, client, declared }
    }

    /// Whether it is known to be spoken to in the modern era for clients of an era.
    pub(crate) fn is_modern_for(&self, client: Era) -> bool {
        let is_modern = match &self.wire {
            Wire::Http(wire) => wire.is_modern(),
            Wire::Stdio(_) => false,
            Wire::Own(_) => true,
        };
        is_modern && self.shared.eras.of_link(client) == Era::Modern
    }

    fn declared(&self, declared: &str) -> Arc<str> {
        if declared == NOTHING {
            return Arc::clone(&self.nothing);
        }
        let mut known = lock(&self.declared);
        if let Some(known) = known.get(declared) {
            return Arc::clone(known);
        }
        let kept: Arc<str> = if known.len() < MOST_DECLARED {
            declared.into()
        } else {
            tracing::warn!(
                upstream = self.name(),
                "too many sets of client capabilities; this one counts as none"
            );
            NOTHING.into()
        };
        known.insert(Arc::clone(&kept));
        kept
    }

    /// Keeps in mind how reaching the server went. That it was reached once says nothing of now, so only what it
    /// answers makes a server that was down one that is up.
    pub(crate) fn note<T>(
        &self,
        whose: &Whose,
        reached: Result<T, CallError>,
        link: impl Fn(&T) -> &Link,
    ) -> Result<T, CallError> {
        match &reached {
            Ok(connection) if *self.shared.health().borrow() == Health::Unknown => {
                self.answered(link(connection));
            }
            // Of one that is late its pool takes note.
            Ok(_) | Err(CallError::NoSession | CallError::Starting { .. }) => {}
            // It answers, and others are well served: it is this one client that it refuses.
            Err(CallError::InvalidAnswer { .. })
                if !whose.is_shared() && matches!(*self.shared.health().borrow(), Health::Up { .. }) => {}
            Err(error) => self.shared.set_down(error),
        }
        reached
    }

    pub(crate) fn answered(&self, link: &Link) {
        self.shared.answered(link);
    }
}
