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
use super::{ClientSettings, Destination, Proxy, SendFault, causes};
use crate::descriptors;
use crate::http::body::Pieces;
use crate::net::{Address, BoxIo, Network};
use crate::tls::{self, TlsFault};

/// Makes connections to one server.
#[derive(Debug)]
pub(super) struct Connector {
    network: Arc<dyn Network>,
    settings: ClientSettings,
    /// Made at the first https connection: to read the system's authorities takes longer than a start should.
    tls: OnceLock<Arc<ClientConfig>>,
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
            Ok(Err(error)) if descriptors::are_lacking(&error) => {
                Err(SendFault::OutOfDescriptors(error.to_string()))
            }
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
        let io = match (&self.settings.proxy, &address) {
            (Some(proxy), Address::Tcp(..)) => {
                let through = self.through(proxy, (&address, self.forwards(to).is_some())).await;
                through.map_err(|error| io::Error::other(format!("the proxy {proxy}: {error}")))?
            }
            _ => self.network.connect(&address).await?,
        };
        if !secure {
            return handshake(io, self.settings.http2).await;
        }
        let config = self.tls().map_err(io::Error::other)?;
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        let stream = TlsConnector::from(config).connect(name, io).await;
        let stream = stream.map_err(|error| tls::no_tls(error, "write http:// for https://"))?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        handshake(Box::new(stream), http2).await
    }

    /// The proxy that is given whole requests to pass on, if a destination is reached so. Everything else goes through it
    /// without being seen: many proxies allow that for TLS alone.
    pub(super) fn forwards(&self, to: &Destination) -> Option<&Proxy> {
        let passes_on = to.0.scheme == Scheme::HTTP && !self.settings.http2 && self.settings.socket.is_none();
        self.settings.proxy.as_ref().filter(|_| passes_on)
    }

    /// A connection to a proxy, and through it where it does not pass on what it is given.
    async fn through(&self, proxy: &Proxy, (target, forwards): (&Address, bool)) -> io::Result<BoxIo> {
        let mut io = self.network.connect(&proxy.address()).await?;
        if let Some(name) = proxy.tls_name() {
            let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
            let config = self.tls().map_err(io::Error::other)?;
            // What is negotiated here is between us and the proxy, which is spoken to in HTTP/1.1.
            let mut config = (*config).clone();
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            io = Box::new(TlsConnector::from(Arc::new(config)).connect(name, io).await?);
        }
        if !forwards {
            proxy.tunnel(&mut io, target).await?;
        }
        Ok(io)
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, String> {
        if let Some(known) = self.tls.get() {
            return Ok(Arc::clone(known));
        }
        // A failure is not kept: there may have been no descriptor left for the file.
        let made = tls::client(self.settings.authorities.as_deref());
        let made = made.map_err(|fault: TlsFault| fault.to_string())?;
        Ok(Arc::clone(self.tls.get_or_init(|| made)))
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
