//! nginx: round robin over the replicas, and no memory of who went where. It tries another replica only where nothing of
//! a request was sent, and says in headers whom it tried and how much it sent.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::TcpStream;
use tokio::process::Child;

use super::{Settings, program, write};
use crate::fault::Fault;

const PATIENCE: Duration = Duration::from_secs(10);

/// A running nginx.
#[derive(Debug)]
pub(super) struct Balancer {
    pub(super) address: SocketAddr,
    child: Child,
    pid: u32,
}

impl Balancer {
    pub(super) async fn start(
        settings: &Settings,
        address: SocketAddr,
        replicas: &[String],
    ) -> Result<Self, Fault> {
        let directory = &settings.directory;
        let path = directory.join("nginx.conf");
        write(&path, &text(settings, address, replicas))?;
        let program = Path::new("/usr/sbin/nginx");
        let (conf, prefix) = (path.display().to_string(), directory.display().to_string());
        let mut child = program::start(program, &["-c", &conf, "-p", &prefix], &directory.join("nginx.log"))?;
        let pid = child.id().unwrap_or(0);
        let trying = tokio::time::timeout(PATIENCE, async {
            while TcpStream::connect(address).await.is_err() {
                if matches!(child.try_wait(), Ok(Some(_))) {
                    return Err(Fault::new(format!("nginx ended at once; {}", path.display())));
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(())
        });
        trying.await.map_err(Fault::of("nginx does not listen"))??;
        Ok(Self { address, child, pid })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) async fn stop(&mut self) {
        // A master that is killed leaves its worker behind.
        if self.pid != 0 && kill(Pid::from_raw(self.pid.cast_signed()), Signal::SIGTERM).is_ok() {
            tokio::time::timeout(PATIENCE, self.child.wait()).await.ok();
        }
        self.child.kill().await.ok();
    }
}

fn text(settings: &Settings, address: SocketAddr, replicas: &[String]) -> String {
    let user = if nix::unistd::geteuid().is_root() { "user root;" } else { "" };
    let servers: String =
        replicas.iter().map(|replica| format!("    server {replica} max_fails=0;\n")).collect();
    let directory = settings.directory.display();
    let again = if settings.resends { "error non_idempotent" } else { "error" };
    format!(
        "daemon off;
{user}
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  log_format all '$msec $remote_port $request_method $status $upstream_addr $upstream_status $upstream_bytes_sent $request_time';
  access_log {directory}/access.log all;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  tcp_nodelay on;
  upstream replicas {{
{servers}  }}
  server {{
    listen {address} backlog=1024;
    keepalive_timeout 0;
    location / {{
      proxy_pass http://replicas;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_buffering off;
      proxy_connect_timeout 5s;
      proxy_read_timeout 1h;
      proxy_send_timeout 1h;
      # Without «non_idempotent»: a POST of which anything was sent is not sent to another.
      proxy_next_upstream {again};
      add_header X-Replica $upstream_addr always;
      add_header X-Sent $upstream_bytes_sent always;
    }}
  }}
}}
"
    )
}
