//! A real MCP server that speaks both eras, over Streamable HTTP and stdio.
//!
//! It offers what the official conformance suite asks of a server under test, and some tools with which a test sees
//! what reached a server. It stands on [`mcp`] and [`transport`] alone, so it is also the example of how to write a
//! server on them.
//!
//! What it offers is written once, against a `LiveCall`; what differs between the eras is in two shells.
//! Reading order: `tool` and `tools` (what a tool is, and all of them), `prompts`, `resources`, `live` (a call and its
//! line to the client), `rounds` (how a modern call asks), `methods` (what both eras answer alike), then the shells
//! `modern` and `legacy`, and the doors that lead to them, `http` and `stdio`.
//!
//! Tools beside the suite's, with what they give as structured content:
//!
//! | Tool | |
//! | --- | --- |
//! | `add` (`a`, `b`) | `{"sum"}`, exact for whole numbers |
//! | `echo` | its arguments, byte for byte, and the same as text |
//! | `sleep` (`ms`), `slow_counter` (`to`, `intervalMs`) | take their time, and report progress to who asks |
//! | `cancellations` (`atLeast`, `withinMs`) | `{"cancellations"}`: tool calls cancelled so far; waits for that many |
//! | `region` (`region`, `priority`) | its arguments, which modern HTTP clients repeat in headers |
//! | `whoami` | `{"era", "protocolVersion", "meta", "headers"}` of this very call |
//! | `counters` | `{"requests", "sessionsOpened", "sessions", "streams", "listens"}`; the last three are those now open |
//! | `test_trigger_resource_update` | changes `test://watched-resource` |
//! | `test_cancellation`, `test_cancellation_outcome`, `test_seen_request` | as in the peers of `interop/` |

mod answer;
mod calls;
mod changes;
mod http;
mod legacy;
mod live;
mod methods;
mod modern;
mod page;
mod prompts;
mod question;
mod resources;
mod rounds;
mod seal;
mod server;
mod stdio;
mod tool;
mod tools;
mod world;

use std::io;

use mcp::version::Era;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use transport::net::{Address, BoxFuture, Network};

/// How the server behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Which eras it speaks; it refuses the other as a server would that never heard of it.
    pub eras: Eras,
    /// `serverInfo.name`.
    pub name: String,
    /// The most entries on a page of a list; one page for all without. The cursor of the second page is then the
    /// empty string, because an empty cursor is a cursor (MCP 2026-07-28 `server/utilities/pagination`).
    pub page_size: Option<std::num::NonZeroUsize>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { eras: Eras::Both, name: "portolan-reference".to_owned(), page_size: None }
    }
}

/// The eras that a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Eras {
    /// Modern requests stand for themselves, `initialize` opens a legacy session, both on one endpoint.
    #[default]
    Both,
    /// 2026-07-28 only.
    Modern,
    /// 2025-11-25 and earlier only.
    Legacy,
}

impl Eras {
    /// Whether `era` is among them.
    #[must_use]
    pub fn include(self, era: Era) -> bool {
        matches!((self, era), (Self::Both, _) | (Self::Modern, Era::Modern) | (Self::Legacy, Era::Legacy))
    }
}

impl std::str::FromStr for Eras {
    type Err = UnknownEras;

    fn from_str(text: &str) -> Result<Self, UnknownEras> {
        match text {
            "both" => Ok(Self::Both),
            "modern" => Ok(Self::Modern),
            "legacy" => Ok(Self::Legacy),
            other => Err(UnknownEras(other.to_owned())),
        }
    }
}

/// A word that names no eras.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of both, modern and legacy")]
pub struct UnknownEras(String);

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Running {
    /// The bound address; the port is the real one when 0 was asked for.
    pub address: Address,
}

impl Running {
    /// The URL of its MCP endpoint.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.address {
            Address::Tcp(..) => format!("http://{}{}", self.address, http::PATH),
            // A client gives the socket beside the URL; the host is one that the server accepts.
            Address::Unix(_) => format!("http://localhost{}", http::PATH),
        }
    }
}

/// Binds `address` and gives back where that is, and the future that serves it.
///
/// The future runs until `drain` is cancelled: then it stops accepting, ends the listen streams in good order, lets
/// running calls finish, and returns. Whoever will not wait that long drops it, which cancels every call.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve_http(
    network: &dyn Network,
    address: &Address,
    settings: Settings,
    drain: CancellationToken,
) -> io::Result<(Running, BoxFuture<'static, ()>)> {
    let server = server::Server::new(settings, drain)?;
    let listener = network.bind(address).await?;
    let running = Running { address: listener.local() };
    Ok((running, Box::pin(http::serve(server, listener))))
}

/// Serves one client over two byte streams, one message a line, until `input` ends.
///
/// # Errors
/// When one of the streams breaks.
pub async fn serve_stdio(
    input: impl AsyncRead + Send + Unpin + 'static,
    output: impl AsyncWrite + Send + Unpin + 'static,
    settings: Settings,
) -> io::Result<()> {
    let server = server::Server::new(settings, CancellationToken::new())?;
    stdio::serve(&server, input, output).await
}
