//! The kept list of 10,000 tools, with policies and without: `cargo bench -p policy --bench lists`.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on must end")]

#[expect(dead_code, reason = "the gateway's example asks for more")]
#[path = "../../gateway/examples/spine/client.rs"]
mod client;
#[path = "../../gateway/examples/spine/peer.rs"]
mod peer;
#[path = "../../gateway/examples/spine/plan.rs"]
mod plan;

use std::sync::Arc;

use base::clock::SystemClock;
use base::plan::policy::{Decider, PolicyPlan, PolicySource, ServerFacts};
use divan::Bencher;
use gateway::assembly::Gateway;
use policy::{Ground, Policies, RoutePolicies};
use testkit::net::MemoryNetwork;
use tokio::runtime::Builder;

const TOOLS: usize = 10_000;
const SERVERS: [&str; 2] = ["github", "files"];

fn main() {
    divan::main();
}

/// So many policies that look at servers, annotations and tags, of which the first allows all.
fn decider(policies: usize) -> Decider {
    let mut text = String::from("permit (principal, action, resource);\n");
    for number in 1..policies {
        text += &match number % 2 {
            0 => format!(
                "forbid (principal in Mcp::Group::\"company/g{number}\", action, resource in Mcp::Server::\"files\");\n"
            ),
            _ => format!(
                "forbid (principal, action == Mcp::Action::\"call\", resource in Mcp::Tag::\"t{number}\") when {{ resource.destructive }};\n"
            ),
        };
    }
    let plan = PolicyPlan {
        sources: vec![PolicySource { name: "bench.cedar".to_owned(), text: text.into() }],
        enforce: true,
        explain: false,
    };
    let servers = SERVERS.map(|name| ServerFacts { name: name.to_owned(), ..ServerFacts::default() });
    let ground = Ground { route: "main", servers: &servers, issuers: &[] };
    Decider(Arc::new(RoutePolicies(Arc::new(Policies::new(&plan, ground, Arc::new(SystemClock)).unwrap()))))
}

/// A client lists again what was listed before. Its text of a megabyte is copied through memory each time.
#[divan::bench(args = [0, 50, 500], sample_count = 50)]
fn ten_thousand_tools_again(bencher: Bencher<'_, '_>, policies: usize) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (mut client, _gateway) = runtime.block_on(async {
        let network = Arc::new(MemoryNetwork::default());
        let mut servers = Vec::new();
        for name in SERVERS {
            servers.push((name, peer::serve(&network, TOOLS / SERVERS.len(), true).await.unwrap()));
        }
        let mut plan = plan::plan(&servers).unwrap();
        plan.routes.first_mut().unwrap().decides = (policies > 0).then(|| decider(policies));
        let world = plan::world(&plan, Arc::clone(&network)).unwrap();
        let gateway = Gateway::new(plan, world);
        let bound = gateway.listen().await.unwrap();
        gateway.settled().await;
        (client::Client::connect(&network, &bound.first().unwrap().address).await.unwrap(), gateway)
    });
    let request = client::modern_list();
    runtime.block_on(client.repeat(&request, 1)).unwrap();
    bencher.bench_local(|| runtime.block_on(client.repeat(&request, 1)).unwrap());
}
