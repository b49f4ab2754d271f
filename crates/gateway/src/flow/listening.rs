//! A subscription stream that its listener reads itself: of the call that opened it nothing is kept, and it needs
//! neither a task nor a queue, for what waits for a slow client waits where it waits for all of them.

use std::time::SystemTime;

use bytes::Bytes;
use identity::Lifetime;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::{Flow, State};
use crate::changes::subscription::Subscription;

/// An open subscription stream. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Listening {
    subscription: Box<Subscription>,
    drain: CancellationToken,
    /// When the credentials expire that opened it.
    until: Option<Instant>,
    /// How long they are good, whatever ends that.
    lifetime: Option<Box<Lifetime>>,
    is_over: bool,
}

impl Flow {
    /// The subscription stream that the call has opened, or the call if it opened none.
    pub(crate) fn listening(mut self: Box<Self>) -> Result<Listening, Box<Self>> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Listen(subscription) => {
                let now = self.route.world.clock.now();
                let left = |until: SystemTime| Instant::now() + until.duration_since(now).unwrap_or_default();
                let until = self.caller.until.map(left);
                let lifetime = self.route.identifier.as_ref().map(|identifier| {
                    Box::new(Lifetime::new(
                        identifier,
                        (self.caller.until, self.caller.claims.as_ref()),
                        &self.caller.headers,
                    ))
                });
                Ok(Listening { subscription, drain: self.drain, until, lifetime, is_over: false })
            }
            state => {
                self.state = state;
                Err(self)
            }
        }
    }
}

impl Listening {
    /// How long to wait for the next message before something else is to be done: so long, or less.
    pub(crate) fn patience(&self, most: Duration) -> Duration {
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        left.map_or(most, |left| left.min(most))
    }

    /// The response, if the credentials have ended: a client learns that it is to come again (with others).
    pub(crate) fn expired(&mut self) -> Option<Bytes> {
        if self.is_over || self.until.is_none_or(|until| Instant::now() < until) {
            return None;
        }
        self.is_over = true;
        self.subscription.end()
    }

    /// The next message, the last of which is the response; then none. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        let told = tokio::select! {
            told = self.subscription.next() => told,
            () = self.drain.cancelled() => None,
            () = Lifetime::over_of(self.lifetime.as_deref_mut()) => None,
        };
        told.or_else(|| {
            self.is_over = true;
            self.subscription.end()
        })
    }
}
