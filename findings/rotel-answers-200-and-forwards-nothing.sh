#!/usr/bin/env bash
# rotel 0.0.1a15 (PyPI): a request of 20,000 log records is answered with 200 and no partial success, and none of them is forwarded:
# «Too many batch items split, dropping data» is in its own log alone. Of 8,192, its batch size, all are.
# OTLP (Failures): a server that takes only some has to say how many it has rejected.
# Seen: `8192 200 8192`, `20000 200 0`: records in, status, records out within ten seconds. So requests are small here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check rotel==0.0.1a15 opentelemetry-proto==1.45.2
cat >seen.py <<'SCRIPT'
import gzip, socket, subprocess, threading, time, urllib.error, urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import rotel
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

count = 0


class Backend(BaseHTTPRequestHandler):
    def do_POST(self):
        global count
        body = self.rfile.read(int(self.headers["content-length"]))
        body = gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body
        logs = ExportLogsServiceRequest.FromString(body).resource_logs
        count += sum(len(scope.log_records) for each in logs for scope in each.scope_logs)
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.end_headers()

    def log_message(self, *_):
        pass


def free():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


backend = HTTPServer(("127.0.0.1", 0), Backend)
threading.Thread(target=backend.serve_forever, daemon=True).start()
port = free()
command = [Path(rotel.__file__).parent / "rotel-agent", "start", "--otlp-http-endpoint", f"127.0.0.1:{port}",
           "--otlp-grpc-endpoint", f"127.0.0.1:{free()}", "--exporter", "otlp", "--otlp-exporter-protocol", "http",
           "--otlp-exporter-endpoint", f"http://127.0.0.1:{backend.server_port}", "--pid-file", "pid", "--log-file", "log"]
with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as collector:
    for records in (8192, 20000):
        count = 0
        request = ExportLogsServiceRequest()
        scope = request.resource_logs.add().scope_logs.add()
        for number in range(records):
            scope.log_records.add().body.string_value = str(number)
        sent = urllib.request.Request(f"http://127.0.0.1:{port}/v1/logs", request.SerializeToString(),
                                      {"content-type": "application/x-protobuf"})
        until = time.monotonic() + 10
        while True:
            try:
                with urllib.request.urlopen(sent) as answer:
                    assert not ExportLogsServiceResponse.FromString(answer.read()).HasField("partial_success")
                    break
            except urllib.error.URLError:
                assert time.monotonic() < until
                time.sleep(0.1)
        until = time.monotonic() + 10
        while count < records and time.monotonic() < until:
            time.sleep(0.1)
        print(records, answer.status, count)
    collector.terminate()
SCRIPT
seen=$(venv/bin/python seen.py)
echo "$seen"
[ "$seen" = "8192 200 8192
20000 200 0" ]
