"""A real client, on the official Python SDK, that goes through the conformance fixture once and says what it saw.

    python client.py --url http://127.0.0.1:3000/mcp --era modern
    python client.py --era legacy --command ./server --its --arguments     (--command comes last)

One JSON object a line on standard output, one line an operation: {"op": ..., "ok": true, ...what was observed}.
The exit status is 0 if every operation worked as far as the protocol is concerned (a tool that reports an error of its
own works), 1 if one did not, 2 for a wrong command line.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import sys
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio
import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

# Logging, sampling and roots are deprecated in 2026-07-28 and still part of what a gateway carries.
warnings.filterwarnings("ignore", category=MCPDeprecationWarning)

FOLLOW_AT_MOST = 100  # pages; a list that goes on longer is taken to go round in circles


class Wrong(Exception):
    """The answer came, and is not what the fixture promises."""


@dataclass
class Visit:
    """One connection, and what the operations need to know."""

    client: Client
    tool_prefix: str
    uri_prefix: str
    logs: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    change_came: anyio.Event = field(default_factory=anyio.Event)

    @property
    def modern(self) -> bool:
        return self.client.protocol_version in MODERN_PROTOCOL_VERSIONS

    def name(self, name: str) -> str:
        return self.tool_prefix + name

    def uri(self, uri: str) -> str:
        scheme, rest = uri.split("://", 1)
        return f"{scheme}://{self.uri_prefix}{rest}"

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
        return types.ListRootsResult(roots=[types.Root(uri="file:///srv/data", name="data")])

    async def on_log(self, params: types.LoggingMessageNotificationParams) -> None:
        self.logs.append(str(params.data))

    async def on_message(self, message: Any) -> None:
        method = getattr(message, "method", "")
        if method.endswith("/list_changed"):
            self.changes.append(method)
            self.change_came.set()


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
    result = await visit.client.call_tool(visit.name("test_simple_text"), {})
    expect(not result.is_error and bool(text_of(result)), "no text came back")
    return {"text": text_of(result)}


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
    seen: list[list[float | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append([progress, total])

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
    tools, _ = await all_pages(visit.client.list_tools, "tools")
    listed = [tool.name for tool in tools]
    # Not in the suite's contract. Elsewhere a call that lasts a tenth of a second must do.
    name = visit.name("test_cancellation")
    if name not in listed:
        name = visit.name("test_tool_with_progress")
    completed = False

    with anyio.CancelScope() as scope:

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            scope.cancel()

        await visit.client.call_tool(name, {}, progress_callback=on_progress)
        completed = True

    after = await visit.client.call_tool(visit.name("test_simple_text"), {})
    expect(not after.is_error, "the call after the cancelled one failed")
    return {"tool": name, "cancelled": not completed, "text": text_of(after)}


# --- Operations on demand -------------------------------------------------------------------------


@extra
async def elicit(visit: Visit) -> Observed:
    """The server asks the user: in mid-call to a legacy client, by `input_required` to a modern one."""
    if visit.modern:
        name, arguments = "test_input_required_result_elicitation", {}
    else:
        name, arguments = "test_elicitation", {"message": "Who is there?"}
    return await be_asked(visit, name, arguments, "elicitation/create")


@extra
async def sample(visit: Visit) -> Observed:
    """The server asks the client's model."""
    if visit.modern:
        name, arguments = "test_input_required_result_sampling", {}
    else:
        name, arguments = "test_sampling", {"prompt": "What is the capital of France?"}
    return await be_asked(visit, name, arguments, "sampling/createMessage")


async def be_asked(visit: Visit, name: str, arguments: dict[str, Any], method: str) -> Observed:
    visit.asked.clear()
    result = await visit.client.call_tool(visit.name(name), arguments)
    expect(not result.is_error, f"the tool failed: {text_of(result)}")
    expect(visit.asked == [method], f"the server asked {visit.asked or 'nothing'}, not {method} once")
    return {"asked": visit.asked[:], "text": text_of(result)}


@extra
async def log(visit: Visit) -> Observed:
    """Log messages of a call, after the client asked for them."""
    visit.logs.clear()
    if not visit.modern:
        await visit.client.set_logging_level("info")
    await visit.client.call_tool(visit.name("test_tool_with_logging"), {})
    expect(bool(visit.logs), "no log message came")
    return {"messages": visit.logs[:]}


@extra
async def list_changed(visit: Visit) -> Observed:
    """The server says that its tools changed: on a listen stream, or on the legacy session's stream."""
    if visit.modern:
        async with visit.client.listen(tools_list_changed=True) as subscription:
            await visit.client.call_tool(visit.name("test_trigger_tool_change"), {})
            event = await anext(aiter(subscription))
            return {"event": type(event).__name__}
    visit.changes.clear()
    visit.change_came = anyio.Event()
    await visit.client.call_tool(visit.name("test_trigger_tool_change"), {})
    await visit.change_came.wait()
    return {"event": visit.changes[0]}


@extra
async def header(visit: Visit) -> Observed:
    """Call a tool that mirrors an argument in a header, with a value that no header can carry as it is."""
    tools, _ = await all_pages(visit.client.list_tools, "tools")
    for tool in tools:
        for key, schema in tool.input_schema.get("properties", {}).items():
            if tool.name.startswith(visit.tool_prefix) and "x-mcp-header" in schema and schema.get("type") == "string":
                result = await visit.client.call_tool(tool.name, {key: "Zürich "})
                expect(not result.is_error, f"the tool failed: {text_of(result)}")
                return {"tool": tool.name, "text": text_of(result)}
    raise Wrong("no tool has a string property with x-mcp-header")


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
    print(json.dumps({"op": op, "ok": ok, **observed}, ensure_ascii=False), flush=True)
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
    names: list[str] = arguments.only or list(SCRIPT)
    server: Any = arguments.url
    if arguments.command:
        # The whole environment: the SDK would pass on little more than PATH.
        server = StdioServerParameters(command=arguments.command[0], args=arguments.command[1:], env=dict(os.environ))
    visit = Visit(None, arguments.tool_prefix, arguments.uri_prefix)  # type: ignore[arg-type]
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
    parser.add_argument("--era", choices=("modern", "legacy", "auto"), default="auto")
    parser.add_argument("--tool-prefix", default="", metavar="P", help="put before the names of tools and prompts")
    parser.add_argument("--uri-prefix", default="", metavar="P", help="put after scheme:// in resource URIs")
    parser.add_argument("--only", metavar="OP,OP", help="run these operations, in this order")
    parser.add_argument("--timeout", type=float, default=20.0, metavar="S", help="seconds for one operation (20)")
    arguments = parser.parse_args(argv)
    if arguments.command is not None and not arguments.command:
        parser.error("--command needs a command")
    if arguments.url is not None and not arguments.url.startswith(("http://", "https://")):
        parser.error(f"--url {arguments.url!r} is not an http or https URL")
    if arguments.timeout <= 0:
        parser.error("--timeout must be more than 0")
    if arguments.only is not None:
        arguments.only = [name for name in arguments.only.split(",") if name]
        unknown = [name for name in arguments.only if name not in SCRIPT and name not in EXTRA]
        if unknown or not arguments.only:
            parser.error(
                f"--only: no operation {', '.join(unknown) or 'named'}; there are {', '.join([*SCRIPT, *EXTRA])}"
            )
    return arguments


if __name__ == "__main__":
    sys.exit(anyio.run(run, parse(sys.argv[1:])))
