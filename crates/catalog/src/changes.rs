//! What servers tell of changes, on its way to clients: heard at each server, put into a route's public names, and told to whoever
//! has subscribed to it.

use std::sync::Arc;

use base::bulkhead::Bulkhead;
use base::metrics::Metrics;
use identity::Views;
use tokio_util::sync::CancellationToken;

use crate::catalog::Catalog;
use crate::catalog::reading::ListChanges;
use crate::changes::feed::ChangeFeed;
use crate::changes::watch::Watch;
use base::names::Names;

pub mod feed;
pub mod subscription;
pub mod watch;

/// The changes of one route: what its servers tell of, for all who subscribe here.
#[derive(Debug)]
pub struct Changes {
    names: Arc<Names>,
    views: Views,
    /// In the order of the catalog's members.
    watches: Vec<Arc<Watch>>,
    /// What the servers are called, in the same order.
    servers: Arc<[Arc<str>]>,
    /// What they tell of.
    feed: Arc<ChangeFeed>,
    /// The places for streams of all clients.
    streams: Arc<Bulkhead>,
    metrics: Arc<Metrics>,
    /// Cancelled when a new plan has another route in this one's place.
    pub replaced: CancellationToken,
}

impl Changes {
    /// `watches` stand in the order of the catalog's members.
    pub fn new(
        catalog: &Catalog,
        watches: Vec<Arc<Watch>>,
        streams: Arc<Bulkhead>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let feed = ChangeFeed::new(Arc::clone(&catalog.names));
        for ((place, member), watch) in catalog.members.iter().enumerate().zip(&watches) {
            watch.guard(&member.server_lists);
            watch.feed(place, &feed);
            let changes: Arc<dyn ListChanges> = Arc::clone(&feed) as _;
            member.reader.tell(place, Arc::downgrade(&changes));
            watch.tells_of_absence(&member.reader);
        }
        let (names, replaced) = (Arc::clone(&catalog.names), CancellationToken::new());
        let servers = catalog.members.iter().map(|member| Arc::clone(member.upstream.label())).collect();
        let views = catalog.views.clone();
        Self { names, views, watches, servers, feed, streams, metrics, replaced }
    }

    /// Who listens to the server in this place of the route.
    pub fn watch(&self, server: usize) -> Option<&Arc<Watch>> {
        self.watches.get(server)
    }
}
