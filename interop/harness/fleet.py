"""Several replicas of Portolan that share a database, and nginx in front of them: round robin, and no stickiness."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .gateway import Gateway, Upstream, write_config
from .process import PATIENCE, NotReady, Process, Stage

# Below the ports that the kernel gives to outgoing connections: nobody takes one between our look and nginx.
PORTS = range(12_000, 20_000)

NGINX = """daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log {folder}/access.log;
  client_max_body_size 64m;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  tcp_nodelay on;
  keepalive_requests 1000000;
  upstream replicas {{
{servers}
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://replicas;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_buffering off;
      proxy_read_timeout 1h;
{more}
    }}
  }}
}}
"""


class Fleet:
    """Replicas behind nginx."""

    def __init__(
        self, stage: Stage, portolan: Path, upstreams: Mapping[str, Upstream], *, replicas: int, store: str
    ) -> None:
        master = stage.folder / "master"
        master.touch(mode=0o600)
        master.write_text(_master(portolan))
        tables: dict[str, Any] = {"store": store, "keys": {"master": "${file:master}"}}
        more: dict[str, Any] = {"replicas": {"listen": "127.0.0.1:0"}}
        # A version that has no listener between replicas is measured without it.
        if _is_good(portolan, write_config(stage.folder / "trial.toml", upstreams, **tables, **more)):
            tables |= more
        # The first makes the tables of the store, so that the others find them.
        self.gateways = [
            Gateway(stage, portolan, upstreams, name=f"gateway-{number}", **tables) for number in range(replicas)
        ]
        self.url = balance(stage, [gateway.url for gateway in self.gateways])


def balance(stage: Stage, urls: Sequence[str], *, keeps: bool = False) -> str:
    """nginx in front of some, and where it is; `keeps` connections to them, if so told."""
    port = _free_port()
    servers = "\n".join(f"    server {url.split('/')[2]} max_fails=0;" for url in urls)
    more = '      proxy_set_header Connection "";' if keeps else ""
    servers += "\n    keepalive 8;" if keeps else ""
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = stage.folder / "nginx.conf"
    configuration.write_text(NGINX.format(user=user, folder=stage.folder, servers=servers, more=more, port=port))
    program = ["/usr/sbin/nginx", "-c", configuration, "-p", stage.folder]
    process: Process = stage.start("nginx", program)
    since = time.monotonic()
    while not _listens(port):
        if not process.running or time.monotonic() - since > PATIENCE:
            raise NotReady(f"nginx does not listen:\n{process.tail()}")
        time.sleep(0.02)
    return f"http://127.0.0.1:{port}/mcp"


def _free_port() -> int:
    # Several cells look at the same time: each somewhere else.
    for port in random.sample(PORTS, 100):
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise NotReady("no free port")


def _listens(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


def _master(portolan: Path) -> str:
    return subprocess.run([portolan, "keys", "new"], capture_output=True, text=True, check=True).stdout.strip()


def _is_good(portolan: Path, configuration: Path) -> bool:
    return subprocess.run([portolan, "check", configuration], capture_output=True).returncode == 0
