//! A subscription stream that its listener reads itself: of the call that opened it nothing is kept, and it needs
//! neither a task nor a queue, for what waits for a slow client waits where it waits for all of them.

use bytes::Bytes;
use catalog::changes::subscription::Subscription;
use identity::Lifetime;
use tokio_util::sync::CancellationToken;

use super::{Flow, State};

/// An open subscription stream. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Listening {
    subscription: Box<Subscription>,
    drain: CancellationToken,
    /// How long the credentials are good that opened it.
    lifetime: Option<Box<Lifetime>>,
    is_over: bool,
}

impl Flow {
    /// The subscription stream that the call has opened, or the call if it opened none.
    pub(crate) fn listening(mut self: Box<Self>) -> Result<Listening, Box<Self>> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Listen(subscription) => {
                let whose = (self.caller.until, self.caller.claims.as_ref());
                let lifetime = self.route.lifetime(whose, &self.caller.headers).map(Box::new);
                Ok(Listening { subscription, drain: self.drain, lifetime, is_over: false })
            }
            state => {
                self.state = state;
                Err(self)
            }
        }
    }
}

impl Listening {
    /// The next message, the last of which is the response; then none. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        let told = tokio::select! {
            // There may always be something to say.
            biased;
            () = Lifetime::over_of(self.lifetime.as_deref_mut()) => None,
            () = self.drain.cancelled() => None,
            told = self.subscription.next() => told,
        };
        told.or_else(|| {
            self.is_over = true;
            self.subscription.end()
        })
    }
}
