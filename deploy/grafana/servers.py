"""Servers with bad manners, each with one, for `check`: what they do makes Portolan count something. Standard library only.

    servers.py       serves itself over stdio, in the legacy era
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]


def answer(asked: Json, tools: list[Json]) -> Json:
    """What every legacy server says, but for calls."""
    if asked["method"] == "initialize":
        result: Json = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "odd", "version": "1"}}
    elif asked["method"] == "tools/list":
        result = {"tools": tools}
    elif asked["method"] == "ping":
        result = {}
    elif asked["method"] == "tools/call":
        result = {"content": [{"type": "text", "text": "done"}]}
    else:
        return {"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -32601, "message": "not here"}}
    return {"jsonrpc": "2.0", "id": asked["id"], "result": result}


def tool(name: str, **properties: Json) -> Json:
    return {"name": name, "description": f"The tool {name}.", "inputSchema": {"type": "object", "properties": properties}}


class Bad(BaseHTTPRequestHandler):
    """`/failing`: every call is answered with 503. `/forgetful`: every call finds the session gone. `/slow`: a call goes on
    until `leave` is set."""

    protocol_version = "HTTP/1.1"
    entered, leave = threading.Event(), threading.Event()
    sessions = itertools.count(1)
    forgotten: set[str] = set()

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked["method"] in ("tools/call", "ping") and self.path == "/failing":
            return self.give(503)
        session = self.headers.get("Mcp-Session-Id", "")
        if asked["method"] == "tools/call" and self.path == "/forgetful":
            self.forgotten.add(session)
        if session in self.forgotten:
            return self.give(404)
        if asked["method"] == "tools/call" and self.path == "/slow":
            self.entered.set()
            self.leave.wait(30)
        if "id" not in asked:
            return self.give(202)
        more = {"Mcp-Session-Id": f"session-{next(self.sessions)}"} if asked["method"] == "initialize" else {}
        # A modern client's first question is refused as servers of the legacy era do.
        status = 400 if asked["method"] == "server/discover" else 200
        return self.give(status, json.dumps(answer(asked, [tool("work")])).encode(), **more)

    def do_GET(self) -> None:
        self.give(405)

    def do_DELETE(self) -> None:
        self.give(200)

    def give(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(OSError):  # Who called may be gone.
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class BadServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Connections that Portolan has no more use for."""


def start_bad() -> BadServer:
    server = BadServer(("127.0.0.1", 0), Bad)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def over_stdio() -> None:
    def say(message: Json) -> None:
        print(json.dumps(message), flush=True)

    # The secret that it asks for waits for somebody's word when tools are pinned; the second one has no schema at all.
    tools = [tool("steps"), tool("die"), tool("err"), tool("login", api_key={"type": "string"}), {"name": "bare"}]
    for line in sys.stdin:
        asked = json.loads(line)
        if "id" not in asked:
            continue
        params = asked.get("params", {})
        if params.get("name") == "die":
            sys.exit(1)
        if params.get("name") == "err":
            say({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -32000, "message": "not today"}})
            continue
        if params.get("name") == "steps":
            for token in (params.get("_meta", {}).get("progressToken"), "nobody's"):
                for progress in (2, 1):
                    say({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": progress}})
        say(answer(asked, tools))


if __name__ == "__main__":
    over_stdio()
