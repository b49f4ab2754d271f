//! What the servers of a route tell of, for all who subscribe there: put into public names once, however many hear it.
//! Of each stream only its id is its own. That a list changed is told at most once in a while, here and so for all.

use std::sync::{Arc, Mutex, OnceLock};

use base::owned_task::OwnedTask;
use base::sync::lock;
use bytes::{Bytes, BytesMut};
use mcp::answer::notification_message;
use mcp::json::{self, Patch};
use mcp::jsonrpc::{Id, Message};
use mcp::listen;
use mcp::method::Kind;
use mcp::notify::{self, Notice, Seen};
use mcp::version::Era;
use tokio::sync::broadcast;
use tokio::time::{Duration, Instant, sleep_until};

use crate::catalog::reading::ListChanges;
use base::names::Names;

/// How many changes wait for a client that reads slowly; past them it hears that everything has changed.
const WAITING: usize = 1024;
/// Stands where a stream's id goes. No JSON text holds this byte.
const HERE: &[u8] = b"\0";
/// For so long after it was told that a list of a kind has changed, it is not told again.
const QUIET: Duration = Duration::from_millis(250);

/// A change that a server told of, as it told it.
pub type Change = Arc<(Message, Seen)>;

/// Tells all who subscribe to a route.
#[derive(Debug)]
pub struct ChangeFeed {
    names: Arc<Names>,
    news: broadcast::Sender<Arc<RouteChange>>,
    /// Of tools, prompts and resources.
    lists: Mutex<[Lately; 3]>,
}

/// What was told lately of one kind of list.
#[derive(Debug, Default)]
struct Lately {
    told: Option<Instant>,
    /// The last change since, of which the end of the quiet will tell.
    waits: Option<Waits>,
}

/// Changes of one list that are told together.
#[derive(Debug)]
struct Waits {
    /// The places of the servers whose list it is. Not everybody may hear of each.
    places: Vec<usize>,
    heard_by: Option<Era>,
    /// The last of them.
    change: Change,
    /// Tells of them when it is time.
    _telling: OwnedTask,
}

impl ChangeFeed {
    pub fn new(names: Arc<Names>) -> Arc<Self> {
        Arc::new(Self { names, news: broadcast::Sender::new(WAITING), lists: Mutex::default() })
    }

    /// What is told from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<RouteChange>> {
        self.news.subscribe()
    }

    /// Tells of a change at the server in this place of the route.
    ///
    /// `heard_by` is the era of the clients that it concerns; it concerns all, where the server is not spoken to in both.
    pub fn tell(self: &Arc<Self>, place: usize, heard_by: Option<Era>, change: &Change) {
        if self.news.receiver_count() == 0 {
            return;
        }
        match change.1.notice {
            Notice::ListChanged(kind) => self.tell_of_list(kind, (place, heard_by), change),
            _ => self.send(vec![place], heard_by, change),
        }
    }

    /// The first change is told at once; those that come soon after it together, when it has been quiet long enough.
    fn tell_of_list(self: &Arc<Self>, kind: Kind, (place, heard_by): (usize, Option<Era>), change: &Change) {
        let now = Instant::now();
        let mut lists = lock(&self.lists);
        let lately = of_kind(&mut lists, kind);
        let until = lately.told.map(|told| told + QUIET).filter(|until| *until > now);
        let Some(until) = until else {
            lately.told = Some(now);
            drop(lists);
            return self.send(vec![place], heard_by, change);
        };
        if let Some(waits) = &mut lately.waits {
            // Two together concern the clients of both.
            waits.heard_by = heard_by.filter(|_| waits.heard_by == heard_by);
            waits.change = Arc::clone(change);
            if !waits.places.contains(&place) {
                waits.places.push(place);
            }
            // Who sees one of several servers hears nothing that another one has said.
            if let (true, Some(plain)) = (waits.places.len() > 1, list_changed(kind)) {
                waits.change = plain;
            }
            return;
        }
        let feed = Arc::downgrade(self);
        let telling = OwnedTask::try_spawn(async move {
            sleep_until(until).await;
            let Some(feed) = feed.upgrade() else { return };
            let waited = {
                let mut lists = lock(&feed.lists);
                let lately = of_kind(&mut lists, kind);
                lately.told = Some(Instant::now());
                lately.waits.take()
            };
            if let Some(Waits { places, heard_by, change, .. }) = waited {
                feed.send(places, heard_by, &change);
            }
        });
        let Some(telling) = telling else {
            // Nobody could wait.
            lately.told = Some(now);
            drop(lists);
            return self.send(vec![place], heard_by, change);
        };
        lately.waits =
            Some(Waits { places: vec![place], heard_by, change: Arc::clone(change), _telling: telling });
    }

    fn send(&self, places: Vec<usize>, heard_by: Option<Era>, change: &Change) {
        let (named, plain) = (OnceLock::new(), OnceLock::new());
        let (names, change) = (Arc::clone(&self.names), Arc::clone(change));
        // Nobody may want to know.
        drop(self.news.send(Arc::new(RouteChange { places, heard_by, change, names, named, plain })));
    }
}

impl ListChanges for ChangeFeed {
    fn list_changed(self: Arc<Self>, place: usize, kind: Kind) {
        if let Some(change) = list_changed(kind) {
            self.tell(place, None, &change);
        }
    }
}

fn of_kind(lists: &mut [Lately; 3], kind: Kind) -> &mut Lately {
    let [tools, prompts, resources] = lists;
    match kind {
        Kind::Prompt => prompts,
        Kind::Resource | Kind::Template => resources,
        Kind::Server | Kind::Task | Kind::Tool => tools,
    }
}

/// That a list has changed, as its server would say it.
pub fn list_changed(kind: Kind) -> Option<Change> {
    let kind = if kind == Kind::Template { Kind::Resource } else { kind };
    let message = Message::parse(notification_message(notify::list_changed_method(kind)?, None)).ok()?;
    Some(Arc::new((message, Seen { notice: Notice::ListChanged(kind), subscription: None })))
}

/// A change as a route's clients hear of it.
#[derive(Debug)]
pub struct RouteChange {
    /// The server's place in the route; of a list, the places of all whose change it tells of.
    places: Vec<usize>,
    heard_by: Option<Era>,
    change: Change,
    names: Arc<Names>,
    /// For streams: what stands before and after their id. For all others.
    named: OnceLock<Option<(Bytes, Bytes)>>,
    plain: OnceLock<Option<Bytes>>,
}

impl RouteChange {
    /// The places in the route of the servers that it is of.
    pub fn places(&self) -> impl Iterator<Item = usize> {
        self.places.iter().copied()
    }

    /// Whether it concerns clients of an era.
    pub fn concerns(&self, client: Era) -> bool {
        self.heard_by.is_none_or(|era| era == client)
    }

    /// What changed, in the server's own names.
    pub fn notice(&self) -> &Notice {
        &self.change.1.notice
    }

    /// The notification for a stream, or for a client that has no such streams; none if it has no public name.
    pub fn text(&self, stream: Option<&Id>) -> Option<Bytes> {
        let Some(stream) = stream else {
            return self.plain.get_or_init(|| self.write(None)).clone();
        };
        let (before, after) = self.named.get_or_init(|| self.halves()).as_ref()?;
        let mut text = BytesMut::with_capacity(before.len() + stream.raw().len() + after.len());
        text.extend_from_slice(before);
        text.extend_from_slice(stream.raw().as_bytes());
        text.extend_from_slice(after);
        Some(text.freeze())
    }

    fn halves(&self) -> Option<(Bytes, Bytes)> {
        let text = self.write(Some(HERE))?;
        let at = text.iter().position(|byte| HERE.contains(byte))?;
        Some((text.slice(..at), text.slice(at + HERE.len()..)))
    }

    fn write(&self, stream: Option<&[u8]>) -> Option<Bytes> {
        let (message, seen) = &*self.change;
        let mut patch = Patch::new();
        if let Notice::ResourceUpdated { uri, uri_at } = &seen.notice {
            let public = self.names.public_uri(*self.places.first()?, uri)?;
            if public != **uri {
                patch.replace(*uri_at, json::quote(&public).as_bytes());
            }
        }
        listen::mark(message, seen.subscription.as_ref().map(|(_, at)| *at), stream, &mut patch)?;
        Some(patch.apply(message.bytes()))
    }
}
