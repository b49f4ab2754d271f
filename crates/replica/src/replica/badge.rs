//! How replicas know each other: what one forwards carries a token that is sealed with the keys that all of them have, for
//! this one receiver, for this very request, for a short time, and once.
//!
//! That keeps strangers from being served. It hides nothing: between replicas there is to be a network of their own.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use auth::{Claims, Identity};
use base::digest::Digest;
use base::sync::lock;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use mcp::json::{self, Object};
use store::seal::{Bound, SealFault};
use tokio::time::Instant;

use super::Replica;

static BADGE: HeaderName = HeaderName::from_static("portolan-badge");
static LISTENER: HeaderName = HeaderName::from_static("portolan-listener");
/// How long one is good: as long as the clocks of the machines may differ, and a request be on its way.
const GOOD: Duration = Duration::from_secs(120);
/// The most that are remembered, so that none is used twice. More than that in two minutes is an attack.
const MOST: usize = 1_000_000;

/// Whom replicas trust: each other.
const EVERYBODY: &str = "";

fn purpose(receiver: &str) -> String {
    format!("replica:{receiver}")
}

/// What belongs to a connection, and not to the request that is forwarded over it.
fn is_of_the_connection(name: &HeaderName) -> bool {
    [CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE].contains(name)
        || ["keep-alive", "proxy-connection"].contains(&name.as_str())
}

/// Stands for a request.
fn digest((method, path): (&Method, &str), headers: &HeaderMap, body: &[u8]) -> Digest {
    let mut lines: Vec<_> = headers
        .iter()
        .filter(|(name, _)| !is_of_the_connection(name) && **name != BADGE)
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    lines.sort_unstable();
    let lines = lines.into_iter().flat_map(|(name, value)| [name.as_bytes(), value]);
    Digest::of([method.as_str().as_bytes(), path.as_bytes(), body].into_iter().chain(lines))
}

/// The headers of a request to another replica: those of the client's, and the badge.
///
/// # Errors
/// When nothing can be sealed.
pub fn show(
    replica: &Replica,
    (receiver, identity): (&str, &Identity),
    to: (&Method, &str),
    mut headers: HeaderMap,
    body: &[u8],
) -> Result<HeaderMap, SealFault> {
    // Credentials were looked at here, and are told as what they mean.
    let is_credential = |name: &HeaderName| *name == AUTHORIZATION || name == "dpop";
    let strange: Vec<_> =
        headers.keys().filter(|name| is_of_the_connection(name) || is_credential(name)).cloned().collect();
    for name in strange {
        headers.remove(name);
    }
    let until = identity.until.and_then(|until| until.duration_since(SystemTime::UNIX_EPOCH).ok());
    let payload = format!(
        r#"{{"from":{},"digest":"{}","principal":{}{}{}{}}}"#,
        json::quote(&replica.id()),
        digest(to, &headers, body),
        json::quote(identity.principal.id()),
        until.map(|until| format!(r#","until":{}"#, until.as_secs())).unwrap_or_default(),
        identity
            .claims
            .as_ref()
            .map(|claims| format!(r#","claims":{}"#, claims.to_json()))
            .unwrap_or_default(),
        identity.address.map(|address| format!(r#","address":"{address}""#)).unwrap_or_default(),
    );
    let bound = Bound { purpose: &purpose(receiver), principal: EVERYBODY };
    let token = replica.world.seal.seal(bound, replica.world.clock.now() + GOOD, payload.as_bytes())?;
    let value = HeaderValue::from_str(&token).map_err(|_not_ascii| SealFault::Malformed)?;
    headers.insert(BADGE.clone(), value);
    Ok(headers)
}

/// Names the listener that a request came in by.
///
/// # Errors
/// When its name cannot stand in a header.
pub fn name_listener(headers: &mut HeaderMap, listener: &str) -> Result<(), SealFault> {
    let value = HeaderValue::from_bytes(listener.as_bytes()).map_err(|_unusual| SealFault::Malformed)?;
    headers.insert(LISTENER.clone(), value);
    Ok(())
}

/// The listener that a request came in by; the header is taken off.
pub fn listener(headers: &mut HeaderMap) -> Option<String> {
    let name = headers.remove(&LISTENER)?;
    String::from_utf8(name.as_bytes().to_vec()).ok()
}

/// The badges that were shown lately.
#[derive(Debug)]
pub struct SeenBadges(Mutex<BadgeWindows>);

#[derive(Debug)]
struct BadgeWindows {
    now: HashSet<Digest>,
    before: HashSet<Digest>,
    since: Instant,
}

impl Default for SeenBadges {
    fn default() -> Self {
        Self(Mutex::new(BadgeWindows { now: HashSet::new(), before: HashSet::new(), since: Instant::now() }))
    }
}

impl SeenBadges {
    /// Whether a badge is shown for the first time.
    fn first(&self, token: &[u8]) -> bool {
        let mut lately = lock(&self.0);
        if lately.since.elapsed() > GOOD {
            lately.before = std::mem::take(&mut lately.now);
            lately.since = Instant::now();
        }
        let token = Digest::of([token]);
        lately.now.len() < MOST && !lately.before.contains(&token) && lately.now.insert(token)
    }

    /// The badge of a request, if it is one for this replica and was not shown before. It is taken off.
    pub fn take(&self, replica: &Replica, headers: &mut HeaderMap) -> Option<Badge> {
        let token = headers.remove(&BADGE)?;
        let bound = Bound { purpose: &purpose(&replica.id()), principal: EVERYBODY };
        let opened = replica.world.seal.open(bound, replica.world.clock.now(), token.to_str().ok()?);
        let payload = opened.inspect_err(|fault| tracing::debug!(%fault, "a badge is not valid")).ok()?;
        let object = Object::parse(std::str::from_utf8(&payload).ok()?).ok()?;
        let member = |name| object.string(name).ok().flatten().map(std::borrow::Cow::into_owned);
        let until = match object.get("until").ok()? {
            Some(raw) => Some(Duration::from_secs(u64::try_from(json::integer(raw)?).ok()?)),
            None => None,
        };
        let claims = match object.get("claims").ok()? {
            Some(raw) => Some(Claims::of_json(raw)?),
            None => None,
        };
        // Replicas of before there were principals name none: everybody was the same one.
        let identity = match member("principal") {
            Some(principal) => {
                let until = until.map(|until| SystemTime::UNIX_EPOCH + until);
                let address = member("address").and_then(|address| address.parse().ok());
                Identity { address, ..Identity::told_by_replica(&principal, until, claims) }
            }
            None => Identity::anonymous(),
        };
        let badge = Badge { from: member("from")?, digest: member("digest")?, identity };
        self.first(token.as_bytes()).then_some(badge)
    }
}

/// Says who sends a request, and stands for that very request.
#[derive(Debug)]
pub struct Badge {
    /// Which replica has sent it.
    pub from: String,
    digest: String,
    /// Whose request it is, as the sender has found out: credentials are looked at once.
    pub identity: Identity,
}

impl Badge {
    /// Whether it is the badge of this request.
    pub fn covers(&self, to: (&Method, &str), headers: &HeaderMap, body: &[u8]) -> bool {
        self.digest == digest(to, headers, body).to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base::clock::SystemClock;
    use base::metrics::Metrics;
    use base::sink::Sinks;
    use base::world::World;
    use store::seal::Seal;
    use store::{Place, Settings, Store};
    use tokio::sync::Semaphore;
    use tokio_util::task::TaskTracker;
    use transport::child::SystemSpawn;
    use transport::net::SystemNetwork;
    use transport::workers::Workers;

    use super::*;
    use crate::replica::ReplicaInfo;

    async fn replica(key: u8) -> (tempfile::TempDir, Arc<Replica>) {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::Sqlite(dir.path().join("store.db"));
        let metrics = Arc::new(Metrics::new());
        let world = World {
            network: Arc::new(SystemNetwork),
            spawn: Arc::new(SystemSpawn { guard: None }),
            clock: Arc::new(SystemClock),
            seal: Arc::new(Seal::from_secret(&[key; 32]).unwrap()),
            tap: None,
            identity: String::new(),
            sinks: Sinks::counting(&metrics),
            metrics,
            memory: transport::memory::Memory::default(),
            workers: Workers::default(),
            children: Arc::new(Semaphore::new(0)),
            starts: base::start_places::StartPlaces::of_this_machine(),
            store: Some(Arc::new(Store::open(&place, Settings::default()).await.unwrap())),
            tasks: TaskTracker::new(),
        };
        let said = ReplicaInfo { version: "0".to_owned(), facts: String::new() };
        (dir, Replica::new(&world, said).unwrap().unwrap())
    }

    fn claims() -> Claims {
        Claims {
            issuer: "https://id.example".to_owned(),
            scopes: vec!["a b\"".to_owned()],
            ..Claims::default()
        }
    }

    #[tokio::test]
    async fn a_badge_is_for_one_receiver_one_request_and_one_time() {
        let ((_a, from), (_b, to), (_c, stranger)) = (replica(1).await, replica(1).await, replica(2).await);
        let post = (&Method::POST, "/mcp");
        let until = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
        let whose = Identity::told_by_replica("https://id.example#\"a\"", Some(until), Some(claims()));
        let whose = Identity { address: Some("192.0.2.1".parse().unwrap()), ..whose };
        let mut sent = HeaderMap::new();
        sent.insert(HOST, HeaderValue::from_static("client.example"));
        sent.insert("mcp-session-id", HeaderValue::from_static("s"));
        sent.insert(AUTHORIZATION, HeaderValue::from_static("Bearer t"));
        sent.insert("dpop", HeaderValue::from_static("p"));
        let mut sent = show(&from, (&to.id(), &whose), post, sent, b"{}").unwrap();
        assert!(!sent.contains_key(HOST), "that is of the connection");
        assert!(!sent.contains_key(AUTHORIZATION) && !sent.contains_key("dpop"), "a token goes no further");

        let shown = SeenBadges::default();
        assert!(shown.take(&from, &mut sent.clone()).is_none(), "another receiver");
        assert!(shown.take(&stranger, &mut sent.clone()).is_none(), "other keys");
        let mut come = sent.clone();
        let badge = shown.take(&to, &mut come).unwrap();
        assert_eq!(badge.from, *from.id());
        assert_eq!(badge.identity, whose);
        assert!(badge.covers(post, &come, b"{}"));
        assert!(!badge.covers(post, &come, b"{ }") && !badge.covers((&Method::POST, "/other"), &come, b"{}"));
        assert!(!badge.covers((&Method::DELETE, "/mcp"), &come, b"{}"));
        come.insert("mcp-session-id", HeaderValue::from_static("t"));
        assert!(!badge.covers(post, &come, b"{}"), "another session");
        assert!(shown.take(&to, &mut sent).is_none(), "a second time");
        assert!(shown.take(&to, &mut HeaderMap::new()).is_none(), "none at all");
    }
}
