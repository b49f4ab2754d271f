//! nginx: as a proxy that keeps bodies in memory and connections open, and as a server of one file. One worker.

use std::path::Path;
use std::process::Command;

use super::{Ground, write};
use crate::cases::Case;
use crate::fault::Fault;
use crate::load::{Load, What};

/// Room for a message around what it carries.
const AROUND: usize = 8 * 1024;

/// A proxy in front of the echo server.
pub(super) fn proxy(program: &Path, ground: &Ground, case: &Case, port: u16) -> Result<Command, Fault> {
    let largest = case.load.size.max(case.load.count * 600) + AROUND;
    let buffer = if largest > 64 * 1024 { 64 * 1024 } else { 16 * 1024 };
    let count = (largest / buffer + 2).max(4);
    let busy = buffer * 2;
    let location = format!(
        "client_body_buffer_size {largest};
         proxy_pass http://echo;
         proxy_http_version 1.1;
         proxy_set_header Connection \"\";
         proxy_buffer_size {buffer};
         proxy_buffers {count} {buffer};
         proxy_busy_buffers_size {busy};
         proxy_max_temp_file_size 0;"
    );
    let upstream = format!(
        "upstream echo {{
         server {};
         keepalive 1024;
         keepalive_requests 1000000000;
         keepalive_timeout 1h;
       }}",
        ground.echo
    );
    Server { name: "nginx", port, http2: case.load.http2, upstream: &upstream, location: &location }
        .start(program, ground)
}

/// What gives each request to the next of several, and forgets it.
pub(super) fn balancer(
    program: &Path,
    ground: &Ground,
    port: u16,
    replicas: &[String],
) -> Result<Command, Fault> {
    let servers: String = replicas.iter().map(|replica| format!("server {replica} max_fails=0;\n")).collect();
    let upstream = format!(
        "upstream replicas {{ {servers} keepalive 1024; keepalive_requests 1000000000; keepalive_timeout 1h; }}"
    );
    let location = "client_body_buffer_size 16384;
         proxy_pass http://replicas;
         proxy_http_version 1.1;
         proxy_set_header Connection \"\";
         proxy_set_header Host $http_host;
         proxy_buffering off;";
    Server { name: "nginx", port, http2: false, upstream: &upstream, location }.start(program, ground)
}

/// The server of a file that is what the echo server answers.
pub(super) fn file(program: &Path, ground: &Ground, case: &Case, port: u16) -> Result<Command, Fault> {
    let root = ground.dir.join("files");
    std::fs::create_dir_all(&root).map_err(Fault::of("a directory"))?;
    let url = format!("http://{}{}", ground.echo, case.behind.path(case.load.era, 0));
    let list = Load { url, what: What::List, ..case.load.clone() }.once()?;
    std::fs::write(root.join("list.json"), list).map_err(Fault::of("a file"))?;
    let location = format!("root {};\n         open_file_cache max=10 inactive=1h;", root.display());
    Server { name: "nginx-file", port, http2: case.load.http2, upstream: "", location: &location }
        .start(program, ground)
}

/// What is told apart of configurations that are alike.
struct Server<'a> {
    name: &'a str,
    port: u16,
    http2: bool,
    upstream: &'a str,
    location: &'a str,
}

impl Server<'_> {
    fn start(&self, program: &Path, ground: &Ground) -> Result<Command, Fault> {
        let Server { name, port, http2, upstream, location } = *self;
        let dir = &ground.dir;
        let user = if nix::unistd::geteuid().is_root() { "user root;" } else { "" };
        let http2 = if http2 { " http2" } else { "" };
        let text = format!(
            "daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile 16384;
pid {dir}/{name}.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_max_body_size 64m;
  client_body_temp_path {dir}/{name}-body;
  proxy_temp_path {dir}/{name}-proxy;
  fastcgi_temp_path {dir}/{name}-fastcgi;
  uwsgi_temp_path {dir}/{name}-uwsgi;
  scgi_temp_path {dir}/{name}-scgi;
  sendfile on;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  {upstream}
  server {{
    listen 127.0.0.1:{port}{http2};
    location / {{
         {location}
    }}
  }}
}}
",
            dir = dir.display()
        );
        let path = dir.join(format!("{name}.conf"));
        write(&path, &text)?;
        let mut command = Command::new(program);
        command.arg("-c").arg(&path).arg("-p").arg(dir);
        Ok(command)
    }
}
