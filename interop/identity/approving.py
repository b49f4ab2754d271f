"""The same as approving.mjs on the official Python SDK.

    python approving.py URL ERA KEY TOOL [ARGUMENTS]     ERA is modern or legacy
"""

from __future__ import annotations

import json
import sys
import traceback
from typing import Any

import anyio
import httpx2
from mcp import Client, types
from mcp.client.streamable_http import streamable_http_client

MODES = {"modern": "2026-07-28", "legacy": "legacy"}
seen: dict[str, Any] = {"asked": []}


async def on_elicitation(_context: Any, params: Any) -> types.ElicitResult:
    mode = getattr(params, "mode", None) or "form"
    seen["asked"].append(mode)
    seen["message"] = params.message
    if mode == "url":
        if "visit" not in seen:
            print(json.dumps({"visit": params.url}), flush=True)
        seen["visit"] = params.url
        return types.ElicitResult(action="accept")
    return types.ElicitResult(action="accept", content={"approve": True})


async def main(url: str, era: str, key: str, tool: str, arguments: str = "{}") -> None:
    headers = {"authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, mode=MODES[era], elicitation_callback=on_elicitation) as client:
            result = await client.call_tool(tool, json.loads(arguments))
            seen["result"] = [block.model_dump(exclude_none=True) for block in result.content]


try:
    anyio.run(main, *sys.argv[1:])
except BaseException as error:  # noqa: BLE001  (whatever it is, it is what the test wants to see)
    traceback.print_exc()
    seen["error"] = repr(error)
print(json.dumps(seen))
