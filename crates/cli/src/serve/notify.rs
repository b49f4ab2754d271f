//! What systemd is told (`Type=notify`, sd_notify(3)): that who waits for this process to have started need wait no more.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Whoever started this process listens here, if anybody does.
const SOCKET: &str = "NOTIFY_SOCKET";

/// Says that clients are served. Without anybody who wants to know, nothing.
pub(crate) fn ready() {
    let Some(socket) = std::env::var_os(SOCKET) else { return };
    if let Err(error) = tell(&socket, b"READY=1") {
        tracing::warn!(%error, "cannot tell the service manager that Portolan is ready");
    }
}

fn tell(socket: &OsStr, text: &[u8]) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(text, &address).map(drop)
}
