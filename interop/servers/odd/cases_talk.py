"""What is said, over Streamable HTTP: lists, schemas, results, errors, progress, changes, and servers that ask back."""

from __future__ import annotations

from typing import Any

from case import (
    ASKED, COMPLETE, ECHO, INSTRUCTIONS, LOGS, PING, PROMPTS, RESOURCES, ROOTS_CHANGED, TEMPLATES,
    Case, call, hears, progress, prompt, read, tools,
)  # fmt: skip
from content import OBJECT, Content, Refusal, text, tool
from legacy import Exchange, Legacy
from scripts import FORM, asks, counts, tells, who

ONE = {"POST initialize": 4}


def lists(name: str, answer: Any, *steps: Any, **more: Any) -> Case:
    """A server whose tools/list answers this."""
    return Case(name, lambda: Legacy(Content(lists={"tools/list": answer})), list(steps) or ECHO, at_most=ONE, **more)


def pages(name: str, answers: dict[Any, Any], **more: Any) -> Case:
    return Case(name, lambda: Legacy(Content(pages=answers)), ECHO, at_most=ONE, **more)


def of(*names: str, next: Any = "end") -> dict[str, Any]:
    return {"tools": [tool(name) for name in names], **({} if next == "end" else {"nextCursor": next})}


# ---- lists -----------------------------------------------------------------------------------------------------------
ROUND = "the list ends where its cursor has been before; clients that follow it forever show nothing"
CASES = [
    pages("pages", {None: of("echo", "a", next="2"), "2": of("b", next="3"), "3": of("c")}),
    pages("pages-empty-one", {None: of(next="2"), "2": of("echo")}),
    pages("pages-odd-cursors", {None: of("echo", next="a b/ü=&?#"), "a b/ü=&?#": of("b")}),
    pages("pages-cursor-empty", {None: of("echo", next=""), "": of("echo", next="")}, must=ROUND),
    pages("pages-cursor-same", {None: of("echo", next="same"), "same": of("echo", next="same")}, must=ROUND),
    pages("pages-cursor-cycle", {None: of("echo", next="a"), "a": of("b", next="b"), "b": of("c", next="a")}, must=ROUND),
    pages("pages-duplicates", {None: of("echo", "a", next="2"), "2": of("a", "b")}),
    lists("list-empty", {"tools": []}, tools()),
    lists("list-300", {"tools": [tool("echo")] + [tool(f"tool-{n:03}") for n in range(300)]}),
    lists("list-odd-names", {"tools": [tool(n) for n in ("echo", "admin.tools.list", "user/update", "ns:tool", "with space", "tool,comma", "ünïcode", "x" * 64)]}),
    lists("list-long-names", {"tools": [tool("echo"), tool("y" * 128)]}),
    lists("list-folded-names", {"tools": [tool("echo"), tool("a.b"), tool("a-b"), tool("a_b"), tool("A_b")]}),
    lists("list-unknown-members", {"tools": [tool("echo", vendor={"x": [1, 2.50, None]}, annotations={"readOnlyHint": True, "x": 1})], "vendor": 1, "_meta": {"com.example/x": 1}}, tools(whole=True), call("echo", message="hi")),
    lists("list-internal-error", Refusal(-32603, "database is locked"), {"do": "tools", "fails": "database is locked"}, PING),
    Case("list-not-declared", lambda: Legacy(capabilities={}), ECHO, at_most=ONE),
    Case("list-declares-what-it-has-not", lambda: Legacy(capabilities={"tools": {}, "prompts": {}, "resources": {}, "completions": {}}), ECHO, at_most=ONE),
    Case("list-says-nothing-of-capabilities", lambda: Legacy(capabilities={"tools": {"listChanged": False}, "experimental": {"x": {}}, "vendor": {"y": 1}}), ECHO, at_most=ONE),
    Case("instructions", lambda: Legacy(introduces={"instructions": "Say please.\n\nAnd »thank you«."}), [INSTRUCTIONS, *ECHO], at_most=ONE),
]  # fmt: skip

# ---- schemas: a client that takes them directly takes them through Portolan ------------------------------------------
SCHEMAS: dict[str, dict[str, Any]] = {
    "missing": {"name": "odd"},
    "null": tool("odd", None),
    "empty": tool("odd", {}),
    "true": tool("odd", True),
    "string": tool("odd", {"type": "string"}),
    "marker": tool("odd", {"$schema": "http://json-schema.org/draft-07/schema#"}),
    "property-true": tool("odd", {"type": "object", "properties": {"a": True}}),
    "property-null": tool("odd", {"type": "object", "properties": {"a": None}}),
    "any-of": tool("odd", {"anyOf": [OBJECT, {"type": "object", "properties": {"b": {"type": "string"}}}]}),
    "typed-any-of": tool("odd", {"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}),
    "ref": tool("odd", {"type": "object", "properties": {"n": {"$ref": "#/$defs/N"}}, "$defs": {"N": {"type": "object", "properties": {"next": {"$ref": "#/$defs/N"}}}}}),
    "required-null": tool("odd", {"type": "object", "required": None}),
    "required-unknown": tool("odd", {"type": "object", "required": ["nowhere"], "additionalProperties": False}),
    "bad-pattern": tool("odd", {"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}}),
    "output-array": tool("odd", OBJECT, outputSchema={"type": "array", "items": {"type": "string"}}),
    "output-untyped": tool("odd", OBJECT, outputSchema={"description": "whatever"}),
    "output-true": tool("odd", OBJECT, outputSchema=True),
    "output-ref": tool("odd", OBJECT, outputSchema={"type": "object", "properties": {"n": {"$ref": "#/$defs/N"}}, "$defs": {"N": {"type": "integer"}}}),
    "name-missing": {"inputSchema": OBJECT},
    "name-empty": tool(""),
    "name-number": {"name": 7, "inputSchema": OBJECT},
    "entry-null": None,  # type: ignore[dict-item]
}  # fmt: skip
CASES += [lists(f"schema-{name}", {"tools": [tool("fine"), entry]}, tools()) for name, entry in SCHEMAS.items()]

# What takes all tools of a server away from some client or other, beside one that is fine (for `interop/real-clients`).
BAD = ("missing", "empty", "property-true", "output-array")
CASES.append(lists("schema-several-bad", {"tools": [tool("fine"), *({**SCHEMAS[name], "name": f"bad-{name}"} for name in BAD)]}, tools()))

# ---- results and errors ----------------------------------------------------------------------------------------------
IMAGE = "iVBORw0KGgo="
RESULTS: dict[str, Any] = {
    "empty-content": {"content": []},
    "no-content": {"structuredContent": {"n": 1}},
    "nothing": {},
    "content-null": {"content": None},
    "content-text": {"content": "just text"},
    "item-null": {"content": [None]},
    "is-error": text("it failed", isError=True),
    "error-structured": text("it failed", isError=True, structuredContent={"why": ["x"]}),
    "structured": text('{"n":1}', structuredContent={"n": 1, "deep": [{"x": None}], "z": 2.50}),
    "structured-array": text("[1]", structuredContent=[1]),
    "image": {"content": [{"type": "image", "data": IMAGE, "mimeType": "image/png"}]},
    "audio": {"content": [{"type": "audio", "data": IMAGE, "mimeType": "audio/wav", "annotations": {"audience": ["user"], "priority": 0.5}}]},
    "resource": {"content": [{"type": "resource", "resource": {"uri": "memo:x", "mimeType": "text/plain", "text": "x"}}]},
    "link": {"content": [{"type": "resource_link", "uri": "file:///a b.txt", "name": "a", "size": 3}]},
    "unknown-type": {"content": [{"type": "hologram", "data": {"x": 1}}]},
    "meta": text("x", _meta={"com.example/x": {"a": [1]}}),
    "unknown-members": {"content": [{"type": "text", "text": "x", "vendor": 1}], "vendor": {"y": 2}},
    "big-numbers": text("x", structuredContent={"n": 2**53 - 1, "m": -0.5}),
    "escapes": text('"\\/\b\f\n\r\t\u0001\u2028 ü 🙂 \ufffe'),
    "megabyte": text("x" * 1_000_000),
}  # fmt: skip
ERRORS: dict[str, Refusal] = {
    "invalid-params": Refusal(-32602, "No such record", {"id": 7, "more": [1]}),
    "own-code": Refusal(-31007, "quota used up", {"retry": 3}),
    "positive": Refusal(4711, "odd code"),
    "zero": Refusal(0, "zero"),
    "not-found": Refusal(-32601, "no such method inside"),
    "parse": Refusal(-32700, "upstream said nonsense"),
    "not-resource": Refusal(-32002, "it is not there", {"uri": "memo:x"}),
    "server": Refusal(-32000, "Connection closed"),
    "session-like": Refusal(-32001, "Request timed out"),
    "session-words": Refusal(-32600, "Session not found in the calendar"),
    "empty-message": Refusal(-32603, ""),
    "long-message": Refusal(-32603, "x" * 5000),
    "data-text": Refusal(-32603, "with data", "just text"),
    "code-float": Refusal(-32602.0, "as a float"),
    "code-text": Refusal("E_BAD", "a text as code"),
}
CASES += [
    Case(f"result-{name}", lambda result=result: Legacy(Content(tools=[tool("odd", OBJECT)], results={"odd": result})), [tools(), call("odd"), call("echo", message="after")], at_most={"ran odd": 1})
    for name, result in RESULTS.items()
] + [
    Case(f"error-{name}", lambda error=error: Legacy(Content(tools=[tool("odd", OBJECT)], results={"odd": error})), [tools(), call("odd", fails=error.error["message"][:100] if type(error.error["code"]) is int else "", code=type(error.error["code"]) is int), call("echo", message="after")], at_most={"ran odd": 1})
    for name, error in ERRORS.items()
]  # fmt: skip

# ---- resources, prompts, completion ----------------------------------------------------------------------------------
URIS = {
    "plain": "test://a/b",
    "file": "file:///C:/x%20y.txt",
    "opaque": "memo:insights",
    "urn": "urn:isbn:123",
    "mail": "mailto:a@example.com",
    "ui": "ui://widget/main.html",
    "https": "https://docs.example.com/a?b=c#d",
    "data": "data:text/plain,hi",
    "unicode": "test://ünïcode/ä",
    "custom": "x-my.app+v2://Host/Path",
    "relative": "notes/today.md",
    "rooted": "/etc/notes",
    "spaces": "file:///x y.txt",
}
CASES += [
    Case(f"resource-{name}", lambda uri=uri: Legacy(Content(resources={uri: 1})), [RESOURCES, read(uri)], at_most=ONE)
    for name, uri in URIS.items()
]
CASES += [
    Case("resource-unknown", lambda: Legacy(Content(resources={"test://a": 1})), [read("test://none", fails="")], at_most=ONE),
    Case("resource-unlisted", lambda: Legacy(Content(resources={"test://a/{x}": 1})), [TEMPLATES, read("test://a/7")], at_most=ONE),
    Case("template-https", lambda: Legacy(Content(resources={"https://docs.example.com/{page}": 1})), [TEMPLATES, read("https://docs.example.com/intro")], at_most=ONE),
    Case("template-opaque", lambda: Legacy(Content(resources={"memo:{topic}": 1})), [TEMPLATES, read("memo:x")], at_most=ONE),
    Case("prompts", lambda: Legacy(Content(prompts={"greet": {"entry": {"arguments": [{"name": "who", "required": True}]}, "result": {"messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}]}}})), [PROMPTS, prompt("greet", who="Ada")], at_most=ONE),
    Case("prompts-null-arguments", lambda: Legacy(Content(prompts={"greet": {"entry": {"arguments": None, "description": None}, "result": {"messages": []}}})), [PROMPTS, prompt("greet")], at_most=ONE),
    Case("completion", lambda: Legacy(Content(prompts={"greet": {"result": {"messages": []}}}, completion={"values": ["a", "b"], "total": 2, "hasMore": False})), [COMPLETE], at_most=ONE),
    Case("completion-null", lambda: Legacy(Content(prompts={"greet": {"result": {"messages": []}}}, completion={"values": ["a"], "total": None, "hasMore": None})), [COMPLETE], at_most=ONE),
]  # fmt: skip

# ---- progress --------------------------------------------------------------------------------------------------------


def progresses(name: str, *steps: dict[str, Any], **options: Any) -> Case:
    stream = options.get("aside", False)
    script = counts(*steps, **options)
    return Case(f"progress-{name}", lambda: Legacy(Content(tools=[tool("count")]), stream=stream, scripts={"count": script}), [progress("count"), call("echo", message="after")], at_most={"ran count": 1})  # fmt: skip


CASES += [
    progresses("grows", {"progress": 1, "total": 3}, {"progress": 2, "total": 3, "message": "half"}, {"progress": 3, "total": 3}),
    progresses("stands", {"progress": 1}, {"progress": 1}, {"progress": 1, "message": "still"}, {"progress": 2}),
    progresses("shrinks", {"progress": 5, "total": 9}, {"progress": 3, "total": 9}, {"progress": 9, "total": 9}),
    progresses("fractions", {"progress": 0.25, "total": 1.0}, {"progress": 0.5, "total": 1.0}),
    progresses("nulls", {"progress": 1, "total": None, "message": None}, {"progress": 2}),
    progresses("token-as-text", {"progress": 1}, {"progress": 2}, token=str),
    progresses("aside", {"progress": 1}, {"progress": 2}, aside=True),
    progresses("unknown-members", {"progress": 1, "vendor": {"x": 1}}, {"progress": 2, "_meta": {"com.example/x": 1}}),
]

# ---- what servers tell, declared or not ------------------------------------------------------------------------------
LOG = ("notifications/message", {"level": "info", "logger": "x", "data": {"a": [1]}})
TOOLS_CHANGED = ("notifications/tools/list_changed", {})


def telling(name: str, notes: list[tuple[str, dict[str, Any]]], steps: list[Any], aside: bool = False, **options: Any) -> Case:
    case = {key: options.pop(key) for key in ("upstream", "plain") if key in options}
    content = Content(tools=[tool("tell", OBJECT)], resources=options.pop("resources", None), lists=options.pop("lists", None))
    return Case(f"tells-{name}", lambda: Legacy(content, stream=True, scripts={"tell": tells(*notes, aside=aside)}, **options), steps, **case)  # fmt: skip


SUBSCRIBES = {"resources/subscribe": {}, "resources/unsubscribe": {}}
UPDATED = ("notifications/resources/updated", {"uri": "test://a"})
for where, aside in (("in-call", False), ("aside", True)):
    CASES += [
        telling(f"tools-changed-{where}", [TOOLS_CHANGED], [hears("tools", "tell")], aside, capabilities={"tools": {"listChanged": True}}),
        telling(f"tools-changed-{where}-undeclared", [TOOLS_CHANGED], [hears("tools", "tell")], aside),
        telling(f"prompts-changed-{where}", [("notifications/prompts/list_changed", {})], [hears("prompts", "tell")], aside, capabilities={"tools": {}, "prompts": {"listChanged": True}}, lists={"prompts/list": {"prompts": []}}),
        telling(f"updated-{where}", [UPDATED], [hears("resource", "tell", "test://a")], aside, capabilities={"tools": {}, "resources": {"subscribe": True}}, resources={"test://a": 1}, lists=SUBSCRIBES),
        telling(f"updated-{where}-undeclared", [UPDATED], [hears("resource", "tell", "test://a")], aside, resources={"test://a": 1}, lists=SUBSCRIBES),
        telling(f"unknown-{where}", [("notifications/vendor/thing", {"x": 1})], [call("tell"), call("echo", message="after")], aside),
        telling(f"tools-changed-{where}-per-client", [TOOLS_CHANGED], [hears("tools", "tell")], aside, capabilities={"tools": {"listChanged": True}}, upstream={"sessions": "per-client"}),
        telling(f"tools-changed-{where}-per-client-plain", [TOOLS_CHANGED], [hears("tools", "tell")], aside, capabilities={"tools": {"listChanged": True}}, upstream={"sessions": "per-client"}, plain=True),
    ]  # fmt: skip
CASES += [
    telling("log", [LOG], [{"do": "level"}, call("tell"), LOGS], capabilities={"tools": {}, "logging": {}}, lists={"logging/setLevel": {}}),
    telling("log-undeclared", [LOG], [call("tell"), call("echo", message="after")]),
    Case("level-without-logging", lambda: Legacy(), [{"do": "level", "fails": ""}, *ECHO]),
    telling("cancelled", [("notifications/cancelled", {"requestId": 999, "reason": "x"})], [call("tell"), call("echo", message="after")]),
    telling("null-params", [("notifications/tools/list_changed", {"_meta": None})], [call("tell"), call("echo", message="after")]),
]  # fmt: skip

# ---- servers that ask back -------------------------------------------------------------------------------------------
QUESTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "elicits": ("elicitation/create", {"message": "your name?", "requestedSchema": FORM}),
    "samples": ("sampling/createMessage", {"messages": [{"role": "user", "content": {"type": "text", "text": "capital?"}}], "maxTokens": 10}),
    "roots": ("roots/list", {}),
    "pings": ("ping", {}),
}  # fmt: skip


def asking(name: str, question: str, upstream: Any = None, plain: bool = False, extra: list[Any] | None = None, **more: Any) -> Case:
    method, params = QUESTIONS[question]
    script = asks(method, **params, **more)
    steps = [call("ask"), ASKED, *(extra or [call("echo", message="after")])]
    return Case(f"asks-{question}{name}", lambda: Legacy(Content(tools=[tool("ask", OBJECT)]), revision="2025-11-25", stream=True, scripts={"ask": script}), steps, upstream=upstream or {}, plain=plain, at_most={"ran ask": 1})  # fmt: skip


PER_CLIENT = {"sessions": "per-client"}
for question in QUESTIONS:
    CASES += [
        asking("", question),
        asking("-per-client", question, PER_CLIENT),
        asking("-plain", question, plain=True),
        asking("-plain-per-client", question, PER_CLIENT, plain=True),
        asking("-aside-per-client", question, PER_CLIENT, aside=True),
        asking("-aside-plain-per-client", question, PER_CLIENT, plain=True, aside=True),
    ]
CASES += [
    asking("-aside", "elicits", aside=True),
    asking("-number-id", "elicits", id=0),
    asking("-client-like-id", "elicits", id=1),
    asking("-twice", "elicits", times=2),
    asking("-thrice", "samples", times=3),
]


async def roots_changes(exchange: Exchange) -> Any:
    return text(str(exchange.server.counts["POST notifications/roots/list_changed"]))


CASES += [
    Case("roots-changed-per-client", lambda: Legacy(Content(tools=[tool("changes", OBJECT)]), scripts={"changes": roots_changes}), [ROOTS_CHANGED, call("changes", until="1")], upstream=PER_CLIENT),
    Case("introduces-per-client", lambda: Legacy(Content(tools=[tool("who", OBJECT)]), scripts={"who": who}), [call("who")], upstream=PER_CLIENT),
]  # fmt: skip
