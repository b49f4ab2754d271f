//! The other replicas, as this one knows them: who is alive, where each is reached, and whether it answers.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use auth::Identity;
use base::sync::lock;
use base::world::World;
use http::{HeaderMap, Method, StatusCode};
use store::StoreFault;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use transport::http::client::{ClientSettings, Destination, HttpClient};
use transport::memory::Share;
use transport::net::Address;

use super::{LEASE, Replica, badge};

/// Where a replica says again and again that it is there.
pub const PULSE: &str = "/pulse";
/// How often it says so to whoever listens.
pub const PULSE_EVERY: Duration = Duration::from_millis(200);
/// One that has said nothing for so long is not waited for.
const SILENT: Duration = Duration::from_millis(900);
/// How long a connection to it may take to be made.
const CONNECT: Duration = Duration::from_millis(800);
/// One that refuses connections and has given no sign of life for so long is dead, lease or not. Where it had answered before, so
/// that its address is right, it is dead as soon as it refuses.
const REFUSING: Duration = Duration::from_millis(2500);

/// Another replica.
#[derive(Debug)]
pub struct Peer {
    /// What it is called.
    pub id: String,
    /// Where it is reached.
    at: Option<PeerAddress>,
    /// Whether it has been asked to drain.
    drains: bool,
    pulse: Arc<Pulse>,
}

#[derive(Debug, Clone)]
struct PeerAddress {
    address: Address,
    text: String,
}

/// Whether a peer answers: felt from when something is first asked of it.
#[derive(Debug, Default)]
struct Pulse {
    felt: Mutex<Option<Felt>>,
    /// Whether it was ever felt: then its address is right.
    was_felt: AtomicBool,
}

/// One time that it is felt.
#[derive(Debug, Clone, Default)]
pub struct Felt {
    /// Cancelled when it was felt for the first time.
    there: CancellationToken,
    /// Cancelled when the peer answers no more.
    pub gone: CancellationToken,
    /// Cancelled before that, if somebody else answers where it was.
    stranger: CancellationToken,
}

/// Why a peer's pulse is not felt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfelt {
    /// It does not answer.
    Silent,
    /// Somebody answers who is not this replica: perhaps the next process at the same address.
    Stranger,
}

/// All others.
#[derive(Debug)]
pub struct Peers {
    client: HttpClient,
    share: Share,
    known: ArcSwap<BTreeMap<String, Arc<Peer>>>,
    /// Cancelled when nobody is asked any more.
    end: CancellationToken,
    /// One reading of the list at a time.
    reading: tokio::sync::Mutex<Option<Instant>>,
}

/// What became of a peer that cannot be reached.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is dead.
    Dead,
    /// It is not where it was, and will be dead in a moment unless it gives a sign of life.
    Dying,
    /// It may be back.
    Unclear,
}

impl Peers {
    pub(super) fn new(world: &World) -> Self {
        let settings = ClientSettings { connect_timeout: CONNECT, ..ClientSettings::default() };
        let client = HttpClient::new(Arc::clone(&world.network), settings, None, &world.workers);
        let share = world.memory.share();
        let (end, reading) = (CancellationToken::new(), tokio::sync::Mutex::default());
        Self { client, share, known: ArcSwap::default(), end, reading }
    }

    /// A peer that was alive when the list was last read.
    pub fn get(&self, id: &str) -> Option<Arc<Peer>> {
        self.known.load().get(id).cloned()
    }

    /// How many were alive when the list was last read.
    pub fn count(&self) -> usize {
        self.known.load().len()
    }

    /// One that can take something over.
    pub fn any(&self) -> Option<Arc<Peer>> {
        self.known.load().values().find(|peer| !peer.drains && peer.at.is_some()).cloned()
    }

    /// Nothing is asked of them any more.
    pub(super) fn end(&self) {
        self.end.cancel();
    }

    /// What asks them.
    pub fn client(&self) -> &HttpClient {
        &self.client
    }

    /// What is held of what they answer counts there.
    pub fn share(&self) -> &Share {
        &self.share
    }

    /// Reads the list.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn refresh(&self, replica: &Replica) -> Result<(), StoreFault> {
        let mut read = self.reading.lock().await;
        self.read(replica).await?;
        *read = Some(Instant::now());
        Ok(())
    }

    /// Reads the list unless somebody has read it since `since`.
    pub(super) async fn refresh_since(&self, replica: &Replica, since: Instant) -> Result<(), StoreFault> {
        let mut read = self.reading.lock().await;
        if read.is_none_or(|read| read < since) {
            self.read(replica).await?;
            *read = Some(Instant::now());
        }
        Ok(())
    }

    async fn read(&self, replica: &Replica) -> Result<(), StoreFault> {
        let living = replica.store().living(LEASE).await?;
        let (before, me) = (self.known.load_full(), replica.id());
        let others = living.into_iter().filter(|other| other.said.id != *me);
        let known: BTreeMap<_, _> = others
            .map(|other| {
                let (id, text) = (other.said.id, other.said.forward);
                let old = before.get(&id);
                let at = text.and_then(|text| Some(PeerAddress { address: address(&text)?, text }));
                let pulse = old.map_or_else(Arc::default, |old| Arc::clone(&old.pulse));
                (id.clone(), Arc::new(Peer { id, at, drains: other.draining, pulse }))
            })
            .collect();
        for (id, gone) in before.iter().filter(|(id, _)| !known.contains_key(*id)) {
            tracing::info!(replica = id, "another replica is gone");
            gone.pulse.stops();
        }
        for id in known.keys().filter(|id| !before.contains_key(*id)) {
            tracing::info!(replica = id, "there is another replica");
        }
        self.known.store(Arc::new(known));
        Ok(())
    }

    /// What to think of a peer that is not where it was, or does not answer there. That nobody listens there, or somebody else,
    /// and that it has given no sign of life lately, is enough to take it for dead.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn suspect(
        &self,
        replica: &Replica,
        peer: &Peer,
        is_elsewhere: bool,
    ) -> Result<Fate, StoreFault> {
        let refuses = match &peer.at {
            Some(place) => is_elsewhere || refuses(replica, &place.address).await,
            // Nobody can ask it, so its signs of life must do.
            None => true,
        };
        let was_there = peer.at.is_some() && peer.pulse.was_felt.load(Ordering::Relaxed);
        let silent = if was_there { Duration::ZERO } else { REFUSING };
        if refuses && replica.store().bury(&peer.id, silent).await? {
            tracing::warn!(replica = peer.id, "is not where it was, and is taken for dead");
        }
        self.refresh(replica).await?;
        Ok(match self.get(&peer.id) {
            None => Fate::Dead,
            Some(_) if refuses => Fate::Dying,
            Some(_) => Fate::Unclear,
        })
    }
}

impl Peer {
    /// The URL of something of its, if it is reached anywhere.
    pub fn url(&self, path: &str) -> Option<Destination> {
        let at = &self.at.as_ref()?.text;
        Destination::new(format!("http://{at}{path}").parse().ok()?).ok()
    }

    /// Feels its pulse, if that is not done already.
    ///
    /// # Errors
    /// When it is not felt.
    pub async fn felt(self: &Arc<Self>, replica: &Arc<Replica>) -> Result<Felt, Unfelt> {
        let felt = self.feel(replica);
        tokio::select! {
            biased;
            () = felt.gone.cancelled() => {
                Err(if felt.stranger.is_cancelled() { Unfelt::Stranger } else { Unfelt::Silent })
            }
            () = felt.there.cancelled() => Ok(felt.clone()),
        }
    }

    fn feel(self: &Arc<Self>, replica: &Arc<Replica>) -> Felt {
        let mut state = lock(&self.pulse.felt);
        if let Some(felt) = state.as_ref().filter(|felt| !felt.gone.is_cancelled()) {
            return felt.clone();
        }
        let felt = Felt::default();
        *state = Some(felt.clone());
        let (this, replica, ends) = (Arc::clone(self), Arc::clone(replica), felt.clone());
        // It outlives whoever asks first.
        let tasks = replica.world.tasks.clone();
        tasks.spawn(async move {
            tokio::select! {
                why = this.listen(&replica, &ends) => match ends.there.is_cancelled() {
                    true => tracing::warn!(replica = this.id, "another replica does not answer: {why}"),
                    false => tracing::debug!(replica = this.id, "another replica does not answer yet: {why}"),
                },
                () = ends.gone.cancelled() => {}
                () = replica.peers.end.cancelled() => {}
            }
            ends.gone.cancel();
        });
        felt
    }

    /// Comes back with what is wrong.
    async fn listen(&self, replica: &Replica, felt: &Felt) -> String {
        let late = || format!("it said nothing within {SILENT:?}");
        let Some(to) = self.url(PULSE) else { return "it listens nowhere".to_owned() };
        // No client asks for it.
        let whom = (&*self.id, &Identity::anonymous());
        let headers = match badge::show(replica, whom, (&Method::GET, PULSE), HeaderMap::new(), &[]) {
            Ok(headers) => headers,
            Err(fault) => return fault.to_string(),
        };
        let sent = replica.peers.client.send(Method::GET, &to, headers, bytes::Bytes::new());
        let mut reply = match timeout(SILENT, sent).await {
            Ok(Ok(reply)) if reply.status().is_success() => reply,
            Ok(Ok(reply)) => {
                if reply.status() == StatusCode::MISDIRECTED_REQUEST {
                    felt.stranger.cancel();
                }
                return format!("HTTP {}", reply.status().as_u16());
            }
            Ok(Err(fault)) => return fault.to_string(),
            Err(_elapsed) => return late(),
        };
        loop {
            match timeout(SILENT, reply.chunk()).await {
                Ok(Ok(Some(_))) => {
                    felt.there.cancel();
                    self.pulse.was_felt.store(true, Ordering::Relaxed);
                }
                Ok(Ok(None)) => return "it has ended".to_owned(),
                Ok(Err(fault)) => return fault.to_string(),
                Err(_elapsed) => return late(),
            }
        }
    }
}

impl Pulse {
    fn stops(&self) {
        if let Some(felt) = lock(&self.felt).as_ref() {
            felt.gone.cancel();
        }
    }
}

fn address(text: &str) -> Option<Address> {
    let (host, port) = text.rsplit_once(':')?;
    Some(Address::Tcp(host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?))
}

/// Whether nobody listens at an address.
async fn refuses(replica: &Replica, address: &Address) -> bool {
    let connected = timeout(CONNECT, replica.world.network.connect(address)).await;
    matches!(connected, Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused)
}
