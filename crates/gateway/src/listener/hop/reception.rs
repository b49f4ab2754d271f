//! Where other replicas come in: with what their clients ask about something that is held here.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::unfold;
use http::{Method, Response};
use replica::peers::{PULSE, PULSE_EVERY};
use replica::{Replica, badge};
use tokio::time::{MissedTickBehavior, interval};
use transport::http::body::ReplyBody;
use transport::http::server::{Exchange, Service};

use super::{Hop, forward};
use crate::listener::Listener;
use crate::listener::heads::text;

/// How long a request that another replica has read as a whole may take to come.
const WITHIN: Duration = Duration::from_secs(30);
/// Clients' bodies were bounded where they came in; this only bounds what a stranger can make us read.
const LARGEST: usize = 1 << 30;

/// Answers other replicas.
#[derive(Debug)]
pub(crate) struct Reception {
    replica: Arc<Replica>,
    /// What answers here, whichever listener the client came in by.
    inner: Listener,
    shown: badge::SeenBadges,
}

impl Reception {
    pub(crate) fn new(replica: Arc<Replica>, inner: Listener) -> Self {
        Self { replica, inner, shown: badge::SeenBadges::default() }
    }
}

impl Service for Reception {
    async fn answer(&self, exchange: &mut Exchange) -> Response<ReplyBody> {
        // Nothing of a stranger's is read.
        let Some(badge) = self.shown.take(&self.replica, &mut exchange.headers) else {
            return forward::misdirected(None);
        };
        let body = match exchange.read_body(LARGEST, WITHIN, &self.inner.memory).await {
            Ok(body) => body,
            Err(fault) => return text(fault.status(), &format!("{fault}\n")),
        };
        let path = exchange.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        if !badge.covers((&exchange.method, &path), &exchange.headers, &body) {
            return forward::misdirected(None);
        }
        if path == PULSE && exchange.method == Method::GET {
            return pulse();
        }
        let Some(listener) = badge::listener(&mut exchange.headers) else {
            return forward::misdirected(None);
        };
        exchange.put_body(body);
        self.inner
            .take(exchange, Hop::Forwarded { listener, from: badge.from, identity: badge.identity })
            .await
    }
}

/// Says again and again that this replica is there.
fn pulse() -> Response<ReplyBody> {
    let mut ticks = interval(PULSE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let beats = unfold(ticks, |mut ticks| async move {
        ticks.tick().await;
        Some((Bytes::from_static(b"."), ticks))
    });
    Response::new(ReplyBody::Stream(Box::pin(beats)))
}
