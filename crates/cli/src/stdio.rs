//! `portolan stdio`: the gateway, or a bridge to one server, for a client that can only start a command.

use std::path::PathBuf;

use base::plan::{Limits, Naming, Plan, RoutePlan};
use gateway::assembly::Gateway;
use transport::workers::Workers;

use crate::exit::Exit;
use crate::fault::Fault;
use crate::inherit::Inheriting;
use crate::log::Voice;
use crate::peer::EraChoice;
use crate::serve::configuration::Configuration;
use crate::signals::Ends;
use crate::traced::Traced;
use crate::words::is_url;
use crate::{given, outside, recording};

/// Serve one client over stdin and stdout
///
/// With --config it gets the first route of that configuration; with --url it gets that server, of whatever era. Stdout
/// carries nothing but MCP; the log goes to stderr.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example, in the file of a client that can only start commands:
  { \"mcpServers\": { \"portolan\": {
      \"command\": \"portolan\",
      \"args\": [\"stdio\", \"--url\", \"https://mcp.example.com/mcp\"]
  } } }")]
pub(crate) struct Stdio {
    /// The configuration, as for serve, or the URL of a gateway or server: the same as --config FILE or --url URL
    #[arg(value_name = "FILE|URL", conflicts_with_all = ["config", "url"])]
    from: Option<String>,
    /// The configuration: Portolan's own, or the mcp.json of a client
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    config: Option<PathBuf>,
    /// Refuse another client's file of which a server would be left out because it cannot be used
    #[arg(long, conflicts_with = "url")]
    strict: bool,
    #[command(flatten)]
    inheriting: Inheriting,
    /// A gateway or server at this URL
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A header for every request to the URL, as 'Name: value'; may be given several times. `${env:NAME}` and
    /// `${file:PATH}` are put in
    #[arg(short = 'H', long = "header", value_name = "HEADER", conflicts_with = "config")]
    headers: Vec<String>,
    /// Which era the server at the URL speaks
    #[arg(long, value_name = "ERA", default_value = "auto", conflicts_with = "config")]
    era: EraChoice,
}

impl Stdio {
    /// Serves until stdin ends, or a signal comes.
    pub(crate) async fn run(mut self, voice: Voice) -> Result<Exit, Fault> {
        match self.from.take() {
            Some(url) if is_url(&url) => self.url = Some(url),
            Some(file) => self.config = Some(file.into()),
            None => {}
        }
        let mut digest = None;
        let plan = match (&self.config, &self.url) {
            (Some(path), _) => {
                let inheriting = self.inheriting.clone();
                let of = Configuration { strict: self.strict, inheriting, ..Configuration::at(path) };
                let loaded = of.read();
                digest = loaded.digest;
                of.judge(loaded, voice)?
            }
            (None, Some(url)) => self.bridge(url)?,
            (None, None) => {
                return Err(Fault::usage("neither a configuration nor a URL is named").hint(
                    "portolan stdio mcp.json serves its servers, portolan stdio URL the one at the URL",
                ));
            }
        };
        let mut ends = Ends::listen()?;
        let mut world = outside::world(&plan, outside::passing_seal()?, None, Workers::default())?;
        let recording = recording::open(&plan, None, &mut world).await?;
        if let Some(path) = &self.config {
            recording::tell_configuration(&world.sinks, (path, digest), "read");
        }
        let traced = Traced::begin(&plan, &mut world)?;
        let gateway = Gateway::new(plan, world);
        let served = tokio::select! {
            served = gateway.serve_stdio(tokio::io::stdin(), tokio::io::stdout()) => served,
            () = ends.asked() => Ok(()),
        };
        let in_order = tokio::select! {
            () = gateway.stop() => true,
            () = ends.asked() => false,
        };
        recording::close(recording).await;
        traced.close().await;
        if !in_order {
            return Ok(Exit::Interrupted);
        }
        served.map_err(|error| Fault::outside("the client's streams broke", &error))?;
        Ok(Exit::Ok)
    }

    fn bridge(&self, url: &str) -> Result<Plan, Fault> {
        let mut server = given::http_server(url, &self.headers)?;
        server.era = self.era.rule();
        let mut plan = Plan::default();
        plan.routes.push(RoutePlan {
            name: "only".to_owned(),
            listeners: Vec::new(),
            path: "/mcp".to_owned(),
            sse_path: None,
            upstreams: vec![server.name.clone()],
            naming: Naming::default(),
            page_size: None,
            durable_streams: false,
            json_depth: Limits::JSON_DEPTH,
            tells_of_changes: true,
            resource: None,
            policy: None,
            decides: None,
        });
        plan.upstreams.push(server);
        Ok(plan)
    }
}
