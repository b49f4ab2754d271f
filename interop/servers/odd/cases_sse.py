"""HTTP+SSE, the transport of 2024-11-05, as servers really speak it."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from case import ASKED, ECHO, PING, RECONNECT, Case, call, hears, progress, tools
from content import OBJECT, Content, Refusal, text, tool
from legacy import Reply, refusal
from scripts import FORM
from wire import Message, Request

TEXT = {"Content-Type": "text/plain"}
Tool = Callable[["Stream", Message], Awaitable[Any]]


class Stream:
    """One client's stream."""

    def __init__(self, server: OldServer, request: Request) -> None:
        self.server, self.request = server, request
        self.asked: dict[str, asyncio.Future[Message]] = {}

    async def put(self, message: Message) -> None:
        await self.request.send(self.server.event(message))

    async def ask(self, id: Any, method: str, **params: Any) -> Message:
        answer = self.asked[str(id)] = asyncio.get_running_loop().create_future()
        await self.put({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
        return await asyncio.wait_for(answer, 8)


class OldServer:
    def __init__(
        self,
        content: Content | None = None,
        *,
        endpoint: str = "/{base}/messages?sid={sid}",
        before_endpoint: float = 0,
        posted: Reply | None = None,
        post_to_stream: Reply | str | None = None,
        lost: Reply | None = None,
        tools: dict[str, Tool] | None = None,
        hangs_up: bool = False,
        capabilities: Any = None,
        revision: str = "2024-11-05",
        head: dict[str, str] | None = None,
        envelope: Callable[[Message], Message] = lambda message: message,
        event: Callable[[Message], str] = lambda message: f"event: message\ndata: {json.dumps(message)}\n\n",
        ends_line: str = "\n",
    ) -> None:
        self.content = content or Content()
        self.endpoint, self.before_endpoint, self.posted = endpoint, before_endpoint, posted or Reply(202, TEXT, "Accepted")
        self.post_to_stream, self.lost = post_to_stream or Reply(405, {"Allow": "GET"}), lost or Reply(404, TEXT, "no such session")
        self.tools, self.hangs_up, self.capabilities, self.revision = tools or {}, hangs_up, capabilities, revision
        self.head, self.envelope, self.event, self.ends_line = head or {}, envelope, event, ends_line
        self.numbers = itertools.count(1)
        self.streams: dict[str, Stream] = {}
        self.forgets = False
        self.counts: Counter[str] = Counter()

    async def __call__(self, request: Request) -> None:
        if request.path.endswith("/sse"):
            self.counts[f"{request.method} stream"] += 1
            if request.method == "GET" or (request.method == "POST" and self.post_to_stream == "stream"):
                await self._open(request)
            elif isinstance(self.post_to_stream, Reply):
                await self.post_to_stream.give(request, request.message())
            return
        message = request.message()
        if not isinstance(message, dict):
            return await request.answer(400)
        stream = self.streams.get(request.query.split("sid=")[-1])
        self.counts[f"POST {message.get('method')}"] += 1
        if stream is None:
            return await self.lost.give(request, message)
        if self.hangs_up:
            with suppress(Exception):
                request.hang_up()
            await asyncio.sleep(0.1)
            return await self._take(stream, message)
        await self.posted.give(request, message)
        # Not in the way of the next request on this connection: a tool may wait for what that one says.
        self.task = asyncio.ensure_future(self._take(stream, message))

    async def _open(self, request: Request) -> None:
        sid = f"k{next(self.numbers)}"
        await request.open(self.head)
        if self.before_endpoint:
            await request.send(": wait for it\n\n")
            await asyncio.sleep(self.before_endpoint)
        base = request.path.strip("/").rsplit("/", 1)[0]
        place = self.endpoint.format(base=base, sid=sid, host=request.headers["host"])
        end = self.ends_line
        self.streams[sid] = Stream(self, request)
        await request.send(f"event: endpoint{end}data: {place}{end}{end}")
        await request.until_gone()
        self.streams.pop(sid, None)

    async def _take(self, stream: Stream, message: Message) -> None:
        method = message.get("method")
        if method is None:
            answer = stream.asked.pop(str(message.get("id")), None)
            if answer and not answer.done():
                answer.set_result(message)
            return
        if "id" not in message:
            return
        params = message.get("params") or {}
        name = params.get("name") if method == "tools/call" else None
        try:
            if name:
                self.counts[f"ran {name}"] += 1
            if name in self.tools:
                outcome = {"result": await self.tools[name](stream, message)}
            elif method == "initialize":
                outcome = {"result": {
                    "protocolVersion": self.revision, "serverInfo": {"name": "old", "version": "1"},
                    "capabilities": self.content.capabilities if self.capabilities is None else self.capabilities,
                }}  # fmt: skip
            else:
                outcome = {"result": self.content.answer(method, params)}
        except Refusal as error:
            outcome = {"error": error.error}
        await stream.put(self.envelope({"jsonrpc": "2.0", "id": message["id"], **outcome}))
        if self.forgets:
            # At once, so that whoever has the answer meets with it.
            self.forgets = False
            for one in self.streams.values():
                one.request._writer.transport.close()
            self.streams.clear()


async def change(stream: Stream, message: Message) -> Any:
    await stream.put({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
    return text("told")


async def count(stream: Stream, message: Message) -> Any:
    token = (message["params"].get("_meta") or {}).get("progressToken")
    for n in (1, 2):
        await stream.put({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": n}})
        await asyncio.sleep(0.05)
    return text("2 steps")


async def ask(stream: Stream, message: Message) -> Any:
    answer = await stream.ask("q1", "elicitation/create", message="your name?", requestedSchema=FORM)
    return text(f"the client said {(answer.get('result') or {}).get('action', 'no')}")


async def forget(stream: Stream, message: Message) -> Any:
    """Answers, and has lost all streams with that: they end, and what is posted to them is refused."""
    stream.server.forgets = True
    return text("forgotten")


def old(name: str, *steps: Any, **options: Any) -> Case:
    case = {key: options.pop(key) for key in ("must",) if key in options}
    return Case(f"sse-{name}", lambda: OldServer(**options), list(steps) or ECHO, transport="sse", at_most={"GET stream": 6}, **case)


CASES = [
    old("plain", *ECHO, PING, RECONNECT, call("echo", message="again")),
    old("endpoint-absolute", endpoint="http://{host}/{base}/messages?sid={sid}"),
    old("endpoint-relative", endpoint="messages?sid={sid}"),
    old("endpoint-dots", endpoint="../{base}/messages?sid={sid}".replace("../{base}", ".")),
    old("endpoint-more-query", endpoint="/{base}/messages?a=b%20c&x=&sid={sid}"),
    old("endpoint-late", before_endpoint=1.0),
    old("endpoint-crlf", ends_line="\r\n"),
    old("posted-200", posted=Reply(200, TEXT, "ok")),
    old("posted-200-json", posted=Reply(200, {"Content-Type": "application/json"}, '{"status":"ok"}')),
    old("posted-202-empty", posted=Reply(202)),
    old("posted-204", posted=Reply(204)),
    old("posted-201", posted=Reply(201)),
    old("post-404", post_to_stream=Reply(404, {"Content-Type": "text/html"}, "<pre>Cannot POST /sse</pre>")),
    old("post-400", post_to_stream=Reply(400, TEXT, "GET me")),
    old("post-400-json", post_to_stream=refusal(400, -32000, "Bad Request: No valid session ID provided", "null")),
    old("post-500", post_to_stream=Reply(500, TEXT, "oops")),
    old("post-501", post_to_stream=Reply(501)),
    old("post-opens-stream", post_to_stream="stream"),
    old("post-hangs-up", hangs_up=True),
    old("charset", head={"Content-Type": "text/event-stream; charset=utf-8"}),
    old("id-string", envelope=lambda m: {**m, "id": str(m["id"])}),
    old("revision-2025-06-18", revision="2025-06-18"),
    old("no-event-name", event=lambda m: f"data: {json.dumps(m)}\n\n"),
    old("crlf", event=lambda m: f"event: message\r\ndata: {json.dumps(m)}\r\n\r\n"),
    old("null-cursor", content=Content(lists={"tools/list": {"tools": [tool("echo")], "nextCursor": None}})),
    old("changed", hears("tools", "change"), content=Content(tools=[tool("change", OBJECT)]), tools={"change": change}, capabilities={"tools": {"listChanged": True}}),
    old("changed-undeclared", hears("tools", "change"), content=Content(tools=[tool("change", OBJECT)]), tools={"change": change}),
    old("progress", progress("count"), content=Content(tools=[tool("count", OBJECT)]), tools={"count": count}),
    old("asks", call("ask"), ASKED, content=Content(tools=[tool("ask", OBJECT)]), tools={"ask": ask}, revision="2025-06-18"),
    *(
        old(f"lost-{lost.status}", *ECHO, call("forget"), RECONNECT, tools(), call("echo", message="after"), content=Content(tools=[tool("forget", OBJECT)]), tools={"forget": forget}, lost=lost)
        for lost in (Reply(404, TEXT, "no such session"), Reply(400, TEXT, "No transport found for sessionId"), Reply(410), Reply(500, TEXT, "KeyError"))
    ),
]  # fmt: skip
