//! Plays `transcripts/*.txt` on a gateway: in memory, over loopback, and with a client over stdio. `UPDATE=1` writes what
//! came in the place of what was expected.
#![expect(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, but does not take these functions for tests"
)]

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::plan::{PrefixRule, UpstreamPlan};
use testkit::lines::LineClient;
use testkit::net::MemoryNetwork;
use testkit::server::Persona;
use testkit::transcript::{Down, Stage, Transcript, play};
use transport::net::{Address, Network, SystemNetwork};

#[path = "it/stand.rs"]
mod stand;

use stand::{Over, Running, Stand};

datatest_stable::harness! {
    { test = memory, root = "../../transcripts", pattern = r"^[^/]*\.txt$" },
    { test = loopback, root = "../../transcripts", pattern = r"^[^/]*\.txt$" },
    { test = stdio, root = "../../transcripts", pattern = r"^[^/]*\.txt$" },
}

fn memory(path: &Path) -> datatest_stable::Result<()> {
    run(path, "memory", || Arc::new(MemoryNetwork::default()))
}

fn loopback(path: &Path) -> datatest_stable::Result<()> {
    run(path, "loopback", || Arc::new(SystemNetwork))
}

fn stdio(path: &Path) -> datatest_stable::Result<()> {
    run(path, "stdio", || Arc::new(MemoryNetwork::default()))
}

fn run(path: &Path, way: &str, network: fn() -> Arc<dyn Network>) -> datatest_stable::Result<()> {
    let transcript = Transcript::parse(&std::fs::read_to_string(path)?)?;
    let ways = &transcript.header.ways;
    if !ways.iter().any(|named| named == way) {
        return Ok(());
    }
    let mut builder = tokio::runtime::Builder::new_current_thread();
    // With sockets, waiting for the other end would look like waiting for the clock.
    let runtime = builder.enable_all().start_paused(way != "loopback").build()?;
    let update = std::env::var_os("UPDATE").is_some() && ways.first().is_some_and(|first| first == way);
    let played = runtime.block_on(act(&transcript, way, network(), update)).map_err(Otherwise)?;
    if let Some(text) = played {
        std::fs::write(path, text)?;
    }
    Ok(())
}

/// How a conversation went otherwise. The harness shows the Debug form, where line breaks must stay line breaks.
struct Otherwise(String);

impl fmt::Debug for Otherwise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Otherwise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Otherwise {}

async fn act(
    transcript: &Transcript,
    way: &str,
    network: Arc<dyn Network>,
    update: bool,
) -> Result<Option<String>, String> {
    let (stand, ups) = set_up(transcript, network).await?;
    let running = stand.start().await;
    let down = match way {
        "stdio" => Down::Lines(over_lines(&running)),
        _ => Down::Http(running.client.clone()),
    };
    let played = play(transcript, Stage { down, ups, update }).await;
    running.gateway.drain();
    played
}

fn over_lines(running: &Running) -> LineClient {
    let (client, input, output) = LineClient::new();
    let gateway = Arc::clone(&running.gateway);
    tokio::spawn(async move { gateway.serve_stdio(input, output).await });
    client
}

type Ups = std::collections::BTreeMap<String, (testkit::server::ScriptedServer, testkit::server::Desk)>;

async fn set_up(transcript: &Transcript, network: Arc<dyn Network>) -> Result<(Stand, Ups), String> {
    let header = &transcript.header;
    let mut stand = Stand::new(network);
    let mut ups = Ups::new();
    for (name, words) in &header.upstreams {
        let has = |word: &str| words.iter().any(|given| given == word);
        if has("dead") {
            let nobody = Address::Tcp("127.0.0.1".to_owned(), 9);
            let reach = base::plan::Reach::Http(stand::http_reach(&nobody));
            stand.put(UpstreamPlan::new(name, reach));
            continue;
        }
        let kind = words.first().map(String::as_str).unwrap_or_default();
        let (era, over) = match kind {
            "modern-http" => (Persona::modern(), Over::Http),
            "legacy-http" => (Persona::legacy(), Over::Http),
            "modern-stdio" => (Persona::modern(), Over::Stdio),
            "legacy-stdio" => (Persona::legacy(), Over::Stdio),
            _ => return Err(format!("{name}: no kind of server: {kind:?}")),
        };
        let mut persona = era;
        persona.has_stream = has("stream");
        persona.gives_session_ids = !has("sessionless");
        persona.info = format!(r#"{{"name":"{name}","version":"1"}}"#);
        persona.scripted.extend(transcript.scripted(name));
        let up = stand.add(name, over, persona).await;
        ups.insert(name.clone(), up);
    }
    for (setting, value) in &header.settings {
        set(&mut stand, &ups, setting, value).ok_or_else(|| format!("{setting} {value}: no such setting"))?;
    }
    Ok((stand, ups))
}

/// Applies one line of the header.
fn set(stand: &mut Stand, ups: &Ups, setting: &str, value: &str) -> Option<()> {
    let (first, rest) = value.split_once(' ').unwrap_or((value, ""));
    let persona = || ups.get(first).map(|(server, _)| server.persona());
    match setting {
        "capabilities" => rest.clone_into(&mut persona()?.capabilities),
        "instructions" => persona()?.instructions = Some(rest.to_owned()),
        "list-members" => rest.clone_into(&mut persona()?.list_members),
        "list" => {
            let (method, entries) = rest.split_once(' ')?;
            persona()?.lists.insert(method.to_owned(), entries.to_owned());
        }
        "prefix" => stand.upstream(first).prefix = rest.to_owned(),
        "prefixes" => {
            stand.plan.routes[0].naming.prefix = match first {
                "always" => PrefixRule::Always,
                "never" => PrefixRule::Never,
                _ => return None,
            }
        }
        "page-size" => stand.plan.routes[0].page_size = Some(first.parse().ok()?),
        "rename" => {
            let (from, to) = rest.split_once(' ')?;
            stand.upstream(first).tools.rename.insert(from.to_owned(), to.to_owned());
        }
        "describe" => {
            let (tool, text) = rest.split_once(' ')?;
            stand.upstream(first).tools.describe.insert(tool.to_owned(), text.to_owned());
        }
        "call-deadline" => stand.upstream(first).deadlines.call = Duration::from_secs(rest.parse().ok()?),
        "list-deadline" => stand.upstream(first).deadlines.list = Duration::from_secs(rest.parse().ok()?),
        _ => return None,
    }
    Some(())
}
