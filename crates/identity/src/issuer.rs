//! One issuer and its keys: fetched when they are first needed, again when one is not among them, and now and then.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use auth::Refusal;
use base::plan::identity::{Algorithm, IssuerPlan, KeySource};
use base::sync::lock;
use base::under_way::{Asking, UnderWay, came_until};
use base::world::World;
use tokio::time::{Instant, sleep, timeout};
use transport::http::client::Destination;

use crate::discover;
use crate::fetch::{FetchFault, Fetcher, PATIENCE, shown};
use crate::introspect::Introspector;
use crate::jwk::{self, Key, LeftOut};
use crate::missing_keys::MissingKeys;
use crate::spiffe;
use crate::tokens::TokenDigest;

/// How often an issuer that does not answer is asked for its keys in the long run.
const PAUSE: Duration = Duration::from_secs(30);
/// How long it is left alone after it was asked, however many tokens name keys that it has not published; each time in a row that
/// it failed doubles it, up to [`PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// After so long they are fetched anew, beside the calls: an issuer that has taken a key back must be heard.
const STALE: Duration = Duration::from_secs(600);

/// The most keys that are known by name, and the longest name: a UUID has 36 bytes.
const MOST_NAMED: usize = 20;
const LONGEST_NAME: usize = 64;

/// An issuer, with what is known of its keys.
#[derive(Debug)]
pub struct Issuer {
    plan: IssuerPlan,
    fetcher: Fetcher,
    introspector: Option<Introspector>,
    world: World,
    keys: ArcSwapOption<KeySet>,
    /// After so many seconds they are old.
    stale: AtomicU64,
    attempts: Mutex<Attempts>,
    /// Held by who asks for a key by its name.
    naming: tokio::sync::Mutex<()>,
    missing: MissingKeys,
    under_way: UnderWay<(), Result<Arc<KeySet>, NoKeys>>,
    metadata: tokio::sync::Mutex<Option<(Instant, Option<Arc<str>>)>>,
}

/// The keys of an issuer at one time.
#[derive(Debug)]
pub(crate) struct KeySet {
    keys: Vec<Arc<Key>>,
    fetched: Instant,
    /// Changes when a key is there no more, or another.
    pub(crate) generation: u64,
}

/// There are none now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoKeys {
    pub(crate) retry_after: Duration,
}

#[derive(Debug, Default)]
struct Attempts {
    last: Option<Instant>,
    failures: u32,
}

/// The key of a signature.
#[derive(Debug)]
pub(crate) enum Choice<'k> {
    One(&'k Key),
    /// None that is known.
    None,
    /// Several, and nothing says which.
    Several,
}

impl KeySet {
    /// RFC 7515 §4.1.4; without a name, only a key that is the only one to fit.
    pub(crate) fn choose(&self, algorithm: Algorithm, id: Option<&str>) -> Choice<'_> {
        let is_named = |key: &&Arc<Key>| id.is_none() || key.id.as_deref() == id;
        let mut fitting = self.keys.iter().filter(|key| key.fits(algorithm)).filter(is_named);
        match (fitting.next(), fitting.next()) {
            (None, _) => Choice::None,
            (Some(key), None) => Choice::One(key),
            (Some(_), Some(_)) => Choice::Several,
        }
    }

    fn is_same(&self, other: &[Key]) -> bool {
        let key = |key: &Key| (key.id.clone(), key.thumbprint);
        let theirs: Vec<_> = other.iter().map(key).collect();
        self.keys.len() == theirs.len()
            && self.keys.iter().map(|known| key(known)).all(|one| theirs.contains(&one))
    }
}

impl Issuer {
    pub(crate) fn new(plan: IssuerPlan, world: &World) -> Arc<Self> {
        let fetcher = Fetcher::new(&plan, world);
        let issuer = Self {
            fetcher,
            introspector: plan.introspection.clone().map(Introspector::new),
            world: world.clone(),
            keys: ArcSwapOption::empty(),
            stale: AtomicU64::new(STALE.as_secs()),
            attempts: Mutex::default(),
            naming: tokio::sync::Mutex::default(),
            missing: MissingKeys::default(),
            under_way: UnderWay::default(),
            metadata: tokio::sync::Mutex::default(),
            plan,
        };
        if let KeySource::Given(text) = &issuer.plan.keys {
            match read(text, &issuer.plan) {
                Ok(read) => drop(issuer.keep(read)),
                Err(FetchFault(why)) => {
                    tracing::error!(issuer = issuer.plan.name, "its keys cannot be read: {why}");
                }
            }
        }
        Arc::new(issuer)
    }

    /// As it is configured.
    #[must_use]
    pub fn plan(&self) -> &IssuerPlan {
        &self.plan
    }

    /// Asks the issuer for its keys now, for whoever wants to know whether that goes well. Gives how many may be used, and
    /// why others may not; nothing where each is asked for by its name, when a token has one.
    ///
    /// # Errors
    /// Says what is wrong, for the operator.
    pub async fn probe(&self) -> Result<Option<(usize, Vec<&'static str>)>, String> {
        if matches!(self.plan.keys, KeySource::Named(_)) {
            return Ok(None);
        }
        let (keys, left_out) = self.fetch().await.map_err(|FetchFault(why)| why)?;
        Ok(Some((keys.len(), left_out.into_iter().map(|LeftOut(why)| why).collect())))
    }

    /// What it says of itself (RFC 8414 §2), as it says it; nothing if it cannot be asked now. Whoever asks, it is asked once in a while.
    pub async fn metadata(&self) -> Option<Arc<str>> {
        let mut kept = self.metadata.lock().await;
        let good_for = |text: &Option<Arc<str>>| if text.is_some() { STALE / 2 } else { 5 * FIRST_PAUSE };
        if let Some((_, text)) = kept.as_ref().filter(|(at, text)| at.elapsed() < good_for(text)) {
            return text.clone();
        }
        let asked = timeout(PATIENCE, discover::metadata(&self.fetcher, &self.plan.issuer)).await;
        let text = match asked {
            Ok(Ok(text)) => Some(Arc::from(text)),
            Ok(Err(FetchFault(why))) => {
                tracing::warn!(issuer = self.plan.name, "what it says of itself cannot be fetched: {why}");
                None
            }
            Err(_elapsed) => {
                tracing::warn!(
                    issuer = self.plan.name,
                    "it does not say anything of itself within {PATIENCE:?}"
                );
                None
            }
        };
        *kept = Some((Instant::now(), text.clone()));
        text
    }

    /// By how many seconds the issuer's clock is ahead of ours, as far as it says so; tokens are held against both.
    pub async fn clock_ahead(&self) -> Option<i64> {
        let place = match &self.plan.keys {
            KeySource::Given(_) | KeySource::Named(_) => return None,
            KeySource::Url(place) => place.clone(),
            KeySource::Discover => {
                self.fetcher.destination(discover::places(&self.plan.issuer).first()?).ok()?
            }
        };
        let theirs = self.fetcher.get(&place).await.ok()?.date?;
        let ours = self.world.clock.now().duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
        theirs.checked_sub(i64::try_from(ours).ok()?)
    }

    /// How long it is until any token of it can be good, if that lies ahead.
    #[must_use]
    pub fn begins_in(&self) -> Option<Duration> {
        let begins = self.plan.not_before?;
        begins.duration_since(self.world.clock.now()).ok().filter(|ahead| !ahead.is_zero())
    }

    /// What the issuer says of a token, if it can be asked about tokens: the object of its answer, or nothing where the token
    /// is not active.
    pub(crate) async fn says_of(
        &self,
        token: &str,
        digest: &TokenDigest,
    ) -> Option<Result<Option<Arc<str>>, Refusal>> {
        let introspector = self.introspector.as_ref()?;
        Some(introspector.ask(&self.fetcher, (&self.plan.name, token), digest).await)
    }

    /// Whether it can be asked about tokens.
    pub(crate) fn can_be_asked(&self) -> bool {
        self.introspector.is_some()
    }

    /// The keys that are known.
    pub(crate) fn known(self: &Arc<Self>) -> Option<Arc<KeySet>> {
        self.refresh();
        self.keys.load_full()
    }

    /// The generation of the keys that are known.
    pub(crate) fn generation(self: &Arc<Self>) -> Option<u64> {
        self.refresh();
        self.keys.load().as_ref().map(|known| known.generation)
    }

    /// What is old is fetched anew meanwhile. Whoever asks for anything sees to it: perhaps only tokens come that are known.
    fn refresh(self: &Arc<Self>) {
        let stale = Duration::from_secs(self.stale.load(Ordering::Relaxed));
        let is_old = |known: &Arc<KeySet>| known.fetched.elapsed() > stale;
        if !self.keys.load().as_ref().is_some_and(is_old) || !self.has_a_set() {
            return;
        }
        // While it is away this is all that its tokens cost more.
        if lock(&self.attempts).last.is_none_or(|last| last.elapsed() > PAUSE) {
            drop(self.ask());
        }
    }

    /// The keys as the issuer has them now, for who misses that one; those that are known where it was found a moment ago that it
    /// is not among them. Where the issuer cannot be asked nobody knows whether it has another.
    pub(crate) async fn asked(
        self: &Arc<Self>,
        (algorithm, name): (Algorithm, Option<&str>),
    ) -> Result<Arc<KeySet>, NoKeys> {
        if let KeySource::Named(below) = &self.plan.keys {
            return self.named(below, name.unwrap_or_default()).await;
        }
        let is_given = matches!(self.plan.keys, KeySource::Given(_));
        if let Some(known) = self.keys.load_full().filter(|_| is_given || self.missing.is_lately(name)) {
            return Ok(known);
        }
        let outcome = match self.ask() {
            Asking::Done(outcome) => Some(outcome),
            Asking::Goes(mut outcome) => came_until(&mut outcome, None).await.ok().flatten(),
        };
        let keys = outcome.unwrap_or(Err(NoKeys { retry_after: FIRST_PAUSE }))?;
        if matches!(keys.choose(algorithm, name), Choice::None) {
            self.missing.put(name);
        }
        Ok(keys)
    }

    /// Whether all its keys are at one place, where they may change.
    fn has_a_set(&self) -> bool {
        !matches!(self.plan.keys, KeySource::Given(_) | KeySource::Named(_))
    }

    /// The keys that are known, and the one of that name. Each is asked for alone, and few at once: anybody can make names up.
    async fn named(&self, below: &Destination, name: &str) -> Result<Arc<KeySet>, NoKeys> {
        let has = |keys: &Arc<KeySet>| keys.keys.iter().any(|key| key.id.as_deref() == Some(name));
        let nothing = || Arc::new(KeySet { keys: Vec::new(), fetched: Instant::now(), generation: 0 });
        let known = || self.keys.load_full().unwrap_or_else(nothing);
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if name.is_empty()
            || name.len() > LONGEST_NAME
            || !name.bytes().all(is_name)
            || self.missing.is_lately(Some(name))
        {
            return Ok(known());
        }
        let Ok(_alone) = timeout(FIRST_PAUSE, self.naming.lock()).await else {
            return Err(NoKeys { retry_after: FIRST_PAUSE });
        };
        if self.keys.load_full().is_some_and(|keys| has(&keys)) || self.missing.is_lately(Some(name)) {
            return Ok(known());
        }
        let fetched = timeout(PATIENCE, self.fetch_named(below, name)).await;
        match fetched.unwrap_or_else(|_elapsed| Err(FetchFault("it did not answer in time".to_owned()))) {
            Ok(None) => self.missing.put(Some(name)),
            Ok(Some(key)) => {
                let mut keys = vec![Arc::new(key)];
                keys.extend(known().keys.iter().take(MOST_NAMED - 1).cloned());
                // They are never taken back, so what is known by one goes on.
                let set = KeySet { keys, fetched: Instant::now(), generation: 0 };
                self.keys.store(Some(Arc::new(set)));
            }
            Err(FetchFault(why)) => {
                tracing::warn!(issuer = self.plan.name, "a key of it cannot be fetched: {why}");
                return Err(NoKeys { retry_after: FIRST_PAUSE });
            }
        }
        Ok(known())
    }

    async fn fetch_named(&self, below: &Destination, name: &str) -> Result<Option<Key>, FetchFault> {
        let place = self.fetcher.destination(&format!("{}{name}", below.url()))?;
        let answered = self.fetcher.get(&place).await?;
        match answered.status {
            200 => {}
            403 | 404 => return Ok(None),
            status => return Err(FetchFault(format!("{} answers with HTTP {status}", shown(&place)))),
        }
        let text = std::str::from_utf8(&answered.body).unwrap_or_default();
        let key = Key::of_pem(text, name);
        key.map(Some).map_err(|LeftOut(why)| FetchFault(format!("{}: {why}", shown(&place))))
    }

    /// Who asks while it is asked already waits for the same answer.
    fn ask(self: &Arc<Self>) -> Asking<Result<Arc<KeySet>, NoKeys>> {
        let issuer = Arc::clone(self);
        self.under_way.begin(&self.world.tasks, &(), || async move { issuer.once().await }, |_| {})
    }

    async fn once(&self) -> Result<Arc<KeySet>, NoKeys> {
        if let Some(retry_after) = self.pause() {
            if retry_after > FIRST_PAUSE || self.keys.load().is_none() {
                return Err(NoKeys { retry_after });
            }
            // A moment: it may have changed its keys just now, and whoever shows the new one need not be sent away.
            sleep(retry_after).await;
            if let Some(retry_after) = self.pause() {
                return Err(NoKeys { retry_after });
            }
        }
        let late = |_elapsed| Err(FetchFault(format!("it did not answer within {PATIENCE:?}")));
        match timeout(PATIENCE, self.fetch()).await.unwrap_or_else(late) {
            Ok(read) => {
                lock(&self.attempts).failures = 0;
                Ok(self.keep(read))
            }
            Err(FetchFault(why)) => {
                lock(&self.attempts).failures += 1;
                let has_keys = self.keys.load().is_some();
                tracing::warn!(issuer = self.plan.name, has_keys, "its keys cannot be fetched: {why}");
                Err(NoKeys { retry_after: self.pause().unwrap_or(FIRST_PAUSE) })
            }
        }
    }

    /// How long it is to be left alone yet. If not at all, it is as if it were asked now.
    fn pause(&self) -> Option<Duration> {
        if !self.has_a_set() {
            return Some(PAUSE);
        }
        let mut attempts = lock(&self.attempts);
        let in_vain = attempts.failures.saturating_sub(1);
        let pause = FIRST_PAUSE.saturating_mul(1 << in_vain.min(5)).min(PAUSE);
        let left =
            attempts.last.and_then(|last| pause.checked_sub(last.elapsed())).filter(|left| !left.is_zero());
        if left.is_none() {
            attempts.last = Some(Instant::now());
        }
        left
    }

    fn keep(&self, (keys, left_out): (Vec<Key>, Vec<LeftOut>)) -> Arc<KeySet> {
        for LeftOut(why) in left_out {
            tracing::debug!(issuer = self.plan.name, "a key of it is not used: {why}");
        }
        let generation = match &*self.keys.load() {
            Some(known) if known.is_same(&keys) => known.generation,
            Some(known) => known.generation + 1,
            None => 0,
        };
        let keys = keys.into_iter().map(Arc::new).collect();
        let set = Arc::new(KeySet { keys, fetched: Instant::now(), generation });
        self.keys.store(Some(Arc::clone(&set)));
        set
    }

    async fn fetch(&self) -> Result<(Vec<Key>, Vec<LeftOut>), FetchFault> {
        let place = match &self.plan.keys {
            KeySource::Given(text) => return read(text, &self.plan),
            KeySource::Named(_) => {
                return Err(FetchFault("its keys are asked for by their names".to_owned()));
            }
            KeySource::Url(place) => place.clone(),
            KeySource::Discover => discover::keys(&self.fetcher, &self.plan.issuer).await?,
        };
        let answered = self.fetcher.get(&place).await?;
        if answered.status != 200 {
            return Err(FetchFault(format!("{} answers with HTTP {}", shown(&place), answered.status)));
        }
        let within = |FetchFault(why)| FetchFault(format!("{}: {why}", shown(&place)));
        let hint = self.plan.trust_domain().and_then(|_| spiffe::refresh_hint(&answered.body));
        self.stale.store(hint.unwrap_or(STALE).as_secs(), Ordering::Relaxed);
        read(&answered.body, &self.plan).map_err(within)
    }
}

/// A set of keys of which at least one can be used.
fn read(text: &[u8], plan: &IssuerPlan) -> Result<(Vec<Key>, Vec<LeftOut>), FetchFault> {
    let fault = |why: &str| FetchFault(why.to_owned());
    let text = std::str::from_utf8(text).map_err(|_bytes| fault("it is no text"))?;
    let read = jwk::read_set(text, &plan.algorithms, plan.trust_domain().is_some());
    let (keys, left_out) = read.map_err(|LeftOut(why)| fault(why))?;
    match left_out.first() {
        Some(LeftOut(why)) if keys.is_empty() => {
            Err(FetchFault(format!("no key of it can be used; of the first, {why}")))
        }
        _ if keys.is_empty() => Err(fault("it has no keys")),
        _ => Ok((keys, left_out)),
    }
}
