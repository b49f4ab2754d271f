//! Calls through a gateway in memory, on one thread, for tools that count: `spine CASE CALLS`, under valgrind
//! (`bench/instructions`). It measures nothing itself and says nothing but what went wrong.
//!
//! What `2 n` calls cost beyond `n` calls is the cost of `n` calls: start and end of the program are the same in both. The
//! client sends the same bytes each time and the servers look for nothing but the id that they answer, so that almost
//! all of the count is the gateway's.

mod client;
mod peer;
mod plan;
mod token;

use std::error::Error;
use std::sync::Arc;

use gateway::assembly::Gateway;
use testkit::net::MemoryNetwork;

use crate::client::Client;

/// What is called again and again.
#[derive(Debug, Clone, Copy)]
enum Case {
    /// A modern client's `tools/call` of a modern server: 1 KB both ways, one of two servers, so that names are rewritten, and an
    /// argument that is mirrored in a header.
    Call,
    /// The same by a legacy client, in a session.
    Legacy,
    /// The same of a legacy server.
    Old,
    /// The first, with a token that was seen before.
    Token,
    /// `tools/list` of a hundred tools of each of the two servers, cached.
    List,
}

impl Case {
    fn find(name: &str) -> Option<Self> {
        match name {
            "call" => Some(Self::Call),
            "legacy" => Some(Self::Legacy),
            "old" => Some(Self::Old),
            "token" => Some(Self::Token),
            "list" => Some(Self::List),
            _ => None,
        }
    }

    /// How many tools each server has.
    fn tools(self) -> usize {
        match self {
            Self::Call | Self::Legacy | Self::Old | Self::Token => 3,
            Self::List => 100,
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut given = std::env::args().skip(1);
    let (case, calls) = (given.next(), given.next());
    let case = case
        .as_deref()
        .and_then(Case::find)
        .ok_or("the first argument is call, legacy, old, token or list")?;
    let calls: usize = calls.ok_or("the second argument says how many calls")?.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(go(case, calls))
}

async fn go(case: Case, calls: usize) -> Result<(), Box<dyn Error>> {
    let network = Arc::new(MemoryNetwork::default());
    let mut servers = Vec::new();
    for name in ["github", "files"] {
        servers.push((name, peer::serve(&network, case.tools(), !matches!(case, Case::Old)).await?));
    }
    let mut plan = plan::plan(&servers)?;
    let token = matches!(case, Case::Token).then(|| token::protect(&mut plan)).transpose()?;
    let world = plan::world(&plan, Arc::clone(&network))?;
    let gateway = Gateway::new(plan, world);
    let bound = gateway.listen().await?;
    gateway.settled().await;
    let address = &bound.first().ok_or("nothing listens")?.address;
    let mut client = Client::connect(&network, address).await?;
    let request = match case {
        Case::Call | Case::Token => client::modern_call(token.as_deref()),
        Case::Legacy | Case::Old => client::legacy_call(&client.open_session().await?),
        Case::List => client::modern_list(),
    };
    client.repeat(&request, calls).await?;
    gateway.stop().await;
    Ok(())
}
