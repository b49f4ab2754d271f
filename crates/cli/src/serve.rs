//! `portolan serve`: the gateway.

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::fault::Why;
use base::plan::Plan;
use base::sink::Sinks;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use gateway::assembly::{Bound, Gateway};
use replica::Replica;
use tokio::signal::unix::SignalKind;
use transport::net::Address;
use transport::workers::Workers;
use upstream::Upstream;

use crate::arrivals::{self, Tally, Telling};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::inherit::Inheriting;
use crate::log::Voice;
use crate::print::{self, Paint};
use crate::shared::{self, Shared};
use crate::signals::{self, Ends};
use crate::traced::Traced;
use crate::words::is_url;
use crate::{given, outside, recording};

pub(crate) mod configuration;
mod descriptors;
mod follow;
mod notify;

use configuration::Configuration;
use follow::Followed;

/// Serve the servers of a configuration at one endpoint
///
/// The configuration is read again when it has changed, and on SIGHUP: it is checked first, and if anything is wrong, the old
/// one goes on. SIGTERM and Ctrl-C let calls finish that are under way; a second one ends at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portolan serve portolan.toml
  portolan serve ~/.cursor/mcp.json --port 9000")]
pub(crate) struct Serve {
    /// The configuration: Portolan's own (TOML), or the mcp.json of a client; - is stdin
    #[arg(value_name = "FILE")]
    config: PathBuf,
    /// Listen here instead of where the configuration says: HOST:PORT or unix:PATH
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Listen at this port of 127.0.0.1: short for --listen 127.0.0.1:PORT
    #[arg(long, value_name = "PORT", conflicts_with = "listen")]
    port: Option<u16>,
    /// Serve /healthz, /readyz and /metrics here
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
    /// Refuse another client's file of which a server would be left out because it cannot be used
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    inheriting: Inheriting,
    /// Do not read the configuration again when it has changed, but only on SIGHUP
    #[arg(long)]
    no_watch: bool,
    /// Go on for so long when asked to end, and only say at /readyz that it is over, so that who sends clients here can
    /// notice: 5s, 1m
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    drain_delay: Option<Duration>,
    /// Keep the key of session ids in this directory, which is made if it is not there; without it, in
    /// $STATE_DIRECTORY, $XDG_STATE_HOME/portolan or ~/.local/state/portolan
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// The threads that carry connections; as many as there are cores, if not said. With 0 the main thread does all
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(..=1024))]
    threads: Option<u16>,
}

impl Serve {
    /// Serves until it is asked to end.
    pub(crate) async fn run(self, voice: Voice) -> Result<Exit, Fault> {
        if let Some(url) = self.config.to_str().filter(|word| is_url(word)) {
            return Err(Fault::usage("serve takes a configuration, not a URL").hint(format!(
                "write [upstream.NAME] and url = {url:?} into a portolan.toml; portolan stdio {url} brings this one server to \
                 a client that can only start commands"
            )));
        }
        let configuration = Configuration {
            path: self.config,
            listen: match (self.port, self.listen.as_deref()) {
                (Some(port), _) => Some(Address::Tcp("127.0.0.1".to_owned(), port)),
                (None, listen) => listen.map(given::address).transpose()?,
            },
            admin: self.admin.as_deref().map(given::address).transpose()?,
            drain_delay: self.drain_delay,
            strict: self.strict,
            inheriting: self.inheriting,
        };
        // From here on no signal ends it in the middle of something.
        let mut ends = Ends::listen()?;
        let mut hangup = signals::hear(SignalKind::hangup())?;
        outside::begin_random()?;
        let descriptors = descriptors::begin();
        let (loaded, mut followed) = follow::read(&configuration);
        let digest = loaded.digest;
        let mut plan = configuration.judge(loaded, voice)?;
        let watched = !self.no_watch && !configuration.is_stdin();
        let shared = Shared::open(&plan, self.state_dir.as_deref()).await?;
        let mut world = outside::world(&plan, shared.seal(), None, workers(self.threads)?)?;
        world.spawn = outside::spawn(descriptors.map(|limit| limit.before))?;
        world.store = shared.store();
        let recording = recording::open(&plan, self.state_dir.as_deref(), &mut world).await?;
        let traced = Traced::begin(&plan, &mut world)?;
        let sinks = world.sinks.clone();
        recording::tell_configuration(&sinks, (&configuration.path, digest), "read");
        let replica = shared::replica(&world)?;
        let bound_by = listeners(&plan);
        let left_out = configuration::left_out(&plan);
        let open = open_listeners(&plan);
        let names_left_out: Vec<_> = plan.left_out.iter().map(|left| left.name.clone()).collect();
        descriptors::share(&mut plan, descriptors);
        let gateway = Gateway::with_replica(plan, world, replica.clone());
        let bound = gateway.listen().await?;
        announce(&bound, (&configuration, &open), voice);
        say_left_out(left_out.as_deref(), voice);
        let mut settling = FuturesUnordered::new();
        settling
            .push(settle(&gateway, gateway.servers(), names_left_out, voice).map(|()| true).boxed_local());
        let living = live(&shared, replica.as_deref());
        tokio::pin!(living);
        loop {
            tokio::select! {
                () = ends.asked() => break,
                () = &mut living => {
                    tracing::info!("asked to drain by `portolan replicas --drain`");
                    break;
                }
                // What a reload has brought may be there before what the start has.
                Some(is_start) = settling.next() => if is_start { notify::ready() },
                _ = hangup.recv() => {
                    let (read, settles) = reload(&gateway, (&configuration, &sinks), &bound_by, voice);
                    followed = read;
                    settling.extend(settles);
                }
                () = followed.changed(), if watched => {
                    tracing::info!("the configuration has changed");
                    let (read, settles) = reload(&gateway, (&configuration, &sinks), &bound_by, voice);
                    followed = read;
                    settling.extend(settles);
                }
            }
        }
        let stopped = tokio::select! {
            stopped = stop(&gateway, &mut ends) => stopped,
            () = go_on(&shared) => Ok(Exit::Ok),
        };
        recording::close(recording).await;
        traced.close().await;
        shared.close().await;
        stopped
    }
}

/// What goes on beside serving, until this replica is asked to drain.
async fn live(shared: &Shared, replica: Option<&Replica>) {
    let asked = async {
        match replica {
            Some(replica) => replica.asked_to_drain().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = asked => {}
        () = shared.follow_keys() => {}
    }
}

/// What goes on while calls finish. It has no end.
async fn go_on(shared: &Shared) {
    shared.follow_keys().await;
}

fn workers(threads: Option<u16>) -> Result<Workers, Fault> {
    let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
    Workers::start(threads.map_or_else(cores, usize::from))
        .map_err(|error| Fault::outside("cannot start threads", &error))
}

/// Ends in good order, or at once if that is asked for a second time.
pub(crate) async fn stop(gateway: &Gateway, ends: &mut Ends) -> Result<Exit, Fault> {
    // Whoever has read the line finds it so: the admin listener has a thread of its own.
    gateway.leave();
    tracing::info!("draining; a second signal ends at once");
    tokio::select! {
        () = gateway.stop() => {
            tracing::info!("ended");
            Ok(Exit::Ok)
        }
        () = ends.asked() => {
            tracing::warn!("ended at once; calls that were under way are lost");
            Ok(Exit::Interrupted)
        }
    }
}

/// Reads it again; with what tells a person how the servers come up that are new, if there are any.
fn reload<'g>(
    gateway: &'g Gateway,
    (configuration, sinks): (&Configuration, &Sinks),
    bound_by: &str,
    voice: Voice,
) -> (Followed, Option<LocalBoxFuture<'g, bool>>) {
    let (loaded, followed) = follow::read(configuration);
    let digest = loaded.digest;
    let plan = match configuration.judge(loaded, voice) {
        Ok(plan) => plan,
        Err(fault) => {
            tracing::error!("{fault}; the old configuration goes on");
            recording::tell_configuration(sinks, (&configuration.path, digest), "refused");
            return (followed, None);
        }
    };
    if listeners(&plan) != bound_by {
        tracing::warn!(
            "listeners, store, keys, ledger, its sinks and telemetry are as they were at the start: a change of theirs needs a restart"
        );
    }
    let (servers, before) = (plan.upstreams.len(), gateway.servers());
    gateway.reload(plan);
    recording::tell_configuration(sinks, (&configuration.path, digest), "reloaded");
    let now = gateway.servers();
    let has = |all: &[Arc<Upstream>], name: &str| all.iter().any(|one| one.name() == name);
    let is_as_before = |one: &Arc<Upstream>| before.iter().any(|other| Arc::ptr_eq(one, other));
    let names = |of: &mut dyn Iterator<Item = &Arc<Upstream>>| {
        let names: Vec<_> = of.map(|one| one.name()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let is_theirs = |one: &&Arc<Upstream>| one.plan().watched;
    let fresh: Vec<_> = now.iter().filter(is_theirs).filter(|one| !is_as_before(one)).cloned().collect();
    tracing::info!(
        config = %configuration.path.display(),
        servers,
        added = names(&mut fresh.iter().filter(|one| !has(&before, one.name()))),
        changed = names(&mut fresh.iter().filter(|one| has(&before, one.name()))),
        removed = names(&mut before.iter().filter(is_theirs).filter(|one| !has(&now, one.name()))),
        "reloaded"
    );
    let tells = voice == Voice::Person && !fresh.is_empty();
    (followed, tells.then(|| settle(gateway, fresh, Vec::new(), voice).map(|()| false).boxed_local()))
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    config::duration(text).ok_or("expected a duration, such as 5s or 1m30s")
}

/// What a reload does not change. The parts of a plan have no equality; their Debug form has.
fn listeners(plan: &Plan) -> String {
    let Plan { listeners, admin, limits, store, keys, replicas, audit, sinks, telemetry, .. } = plan;
    let ours = format!("{listeners:?} {admin:?} {} {store:?} {keys:?} {replicas:?}", limits.children);
    format!("{ours} {audit:?} {sinks:?} {telemetry:?}")
}

/// The names of the listeners at which some route asks nobody who calls.
fn open_listeners(plan: &Plan) -> Vec<String> {
    let open = || plan.routes.iter().filter(|route| route.resource.is_none());
    let names = plan.listeners.iter().map(|listener| &listener.name);
    names.filter(|name| open().any(|route| route.is_at(name))).cloned().collect()
}

fn announce(bound: &[Bound], (configuration, open): (&Configuration, &[String]), voice: Voice) {
    let paint = Paint::stderr();
    if voice == Voice::Person {
        let version = env!("CARGO_PKG_VERSION");
        let path = configuration.path.display();
        print::err(&format!("{}Portolan {version}{}, {path}\n", paint.bold, paint.off));
    }
    for bound in bound {
        for url in bound.urls() {
            match voice {
                Voice::Person => print::err(&format!("  {:<9} {url}\n", bound.name)),
                Voice::Machine => tracing::info!(listener = bound.name, url, "listening"),
            }
        }
    }
    for bound in bound.iter().filter(|bound| open.contains(&bound.name) && !bound.address.is_local()) {
        warn_of_exposure(&bound.address, &bound.name, voice);
    }
}

/// Whoever reads what it serves must see what it does not serve.
fn say_left_out(names: Option<&str>, voice: Voice) {
    let Some(names) = names else { return };
    match voice {
        Voice::Person => {
            let paint = Paint::stderr();
            print::err(&format!("  {}left out{}  {names}\n", paint.error, paint.off));
        }
        Voice::Machine => tracing::warn!(servers = names, "left out"),
    }
}

/// Whoever reaches the address is let in.
fn warn_of_exposure(address: &Address, listener: &str, voice: Voice) {
    let text = format!(
        "{address} is reachable from other machines, and nobody who comes is asked who they are: they can use every \
         server behind it, with its credentials"
    );
    match voice {
        Voice::Person => {
            let paint = Paint::stderr();
            print::err(&format!("\n{}WARNING: {text}{}\n\n", paint.error, paint.off));
        }
        Voice::Machine => tracing::warn!(listener, "{text}"),
    }
}

/// Says how the servers are: to a person of each as it comes, and of all once each was tried.
async fn settle(gateway: &Gateway, servers: Vec<Arc<Upstream>>, left_out: Vec<String>, voice: Voice) {
    let mut tally = Tally::default();
    left_out.iter().for_each(|name| tally.left_out(name));
    let watched: Vec<_> = servers.iter().filter(|server| server.plan().watched).collect();
    let width = watched.iter().map(|server| server.name().chars().count()).max().unwrap_or_default();
    let mut coming: FuturesUnordered<_> =
        watched.into_iter().map(|server| come(gateway, server, (width, voice))).collect();
    while let Some((name, came)) = coming.next().await {
        match came {
            Ok(()) => tally.up(),
            Err(why) => tally.down(&name, &arrivals::brief(&name, &why)),
        }
    }
    let said = tally.sentence();
    match voice {
        Voice::Person => print::err(&format!("{}\n", print::safe_err(&said))),
        Voice::Machine if tally.is_all_up() => tracing::info!("ready: {said}"),
        Voice::Machine => tracing::warn!("ready, but not every server is up: {said}"),
    }
}

/// Waits until a server was tried. A person is told how that went, and meanwhile what it says.
async fn come(
    gateway: &Gateway,
    server: &Upstream,
    (width, voice): (usize, Voice),
) -> (String, Result<(), Why>) {
    let (name, paint) = (server.name().to_owned(), Paint::stderr());
    let tell = |(tint, state): (&str, &str), text: &str| {
        if voice == Voice::Person {
            let text = print::safe_err(text).replace('\n', " ");
            print::err(&format!("  {name:<width$}  {tint}{state:<4}{}  {text}\n", paint.off));
        }
    };
    let came = tokio::select! {
        came = arrivals::arrival(gateway, server) => came,
        never = arrivals::tell_of_start(server, Telling::COMING, |text| tell((paint.dim, "..."), text)) => match never {},
    };
    let came = came.map(|text| tell((paint.good, "up"), &text));
    if let Err(why) = &came {
        tell((paint.error, "down"), &arrivals::brief(&name, why));
    }
    (name, came)
}
