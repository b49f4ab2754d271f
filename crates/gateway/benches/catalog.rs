//! A whole call through a gateway in memory, by the number of tools behind it, which it must not feel; and the cached list of
//! them: `cargo bench -p gateway --bench catalog`.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on must end")]

#[path = "../examples/spine/client.rs"]
mod client;
#[path = "../examples/spine/peer.rs"]
mod peer;
#[path = "../examples/spine/plan.rs"]
mod plan;

use std::sync::Arc;

use divan::Bencher;
use gateway::assembly::Gateway;
use testkit::net::MemoryNetwork;
use tokio::runtime::{Builder, Runtime};

use crate::client::Client;

/// Tools of both servers together.
const TOOLS: [usize; 3] = [10, 1000, 10_000];

fn main() {
    divan::main();
}

/// A gateway that runs, and a client of it.
struct Stand {
    runtime: Runtime,
    client: Client,
    _gateway: Arc<Gateway>,
}

impl Stand {
    fn new(tools: usize) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (client, gateway) = runtime.block_on(async {
            let network = Arc::new(MemoryNetwork::default());
            let mut servers = Vec::new();
            for name in ["github", "files"] {
                servers.push((name, peer::serve(&network, tools / 2, true).await.unwrap()));
            }
            let plan = plan::plan(&servers).unwrap();
            let world = plan::world(&plan, Arc::clone(&network)).unwrap();
            let gateway = Gateway::new(plan, world);
            let bound = gateway.listen().await.unwrap();
            gateway.settled().await;
            (Client::connect(&network, &bound.first().unwrap().address).await.unwrap(), gateway)
        });
        Self { runtime, client, _gateway: gateway }
    }

    fn bench(mut self, bencher: Bencher<'_, '_>, request: &[u8]) {
        bencher.bench_local(|| self.runtime.block_on(self.client.repeat(request, 1)).unwrap());
    }
}

#[divan::bench(args = TOOLS)]
fn call(bencher: Bencher<'_, '_>, tools: usize) {
    Stand::new(tools).bench(bencher, &client::modern_call(None));
}

#[divan::bench(args = TOOLS)]
fn list(bencher: Bencher<'_, '_>, tools: usize) {
    Stand::new(tools).bench(bencher, &client::modern_list());
}

/// A legacy client's call, in its session.
#[divan::bench(args = TOOLS)]
fn legacy_call(bencher: Bencher<'_, '_>, tools: usize) {
    let mut stand = Stand::new(tools);
    let session = stand.runtime.block_on(stand.client.open_session()).unwrap();
    stand.bench(bencher, &client::legacy_call(&session));
}
