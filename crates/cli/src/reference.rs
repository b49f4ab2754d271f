//! `portolan reference-server`: a small real MCP server of both eras, to try things on.

use std::num::NonZeroUsize;

use reference_server::{Eras, Settings};
use tokio_util::sync::CancellationToken;
use transport::net::SystemNetwork;

use crate::exit::Exit;
use crate::fault::Fault;
use crate::signals::Ends;
use crate::{given, print};

/// Serve a small real MCP server, to try clients and gateways on
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  portolan reference-server --http 127.0.0.1:9000
  portolan list tools -- portolan reference-server --stdio")]
pub(crate) struct ReferenceServer {
    /// Serve Streamable HTTP at this address; the URL is printed to stdout. A port of 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", conflicts_with = "stdio")]
    http: String,
    /// Serve over stdin and stdout
    #[arg(long)]
    stdio: bool,
    /// Which eras of the protocol it speaks: both, modern or legacy
    #[arg(long, value_name = "ERA", default_value = "both", value_parser = eras)]
    era: Eras,
    /// The most entries on a page of its lists
    #[arg(long, value_name = "NUMBER")]
    page_size: Option<NonZeroUsize>,
    /// What it calls itself
    #[arg(long, value_name = "NAME", default_value = "portolan-reference")]
    name: String,
}

impl ReferenceServer {
    /// Serves until stdin ends, or a signal comes.
    pub(crate) async fn run(self) -> Result<Exit, Fault> {
        let settings = Settings { eras: self.era, name: self.name, page_size: self.page_size };
        if self.stdio {
            let served =
                reference_server::serve_stdio(tokio::io::stdin(), tokio::io::stdout(), settings).await;
            served.map_err(|error| Fault::outside("the client's streams broke", &error))?;
            return Ok(Exit::Ok);
        }
        let address = given::address(&self.http)?;
        let mut ends = Ends::listen()?;
        let drain = CancellationToken::new();
        let served = reference_server::serve_http(&SystemNetwork, &address, settings, drain.clone()).await;
        let (running, mut serving) =
            served.map_err(|error| Fault::outside(&format!("cannot listen at {address}"), &error))?;
        print::out(format!("{}\n", running.url()))?;
        tokio::select! {
            () = &mut serving => return Ok(Exit::Ok),
            () = ends.asked() => drain.cancel(),
        }
        tokio::select! {
            () = serving => Ok(Exit::Ok),
            () = ends.asked() => Ok(Exit::Interrupted),
        }
    }
}

fn eras(text: &str) -> Result<Eras, String> {
    text.parse::<Eras>().map_err(|unknown| unknown.to_string())
}
