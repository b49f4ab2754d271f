//! How a gateway becomes one of the replicas: it listens for the others, says what it holds, and hears of changes.

use std::sync::Arc;

use arc_swap::ArcSwap;
use base::plan::Plan;
use base::sync::lock;
use mcp::json;
use replica::{PeerNotice, Replica};
use tokio_util::sync::CancellationToken;
use transport::http::server::Server as HttpServer;
use transport::net::Address;

use super::{ADMIN, Bound, Gateway, REPLICAS, StartFault};
use crate::listener::hop::reception::Reception;
use crate::live::Live;
use base::checks::HostCheck;

impl Gateway {
    /// Becomes one of the replicas: listens for the others, and makes itself known.
    pub(super) async fn join(
        &self,
        replica: &Arc<Replica>,
        plan: &Plan,
        bound: &[Bound],
    ) -> Result<Option<Bound>, StartFault> {
        let urls: Vec<_> = bound.iter().filter(|bound| bound.name != ADMIN).flat_map(Bound::urls).collect();
        let urls: Vec<_> = urls.iter().map(|url| json::quote(url)).collect();
        replica.say(&format!(r#""listens":[{}]"#, urls.join(",")));
        let reception = match &plan.replicas {
            Some(replicas) => {
                let address = &replicas.listen;
                let listener = self.world.network.bind(address).await;
                Some(listener.map_err(|source| StartFault::Bind { address: address.clone(), source })?)
            }
            None => None,
        };
        let local = reception.as_ref().map(|listener| listener.local());
        let advertised = plan.replicas.as_ref().and_then(|replicas| replicas.advertise.clone());
        replica.join(advertised.or_else(|| local.as_ref().map(Address::to_string))).await?;
        if let Some(listener) = reception {
            let inner = self.listener("", HostCheck::of_replicas());
            let service = Arc::new(Reception::new(Arc::clone(replica), inner));
            let limits = transport::http::server::ServerLimits::default();
            let workers = self.world.workers.clone();
            let server = HttpServer {
                listener,
                tls: None,
                places: self.places(REPLICAS, limits.connections),
                limits,
                workers,
                memory: self.world.memory.clone(),
                service,
            };
            // What is held here is asked for until the end.
            self.world.tasks.spawn(server.run(self.end.clone()));
        }
        let holds = self.holds();
        self.world.tasks.spawn(Arc::clone(replica).live(holds, self.end.clone()));
        let (sessions, mut names, end) = (Arc::clone(&self.sessions), replica.renamed(), self.end.clone());
        self.world.tasks.spawn(async move {
            while let Some(Ok(())) = end.run_until_cancelled(names.changed()).await {
                // Others may have taken over what clients had going on here.
                lock(&sessions).values().for_each(|sessions| sessions.let_all_go());
            }
        });
        self.world.tasks.spawn(hear_of_changes(
            Arc::clone(replica),
            Arc::clone(&self.live),
            self.end.clone(),
        ));
        let bound =
            |address| Bound { name: REPLICAS.to_owned(), address, secure: false, paths: vec![String::new()] };
        Ok(local.map(bound))
    }

    /// Tells what this replica holds that others can have only through it.
    fn holds(&self) -> impl Fn() -> String + Send + 'static {
        let (sessions, suspended) = (Arc::clone(&self.sessions), Arc::clone(&self.shares.suspended));
        let metrics = Arc::clone(&self.world.metrics);
        move || {
            let sessions: usize = lock(&sessions).values().map(|sessions| sessions.busy()).sum();
            format!(
                r#""sessions":{sessions},"suspended":{},"streams":{},"children":{}"#,
                suspended.len(),
                metrics.streams_now(),
                metrics.children_now()
            )
        }
    }
}

/// Passes on to our own clients what servers have told other replicas of, and nobody else.
async fn hear_of_changes(replica: Arc<Replica>, live: Arc<ArcSwap<Live>>, end: CancellationToken) {
    let Some(mut changes) = end.run_until_cancelled(replica.changes()).await else { return };
    while let Some(Some(heard)) = end.run_until_cancelled(changes.next()).await {
        let live = live.load_full();
        for server in live.servers.values().filter(|server| server.upstream.is_process()) {
            match &heard {
                PeerNotice::Changed { upstream, message } if upstream == server.upstream.name() => {
                    server.watch.hear_from_others(message);
                }
                PeerNotice::Changed { .. } => {}
                PeerNotice::Missed => server.watch.missed(),
            }
        }
    }
}
