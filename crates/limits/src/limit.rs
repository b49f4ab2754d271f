//! One limit and its counts.

use std::sync::Arc;
use std::time::Duration;

use base::digest::Digest;
use base::fault::Limited;
use base::plan::limit::{LimitPlan, Per};

use crate::key::{Key, Keys, Subject};
use crate::lease::Leased;
use crate::pace::{Nanos, Pace, Quota};
use crate::replicas::Shared;
use crate::tally::{Tallies, Tally};

/// How often replicas tell each other of bytes at least, while there are calls.
const TOLD: Nanos = 1_000_000_000;
/// How soon to come again where nobody can know.
const SOON: Duration = Duration::from_secs(1);

/// A limit.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(crate) plan: LimitPlan,
    pace: Option<Pace>,
    quota: Option<Quota>,
    pub(crate) tallies: Tallies,
    /// Where its rate is counted that replicas share.
    pub(crate) shared: Option<Arc<Shared>>,
    /// All of it that says what is counted, and how fast.
    what: String,
}

/// What a limit says of a call.
#[derive(Debug)]
pub(crate) enum Said {
    /// It may go on.
    Within(Charged),
    /// Not now.
    Not(Box<Limited>),
    /// The store is to be asked.
    Ask,
}

/// Where a call was counted that a limit has a rate for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Charged {
    /// Nowhere.
    Nowhere,
    /// In this process.
    Here(Pace),
    /// In the store: of a lease that is good until then.
    There(Nanos),
}

impl Limit {
    /// `kind` tells those of one name apart that stand in different places.
    pub(crate) fn new(kind: &str, plan: LimitPlan, shared: Option<Arc<Shared>>) -> Self {
        let LimitPlan { per, routes, servers, tools, rate, result_bytes, .. } = &plan;
        let what = format!("{kind} {rate:?} {per:?} {routes:?} {servers:?} {tools:?} {result_bytes:?}");
        let (pace, quota) = (plan.rate.map(Pace::new), plan.result_bytes.map(Quota::new));
        let shared = shared.filter(|_| pace.is_some() || quota.is_some());
        Self { plan, pace, quota, tallies: Tallies::default(), shared, what }
    }

    pub(crate) fn pace(&self) -> Option<Pace> {
        self.pace
    }

    /// Whether it concerns a call.
    pub(crate) fn concerns(&self, subject: &Subject<'_>) -> bool {
        let is_of_server = |name| self.plan.servers.as_ref().is_none_or(|globs| globs.is_match(name));
        let is_of_tool = |name| self.plan.tools.as_ref().is_none_or(|globs| globs.is_match(name));
        subject.server.is_none_or(is_of_server)
            && match subject.tool {
                Some(tool) => is_of_tool(tool),
                None => !self.plan.is_of_tools(),
            }
    }

    fn parts<'s>(&'s self, subject: &'s Subject<'s>) -> impl Iterator<Item = Option<&'s [u8]>> + Clone {
        let parts = self.plan.per.iter().flat_map(|per: &Per| subject.parts(*per));
        parts.map(|part| part.map(str::as_bytes))
    }

    /// Whose count it is.
    pub(crate) fn key(&self, keys: &Keys, subject: &Subject<'_>) -> Key {
        keys.of(&self.parts(subject))
    }

    /// The same for all replicas. Whatever else is counted has another, a limit that was changed for one: what the store says of
    /// that means nothing at another rate.
    pub(crate) fn name(&self, subject: &Subject<'_>) -> Digest {
        let parts = self.parts(subject).map(|part| (part.is_some(), part.unwrap_or_default()));
        let parts = parts.flat_map(|(is_there, part)| [if is_there { &b"+"[..] } else { b"-" }, part]);
        Digest::of([self.plan.name.as_bytes(), self.what.as_bytes()].into_iter().chain(parts))
    }

    /// Whether anything of a call is to be counted at its end.
    pub(crate) fn holds(&self) -> bool {
        self.plan.concurrent.is_some() || self.quota.is_some()
    }

    /// Whether it counts calls of tools, and nothing else, at once.
    pub(crate) fn counts_tools_at_once(&self) -> bool {
        self.plan.concurrent.is_some() && self.plan.is_of_tools()
    }

    /// The most at once here.
    fn concurrent(&self, replicas: usize) -> Option<usize> {
        Some((self.plan.concurrent? / replicas.max(1)).max(1))
    }

    /// Counts one more call of one, if it is within the limit.
    pub(crate) fn enter(&self, key: Key, now: Nanos, replicas: usize) -> Said {
        let counted = self.tallies.of(key, now, |tally| {
            let most = self.concurrent(replicas);
            if let Some(most) = most.filter(|most| tally.running >= *most) {
                return Said::Not(Box::new(self.too_many_at_once(most)));
            }
            // Others hear of it even if this one is refused.
            let has_news = self.has_news(tally, now);
            if self.quota.is_some()
                && !has_news
                && let Err(wait) = Quota::check(tally.bytes, now)
            {
                return Said::Not(Box::new(self.too_many_bytes(wait)));
            }
            let said = match self.pace {
                _ if has_news => Said::Ask,
                Some(pace) if self.shared.is_none() => match pace.take(&mut tally.next, now) {
                    Ok(_) => Said::Within(Charged::Here(pace)),
                    Err(wait) => Said::Not(Box::new(self.too_fast(wait))),
                },
                Some(_) => self.leased(tally.lease.get_or_insert_with(Box::default).spend(now)),
                None => Said::Within(Charged::Nowhere),
            };
            tally.running += usize::from(self.holds() && !matches!(said, Said::Not(_)));
            said
        });
        counted.unwrap_or(Said::Within(Charged::Nowhere))
    }

    fn leased(&self, leased: Leased) -> Said {
        match leased {
            Leased::Spent(until) => Said::Within(Charged::There(until)),
            Leased::None(wait) => Said::Not(Box::new(self.too_fast(wait))),
            Leased::Ask => Said::Ask,
        }
    }

    /// Whether replicas are to be told how many bytes have come here, and to say how many have come elsewhere.
    fn has_news(&self, tally: &Tally, now: Nanos) -> bool {
        let (Some(quota), Some(_)) = (self.quota, &self.shared) else { return false };
        tally.said.is_none_or(|said| now.saturating_sub(said) >= TOLD) || quota.is_much(tally.unsaid)
    }

    /// What is to be told, which then was: the time that it takes.
    pub(crate) fn news(&self, key: Key, now: Nanos) -> Option<Nanos> {
        let quota = self.quota?;
        self.tallies.of(key, now, |tally| {
            self.has_news(tally, now).then(|| {
                tally.said = Some(now);
                quota.takes(std::mem::take(&mut tally.unsaid))
            })
        })?
    }

    /// Whether bytes are left, as far as is known here.
    pub(crate) fn has_bytes(&self, key: Key, now: Nanos) -> Result<(), Box<Limited>> {
        match self.quota.and_then(|_| self.tallies.of(key, now, |tally| Quota::check(tally.bytes, now))) {
            Some(Err(wait)) => Err(Box::new(self.too_many_bytes(wait))),
            _ => Ok(()),
        }
    }

    /// How far ahead of time the next bytes are, here and elsewhere.
    pub(crate) fn heard(&self, key: Key, now: Nanos, ahead: Nanos) -> Result<(), Box<Limited>> {
        let quota = self.quota.as_ref();
        let checked = self.tallies.of(key, now, |tally| {
            // What has come meanwhile is not known elsewhere.
            let unsaid = quota.map_or(0, |quota| quota.takes(tally.unsaid));
            tally.bytes = now.saturating_add(ahead).saturating_add(unsaid);
            Quota::check(tally.bytes, now)
        });
        match checked {
            Some(Err(wait)) => Err(Box::new(self.too_many_bytes(wait))),
            _ => Ok(()),
        }
    }

    /// Counts a call that goes on which was counted before.
    pub(crate) fn go_on(&self, key: Key, now: Nanos) {
        self.tallies.of(key, now, |tally| tally.running += usize::from(self.holds()));
    }

    /// The store has given so many, or none for so long; one of them is spent.
    pub(crate) fn put(&self, key: Key, now: Nanos, given: (u64, Nanos)) -> Said {
        let said = self.tallies.of(key, now, |tally| {
            let lease = tally.lease.get_or_insert_with(Box::default);
            lease.put(given, now);
            lease.spend(now)
        });
        match said.map(|leased| self.leased(leased)) {
            None | Some(Said::Ask) => Said::Within(Charged::Nowhere),
            Some(said) => said,
        }
    }

    /// The store is away: a share of the rate is counted here.
    pub(crate) fn alone(&self, key: Key, now: Nanos, replicas: usize) -> Said {
        let Some(pace) = self.pace else { return Said::Within(Charged::Nowhere) };
        let pace = pace.shared_by(replicas);
        let taken = self.tallies.of(key, now, |tally| pace.take(&mut tally.next, now));
        match taken {
            Some(Err(wait)) => Said::Not(Box::new(self.too_fast(wait))),
            Some(Ok(_)) => Said::Within(Charged::Here(pace)),
            None => Said::Within(Charged::Nowhere),
        }
    }

    /// A lease of somebody, for who asks the store.
    pub(crate) fn asking(&self, key: Key, now: Nanos) -> Option<Arc<tokio::sync::Mutex<()>>> {
        self.tallies.of(key, now, |tally| Arc::clone(&tally.lease.get_or_insert_with(Box::default).asking))
    }

    /// Spends of a lease that somebody else has asked for meanwhile.
    pub(crate) fn spend(&self, key: Key, now: Nanos) -> Said {
        let lease =
            self.tallies.of(key, now, |tally| tally.lease.get_or_insert_with(Box::default).spend(now));
        lease.map_or(Said::Within(Charged::Nowhere), |leased| self.leased(leased))
    }

    /// A call that was counted is not made.
    pub(crate) fn give_back(&self, key: Key, charged: Charged) {
        self.tallies.of_known(key, |tally| match (charged, &mut tally.lease) {
            (Charged::Here(pace), _) => pace.give_back(&mut tally.next),
            (Charged::There(until), Some(lease)) => lease.give_back(until),
            (Charged::There(_), None) | (Charged::Nowhere, _) => {}
        });
    }

    /// Results of so many bytes have come.
    pub(crate) fn count(&self, key: Key, now: Nanos, bytes: usize) {
        let Some(quota) = self.quota else { return };
        self.tallies.of(key, now, |tally| {
            quota.count(&mut tally.bytes, now, bytes);
            if self.shared.is_some() {
                tally.unsaid = tally.unsaid.saturating_add(bytes);
            }
        });
    }

    /// A call is over.
    pub(crate) fn leave(&self, key: Key) {
        self.tallies.of_known(key, |tally| tally.running = tally.running.saturating_sub(1));
    }

    fn limited(&self, by: &'static str, allows: String, wait: Duration) -> Limited {
        Limited { name: self.plan.name.clone(), by, allows, retry_after: wait, limit: None, remaining: None }
    }

    fn too_fast(&self, wait: Nanos) -> Limited {
        let rate = self.plan.rate;
        let allows = rate.map(|rate| rate.to_string()).unwrap_or_default();
        let limit = rate.map(|rate| u64::from(rate.times));
        let limited = self.limited("rate", allows, Duration::from_nanos(wait));
        Limited { limit, remaining: Some(0), ..limited }
    }

    fn too_many_at_once(&self, most: usize) -> Limited {
        let limited = self.limited("concurrent", format!("{most} at once"), SOON);
        Limited { limit: u64::try_from(most).ok(), remaining: Some(0), ..limited }
    }

    fn too_many_bytes(&self, wait: Nanos) -> Limited {
        let bytes = self.plan.result_bytes.unwrap_or_default();
        self.limited(
            "result_bytes",
            format!("{bytes} bytes of results in an hour"),
            Duration::from_nanos(wait),
        )
    }
}
