//! `portolan demo`: the whole of it on one machine, with nothing but this program.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::sync::Arc;

use base::plan::{Limits, ListenerPlan, Naming, Plan, Reach, RoutePlan, StdioReach, UpstreamPlan};
use gateway::assembly::{Bound, Gateway, StartFault};
use mcp::json::Object;
use mcp::version::Era;
use reference_server::{Eras, Settings};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use transport::child::ChildSpec;
use transport::http::server::ServerLimits;
use transport::net::{Address, SystemNetwork};
use transport::workers::Workers;

use crate::client::{Client, Deaf};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::print::{self, Paint};
use crate::signals::Ends;
use crate::{given, outside, serve};

const PORT: u16 = 8808;
const HOST: &str = "127.0.0.1";
/// The servers: what they are called, and what they are.
const SERVERS: [(&str, &str); 3] = [
    ("new", "modern, over HTTP"),
    ("old", "legacy, over HTTP with sessions"),
    ("local", "legacy, a child process over stdio"),
];

/// Show it all on this machine: three servers of two eras, a gateway in front of them, and calls through it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portolan demo
  portolan demo --once")]
pub(crate) struct Demo {
    /// End after the calls, with 0 only if each one gave the right answer
    #[arg(long)]
    once: bool,
}

/// The servers behind the gateway that run in this process.
struct Servers {
    drain: CancellationToken,
    tasks: TaskTracker,
}

impl Demo {
    /// Shows it.
    pub(crate) async fn run(self) -> Result<Exit, Fault> {
        let mut ends = Ends::listen()?;
        let (servers, plan) = Servers::start().await?;
        let gateway = Gateway::new(
            plan.clone(),
            outside::world(&plan, outside::passing_seal()?, None, Workers::default())?,
        );
        let outcome = tokio::select! {
            outcome = self.show(&gateway, plan) => outcome,
            () = ends.asked() => Err(Fault::Interrupted),
        };
        let outcome = match outcome {
            Ok(Exit::Ok) if !self.once => {
                ends.asked().await;
                print::err("\n");
                serve::stop(&gateway, &mut ends).await
            }
            outcome => {
                gateway.stop().await;
                outcome
            }
        };
        servers.stop().await;
        outcome
    }

    async fn show(&self, gateway: &Arc<Gateway>, plan: Plan) -> Result<Exit, Fault> {
        let paint = Paint::stdout();
        let bound = listen(gateway, plan).await?;
        let url = bound.iter().flat_map(Bound::urls).next().unwrap_or_default();
        print::out(format!("{}Portolan serves three MCP servers at {url}{}\n\n", paint.bold, paint.off))?;
        for (name, what) in SERVERS {
            print::out(format!("  {name:<6} {what}\n"))?;
        }
        print::out("\nEach adds two numbers, for a modern and for a legacy client:\n\n")?;
        let mut wrong = 0;
        for era in [Era::Modern, Era::Legacy] {
            let mut client = open(&url, era)?;
            for (name, _) in SERVERS {
                let sum = add(&mut client, name).await;
                let (mark, text) = match sum {
                    Ok(text) => (format!("{}ok{}", paint.good, paint.off), text),
                    Err(fault) => {
                        wrong += 1;
                        (format!("{}WRONG{}", paint.error, paint.off), fault.to_string())
                    }
                };
                print::out(format!("  {:<6} client, {name:<5}  {text}  {mark}\n", era.name()))?;
            }
            client.close().await;
        }
        if wrong > 0 {
            let what = format!("{wrong} of {} calls gave no right answer", SERVERS.len() * 2);
            return Err(Fault::Refused { what, hint: None });
        }
        if !self.once {
            print::out(format!("\n{}", how_to_connect(&url)))?;
        }
        Ok(Exit::Ok)
    }
}

impl Servers {
    /// Starts those that run in this process, and gives the plan of a gateway in front of all.
    async fn start() -> Result<(Self, Plan), Fault> {
        let servers = Self { drain: CancellationToken::new(), tasks: TaskTracker::new() };
        let [(new, _), (old, _), (local, _)] = SERVERS;
        let own = outside::own_program()?;
        let args = ["reference-server", "--stdio", "--era", "legacy", "--name", local];
        let child = ChildSpec {
            program: own,
            args: args.map(str::to_owned).to_vec(),
            env: outside::environment(),
            directory: None,
        };
        let stdio = StdioReach {
            child,
            idle_after: None,
            grace: Duration::from_secs(2),
            withheld: Default::default(),
        };
        let upstreams = vec![
            servers.http(new, Eras::Modern).await?,
            servers.http(old, Eras::Legacy).await?,
            UpstreamPlan::new(local, Reach::Stdio(stdio)),
        ];
        let route = RoutePlan {
            name: "demo".to_owned(),
            listeners: Vec::new(),
            path: "/mcp".to_owned(),
            sse_path: None,
            upstreams: upstreams.iter().map(|upstream| upstream.name.clone()).collect(),
            naming: Naming::default(),
            page_size: None,
            durable_streams: false,
            json_depth: Limits::JSON_DEPTH,
            tells_of_changes: true,
            resource: None,
            policy: None,
            decides: None,
        };
        let plan =
            Plan { listeners: vec![listener(PORT)], routes: vec![route], upstreams, ..Plan::default() };
        Ok((servers, plan))
    }

    async fn http(&self, name: &str, eras: Eras) -> Result<UpstreamPlan, Fault> {
        let settings = Settings { eras, name: name.to_owned(), ..Settings::default() };
        let address = Address::Tcp(HOST.to_owned(), 0);
        let served =
            reference_server::serve_http(&SystemNetwork, &address, settings, self.drain.clone()).await;
        let (running, serving) =
            served.map_err(|error| Fault::outside("cannot start a server on this machine", &error))?;
        self.tasks.spawn(serving);
        let mut plan = given::http_server(&running.url(), &[])?;
        name.clone_into(&mut plan.name);
        name.clone_into(&mut plan.prefix);
        Ok(plan)
    }

    async fn stop(self) {
        self.drain.cancel();
        self.tasks.close();
        // Only the gateway has called them, and it is gone.
        drop(tokio::time::timeout(Duration::from_secs(2), self.tasks.wait()).await);
    }
}

fn listener(port: u16) -> ListenerPlan {
    ListenerPlan {
        name: "main".to_owned(),
        address: Address::Tcp(HOST.to_owned(), port),
        tls: None,
        allowed_hosts: Vec::new(),
        allowed_origins: Vec::new(),
        limits: ServerLimits::default(),
        reuse_port: false,
    }
}

/// Listens at the usual port, or at any if that is taken.
async fn listen(gateway: &Gateway, mut plan: Plan) -> Result<Vec<Bound>, Fault> {
    match gateway.listen().await {
        Err(StartFault::Bind { source, .. }) if source.kind() == io::ErrorKind::AddrInUse => {
            print::err(&format!("port {PORT} is taken; this demo takes a free one\n"));
            plan.listeners = vec![listener(0)];
            gateway.reload(plan);
            Ok(gateway.listen().await?)
        }
        bound => Ok(bound?),
    }
}

/// A client of the gateway that speaks one era.
fn open(url: &str, era: Era) -> Result<Client, Fault> {
    let mut plan = given::http_server(url, &[])?;
    plan.era = base::plan::EraRule::Is(era);
    plan.watched = false;
    Client::open(plan, None)
}

/// Has a server add two numbers that nobody could have guessed, and checks the sum.
async fn add(client: &mut Client, server: &str) -> Result<String, Fault> {
    let (a, b) = (any_number(), any_number());
    let params = [format!("\"name\":\"{server}__add\""), format!("\"arguments\":{{\"a\":{a},\"b\":{b}}}")];
    let answer = client.get("tools/call", &params, &mut Deaf).await?;
    let result = answer.object()?;
    let structured = result.object("structuredContent").ok().flatten();
    let sum = structured.as_ref().and_then(|it: &Object<'_>| it.get("sum").ok().flatten());
    let expected = (a + b).to_string();
    if sum == Some(expected.as_str()) {
        return Ok(format!("{a} + {b} = {expected}"));
    }
    let text = format!("{a} + {b} is {expected}, and the answer is {}", answer.text());
    Err(Fault::Refused { what: text, hint: None })
}

/// A number past 2^53, so that a gateway which reads numbers as floats would change it.
fn any_number() -> i64 {
    let random = RandomState::new().build_hasher().finish();
    let small = i64::try_from(random >> 2).unwrap_or_default();
    small | (1 << 53)
}

fn how_to_connect(url: &str) -> String {
    format!(
        "\
Connect a client:

  by URL         {{ \"mcpServers\": {{ \"portolan\": {{ \"url\": \"{url}\" }} }} }}
  by a command   {{ \"mcpServers\": {{ \"portolan\": {{ \"command\": \"portolan\", \"args\": [\"stdio\", \"--url\", \"{url}\"] }} }} }}
  Claude Code    claude mcp add --transport http portolan {url}
  by hand        portolan list {url}
                 portolan call {url} local__add a=1 b=2

Your own servers: portolan serve mcp.json

It serves until Ctrl-C.
"
    )
}
