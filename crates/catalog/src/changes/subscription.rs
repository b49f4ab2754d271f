//! One client's subscription: the changes of all servers of a route that it wants to hear of, under public names.

use std::collections::BTreeSet;
use std::sync::Arc;

use auth::{Claims, Principal, View};
use base::bulkhead::Slot;
use base::error::CallError;
use base::metrics::StreamCount;
use bytes::Bytes;
use mcp::answer::{self, notification_message};
use mcp::json::{self, Patch};
use mcp::jsonrpc::{Id, Message};
use mcp::listen::Filter;
use mcp::meta::SUBSCRIPTION_ID;
use mcp::method::Kind;
use mcp::notify::{Notice, Seen};
use mcp::version::Era;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;

use crate::catalog::sight::Sight;
use crate::changes::Changes;
use crate::changes::feed::RouteChange;
use crate::changes::watch::Interest;
use base::names::{Names, Owner};

/// Who subscribes.
type Whose<'a> = (&'a Principal, Option<&'a Arc<Claims>>);

/// A subscription that is open as long as it lives.
pub struct Subscription {
    names: Arc<Names>,
    terms: Honoured,
    news: broadcast::Receiver<Arc<RouteChange>>,
    /// Told before anything else.
    waiting: Vec<Bytes>,
    stream: Option<Id>,
    /// The era of the client.
    era: Era,
    /// What it may see.
    view: View,
    /// The servers of the route.
    servers: Arc<[Arc<str>]>,
    /// Cancelled when the route is replaced by another one of a new plan.
    replaced: CancellationToken,
    is_over: bool,
    _seat: Option<StreamSlot>,
}

/// One stream to a client, counted and bounded, until dropped.
#[derive(Debug)]
pub struct StreamSlot {
    _place: Slot,
    _count: StreamCount,
}

impl StreamSlot {
    /// Takes one, if there are not too many streams.
    pub async fn take(changes: &Changes) -> Result<Self, CallError> {
        Ok(Self { _place: changes.streams.take().await?, _count: changes.metrics.stream() })
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("honoured", &self.terms.honoured).finish_non_exhaustive()
    }
}

/// What of a wish the servers honour.
struct Honoured {
    /// In public names.
    honoured: Filter,
    /// Of each server, in its own names.
    own: Vec<Filter>,
    _interests: Vec<Interest>,
}

impl Honoured {
    /// What the view does not show is not asked for, and not honoured.
    async fn settle(changes: &Changes, wanted: &Filter, era: Era, view: &View) -> Self {
        let names = &changes.names;
        let mut uris: Vec<Vec<String>> = vec![Vec::new(); changes.watches.len()];
        for uri in &wanted.uris {
            let (owner, own) = names.uri_owner(uri);
            if let Owner::Server(server, _) = owner
                && let Some((list, watch)) = uris.get_mut(server).zip(changes.watches.get(server))
                && watch.sight(view).watches(&own)
            {
                list.push(own);
            }
        }
        let asked = changes.watches.iter().zip(uris);
        let asked = asked.map(|(watch, uris)| watch.of(era).want(uris, watch.patience()));
        let answers = futures_util::future::join_all(asked).await;
        let mut honoured = Filter::default();
        let (mut own, mut interests) = (Vec::new(), Vec::new());
        for ((server, watch), (interest, theirs)) in changes.watches.iter().enumerate().zip(answers) {
            let mine: BTreeSet<String> = interest.uris().iter().cloned().collect();
            // A server that is away is watched from when it is back, and its lists count as changed then.
            let uris = match theirs {
                Some(theirs) => mine.intersection(&theirs.uris).cloned().collect(),
                None => mine,
            };
            // Of lists we tell whatever the server does: it comes and goes.
            let sight = watch.sight(view);
            let filter = Filter {
                tools: wanted.tools && sight.lists(Kind::Tool),
                prompts: wanted.prompts && sight.lists(Kind::Prompt),
                resources: wanted.resources && sight.lists(Kind::Resource),
                uris,
            };
            let public = filter.uris.iter().filter_map(|uri| names.public_uri(server, uri));
            let public = Filter { uris: public.map(|uri| uri.into_owned()).collect(), ..filter.clone() };
            honoured = honoured.or(&public);
            own.push(filter);
            interests.push(interest);
        }
        Self { honoured, own, _interests: interests }
    }
}

impl Subscription {
    /// Opens a subscription on all servers of a route, and finds out what of it they honour.
    pub async fn open(
        changes: &Changes,
        wanted: Filter,
        (whose, era): (Whose<'_>, Era),
    ) -> Result<Self, CallError> {
        let seat = StreamSlot::take(changes).await?;
        Ok(Self { _seat: Some(seat), ..Self::aside(changes, wanted, (whose, era)).await })
    }

    /// Opens a subscription for a stream that is counted elsewhere.
    pub async fn aside(changes: &Changes, wanted: Filter, (whose, era): (Whose<'_>, Era)) -> Self {
        // Listening begins before the answer of what is honoured, so that nothing falls between.
        let (news, view) = (changes.feed.subscribe(), changes.views.of(whose));
        Self {
            names: Arc::clone(&changes.names),
            terms: Honoured::settle(changes, &wanted, era, &view).await,
            news,
            waiting: Vec::new(),
            stream: None,
            era,
            view,
            servers: Arc::clone(&changes.servers),
            replaced: changes.replaced.clone(),
            is_over: false,
            _seat: None,
        }
    }

    /// Wants something else from now on. What has come meanwhile waits, so nothing is missed and nothing told twice.
    /// It is for the view of whoever wants it now.
    pub async fn change(&mut self, changes: &Changes, wanted: Filter, whose: Whose<'_>) {
        self.view = changes.views.of(whose);
        self.terms = Honoured::settle(changes, &wanted, self.era, &self.view).await;
    }

    /// For a modern `subscriptions/listen`: each notification names the stream, and the first is the acknowledgement.
    pub fn for_stream(mut self, stream: Id) -> Self {
        let params = self.terms.honoured.acknowledgement(&stream);
        self.waiting.push(notification_message("notifications/subscriptions/acknowledged", Some(&params)));
        self.stream = Some(stream);
        self
    }

    /// The result that ends the stream in good order.
    pub fn end(&self) -> Option<Bytes> {
        let stream = self.stream.as_ref()?;
        let result =
            format!(r#"{{"resultType":"complete","_meta":{{"{SUBSCRIPTION_ID}":{}}}}}"#, stream.raw());
        Some(answer::result_message(stream, &result))
    }

    /// Waits for the next notification; none when nothing can come any more. Cancel safe.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(first) = self.waiting.pop() {
                return Some(first);
            }
            if self.is_over {
                return None;
            }
            let next = tokio::select! {
                next = self.news.recv() => next,
                () = self.replaced.cancelled() => Err(RecvError::Closed),
            };
            match next {
                Ok(news) => {
                    if let Some(told) = self.tell(&news) {
                        return Some(told);
                    }
                }
                // So much came that something was lost: everything counts as changed.
                Err(RecvError::Lagged(_)) => self.tell_everything(),
                // Other servers, other names: the client lists again, and listens again to what is here now.
                Err(RecvError::Closed) => {
                    (0..self.terms.own.len()).for_each(|server| self.tell_lists(server));
                    self.is_over = true;
                }
            }
        }
    }

    fn tell(&self, news: &RouteChange) -> Option<Bytes> {
        let wants = |place: usize| {
            self.terms.own.get(place).is_some_and(|filter| match news.notice() {
                Notice::ListChanged(kind) => filter.wants(*kind),
                Notice::ResourceUpdated { uri, .. } => filter.covers(uri) && self.shows(place, uri),
                _ => false,
            })
        };
        let is_wanted = || news.places().any(wants);
        if news.concerns(self.era) && is_wanted() { news.text(self.stream.as_ref()) } else { None }
    }

    /// Whether the client may see a resource: one that it may not see may lie below one that it wants to hear of.
    fn shows(&self, place: usize, uri: &str) -> bool {
        self.servers.get(place).is_some_and(|server| Sight::of(server, &self.view).has(Kind::Resource, uri))
    }

    /// What a server said of a resource in its client's own session, for that client; nothing if that comes as what it
    /// subscribed to.
    pub fn unasked(&self, place: usize, message: &Message, seen: &Seen) -> Option<Bytes> {
        let Notice::ResourceUpdated { uri, uri_at } = &seen.notice else { return None };
        if self.terms.own.get(place)?.covers(uri) || !self.shows(place, uri) {
            return None;
        }
        let public = self.names.public_uri(place, uri)?;
        let mut patch = Patch::new();
        if public != **uri {
            patch.replace(*uri_at, json::quote(&public).as_bytes());
        }
        Some(patch.apply(message.bytes()))
    }

    /// Says that everything may have changed that the client wants to hear of.
    pub fn tell_everything(&mut self) {
        (0..self.terms.own.len()).for_each(|server| self.tell_all(server));
    }

    fn tell_all(&mut self, server: usize) {
        self.tell_lists(server);
        let Some(filter) = self.terms.own.get(server) else { return };
        for uri in &filter.uris {
            if let Some(public) = self.names.public_uri(server, uri) {
                let meta = self
                    .stream
                    .as_ref()
                    .map(|id| format!(r#","_meta":{{"{SUBSCRIPTION_ID}":{}}}"#, id.raw()));
                let params = format!(r#"{{"uri":{}{}}}"#, json::quote(&public), meta.unwrap_or_default());
                self.waiting.push(notification_message("notifications/resources/updated", Some(&params)));
            }
        }
    }

    /// Says that a server's lists changed, as far as the client wants to hear of them.
    fn tell_lists(&mut self, server: usize) {
        let Some(filter) = self.terms.own.get(server) else { return };
        for (on, method) in [
            (filter.tools, "notifications/tools/list_changed"),
            (filter.prompts, "notifications/prompts/list_changed"),
            (filter.resources, "notifications/resources/list_changed"),
        ] {
            let params =
                self.stream.as_ref().map(|id| format!(r#"{{"_meta":{{"{SUBSCRIPTION_ID}":{}}}}}"#, id.raw()));
            let told = notification_message(method, params.as_deref());
            if on && !self.waiting.contains(&told) {
                self.waiting.push(told);
            }
        }
    }
}
