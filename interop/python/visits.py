"""Visits with the Python SDK 2.x: python visits.py py2|py2-auto JOBS.json [AT-ONCE]"""

from __future__ import annotations

import os
import warnings
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import mcp_types as types
import visiting
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import FileUrl
from visiting import PATIENCE, Json, Step, plainly

warnings.filterwarnings("ignore", category=MCPDeprecationWarning)


class Version2(visiting.Client):
    mode = "legacy"

    async def enter(self, stack: AsyncExitStack) -> None:
        transport = self.job["transport"]
        server: Any = self.job.get("url")
        if transport == "stdio":
            command = self.job["command"]
            parameters = StdioServerParameters(command=command[0], args=command[1:], env=dict(os.environ))
            server = stdio_client(parameters, errlog=stack.enter_context(open(os.devnull, "w")))
        elif transport == "sse":
            server = sse_client(server)
        can: dict[str, Any] = {}
        if not self.job.get("plain"):
            can = {
                "sampling_callback": self.on_sampling,
                "elicitation_callback": self.on_elicitation,
                "list_roots_callback": self.on_roots,
            }
        client = Client(
            server,
            mode=self.mode,  # type: ignore[arg-type]
            cache=None,
            read_timeout_seconds=PATIENCE,
            client_info=types.Implementation(name="portolan-visits", version="1.0.0"),
            logging_callback=self.on_log,
            log_level="info" if any(step["do"] == "logs" for step in self.job["steps"]) else None,
            message_handler=self.on_message,
            **can,
        )
        self.client = await stack.enter_async_context(client)
        self.modern = self.client.protocol_version in MODERN_PROTOCOL_VERSIONS

    async def on_sampling(self, context: Any, params: Any) -> types.CreateMessageResult:
        self.asked.append("sampling/createMessage")
        return types.CreateMessageResult(role="assistant", content=types.TextContent(text="Paris"), model="none")

    async def on_elicitation(self, context: Any, params: Any) -> types.ElicitResult:
        self.asked.append("elicitation/create")
        return types.ElicitResult(action="accept", content={"name": "Ada"})

    async def on_roots(self, context: Any) -> types.ListRootsResult:
        self.asked.append("roots/list")
        return types.ListRootsResult(roots=[types.Root(uri=FileUrl("file:///srv/data"), name="data")])

    async def on_log(self, params: Any) -> None:
        self.logs.append(params.data)

    async def on_message(self, message: Any) -> None:
        if isinstance(method := getattr(message, "method", None), str):
            self.heard.append(method)

    async def page(self, what: str, cursor: str | None) -> Json:
        function = {
            "tools": self.client.list_tools,
            "resources": self.client.list_resources,
            "resourceTemplates": self.client.list_resource_templates,
            "prompts": self.client.list_prompts,
        }[what]
        return plainly(await function(cursor=cursor))

    async def call(self, name: str, arguments: Json, on_progress: Any = None) -> Json:
        return plainly(await self.client.call_tool(name, arguments, progress_callback=on_progress))

    async def read(self, uri: str) -> Json:
        return plainly(await self.client.read_resource(uri))

    async def prompt(self, name: str, arguments: Json) -> Json:
        return plainly(await self.client.get_prompt(name, arguments))

    async def complete(self) -> Json:
        return plainly(await self.client.complete(types.PromptReference(name="greet"), {"name": "who", "value": "a"}))

    async def ping(self) -> None:
        await self.client.send_ping()

    async def roots_changed(self) -> None:
        await self.client.send_roots_list_changed()

    async def level(self) -> None:
        await self.client.set_logging_level("info")

    async def subscribe(self, uri: str) -> None:
        await self.client.subscribe_resource(uri)

    @asynccontextmanager
    async def listening(self, what: str, uri: str | None) -> AsyncIterator[None]:
        wanted: dict[str, Any] = {"resource_subscriptions": [uri]} if uri else {f"{what}_list_changed": True}
        async with self.client.listen(**wanted):
            yield

    @property
    def instructions(self) -> str | None:
        return self.client.instructions


class Auto(Version2):
    mode = "auto"


if __name__ == "__main__":
    visiting.main({"py2": Version2, "py2-auto": Auto})
