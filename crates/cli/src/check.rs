//! `portolan check`: every mistake of a configuration at once, and, if asked, whether its servers are there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use base::fault::Why;
use base::lasting::Lasting;
use base::plan::{LeftOut, Plan, SchemaRule, UpstreamPlan};
use config::{Loaded, Severity};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use mcp::discover::Discovered;
use tokio_util::sync::CancellationToken;
use transport::workers::Workers;
use upstream::Health;

use crate::arrivals::{self, Tally, Telling};
use crate::client::{Client, Deaf};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::gated::{self, Offered};
use crate::inherit::Inheriting;
use crate::pins_command::looked;
use crate::pins_command::looked::Definitions;
use crate::policies::{self, Decided};
use crate::print::{self, Paint};
use crate::serve::configuration::left_out;
use crate::targets::Targets;
use crate::{discover, issuers, list, locked, outside, recording, traced};

/// Check a configuration: say every mistake at once
///
/// Ends with 0 if it can be used and with 3 if not; with --connect, with 4 if a server is down. In another client's file, a
/// server that cannot be used is left out, and the others can be used; with --strict, the file is refused.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portolan check mcp.json
  portolan check mcp.json --connect")]
pub(crate) struct Check {
    /// The configuration: Portolan's own (TOML), or the mcp.json of a client; - is stdin
    #[arg(value_name = "FILE")]
    config: PathBuf,
    /// Take warnings for errors
    #[arg(long)]
    strict: bool,
    /// Also reach each server, and say what it is or why it is down
    #[arg(long)]
    connect: bool,
    #[command(flatten)]
    inheriting: Inheriting,
}

impl Check {
    /// Checks.
    pub(crate) async fn run(self) -> Result<Exit, Fault> {
        let inherit = self.inheriting.inherit();
        let mut loaded = config::load_with(&self.config, &outside::ProcessEnvironment, &inherit);
        let decided = decide(&mut loaded, &self.config);
        let unknown = loaded.plan.as_ref().and_then(|plan| traced::unknown(plan, &self.config));
        if let Some(unknown) = unknown {
            loaded.diagnostics.push(unknown);
            loaded.plan = None;
        }
        let colour = Paint::stderr().is_on();
        for found in &loaded.diagnostics {
            print::err(&format!("{}\n", found.render(colour)));
        }
        let count = |severity| loaded.diagnostics.iter().filter(|found| found.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let found = [number(errors, "error"), number(warnings, "warning")];
        let found = found.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let path = self.config.display();
        let Some(plan) = loaded.plan.filter(|_| !self.strict || warnings == 0) else {
            print::err(&format!("{path} cannot be used: {found}\n"));
            return Ok(Exit::Config);
        };
        if !plan.sinks.is_empty() {
            let world = outside::world(&plan, outside::passing_seal()?, None, Workers::default())?;
            if let Some(unmade) = recording::wrong_sinks(&plan, &world) {
                return Err(unmade.into());
            }
        }
        let servers = number(plan.upstreams.len(), "server").unwrap_or_default();
        let with = if found.is_empty() { String::new() } else { format!(", with {found}") };
        let left_out = left_out(&plan).map(|names| format!("; left out: {names}")).unwrap_or_default();
        let policies: String = decided.iter().map(said).collect();
        let limits = number(plan.limiting.limits.len(), "limit")
            .map(|limits| format!("; {limits}"))
            .unwrap_or_default();
        print::out(format!("{path} can be used{with}: {servers}{left_out}{policies}{limits}\n"))?;
        if self.connect { connect(plan).await } else { Ok(Exit::Ok) }
    }
}

/// Lets policies decide, and adds what is wrong with them to what was found.
fn decide(loaded: &mut Loaded, config: &Path) -> Vec<Decided> {
    let Some(plan) = &mut loaded.plan else { return Vec::new() };
    let decided = match policies::attach(plan, config) {
        Ok(decided) => decided,
        Err(faults) => {
            loaded.plan = None;
            loaded.diagnostics.extend(faults);
            return Vec::new();
        }
    };
    if let Some(fault) = locked::wrong_lock(plan) {
        loaded.plan = None;
        loaded.diagnostics.push(fault);
        return decided;
    }
    loaded.diagnostics.extend(policies::warnings(&decided));
    decided
}

fn said(decided: &Decided) -> String {
    let policies = match decided.count {
        1 => "1 policy".to_owned(),
        count => format!("{count} policies"),
    };
    format!("; {policies} for route {:?}", decided.route)
}

fn number(count: usize, what: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        _ => Some(format!("{count} {what}s")),
    }
}

/// Reaches all servers at once, and says of each how it is.
async fn connect(plan: Plan) -> Result<Exit, Fault> {
    let (issuers, all_vouch) = Box::pin(issuers::probe(&plan)).await?;
    for line in issuers {
        print::out(format!("{}\n", print::safe_out(&line)))?;
    }
    let rules: Vec<_> = plan.upstreams.iter().map(|server| rule(&plan, server)).collect();
    let (servers, left_out, routes) = (plan.upstreams, plan.left_out, plan.routes);
    let prefixes: Vec<_> = servers.iter().map(|server| server.prefix.clone()).collect();
    let (mut offered, mut definitions) = (BTreeMap::new(), BTreeMap::new());
    let names = servers.iter().map(|server| &server.name).chain(left_out.iter().map(|left| &left.name));
    let width = names.map(|name| name.chars().count()).max().unwrap_or_default();
    let paint = Paint::stdout();
    let names: Vec<_> = servers.iter().map(|server| server.name.clone()).collect();
    let seen = print::out_is_seen();
    let mut tally = Tally::default();
    for LeftOut { name, why } in left_out {
        tally.left_out(&name);
        let text = print::safe_out(&why).replace('\n', " ");
        let name = print::safe_out(&name);
        print::out(format!("  {name:<width$}  {}left out{}  {text}\n", paint.error, paint.off))?;
    }
    let unread = CancellationToken::new();
    let mut reaching: FuturesUnordered<_> = (servers.into_iter().zip(&rules).enumerate())
        .map(|(at, (server, rule))| {
            let unread = unread.clone();
            async move {
                let began = Instant::now();
                let reached = Box::pin(reach(server, *rule, width, unread)).await;
                (at, Lasting(began.elapsed()), reached)
            }
        })
        .collect();
    let mut waiting = BTreeMap::new();
    let (mut next, mut said) = (0, Ok(()));
    while let Some((at, took, reached)) = reaching.next().await {
        let (Some(name), Some(prefix)) = (names.get(at), prefixes.get(at)) else { continue };
        let reached = reached.map(|(text, odd, (offers, said))| {
            offered.insert(name.clone(), (prefix.clone(), offers));
            definitions.insert(name.clone(), said);
            (text, odd)
        });
        match &reached {
            Ok(_) => tally.up(),
            Err(fault) => tally.down(name, &arrivals::brief(name, &fault.why())),
        }
        let mut text = String::new();
        // A person sees each as it comes. Who keeps it wants the same each time.
        if seen {
            text = lines((name, width), &reached, Some(took));
        } else {
            waiting.insert(at, reached);
            while let (Some(reached), Some(name)) = (waiting.remove(&next), names.get(next)) {
                text.push_str(&lines((name, width), &reached, None));
                next += 1;
            }
        }
        said = said.and_then(|()| print::out(text));
        // Nobody reads how the others are: they are ended, and not just left.
        if said.is_err() {
            unread.cancel();
        }
    }
    said?;
    let idle = routes.iter().flat_map(|route| gated::idle(route, &offered));
    for line in idle.chain(looked::alike(&definitions)) {
        print::out(format!("  {}\n", print::safe_out(&line)))?;
    }
    if tally.count() > 1 {
        print::out(format!("{}\n", print::safe_out(&tally.sentence())))?;
    }
    Ok(if all_vouch && tally.is_all_up() { Exit::Ok } else { Exit::Unreachable })
}

/// How a server is, what is odd about it, and what it offers.
type Reached = Result<(String, Vec<String>, (Offered, Definitions)), Fault>;
/// The same before it is known what it says of itself.
type Described = Result<(String, Vec<String>, Offered), Fault>;
/// The same without the last.
type Told = Result<(String, Vec<String>), Fault>;

fn lines((name, width): (&str, usize), reached: &Told, took: Option<Lasting>) -> String {
    let paint = Paint::stdout();
    let (tint, state, text, odd) = match reached {
        Ok((text, odd)) => (paint.good, "up  ", text.clone(), odd.as_slice()),
        Err(fault) => (paint.error, "down", fault.to_string(), [].as_slice()),
    };
    let took = took.map(|took| format!("in {took}: ")).unwrap_or_default();
    let text = print::safe_out(&text).replace('\n', " ");
    let mut all = format!("  {name:<width$}  {tint}{state}{}  {took}{text}\n", paint.off);
    for line in odd {
        let line = print::safe_out(line).replace('\n', " ");
        all.push_str(&format!("  {:<width$}        {line}\n", ""));
    }
    all
}

/// What becomes of a server's entries that clients would refuse.
fn rule(plan: &Plan, server: &UpstreamPlan) -> SchemaRule {
    let is_among_others = || {
        plan.routes.iter().any(|route| route.upstreams.len() > 1 && route.upstreams.contains(&server.name))
    };
    let default = || if is_among_others() { SchemaRule::Repair } else { SchemaRule::Pass };
    server.schema.unwrap_or_else(default)
}

/// How a server is, and what is odd about its lists.
async fn reach(
    mut server: UpstreamPlan,
    rule: SchemaRule,
    width: usize,
    unread: CancellationToken,
) -> Reached {
    server.watched = false;
    // What is passed on is not told of in a list.
    server.schema = Some(if rule == SchemaRule::Pass { SchemaRule::Repair } else { rule });
    let name = server.name.clone();
    let mut client = Client::of(&Targets::looked_at(server), None)?;
    let (servers, paint) = (client.gateway().servers(), Paint::stdout());
    let still = async {
        match servers.iter().find(|_| print::out_is_seen()) {
            Some(server) => {
                let tell = |text: &str| {
                    let text = print::safe_out(text).replace('\n', " ");
                    // That nobody reads it is said by the line that matters.
                    drop(print::out(format!(
                        "  {:<width$}  {}...{}   {text}\n",
                        server.name(),
                        paint.dim,
                        paint.off
                    )));
                };
                arrivals::tell_of_start(server, Telling::COMING, tell).await
            }
            None => std::future::pending().await,
        }
    };
    let said = async {
        // What it is asked then has its time from its start on, which others may come before.
        if let Some(server) = servers.first() {
            drop(Box::pin(server.reach()).await);
        }
        let (text, mut odd, offers) = describe(&mut client, rule).await?;
        let said = looked::seen(&client, &name);
        odd.extend(looked::strange(&said));
        Ok((text, odd, (offers, said)))
    };
    let said = tokio::select! {
        said = said => said,
        () = unread.cancelled() => Err(Fault::Unread),
        never = still => match never {},
    };
    client.close().await;
    said
}

async fn describe(client: &mut Client, rule: SchemaRule) -> Described {
    let answer = client.get("server/discover", &[], &mut Deaf).await?;
    let found = Discovered::read(answer.message())
        .map_err(|fault| Fault::Unreachable(format!("its description cannot be read: {fault}")))?;
    let mut said = match client.health() {
        Health::Up { era, revision, transport } => {
            format!("{}, {revision}{}", era.name(), discover::over(transport))
        }
        Health::Down { why, said, .. } => return Err(Fault::Down(Why { what: why, said, ..Why::default() })),
        Health::Unknown => String::new(),
    };
    let (mut odd, mut offers) = (Vec::new(), Offered::default());
    if found.capabilities.tools {
        let tools = list::fetch(client, &list::TOOLS, &mut Deaf).await?;
        let count = number(tools.entries().len(), "tool").unwrap_or_else(|| "no tools".to_owned());
        said.push_str(&format!(", {count}"));
        odd.extend(tools.odd().iter().map(|one| tell(one, &list::TOOLS, rule)));
        offers.add(list::TOOLS.names(), &tools.entries());
    }
    for listing in list::LISTINGS.into_iter().skip(1).filter(|listing| listing.is_of(&found)) {
        // It is there, whatever it says to this.
        let Ok(listed) = list::fetch(client, listing, &mut Deaf).await else {
            offers.not_listed(listing.names().0);
            continue;
        };
        odd.extend(listed.odd().iter().map(|one| tell(one, listing, rule)));
        offers.add(listing.names(), &listed.entries());
    }
    Ok((said, odd, offers))
}

fn tell(odd: &list::Odd, listing: &list::Listing, rule: SchemaRule) -> String {
    let list::Odd { name, why, mended } = odd;
    let done = match (rule, mended) {
        (SchemaRule::Pass, true) => {
            "passed on as it is, though clients may refuse the whole list; schema = \"repair\" mends it"
        }
        // What has a name is shown under it, however odd.
        (SchemaRule::Pass, false) if !name.is_empty() => {
            "passed on as it is, though clients may refuse the whole list; schema = \"repair\" leaves it out"
        }
        (_, true) => "repaired",
        (_, false) => "left out",
    };
    let of = if name.is_empty() { String::new() } else { format!(" {name:?}") };
    format!("{}{of}: {why}: {done}", listing.title().trim_end_matches('s'))
}
