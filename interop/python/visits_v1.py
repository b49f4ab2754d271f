"""Visits with the Python SDK 1.x: python visits_v1.py py1 JOBS.json [AT-ONCE]"""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import visiting
from mcp import ClientSession, StdioServerParameters, types
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client
from visiting import PATIENCE, Json, Step, plainly


class Version1(visiting.Client):
    async def enter(self, stack: AsyncExitStack) -> None:
        transport = self.job["transport"]
        if transport == "stdio":
            command = self.job["command"]
            parameters = StdioServerParameters(command=command[0], args=command[1:], env=dict(os.environ))
            streams = await stack.enter_async_context(stdio_client(parameters, errlog=stack.enter_context(open(os.devnull, "w"))))
        elif transport == "sse":
            streams = await stack.enter_async_context(sse_client(self.job["url"]))
        else:
            streams = (await stack.enter_async_context(streamablehttp_client(self.job["url"])))[:2]
        can: dict[str, Any] = {}
        if not self.job.get("plain"):
            can = {
                "sampling_callback": self.on_sampling,
                "elicitation_callback": self.on_elicitation,
                "list_roots_callback": self.on_roots,
            }
        session = ClientSession(
            *streams,
            read_timeout_seconds=timedelta(seconds=PATIENCE),
            logging_callback=self.on_log,
            message_handler=self.on_message,
            client_info=types.Implementation(name="portolan-visits", version="1.0.0"),
            **can,
        )
        self.session = await stack.enter_async_context(session)
        self.introduction = await self.session.initialize()

    async def on_sampling(self, context: Any, params: Any) -> types.CreateMessageResult:
        self.asked.append("sampling/createMessage")
        return types.CreateMessageResult(role="assistant", content=types.TextContent(type="text", text="Paris"), model="none")

    async def on_elicitation(self, context: Any, params: Any) -> types.ElicitResult:
        self.asked.append("elicitation/create")
        return types.ElicitResult(action="accept", content={"name": "Ada"})

    async def on_roots(self, context: Any) -> types.ListRootsResult:
        self.asked.append("roots/list")
        return types.ListRootsResult(roots=[types.Root(uri="file:///srv/data", name="data")])  # type: ignore[arg-type]

    async def on_log(self, params: Any) -> None:
        self.logs.append(params.data)

    async def on_message(self, message: Any) -> None:
        if isinstance(message, types.ServerNotification):
            self.heard.append(message.root.method)

    async def page(self, what: str, cursor: str | None) -> Json:
        params = types.PaginatedRequestParams(cursor=cursor)
        function = {
            "tools": self.session.list_tools,
            "resources": self.session.list_resources,
            "resourceTemplates": self.session.list_resource_templates,
            "prompts": self.session.list_prompts,
        }[what]
        return plainly(await function(params=params))

    async def call(self, name: str, arguments: Json, on_progress: Any = None) -> Json:
        return plainly(await self.session.call_tool(name, arguments, progress_callback=on_progress))

    async def read(self, uri: str) -> Json:
        return plainly(await self.session.read_resource(uri))  # type: ignore[arg-type]

    async def prompt(self, name: str, arguments: Json) -> Json:
        return plainly(await self.session.get_prompt(name, arguments))

    async def complete(self) -> Json:
        ref = types.PromptReference(type="ref/prompt", name="greet")
        return plainly(await self.session.complete(ref, {"name": "who", "value": "a"}))

    async def ping(self) -> None:
        await self.session.send_ping()

    async def roots_changed(self) -> None:
        await self.session.send_roots_list_changed()

    async def level(self) -> None:
        await self.session.set_logging_level("info")

    async def subscribe(self, uri: str) -> None:
        await self.session.subscribe_resource(uri)  # type: ignore[arg-type]

    @property
    def instructions(self) -> str | None:
        return self.introduction.instructions


if __name__ == "__main__":
    visiting.main({"py1": Version1})
