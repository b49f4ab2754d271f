//! All limits of a configuration, with their counts, which outlive a reload.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth::{Allowance, Principal};
use base::digest::Digest;
use base::error::CallError;
use base::fault::Limited;
use base::metrics::Metrics;
use base::plan::limit::{LimitPlan, LimitingPlan, Per, Rate};
use base::sync::lock;
use futures_util::future::BoxFuture;
use smallvec::SmallVec;
use tokio::time::{Instant, sleep_until};

use crate::key::{Key, Keys, Subject};
use crate::limit::{Charged, Limit, Said};
use crate::loops::{Loops, Repeated};
use crate::pace::{Nanos, nanos};
use crate::replicas::Shared;

/// The policy, and its rate.
type LimitName = (Arc<str>, u32, Duration);

/// Counts calls for all routes.
#[derive(Debug)]
pub struct Limiter {
    counts: Arc<Counts>,
    current: Mutex<Current>,
}

/// What all counts have in common.
#[derive(Debug)]
struct Counts {
    keys: Keys,
    began: Instant,
    metrics: Arc<Metrics>,
    shared: Option<Arc<Shared>>,
}

/// The most limits that policies have and that are remembered at a time, those before a reload among them.
const MOST_ALLOWANCES: usize = 10_000;

#[derive(Debug, Default)]
struct Current {
    /// What policies allow. Who changes them begins anew.
    allowances: HashMap<LimitName, Arc<Limit>>,
    limits: Vec<Arc<Limit>>,
    loops: Option<Arc<Loops>>,
}

/// The limits that concern one route.
#[derive(Debug, Clone)]
pub struct RouteLimits {
    counts: Arc<Counts>,
    /// Those that a call is counted by before it is known where it goes.
    by_caller: Arc<[Arc<Limit>]>,
    /// Those for which that must be known.
    by_target: Arc<[Arc<Limit>]>,
    loops: Option<Arc<Loops>>,
}

/// Whether a call is a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is, and counts as one.
    New,
    /// We send it again with what its client has answered. It was counted.
    Again,
}

/// What a call is counted by until it is over, if anything of it is.
pub type Entered = Option<Box<Held>>;

/// Whether a call may go on: known at once, or when the store has been asked.
pub enum Entry<'a> {
    /// Known.
    Now(Result<Entered, CallError>),
    /// Cancel safe.
    Later(BoxFuture<'a, Result<Entered, CallError>>),
}

impl std::fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Now(_) => "Now",
            Self::Later(_) => "Later",
        })
    }
}

/// A call that is counted. Dropped, it is over.
#[derive(Debug)]
pub struct Held {
    counts: Arc<Counts>,
    of: SmallVec<[(Arc<Limit>, Key); 2]>,
    taken: SmallVec<[Taken; 2]>,
    is_suspended: bool,
}

/// What has counted a call, and takes it back if the call is not made.
#[derive(Debug)]
enum Taken {
    /// By a limit.
    Of(Arc<Limit>, Key, Charged),
    /// As one that may be the same as others.
    Repeated(Arc<Loops>, Key),
}

impl Held {
    /// The call is not made, and no fault of its client's: it costs nothing of any rate.
    pub fn give_back(&mut self) {
        for taken in self.taken.drain(..) {
            match taken {
                Taken::Of(limit, key, charged) => limit.give_back(key, charged),
                Taken::Repeated(loops, key) => loops.give_back(key),
            }
        }
    }

    /// Its result has so many bytes.
    pub fn count(&self, bytes: usize) {
        let now = self.counts.now();
        for (limit, key) in &self.of {
            limit.count(*key, now, bytes);
        }
    }

    /// Whether it counts calls of tools at once.
    #[must_use]
    pub fn counts_tools_at_once(&self) -> bool {
        self.of.iter().any(|(limit, _)| limit.counts_tools_at_once())
    }

    /// It has its result, and goes on all the same: what counts it among the calls of a tool at once until that is dropped. By others
    /// it is counted no longer than its answer lasts, since what is asked about it meanwhile is counted by those, too.
    #[must_use]
    pub fn outlast(&mut self) -> Option<Self> {
        if self.is_suspended || !self.counts_tools_at_once() {
            return None;
        }
        let (stay, go) = self.of.drain(..).partition(|(limit, _)| limit.counts_tools_at_once());
        self.of = go;
        let counts = Arc::clone(&self.counts);
        Some(Self { counts, of: stay, taken: SmallVec::new(), is_suspended: false })
    }

    /// Its client is asked something, and comes back with the answer: until then it is not under way.
    pub fn suspend(&mut self) {
        if !std::mem::replace(&mut self.is_suspended, true) {
            self.leave();
        }
    }

    /// Its client has come back.
    pub fn go_on(&mut self) {
        if std::mem::take(&mut self.is_suspended) {
            let now = self.counts.now();
            self.of.iter().for_each(|(limit, key)| limit.go_on(*key, now));
        }
    }

    fn leave(&self) {
        self.of.iter().for_each(|(limit, key)| limit.leave(*key));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.is_suspended {
            self.leave();
        }
    }
}

impl Counts {
    fn now(&self) -> Nanos {
        // Not from 0 on, when everything would be in the future.
        nanos(self.began.elapsed()).saturating_add(1)
    }

    fn replicas(&self) -> usize {
        self.shared.as_ref().map_or(1, |shared| shared.replicas())
    }

    fn refused(&self, limited: Box<Limited>) -> CallError {
        self.metrics.limited(&limited.name, limited.by);
        CallError::RateLimited(limited)
    }
}

impl Limiter {
    /// Nothing is limited yet. What replicas share is counted there.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, shared: Option<Shared>) -> Self {
        let shared = shared.map(Arc::new);
        let counts = Counts { keys: Keys::default(), began: Instant::now(), metrics, shared };
        Self { counts: Arc::new(counts), current: Mutex::default() }
    }

    /// From now on these are the limits. One that is the same keeps its counts.
    pub fn follow(&self, plan: &LimitingPlan) {
        let mut current = lock(&self.current);
        let before = std::mem::take(&mut *current);
        current.allowances = before.allowances;
        let limit = |plan: &LimitPlan| {
            let known = before.limits.iter().find(|limit| limit.plan == *plan);
            let new = || Arc::new(Limit::new("limit", plan.clone(), self.counts.shared.clone()));
            known.map_or_else(new, Arc::clone)
        };
        current.limits = plan.limits.iter().map(limit).collect();
        current.loops = plan.loops.map(|plan| {
            let known = before.loops.filter(|loops| loops.plan == plan);
            known.unwrap_or_else(|| Arc::new(Loops::new(plan)))
        });
    }

    /// Counts a call that policies permit so often: within one of their limits is enough. Cancel safe.
    ///
    /// # Errors
    /// When it is over all of them: what the one says that allows it soonest.
    pub async fn allow(
        &self,
        (route, principal): (&str, &Principal),
        allowances: &[Allowance],
    ) -> Result<(), CallError> {
        let subject = Subject { principal, client: None, route, server: None, tool: None };
        let counts = &self.counts;
        let mut soonest: Option<Box<Limited>> = None;
        for allowance in allowances {
            let limit = self.of_allowance(allowance);
            let key = limit.key(&counts.keys, &subject);
            let limited = match limit.enter(key, counts.now(), counts.replicas()) {
                Said::Within(_) => return Ok(()),
                Said::Not(limited) => limited,
                Said::Ask => match ask(counts, &limit, key, limit.name(&subject)).await {
                    Ok(_) => return Ok(()),
                    Err(limited) => limited,
                },
            };
            if soonest.as_ref().is_none_or(|before| limited.retry_after < before.retry_after) {
                soonest = Some(limited);
            }
        }
        soonest.map_or(Ok(()), |limited| Err(counts.refused(limited)))
    }

    fn of_allowance(&self, allowance: &Allowance) -> Arc<Limit> {
        let Allowance { by, times, within } = allowance;
        let name = (Arc::clone(by), *times, *within);
        let mut current = lock(&self.current);
        if let Some(limit) = current.allowances.get(&name) {
            return Arc::clone(limit);
        }
        if current.allowances.len() >= MOST_ALLOWANCES {
            current.allowances.clear();
        }
        let rate = Rate { times: *times, within: *within, burst: *times };
        let plan = LimitPlan {
            name: format!("policy {by}"),
            per: vec![Per::Principal, Per::Route],
            routes: None,
            servers: None,
            tools: None,
            rate: Some(rate),
            concurrent: None,
            result_bytes: None,
        };
        let limit = Arc::new(Limit::new("policy", plan, self.counts.shared.clone()));
        current.allowances.insert(name, Arc::clone(&limit));
        limit
    }

    /// Those that concern a route; nothing if none does.
    #[must_use]
    pub fn of_route(&self, name: &str) -> Option<RouteLimits> {
        let current = lock(&self.current);
        let concerns =
            |limit: &&Arc<Limit>| limit.plan.routes.as_ref().is_none_or(|routes| routes.is_match(name));
        let (by_target, by_caller): (Vec<_>, Vec<_>) =
            current.limits.iter().filter(concerns).cloned().partition(|limit| limit.plan.needs_target());
        if by_target.is_empty() && by_caller.is_empty() && current.loops.is_none() {
            return None;
        }
        let (by_caller, by_target) = (by_caller.into(), by_target.into());
        let (counts, loops) = (Arc::clone(&self.counts), current.loops.clone());
        Some(RouteLimits { counts, by_caller, by_target, loops })
    }
}

impl RouteLimits {
    /// Counts a call of which it is known who makes it.
    #[must_use]
    pub fn enter(&self, subject: &Subject<'_>, turn: Turn) -> Entry<'static> {
        self.enter_all(&self.by_caller, (subject, turn), Entering::new(&self.counts))
    }

    /// Counts a call of which it is known where it goes, too; of a tool's call, what it repeats. It waits if that makes it slow.
    #[must_use]
    pub fn enter_target<'a>(
        &'a self,
        subject: Subject<'a>,
        repeated: Option<Repeated<'a>>,
        turn: Turn,
    ) -> Entry<'a> {
        let mut entering = Entering::new(&self.counts);
        let (Some(loops), Some(repeated)) = (&self.loops, repeated.filter(|_| turn == Turn::New)) else {
            return self.enter_all(&self.by_target, (&subject, turn), entering);
        };
        let key = Loops::key(&self.counts.keys, &subject, repeated);
        let wait = match loops.enter(key, self.counts.now()) {
            Ok(wait) => wait,
            Err(limited) => return Entry::Now(Err(self.counts.refused(limited))),
        };
        entering.held.taken.push(Taken::Repeated(Arc::clone(loops), key));
        if wait.is_zero() {
            return self.enter_all(&self.by_target, (&subject, turn), entering);
        }
        let until = Instant::now() + wait;
        Entry::Later(Box::pin(async move {
            sleep_until(until).await;
            match self.enter_all(&self.by_target, (&subject, turn), entering) {
                Entry::Now(entered) => entered,
                Entry::Later(entered) => entered.await,
            }
        }))
    }

    fn enter_all(
        &self,
        limits: &[Arc<Limit>],
        (subject, turn): (&Subject<'_>, Turn),
        mut entering: Entering,
    ) -> Entry<'static> {
        let (now, replicas) = (self.counts.now(), self.counts.replicas());
        for limit in limits.iter().filter(|limit| limit.concerns(subject)) {
            let key = limit.key(&self.counts.keys, subject);
            if turn == Turn::Again {
                limit.go_on(key, now);
                entering.hold(limit, key);
                continue;
            }
            match limit.enter(key, now, replicas) {
                Said::Within(charged) => entering.passed(limit, key, charged),
                Said::Not(limited) => return Entry::Now(Err(self.counts.refused(limited))),
                Said::Ask => {
                    entering.hold(limit, key);
                    entering.to_ask.push((Arc::clone(limit), key, limit.name(subject)));
                }
            }
        }
        if entering.to_ask.is_empty() { Entry::Now(Ok(entering.entered())) } else { entering.later() }
    }
}

/// A call that is being counted. Dropped before it has entered, it is not made.
struct Entering {
    held: Held,
    /// Those that the store counts.
    to_ask: Vec<(Arc<Limit>, Key, Digest)>,
}

impl Entering {
    fn new(counts: &Arc<Counts>) -> Self {
        let counts = Arc::clone(counts);
        let held = Held { counts, of: SmallVec::new(), taken: SmallVec::new(), is_suspended: false };
        Self { held, to_ask: Vec::new() }
    }

    fn hold(&mut self, limit: &Arc<Limit>, key: Key) {
        if limit.holds() {
            self.held.of.push((Arc::clone(limit), key));
        }
    }

    fn passed(&mut self, limit: &Arc<Limit>, key: Key, charged: Charged) {
        self.hold(limit, key);
        self.took(limit, key, charged);
    }

    fn took(&mut self, limit: &Arc<Limit>, key: Key, charged: Charged) {
        if !matches!(charged, Charged::Nowhere) {
            self.held.taken.push(Taken::Of(Arc::clone(limit), key, charged));
        }
    }

    fn entered(mut self) -> Entered {
        if self.held.of.is_empty() && self.held.taken.is_empty() {
            return None;
        }
        let Held { counts, of, taken, is_suspended } = &mut self.held;
        let (of, taken) = (std::mem::take(of), std::mem::take(taken));
        Some(Box::new(Held { counts: Arc::clone(counts), of, taken, is_suspended: *is_suspended }))
    }

    fn later(mut self) -> Entry<'static> {
        Entry::Later(Box::pin(async move {
            for (limit, key, name) in std::mem::take(&mut self.to_ask) {
                match ask(&self.held.counts, &limit, key, name).await {
                    Ok(charged) => self.took(&limit, key, charged),
                    Err(limited) => return Err(self.held.counts.refused(limited)),
                }
            }
            Ok(self.entered())
        }))
    }
}

impl Drop for Entering {
    fn drop(&mut self) {
        self.held.give_back();
    }
}

/// Asks the store, one at a time for each who is counted: what it gives is for all who wait here. Cancel safe.
async fn ask(
    counts: &Arc<Counts>,
    limit: &Arc<Limit>,
    key: Key,
    name: Digest,
) -> Result<Charged, Box<Limited>> {
    let Some(shared) = &limit.shared else { return Ok(Charged::Nowhere) };
    if shared.is_away(counts.now()) {
        // Who looks whether it is there again may stand in the queue: nobody waits for that.
        limit.has_bytes(key, counts.now())?;
        return charged(limit.alone(key, counts.now(), shared.replicas()));
    }
    let Some(asking) = limit.asking(key, counts.now()) else { return Ok(Charged::Nowhere) };
    let _turn = asking.lock().await;
    if let Some(takes) = limit.news(key, counts.now()) {
        match shared.charge(name, takes, counts.now()).await {
            Some(ahead) => limit.heard(key, counts.now(), ahead)?,
            None => limit.has_bytes(key, counts.now())?,
        }
    }
    let Some(pace) = limit.pace() else { return Ok(Charged::Nowhere) };
    match limit.spend(key, counts.now()) {
        Said::Ask => {}
        said => return charged(said),
    }
    charged(match shared.lease(name, pace, counts.now()).await {
        Some(given) => limit.put(key, counts.now(), given),
        None => limit.alone(key, counts.now(), shared.replicas()),
    })
}

fn charged(said: Said) -> Result<Charged, Box<Limited>> {
    match said {
        Said::Within(charged) => Ok(charged),
        Said::Not(limited) => Err(limited),
        Said::Ask => Ok(Charged::Nowhere),
    }
}

#[cfg(test)]
mod tests;
