//! An endpoint, its issuer, and time in the test's hand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use auth::{Connection, Credentials, Identified, Identify as _, Identity, Peer, Refusal};
use base::clock::Clock;
use base::metrics::Metrics;
use base::plan::identity::{IssuerPlan, ResourcePlan};
use base::sink::Sinks;
use base::start_places::StartPlaces;
use base::world::World;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use identity::{Identifier, Identities};
use store::Store;
use store::seal::Seal;
use testkit::clock::WallClock;
use testkit::net::MemoryNetwork;
use testkit::spawn::MemorySpawn;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use transport::memory::Memory;
use transport::net::{Address, BoxIo, Network as _};
use transport::tls::Presented;
use transport::workers::Workers;

use crate::signer::{Signer, signed};

pub(crate) const ISSUER: &str = "http://127.0.0.1:9000/realms/a";
pub(crate) const RESOURCE: &str = "https://gw.example/team/mcp";

/// An issuer's HTTP server: what it answers at which path, and what it was asked.
#[derive(Clone, Default)]
pub(crate) struct Idp(Arc<Mutex<Says>>);

#[derive(Default)]
struct Says {
    pages: BTreeMap<String, (u16, String)>,
    asked: Vec<String>,
    hangs: bool,
}

impl Idp {
    pub(crate) fn says(&self, path: &str, status: u16, body: &str) {
        self.0.lock().unwrap().pages.insert(path.to_owned(), (status, body.to_owned()));
    }

    /// From now on it answers nothing, or does again.
    pub(crate) fn hangs(&self, hangs: bool) {
        self.0.lock().unwrap().hangs = hangs;
    }

    /// Whole requests, as they came.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.0.lock().unwrap().asked.clone()
    }

    /// How often it was asked for something at that path.
    pub(crate) fn times(&self, path: &str) -> usize {
        self.asked().iter().filter(|asked| asked.split(' ').nth(1) == Some(path)).count()
    }

    async fn serve(self, mut io: BoxIo) {
        let mut text = Vec::new();
        let whole = |text: &[u8]| {
            let text = String::from_utf8_lossy(text).into_owned();
            let (head, body) = text.split_once("\r\n\r\n")?;
            let length = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            (body.len() >= length.unwrap_or(0)).then_some(text)
        };
        let request = loop {
            if let Some(request) = whole(&text) {
                break request;
            }
            if io.read_buf(&mut text).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let path = request.split(' ').nth(1).unwrap().to_owned();
        let (hangs, page) = {
            let mut says = self.0.lock().unwrap();
            says.asked.push(request);
            (says.hangs, says.pages.get(&path).cloned())
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        let (status, body) = page.unwrap_or((404, String::new()));
        // A minute ahead of the test's clock, which stands at 2026-07-28, midnight.
        let date = "date: Tue, 28 Jul 2026 00:01:00 GMT\r\n";
        let more = if status == 302 { "location: http://127.0.0.1:9000/keys\r\n" } else { date };
        let reply = format!(
            "HTTP/1.1 {status} X\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        drop(io.write_all(reply.as_bytes()).await);
    }
}

#[derive(Debug)]
struct Wall(WallClock);

impl Clock for Wall {
    fn now(&self) -> SystemTime {
        self.0.now()
    }
}

/// All that an endpoint stands on.
pub(crate) struct Stand {
    pub(crate) idp: Idp,
    pub(crate) clock: WallClock,
    pub(crate) world: World,
    pub(crate) identities: Identities,
    /// Its keys `k1` and `k2`.
    pub(crate) ec: Signer,
    pub(crate) rsa: Signer,
}

/// A request as it comes.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) method: Method,
    pub(crate) target: String,
    /// The certificates of its connection.
    pub(crate) presented: Option<Presented>,
    /// The IP address that it comes from, or `unix`; empty where nobody knows.
    pub(crate) peer: &'static str,
}

impl Request {
    pub(crate) fn bearer(token: &str) -> Self {
        Self::with(vec![("authorization", format!("Bearer {token}"))])
    }

    pub(crate) fn dpop(token: &str, proof: &str) -> Self {
        Self::with(vec![("authorization", format!("DPoP {token}")), ("dpop", proof.to_owned())])
    }

    pub(crate) fn with(headers: Vec<(&'static str, String)>) -> Self {
        Self { headers, method: Method::POST, target: "/mcp".to_owned(), presented: None, peer: "" }
    }

    pub(crate) async fn at(&self, identifier: &Identifier) -> Result<Identity, Refusal> {
        let headers = self.map();
        let credentials = self.credentials(&headers);
        testkit::soon("an answer", identifier.identify(credentials).outcome()).await
    }

    /// Whether it is answered without waiting for anything.
    pub(crate) fn at_once(&self, identifier: &Identifier) -> Option<Result<Identity, Refusal>> {
        let headers = self.map();
        let credentials = self.credentials(&headers);
        match identifier.identify(credentials) {
            Identified::Now(outcome) => Some(outcome),
            Identified::Later(_) => None,
        }
    }

    fn credentials<'a>(&'a self, headers: &'a HeaderMap) -> Credentials<'a> {
        let connection = self.presented.as_ref().map_or_else(Connection::default, |presented| Connection {
            chain: &presented.chain,
            thumbprint: Some(&presented.thumbprint),
            ..Connection::default()
        });
        let peer = match self.peer {
            "" => Peer::Unknown,
            "unix" => Peer::Unix,
            host => Peer::Host(host),
        };
        let connection = Connection { peer, ..connection };
        Credentials { headers, method: &self.method, target: &self.target, connection }
    }

    fn map(&self) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        map
    }
}

impl Stand {
    pub(crate) async fn new() -> Self {
        Self::on(None).await
    }

    /// One replica on a store.
    pub(crate) async fn on(store: Option<Arc<Store>>) -> Self {
        let (network, clock) = (MemoryNetwork::default(), WallClock::default());
        let metrics = Arc::new(Metrics::new());
        let tasks = TaskTracker::new();
        let world = World {
            network: Arc::new(network.clone()),
            spawn: Arc::new(MemorySpawn::default()),
            clock: Arc::new(Wall(clock.clone())),
            seal: Arc::new(Seal::from_secret(&[7; 32]).unwrap()),
            tap: None,
            identity: r#"{"name":"portolan","version":"0"}"#.to_owned(),
            sinks: Sinks::counting(&metrics),
            metrics,
            memory: Memory::default(),
            workers: Workers::default(),
            children: Arc::new(Semaphore::new(0)),
            starts: StartPlaces::new(0),
            store,
            tasks: tasks.clone(),
        };
        let idp = Idp::default();
        let mut listener = network.bind(&Address::Tcp("127.0.0.1".to_owned(), 9000)).await.unwrap();
        let server = idp.clone();
        tokio::spawn(async move {
            while let Ok((accepted, _)) = listener.accept().await {
                tokio::spawn(server.clone().serve(accepted.open().unwrap()));
            }
        });
        let stand = Self {
            identities: Identities::new(world.clone()),
            idp,
            clock,
            world,
            ec: Signer::es256(),
            rsa: Signer::rsa(),
        };
        let metadata = format!(r#"{{"issuer":"{ISSUER}","jwks_uri":"http://127.0.0.1:9000/keys"}}"#);
        stand.idp.says("/realms/a/.well-known/openid-configuration", 200, &metadata);
        stand.publish(&[&stand.ec.jwk(r#","kid":"k1""#), &stand.rsa.jwk(r#","kid":"k2","use":"sig""#)]);
        stand
    }

    /// Makes the issuer publish these keys.
    pub(crate) fn publish(&self, keys: &[&str]) {
        self.idp.says("/keys", 200, &format!(r#"{{"keys":[{}]}}"#, keys.join(",")));
    }

    pub(crate) fn issuer() -> IssuerPlan {
        IssuerPlan { allow_http: true, ..IssuerPlan::new("a", ISSUER) }
    }

    pub(crate) fn resource() -> ResourcePlan {
        ResourcePlan::new("main", RESOURCE, "/mcp", &["a"])
    }

    pub(crate) fn identifier(&self, issuer: IssuerPlan, resource: ResourcePlan) -> Arc<Identifier> {
        self.identities.carry_out(&[issuer], &[resource]).remove(0)
    }

    /// The endpoint as most tests want it.
    pub(crate) fn usual(&self) -> Arc<Identifier> {
        self.identifier(Self::issuer(), Self::resource())
    }

    pub(crate) fn now(&self) -> u64 {
        self.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
    }

    /// The claims of a good token, with some more or in place of others; `""` leaves one out.
    pub(crate) fn claims(&self, changes: &[(&str, &str)]) -> String {
        let now = self.now();
        let mut claims: Vec<(&str, String)> = vec![
            ("iss", format!("\"{ISSUER}\"")),
            ("aud", format!("\"{RESOURCE}\"")),
            ("sub", "\"alice\"".to_owned()),
            ("client_id", "\"editor\"".to_owned()),
            ("exp", (now + 600).to_string()),
            ("iat", now.to_string()),
            ("scope", "\"read write read\"".to_owned()),
            ("jti", "\"t1\"".to_owned()),
        ];
        for (name, value) in changes {
            claims.retain(|(other, _)| other != name);
            if !value.is_empty() {
                claims.push((name, (*value).to_owned()));
            }
        }
        let members: Vec<String> = claims.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    }

    /// A token by `k1`.
    pub(crate) fn token(&self, changes: &[(&str, &str)]) -> String {
        self.with_header(r#"{"alg":"ES256","typ":"at+jwt","kid":"k1"}"#, changes)
    }

    /// A token by `k1` with another header.
    pub(crate) fn with_header(&self, header: &str, changes: &[(&str, &str)]) -> String {
        signed(header, &self.claims(changes), |text| self.ec.sign(text))
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}
