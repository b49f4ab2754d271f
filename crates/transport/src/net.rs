//! Where the world begins: binding and connecting behind a trait, so that replicas, servers and a bad network can run
//! in one test without sockets.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

mod spared;
mod turns;

pub use spared::Spared;
use turns::Turns;

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
            Self::Tcp(socket) => Box::new(Turns::new(TcpStream::from_std(socket)?)),
            Self::Unix(socket) => Box::new(Turns::new(UnixStream::from_std(socket)?)),
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
    /// A connection that was made already and waits to be accepted; none if none does. Does not wait, and asks the system
    /// rather than what was last heard of it: whoever closes the socket resets those that still wait.
    ///
    /// # Errors
    /// As for [`Accept::accept`].
    fn accept_waiting(&mut self) -> io::Result<Option<(Accepted, Address)>>;
    /// Where it listens; the port is the real one when 0 was asked for.
    fn local(&self) -> Address;
}

/// Binds and connects.
pub trait Network: Send + Sync + fmt::Debug + 'static {
    /// Listens at an address.
    fn bind<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Accept>>>;
    /// Listens at an address where others may listen too who bind it by this, so that one process can take over from
    /// another. Connections to a TCP address go to any of them, those to a Unix socket to the newest.
    fn bind_shared<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Accept>>> {
        self.bind(address)
    }
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
                Address::Tcp(host, port) => bind_tcp(host, *port, false).await,
                Address::Unix(path) => bind_unix(path).map(|accept| Box::new(accept) as Box<dyn Accept>),
            }
        })
    }

    fn bind_shared<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Accept>>> {
        Box::pin(async move {
            match address {
                Address::Tcp(host, port) => bind_tcp(host, *port, true).await,
                Address::Unix(path) => take_over(path).map(|accept| Box::new(accept) as Box<dyn Accept>),
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
                    Ok(Box::new(Turns::new(stream)) as BoxIo)
                }
                Address::Unix(path) => {
                    let stream = UnixStream::connect(path).await?;
                    Ok(Box::new(Turns::new(stream)) as BoxIo)
                }
            }
        })
    }
}

async fn bind_tcp(host: &str, port: u16, shared: bool) -> io::Result<Box<dyn Accept>> {
    let mut refused = None;
    for at in tokio::net::lookup_host((host, port)).await? {
        match listen(at, shared) {
            Ok(listener) => return Ok(Box::new(TcpAccept(listener))),
            // The first says the most: its address is the preferred one.
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the host has no address")))
}

fn listen(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    // Without it the address is ours alone, and a second process that was started by mistake is told so.
    socket.set_reuse_port(shared)?;
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
        Ok(listener) => UnixAccept::at(listener, path),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            // A socket that nobody answers is left over from a crash; one that somebody answers is theirs.
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            UnixAccept::at(UnixListener::bind(path)?, path)
        }
        Err(error) => Err(error),
    }
}

/// Puts a socket of its own in the place of the one that is there, whoever answers that: there is always one to connect to.
fn take_over(path: &Path) -> io::Result<UnixAccept> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&beside)?;
    std::fs::rename(&beside, path)?;
    UnixAccept::at(listener, path)
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

    fn accept_waiting(&mut self) -> io::Result<Option<(Accepted, Address)>> {
        let Some((socket, peer)) = waiting(&SockRef::from(&self.0))? else { return Ok(None) };
        let stream = std::net::TcpStream::from(socket);
        stream.set_nodelay(true)?;
        let peer = peer.as_socket().map_or_else(|| self.local(), Address::from);
        Ok(Some((Accepted::Tcp(stream), peer)))
    }

    fn local(&self) -> Address {
        self.0.local_addr().map_or_else(|_| Address::Tcp(String::new(), 0), Address::from)
    }
}

/// A connection that waits at a listening socket.
fn waiting(listener: &SockRef<'_>) -> io::Result<Option<(Socket, socket2::SockAddr)>> {
    loop {
        match listener.accept() {
            Ok((socket, peer)) => {
                socket.set_nonblocking(true)?;
                return Ok(Some((socket, peer)));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            // It was given up by who made it, which says nothing about the next.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
}

#[derive(Debug)]
struct UnixAccept {
    listener: UnixListener,
    path: PathBuf,
    /// Which file is ours: another process may have put its own in that place.
    file: (u64, u64),
}

impl UnixAccept {
    fn at(listener: UnixListener, path: &Path) -> io::Result<Self> {
        Ok(Self { listener, path: path.to_owned(), file: file(path)? })
    }
}

/// What tells a file from all others.
fn file(path: &Path) -> io::Result<(u64, u64)> {
    let found = std::fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

impl Accept for UnixAccept {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Accepted, Address)>> {
        Box::pin(async move {
            let (stream, _) = self.listener.accept().await?;
            Ok((Accepted::Unix(stream.into_std()?), Address::Unix(self.path.clone())))
        })
    }

    fn accept_waiting(&mut self) -> io::Result<Option<(Accepted, Address)>> {
        let Some((socket, _)) = waiting(&SockRef::from(&self.listener))? else { return Ok(None) };
        let stream = std::os::unix::net::UnixStream::from(OwnedFd::from(socket));
        Ok(Some((Accepted::Unix(stream), Address::Unix(self.path.clone()))))
    }

    fn local(&self) -> Address {
        Address::Unix(self.path.clone())
    }
}

impl Drop for UnixAccept {
    fn drop(&mut self) {
        if file(&self.path).ok() != Some(self.file) {
            return;
        }
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

    #[tokio::test]
    async fn an_address_is_shared_by_those_who_say_so_and_by_nobody_else() {
        let any = Address::Tcp("127.0.0.1".to_owned(), 0);
        let one = SystemNetwork.bind_shared(&any).await.unwrap();
        let other = SystemNetwork.bind_shared(&one.local()).await.unwrap();
        assert_eq!(one.local(), other.local());
        assert_eq!(SystemNetwork.bind(&one.local()).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let alone = SystemNetwork.bind(&any).await.unwrap();
        let refused = SystemNetwork.bind_shared(&alone.local()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn a_unix_socket_is_taken_over_and_what_waits_at_the_old_one_is_not_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let address = Address::Unix(path.clone());
        let mut old = SystemNetwork.bind_shared(&address).await.unwrap();
        let _waits = SystemNetwork.connect(&address).await.unwrap();
        let mut new = SystemNetwork.bind_shared(&address).await.unwrap();
        let _comes = SystemNetwork.connect(&address).await.unwrap();
        assert!(old.accept_waiting().unwrap().is_some() && old.accept_waiting().unwrap().is_none());
        drop(old);
        assert!(path.exists(), "it is the new one's");
        assert!(new.accept_waiting().unwrap().is_some() && new.accept_waiting().unwrap().is_none());
        drop(new);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn what_waits_at_a_socket_is_found_without_waiting() {
        let mut listener = SystemNetwork.bind(&Address::Tcp("127.0.0.1".to_owned(), 0)).await.unwrap();
        assert!(listener.accept_waiting().unwrap().is_none());
        let mut client = SystemNetwork.connect(&listener.local()).await.unwrap();
        // Nothing was awaited since: the runtime has not heard of it.
        let (served, peer) = listener.accept_waiting().unwrap().unwrap();
        assert!(peer.is_local() && peer != listener.local());
        let mut served = served.open().unwrap();
        client.write_all(b"ahoy").await.unwrap();
        let mut seen = [0; 4];
        served.read_exact(&mut seen).await.unwrap();
        assert!(listener.accept_waiting().unwrap().is_none());
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
