//! New connections.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::uri::Scheme;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::pool::Http1;
use super::{ClientSettings, Destination, SendFault, causes};
use crate::http::body::Pieces;
use crate::net::{Address, BoxIo, Network};
use crate::tls::{self, TlsFault};

/// Makes connections to one server.
#[derive(Debug)]
pub(super) struct Connector {
    network: Arc<dyn Network>,
    settings: ClientSettings,
    /// Made at the first https connection: to read the system's authorities takes longer than a start should.
    tls: OnceLock<Result<Arc<ClientConfig>, String>>,
}

/// How often a peer over HTTP/2 is asked whether it is still there.
const PROBE: Duration = Duration::from_secs(30);

/// A new connection.
pub(super) enum Connected {
    /// For one request at a time.
    Http1(Http1),
    /// For any number.
    Http2(http2::SendRequest<Pieces>),
}

impl Connector {
    pub(super) fn new(network: Arc<dyn Network>, settings: ClientSettings) -> Self {
        Self { network, settings, tls: OnceLock::new() }
    }

    /// Makes a connection; nothing of a request is sent on it.
    pub(super) async fn connect(&self, to: &Destination) -> Result<Connected, SendFault> {
        let within = self.settings.connect_timeout;
        match tokio::time::timeout(within, self.open(to)).await {
            Ok(Ok(connected)) => Ok(connected),
            Ok(Err(error)) => Err(SendFault::Connect(error.to_string())),
            Err(_elapsed) => Err(SendFault::Late(format!("no connection within {within:?}"))),
        }
    }

    async fn open(&self, to: &Destination) -> io::Result<Connected> {
        let (scheme, authority) = (&to.0.scheme, &to.0.authority);
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let secure = *scheme == Scheme::HTTPS;
        let address = match &self.settings.socket {
            Some(path) => Address::Unix(path.clone()),
            None => Address::Tcp(host.clone(), authority.port_u16().unwrap_or(if secure { 443 } else { 80 })),
        };
        let io = self.network.connect(&address).await?;
        if !secure {
            return handshake(io, self.settings.http2).await;
        }
        let config = self.tls().map_err(io::Error::other)?;
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        let stream = TlsConnector::from(config).connect(name, io).await?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        handshake(Box::new(stream), http2).await
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, String> {
        let make =
            || tls::client(self.settings.authorities.as_deref()).map_err(|fault: TlsFault| fault.to_string());
        self.tls.get_or_init(make).clone()
    }
}

async fn handshake(io: BoxIo, http2: bool) -> io::Result<Connected> {
    let fault = |error: hyper::Error| io::Error::other(causes(&error));
    if !http2 {
        return Http1::open(io).await.map(Connected::Http1).map_err(fault);
    }
    let mut builder = http2::Builder::new(TokioExecutor::new());
    // It may lie idle for long: a peer that vanished without a word must not be found out by a call.
    builder.timer(TokioTimer::new()).keep_alive_interval(PROBE).keep_alive_while_idle(true);
    let (sender, driver) = builder.handshake(TokioIo::new(io)).await.map_err(fault)?;
    tokio::spawn(async move {
        if let Err(error) = driver.await {
            tracing::debug!(error = causes(&error), "a connection over HTTP/2 ended");
        }
    });
    Ok(Connected::Http2(sender))
}
