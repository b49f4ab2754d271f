"""Servers of the modern era, and servers that speak both."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from case import ASKED, ECHO, INSTRUCTIONS, PING, RECONNECT, Case, call, hears, progress, tools
from content import OBJECT, Content, Refusal, text, tool
from legacy import Legacy, Reply, refusal
from scripts import FORM, asks, counts, tells, who
from wire import JSON, Message, Request

REVISION = "2026-07-28"
CACHED = ("server/discover", "tools/list", "resources/list", "resources/templates/list", "prompts/list", "resources/read")
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


class Modern:
    """2026-07-28, answers as JSON."""

    def __init__(
        self,
        content: Content | None = None,
        *,
        events: bool = False,
        capabilities: Any = None,
        discovered: Any = None,
        elicits: str = "",
        result_type: bool = True,
        changes: str = "",
        get: Reply | None = None,
    ) -> None:
        self.content = content or Content()
        self.events, self.capabilities, self.discovered = events, capabilities, discovered or {}
        self.elicits, self.result_type, self.changes = elicits, result_type, changes
        self.get = get or Reply(405)
        self.listening: dict[Any, Request] = {}
        self.counts: Counter[str] = Counter()

    async def __call__(self, request: Request) -> None:
        message = request.message() if request.method == "POST" else None
        if not isinstance(message, dict):
            self.counts[request.method] += 1
            return await self.get.give(request)
        method = message.get("method")
        self.counts[f"POST {method}"] += 1
        if "id" not in message:
            return await request.answer(202)
        if method == "initialize":
            data = {"supported": [REVISION], "requested": message["params"]["protocolVersion"]}
            error = {"code": -32022, "message": "Unsupported protocol version", "data": data}
            return await request.answer(400, JSON, json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": error}))
        if method == "subscriptions/listen":
            return await self._listen(request, message)
        await self._answer(request, message)

    def result(self, message: Message) -> Any:
        params = message.get("params") or {}
        if message["method"] == "server/discover":
            capabilities = self.content.capabilities if self.capabilities is None else self.capabilities
            info = {"io.modelcontextprotocol/serverInfo": {"name": "odd", "version": "1.0"}}
            return {"supportedVersions": [REVISION], "capabilities": capabilities, "_meta": info, **self.discovered}
        if message["method"] == "tools/call" and params["name"] == self.elicits and self.elicits:
            given = (params.get("inputResponses") or {}).get("who")
            if given is None:
                form = {"mode": "form", "message": "your name?", "requestedSchema": FORM}
                asked = {"who": {"method": "elicitation/create", "params": form}}
                return {"resultType": "input_required", "inputRequests": asked, "requestState": "s1"}
            return text(f"the client said {given.get('action')}")
        return self.content.answer(message["method"], params)

    async def _answer(self, request: Request, message: Message) -> None:
        name = (message.get("params") or {}).get("name")
        if message["method"] == "tools/call":
            self.counts[f"ran {name}"] += 1
        try:
            result = self.result(message)
            cached = {"ttlMs": 0, "cacheScope": "private"} if message["method"] in CACHED else {}
            outcome: Message = {"result": {**({"resultType": "complete"} if self.result_type else {}), **cached, **result}}
        except Refusal as error:
            outcome = {"error": error.error}
        if name and name == self.changes:
            for id, stream in self.listening.items():
                note = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": {"_meta": {SUBSCRIPTION: id}}}
                await stream.send(f"data: {json.dumps(note)}\n\n")
        answer = {"jsonrpc": "2.0", "id": message["id"], **outcome}
        if self.events:
            await request.open()
            await request.send(f"event: message\ndata: {json.dumps(answer)}\n\n")
            await request.end()
        else:
            await request.answer(200, JSON, json.dumps(answer))

    async def _listen(self, request: Request, message: Message) -> None:
        await request.open()
        honoured = (message.get("params") or {}).get("notifications") or {}
        meta = {SUBSCRIPTION: message["id"]}
        note = {
            "jsonrpc": "2.0",
            "method": "notifications/subscriptions/acknowledged",
            "params": {"_meta": meta, "notifications": honoured},
        }
        await request.send(f"data: {json.dumps(note)}\n\n")
        self.listening[message["id"]] = request
        try:
            await request.until_gone()
        finally:
            self.listening.pop(message["id"], None)


class Dual:
    """Both eras at one address, as today's SDKs serve them: who begins with `initialize` has a session."""

    def __init__(self, modern: Modern, legacy: Legacy) -> None:
        self.modern, self.legacy = modern, legacy

    @property
    def counts(self) -> Counter[str]:
        return self.modern.counts + self.legacy.counts

    async def __call__(self, request: Request) -> None:
        message = request.message() if request.method == "POST" else None
        params = (message.get("params") or {}) if isinstance(message, dict) else {}
        modern = isinstance(params, dict) and "io.modelcontextprotocol/protocolVersion" in (params.get("_meta") or {})
        await (self.modern if modern else self.legacy)(request)


def modern(name: str, *steps: Any, **options: Any) -> Case:
    return Case(f"modern-{name}", lambda: Modern(**options), list(steps) or ECHO)


def dual(name: str, *steps: Any, modern: Any = None, upstream: Any = None, plain: bool = False, **legacy: Any) -> Case:
    return Case(
        f"dual-{name}",
        lambda: Dual(Modern(**(modern or {})), Legacy(revision="2025-11-25", **legacy)),
        list(steps) or ECHO,
        upstream=upstream or {},
        plain=plain,
    )


ASK = Content(tools=[tool("ask", OBJECT)])
COUNT = Content(tools=[tool("count", OBJECT)])
TELL = Content(tools=[tool("tell", OBJECT)])
CHANGES = [("notifications/tools/list_changed", {})]
PER_CLIENT = {"sessions": "per-client"}
ELICITS = ("elicitation/create", {"message": "your name?", "requestedSchema": FORM})
SAMPLES = ("sampling/createMessage", {"messages": [{"role": "user", "content": {"type": "text", "text": "?"}}], "maxTokens": 9})  # fmt: skip

CASES = [
    modern("plain", *ECHO, PING, RECONNECT, call("echo", message="again")),
    modern("events", events=True),
    modern("instructions", INSTRUCTIONS, *ECHO, discovered={"instructions": "Say please."}),
    modern("null-instructions", discovered={"instructions": None}),
    modern("no-server-info", discovered={"_meta": {}}),
    modern("more-revisions", discovered={"supportedVersions": ["2099-01-01", REVISION]}),
    modern("no-result-type", result_type=False),
    modern("null-cursor", content=Content(lists={"tools/list": {"tools": [tool("echo")], "nextCursor": None}})),
    modern("get-404", get=Reply(404)),
    modern("error", tools(), call("bad", fails="No such record", code=True), content=Content(tools=[tool("bad")], results={"bad": Refusal(-32602, "No such record")})),
    modern("asks", call("ask"), ASKED, content=ASK, elicits="ask"),
    modern("changed", hears("tools", "tell"), content=TELL, capabilities={"tools": {"listChanged": True}}, changes="tell"),
    modern("result-unknown-members", tools(whole=True), call("odd"), content=Content(tools=[tool("odd", OBJECT, vendor=1)], results={"odd": text("x", vendor={"a": 2.50})})),
    # One content for both eras.
    dual("plain", *ECHO, PING, RECONNECT, call("echo", message="again")),
    dual("events", events=True, modern={"events": True}),
    dual("stateless", sessions=False),
    dual("get-404", get=Reply(404, {"Content-Type": "text/html"}, "<pre>Cannot GET</pre>")),
    dual("lists-legacy-revisions-too", modern={"discovered": {"supportedVersions": [REVISION, "2025-11-25", "2025-06-18"]}}),
    # What there is depends on the era.
    dual("tools-by-era", modern={"content": Content(tools=[tool("new")])}, content=Content(tools=[tool("old")])),
    dual("errors-by-era", call("bad", fails="said", code=True), modern={"content": Content(tools=[tool("bad", OBJECT)], results={"bad": Refusal(-32602, "said anew")})}, content=Content(tools=[tool("bad", OBJECT)], results={"bad": Refusal(-32002, "said of old")})),
    dual("instructions-by-era", INSTRUCTIONS, *ECHO, introduces={"instructions": "of old"}, modern={"discovered": {"instructions": "anew"}}),
    # What a legacy client is used to: the server speaks to it in mid-call.
    *(
        case
        for label, upstream in (("", {}), ("-per-client", PER_CLIENT))
        for case in (
            dual(f"elicits{label}", call("ask"), ASKED, upstream=upstream, modern={"content": ASK, "elicits": "ask"}, content=ASK, stream=True, scripts={"ask": asks(ELICITS[0], **ELICITS[1])}),
            dual(f"elicits-plain{label}", call("ask"), ASKED, plain=True, upstream=upstream, modern={"content": Content(tools=[tool("ask", OBJECT)], results={"ask": text("cannot ask")})}, content=ASK, scripts={"ask": asks(ELICITS[0], **ELICITS[1])}),
            dual(f"samples{label}", call("ask"), ASKED, upstream=upstream, modern={"content": Content(tools=[tool("ask", OBJECT)], results={"ask": text("cannot ask")})}, content=ASK, scripts={"ask": asks(SAMPLES[0], **SAMPLES[1])}),
            dual(f"roots{label}", call("ask"), ASKED, upstream=upstream, modern={"content": Content(tools=[tool("ask", OBJECT)], results={"ask": text("cannot ask")})}, content=ASK, scripts={"ask": asks("roots/list")}),
            dual(f"pings{label}", call("ask"), ASKED, upstream=upstream, modern={"content": Content(tools=[tool("ask", OBJECT)], results={"ask": text("cannot ask")})}, content=ASK, scripts={"ask": asks("ping")}),
            dual(f"changed{label}", hears("tools", "tell"), upstream=upstream, modern={"content": TELL, "capabilities": {"tools": {"listChanged": True}}, "changes": "tell"}, content=TELL, stream=True, capabilities={"tools": {"listChanged": True}}, scripts={"tell": tells(*CHANGES, aside=True)}),
            dual(f"progress{label}", progress("count"), upstream=upstream, modern={"content": Content(tools=[tool("count", OBJECT)], results={"count": text("2 steps")})}, content=COUNT, scripts={"count": counts({"progress": 1}, {"progress": 2})}),
        )
    ),
    dual("introduces-per-client", call("who"), upstream=PER_CLIENT, modern={"content": Content(tools=[tool("who", OBJECT)], results={"who": text("nobody")})}, content=Content(tools=[tool("who", OBJECT)]), scripts={"who": who}),
    dual("lost-400", *ECHO, RECONNECT, *ECHO, lost=refusal(400, -32000, "Bad Request: No valid session ID provided", "null")),
]  # fmt: skip
