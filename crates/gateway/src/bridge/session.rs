//! Legacy sessions of clients. What was negotiated is sealed into the session id, so that any replica can open it;
//! held here is only what a client has going on: calls in flight, a log level, subscriptions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use auth::{Claims, Identity, Principal};
use base::plan::Limits;
use base::random;
use base::sync::lock;
use bytes::Bytes;
use catalog::caller::Caller;
use catalog::changes::watch::Interest;
use mcp::json::{self, Object};
use mcp::jsonrpc::Id;
use mcp::legacy::initialize::Opening;
use mcp::meta::{ClientFacts, LogLevel, LogWish};
use mcp::version::{self, Revision};
use replay::{Recordings, ReplayBudget};
use replica::Homed;
use store::seal::{Bound, Seal, SealFault};
use tokio::sync::watch;

use crate::flow::in_flight::{CallsInFlight, InFlight};
use crate::forward::questions::Questions;

/// The most bytes that a session id may carry: it comes back in a header with every request.
const MOST_SEALED: usize = 6 * 1024;
/// The most sessions that are being opened at once; past them none is waited for.
const MOST_OPENING: usize = 10_000;
/// The most sessions with something going on.
const MOST_HELD: usize = 100_000;

/// How often it is looked for sessions that are over at most.
const SWEEPS: Duration = Duration::from_secs(60);

/// What was negotiated when a session was opened.
#[derive(Debug, Clone)]
pub(crate) struct SessionClaims {
    /// Names the session within this Portolan.
    pub(crate) name: Arc<str>,
    /// The replica that opened it; empty if it was none of several.
    opener: Box<str>,
    pub(crate) revision: &'static Revision,
    pub(crate) client: ClientFacts,
    expires: SystemTime,
    /// Who sends the request that it was found for.
    pub(crate) identity: Identity,
}

impl SessionClaims {
    /// For how long it has gone on, if it may go on for so long.
    pub(crate) fn lasted(&self, ttl: Duration, now: SystemTime) -> Duration {
        ttl.saturating_sub(self.expires.duration_since(now).unwrap_or_default())
    }
}

/// Opens and knows sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    seal: Arc<Seal>,
    /// Names the path that a session belongs to: one route's is worthless at another.
    purpose: String,
    held: Mutex<HashMap<Arc<str>, Arc<SessionState>>>,
    ended: Mutex<HashMap<Arc<str>, SystemTime>>,
    /// When it was last looked for those that are over.
    swept: Mutex<Option<SystemTime>>,
    /// What the recordings of all sessions take.
    budget: Arc<ReplayBudget>,
    /// Sessions that were opened here and whose clients may not be told anything yet (MCP 2025-11-25 `basic/lifecycle`).
    opening: watch::Sender<HashSet<Arc<str>>>,
}

/// What a session has going on.
#[derive(Debug)]
pub(crate) struct SessionState {
    expires: SystemTime,
    principal: Principal,
    calls: Arc<CallsInFlight>,
    level: Mutex<Option<LogLevel>>,
    /// What the client is asked.
    pub(crate) questions: Arc<Questions>,
    /// Resources that it wants to hear of, under public URIs.
    pub(crate) interests: Mutex<BTreeMap<String, Interest>>,
    /// As whom the client has come last, told anew when it wants to hear of other things: its token may be good for others than the
    /// one before.
    pub(crate) comes_as: watch::Sender<Option<Arc<Claims>>>,
    /// Counts notification streams: the newest is the one that is told.
    pub(crate) streams: watch::Sender<u64>,
    /// What its streams said.
    pub(crate) recordings: Arc<Recordings>,
}

impl Sessions {
    pub(crate) fn new(seal: Arc<Seal>, route: &str, budget: Arc<ReplayBudget>) -> Self {
        Self {
            seal,
            purpose: format!("legacy-session:{route}"),
            held: Mutex::default(),
            ended: Mutex::default(),
            swept: Mutex::default(),
            budget,
            opening: watch::Sender::default(),
        }
    }

    /// A new session: its id and its claims.
    pub(crate) fn open(
        &self,
        opening: &Opening,
        identity: &Identity,
        limits: &Limits,
        (opener, now): (&str, SystemTime),
    ) -> Result<(String, SessionClaims), SealFault> {
        let name = random::hex::<16>().map_err(|_none| SealFault::Random)?;
        let expires = now + limits.session_ttl;
        let claims = SessionClaims {
            name: name.into(),
            opener: opener.into(),
            revision: opening.revision,
            client: opening.client.clone(),
            expires,
            identity: identity.clone(),
        };
        let bound = Bound { purpose: &self.purpose, principal: identity.principal.id() };
        Ok((self.seal.seal(bound, expires, claims.text().as_bytes())?, claims))
    }

    /// A session is being opened: nothing is said to its client until it says that it is ready.
    pub(crate) fn opening(&self, name: &Arc<str>) {
        self.opening.send_if_modified(|opening| {
            if opening.len() >= MOST_OPENING {
                opening.clear();
            }
            opening.insert(Arc::clone(name));
            false
        });
    }

    /// Its client has said that it is ready, or has asked for something, which says it, too.
    pub(crate) fn opened(&self, name: &Arc<str>) {
        if self.opening.borrow().contains(name) {
            self.opening.send_if_modified(|opening| opening.remove(name));
        }
    }

    /// Waits until its client may be told something.
    pub(crate) async fn initialized(&self, name: &Arc<str>) {
        // An error means that nobody is served any more.
        drop(self.opening.subscribe().wait_for(|opening| !opening.contains(name)).await);
    }

    /// The claims of a session that is still open.
    pub(crate) fn find(
        &self,
        id: &str,
        identity: &Identity,
        now: SystemTime,
    ) -> Result<SessionClaims, SealFault> {
        let bound = Bound { purpose: &self.purpose, principal: identity.principal.id() };
        let claims =
            SessionClaims::read(&self.seal.open(bound, now, id)?, identity).ok_or(SealFault::Malformed)?;
        if lock(&self.ended).contains_key(&claims.name) {
            return Err(SealFault::Expired);
        }
        Ok(claims)
    }

    /// What the session has going on, from now on.
    pub(crate) fn hold(&self, claims: &SessionClaims, now: SystemTime) -> Arc<SessionState> {
        let mut held = lock(&self.held);
        if let Some(held) = held.get(&claims.name) {
            return Arc::clone(held);
        }
        if held.len() >= MOST_HELD {
            held.retain(|_, held| held.expires > now && held.is_busy());
        }
        let new = Arc::new(SessionState {
            expires: claims.expires,
            principal: claims.identity.principal.clone(),
            calls: Arc::default(),
            level: Mutex::default(),
            questions: Arc::default(),
            interests: Mutex::default(),
            comes_as: watch::Sender::new(None),
            streams: watch::Sender::new(0),
            recordings: Arc::new(Recordings::new(&claims.name, Arc::clone(&self.budget))),
        });
        held.insert(Arc::clone(&claims.name), Arc::clone(&new));
        new
    }

    /// What the session has going on, if anything.
    pub(crate) fn held(&self, claims: &SessionClaims) -> Option<Arc<SessionState>> {
        lock(&self.held).get(&claims.name).cloned()
    }

    /// How many have something going on here.
    pub(crate) fn count(&self) -> usize {
        lock(&self.held).len()
    }

    /// Lets go of a session whose home is elsewhere now. Calls under way go on; its streams end, and go on there.
    pub(crate) fn let_go(&self, name: &str) {
        if let Some(held) = lock(&self.held).remove(name) {
            held.streams.send_modify(|count| *count += 1);
        }
    }

    /// Lets go of all sessions: others may have taken them over.
    pub(crate) fn let_all_go(&self) {
        for (_, held) in lock(&self.held).drain() {
            held.streams.send_modify(|count| *count += 1);
        }
    }

    /// How many sessions have something going on.
    pub(crate) fn busy(&self) -> usize {
        lock(&self.held).values().filter(|held| held.is_busy()).count()
    }

    /// Lets go of sessions that are over though nobody has ended them, as most clients do not; says which. It is looked for them
    /// once in a while only, because there may be many.
    pub(crate) fn sweep(&self, now: SystemTime) -> Vec<(Arc<str>, Principal)> {
        let mut swept = lock(&self.swept);
        if swept.is_some_and(|last| now.duration_since(last).is_ok_and(|since| since < SWEEPS)) {
            return Vec::new();
        }
        *swept = Some(now);
        drop(swept);
        let over = |_: &Arc<str>, held: &mut Arc<SessionState>| held.expires <= now && !held.has_calls();
        let over: Vec<_> = lock(&self.held).extract_if(over).collect();
        for (_, held) in &over {
            held.streams.send_modify(|count| *count += 1);
            held.recordings.end();
        }
        over.into_iter().map(|(name, held)| (name, held.principal.clone())).collect()
    }

    /// Ends a session: whatever it has going on is cancelled.
    pub(crate) fn end(&self, claims: &SessionClaims, now: SystemTime) {
        let mut ended = lock(&self.ended);
        ended.retain(|_, expires| *expires > now);
        if ended.len() >= MOST_HELD {
            // The one that is over soonest: its id is the least dangerous to forget.
            let soonest = ended.iter().min_by_key(|(_, expires)| **expires).map(|(name, _)| Arc::clone(name));
            soonest.and_then(|name| ended.remove(&name));
        }
        ended.insert(Arc::clone(&claims.name), claims.expires);
        drop(ended);
        self.opened(&claims.name);
        if let Some(held) = lock(&self.held).remove(&claims.name) {
            held.calls.cancel_all();
            held.streams.send_modify(|count| *count += 1);
            held.recordings.end();
        }
    }
}

impl SessionClaims {
    /// As far as its home is concerned.
    pub(crate) fn homed(&self) -> Homed<'_> {
        Homed { name: &self.name, opener: &self.opener, expires: self.expires }
    }

    /// How long it may still go on.
    pub(crate) fn left(&self, now: SystemTime) -> Duration {
        self.expires.duration_since(now).unwrap_or_default()
    }

    /// What the client says of itself, with the log level that it has set meanwhile.
    pub(crate) fn facts(&self, held: Option<&SessionState>) -> ClientFacts {
        let level = held.and_then(|held| *lock(&held.level));
        ClientFacts { log: level.map_or(LogWish::ServerDefault, LogWish::AtLeast), ..self.client.clone() }
    }

    /// Who calls in it, with what the client says of itself.
    pub(crate) fn caller(&self, facts: ClientFacts) -> Caller {
        let name = || Some(Arc::clone(&self.name));
        Caller { session: name(), client: name(), ..Caller::new(&self.identity, facts, self.revision) }
    }

    fn text(&self) -> String {
        let expires = self.expires.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let head = format!(
            r#""name":{},"opener":{},"revision":{},"expires":{expires},"capabilities":{}"#,
            json::quote(&self.name),
            json::quote(&self.opener),
            json::quote(self.revision.name),
            self.client.capabilities()
        );
        match self.client.info() {
            Some(info) if head.len() + info.len() < MOST_SEALED => format!(r#"{{{head},"info":{info}}}"#),
            _ => format!("{{{head}}}"),
        }
    }

    fn read(bytes: &[u8], identity: &Identity) -> Option<Self> {
        let object = Object::parse(std::str::from_utf8(bytes).ok()?).ok()?;
        let member = |name| object.get(name).ok().flatten();
        let copy = |raw: &str| Bytes::copy_from_slice(raw.as_bytes());
        let expires = u64::try_from(json::integer(member("expires")?)?).ok()?;
        Some(Self {
            name: json::string(member("name")?).ok()?.into(),
            // Sessions from before there were replicas have none.
            opener: member("opener").and_then(|raw| json::string(raw).ok()).unwrap_or_default().into(),
            revision: version::find(&json::string(member("revision")?).ok()?)?,
            client: ClientFacts {
                capabilities: copy(member("capabilities")?),
                info: member("info").map(copy),
                log: LogWish::ServerDefault,
            },
            expires: SystemTime::UNIX_EPOCH + Duration::from_secs(expires),
            identity: identity.clone(),
        })
    }
}

/// Whether the claims of an opening fit into a session id.
pub(crate) fn fits(opening: &Opening) -> bool {
    opening.client.capabilities.len() < MOST_SEALED - 1024
}

impl SessionState {
    /// A call begins. None if one with that id is in flight.
    pub(crate) fn begin(&self, id: &Id) -> Option<InFlight> {
        self.calls.begin(id)
    }

    /// The client cancels a call.
    pub(crate) fn cancel(&self, id: &Id) {
        self.calls.cancel(id);
    }

    pub(crate) fn set_level(&self, level: LogLevel) {
        *lock(&self.level) = Some(level);
    }

    /// Whether a call is under way.
    pub(crate) fn has_calls(&self) -> bool {
        !self.calls.is_empty()
    }

    fn is_busy(&self) -> bool {
        !self.calls.is_empty()
            || !lock(&self.interests).is_empty()
            || lock(&self.level).is_some()
            || self.recordings.is_busy()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opening() -> Opening {
        let params = r#"{"protocolVersion":"2025-06-18","capabilities":{"roots":{"listChanged":true}},"clientInfo":{"name":"c","version":"1"}}"#;
        Opening::read(Some(params)).unwrap()
    }

    #[test]
    fn a_session_id_opens_anywhere_until_it_is_ended_or_over() {
        let seal = Arc::new(Seal::random().unwrap());
        let (here, there) = (
            Sessions::new(Arc::clone(&seal), "a", Arc::default()),
            Sessions::new(Arc::clone(&seal), "a", Arc::default()),
        );
        let elsewhere = Sessions::new(seal, "b", Arc::default());
        let (me, now) = (Identity::anonymous(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_000));
        let (id, claims) = here.open(&opening(), &me, &Limits::default(), ("", now)).unwrap();
        assert!(id.bytes().all(|b| b.is_ascii_graphic()));
        let found = there.find(&id, &me, now).unwrap();
        assert_eq!(
            (found.name, found.revision, found.client),
            (claims.name.clone(), claims.revision, claims.client.clone())
        );
        assert!(elsewhere.find(&id, &me, now).is_err());
        assert!(here.find(&id, &me, now + Limits::default().session_ttl).is_err());
        here.end(&claims, now);
        assert!(here.find(&id, &me, now).is_err());
    }

    #[test]
    fn an_id_in_flight_is_not_taken_twice_and_cancels() {
        let sessions = Sessions::new(Arc::new(Seal::random().unwrap()), "a", Arc::default());
        let now = SystemTime::UNIX_EPOCH;
        let (_, claims) =
            sessions.open(&opening(), &Identity::anonymous(), &Limits::default(), ("", now)).unwrap();
        let held = sessions.hold(&claims, now);
        let call = held.begin(&Id::text("x")).unwrap();
        assert!(held.begin(&Id::text("x")).is_none());
        held.cancel(&Id::parse("\"\\u0078\"").unwrap());
        assert!(call.cancel.is_cancelled());
        drop(call);
        assert!(held.begin(&Id::text("x")).is_some());
    }
}
