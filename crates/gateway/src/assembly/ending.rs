//! How a gateway ends: what it promises to those who are connected, in the order in which it is kept.

use std::future::Future;

use base::lasting::Lasting;
use base::plan::Reach;
use futures_util::future::join_all;
use tokio::time::{Duration, Instant, timeout, timeout_at};

use super::{Gateway, STOPPING};
use crate::live::Live;

/// What connections have at least to end in good order, once streams have ended: that a client hears an answer was the last.
const PARTING: Duration = Duration::from_secs(2);

impl Gateway {
    /// Says that it is not ready, and tells clients to go elsewhere. All else goes on.
    pub fn leave(&self) {
        self.leave.cancel();
    }

    /// Begins to end: says that it is not ready, stops accepting, ends streams, and lets calls in flight finish.
    pub fn drain(&self) {
        self.leave.cancel();
        self.drain.cancel();
    }

    /// Ends. First nothing changes for clients but that they are told to go elsewhere: for the plan's delay, and then for as
    /// long as a suspended call waits for its client, who must be able to come back. Then it drains, waits for calls in
    /// flight, and ends all sessions and processes. Waiting has one bound, the plan's.
    pub async fn stop(&self) {
        let live = self.live.load_full();
        let limits = live.plan.limits;
        self.leave.cancel();
        let deadline = if self.connections.is_empty() {
            // Nobody can come.
            Instant::now() + limits.drain
        } else {
            let begun = Instant::now() + limits.drain_delay;
            tokio::time::sleep_until(begun).await;
            begun + limits.drain
        };
        if live.plan.shares_addresses() {
            // Clients come to the other process from now on, which can forward only as one of the replicas.
            self.drain();
            if live.plan.replicas.is_some() {
                self.wait_for_answers(deadline).await;
            }
        } else if !self.connections.is_empty() {
            self.wait_for_answers(deadline).await;
        }
        self.drain();
        // Nobody will come back for them.
        self.shares.suspended.close();
        self.shares.tasks.clear();
        let until = deadline.max(Instant::now() + PARTING.min(limits.drain));
        let abandoned = if live.plan.keeps_streams() { limits.drain } else { PARTING };
        let all_ended = timeout_at(until, self.idle(&live, abandoned)).await.unwrap_or_default();
        if !all_ended {
            tracing::warn!(
                "calls were still under way after the time to drain ({}), or nobody was left to hear their answer; they are lost",
                Lasting(limits.drain)
            );
        }
        // All at once and not for ever: one server that hangs must not keep the others, or us, from ending.
        let stopped = join_all(live.servers.values().map(|server| {
            server.stop.cancel();
            server.upstream.stop()
        }));
        if timeout(STOPPING, stopped).await.is_err() {
            tracing::warn!("some servers were not ended in good order within {STOPPING:?}");
        }
        if let Some(replica) = &self.shares.replica {
            replica.leave().await;
        }
        self.end.cancel();
        self.world.tasks.close();
        // What was given up is not waited for once more, but the programs of servers are: they have been asked to end, and each may
        // take its time for that, twice (its stdin is closed, then comes SIGTERM).
        let graces = live.plan.upstreams.iter().map(|server| match &server.reach {
            Reach::Stdio(reach) => reach.grace,
            _ => Duration::ZERO,
        });
        let parting = (2 * graces.max().unwrap_or_default() + PARTING).min(STOPPING);
        if timeout(if all_ended { STOPPING } else { parting }, self.world.tasks.wait()).await.is_err() {
            tracing::debug!("some tasks did not end");
        }
    }

    /// Lets clients come back with what suspended calls wait for.
    async fn wait_for_answers(&self, deadline: Instant) {
        if timeout_at(deadline, self.shares.suspended.settled()).await.is_err() {
            tracing::warn!("some calls still wait for what their clients were asked; they are lost");
        }
    }

    /// Waits until no connection is left, and then until no call is: those of legacy clients outlive their connection. Once nobody is
    /// there to hear an answer, or to come back for it, that has an end of its own. Says whether all calls have ended.
    fn idle<'g>(&'g self, live: &'g Live, abandoned: Duration) -> impl Future<Output = bool> + 'g {
        self.connections.close();
        async move {
            self.connections.wait().await;
            let calls = join_all(live.servers.values().map(|server| server.upstream.idle()));
            timeout(abandoned, calls).await.is_ok()
        }
    }
}
