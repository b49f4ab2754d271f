//! The conformance fixture, served by the official Rust SDK.
//!
//! It is a peer that Portolan is tested against: the names and answers are those that the official conformance suite
//! expects of a server, and each tool that asks the client something does so in the way of the era that the call
//! came in.
//!
//! ```text
//! PORT=0 rmcp-server                        Streamable HTTP; prints "listening http://127.0.0.1:PORT/mcp" when ready
//! TRANSPORT=stdio rmcp-server               the same server on stdin and stdout
//!
//! ERA=modern|legacy|both   (both)           refuse the other era, as a server of one age would
//! PAGE_SIZE=N              (0: all at once) split the four lists into pages of N
//! ```
//!
//! Standard output carries that one line (or the protocol); everything else goes to standard error. A call that is
//! cancelled says so there ("cancelled TOOL"), which is how a test learns that a cancellation came through.

mod ask;
mod fixture;
mod prompts;
mod resources;
mod tasks;
mod tools;

use std::convert::Infallible;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rmcp::ServiceExt as _;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;

use crate::fixture::{Era, Fixture};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("rmcp-server: {message}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), String> {
    let era = match variable("ERA")?.as_deref() {
        None | Some("both") => Era::Both,
        Some("modern") => Era::Modern,
        Some("legacy") => Era::Legacy,
        Some(other) => return Err(format!("ERA is {other:?}; it must be both, modern or legacy")),
    };
    let stdio = match variable("TRANSPORT")?.as_deref() {
        None | Some("http") => false,
        Some("stdio") => true,
        Some(other) => return Err(format!("TRANSPORT is {other:?}; it must be http or stdio")),
    };
    let port: u16 = number("PORT")?;
    let page_size: u16 = number("PAGE_SIZE")?;
    let fixture = Arc::new(Fixture::new(era, page_size.into())?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    if stdio {
        runtime.block_on(serve_stdio(fixture))
    } else {
        runtime.block_on(serve_http(fixture, era, port))
    }
}

/// The variable's value; an empty one counts as not set.
fn variable(name: &str) -> Result<Option<String>, String> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(format!("{name} is not valid UTF-8")),
    }
}

fn number(name: &str) -> Result<u16, String> {
    let Some(value) = variable(name)? else { return Ok(0) };
    value.parse().map_err(|_| format!("{name} is {value:?}; it must be a number from 0 to 65535"))
}

async fn serve_stdio(fixture: Arc<Fixture>) -> Result<(), String> {
    let service = fixture
        .serve(rmcp::transport::stdio())
        .await
        .map_err(|error| format!("no connection came about: {error}"))?;
    service.waiting().await.map_err(|error| format!("the connection broke: {error}"))?;
    Ok(())
}

/// After how long a client that lost a legacy stream comes back for the rest.
const RETRY: Duration = Duration::from_millis(100);

type Service = StreamableHttpService<Arc<Fixture>, LocalSessionManager>;

async fn serve_http(fixture: Arc<Fixture>, era: Era, port: u16) -> Result<(), String> {
    let config = StreamableHttpServerConfig::default()
        // By default only the Host header is checked.
        .with_allowed_origins(["http://127.0.0.1:*", "http://localhost:*", "http://[::1]:*"])
        .with_sse_retry(Some(RETRY))
        .with_legacy_session_mode(era != Era::Modern)
        .with_stateless_protocol_metadata_required(era == Era::Modern);
    let mut sessions = LocalSessionManager::default();
    sessions.session_config.sse_retry = Some(RETRY);
    let service: Service =
        StreamableHttpService::new(move || Ok(Arc::clone(&fixture)), Arc::new(sessions), config);

    let listener = TcpListener::bind(("127.0.0.1", port))
        .await
        .map_err(|error| format!("cannot listen on 127.0.0.1:{port}: {error}"))?;
    let address = listener.local_addr().map_err(|error| format!("cannot tell the port: {error}"))?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "listening http://{address}/mcp")
        .and_then(|()| stdout.flush())
        .map_err(|error| format!("cannot say where it listens: {error}"))?;

    loop {
        let (stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // A client that is gone again, or too many open files: neither ends the server.
                eprintln!("accept: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let service = service.clone();
        tokio::spawn(async move {
            let handler = service_fn(|request| answer(service.clone(), request));
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), handler);
            if let Err(error) = connection.await
                && !error.is_incomplete_message()
            {
                eprintln!("connection: {error}");
            }
        });
    }
}

async fn answer(
    service: Service,
    request: http::Request<Incoming>,
) -> Result<http::Response<BoxBody<Bytes, Infallible>>, Infallible> {
    if request.uri().path() == "/mcp" {
        return Ok(service.handle(request).await);
    }
    let mut response = http::Response::new(Full::new(Bytes::from_static(b"Not Found")).boxed());
    *response.status_mut() = http::StatusCode::NOT_FOUND;
    Ok(response)
}
