"""A real client, on the official Python SDK, that goes through the conformance fixture once and says what it saw.

    python client.py --url http://127.0.0.1:3000/mcp --era modern
    python client.py --era legacy --command ./server --its --arguments     (--command comes last)

    python client.py --call echo --arguments '{"message": "hi"}' --command ./server

One JSON object a line on standard output, one line an operation: {"op": ..., "ok": true, ...what was observed}.
The exit status is 0 if every operation worked as far as the protocol is concerned (a tool that reports an error of its
own works), 1 if one did not, 2 for a wrong command line. ../clients/typescript.mjs has the same command line, the same
operations and the same output.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import sys
import uuid
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio
import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import FileUrl

# Logging, sampling and roots are deprecated in 2026-07-28 and still part of what a gateway carries.
warnings.filterwarnings("ignore", category=MCPDeprecationWarning)

CHANGES = (types.ToolListChangedNotification, types.ResourceUpdatedNotification)
FOLLOW_AT_MOST = 100  # pages; a list that goes on longer is taken to go round in circles


class Wrong(Exception):
    """The answer came, and is not what the fixture promises."""


@dataclass
class Visit:
    """One connection, and what the operations need to know."""

    client: Client
    arguments: argparse.Namespace
    logs: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    # What a change notification is given to, while an operation waits for one.
    on_change: Callable[[types.ServerNotification], None] | None = None

    @property
    def modern(self) -> bool:
        return self.client.protocol_version in MODERN_PROTOCOL_VERSIONS

    def name(self, name: str) -> str:
        return self.arguments.tool_prefix + name

    def uri(self, uri: str) -> str:
        scheme, rest = uri.split("://", 1)
        return f"{scheme}://{self.arguments.uri_prefix}{rest}"

    # What the server may ask of the client.

    async def on_sampling(self, context: Any, params: types.CreateMessageRequestParams) -> types.CreateMessageResult:
        self.asked.append("sampling/createMessage")
        return types.CreateMessageResult(role="assistant", content=types.TextContent(text="Paris"), model="none")

    async def on_elicitation(self, context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        self.asked.append("elicitation/create")
        schema = params.requested_schema if isinstance(params, types.ElicitRequestFormParams) else {}
        return types.ElicitResult(action="accept", content={key: "Ada" for key in schema.get("properties", {})})

    async def on_roots(self, context: Any) -> types.ListRootsResult:
        self.asked.append("roots/list")
        return types.ListRootsResult(roots=[types.Root(uri=FileUrl("file:///srv/data"), name="data")])

    async def on_log(self, params: types.LoggingMessageNotificationParams) -> None:
        self.logs.append(str(params.data))

    async def on_message(self, message: Any) -> None:
        if self.on_change is not None and isinstance(message, CHANGES):
            self.on_change(message)


# --- Operations -----------------------------------------------------------------------------------

Observed = dict[str, Any]
Operation = Callable[[Visit], Awaitable[Observed]]

SCRIPT: dict[str, Operation] = {}
EXTRA: dict[str, Operation] = {}


def operation(function: Operation) -> Operation:
    SCRIPT[function.__name__] = function
    return function


def extra(function: Operation) -> Operation:
    """An operation that runs only when --only names it."""
    EXTRA[function.__name__] = function
    return function


def expect(condition: bool, complaint: str) -> None:
    if not condition:
        raise Wrong(complaint)


T = TypeVar("T")


async def all_pages(fetch: Callable[..., Awaitable[Any]], member: str) -> tuple[list[Any], int]:
    """Every item, and the number of pages that they came on."""
    items: list[Any] = []
    cursor: str | None = None
    for pages in range(1, FOLLOW_AT_MOST + 1):
        result = await fetch(cursor=cursor)
        items += getattr(result, member)
        cursor = result.next_cursor
        if cursor is None:
            return items, pages
    raise Wrong(f"the list did not end within {FOLLOW_AT_MOST} pages")


def expect_listed(listed: list[str], *wanted: str) -> None:
    missing = [name for name in wanted if name not in listed]
    expect(not missing, f"not listed: {', '.join(missing)}; listed: {', '.join(listed) or 'nothing'}")


def text_of(result: types.CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, types.TextContent))


async def call_for_text(visit: Visit, name: str, arguments: dict[str, Any] | None = None) -> str:
    result = await visit.client.call_tool(visit.name(name), arguments or {})
    expect(not result.is_error, f"the tool {visit.name(name)} failed: {text_of(result)}")
    return text_of(result)


async def offers(visit: Visit, name: str) -> bool:
    tools, _ = await all_pages(visit.client.list_tools, "tools")
    return any(tool.name == visit.name(name) for tool in tools)


def bytes_seen(encoded: str) -> Observed:
    data = base64.b64decode(encoded, validate=True)
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@operation
async def list_tools(visit: Visit) -> Observed:
    tools, pages = await all_pages(visit.client.list_tools, "tools")
    names = [tool.name for tool in tools]
    wanted = ("test_simple_text", "test_image_content", "test_error_handling", "test_tool_with_progress")
    expect_listed(names, *map(visit.name, wanted))
    expect(len(set(names)) == len(names), "a tool is listed twice")
    return {"count": len(names), "pages": pages, "names": names}


@operation
async def call_simple_text(visit: Visit) -> Observed:
    text = await call_for_text(visit, "test_simple_text")
    expect(text != "", "no text came back")
    return {"text": text}


@operation
async def call_image(visit: Visit) -> Observed:
    result = await visit.client.call_tool(visit.name("test_image_content"), {})
    images = [block for block in result.content if isinstance(block, types.ImageContent)]
    expect(len(images) == 1, "not exactly one image came back")
    return {"mimeType": images[0].mime_type, **bytes_seen(images[0].data)}


@operation
async def call_error(visit: Visit) -> Observed:
    result = await visit.client.call_tool(visit.name("test_error_handling"), {})
    expect(bool(result.is_error), "the failure of the tool came back as a success")
    return {"isError": True, "text": text_of(result)}


@operation
async def call_progress(visit: Visit) -> Observed:
    seen: list[tuple[float, float | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total))

    result = await visit.client.call_tool(visit.name("test_tool_with_progress"), {}, progress_callback=on_progress)
    values = [progress for progress, _ in seen]
    expect(bool(values), "no progress came")
    expect(values == sorted(set(values)), f"progress did not increase: {values}")
    return {"progress": seen, "text": text_of(result)}


@operation
async def list_resources(visit: Visit) -> Observed:
    resources, pages = await all_pages(visit.client.list_resources, "resources")
    uris = [str(resource.uri) for resource in resources]
    expect_listed(uris, visit.uri("test://static-text"), visit.uri("test://static-binary"))
    return {"count": len(uris), "pages": pages, "uris": uris}


@operation
async def list_resource_templates(visit: Visit) -> Observed:
    templates, pages = await all_pages(visit.client.list_resource_templates, "resource_templates")
    listed = [template.uri_template for template in templates]
    expect_listed(listed, visit.uri("test://template/{id}/data"))
    return {"count": len(listed), "pages": pages, "uriTemplates": listed}


async def read(visit: Visit, uri: str) -> types.TextResourceContents | types.BlobResourceContents:
    result = await visit.client.read_resource(visit.uri(uri))
    expect(len(result.contents) == 1, "not exactly one content came back")
    return result.contents[0]


@operation
async def read_text(visit: Visit) -> Observed:
    contents = await read(visit, "test://static-text")
    if not isinstance(contents, types.TextResourceContents):
        raise Wrong("the text resource is not text")
    return {"uri": str(contents.uri), "mimeType": contents.mime_type, "text": contents.text}


@operation
async def read_binary(visit: Visit) -> Observed:
    contents = await read(visit, "test://static-binary")
    if not isinstance(contents, types.BlobResourceContents):
        raise Wrong("the binary resource is not binary")
    return {"uri": str(contents.uri), "mimeType": contents.mime_type, **bytes_seen(contents.blob)}


@operation
async def read_template(visit: Visit) -> Observed:
    contents = await read(visit, "test://template/123/data")
    if not isinstance(contents, types.TextResourceContents):
        raise Wrong("the template's resource is not text")
    expect("123" in contents.text, "the id is not in the template's text")
    return {"uri": str(contents.uri), "mimeType": contents.mime_type, "text": contents.text}


@operation
async def list_prompts(visit: Visit) -> Observed:
    prompts, pages = await all_pages(visit.client.list_prompts, "prompts")
    names = [prompt.name for prompt in prompts]
    expect_listed(names, *map(visit.name, ("test_simple_prompt", "test_prompt_with_arguments")))
    return {"count": len(names), "pages": pages, "names": names}


def spoken(result: types.GetPromptResult) -> list[str]:
    contents = [message.content for message in result.messages]
    return [content.text if isinstance(content, types.TextContent) else content.type for content in contents]


@operation
async def get_prompt(visit: Visit) -> Observed:
    result = await visit.client.get_prompt(visit.name("test_simple_prompt"))
    expect(bool(result.messages), "the prompt has no message")
    return {"messages": spoken(result)}


@operation
async def get_prompt_with_arguments(visit: Visit) -> Observed:
    arguments = {"arg1": "hello", "arg2": "wörld"}
    result = await visit.client.get_prompt(visit.name("test_prompt_with_arguments"), arguments)
    said = "\n".join(spoken(result))
    expect(all(value in said for value in arguments.values()), f"the arguments are not in {said!r}")
    return {"messages": spoken(result)}


@operation
async def complete(visit: Visit) -> Observed:
    ref = types.PromptReference(name=visit.name("test_prompt_with_arguments"))
    result = await visit.client.complete(ref, {"name": "arg1", "value": "par"})
    return {"values": result.completion.values, "total": result.completion.total}


@operation
async def unknown_tool(visit: Visit) -> Observed:
    # The specification wants a protocol error; some servers answer with a result that says so.
    try:
        result = await visit.client.call_tool(visit.name("no_such_tool"), {})
    except MCPError as error:
        return {"error": show_error(error)}
    expect(bool(result.is_error), "a tool that does not exist was called with success")
    return {"isError": True, "text": text_of(result)}


@operation
async def cancel(visit: Visit) -> Observed:
    """Cancel a call once it is known to run, and go on using the connection."""
    # Not in the suite's contract. Elsewhere a call that lasts a tenth of a second must do.
    tool, token = "test_cancellation", str(uuid.uuid4())
    arguments: dict[str, Any] = {"token": token}
    if not await offers(visit, tool):
        tool, arguments = "test_tool_with_progress", {}
    completed = False

    with anyio.CancelScope() as scope:

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            scope.cancel()

        await visit.client.call_tool(visit.name(tool), arguments, progress_callback=on_progress)
        completed = True

    outcome = await outcome_of(visit, token) if await offers(visit, "test_cancellation_outcome") else None
    text = await call_for_text(visit, "test_simple_text")
    return {"tool": visit.name(tool), "cancelled": not completed, "outcome": outcome, "text": text}


async def outcome_of(visit: Visit, token: str) -> str:
    """The server must hear of it too. It may take a moment."""
    deadline = anyio.current_time() + visit.arguments.timeout / 2
    while True:
        outcome = await call_for_text(visit, "test_cancellation_outcome", {"token": token})
        if outcome == "cancelled":
            return outcome
        expect(anyio.current_time() < deadline, f"cancelled here, and on the server it is still {outcome}")
        await anyio.sleep(0.05)


# --- Operations on demand -------------------------------------------------------------------------


@extra
async def elicit(visit: Visit) -> Observed:
    """The server asks the user: in mid-call in the legacy era, by `input_required` in the modern one."""
    if await offers(visit, "test_elicitation"):
        return await be_asked(visit, "test_elicitation", {"message": "Who is there?"}, "elicitation/create")
    return await be_asked(visit, "test_input_required_result_elicitation", {}, "elicitation/create")


@extra
async def sample(visit: Visit) -> Observed:
    """The server asks the client's model."""
    if await offers(visit, "test_sampling"):
        question = {"prompt": "What is the capital of France?"}
        return await be_asked(visit, "test_sampling", question, "sampling/createMessage")
    return await be_asked(visit, "test_input_required_result_sampling", {}, "sampling/createMessage")


@extra
async def multi_round(visit: Visit) -> Observed:
    """The server asks, and asks again."""
    name = "test_input_required_result_multi_round"
    return await be_asked(visit, name, {}, "elicitation/create", "elicitation/create")


@extra
async def multiple_inputs(visit: Visit) -> Observed:
    """The server asks three things at once."""
    name = "test_input_required_result_multiple_inputs"
    return await be_asked(visit, name, {}, "elicitation/create", "roots/list", "sampling/createMessage")


async def be_asked(visit: Visit, name: str, arguments: dict[str, Any], *methods: str) -> Observed:
    visit.asked.clear()
    text = await call_for_text(visit, name, arguments)
    expect(sorted(visit.asked) == list(methods), f"the server asked {visit.asked or 'nothing'}, not {list(methods)}")
    return {"asked": visit.asked[:], "text": text}


@extra
async def log(visit: Visit) -> Observed:
    """Log messages of a call, after the client asked for them."""
    visit.logs.clear()
    if not visit.modern:
        await visit.client.set_logging_level("info")
    await call_for_text(visit, "test_tool_with_logging")
    expect(bool(visit.logs), "no log message came")
    return {"messages": visit.logs[:]}


@extra
async def list_changed(visit: Visit) -> Observed:
    """The server says that its tools changed: on a listen stream, or on the legacy session's."""
    if visit.modern:
        async with visit.client.listen(tools_list_changed=True):
            change = await hear(visit, types.ToolListChangedNotification, "test_trigger_tool_change")
    else:
        change = await hear(visit, types.ToolListChangedNotification, "test_trigger_tool_change")
    return {"event": change.method}


@extra
async def resource_updated(visit: Visit) -> Observed:
    """The server says that a resource changed."""
    uri = visit.uri("test://watched-resource")
    if visit.modern:
        async with visit.client.listen(resource_subscriptions=[uri]):
            change = await hear(visit, types.ResourceUpdatedNotification, "test_trigger_resource_update")
    else:
        await visit.client.subscribe_resource(uri)
        change = await hear(visit, types.ResourceUpdatedNotification, "test_trigger_resource_update")
        await visit.client.unsubscribe_resource(uri)
    if not isinstance(change, types.ResourceUpdatedNotification) or str(change.params.uri) != uri:
        raise Wrong(f"the notification is {change.method}, and not about {uri}")
    contents = await read(visit, "test://watched-resource")
    text = contents.text if isinstance(contents, types.TextResourceContents) else None
    return {"event": change.method, "uri": uri, "text": text}


async def hear(visit: Visit, kind: type, trigger: str) -> types.ServerNotification:
    """Trigger a change until the server tells of one: a legacy client's stream may open after its first calls, and it
    carries whatever else changes."""
    heard: list[types.ServerNotification] = []
    arrived = anyio.Event()

    def on_change(change: types.ServerNotification) -> None:
        if visit.modern or isinstance(change, kind):
            heard.append(change)
            arrived.set()

    deadline = anyio.current_time() + visit.arguments.timeout / 2
    visit.on_change = on_change
    try:
        while not heard:
            expect(anyio.current_time() < deadline, "no notification came")
            await call_for_text(visit, trigger)
            with anyio.move_on_after(0.5):
                await arrived.wait()
    finally:
        visit.on_change = None
    return heard[0]


@extra
async def header(visit: Visit) -> Observed:
    """Call a tool that mirrors an argument in a header, with a value that no header can carry as it is."""
    tools, _ = await all_pages(visit.client.list_tools, "tools")
    for tool in tools:
        for key, schema in tool.input_schema.get("properties", {}).items():
            if tool.name.startswith(visit.name("")) and "x-mcp-header" in schema and schema.get("type") == "string":
                result = await visit.client.call_tool(tool.name, {key: "Zürich "})
                expect(not result.is_error, f"the tool failed: {text_of(result)}")
                return {"tool": tool.name, "text": text_of(result)}
    raise Wrong("no tool has a string property with x-mcp-header")


@extra
async def survey(visit: Visit) -> Observed:
    """All that a server lists, whichever server it is. What it does not offer is null."""

    async def names(fetch: Callable[..., Awaitable[Any]], member: str, key: str) -> list[str] | None:
        try:
            items, _ = await all_pages(fetch, member)
        except MCPError as error:
            if error.code == types.METHOD_NOT_FOUND:
                return None
            raise
        return [str(getattr(item, key)) for item in items]

    client = visit.client
    return {
        "tools": await names(client.list_tools, "tools", "name"),
        "resources": await names(client.list_resources, "resources", "uri"),
        "uriTemplates": await names(client.list_resource_templates, "resource_templates", "uri_template"),
        "prompts": await names(client.list_prompts, "prompts", "name"),
    }


@extra
async def call(visit: Visit) -> Observed:
    """The call that --call and --arguments describe."""
    name = visit.name(visit.arguments.call)
    result = await visit.client.call_tool(name, visit.arguments.arguments)
    content = [block.model_dump(mode="json", by_alias=True, exclude_none=True) for block in result.content]
    observed: Observed = {"tool": name, "isError": bool(result.is_error), "content": content}
    if result.structured_content is not None:
        observed["structuredContent"] = result.structured_content
    return observed


@extra
async def seen_request(visit: Visit) -> Observed:
    """With which headers and _meta a call arrives at the server."""
    return json.loads(await call_for_text(visit, "test_seen_request"))


# --- Running --------------------------------------------------------------------------------------


def show_error(error: BaseException) -> Observed:
    # A task group wraps what went wrong inside it; one cause is the rule.
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    if isinstance(error, MCPError):
        shown: Observed = {"code": error.code, "message": error.message}
        return shown if error.data is None else {**shown, "data": error.data}
    return {"message": str(error) or type(error).__name__, "type": type(error).__name__}


def report(op: str, ok: bool, observed: Observed) -> bool:
    # In one write: an unbuffered `print` makes two, and a server's log may come between.
    print(json.dumps({"op": op, "ok": ok, **observed}, ensure_ascii=False) + "\n", end="", flush=True)
    return ok


async def attempt(op: str, timeout: float, run: Callable[[], Awaitable[Observed]]) -> bool:
    try:
        with anyio.fail_after(timeout):
            observed = await run()
    except TimeoutError:
        return report(op, False, {"error": {"message": f"not done within {timeout:g} s"}})
    except Exception as error:
        return report(op, False, {"error": show_error(error)})
    return report(op, True, observed)


async def run(arguments: argparse.Namespace) -> int:
    names: list[str] = arguments.only
    server: Any = sse_client(arguments.url) if arguments.sse else arguments.url
    if arguments.command:
        # The whole environment: the SDK would pass on little more than PATH.
        server = StdioServerParameters(command=arguments.command[0], args=arguments.command[1:], env=dict(os.environ))
    visit = Visit(None, arguments)  # type: ignore[arg-type]
    visit.client = Client(
        server,
        # "auto" asks server/discover and falls back to initialize, as a real client does; what it came to is checked.
        mode="legacy" if arguments.era == "legacy" else "auto",
        # What a gateway answers is to be seen every time.
        cache=None,
        read_timeout_seconds=arguments.timeout,  # connecting has no other limit
        client_info=types.Implementation(name="portolan-python-client", version="1.0.0"),
        sampling_callback=visit.on_sampling,
        elicitation_callback=visit.on_elicitation,
        list_roots_callback=visit.on_roots,
        logging_callback=visit.on_log,
        log_level="info" if "log" in names else None,
        message_handler=visit.on_message,
    )
    good = True
    connected = False
    try:
        async with visit.client as client:
            connected = True
            negotiated: Observed = {
                "protocolVersion": client.protocol_version,
                "serverInfo": client.server_info.name if client.server_info else None,
                "capabilities": client.server_capabilities.model_dump(mode="json", by_alias=True, exclude_none=True),
            }
            if arguments.era == "modern" and not visit.modern:
                negotiated["error"] = {"message": "the server was asked for the modern era and speaks the legacy one"}
            good = report("connect", "error" not in negotiated, negotiated)
            for name in names if good else []:
                function = SCRIPT.get(name) or EXTRA[name]
                good &= await attempt(name, arguments.timeout, lambda function=function: function(visit))
    except Exception as error:
        good = report("close" if connected else "connect", False, {"error": show_error(error)})
    return 0 if good else 1


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="client.py",
        description="Go through a server that offers the conformance fixture, once.",
        epilog=f"Operations: {', '.join(SCRIPT)}. Only on demand: {', '.join(EXTRA)}.",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--url", help="a Streamable HTTP endpoint")
    where.add_argument("--command", nargs=argparse.REMAINDER, help="a stdio server; takes the rest of the command line")
    parser.add_argument(
        "--sse", action="store_true", help="the URL is that of an HTTP+SSE stream, the transport of 2024-11-05"
    )
    parser.add_argument("--era", choices=("modern", "legacy", "auto"), default="auto")
    parser.add_argument("--tool-prefix", default="", metavar="P", help="put before the names of tools and prompts")
    parser.add_argument("--uri-prefix", default="", metavar="P", help="put after scheme:// in resource URIs")
    parser.add_argument("--only", metavar="OP,OP", help="run these operations, in this order")
    parser.add_argument(
        "--call", metavar="TOOL", help="call this tool: the operation `call`, alone unless --only says more"
    )
    parser.add_argument("--arguments", metavar="JSON", help="with these arguments ({})")
    parser.add_argument("--timeout", type=float, default=20.0, metavar="S", help="seconds for one operation (20)")
    arguments = parser.parse_args(argv)
    if arguments.command is not None and not arguments.command:
        parser.error("--command needs a command")
    if arguments.url is not None and not arguments.url.startswith(("http://", "https://")):
        parser.error(f"--url {arguments.url!r} is not an http or https URL")
    if arguments.timeout <= 0:
        parser.error("--timeout must be more than 0")
    if arguments.arguments is not None and arguments.call is None:
        parser.error("--arguments needs --call")
    try:
        arguments.arguments = json.loads(arguments.arguments or "{}")
    except ValueError as error:
        parser.error(f"--arguments is not JSON: {error}")
    if not isinstance(arguments.arguments, dict):
        parser.error("--arguments is not a JSON object")
    if arguments.only is None:
        arguments.only = list(SCRIPT) if arguments.call is None else ["call"]
    else:
        arguments.only = [name for name in arguments.only.split(",") if name]
    unknown = [name for name in arguments.only if name not in SCRIPT and name not in EXTRA]
    if unknown or not arguments.only:
        known = ", ".join([*SCRIPT, *EXTRA])
        parser.error(f"--only: no operation {', '.join(unknown) or 'named'}; there are {known}")
    if "call" in arguments.only and arguments.call is None:
        parser.error("the operation call needs --call")
    return arguments


if __name__ == "__main__":
    sys.exit(anyio.run(run, parse(sys.argv[1:])))
