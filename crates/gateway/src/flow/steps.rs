//! A call's steps as its listener reads them, however slowly it does.

use tokio::sync::mpsc;
use tokio::time::Duration;
use tokio_util::task::TaskTracker;

use super::in_flight::InFlight;
use super::{Flow, Listening, Step};

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
                // Before anything else that has come by now: what comes after a cancel is not done.
                biased;
                () = in_flight.cancel.cancelled() => {}
                () = drive_detached(flow, sender) => {}
            }
        });
        Self::Driven(receiver)
    }

    /// The subscription stream that has begun, or the same steps.
    pub(crate) fn listening(self) -> Result<Listening, Self> {
        match self {
            Self::Direct(flow) => flow.listening().map_err(Self::Direct),
            driven @ Self::Driven(_) => Err(driven),
        }
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
