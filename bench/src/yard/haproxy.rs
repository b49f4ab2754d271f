//! HAProxy as a proxy on one thread that shares its connections to the server.

use std::path::Path;
use std::process::Command;

use super::{Ground, write};
use crate::cases::Case;
use crate::fault::Fault;

/// A proxy in front of the echo server.
pub(super) fn proxy(program: &Path, ground: &Ground, case: &Case, port: u16) -> Result<Command, Fault> {
    let buffer = if case.load.size.max(case.load.count * 600) > 16 * 1024 { 65536 } else { 16384 };
    let proto = if case.load.http2 { " proto h2" } else { "" };
    let text = format!(
        "global
    nbthread 1
    maxconn 8192
    tune.bufsize {buffer}
defaults
    mode http
    no log
    option http-keep-alive
    http-reuse always
    timeout connect 10s
    timeout client 1h
    timeout server 1h
frontend clients
    bind 127.0.0.1:{port}{proto}
    default_backend servers
backend servers
    server echo {}
",
        ground.echo
    );
    let path = ground.dir.join("haproxy.cfg");
    write(&path, &text)?;
    let mut command = Command::new(program);
    command.arg("-db").arg("-f").arg(&path);
    Ok(command)
}
