//! Servers are asked what their tools and prompts are now, as the gateway would see them.

use std::collections::BTreeMap;

use base::pin::is_definition;
use base::plan::UpstreamPlan;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use mcp::discover::Discovered;
use mcp::method::Kind;
use pins::alike::Others;
use pins::checks::{Finding, check};
use pins::{PinnedDefinition, visible};

use crate::client::{Client, Deaf};
use crate::fault::Fault;
use crate::list;
use crate::targets::Targets;

/// What a server says of its tools and prompts.
pub(crate) type Definitions = Vec<(Kind, String, PinnedDefinition)>;

/// Asks one server.
async fn look(server: UpstreamPlan) -> Result<Definitions, Fault> {
    let name = server.name.clone();
    let mut client = Client::of(&Targets::looked_at(server), None)?;
    let seen = lists(&mut client, &name).await;
    client.close().await;
    seen
}

async fn lists(client: &mut Client, name: &str) -> Result<Definitions, Fault> {
    let answer = client.get("server/discover", &[], &mut Deaf).await?;
    let found = Discovered::read(answer.message())
        .map_err(|fault| Fault::Unreachable(format!("its description cannot be read: {fault}")))?;
    for listing in list::LISTINGS {
        let kind = listing.names().0;
        if !is_definition(kind) || !listing.is_of(&found) {
            continue;
        }
        match list::fetch(client, listing, &mut Deaf).await {
            // Many servers have resources, and know no request for templates of them.
            Err(fault) if kind == Kind::Template => {
                tracing::debug!(server = name, "it does not list its resource templates: {fault}");
            }
            fetched => drop(fetched?),
        }
    }
    Ok(seen(client, name))
}

/// What a client of a server that is looked at has seen of it.
pub(crate) fn seen(client: &Client, name: &str) -> Definitions {
    let mut seen = client.gateway().pins().server(name).map(|pins| pins.seen()).unwrap_or_default();
    seen.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
    seen
}

/// Asks servers, all at once: each with what it says, or why it does not.
pub(super) async fn look_at(servers: Vec<UpstreamPlan>) -> Vec<(String, Result<Definitions, Fault>)> {
    let mut asked: FuturesUnordered<_> = servers
        .into_iter()
        .map(|server| async move { (server.name.clone(), Box::pin(look(server)).await) })
        .collect();
    let mut all = Vec::new();
    while let Some(one) = asked.next().await {
        all.push(one);
    }
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

/// What is odd about definitions, by themselves and beside those of other servers.
pub(crate) fn findings(
    others: &Others,
    server: &str,
    (kind, name, text): (Kind, &str, &str),
) -> Vec<Finding> {
    let mut found = check(text);
    if kind == Kind::Tool {
        found.extend(others.check(server, name, text));
    }
    found
}

/// A line for each oddity of a server's definitions, taken by themselves.
pub(crate) fn strange(said: &Definitions) -> Vec<String> {
    let line = |(kind, name, pin): &(Kind, String, PinnedDefinition)| {
        let head = format!("{} {}", base::error::noun(*kind), visible(name));
        check(&pin.text).into_iter().map(move |finding| format!("{head}: {finding}"))
    };
    said.iter().flat_map(line).collect()
}

/// A line for each oddity that is seen only beside the definitions of other servers.
pub(crate) fn alike(all: &BTreeMap<String, Definitions>) -> Vec<String> {
    let mut others = Others::default();
    let tools = |said: &'_ Definitions| {
        let tools = said.iter().filter(|(kind, ..)| *kind == Kind::Tool);
        tools.map(|(_, name, pin)| (name.clone(), pin.clone())).collect::<Vec<_>>()
    };
    for (server, said) in all {
        tools(said).iter().for_each(|(name, _)| others.add(server, name));
    }
    let mut lines = Vec::new();
    for (server, said) in all {
        for (name, pin) in tools(said) {
            let found = others.check(server, &name, &pin.text);
            let head = format!("tool {}", visible(&format!("{server}/{name}")));
            lines.extend(found.iter().map(|finding| format!("{head}: {finding}")));
        }
    }
    lines
}
