//! A call in progress, seen from its client: one thing after the other until the response.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use mcp::call::Call;
use mcp::jsonrpc::{Id, Message};
use mcp::method::Method;
use mcp::version::Era;
use tokio::sync::mpsc;
use tokio::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bridge::session::InFlight;
use crate::call::{Course, Visit};
use crate::relay::{Passed, Relay};
use crate::reply::{self, CallError, Wire};
use crate::route::Route;
use crate::subscription::Subscription;

/// The next thing of a call.
#[derive(Debug)]
pub(crate) enum Step {
    /// It is known how the answer comes: as a stream, or perhaps as one message.
    Begun {
        /// Whether the server streams.
        streams: bool,
    },
    /// A notification.
    Notice(Bytes),
    /// The response; nothing comes after it.
    Last(Last),
}

/// How a call ends.
#[derive(Debug)]
pub(crate) enum Last {
    /// With a response of a server, or with ours.
    Message(Message, Option<StatusCode>),
    /// With an error of ours.
    Error(Box<Wire>),
    /// With the end of a subscription stream.
    Ended(Bytes),
}

type Starting = Pin<Box<dyn Future<Output = Result<Course, CallError>> + Send>>;

enum State {
    Starting(Starting),
    Own(Message),
    Relay(Box<Relay>),
    Listen(Box<Subscription>),
    Failed(CallError),
    Over,
}

/// A call in progress. Dropping it cancels the call.
pub(crate) struct Flow {
    id: Id,
    method: Option<&'static Method>,
    state: State,
    era: Era,
    /// Ends subscription streams in good order.
    drain: CancellationToken,
}

/// Where a call comes from, owned.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) headers: HeaderMap,
    pub(crate) era: Era,
    pub(crate) mirrors: bool,
    pub(crate) session: Option<Arc<str>>,
}

impl Flow {
    /// A call that begins when it is first asked for a step.
    pub(crate) fn new(route: Arc<Route>, call: Call, origin: Origin, drain: CancellationToken) -> Self {
        let (id, method, era) = (call.id().clone(), call.method(), origin.era);
        let start = async move {
            let visit = Visit {
                headers: &origin.headers,
                era: origin.era,
                mirrors: origin.mirrors,
                session: origin.session.as_ref(),
            };
            route.run(call, visit).await
        };
        Self { id, method, state: State::Starting(Box::pin(start)), era, drain }
    }

    pub(crate) fn id(&self) -> &Id {
        &self.id
    }

    pub(crate) fn method(&self) -> Option<&'static Method> {
        self.method
    }

    /// Waits for the next step. After [`Step::Last`] it must not be asked again. Safe to drop while waiting.
    pub(crate) async fn next(&mut self) -> Step {
        match &mut self.state {
            State::Starting(start) => {
                let course = start.await;
                let (state, streams) = match course {
                    Ok(Course::Own(message)) => (State::Own(message), false),
                    Ok(Course::Relay(relay)) => {
                        let streams = relay.streams();
                        (State::Relay(relay), streams)
                    }
                    Ok(Course::Listen(subscription)) => (State::Listen(subscription), true),
                    Err(error) => (State::Failed(error), false),
                };
                self.state = state;
                Step::Begun { streams }
            }
            State::Relay(relay) => match relay.next().await {
                Ok(Passed::Notice(bytes)) => Step::Notice(bytes),
                Ok(Passed::Response(message, status)) => self.last(Last::Message(message, status)),
                Err(error) => self.last(Last::Error(Box::new(reply::wire_for(&error, self.era)))),
            },
            State::Listen(subscription) => {
                let told = tokio::select! {
                    told = subscription.next() => told,
                    () = self.drain.cancelled() => None,
                };
                match told {
                    Some(bytes) => Step::Notice(bytes),
                    None => {
                        let end = subscription.end().unwrap_or_default();
                        self.last(Last::Ended(end))
                    }
                }
            }
            State::Own(_) | State::Failed(_) | State::Over => self.own(),
        }
    }

    fn own(&mut self) -> Step {
        let last = match std::mem::replace(&mut self.state, State::Over) {
            State::Own(message) => Last::Message(message, None),
            State::Failed(error) => Last::Error(Box::new(reply::wire_for(&error, self.era))),
            _ => Last::Error(Box::new(reply::wire(&CallError::Internal(
                "a call was asked past its end".to_owned(),
            )))),
        };
        Step::Last(last)
    }

    fn last(&mut self, last: Last) -> Step {
        self.state = State::Over;
        Step::Last(last)
    }
}

impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flow").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Steps as a listener reads them.
#[derive(Debug)]
pub(crate) enum Steps {
    /// Asked for one by one: nothing happens while nobody asks.
    Direct(Box<Flow>),
    /// Of a call that goes on by itself, so that its deadlines hold whether or not its client reads.
    Driven(mpsc::Receiver<Step>),
}

/// How many steps of a driven call wait for a slow client before the server is made to wait.
const WAITING_STEPS: usize = 64;
/// A client that takes nothing for this long takes nothing any more.
const STALLED: Duration = Duration::from_secs(30);

impl Steps {
    /// Lets a call of the modern era go on by itself, until nobody reads its steps: that cancels it.
    pub(crate) fn tied(flow: Flow, tasks: &TaskTracker) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_STEPS);
        tasks.spawn(drive_tied(flow, sender));
        Self::Driven(receiver)
    }

    /// Lets a call of the legacy era go on by itself: only a cancel ends it early.
    pub(crate) fn detached(flow: Flow, in_flight: InFlight, tasks: &TaskTracker) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_STEPS);
        tasks.spawn(async move {
            tokio::select! {
                () = drive_detached(flow, sender) => {}
                () = in_flight.cancel.cancelled() => {}
            }
        });
        Self::Driven(receiver)
    }

    /// The same steps, driven.
    pub(crate) fn driven(self, tasks: &TaskTracker) -> Self {
        match self {
            Self::Direct(flow) => Self::tied(*flow, tasks),
            driven @ Self::Driven(_) => driven,
        }
    }

    /// The next step; none when a call was cancelled or given up, which has no response.
    pub(crate) async fn next(&mut self) -> Option<Step> {
        match self {
            Self::Direct(flow) => Some(flow.next().await),
            Self::Driven(steps) => steps.recv().await,
        }
    }
}

async fn drive_tied(mut flow: Flow, sender: mpsc::Sender<Step>) {
    loop {
        let step = tokio::select! {
            step = flow.next() => step,
            () = sender.closed() => return,
        };
        let last = matches!(step, Step::Last(_));
        // An error means that the client is gone or does not read: to drop the flow cancels its call.
        if sender.send_timeout(step, STALLED).await.is_err() || last {
            return;
        }
    }
}

async fn drive_detached(mut flow: Flow, sender: mpsc::Sender<Step>) {
    let mut sender = Some(sender);
    loop {
        let step = flow.next().await;
        let last = matches!(step, Step::Last(_));
        if let Some(to) = &sender
            && to.send_timeout(step, STALLED).await.is_err()
        {
            // Nobody reads any more; the call goes on all the same.
            sender = None;
        }
        if last {
            return;
        }
    }
}
