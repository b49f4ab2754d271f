//! A network in memory: addresses, and pipes between them that can be cut.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use transport::net::{Accept, Accepted, Address, BoxFuture, BoxIo, Network};

/// How many bytes a connection holds that its other end has not read: as little as real buffers do, so that who does
/// not read is felt.
const BUFFER: usize = 64 * 1024;
/// The first port for those who ask for any.
const FIRST_PORT: u16 = 40_000;

/// A network in memory. Cheap to clone; all clones are the same network.
#[derive(Debug, Clone, Default)]
pub struct MemoryNetwork {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    places: Mutex<BTreeMap<String, Place>>,
    ports: AtomicU16,
}

/// What is known of one address.
#[derive(Debug, Default)]
struct Place {
    listener: Option<mpsc::UnboundedSender<(BoxIo, Address)>>,
    /// Whether connecting never ends, as with a firewall that drops packets.
    silent: bool,
    /// Whether connections are refused, although somebody listens.
    refuses: bool,
    refused: usize,
    opened: usize,
    live: Arc<AtomicUsize>,
    connections: Vec<CancellationToken>,
}

impl MemoryNetwork {
    /// Breaks all connections to an address; both ends see a reset.
    pub fn cut(&self, address: &Address) {
        let mut places = self.inner.places.lock().unwrap();
        if let Some(place) = places.get_mut(&address.to_string()) {
            for connection in place.connections.drain(..) {
                connection.cancel();
            }
        }
    }

    /// From now on connecting to an address never ends (or no longer so).
    pub fn silence(&self, address: &Address, silent: bool) {
        self.inner.places.lock().unwrap().entry(address.to_string()).or_default().silent = silent;
    }

    /// From now on connections to an address are refused, as by a server that is being restarted (or no longer so).
    pub fn refuse(&self, address: &Address, refuses: bool) {
        self.inner.places.lock().unwrap().entry(address.to_string()).or_default().refuses = refuses;
    }

    /// How many connections to an address were refused so far.
    #[must_use]
    pub fn refused(&self, address: &Address) -> usize {
        self.inner.places.lock().unwrap().get(&address.to_string()).map_or(0, |place| place.refused)
    }

    /// Makes an address lead where another one leads, as a name in somebody's DNS does.
    pub fn alias(&self, name: &Address, of: &Address) {
        let mut places = self.inner.places.lock().unwrap();
        let listener = places.get(&of.to_string()).and_then(|place| place.listener.clone());
        places.entry(name.to_string()).or_default().listener = listener;
    }

    /// How many connections to an address were ever made.
    #[must_use]
    pub fn opened(&self, address: &Address) -> usize {
        self.inner.places.lock().unwrap().get(&address.to_string()).map_or(0, |place| place.opened)
    }

    /// How many connections to an address have an end that is still held.
    #[must_use]
    pub fn live(&self, address: &Address) -> usize {
        let places = self.inner.places.lock().unwrap();
        places.get(&address.to_string()).map_or(0, |place| place.live.load(Ordering::SeqCst) / 2)
    }

    fn port(&self) -> u16 {
        FIRST_PORT + self.inner.ports.fetch_add(1, Ordering::SeqCst)
    }

    fn dial(&self, address: &Address) -> Option<io::Result<BoxIo>> {
        let peer = Address::Tcp("127.0.0.1".to_owned(), self.port());
        let refused = || {
            Some(Err(io::Error::new(
                io::ErrorKind::ConnectionRefused,
                format!("nobody listens at {address}"),
            )))
        };
        let mut places = self.inner.places.lock().unwrap();
        let Some(place) = places.get_mut(&address.to_string()) else { return refused() };
        if place.silent {
            return None;
        }
        let Some(listener) = place.listener.clone().filter(|_| !place.refuses) else {
            place.refused += 1;
            return refused();
        };
        let (ours, theirs) = tokio::io::duplex(BUFFER);
        let cut = CancellationToken::new();
        let end = |io| Box::new(End::new(io, &cut, &place.live)) as BoxIo;
        if listener.send((end(theirs), peer)).is_err() {
            place.listener = None;
            return refused();
        }
        place.opened += 1;
        place.connections.push(cut.clone());
        Some(Ok(end(ours)))
    }
}

impl Network for MemoryNetwork {
    fn bind<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Accept>>> {
        Box::pin(async move {
            let local = match address {
                Address::Tcp(host, 0) => Address::Tcp(host.clone(), self.port()),
                other => other.clone(),
            };
            let (sender, incoming) = mpsc::unbounded_channel();
            let mut places = self.inner.places.lock().unwrap();
            let place = places.entry(local.to_string()).or_default();
            if place.listener.as_ref().is_some_and(|listener| !listener.is_closed()) {
                return Err(io::Error::from(io::ErrorKind::AddrInUse));
            }
            place.listener = Some(sender);
            Ok(Box::new(Listening { local, incoming }) as Box<dyn Accept>)
        })
    }

    fn connect<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<BoxIo>> {
        Box::pin(async move {
            match self.dial(address) {
                Some(connected) => connected,
                None => std::future::pending().await,
            }
        })
    }
}

#[derive(Debug)]
struct Listening {
    local: Address,
    incoming: mpsc::UnboundedReceiver<(BoxIo, Address)>,
}

impl Accept for Listening {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Accepted, Address)>> {
        Box::pin(async move {
            let (io, peer) =
                self.incoming.recv().await.ok_or_else(|| io::Error::other("the network is gone"))?;
            Ok((Accepted::Io(io), peer))
        })
    }

    fn accept_waiting(&mut self) -> io::Result<Option<(Accepted, Address)>> {
        Ok(self.incoming.try_recv().ok().map(|(io, peer)| (Accepted::Io(io), peer)))
    }

    fn local(&self) -> Address {
        self.local.clone()
    }
}

/// One end of a connection.
struct End {
    io: DuplexStream,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    live: Arc<AtomicUsize>,
}

impl End {
    fn new(io: DuplexStream, cut: &CancellationToken, live: &Arc<AtomicUsize>) -> Self {
        live.fetch_add(1, Ordering::SeqCst);
        Self { io, cut: Box::pin(cut.clone().cancelled_owned()), live: Arc::clone(live) }
    }

    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::Error::from(io::ErrorKind::ConnectionReset)),
            Poll::Pending => Ok(()),
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.live.fetch_sub(1, Ordering::SeqCst);
    }
}

impl AsyncRead for End {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for End {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("End").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn at(port: u16) -> Address {
        Address::Tcp("a".to_owned(), port)
    }

    #[tokio::test(start_paused = true)]
    async fn connections_carry_bytes_until_they_are_cut() {
        let network = MemoryNetwork::default();
        let mut listener = network.bind(&at(1)).await.unwrap();
        let mut client = network.connect(&at(1)).await.unwrap();
        let (served, _) = listener.accept().await.unwrap();
        let mut served = served.open().unwrap();
        client.write_all(b"ahoy").await.unwrap();
        let mut seen = [0; 4];
        served.read_exact(&mut seen).await.unwrap();
        assert_eq!((&seen, network.opened(&at(1)), network.live(&at(1))), (b"ahoy", 1, 1));
        network.cut(&at(1));
        assert_eq!(served.read(&mut seen).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert!(client.write_all(b"x").await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_and_silence_are_different() {
        let network = MemoryNetwork::default();
        assert_eq!(network.connect(&at(2)).await.err().unwrap().kind(), io::ErrorKind::ConnectionRefused);
        network.silence(&at(2), true);
        let waited =
            tokio::time::timeout(std::time::Duration::from_secs(3600), network.connect(&at(2))).await;
        assert!(waited.is_err());
    }
}
