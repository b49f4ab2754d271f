"""Streamable HTTP: sessions, refusals, redirects, encodings, and how answers are written."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from typing import Any

from case import ECHO, PING, RECONNECT, Case, call, tools
from content import Content, Refusal, text, tool
from legacy import Legacy, Reply, refusal
from scripts import aside_answer, forget, slow, status
from wire import JSON, Message, Request

HTML, PLAIN = {"Content-Type": "text/html"}, {"Content-Type": "text/plain"}
FEW = {"POST initialize": 4}  # a client, its probe, and once more; a storm makes hundreds


def echoes(name: str, *, more: list[Any] | None = None, **options: Any) -> Case:
    """A server to which tools/list and a call must get through."""
    case = {key: options.pop(key) for key in ("upstream", "at_most", "must", "plain") if key in options}
    return Case(name, lambda: Legacy(**options), ECHO + (more or []), **{"at_most": FEW, **case})


# ---- the plain ones, against which the others can be seen ------------------------------------------------------------
CASES = [
    echoes("plain-json", more=[PING, RECONNECT, call("echo", message="again")]),
    echoes("plain-events", events=True),
    echoes("plain-stateless", sessions=False),
    echoes("plain-stateless-events", sessions=False, events=True),
    echoes("plain-stream", stream=True),
    *(echoes(f"revision-{revision}", revision=revision) for revision in ("2024-11-05", "2025-03-26", "2025-11-25")),
]

# ---- a GET that is refused says nothing of the session ---------------------------------------------------------------
NO_GET = {
    "404-html": Reply(404, HTML, "<pre>Cannot GET /mcp</pre>"),
    "404-json": refusal(404, -32601, "GET is not offered", "null"),
    "404-session": refusal(404, -32001, "Session not found", "null"),
    "400": refusal(400, -32000, "Bad Request: POST only", "null"),
    "401": Reply(401, {"WWW-Authenticate": "Bearer"}, ""),
    "403": Reply(403, HTML, "forbidden"),
    "406": Reply(406),
    "410": Reply(410),
    "500": Reply(500, PLAIN, "oops"),
    "501": Reply(501),
    "502": Reply(502, HTML, "<h1>Bad gateway</h1>"),
    "204": Reply(204),
    "200-html": Reply(200, HTML, "<h1>An MCP server</h1>"),
    "200-json": Reply(200, JSON, '{"status":"ok"}'),
    "200-events-empty": Reply(200, {"Content-Type": "text/event-stream"}, ""),
}
CASES += [
    Case(f"get-{name}", lambda get=get: Legacy(get=get), [*ECHO, RECONNECT, call("echo", message="again")], at_most=FEW)
    for name, get in NO_GET.items()
]


async def get_hangs_up(server: Legacy, request: Request, message: Any) -> bool:
    if request.method == "GET":
        request.hang_up()
    return False


async def get_says_nothing(server: Legacy, request: Request, message: Any) -> bool:
    if request.method != "GET":
        return False
    await asyncio.sleep(20)
    return True


CASES += [echoes("get-hangs-up", first=get_hangs_up), echoes("get-says-nothing", first=get_says_nothing)]

# ---- a lost session, told in the ways in which servers tell it; a new client must find a server that works -----------
LOST = {
    "404-json": refusal(404, -32001, "Session not found"),
    "404-text": Reply(404, PLAIN, "no such session"),
    "404-empty": Reply(404),
    "400-no-valid": refusal(400, -32000, "Bad Request: No valid session ID provided", "null"),
    "400-not-initialized": refusal(400, -32000, "Bad Request: Server not initialized", "null"),
    "400-text": Reply(400, PLAIN, "Invalid or missing session ID"),
    "400-own-id": refusal(400, -32600, "Invalid session"),
    "400-plain-json": Reply(400, JSON, '{"error":"Invalid session ID"}'),
    "401-json": refusal(401, -32001, "Unauthorized: unknown session", "null"),
    "403-text": Reply(403, PLAIN, "session expired"),
    "409-json": refusal(409, -32000, "Session terminated", "null"),
    "410-empty": Reply(410),
    "422-json": Reply(422, JSON, '{"detail":"session is not known"}'),
    "440-json": refusal(440, -32000, "Login Time-out", "null"),
    "500-text": Reply(500, PLAIN, "KeyError: session"),
    "200-error": refusal(200, -32001, "Session not found"),
    "200-not-initialized": refusal(200, -32600, "Server not initialized"),
    "200-32602": refusal(200, -32602, "Received request before initialization was complete"),
}
CASES += [
    Case(
        f"lost-{name}",
        lambda lost=lost: Legacy(lost=lost, scripts={"forget": forget}, content=Content(tools=[tool("forget")])),
        [*ECHO, call("forget"), RECONNECT, tools(), call("echo", message="after")],
        at_most={"POST initialize": 8},
    )
    for name, lost in LOST.items()
]
CASES.append(
    Case(
        "lost-with-stream",
        lambda: Legacy(
            stream=True, lost=LOST["400-no-valid"], scripts={"forget": forget}, content=Content(tools=[tool("forget")])
        ),
        [*ECHO, call("forget"), RECONNECT, tools(), call("echo", message="after")],
        at_most={"POST initialize": 8},
    )
)

# ---- a call that fails by status runs once, and its own words arrive -------------------------------------------------
for code in (400, 401, 403, 404, 409, 410, 422, 429, 500, 503):
    body = '{"jsonrpc":"2.0","id":$ID,"error":{"code":-32602,"message":"No such record"}}'
    CASES.append(
        Case(
            f"call-fails-{code}",
            lambda code=code, body=body: Legacy(
                scripts={"find": status(code, JSON, body)}, content=Content(tools=[tool("find")])
            ),
            [tools(), call("find", fails="No such record"), call("echo", message="after")],
            at_most={"ran find": 1, **FEW},
        )
    )
CASES.append(
    Case(
        "call-fails-500-html",
        lambda: Legacy(scripts={"find": status(500, HTML, "<h1>No such record</h1>")}, content=Content(tools=[tool("find")])),
        [call("find", fails=""), call("echo", message="after")],
        at_most={"ran find": 1, **FEW},
    )
)

# ---- the probe for the other era is refused, which says nothing of this one ------------------------------------------
PROBES = {
    "400-text": Reply(400, PLAIN, "what?"),
    "401": Reply(401, {"WWW-Authenticate": "Bearer"}, "who are you?"),
    "403": Reply(403, HTML, "<h1>Forbidden</h1>"),
    "404": Reply(404, HTML, "<h1>Not found</h1>"),
    "405": Reply(405, {"Allow": "GET"}),
    "406": Reply(406),
    "415": Reply(415, PLAIN, "no"),
    "422": Reply(422, JSON, '{"detail":[{"loc":["body","method"],"msg":"unexpected value"}]}'),
    "429": Reply(429, {"Retry-After": "1"}, "slow down"),
    "500": Reply(500, PLAIN, "KeyError: 'server/discover'"),
    "502": Reply(502, HTML, "<h1>Bad gateway</h1>"),
    "503": Reply(503),
    "202": Reply(202),
    "200-empty": Reply(200, JSON, ""),
    "200-html": Reply(200, HTML, "<h1>Welcome</h1>"),
    "200-odd-result": Reply(200, JSON, '{"jsonrpc":"2.0","id":$ID,"result":{}}'),
    "200-null-id": refusal(200, -32601, "Method not found", "null"),
    "200-other-code": refusal(200, -32000, "Server not initialized"),
    "200-events": Reply(
        200,
        {"Content-Type": "text/event-stream"},
        'data: {"jsonrpc":"2.0","id":$ID,"error":{"code":-32601,"message":"Method not found"}}\n\n',
    ),
}
CASES += [echoes(f"probe-{name}", probe=probe) for name, probe in PROBES.items()]


async def probe_hangs_up(server: Legacy, request: Request, message: Any) -> bool:
    if isinstance(message, dict) and message.get("method") == "server/discover":
        request.hang_up()
    return False


CASES.append(echoes("probe-hangs-up", first=probe_hangs_up))

# ---- initialize is refused for its revision --------------------------------------------------------------------------
OLD = ["2024-11-05", "2025-03-26", "2025-06-18"]


def refuses_revision(status: int, code: int, words: str, data: bool) -> Any:
    async def first(server: Legacy, request: Request, message: Any) -> bool:
        if not isinstance(message, dict) or message.get("method") != "initialize":
            return False
        asked = message["params"]["protocolVersion"]
        if asked in OLD:
            return False
        error = {"code": code, "message": words.replace("$ASKED", asked)}
        if data:
            error["data"] = {"supported": OLD, "requested": asked}
        await request.answer(status, JSON, json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": error}))
        return True

    return first


REVISIONS = {
    "400-data": (400, -32602, "Unsupported protocol version", True),
    "200-data": (200, -32602, "Unsupported protocol version", True),
    "400-text": (400, -32000, "Bad Request: Unsupported protocol version: $ASKED (supported versions: 2025-06-18, 2025-03-26, 2024-11-05)", False),
    "200-text": (200, -32602, "Unsupported protocol version: $ASKED - supported versions: 2025-06-18,2024-11-05", False),
    "200-other-code": (200, -32600, "protocol version $ASKED is not supported, use 2025-06-18", False),
}  # fmt: skip
CASES += [
    echoes(
        f"revision-refused-{name}",
        first=refuses_revision(*how),
        must="the server says which revisions it takes; clients of older versions ask for those",
        at_most={"POST initialize": 8},
    )
    for name, how in REVISIONS.items()
]

# ---- redirects within the origin -------------------------------------------------------------------------------------


def redirects(code: int, to: str, only: str | None = None) -> Any:
    async def first(server: Legacy, request: Request, message: Any) -> bool:
        # The path is /CASE/VISIT/mcp.
        if not request.path.endswith("/mcp") or (only and (message or {}).get("method") != only):
            return False
        base = f"http://{request.headers['host']}" if to.startswith("http") else ""
        place = request.path + "/" if "slash" in to else request.path.removesuffix("mcp") + "v2"
        await request.answer(code, {"Location": base + place if "relative" not in to else "mcp/"})
        return True

    return first


CASES += [
    echoes("redirect-307", first=redirects(307, "slash")),
    echoes("redirect-308", first=redirects(308, "slash")),
    echoes("redirect-307-absolute", first=redirects(307, "http-slash")),
    echoes("redirect-307-relative", first=redirects(307, "relative-slash")),
    echoes("redirect-308-elsewhere", first=redirects(308, "v2")),
    echoes("redirect-307-calls-only", first=redirects(307, "slash", only="tools/call")),
]

# ---- what a server or who stands before it wants of each request -----------------------------------------------------


def wants(test: Any, reply: Reply) -> Any:
    async def first(server: Legacy, request: Request, message: Any) -> bool:
        if test(server, request, message):
            return False
        server.counts["turned away"] += 1
        await reply.give(request, message)
        return True

    return first


def later(message: Any) -> bool:
    return isinstance(message, dict) and message.get("method") not in ("initialize", "server/discover")


BLOCKED = Reply(403, HTML, "<html>Request blocked</html>")
CASES += [
    echoes("wants-user-agent", first=wants(lambda s, r, m: bool(r.headers.get("user-agent")), BLOCKED)),
    echoes(
        "wants-accept-both",
        first=wants(
            lambda s, r, m: r.method != "POST" or all(kind in r.headers.get("accept", "") for kind in (JSON["Content-Type"], "text/event-stream")),
            Reply(406, JSON, '{"error":"Not Acceptable"}'),
        ),
    ),
    echoes(
        "wants-revision-header",
        first=wants(
            lambda s, r, m: not later(m) or r.headers.get("mcp-protocol-version") == "2025-06-18",
            refusal(400, -32000, "Bad Request: Unsupported protocol version"),
        ),
    ),
    echoes(
        "wants-json-type",
        first=wants(lambda s, r, m: r.method != "POST" or r.headers.get("content-type", "").startswith("application/json"), Reply(415)),
    ),
    echoes(
        "wants-content-length",
        first=wants(lambda s, r, m: r.method != "POST" or "content-length" in r.headers, Reply(411)),
    ),
]  # fmt: skip


async def only_when_initialized(server: Legacy, request: Request, message: Any) -> bool:
    method = message.get("method") if isinstance(message, dict) else None
    if method == "notifications/initialized":
        server.counts["initialized"] += 1
    elif method not in (None, "initialize", "server/discover") and not server.counts["initialized"]:
        await refusal(200, -32002, "Server not initialized").give(request, message)
        return True
    return False


CASES.append(echoes("wants-initialized", first=only_when_initialized))


def sticky(loses: Reply, cookie: str = "AWSALB=abc; Path=/; HttpOnly") -> Any:
    """A balancer that sticks by a cookie: without it, a replica is asked that has no such session."""

    async def first(server: Legacy, request: Request, message: Any) -> bool:
        if isinstance(message, dict) and message.get("method") == "initialize":
            server.headers = {"Set-Cookie": cookie}
        elif "mcp-session-id" in request.headers and "AWSALB=abc" not in request.headers.get("cookie", ""):
            server.counts["wrong replica"] += 1
            await loses.give(request, message)
            return True
        else:
            server.headers = {}
        return False

    return first


CASES += [
    echoes("cookie-404", first=sticky(LOST["404-json"])),
    echoes("cookie-400", first=sticky(LOST["400-no-valid"])),
    echoes("cookie-expires", first=sticky(LOST["404-json"], "AWSALB=abc; Expires=Wed, 01 Jan 2098 00:00:00 GMT; Path=/; SameSite=Lax")),
]  # fmt: skip

# ---- sessions --------------------------------------------------------------------------------------------------------
NOTED = {
    "200-empty": Reply(200),
    "200-json": Reply(200, JSON, "{}"),
    "200-result": Reply(200, JSON, '{"jsonrpc":"2.0","id":null,"result":{}}'),
    "200-text": Reply(200, PLAIN, "ok"),
    "204": Reply(204),
    "202-json-null": Reply(202, JSON, "null"),
    "202-text": Reply(202, PLAIN, "Accepted"),
    "200-events": Reply(200, {"Content-Type": "text/event-stream"}, ": fine\n\n"),
    "400": refusal(400, -32600, "notifications are not for us", "null"),
    "404": Reply(404),
    "500": Reply(500, PLAIN, "oops"),
}
CASES += [echoes(f"notification-{name}", noted=noted) for name, noted in NOTED.items()]
CASES += [
    Case(f"delete-{code}", lambda code=code: Legacy(delete=Reply(code)), [*ECHO, RECONNECT, *ECHO], at_most={"POST initialize": 8})
    for code in (204, 404, 405, 500)
]
CASES += [
    echoes("session-id-punctuation", session_id="!#$&'()*+,-./:;<=>?@[]^_`{|}~%d"),
    echoes("session-id-long", session_id="x" * 1500 + "%d"),
    echoes("session-id-token", session_id="eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx%d.c2lnbmF0dXJl=="),
    echoes("session-id-on-all", headers={"X-Request-Id": "7", "mcp-session-id": "session-1"}),
]

# ---- how answers are written -----------------------------------------------------------------------------------------


def zipped(message: Message) -> bytes:
    return gzip.compress(json.dumps(message).encode())


class Zips(Legacy):
    """Compresses if the request allows it, or always."""

    always = False

    async def write(self, request: Request, message: Message, headers: Any) -> None:
        accepted = request.headers.get("accept-encoding", "")
        if not self.always and "gzip" not in accepted:
            return await super().write(request, message, headers)
        if not self.events:
            return await request.answer(200, {**JSON, **headers, "Content-Encoding": "gzip"}, zipped(message))
        await request.open({**headers, "Content-Encoding": "gzip"})
        squeeze = zlib.compressobj(wbits=31)
        await request.send(squeeze.compress(self.event(message).encode()) + squeeze.flush())
        await request.end()


class ZipsAlways(Zips):
    always = True


CASES += [
    Case("gzip-if-asked", Zips, ECHO, at_most=FEW),
    Case("gzip-events-if-asked", lambda: Zips(events=True), ECHO, at_most=FEW),
    Case("gzip-always", ZipsAlways, ECHO, at_most=FEW),
    Case("gzip-events-always", lambda: ZipsAlways(events=True), ECHO, at_most=FEW),
]


class Writes(Legacy):
    """`how` writes the answer."""

    def __init__(self, how: Any, **options: Any) -> None:
        super().__init__(**options)
        self.how = how

    async def write(self, request: Request, message: Message, headers: Any) -> None:
        await self.how(request, message, headers)


def writes(name: str, how: Any, **options: Any) -> Case:
    return Case(f"written-{name}", lambda: Writes(how), ECHO, at_most=FEW, **options)


def with_type(content_type: str) -> Any:
    async def how(request: Request, message: Message, headers: Any) -> None:
        await request.answer(200, {"Content-Type": content_type, **headers}, json.dumps(message))

    return how


async def without_type(request: Request, message: Message, headers: Any) -> None:
    await request.answer(200, headers, json.dumps(message))


async def until_close(request: Request, message: Message, headers: Any) -> None:
    request.last_of_connection = True
    await request._head(200, {**JSON, **headers, "Connection": "close"})
    await request._write(json.dumps(message).encode())


async def in_bits(request: Request, message: Message, headers: Any) -> None:
    await request.open({**JSON, **headers})
    data = json.dumps(message, ensure_ascii=False, indent=2).encode()
    for at in range(0, len(data), 7):
        await request.send(data[at : at + 7])
    await request.end()


def as_events(write: Any, content_type: str = "text/event-stream") -> Any:
    """Events of one's own make."""

    async def how(request: Request, message: Message, headers: Any) -> None:
        await request.open({**headers, "Content-Type": content_type})
        for bit in write(message):
            await request.send(bit)
        await request.end()

    return how


async def stays_open(request: Request, message: Message, headers: Any) -> None:
    await request.open(headers)
    await request.send(f"data: {json.dumps(message)}\n\n")
    await asyncio.sleep(6)
    await request.end()


async def breaks_off(request: Request, message: Message, headers: Any) -> None:
    """The answer is there, and the end of the body never comes."""
    await request.open(headers)
    await request.send(f"data: {json.dumps(message)}\n\n")
    await asyncio.sleep(0.1)
    request.hang_up()


async def other_status(request: Request, message: Message, headers: Any) -> None:
    await request.answer(201, {**JSON, **headers}, json.dumps(message))


def lines(message: Message) -> str:
    """JSON on several lines, each a `data:`."""
    return "".join(f"data: {line}\n" for line in json.dumps(message, indent=1).split("\n")) + "\n"


CASES += [
    writes("charset", with_type("application/json; charset=utf-8")),
    writes("capital-type", with_type("Application/JSON;Charset=UTF-8")),
    writes("no-type", without_type),
    writes("text-type", with_type("text/plain")),
    writes("until-close", until_close),
    writes("in-bits", in_bits),
    writes("status-201", other_status),
    writes("crlf", as_events(lambda m: [f"event: message\r\ndata: {json.dumps(m)}\r\n\r\n"])),
    writes("cr", as_events(lambda m: [f"data: {json.dumps(m)}\r\r"])),
    writes("several-lines", as_events(lambda m: [lines(m)])),
    writes("comments", as_events(lambda m: [": hello\n\n", ":\n", f": x\ndata: {json.dumps(m)}\n\n", ": bye\n\n"])),
    writes("no-space", as_events(lambda m: [f"data:{json.dumps(m)}\n\n"])),
    writes("id-and-retry", as_events(lambda m: [f"id: 1\nretry: 3000\ndata: {json.dumps(m)}\n\n"])),
    writes("priming-event", as_events(lambda m: ["id: 0\nretry: 500\ndata: \n\n", f"id: 1\ndata: {json.dumps(m)}\n\n"])),
    writes("keep-alive-event", as_events(lambda m: ["event: ping\ndata: {}\n\n", f"event: message\ndata: {json.dumps(m)}\n\n"])),
    writes("byte-by-byte", as_events(lambda m: [bytes([b]) for b in f"data: {json.dumps(m, ensure_ascii=False)}\n\n".encode()])),
    writes("events-charset", as_events(lambda m: [f"data: {json.dumps(m)}\n\n"], "text/event-stream; charset=utf-8")),
    writes("bom-events", as_events(lambda m: ["\ufeff", f"data: {json.dumps(m)}\n\n"])),
    writes("stays-open", stays_open),
    writes("breaks-off", breaks_off),
    echoes("written-bom", body=lambda m: b"\xef\xbb\xbf" + json.dumps(m).encode()),
    echoes("written-array", revision="2025-03-26", envelope=lambda m: [m]),
    echoes("written-escapes", body=lambda m: json.dumps(m).replace("/", "\\/").replace("jsonrpc", "json\\u0072pc").encode()),
    echoes("written-line-end", body=lambda m: b"\n" + json.dumps(m).encode() + b"\n\n"),
    echoes("written-members", envelope=lambda m: {"method": None, "params": None, "x": 1, **m} if "error" in m else {"error": None, **m}),
    echoes("written-no-version", envelope=lambda m: {k: v for k, v in m.items() if k != "jsonrpc"}),
]  # fmt: skip

# ---- ids in another spelling -----------------------------------------------------------------------------------------
CASES += [
    echoes("id-string", envelope=lambda m: {**m, "id": str(m["id"])}),
    echoes("id-string-events", events=True, envelope=lambda m: {**m, "id": str(m["id"])}),
    echoes("id-float", envelope=lambda m: {**m, "id": float(m["id"]) if isinstance(m["id"], int) else m["id"]}),
]

# ---- null where nothing is meant -------------------------------------------------------------------------------------
LISTED = {"tools": [tool("echo")]}
CASES += [
    echoes("null-cursor", content=Content(lists={"tools/list": {**LISTED, "nextCursor": None}})),
    echoes("null-list-meta", content=Content(lists={"tools/list": {**LISTED, "_meta": None}})),
    echoes("null-instructions", introduces={"instructions": None}),
    echoes("null-introduction-meta", introduces={"_meta": None}),
    echoes("null-capabilities", capabilities={"tools": {}, "prompts": None, "resources": None, "logging": None}),
    echoes("null-listed-members", content=Content(lists={"tools/list": {"tools": [tool("echo", title=None, description=None, annotations=None, _meta=None, icons=None, outputSchema=None)]}})),
    echoes("null-server-title", introduces={"serverInfo": {"name": "odd", "version": "1", "title": None}}),
    echoes("null-error-data", content=Content(results={"bad": Refusal(-32602, "No such record")}), envelope=lambda m: {**m, "error": {**m["error"], "data": None}} if "error" in m else m, more=[call("bad", fails="No such record")]),
    echoes("null-result-members", content=Content(results={"bad": text("fine", isError=None, structuredContent=None, _meta=None)}), more=[call("bad")]),
    echoes("null-other-half", envelope=lambda m: {"error": None, "result": None, **m}),
    echoes("null-ping", content=Content(lists={"ping": None}), more=[PING]),
]  # fmt: skip

# ---- answers that come elsewhere, or late ----------------------------------------------------------------------------
CASES += [
    Case(
        "answer-aside",
        lambda: Legacy(stream=True, scripts={"aside": aside_answer}, content=Content(tools=[tool("aside")])),
        [tools(), call("aside"), call("echo", message="after")],
        at_most={"ran aside": 1, **FEW},
    ),
    Case(
        "answer-late",
        lambda: Legacy(scripts={"late": slow(2.0)}, content=Content(tools=[tool("late")])),
        [call("late"), call("echo", message="after")],
        at_most={"ran late": 1, **FEW},
    ),
    Case(
        "answer-late-events",
        lambda: Legacy(events=True, scripts={"late": slow(2.0)}, content=Content(tools=[tool("late")])),
        [call("late"), call("echo", message="after")],
        at_most={"ran late": 1, **FEW},
    ),
]


async def all_aside(server: Legacy, request: Request, message: Any) -> bool:
    """As soon as a session has a stream, every response comes there."""
    stream = server.streams.get(request.headers.get("mcp-session-id", "?"))
    if stream is None or not isinstance(message, dict) or "id" not in message or "method" not in message:
        return False
    await request.answer(202)
    try:
        outcome = {"result": server.content.answer(message["method"], message.get("params") or {})}
    except Refusal as error:
        outcome = {"error": error.error}
    await stream.send(server.event({"jsonrpc": "2.0", "id": message["id"], **outcome}))
    return True


CASES.append(echoes("answers-all-aside", stream=True, first=all_aside, more=[PING, call("echo", message="more")]))
