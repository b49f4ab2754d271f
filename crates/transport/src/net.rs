//! Where the world begins: binding and connecting behind a trait, so that replicas, servers and a bad network can run
//! in one test without sockets.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// A connected byte stream.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// Any connected byte stream.
pub type BoxIo = Box<dyn Io>;

/// A future that a trait object returns.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where to listen, or whom to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A host name or IP address (IPv6 without brackets) and a port.
    Tcp(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// Whether only programs on this machine can reach it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp(host, _) => {
                host.eq_ignore_ascii_case("localhost")
                    || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
            }
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address.ip().to_string(), address.port())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A connection that was accepted and belongs to no runtime yet: the one that opens it carries it.
pub enum Accepted {
    /// A socket.
    Tcp(std::net::TcpStream),
    /// A Unix socket.
    Unix(std::os::unix::net::UnixStream),
    /// Something that any runtime can carry.
    Io(BoxIo),
}

impl Accepted {
    /// The connection, carried by the runtime that this is called in.
    ///
    /// # Errors
    /// When the system refuses to watch the socket.
    pub fn open(self) -> io::Result<BoxIo> {
        Ok(match self {
            Self::Tcp(socket) => Box::new(TcpStream::from_std(socket)?),
            Self::Unix(socket) => Box::new(UnixStream::from_std(socket)?),
            Self::Io(io) => io,
        })
    }
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Accepted")
    }
}

/// A listening socket.
pub trait Accept: Send + fmt::Debug {
    /// The next connection, and who made it.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Accepted, Address)>>;
    /// Where it listens; the port is the real one when 0 was asked for.
    fn local(&self) -> Address;
}

/// Binds and connects.
pub trait Network: Send + Sync + fmt::Debug + 'static {
    /// Listens at an address.
    fn bind<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Accept>>>;
    /// Connects to an address.
    fn connect<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<BoxIo>>;
}

/// The sockets of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemNetwork;

impl Network for SystemNetwork {
    fn bind<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Accept>>> {
        Box::pin(async move {
            match address {
                Address::Tcp(host, port) => {
                    let found: Vec<_> = tokio::net::lookup_host((host.as_str(), *port)).await?.collect();
                    let listener = found.iter().map(|at| listen(*at)).find_map(Result::ok);
                    match (listener, found.first()) {
                        (Some(listener), _) => Ok(Box::new(TcpAccept(listener)) as Box<dyn Accept>),
                        (None, Some(first)) => {
                            listen(*first).map(|l| Box::new(TcpAccept(l)) as Box<dyn Accept>)
                        }
                        (None, None) => {
                            Err(io::Error::new(io::ErrorKind::NotFound, "the host has no address"))
                        }
                    }
                }
                Address::Unix(path) => bind_unix(path).map(|accept| Box::new(accept) as Box<dyn Accept>),
            }
        })
    }

    fn connect<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<BoxIo>> {
        Box::pin(async move {
            match address {
                Address::Tcp(host, port) => {
                    let stream = TcpStream::connect((host.as_str(), *port)).await?;
                    stream.set_nodelay(true)?;
                    // A peer that vanished without a word must not be waited for for hours.
                    let keep = socket2::TcpKeepalive::new().with_time(Duration::from_secs(60));
                    SockRef::from(&stream).set_tcp_keepalive(&keep)?;
                    Ok(Box::new(stream) as BoxIo)
                }
                Address::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?) as BoxIo),
            }
        })
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `::` also takes IPv4, whatever the system's default is.
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

fn bind_unix(path: &Path) -> io::Result<UnixAccept> {
    match UnixListener::bind(path) {
        Ok(listener) => Ok(UnixAccept { listener, path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            // A socket that nobody answers is left over from a crash; one that somebody answers is theirs.
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            Ok(UnixAccept { listener: UnixListener::bind(path)?, path: path.to_owned() })
        }
        Err(error) => Err(error),
    }
}

#[derive(Debug)]
struct TcpAccept(TcpListener);

impl Accept for TcpAccept {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Accepted, Address)>> {
        Box::pin(async move {
            let (stream, peer) = self.0.accept().await?;
            stream.set_nodelay(true)?;
            Ok((Accepted::Tcp(stream.into_std()?), Address::from(peer)))
        })
    }

    fn local(&self) -> Address {
        self.0.local_addr().map_or_else(|_| Address::Tcp(String::new(), 0), Address::from)
    }
}

#[derive(Debug)]
struct UnixAccept {
    listener: UnixListener,
    path: PathBuf,
}

impl Accept for UnixAccept {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Accepted, Address)>> {
        Box::pin(async move {
            let (stream, _) = self.listener.accept().await?;
            Ok((Accepted::Unix(stream.into_std()?), Address::Unix(self.path.clone())))
        })
    }

    fn local(&self) -> Address {
        Address::Unix(self.path.clone())
    }
}

impl Drop for UnixAccept {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "could not remove the socket file");
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn echoes(address: Address) {
        let network = SystemNetwork;
        let mut listener = network.bind(&address).await.unwrap();
        let target = listener.local();
        let (client, served) = tokio::join!(network.connect(&target), listener.accept());
        let (mut client, (served, _)) = (client.unwrap(), served.unwrap());
        let mut served = served.open().unwrap();
        client.write_all(b"ahoy").await.unwrap();
        let mut seen = [0; 4];
        served.read_exact(&mut seen).await.unwrap();
        assert_eq!(&seen, b"ahoy");
    }

    #[tokio::test]
    async fn ipv4_ipv6_and_unix_sockets_connect() {
        echoes(Address::Tcp("127.0.0.1".to_owned(), 0)).await;
        echoes(Address::Tcp("::1".to_owned(), 0)).await;
        let dir = tempfile::tempdir().unwrap();
        echoes(Address::Unix(dir.path().join("s"))).await;
    }

    #[tokio::test]
    async fn a_left_over_socket_file_is_taken_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let address = Address::Unix(path.clone());
        let live = SystemNetwork.bind(&address).await.unwrap();
        assert_eq!(SystemNetwork.bind(&address).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(live);
        assert!(!path.exists());
    }

    #[test]
    fn local_addresses_are_told_apart() {
        let tcp = |host: &str| Address::Tcp(host.to_owned(), 1);
        assert!(tcp("127.0.0.1").is_local() && tcp("::1").is_local() && tcp("LOCALHOST").is_local());
        assert!(tcp("::ffff:127.0.0.1").is_local());
        assert!(!tcp("0.0.0.0").is_local() && !tcp("::").is_local() && !tcp("example.com").is_local());
        assert_eq!(tcp("::1").to_string(), "[::1]:1");
    }
}
