"""The real receivers, each with a configuration of its own, at loopback."""

from __future__ import annotations

import gzip
import os
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from harness.process import Process, Stage
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

HERE = Path(__file__).resolve().parent
UNPACKED = HERE / "unpacked"
PATIENCE = 20.0


def wait_for(what: str, done: Callable[[], bool], patience: float = PATIENCE) -> bool:
    until = time.monotonic() + patience
    while not done():
        if time.monotonic() > until:
            print(f"  waited in vain: {what}")
            return False
        time.sleep(0.05)
    return True


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def certificates(folder: Path) -> None:
    """An authority, a server and a client of it, and a stranger of another."""
    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for ca in ("ca", "other"):
        openssl("req", "-x509", *key, "-keyout", f"{ca}.key", "-out", f"{ca}.pem", "-days", "2", "-subj", f"/CN={ca}")
    for name, ca in (("server", "ca"), ("client", "ca"), ("stranger", "other")):
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial",
                "-days", "2", "-out", f"{name}.pem", "-extfile", "ext")


class Syslogd:
    """A syslog server that writes what it makes of each message into a file, with tabs between."""

    def __init__(self, stage: Stage, name: str, tls: bool, lf: bool, **more: int) -> None:
        self.stage, self.name, self.tls, self.lf, self.more = stage, name, tls, lf, more
        self.folder = stage.folder / f"{name}-{len(stage.processes)}"
        self.folder.mkdir()
        self.port = free_port()
        self.file = self.folder / "seen"
        self.starts = 0
        self.process = self.start()

    def start(self) -> Process:
        self.starts += 1
        root = UNPACKED / self.name
        libraries = [root / "usr/lib/x86_64-linux-gnu", root / "lib/x86_64-linux-gnu", root / f"usr/lib/{self.name}"]
        libraries += list(root.glob("usr/lib/aarch64-linux-gnu")) + list(root.glob("lib/aarch64-linux-gnu"))
        environment = {"LD_LIBRARY_PATH": ":".join(map(str, libraries))}
        conf = self.folder / "conf"
        conf.write_text(self.rsyslog() if self.name == "rsyslog" else self.syslog_ng())
        if self.name == "rsyslog":
            modules = next(path for path in root.glob("usr/lib/*/rsyslog"))
            command = [root / "usr/sbin/rsyslogd", "-n", "-f", conf, "-i", self.folder / "pid", "-M", f"{modules}/"]
        else:
            modules = next(path for path in root.glob("usr/lib/syslog-ng/3*"))
            command = [root / "usr/sbin/syslog-ng", "-F", "--no-caps", "-f", conf, "-R", self.folder / "persist",
                       "-c", self.folder / "control", "--pidfile", self.folder / "pid", f"--module-path={modules}"]
        process = self.stage.start(f"{self.folder.name}-{self.starts}", command, environment)
        if not wait_for(f"{self.name} listens", lambda: listens(self.port)):
            raise SystemExit(process.tail())
        return process

    def again(self) -> None:
        """Killed at once, and begun anew."""
        self.process.kill()
        self.process.wait(5)
        self.process = self.start()

    def rsyslog(self) -> str:
        up = self.stage.folder
        driver = 'StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/certvalid"' if self.tls else ""
        files = (f'DefaultNetstreamDriverCAFile="{up}/ca.pem" DefaultNetstreamDriverCertFile="{up}/server.pem" '
                 f'DefaultNetstreamDriverKeyFile="{up}/server.key"') if self.tls else ""
        size = f'maxMessageSize="{self.more["size"]}"' if "size" in self.more else ""
        return f"""global(workDirectory="{self.folder}" {files} {size})
module(load="imtcp" {driver})
template(name="seen" type="string" string="%HOSTNAME%\\t%APP-NAME%\\t%MSGID%\\t%STRUCTURED-DATA%\\t%msg%\\n")
input(type="imtcp" port="{self.port}" address="127.0.0.1")
action(type="omfile" file="{self.file}" template="seen")
"""

    def syslog_ng(self) -> str:
        up = self.stage.folder
        tls = (f'transport("tls") tls(key-file("{up}/server.key") cert-file("{up}/server.pem") ca-file("{up}/ca.pem") '
               'peer-verify(required-trusted))') if self.tls else 'transport("tcp")'
        size = f'log-msg-size({self.more["size"]});' if "size" in self.more else ""
        driver, flags = ("network", "flags(syslog-protocol)") if self.lf and "strict" not in self.more else ("syslog", "")
        return f"""@version: 3.38
options {{ keep-hostname(yes); stats-freq(0); {size} }};
source s {{ {driver}(ip("127.0.0.1") port({self.port}) {tls} {flags}); }};
destination d {{ file("{self.file}" template("$HOST\\t$PROGRAM\\t$MSGID\\t$SDATA\\t$MSG\\n")); }};
log {{ source(s); destination(d); }};
"""

    def lines(self) -> list[list[str]]:
        if not self.file.exists():
            return []
        # Only at \n: other separators of lines are for whoever reads them to find.
        text = self.file.read_bytes().decode("utf-8", "replace")
        return [line.split("\t", 4) for line in text.split("\n")[:-1]]


class Plain:
    """What reads octet counting to the letter."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        plain = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while True:
                    digits = b""
                    while (byte := self.rfile.read(1)) not in (b" ", b""):
                        digits += byte
                    if not digits:
                        return
                    plain.messages.append(self.rfile.read(int(digits)).decode())

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Backend:
    """What takes OTLP over HTTP and decodes it by the official messages."""

    def __init__(self, rejects: int = 0, most: int = 1 << 30) -> None:
        self.records: list[LogRecord] = []
        self.replicas: set[str] = set()
        self.sizes: list[int] = []
        lock = threading.Lock()
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers["content-encoding"] == "gzip":
                    body = gzip.decompress(body)
                status, answer = 200, ExportLogsServiceResponse()
                if len(body) > most:
                    status = 413
                else:
                    request = ExportLogsServiceRequest.FromString(body)
                    with lock:
                        found = [record for resource in request.resource_logs for scope in resource.scope_logs
                                 for record in scope.log_records]
                        backend.sizes.append(len(found))
                        backend.records += found[rejects:]
                        for resource in request.resource_logs:
                            attributes = {each.key: each.value.string_value for each in resource.resource.attributes}
                            backend.replicas.add(attributes.get("service.instance.id", ""))
                    answer.partial_success.rejected_log_records = min(rejects, len(found))
                said = answer.SerializeToString()
                self.send_response(status)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Collector:
    """rotel, a collector of OTLP that a package of PyPI brings, in front of a backend."""

    def __init__(self, stage: Stage, to: Backend) -> None:
        import rotel  # Only for where it is.

        self.port = free_port()
        agent = Path(rotel.__file__).parent / "rotel-agent"
        folder = stage.folder
        command = [agent, "start", "--otlp-http-endpoint", f"127.0.0.1:{self.port}", "--otlp-grpc-endpoint",
                   f"127.0.0.1:{free_port()}", "--exporter", "otlp", "--otlp-exporter-endpoint", to.url,
                   "--otlp-exporter-protocol", "http", "--pid-file", folder / "rotel.pid", "--log-file", folder / "rotel.out"]
        self.process = stage.start("rotel", command, {"HOME": os.environ.get("HOME", "/")})
        if not wait_for("rotel listens", lambda: listens(self.port)):
            raise SystemExit(self.process.tail())
