"""Scripted servers over stdin and stdout, by the names of their cases. Started often, so it imports little."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from content import OBJECT, Content, Refusal, text, tool

FORM = {"type": "object", "properties": {"name": {"type": "string"}}}


class Server:
    def __init__(
        self,
        content: Content | None = None,
        *,
        revision: str = "2025-06-18",
        capabilities: Any = None,
        introduces: Mapping[str, Any] | None = None,
        first: Sequence[bytes] = (),
        before_each: bytes = b"",
        probe: str = "refuses",
        late: float = 0,
        envelope: Any = lambda message: message,
        line: Any = lambda message: json.dumps(message).encode() + b"\n",
        only_revision: str = "",
        data: bool = True,
        tells: Sequence[Mapping[str, Any]] = (),
        asks: str = "",
        asks_early: Sequence[str] = (),
        complains: int = 0,
    ) -> None:
        self.content = content or Content()
        self.revision, self.capabilities, self.introduces = revision, capabilities, introduces or {}
        self.first, self.before_each, self.probe, self.late = first, before_each, probe, late
        self.envelope, self.line, self.only_revision, self.data = envelope, line, only_revision, data
        self.tells, self.asks, self.asks_early, self.complains = tells, asks, asks_early, complains
        self.waiting: Any = None

    def put(self, raw: bytes) -> None:
        sys.stdout.buffer.write(raw)
        sys.stdout.buffer.flush()

    def say(self, message: Any) -> None:
        self.put(self.before_each + self.line(message))

    def run(self) -> None:
        for raw in self.first:
            self.put(raw)
        if self.complains:
            sys.stderr.write("a line of no use\n" * self.complains)
            sys.stderr.flush()
        time.sleep(self.late)
        begun = False
        for line in sys.stdin.buffer:
            message = json.loads(line)
            method = message.get("method")
            if method == "server/discover" and not begun:
                if self.probe == "exits":
                    sys.exit("unknown method server/discover")
                if self.probe == "hangs":
                    time.sleep(3600)
                if self.probe == "says nothing":
                    continue
                if self.probe == "says null":
                    self.say({"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "Parse error"}})
                    continue
                if self.probe == "odd result":
                    self.say({"jsonrpc": "2.0", "id": message["id"], "result": {}})
                    continue
            if method is None:
                self._response(message)
            elif "id" in message:
                begun = begun or method == "initialize"
                self._request(message, method)

    def _request(self, message: Any, method: str) -> None:
        params = message.get("params") or {}
        try:
            if method == "initialize":
                self._refuse_revision(params["protocolVersion"])
                result = self.introduction()
                for n, question in enumerate(self.asks_early):
                    self.say({"jsonrpc": "2.0", "id": f"early-{n}", "method": question})
            elif method == "tools/call" and params["name"] == "tell":
                for note in self.tells:
                    self.say({"jsonrpc": "2.0", **note})
                result = text("told")
            elif method == "tools/call" and params["name"] == "ask":
                self.waiting = message["id"]
                form = {"message": "your name?", "requestedSchema": FORM} if self.asks == "elicitation/create" else {}
                self.say({"jsonrpc": "2.0", "id": "q1", "method": self.asks, "params": form})
                return
            elif method == "tools/call" and params["name"] == "count":
                token = (params.get("_meta") or {}).get("progressToken")
                for step in (1, 2):
                    note = {"progressToken": token, "progress": step}
                    self.say({"jsonrpc": "2.0", "method": "notifications/progress", "params": note})
                    time.sleep(0.05)
                result = text("2 steps")
            elif method == "tools/call" and params["name"] == "exit":
                sys.exit("told to")
            else:
                result = self.content.answer(method, params)
            outcome = {"result": result}
        except Refusal as error:
            outcome = {"error": error.error}
        self.say(self.envelope({"jsonrpc": "2.0", "id": message["id"], **outcome}))

    def _response(self, message: Any) -> None:
        if message.get("id") == "q1" and self.waiting is not None:
            result = message.get("result") or {}
            said = "no" if "error" in message else result.get("action") or ("roots" if "roots" in result else "pong")
            self.say(self.envelope({"jsonrpc": "2.0", "id": self.waiting, "result": text(f"the client said {said}")}))
            self.waiting = None

    def _refuse_revision(self, asked: str) -> None:
        if self.only_revision and asked != self.only_revision:
            words = f"Unsupported protocol version {asked}; supported: {self.only_revision}"
            raise Refusal(-32602, words, {"supported": [self.only_revision], "requested": asked} if self.data else None)

    def introduction(self) -> Any:
        return {
            "protocolVersion": self.only_revision or self.revision,
            "capabilities": self.content.capabilities if self.capabilities is None else self.capabilities,
            "serverInfo": {"name": "odd-stdio", "version": "1"},
            **self.introduces,
        }


ASK = {"content": Content(tools=[tool("ask", OBJECT)])}
TELL = {"content": Content(tools=[tool("tell", OBJECT)])}
CHANGED = {"method": "notifications/tools/list_changed"}
LISTED = {"tools": [tool("echo")]}

SERVERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "id-string": {"envelope": lambda m: {**m, "id": str(m["id"])}},
    "id-float": {"envelope": lambda m: {**m, "id": float(m["id"]) if isinstance(m["id"], int) else m["id"]}},
    "null-cursor": {"content": Content(lists={"tools/list": {**LISTED, "nextCursor": None}})},
    "null-instructions": {"introduces": {"instructions": None}},
    "cursor-empty": {"content": Content(lists={"tools/list": {**LISTED, "nextCursor": ""}})},
    "revision-refused": {"only_revision": "2024-11-05"},
    "revision-refused-text": {"only_revision": "2024-11-05", "data": False},
    "probe-exits": {"probe": "exits"},
    "probe-hangs": {"probe": "hangs"},
    "probe-says-nothing": {"probe": "says nothing"},
    "probe-says-null": {"probe": "says null"},
    "probe-odd-result": {"probe": "odd result"},
    "late": {"late": 2.0},
    "banner": {"first": [b"Odd MCP server running on stdio\n", b"\n", b"   \n", b" ok\n"]},
    "banner-long": {"first": [b"line of a chatty server\n" * 200]},
    "colours": {"first": [b"\x1b[32mready\x1b[0m\n"]},
    "json-logs": {"first": [b'{"level":"info","msg":"ready"}\n', b'[1,2]\n"text"\n42\nnull\ntrue\n']},
    "bom": {"first": [b"\xef\xbb\xbf"]},
    "half-json": {"first": [b'{"jsonrpc":"2.0","id":1,"result":\n']},
    "latin1": {"first": [b"caf\xe9\n"]},
    "stray-responses": {"first": [b'{"jsonrpc":"2.0","id":999,"result":{}}\n', b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}\n']},
    "early-notification": {"first": [b'{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n', b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"hi"}}\n']},
    "early-ping": {"asks_early": ["ping"]},
    "early-roots": {"asks_early": ["roots/list"]},
    "noise-between": {"before_each": b"DEBUG: about to answer\n"},
    "crlf": {"line": lambda m: json.dumps(m).encode() + b"\r\n"},
    "blank-lines": {"line": lambda m: b"\n" + json.dumps(m).encode() + b"\n\n"},
    "complains": {"complains": 3000},
    "revision-2024-11-05": {"revision": "2024-11-05"},
    "no-capabilities": {"capabilities": {}},
    "changed": {**TELL, "tells": [CHANGED], "capabilities": {"tools": {"listChanged": True}}},
    "changed-undeclared": {**TELL, "tells": [CHANGED]},
    "changed-in-a-glue": {**TELL, "tells": [CHANGED] * 3, "capabilities": {"tools": {"listChanged": True}}},
    "progress": {"content": Content(tools=[tool("count", OBJECT)])},
    "elicits": {**ASK, "asks": "elicitation/create", "revision": "2025-11-25"},
    "elicits-plain": {**ASK, "asks": "elicitation/create", "revision": "2025-11-25"},
    "roots": {**ASK, "asks": "roots/list"},
    "pings": {**ASK, "asks": "ping"},
    "exits-in-call": {"content": Content(tools=[tool("exit", OBJECT)])},
}  # fmt: skip
