"""A client of ours, as small as the protocol allows: for many at once, and for looking at answers as they are."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

Json = dict[str, Any]

REVISIONS = {"modern": "2026-07-28", "legacy": "2025-11-25"}
META = "io.modelcontextprotocol/"
SUBJECTS = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


class RpcError(Exception):
    """The server answered with an error."""

    def __init__(self, status: int, error: Json) -> None:
        super().__init__(f"HTTP {status}, {json.dumps(error)}")
        self.status = status
        self.code: int = error["code"]
        self.data: Any = error.get("data")


class RawClient:
    """One client with one connection. `with` opens and ends what its era has to open."""

    def __init__(self, url: str, era: str, *, headers: Mapping[str, str] | None = None, timeout: float = 20.0) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        self.era = era
        self._path = parts.path
        self._http = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        self._headers = dict(headers or {})
        self._session: str | None = None
        self._ids = 0
        self.heard: list[Json] = []  # notifications, in order

    def __enter__(self) -> RawClient:
        if self.era == "legacy":
            me = {"name": "portolan-interop-raw", "version": "1"}
            self.request("initialize", {"protocolVersion": REVISIONS["legacy"], "capabilities": {}, "clientInfo": me})
            self._post({"jsonrpc": "2.0", "method": "notifications/initialized"}, {}).read()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._session:
                self._http.request("DELETE", self._path, headers={"Mcp-Session-Id": self._session})
                self._http.getresponse().read()
        finally:
            self._http.close()

    def reconnect(self) -> None:
        """Its next request goes over a new connection; its session stays."""
        self._http.close()

    def request(self, method: str, params: Json | None = None, **headers: str) -> Json:
        """The result of a request. What the server says meanwhile goes to `heard`."""
        self._ids += 1
        params = dict(params or {})
        all_headers = {**self._headers, **headers}
        if self.era == "modern":
            params["_meta"] = {
                META + "protocolVersion": REVISIONS["modern"],
                META + "clientInfo": {"name": "portolan-interop-raw", "version": "1"},
                META + "clientCapabilities": {},
                **params.get("_meta", {}),
            }
            all_headers["Mcp-Method"] = method
            if method in SUBJECTS:
                all_headers["Mcp-Name"] = params[SUBJECTS[method]]
        response = self._post({"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params}, all_headers)
        if method == "initialize":
            self._session = response.getheader("Mcp-Session-Id")
        for message in messages(response):
            if message.get("id") == self._ids or "error" in message:
                response.read()  # so that the connection can be used again
                if "error" in message:
                    raise RpcError(response.status, message["error"])
                result: Json = message["result"]
                return result
            self.heard.append(message)
        raise AssertionError(f"{method}: HTTP {response.status} ended without a response")

    def call(self, tool: str, **arguments: Any) -> Json:
        return self.request("tools/call", {"name": tool, "arguments": arguments})

    def text(self, tool: str, **arguments: Any) -> str:
        """The text that a tool answers with."""
        result = self.call(tool, **arguments)
        texts = [block["text"] for block in result["content"] if block["type"] == "text"]
        assert not result.get("isError"), f"{tool} failed: {texts}"
        return "\n".join(texts)

    def listed(self, method: str, member: str) -> list[Json]:
        """All entries of a list, from all its pages."""
        entries, cursor = [], None
        for _ in range(100):
            page = self.request(method, {} if cursor is None else {"cursor": cursor})
            entries += page[member]
            cursor = page.get("nextCursor")
            if cursor is None:
                return entries
        raise AssertionError(f"{method} does not end")

    def tools(self) -> list[str]:
        return [tool["name"] for tool in self.listed("tools/list", "tools")]

    def _post(self, message: Json, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        all_headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            **({"Mcp-Session-Id": self._session} if self._session else {}),
            **({"MCP-Protocol-Version": REVISIONS[self.era]} if message["method"] != "initialize" else {}),
            **headers,
        }
        self._http.request("POST", self._path, json.dumps(message).encode(), all_headers)
        return self._http.getresponse()


def messages(response: http.client.HTTPResponse) -> Iterator[Json]:
    """The messages of a response, as they come."""
    media = (response.getheader("Content-Type") or "").split(";")[0]
    if media == "application/json":
        yield json.loads(response.read())
    elif media == "text/event-stream":
        for line in response:
            # Portolan and the SDKs put each message on one line.
            if line.startswith(b"data:") and line[5:].strip():
                yield json.loads(line[5:])
    else:
        raise AssertionError(f"HTTP {response.status} with {media or 'no body'}: {response.read()[:300]!r}")
