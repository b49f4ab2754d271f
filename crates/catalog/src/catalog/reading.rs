//! Reading what one server lists and says of itself, for those who may not want to wait for it.
//!
//! What is asked for is asked for once, however many want it, and goes on when nobody waits any more. Who has left without
//! it is owed a word when it comes: `list_changed` (docs/development/decisions.md, «Nobody waits twice for a sick server»).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use auth::Principal;
use base::error::CallError;
use base::owned_task::OwnedTask;
use base::sync::lock;
use base::under_way::{Asking, Late, UnderWay, came_until};
use mcp::discover::Discovered;
use mcp::method::{self, Kind, Method};
use mcp::version::Era;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep_until, timeout_at};
use upstream::{Health, Upstream, Want};

use crate::caller::Caller;
use crate::catalog::server_lists::{Audience, ListFault, Pages, ServerLists};

/// For so long a list that came late is good for all who ask: those who are told of it must find it.
const LATE: Duration = Duration::from_secs(10);
/// For so long a list that was read before anybody asked is good for the first who does.
const EARLY: Duration = Duration::from_secs(5);
/// A list that hangs while its server answers otherwise is tried again by ourselves no more often than this.
const TRY_AGAIN: Duration = Duration::from_secs(60);

/// What one server of a route gave of a list, or why it gave nothing.
pub type Part = Result<Pages, ListFault>;
/// What it says of itself, or why it does not.
type Description = Result<(Era, Arc<Discovered>), CallError>;

/// How long somebody waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// As long as the server may take.
    Whole,
    /// Not longer than is fair to the other servers.
    Fair,
}

/// Who is told when what clients see of a list has changed, though its server said nothing.
pub trait ListChanges: Send + Sync + std::fmt::Debug {
    /// The list of a kind, of the server at this place of the route.
    fn list_changed(self: Arc<Self>, place: usize, kind: Kind);
}

/// Reads for one server of a route.
#[derive(Debug)]
pub struct Reader {
    upstream: Arc<Upstream>,
    server_lists: Arc<ServerLists>,
    lists: UnderWay<(&'static str, Audience), Read>,
    description: UnderWay<(Principal, Era), Description>,
    owed: Mutex<HashMap<&'static str, Debt>>,
    /// The lists for which nobody waits, since they were not given when they were last asked for; and when they were last
    /// asked for again without anybody's wish.
    hung: Mutex<HashMap<&'static str, Option<Instant>>>,
    /// Whether somebody waits until such a list may be asked for again.
    tries_again: Mutex<Option<OwnedTask>>,
    /// Who is told of what comes late, and the server's place there.
    told: OnceLock<(usize, Weak<dyn ListChanges>)>,
}

/// What had happened before a list was asked for.
#[derive(Debug, Clone, Copy)]
struct AsOf {
    /// How often it had changed.
    generation: u64,
    /// What was counted of calls that may change something.
    acts: u64,
}

impl AsOf {
    /// Whether whoever came at `other` would see nothing old.
    fn is_since(self, other: Self) -> bool {
        self.generation >= other.generation && self.acts >= other.acts
    }
}

/// What became of reading a list.
#[derive(Debug, Clone)]
struct Read {
    part: Part,
    state: AsOf,
    /// What was known of it before.
    before: Option<Pages>,
}

/// What clients did not get.
#[derive(Debug)]
struct Debt {
    /// One of them.
    caller: Caller,
    /// Whether they got nothing at all. Who got what was known before is told only if it has changed.
    got_nothing: bool,
}

impl Reader {
    pub fn new(upstream: Arc<Upstream>, server_lists: Arc<ServerLists>) -> Arc<Self> {
        Arc::new(Self {
            upstream,
            server_lists,
            lists: UnderWay::default(),
            description: UnderWay::default(),
            owed: Mutex::default(),
            hung: Mutex::default(),
            tries_again: Mutex::default(),
            told: OnceLock::new(),
        })
    }

    /// Tells of what comes late to those who subscribe there.
    pub fn tell(&self, place: usize, feed: Weak<dyn ListChanges>) {
        self.told.get_or_init(|| (place, feed));
    }

    /// All pages of a list, as far as it has them; none from a server that says it has no such things.
    pub async fn list(self: &Arc<Self>, method: &'static Method, caller: &Caller, wait: Patience) -> Part {
        let mut arrived = self.state(method, caller.era());
        let until = self.until(method, caller, wait);
        loop {
            let mut outcome = match self.begin(method, caller) {
                Asking::Done(read) => return self.given(read.part, method, caller, wait),
                Asking::Goes(outcome) => outcome,
            };
            let Ok(came) = came_until(&mut outcome, until).await else {
                return self.without(method, caller, &outcome);
            };
            match came {
                Some(read) if read.state.is_since(arrived) => {
                    return self.given(read.part, method, caller, wait);
                }
                // What was asked for before a change, or a call that may have made one, is no answer to who asks after it.
                // The server may have changed its era meanwhile, and each era is counted by itself.
                Some(_) => {
                    let now = self.state(method, caller.era()).generation;
                    arrived.generation = arrived.generation.min(now);
                }
                None => return Err(ListFault::Call(CallError::Draining)),
            }
        }
    }

    /// Pages of the only server's list, for a client who waits for them as it would at the server itself, unless that is
    /// known to be in vain.
    pub async fn pages(
        self: &Arc<Self>,
        method: &'static Method,
        (from, most): (Option<&str>, usize),
        caller: &Caller,
    ) -> Part {
        if self.is_sick(method) {
            self.owe(method, caller, true);
            // There is nothing else to show, so it is waited for a little; it may only have been busy.
            let until = Instant::now() + self.upstream.grace();
            let read = match self.begin(method, caller) {
                Asking::Done(read) => Some(read),
                Asking::Goes(mut outcome) => came_until(&mut outcome, Some(until)).await.ok().flatten(),
            };
            match read {
                // That it has no such list was known before; whoever asks it hears that from it.
                Some(Read { part: Ok(pages), .. }) if pages.pages.is_empty() => {
                    return Err(ListFault::Call(self.late_list(method)));
                }
                Some(read) if from.is_none() || read.part.is_err() => return read.part,
                // It answers again, and has what is asked for.
                Some(_) => {}
                None => return Err(ListFault::Call(self.late_list(method))),
            }
        }
        let _waited = self.upstream.waited();
        // What its start takes is not time that its list takes, where that is waited out.
        if self.upstream.is_waited_out() {
            let found = self.upstream.discovered(&caller.principal, caller.era(), Some(&caller.facts)).await;
            found.map_err(ListFault::Call)?;
        }
        let (begun, within) = (Instant::now(), self.upstream.plan().deadlines.list);
        let part = self.server_lists.all(method, (from, most), caller, begun + within).await;
        self.take_note(method, &part, begun);
        let is_begun = from.is_none() && part.as_ref().is_ok_and(|pages| pages.next.is_some());
        if is_begun && self.server_lists.wants_whole(method.kind, caller) {
            // Nobody waits for it.
            drop(self.begin(method, caller));
        }
        if matches!(part, Err(ListFault::Call(_))) {
            self.owe(method, caller, true);
        }
        part
    }

    /// Reads a list before anybody asks, for the first who does.
    pub async fn read_early(self: &Arc<Self>, method: &'static Method, caller: &Caller) -> Part {
        let part = self.list(method, caller, Patience::Whole).await;
        if let Ok(pages) = &part {
            pages.spare(EARLY);
        }
        part
    }

    /// What the server says of itself, as far as that can be known without waiting for long.
    pub async fn describe(self: &Arc<Self>, caller: &Caller, wait: Patience) -> Description {
        if let Some(known) = self.upstream.known_link(caller.era()) {
            return Ok(known);
        }
        let until = match wait {
            Patience::Fair => self.upstream.patience(Want::Description),
            Patience::Whole if self.upstream.sick().is_some() => Instant::now(),
            Patience::Whole if self.upstream.is_waited_out() => Instant::now() + self.upstream.grace(),
            Patience::Whole => Instant::now() + self.upstream.plan().deadlines.list,
        };
        let (this, own) = (Arc::clone(self), Caller { session: None, ..caller.beyond_the_request() });
        let mut outcome = match self.description.begin(
            &self.upstream.world().tasks,
            &(caller.principal.clone(), caller.era()),
            || this.read_description(own),
            |_| {},
        ) {
            Asking::Done(description) => return description,
            Asking::Goes(outcome) => outcome,
        };
        // Whatever it was reached for, it is known then.
        let mut known = self.upstream.knowledge(caller.era());
        let known = async { known.wait_for(Option::is_some).await.ok().and_then(|known| known.clone()) };
        let came = tokio::select! {
            Some(known) = known => return Ok(known),
            came = came_until(&mut outcome, Some(until)) => came,
        };
        match came {
            Ok(Some(description)) => description,
            Ok(None) => Err(CallError::Draining),
            Err(Late) => Err(self.late()),
        }
    }

    async fn read_description(self: Arc<Self>, caller: Caller) -> Description {
        let _waited = self.upstream.waited();
        let within = self.upstream.plan().deadlines.list;
        let whose = (&caller.principal, caller.era(), &caller.facts);
        let Some(found) = self.upstream.discovered_within(within, whose).await else {
            let error = CallError::Deadline { upstream: self.upstream.name().to_owned(), after: within };
            self.upstream.hung(&error);
            return Err(error);
        };
        found
    }

    /// The server is there (again): what is owed is asked for, and announced when it comes.
    pub fn back(self: &Arc<Self>) {
        let owed: Vec<_> = lock(&self.owed).iter().map(|(name, debt)| (*name, debt.caller.clone())).collect();
        for (name, caller) in owed {
            let Some(method) = method::find(name) else { continue };
            if let Some(tried) = lock(&self.hung).get_mut(name) {
                if let Some(due) = tried.map(|tried| tried + TRY_AGAIN).filter(|due| *due > Instant::now()) {
                    self.back_later(due);
                    continue;
                }
                *tried = Some(Instant::now());
            }
            // The session that it was asked for in may be over.
            let caller = Caller { session: None, ..caller };
            drop(self.begin(method, &caller));
        }
    }

    /// Whoever was given a list without it has been told to ask again.
    pub fn owes_nothing(&self) {
        lock(&self.owed).clear();
    }

    /// What may not be asked for yet is asked for then.
    fn back_later(self: &Arc<Self>, due: Instant) {
        let mut tries_again = lock(&self.tries_again);
        if tries_again.is_some() {
            return;
        }
        let this = Arc::downgrade(self);
        *tries_again = Some(OwnedTask::spawn(async move {
            sleep_until(due).await;
            let Some(this) = this.upgrade() else { return };
            // It goes on to its end: from here on nothing is awaited.
            drop(lock(&this.tries_again).take());
            if matches!(this.upstream.health(), Health::Up { .. }) {
                this.back();
            }
        }));
    }

    /// The server has been away for longer than a moment, and whoever lists now is told so.
    pub fn gone(&self) {
        let known = self.upstream.known_link(Era::Modern).or_else(|| self.upstream.known_link(Era::Legacy));
        let Some((_, discovered)) = known else { return };
        for (list, kind) in
            [("tools/list", Kind::Tool), ("prompts/list", Kind::Prompt), ("resources/list", Kind::Resource)]
        {
            let has = method::find(list).and_then(|method| method.capability);
            if !has.is_some_and(|capability| discovered.capabilities.has(capability)) {
                continue;
            }
            let nobody = || Debt { caller: Caller::nobody(), got_nothing: true };
            lock(&self.owed).entry(list).or_insert_with(nobody).got_nothing = true;
            self.server_lists.changed(kind, None);
            self.announce(kind);
        }
    }

    /// What was pinned of the server has changed, or what was seen to be something else: it is looked at anew, and who listens is told.
    pub fn pins_changed(&self, is_decided: bool) {
        for kind in [Kind::Tool, Kind::Prompt, Kind::Template] {
            if is_decided {
                self.server_lists.changed(kind, None);
            }
            self.announce(kind);
        }
    }

    fn announce(&self, kind: Kind) {
        if let Some((place, feed)) = self.told.get()
            && let Some(feed) = feed.upgrade()
        {
            feed.list_changed(*place, kind);
        }
    }

    /// Until when a list is waited for, if not until the server's own deadline.
    fn until(&self, method: &'static Method, caller: &Caller, wait: Patience) -> Option<Instant> {
        let now = Instant::now();
        match wait {
            _ if self.is_sick(method) => Some(now),
            Patience::Whole => None,
            Patience::Fair => {
                let until = self.upstream.patience(Want::List);
                // Others have waited for this very list already.
                let waited = self.lists.since(&(method.name, self.server_lists.audience(caller)));
                let in_vain = waited.is_some_and(|since| since + self.upstream.grace() <= now);
                Some(if in_vain { now } else { until })
            }
        }
    }

    /// Whether it is known to be in vain to wait for a list.
    fn is_sick(&self, method: &Method) -> bool {
        self.upstream.sick().is_some() || lock(&self.hung).contains_key(method.name)
    }

    fn begin(self: &Arc<Self>, method: &'static Method, caller: &Caller) -> Asking<Read> {
        let key = (method.name, self.server_lists.audience(caller));
        let (this, own, settles) = (Arc::clone(self), caller.beyond_the_request(), Arc::clone(self));
        self.lists.begin(
            &self.upstream.world().tasks,
            &key,
            || this.read(method, own),
            move |read| settles.settle(method, read),
        )
    }

    async fn read(self: Arc<Self>, method: &'static Method, caller: Caller) -> Read {
        let (state, begun) = (self.state(method, caller.era()), Instant::now());
        let caller = &caller;
        let before = self.server_lists.last(method, caller);
        let waited = self.upstream.waited();
        let within = self.upstream.plan().deadlines.list;
        let late = || {
            ListFault::Call(CallError::Deadline { upstream: self.upstream.name().to_owned(), after: within })
        };
        let read = async {
            let whose = (&caller.principal, caller.era(), &caller.facts);
            let known = self.upstream.discovered_within(within, whose).await.ok_or_else(late)?;
            let (_, discovered) = known.map_err(ListFault::Call)?;
            // What its start took is not time that its list takes, where that is waited out.
            let due = if self.upstream.is_waited_out() { Instant::now() } else { begun } + within;
            if method.capability.is_some_and(|capability| !discovered.capabilities.has(capability)) {
                return Ok(self.server_lists.lists_nothing(method.kind).await);
            }
            let all = self.server_lists.all(method, (None, usize::MAX), caller, due);
            timeout_at(due, all).await.unwrap_or_else(|_elapsed| Err(late()))
        };
        let part = read.await;
        drop(waited);
        self.take_note(method, &part, begun);
        Read { part, state, before }
    }

    fn state(&self, method: &'static Method, client: Era) -> AsOf {
        AsOf { generation: self.server_lists.changes(method.kind, client), acts: self.upstream.acts() }
    }

    /// What the outcome of reading a list says of the server.
    fn take_note(&self, method: &'static Method, part: &Part, begun: Instant) {
        match part {
            Ok(pages) => {
                if pages.came_after(begun) {
                    self.upstream.answers();
                }
                lock(&self.hung).remove(method.name);
            }
            Err(ListFault::Call(error @ CallError::Deadline { .. })) => {
                let mut hung = lock(&self.hung);
                let again = hung.contains_key(method.name);
                hung.entry(method.name).or_default();
                drop(hung);
                // One list that hangs each time, where all else is answered, says nothing new of the server: it would be taken
                // for sick, and found well, as often as anybody asks for that list.
                if !(again && self.upstream.is_well() && self.upstream.sick().is_none()) {
                    self.upstream.hung(error);
                }
            }
            Err(_) => {}
        }
    }

    /// A list has come: who was given another one hears of it.
    fn settle(&self, method: &'static Method, read: &Read) {
        let Ok(pages) = &read.part else { return };
        let Some(debt) = lock(&self.owed).remove(method.name) else { return };
        pages.keep(LATE);
        let is_new = match &read.before {
            Some(before) if !debt.got_nothing => !pages.shows_the_same_as(before),
            before => !pages.pages.is_empty() || before.is_some(),
        };
        if is_new {
            self.announce(method.kind);
        }
    }

    /// What is given to somebody who has waited for it.
    fn given(&self, part: Part, method: &'static Method, caller: &Caller, wait: Patience) -> Part {
        // Who may not list is owed nothing.
        let is_refused = matches!(part, Err(ListFault::Call(CallError::Refused(_))));
        if part.is_err() && !is_refused && wait == Patience::Fair {
            self.owe(method, caller, true);
        }
        part
    }

    /// What is given to somebody who waits no longer.
    fn without(
        &self,
        method: &'static Method,
        caller: &Caller,
        outcome: &watch::Receiver<Option<Read>>,
    ) -> Part {
        // Of one that nobody can reach nothing is shown, as when the list is asked for and refused.
        let is_gone = self.upstream.sick().is_none() && matches!(self.upstream.health(), Health::Down { .. });
        let late = self.late_list(method);
        let last = if is_gone { None } else { self.server_lists.last(method, caller) };
        self.owe(method, caller, last.is_none());
        // It may have come just now.
        if let Some(read) = &*outcome.borrow() {
            return read.part.clone();
        }
        match last {
            Some(pages) => Ok(pages.known_before(&base::reply::wire(&late).text)),
            None => Err(ListFault::Call(late)),
        }
    }

    fn owe(&self, method: &'static Method, caller: &Caller, got_nothing: bool) {
        let mut owed = lock(&self.owed);
        let new = || Debt { caller: caller.beyond_the_request(), got_nothing };
        owed.entry(method.name).or_insert_with(new).got_nothing |= got_nothing;
    }

    /// Why a list is given without the server.
    fn late_list(&self, method: &Method) -> CallError {
        if self.upstream.sick().is_none() && lock(&self.hung).contains_key(method.name) {
            let after = self.upstream.plan().deadlines.list;
            return CallError::Deadline { upstream: self.upstream.name().to_owned(), after };
        }
        self.late()
    }

    /// Why something is given without the server.
    fn late(&self) -> CallError {
        let upstream = self.upstream.name().to_owned();
        if let Some(error) = self.upstream.starting() {
            return error;
        }
        match (self.upstream.sick(), self.upstream.health()) {
            (Some(error), _) => error,
            // It was not asked for this, so nothing is said of its breaker.
            (None, Health::Down { error, .. }) => match *error {
                CallError::Unreachable { upstream, why, .. } | CallError::BrokeOff { upstream, why } => {
                    CallError::Unreachable { upstream, why, fault: None }
                }
                error => error,
            },
            (None, _) => CallError::Deadline { upstream, after: self.upstream.waited_so_far() },
        }
    }
}
