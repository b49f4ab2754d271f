"""A server of the legacy era over Streamable HTTP whose every manner a script can change."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from content import Content, Refusal
from wire import JSON, Message, Request


@dataclass(frozen=True)
class Reply:
    """A ready answer. `$ID` in its body stands for the request's id."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""

    async def give(self, request: Request, message: Any = None) -> None:
        id = message.get("id") if isinstance(message, dict) else None
        await request.answer(self.status, self.headers, self.body.replace("$ID", json.dumps(id)))


def refusal(status: int, code: int, words: str, id: str = "$ID") -> Reply:
    return Reply(status, JSON, f'{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{json.dumps(words)}}}}}')


class Exchange:
    """A request that a script answers: on the way it can tell and ask the client."""

    def __init__(self, server: Legacy, request: Request, message: Message) -> None:
        self.server = server
        self.request = request
        self.message = message
        self.params = message.get("params") or {}
        self.session = request.headers.get("mcp-session-id", "")
        self.opened = False

    @property
    def token(self) -> Any:
        return (self.params.get("_meta") or {}).get("progressToken")

    async def put(self, message: Message) -> None:
        """Onto the stream of this request's answer."""
        if not self.opened:
            self.opened = True
            await self.request.open()
        await self.request.send(self.server.event(message))

    async def tell(self, method: str, **params: Any) -> None:
        await self.put({"jsonrpc": "2.0", "method": method, "params": params})

    async def ask(self, method: str, *, id: Any = None, aside: bool = False, **params: Any) -> Message:
        """The client's response. `aside`: asked on the session's own stream."""
        id = f"ask-{next(self.server.numbers)}" if id is None else id
        asked = {"jsonrpc": "2.0", "id": id, "method": method, "params": params}
        answer = self.server.asked[json.dumps(id)] = asyncio.get_running_loop().create_future()
        await (self.server.put_aside(asked, self.session) if aside else self.put(asked))
        return await asyncio.wait_for(answer, 8)


Script = Callable[[Exchange], Awaitable[Any]]
Hook = Callable[["Legacy", Request, Any], Awaitable[bool]]


class Legacy:
    """2025-06-18, with a session, answers as JSON, no stream of its own; unless told otherwise."""

    def __init__(
        self,
        content: Content | None = None,
        *,
        revision: str = "2025-06-18",
        sessions: bool = True,
        events: bool = False,
        stream: bool = False,
        capabilities: Any = None,
        introduces: Mapping[str, Any] | None = None,
        get: Reply | None = None,
        delete: Reply | None = None,
        lost: Reply | None = None,
        probe: Reply | None = None,
        noted: Reply | None = None,
        scripts: Mapping[str, Script] | None = None,
        first: Hook | None = None,
        headers: Mapping[str, str] | None = None,
        session_id: str = "session-%d",
        envelope: Callable[[Message], Any] = lambda message: message,
        body: Callable[[Message], bytes] = lambda message: json.dumps(message).encode(),
        event: Callable[[Message], str] = lambda message: f"event: message\ndata: {json.dumps(message)}\n\n",
    ) -> None:
        self.content = content or Content()
        self.revision, self.sessions, self.events, self.stream = revision, sessions, events, stream
        self.capabilities, self.introduces = capabilities, introduces or {}
        self.get = get or Reply(405, {"Allow": "POST"})
        self.delete, self.noted = delete or Reply(200), noted or Reply(202)
        self.lost, self.probe = lost or refusal(404, -32001, "Session not found"), probe
        self.scripts, self.first, self.headers, self.session_id = scripts or {}, first, headers or {}, session_id
        self.envelope, self.body, self.event = envelope, body, event
        self.numbers = itertools.count(1)
        self.known: set[str] = set()
        self.clients: dict[str, Message] = {}
        self.streams: dict[str, Request] = {}
        self.asked: dict[str, asyncio.Future[Message]] = {}
        self.counts: Counter[str] = Counter()

    async def __call__(self, request: Request) -> None:
        message = request.message() if request.method == "POST" else None
        method = message.get("method") if isinstance(message, dict) else None
        self.counts[f"{request.method} {method}" if method else request.method] += 1
        if self.first and await self.first(self, request, message):
            return
        if request.method == "GET":
            await self._get(request)
        elif request.method == "DELETE":
            self.known.discard(request.headers.get("mcp-session-id", ""))
            await self.delete.give(request)
        elif request.method != "POST":
            await request.answer(405)
        elif not isinstance(message, dict):
            await refusal(400, -32700, "Parse error", "null").give(request)
        elif method is None:
            await self._response(request, message)
        elif method == "initialize":
            await self.initialize(request, message)
        elif method == "server/discover" and self.probe:
            await self.probe.give(request, message)
        elif self.sessions and "mcp-session-id" not in request.headers:
            await refusal(400, -32000, "Bad Request: Mcp-Session-Id header is required", "null").give(request)
        elif self.sessions and request.headers["mcp-session-id"] not in self.known:
            self.counts["refused as lost"] += 1
            await self.lost.give(request, message)
        elif "id" not in message:
            await self.noted.give(request)
        else:
            await self._answer(request, message)

    async def initialize(self, request: Request, message: Message) -> None:
        headers = {}
        if self.sessions:
            id = self.session_id.replace("%d", str(next(self.numbers)))
            self.known.add(id)
            self.clients[id] = message["params"]
            headers["Mcp-Session-Id"] = id
        else:
            self.clients[""] = message["params"]
        await self.say(request, message, self.introduction(), headers)

    def introduction(self) -> Message:
        capabilities = self.content.capabilities if self.capabilities is None else self.capabilities
        return {
            "protocolVersion": self.revision,
            "capabilities": capabilities,
            "serverInfo": {"name": "odd", "version": "1.0"},
            **self.introduces,
        }

    async def _get(self, request: Request) -> None:
        session = request.headers.get("mcp-session-id", "")
        if not self.stream:
            await self.get.give(request)
        elif self.sessions and session not in self.known:
            await self.lost.give(request)
        else:
            await request.open()
            self.streams[session] = request
            await request.send(": here it is\n\n")
            await request.until_gone()

    async def put_aside(self, message: Message, session: str) -> None:
        """Onto the session's own stream, which may not be there yet."""
        for _ in range(80):
            if session in self.streams:
                return await self.streams[session].send(self.event(message))
            await asyncio.sleep(0.1)
        raise Refusal(-32603, "this session has no stream")

    async def _response(self, request: Request, message: Message) -> None:
        answer = self.asked.pop(json.dumps(message.get("id")), None)
        if answer and not answer.done():
            answer.set_result(message)
        await request.answer(202)

    async def _answer(self, request: Request, message: Message) -> None:
        params = message.get("params") or {}
        name = params.get("name") if message["method"] == "tools/call" else None
        if name:
            self.counts[f"ran {name}"] += 1
        script = self.scripts.get(name or message["method"])
        exchange = Exchange(self, request, message)
        try:
            if script is None:
                result = self.content.answer(message["method"], params)
            else:
                result = await script(exchange)
        except Refusal as error:
            await self.finish(exchange, {"error": error.error})
            return
        except asyncio.TimeoutError:
            await self.finish(exchange, {"error": {"code": -32000, "message": "the client did not answer"}})
            return
        if not (request.answered and not exchange.opened):  # a script may have answered by itself
            await self.finish(exchange, {"result": result})

    async def finish(self, exchange: Exchange, outcome: Message) -> None:
        message = {"jsonrpc": "2.0", "id": exchange.message["id"], **outcome}
        if exchange.opened:
            await exchange.put(self.envelope(message))
            await exchange.request.end()
        else:
            await self.write(exchange.request, self.envelope(message), {})

    async def say(self, request: Request, message: Message, result: Any, headers: Mapping[str, str]) -> None:
        await self.write(request, self.envelope({"jsonrpc": "2.0", "id": message["id"], "result": result}), headers)

    async def write(self, request: Request, message: Message, headers: Mapping[str, str]) -> None:
        if self.events:
            await request.open({**headers, **self.headers})
            await request.send(self.event(message))
            await request.end()
        else:
            await request.answer(200, {**JSON, **headers, **self.headers}, self.body(message))

    async def forget(self) -> None:
        """As after a restart."""
        self.known.clear()
        for stream in self.streams.values():
            await stream.end()
            stream._writer.close()
        self.streams.clear()
