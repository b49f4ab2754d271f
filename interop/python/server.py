"""The conformance fixture, served by the official Python SDK.

It is the peer that Portolan is tested against: the names and answers are those that the official conformance suite
expects of a server, and each tool that asks the client something does so in the way of the era that the call came in.

    PORT=0 python server.py                   Streamable HTTP; prints "listening http://127.0.0.1:PORT/mcp" when ready
    TRANSPORT=sse python server.py            HTTP+SSE of 2024-11-05, and no other; prints ".../sse"
    TRANSPORT=stdio python server.py          the same server on stdin and stdout

    ERA=modern|legacy|both   (both)           refuse the other era, as a server of one age would
    PAGE_SIZE=N              (0: all at once) split the four lists into pages of N

Standard output carries that one line (or the protocol); everything else goes to standard error. A call that is
cancelled says so there ("cancelled TOOL"), which is how a test learns that a cancellation came through.
"""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import sys
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

import anyio
import jsonschema
import mcp_types as types
import uvicorn
from mcp.server import CacheHint, NotificationOptions, Server, ServerRequestContext
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.runner import serve_loop
from mcp.server.session import ServerSession
from mcp.server.sse import SseServerTransport
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourceUpdated,
    ServerEvent,
    ToolsListChanged,
)
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp.shared.uri_template import UriTemplate
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Logging, sampling and roots are deprecated in 2026-07-28 and still required of a server of 2025-11-25.
warnings.filterwarnings("ignore", category=MCPDeprecationWarning)

NAME = "portolan-python-peer"
WATCHED = "test://watched-resource"
LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")

# One red pixel, and a WAV header with no samples: the smallest files that a decoder accepts.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="

Context = ServerRequestContext[Any, Any]


# --- What is registered ---------------------------------------------------------------------------


class ToolFailure(Exception):
    """The tool ran and failed: a result with `isError`, not a protocol error."""


class AskClient(Exception):
    """The modern call cannot go on before the client has answered."""

    def __init__(self, result: types.InputRequiredResult) -> None:
        super().__init__("input required")
        self.result = result


ToolFunction = Callable[["Call"], Awaitable[str | list[types.ContentBlock] | types.CallToolResult]]
PromptFunction = Callable[["Call"], Awaitable[list[types.PromptMessage]]]
F = TypeVar("F", bound=Callable[..., Any])

DYNAMIC_TOOL = types.Tool(
    name="test_dynamic_tool", description="A tool that comes and goes", input_schema={"type": "object"}
)
DYNAMIC_PROMPT = types.Prompt(name="test_dynamic_prompt", description="A prompt that comes and goes")

TOOLS: dict[str, tuple[types.Tool, ToolFunction]] = {}
PROMPTS: dict[str, tuple[types.Prompt, PromptFunction]] = {}


def tool(
    description: str, schema: dict[str, Any] | None = None, output: dict[str, Any] | None = None
) -> Callable[[ToolFunction], ToolFunction]:
    """Register a tool under its function's name."""

    def register(function: ToolFunction) -> ToolFunction:
        name = function.__name__
        takes = schema or {"type": "object"}
        definition = types.Tool(name=name, description=description, input_schema=takes, output_schema=output)
        TOOLS[name] = (definition, function)
        return function

    return register


def prompt(description: str, **arguments: str) -> Callable[[PromptFunction], PromptFunction]:
    """Register a prompt under its function's name; every argument is required."""

    def register(function: PromptFunction) -> PromptFunction:
        name = function.__name__
        listed = [types.PromptArgument(name=key, description=text, required=True) for key, text in arguments.items()]
        PROMPTS[name] = (types.Prompt(name=name, description=description, arguments=listed or None), function)
        return function

    return register


# --- One call -------------------------------------------------------------------------------------

# What a request to the client needs declared, and what it is answered with.
ASKS: dict[type, tuple[str, type[Any]]] = {
    types.ElicitRequest: ("elicitation", types.ElicitResult),
    types.CreateMessageRequest: ("sampling", types.CreateMessageResult),
    types.ListRootsRequest: ("roots", types.ListRootsResult),
}


@dataclass
class Call:
    """One `tools/call` or `prompts/get`, of either era."""

    ctx: Context
    arguments: dict[str, Any]
    input_responses: types.InputResponses
    request_state: str | None
    # What earlier rounds and earlier questions of this round were answered: the state of the next round.
    answered: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.request_state is not None:
            self.answered = json.loads(self.request_state)

    @property
    def modern(self) -> bool:
        return self.ctx.protocol_version in MODERN_PROTOCOL_VERSIONS

    def declares(self, capability: str) -> bool:
        capabilities = self.ctx.session.client_capabilities
        return capabilities is not None and getattr(capabilities, capability) is not None

    def require(self, capability: str) -> None:
        if self.declares(capability):
            return
        if not self.modern:  # -32021 does not exist there
            raise ToolFailure(f"The client does not support {capability}")
        raise MCPError(
            types.MISSING_REQUIRED_CLIENT_CAPABILITY,
            f"The client did not declare {capability}",
            {"requiredCapabilities": {capability: {}}},
        )

    async def progress(self, done: float, total: float) -> None:
        await self.ctx.session.report_progress(done, total)

    async def log(self, text: str) -> None:
        floor = STATE.log_levels.get(session_key(self.ctx), "debug")
        if self.modern or LEVELS.index("info") >= LEVELS.index(floor):
            await self.ctx.session.send_log_message("info", text, related_request_id=self.ctx.request_id)

    async def ask(self, requests: types.InputRequests, *, stateful: bool = False) -> dict[str, Any]:
        """Have the client answer `requests`: pushed to a legacy client, as `input_required` to a modern one.

        `stateful` carries what was answered so far in `requestState`, and believes no answer that comes without it.
        """
        for request in requests.values():
            self.require(ASKS[type(request)][0])
        if not self.modern:
            # All questions at once, as in the modern era.
            answers: dict[str, Any] = {}

            async def push(key: str, request: Any) -> None:
                answers[key] = await self._push(request)

            async with anyio.create_task_group() as group:
                for key, request in requests.items():
                    group.start_soon(push, key, request)
            return answers
        if self.request_state is not None or not stateful:
            self.answered |= {
                key: response.model_dump(mode="json", by_alias=True, exclude_none=True)
                for key, response in self.input_responses.items()
                if key in requests and is_answer_to(requests[key], response)
            }
        missing = {key: request for key, request in requests.items() if key not in self.answered}
        if missing:
            state = json.dumps(self.answered) if stateful else None
            raise AskClient(types.InputRequiredResult(input_requests=missing, request_state=state))
        return {key: ASKS[type(request)][1].model_validate(self.answered[key]) for key, request in requests.items()}

    async def _push(self, request: Any) -> Any:
        # Tied to the call, so that it travels on the call's own stream: a client need not hold a GET stream open.
        related = ServerMessageMetadata(related_request_id=self.ctx.request_id)
        return await self.ctx.session.send_request(request, ASKS[type(request)][1], metadata=related)


def is_answer_to(request: Any, response: Any) -> bool:
    """Whether `response` is of the right kind and, for an accepted form, fits the form's schema."""
    if not isinstance(response, ASKS[type(request)][1]):
        return False
    form = request.params if isinstance(request, types.ElicitRequest) else None
    if isinstance(form, types.ElicitRequestFormParams) and response.action == "accept":
        validator = jsonschema.Draft202012Validator(form.requested_schema)
        return validator.is_valid(response.content or {})
    return True


def elicit(message: str, **properties: dict[str, Any]) -> types.ElicitRequest:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return types.ElicitRequest(params=types.ElicitRequestFormParams(message=message, requested_schema=schema))


def sample(text: str, max_tokens: int) -> types.CreateMessageRequest:
    message = types.SamplingMessage(role="user", content=types.TextContent(text=text))
    return types.CreateMessageRequest(
        params=types.CreateMessageRequestParams(messages=[message], max_tokens=max_tokens)
    )


def list_roots() -> types.ListRootsRequest:
    return types.ListRootsRequest(params=types.RequestParams())


def field_of(answer: types.ElicitResult, name: str) -> Any:
    if answer.action != "accept":
        raise ToolFailure(f"The user answered {answer.action}")
    return (answer.content or {}).get(name)


def show(answer: types.ElicitResult) -> str:
    return f"action={answer.action}, content={json.dumps(answer.content or {})}"


def sampled_text(answer: types.CreateMessageResult) -> str:
    return answer.content.text if isinstance(answer.content, types.TextContent) else answer.content.type


def image() -> types.ImageContent:
    return types.ImageContent(data=PNG, mime_type="image/png")


def embedded(uri: str, mime_type: str, text: str) -> types.EmbeddedResource:
    return types.EmbeddedResource(resource=types.TextResourceContents(uri=uri, mime_type=mime_type, text=text))


STRING = {"type": "string"}


# --- Tools: plain results -------------------------------------------------------------------------


@tool("Returns a line of text")
async def test_simple_text(call: Call) -> str:
    return "This is a simple text response for testing."


@tool("Returns a picture")
async def test_image_content(call: Call) -> list[types.ContentBlock]:
    return [image()]


@tool("Returns a sound")
async def test_audio_content(call: Call) -> list[types.ContentBlock]:
    return [types.AudioContent(data=WAV, mime_type="audio/wav")]


@tool("Returns an embedded resource")
async def test_embedded_resource(call: Call) -> list[types.ContentBlock]:
    return [embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")]


@tool("Returns text, a picture and a resource")
async def test_multiple_content_types(call: Call) -> list[types.ContentBlock]:
    return [
        types.TextContent(text="Multiple content types test:"),
        image(),
        embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
    ]


@tool("Always fails")
async def test_error_handling(call: Call) -> str:
    raise ToolFailure("This tool intentionally returns an error for testing")


@tool(
    "Has an input schema that uses the wider JSON Schema 2020-12 vocabulary",
    {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {"$anchor": "addressDef", "type": "object", "properties": {"street": STRING, "city": STRING}}
        },
        "properties": {
            "name": STRING,
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": STRING,
            "email": STRING,
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": False,
    },
)
async def json_schema_2020_12_tool(call: Call) -> str:
    return f"Arguments: {json.dumps(call.arguments, sort_keys=True)}"


@tool(
    "Has an argument that modern clients repeat in the header Mcp-Param-Region",
    {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}},
)
async def test_header_parameter(call: Call) -> str:
    return f"Region: {call.arguments.get('region', '(none)')}"


# --- Tools: notifications -------------------------------------------------------------------------


@tool("Reports 0, 50 and 100 of 100")
async def test_tool_with_progress(call: Call) -> str:
    await call.progress(0, 100)
    await anyio.sleep(0.05)
    await call.progress(50, 100)
    await anyio.sleep(0.05)
    await call.progress(100, 100)
    return "Tool with progress executed successfully"


@tool("Sends three log messages")
async def test_tool_with_logging(call: Call) -> str:
    await call.log("Tool execution started")
    await anyio.sleep(0.05)
    await call.log("Tool processing data")
    await anyio.sleep(0.05)
    await call.log("Tool execution completed")
    return "Tool with logging executed successfully"


@tool("Logs only for a request that asked for a log level")
async def test_logging_tool(call: Call) -> str:
    await call.log("Only a client that opted in reads this")
    return "Logging tool executed"


@tool("Closes its SSE stream in mid-call; the answer waits for a client that resumes")
async def test_reconnection(call: Call) -> str:
    if call.ctx.close_sse_stream is not None:
        await call.ctx.close_sse_stream()
    await anyio.sleep(0.1)
    return "Reconnection test completed"


@tool("Adds a tool to the list, or takes it away again")
async def test_trigger_tool_change(call: Call) -> str:
    STATE.dynamic_tool = not STATE.dynamic_tool
    await announce(ToolsListChanged(), ServerSession.send_tool_list_changed)
    return "The tool list changed"


@tool("Adds a prompt to the list, or takes it away again")
async def test_trigger_prompt_change(call: Call) -> str:
    STATE.dynamic_prompt = not STATE.dynamic_prompt
    await announce(PromptsListChanged(), ServerSession.send_prompt_list_changed)
    return "The prompt list changed"


# --- Tools beyond the suite's contract: what reached the server? ------------------------------------


@tool(f"Changes {WATCHED}")
async def test_trigger_resource_update(call: Call) -> str:
    STATE.watched_version += 1
    await STATE.bus.publish(ResourceUpdated(uri=WATCHED))
    await tell(STATE.watchers, lambda session: session.send_resource_updated(WATCHED))
    return f"Version {STATE.watched_version}"


@tool(
    "Reports progress 0 of 1, then waits to be cancelled; with a token, test_cancellation_outcome tells if it was",
    {
        "type": "object",
        "properties": {"seconds": {"type": "number", "minimum": 0, "maximum": 600}, "token": STRING},
    },
)
async def test_cancellation(call: Call) -> str:
    seconds, token = call.arguments.get("seconds", 30), call.arguments.get("token")
    STATE.waits[token] = "running"
    await call.progress(0, 1)
    try:
        await anyio.sleep(seconds)
    except anyio.get_cancelled_exc_class():
        STATE.waits[token] = "cancelled"
        raise
    STATE.waits[token] = "finished"
    return f"Not cancelled within {seconds} seconds"


OUTCOMES = {"type": "string", "enum": ["unknown", "running", "finished", "cancelled"]}


@tool(
    "Says how the test_cancellation with that token fares",
    {"type": "object", "properties": {"token": STRING}, "required": ["token"]},
    {"type": "object", "properties": {"outcome": OUTCOMES}, "required": ["outcome"]},
)
async def test_cancellation_outcome(call: Call) -> types.CallToolResult:
    outcome = STATE.waits.get(call.arguments["token"], "unknown")
    return types.CallToolResult(content=[types.TextContent(text=outcome)], structured_content={"outcome": outcome})


ENVELOPE = (
    types.PROTOCOL_VERSION_META_KEY,
    types.CLIENT_INFO_META_KEY,
    types.CLIENT_CAPABILITIES_META_KEY,
    types.LOG_LEVEL_META_KEY,
)


@tool("Shows the HTTP headers and the _meta with which this very call arrived")
async def test_seen_request(call: Call) -> str:
    meta = dict((call.ctx.params or {}).get("_meta") or {})
    envelope = {key: meta.pop(key) for key in ENVELOPE if key in meta}
    headers = None if call.ctx.request is None else dict(call.ctx.request.headers)
    return json.dumps({"headers": headers, "meta": meta or None, "envelope": envelope or None})


# --- Tools: asking the client ---------------------------------------------------------------------


@tool(
    "Has the client's model complete a prompt",
    {"type": "object", "properties": {"prompt": STRING}, "required": ["prompt"]},
)
async def test_sampling(call: Call) -> str:
    answers = await call.ask({"sample": sample(call.arguments["prompt"], 100)})
    return f"LLM response: {sampled_text(answers['sample'])}"


@tool("Asks the user", {"type": "object", "properties": {"message": STRING}, "required": ["message"]})
async def test_elicitation(call: Call) -> str:
    form = elicit(
        call.arguments["message"],
        username={"type": "string", "description": "User's response"},
        email={"type": "string", "description": "User's email address"},
    )
    answers = await call.ask({"form": form})
    return f"User response: {show(answers['form'])}"


def optional_form(message: str, properties: dict[str, Any]) -> types.ElicitRequest:
    schema = {"type": "object", "properties": properties, "required": []}
    return types.ElicitRequest(params=types.ElicitRequestFormParams(message=message, requested_schema=schema))


@tool("Asks the user, with a default for every primitive type (SEP-1034)")
async def test_elicitation_sep1034_defaults(call: Call) -> str:
    form = optional_form(
        "Please review and update the form",
        {
            "name": {"type": "string", "description": "User name", "default": "John Doe"},
            "age": {"type": "integer", "description": "User age", "default": 30},
            "score": {"type": "number", "description": "User score", "default": 95.5},
            "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
            "verified": {"type": "boolean", "description": "Verification status", "default": True},
        },
    )
    answers = await call.ask({"form": form})
    return f"Elicitation completed: {show(answers['form'])}"


@tool("Asks the user, with every kind of enumeration (SEP-1330)")
async def test_elicitation_sep1330_enums(call: Call) -> str:
    plain = ["option1", "option2", "option3"]

    def titled(noun: str) -> list[dict[str, str]]:
        return [
            {"const": f"value{n}", "title": f"{nth} {noun}"} for n, nth in enumerate(("First", "Second", "Third"), 1)
        ]

    form = optional_form(
        "Please choose",
        {
            "untitledSingle": {"type": "string", "enum": plain},
            "titledSingle": {"type": "string", "oneOf": titled("Option")},
            "legacyEnum": {
                "type": "string",
                "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"],
            },
            "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
            "titledMulti": {"type": "array", "items": {"anyOf": titled("Choice")}},
        },
    )
    answers = await call.ask({"form": form})
    return f"Elicitation completed: {show(answers['form'])}"


@tool("Needs the sampling capability, and says so when the client lacks it")
async def test_missing_capability(call: Call) -> str:
    call.require("sampling")
    return "The client declared sampling"


@tool("Asks the user in the middle of a streamed answer")
async def test_streaming_elicitation(call: Call) -> str:
    await call.progress(0, 1)
    answers = await call.ask({"user_name": elicit("What is your name?", name=STRING)})
    return f"Hello, {field_of(answers['user_name'], 'name')}!"


@tool("Asks for a name")
async def test_input_required_result_elicitation(call: Call) -> str:
    answers = await call.ask({"user_name": elicit("What is your name?", name=STRING)})
    return f"Hello, {field_of(answers['user_name'], 'name')}!"


@tool("Has the client's model answer a question")
async def test_input_required_result_sampling(call: Call) -> str:
    answers = await call.ask({"capital_question": sample("What is the capital of France?", 100)})
    return sampled_text(answers["capital_question"])


@tool("Asks for the client's roots")
async def test_input_required_result_list_roots(call: Call) -> str:
    answers = await call.ask({"client_roots": list_roots()})
    return f"Roots: {', '.join(str(root.uri) for root in answers['client_roots'].roots)}"


@tool("Asks for a confirmation, with sealed state")
async def test_input_required_result_request_state(call: Call) -> str:
    await call.ask({"confirm": elicit("Please confirm", ok={"type": "boolean"})}, stateful=True)
    return "state-ok"


@tool("Refuses state that it did not seal")
async def test_input_required_result_tampered_state(call: Call) -> str:
    await call.ask({"confirm": elicit("Please confirm", ok={"type": "boolean"})}, stateful=True)
    return "state-ok"


@tool("Asks three things at once")
async def test_input_required_result_multiple_inputs(call: Call) -> str:
    answers = await call.ask(
        {
            "user_name": elicit("What is your name?", name=STRING),
            "greeting": sample("Generate a greeting", 50),
            "client_roots": list_roots(),
        },
        stateful=True,
    )
    name = field_of(answers["user_name"], "name")
    return f"{sampled_text(answers['greeting'])} {name}, with {len(answers['client_roots'].roots)} roots"


@tool("Asks twice, one question after the other")
async def test_input_required_result_multi_round(call: Call) -> str:
    first = await call.ask({"step1": elicit("Step 1: What is your name?", name=STRING)}, stateful=True)
    second = await call.ask({"step2": elicit("Step 2: What is your favorite color?", color=STRING)}, stateful=True)
    return f"{field_of(first['step1'], 'name')} likes {field_of(second['step2'], 'color')}"


@tool("Asks only for what the client declared")
async def test_input_required_result_capabilities(call: Call) -> str:
    requests: types.InputRequests = {}
    if call.declares("sampling"):
        requests["capital_question"] = sample("What is the capital of France?", 100)
    if call.declares("elicitation"):
        requests["user_name"] = elicit("What is your name?", name=STRING)
    if not requests:
        call.require("sampling")
    answers = await call.ask(requests)
    return f"Answered: {', '.join(sorted(answers))}"


# --- Prompts --------------------------------------------------------------------------------------


def said(content: str | types.ContentBlock) -> types.PromptMessage:
    return types.PromptMessage(
        role="user", content=types.TextContent(text=content) if isinstance(content, str) else content
    )


@prompt("A prompt without arguments")
async def test_simple_prompt(call: Call) -> list[types.PromptMessage]:
    return [said("This is a simple prompt for testing.")]


@prompt("A prompt with two arguments", arg1="First test argument", arg2="Second test argument")
async def test_prompt_with_arguments(call: Call) -> list[types.PromptMessage]:
    return [said(f"Prompt with arguments: arg1='{call.arguments['arg1']}', arg2='{call.arguments['arg2']}'")]


@prompt("A prompt that embeds a resource", resourceUri="URI of the resource to embed")
async def test_prompt_with_embedded_resource(call: Call) -> list[types.PromptMessage]:
    resource = embedded(call.arguments["resourceUri"], "text/plain", "Embedded resource content for testing.")
    return [said(resource), said("Please process the embedded resource above.")]


@prompt("A prompt with a picture")
async def test_prompt_with_image(call: Call) -> list[types.PromptMessage]:
    return [said(image()), said("Please analyze the image above.")]


@prompt("A prompt that first asks the user")
async def test_input_required_result_prompt(call: Call) -> list[types.PromptMessage]:
    answers = await call.ask({"user_context": elicit("What context should the prompt use?", context=STRING)})
    return [said(f"Use this context: {field_of(answers['user_context'], 'context')}")]


# --- Resources ------------------------------------------------------------------------------------

TEMPLATE = UriTemplate.parse("test://template/{id}/data")

RESOURCES = [
    types.Resource(uri="test://static-text", name="static-text", description="Fixed text", mime_type="text/plain"),
    types.Resource(uri="test://static-binary", name="static-binary", description="A picture", mime_type="image/png"),
    types.Resource(uri=WATCHED, name="watched-resource", description="Changes on demand", mime_type="text/plain"),
]
TEMPLATES = [
    types.ResourceTemplate(
        uri_template=str(TEMPLATE), name="template", description="Data by id", mime_type="application/json"
    )
]


def contents_of(uri: str) -> types.TextResourceContents | types.BlobResourceContents | None:
    if uri == "test://static-text":
        text = "This is the content of the static text resource."
        return types.TextResourceContents(uri=uri, mime_type="text/plain", text=text)
    if uri == "test://static-binary":
        return types.BlobResourceContents(uri=uri, mime_type="image/png", blob=PNG)
    if uri == WATCHED:
        text = f"Version {STATE.watched_version} of the watched resource."
        return types.TextResourceContents(uri=uri, mime_type="text/plain", text=text)
    if (variables := TEMPLATE.match(uri)) is not None:
        data = {"id": variables["id"], "templateTest": True, "data": f"Data for ID: {variables['id']}"}
        return types.TextResourceContents(uri=uri, mime_type="application/json", text=json.dumps(data))
    return None


# --- What the process remembers -------------------------------------------------------------------


@dataclass
class State:
    bus: InMemorySubscriptionBus = field(default_factory=InMemorySubscriptionBus)
    dynamic_tool: bool = False
    dynamic_prompt: bool = False
    watched_version: int = 1
    # How each test_cancellation fares, by its token.
    waits: dict[str | None, str] = field(default_factory=dict)
    # Legacy sessions, by session id ("" on stdio): those that are open, those that watch the resource, log levels.
    sessions: dict[str, ServerSession] = field(default_factory=dict)
    watchers: dict[str, ServerSession] = field(default_factory=dict)
    log_levels: dict[str, str] = field(default_factory=dict)


STATE = State()


def session_key(ctx: Context) -> str:
    if ctx.request is None:
        return ""
    return ctx.request.headers.get("mcp-session-id") or ctx.request.query_params.get("session_id", "")


async def tell(sessions: dict[str, ServerSession], send: Callable[[ServerSession], Awaitable[None]]) -> None:
    for key, session in list(sessions.items()):
        try:
            await send(session)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            sessions.pop(key, None)


async def announce(event: ServerEvent, send: Callable[[ServerSession], Awaitable[None]]) -> None:
    """Tell modern clients that listen, and every legacy session, that a list changed."""
    await STATE.bus.publish(event)
    await tell(STATE.sessions, send)


class Replay(EventStore):
    """The last events of all legacy streams, so that a client which lost a stream can resume it."""

    LIMIT = 1000

    def __init__(self) -> None:
        self._count = 0
        self._events: dict[int, tuple[str, types.JSONRPCMessage | None]] = {}

    async def store_event(self, stream_id: str, message: types.JSONRPCMessage | None) -> str:
        self._count += 1
        self._events[self._count] = (stream_id, message)
        self._events.pop(self._count - self.LIMIT, None)
        return str(self._count)

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        last = int(last_event_id) if last_event_id.isdecimal() else 0
        if last not in self._events:
            return None
        stream_id = self._events[last][0]
        for number, (stream, message) in list(self._events.items()):
            if number > last and stream == stream_id and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream_id


# --- Handlers -------------------------------------------------------------------------------------


def invalid(message: str, data: Any = None) -> NoReturn:
    raise MCPError(types.INVALID_PARAMS, message, data)


T = TypeVar("T")


def page(items: list[T], params: types.PaginatedRequestParams | None, size: int) -> tuple[list[T], str | None]:
    start = 0
    cursor = params.cursor if params is not None else None
    if cursor is not None:
        try:
            start = int(base64.urlsafe_b64decode(cursor))
        except ValueError:
            start = -1
        if not 0 < start < len(items):
            invalid("Invalid cursor", {"cursor": cursor})
    end = start + size if size else len(items)
    following = base64.urlsafe_b64encode(str(end).encode()).decode() if end < len(items) else None
    return items[start:end], following


class Fixture(Server[Any]):
    def create_initialization_options(self, *_: Any, **__: Any) -> Any:
        # The SDK's HTTP transport offers no way to say that the lists change, so that a legacy client hears of it.
        changes = NotificationOptions(prompts_changed=True, resources_changed=False, tools_changed=True)
        return super().create_initialization_options(changes)


def build(page_size: int) -> Server[Any]:
    async def list_tools(ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        listed = [definition for definition, _ in TOOLS.values()]
        if STATE.dynamic_tool:
            listed.append(DYNAMIC_TOOL)
        tools, cursor = page(listed, params, page_size)
        return types.ListToolsResult(tools=tools, next_cursor=cursor)

    async def call_tool(
        ctx: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        if params.name == DYNAMIC_TOOL.name and STATE.dynamic_tool:
            return types.CallToolResult(content=[types.TextContent(text="A tool that comes and goes")])
        if params.name not in TOOLS:
            invalid(f"Unknown tool: {params.name}")
        definition, function = TOOLS[params.name]
        call = Call(ctx, params.arguments or {}, params.input_responses or {}, params.request_state)
        try:
            jsonschema.validate(call.arguments, definition.input_schema, cls=jsonschema.Draft202012Validator)
            result = await function(call)
        except AskClient as question:
            return question.result
        except jsonschema.ValidationError as error:
            return failed(f"Invalid arguments for {params.name}: {error.message}")
        except ToolFailure as error:
            return failed(str(error))
        except anyio.get_cancelled_exc_class():
            print(f"cancelled {params.name}", file=sys.stderr, flush=True)
            raise
        if isinstance(result, types.CallToolResult):
            return result
        return types.CallToolResult(content=[types.TextContent(text=result)] if isinstance(result, str) else result)

    def failed(text: str) -> types.CallToolResult:
        return types.CallToolResult(content=[types.TextContent(text=text)], is_error=True)

    async def list_prompts(ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
        listed = [definition for definition, _ in PROMPTS.values()]
        if STATE.dynamic_prompt:
            listed.append(DYNAMIC_PROMPT)
        prompts, cursor = page(listed, params, page_size)
        return types.ListPromptsResult(prompts=prompts, next_cursor=cursor)

    async def get_prompt(
        ctx: Context, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult | types.InputRequiredResult:
        if params.name == DYNAMIC_PROMPT.name and STATE.dynamic_prompt:
            return types.GetPromptResult(messages=[said("A prompt that comes and goes")])
        if params.name not in PROMPTS:
            invalid(f"Unknown prompt: {params.name}")
        definition, function = PROMPTS[params.name]
        arguments = dict(params.arguments or {})
        if missing := [argument.name for argument in definition.arguments or [] if argument.name not in arguments]:
            invalid(f"Prompt {params.name} needs {', '.join(missing)}")
        try:
            messages = await function(Call(ctx, arguments, params.input_responses or {}, params.request_state))
        except AskClient as question:
            return question.result
        except ToolFailure as error:
            raise MCPError(types.INVALID_REQUEST, str(error)) from error
        return types.GetPromptResult(description=definition.description, messages=messages)

    async def list_resources(ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
        resources, cursor = page(RESOURCES, params, page_size)
        return types.ListResourcesResult(resources=resources, next_cursor=cursor)

    async def list_templates(
        ctx: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        templates, cursor = page(TEMPLATES, params, page_size)
        return types.ListResourceTemplatesResult(resource_templates=templates, next_cursor=cursor)

    async def read_resource(ctx: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        contents = contents_of(params.uri)
        if contents is None:
            # Each era has its own code for this.
            code = types.INVALID_PARAMS if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS else -32002
            raise MCPError(code, f"Resource not found: {params.uri}", {"uri": params.uri})
        return types.ReadResourceResult(contents=[contents])

    async def subscribe(ctx: Context, params: types.SubscribeRequestParams) -> types.EmptyResult:
        if contents_of(params.uri) is None:
            raise MCPError(-32002, f"Resource not found: {params.uri}", {"uri": params.uri})
        if params.uri == WATCHED:
            STATE.watchers[session_key(ctx)] = ctx.session
        return types.EmptyResult()

    async def unsubscribe(ctx: Context, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
        if params.uri == WATCHED:
            STATE.watchers.pop(session_key(ctx), None)
        return types.EmptyResult()

    async def set_level(ctx: Context, params: types.SetLevelRequestParams) -> types.EmptyResult:
        STATE.log_levels[session_key(ctx)] = params.level
        return types.EmptyResult()

    async def initialized(ctx: Context, _: types.NotificationParams) -> None:
        STATE.sessions[session_key(ctx)] = ctx.session

    async def complete(ctx: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
        candidates: list[str] = []
        if isinstance(params.ref, types.PromptReference):
            if params.ref.name == "test_prompt_with_arguments" and params.argument.name == "arg1":
                candidates = ["paris", "park", "party", "test"]
        elif params.ref.uri == str(TEMPLATE) and params.argument.name == "id":
            candidates = ["1", "12", "123"]
        values = [value for value in candidates if value.startswith(params.argument.value)]
        return types.CompleteResult(completion=types.Completion(values=values, total=len(values), has_more=False))

    server: Server[Any] = Fixture(
        NAME,
        version="1.0.0",
        instructions="The conformance fixture on the official Python SDK.",
        # The templates never change, so that a cache that honours the hint has something to keep.
        cache_hints={"resources/templates/list": CacheHint(ttl_ms=60_000, scope="public")},
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
        on_subscribe_resource=subscribe,
        on_unsubscribe_resource=unsubscribe,
        on_subscriptions_listen=ListenHandler(STATE.bus),
        on_set_logging_level=set_level,
        on_completion=complete,
    )
    server.add_notification_handler("notifications/initialized", types.NotificationParams, initialized)
    server.middleware.append(RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience=NAME))
    return server


# --- One era only ---------------------------------------------------------------------------------
# The SDK serves both eras and has no switch. These stand before it and answer as a server of one era would.


def refuse_initialize(requested: Any) -> types.ErrorData:
    return types.ErrorData(
        code=types.UNSUPPORTED_PROTOCOL_VERSION,
        message=f"This server serves only {', '.join(MODERN_PROTOCOL_VERSIONS)}, without initialize",
        data={"supported": list(MODERN_PROTOCOL_VERSIONS), "requested": str(requested)},
    )


class OneEra:
    """Streamable HTTP, before the SDK's application."""

    def __init__(self, app: ASGIApp, era: str) -> None:
        self.app = app
        self.era = era

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif self.era == "legacy":
            await self._legacy(scope, receive, send)
        else:
            await self._modern(scope, receive, send)

    async def _legacy(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        version = headers.get(b"mcp-protocol-version")
        if version is None or version in HANDSHAKE_PROTOCOL_VERSIONS:
            await self.app(scope, receive, send)
        elif b"mcp-session-id" in headers:
            message = f"Bad Request: Unsupported protocol version: {version}"
            await self._error(400, None, types.ErrorData(code=types.INVALID_REQUEST, message=message))(
                scope, receive, send
            )
        else:
            # Without a session id the SDK's legacy transport refuses it itself. It gets there without the header.
            kept = [(name, value) for name, value in scope["headers"] if name != b"mcp-protocol-version"]
            await self.app({**scope, "headers": kept}, receive, send)

    async def _modern(self, scope: Scope, receive: Receive, send: Send) -> None:
        version = next(
            (value.decode("latin-1") for name, value in scope["headers"] if name == b"mcp-protocol-version"), None
        )
        if version is not None and version not in HANDSHAKE_PROTOCOL_VERSIONS:
            await self.app(scope, receive, send)
            return
        if scope["method"] != "POST":
            await Response(status_code=405, headers={"Allow": "POST"})(scope, receive, send)
            return
        body = await read_body(receive)
        try:
            message = json.loads(body)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            error = types.ErrorData(code=types.PARSE_ERROR, message="Parse error")
            await self._error(400, None, error)(scope, receive, send)
            return
        params = message.get("params")
        if message.get("method") == "initialize":
            error = refuse_initialize(params.get("protocolVersion") if isinstance(params, dict) else None)
        elif version is not None:
            error = refuse_initialize(version)
        else:
            error = types.ErrorData(code=types.HEADER_MISMATCH, message="The MCP-Protocol-Version header is missing")
        await self._error(400, message.get("id"), error)(scope, receive, send)

    @staticmethod
    def _error(status: int, request_id: Any, error: types.ErrorData) -> Response:
        body = {"jsonrpc": "2.0", "id": request_id, "error": error.model_dump(mode="json", exclude_none=True)}
        return JSONResponse(body, status_code=status)


async def read_body(receive: Receive) -> bytes:
    body = b""
    more = True
    while more:
        message: Message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def serve_modern_stdio(server: Server[Any], read: Any, write: Any) -> None:
    """Answer every `initialize` here: to the SDK it would mean that the connection is a legacy one."""
    passed_send, passed = anyio.create_memory_object_stream[Any](0)

    async def sift() -> None:
        async with passed_send:
            async for item in read:
                message = item.message if isinstance(item, SessionMessage) else None
                if isinstance(message, types.JSONRPCRequest) and message.method == "initialize":
                    error = refuse_initialize((message.params or {}).get("protocolVersion"))
                    await write.send(SessionMessage(types.JSONRPCError(jsonrpc="2.0", id=message.id, error=error)))
                else:
                    await passed_send.send(item)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sift)
        await server.run(passed, write, server.create_initialization_options())
        tasks.cancel_scope.cancel()


# --- Serving --------------------------------------------------------------------------------------


async def serve_stdio(server: Server[Any], era: str) -> None:
    async with stdio_server() as (read, write):
        if era == "legacy":
            # The loop that knows only the handshake; it leaves the lifespan to its caller.
            async with server.lifespan(server) as state:
                await serve_loop(server, read, write, lifespan_state=state)
        elif era == "modern":
            await serve_modern_stdio(server, read, write)
        else:
            await server.run(read, write, server.create_initialization_options())


class Announcing(uvicorn.Server):
    """Says where it listens once it does, and not before."""

    path = "/mcp"

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()
            print(f"listening http://{host}:{port}{self.path}", flush=True)


def serve_http(server: Server[Any], era: str, port: int) -> None:
    # `host` is what turns the SDK's check of Host and Origin on.
    app: ASGIApp = server.streamable_http_app(host="127.0.0.1", event_store=Replay(), retry_interval=100)
    if era != "both":
        app = OneEra(app, era)
    listen(app, port, "/mcp")


def serve_sse(server: Server[Any], port: int) -> None:
    sse = SseServerTransport("/messages/")

    async def stream(request: Request) -> Response:
        # The loop that knows only the handshake, as the transport does.
        async with (
            sse.connect_sse(request.scope, request.receive, request._send) as (read, write),
            server.lifespan(server) as state,
        ):
            await serve_loop(server, read, write, lifespan_state=state)
        return Response()

    routes = [Route("/sse", stream, methods=["GET"]), Mount("/messages/", app=sse.handle_post_message)]
    listen(Starlette(routes=routes), port, "/sse")


def listen(app: ASGIApp, port: int, path: str) -> None:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        fail(f"cannot listen on 127.0.0.1:{port}: {error.strerror}")
    # An open SSE stream would otherwise keep the process from ending on SIGTERM.
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    announcing = Announcing(config)
    announcing.path = path
    announcing.run(sockets=[listener])


def fail(message: str) -> NoReturn:
    print(f"server.py: {message}", file=sys.stderr)
    raise SystemExit(2)


def choice(variable: str, *allowed: str) -> str:
    value = os.environ.get(variable) or allowed[0]
    if value not in allowed:
        fail(f"{variable} is {value!r}; it must be {' or '.join(allowed)}")
    return value


def number(variable: str, highest: int) -> int:
    value = os.environ.get(variable) or "0"
    if not re.fullmatch(r"[0-9]+", value) or int(value) > highest:
        fail(f"{variable} is {value!r}; it must be a number from 0 to {highest}")
    return int(value)


def main() -> None:
    era = choice("ERA", "both", "modern", "legacy")
    transport = choice("TRANSPORT", "http", "sse", "stdio")
    port = number("PORT", 65535)
    server = build(number("PAGE_SIZE", 1000))
    if transport == "stdio":
        anyio.run(serve_stdio, server, era)
    elif transport == "sse":
        serve_sse(server, port)
    else:
        serve_http(server, era, port)


if __name__ == "__main__":
    main()
