"""The same as client.mjs on the official Python SDK: a client that has an endpoint's URL, and logs in.

    python client.py URL ERA TOOL [ARGUMENTS]     ERA is modern or legacy
"""

from __future__ import annotations

import json
import sys
import traceback
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import anyio
import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

CALLBACK = "http://127.0.0.1:9/callback"
MODES = {"modern": "2026-07-28", "legacy": "legacy"}
seen: dict[str, Any] = {"redirects": 0, "scopes": []}


class Kept:
    """What the SDK wants to be kept, in memory."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class Browser:
    """Follows redirects with cookies, up to the client's own address."""

    came_to = ""

    async def go(self, at: str) -> None:
        asked = parse_qs(urlsplit(at).query)
        seen["redirects"] += 1
        seen["scopes"].append(asked.get("scope", [None])[0])
        seen["resource"] = asked.get("resource", [None])[0]
        async with httpx2.AsyncClient(follow_redirects=False) as http:
            for _ in range(20):
                if at.startswith(CALLBACK):
                    self.came_to = at
                    return
                answer = await http.get(at)
                if "location" not in answer.headers:
                    raise RuntimeError(f"{at} answers {answer.status_code}: {answer.text[:300]}")
                at = urljoin(at, answer.headers["location"])
        raise RuntimeError("it goes round in circles")

    async def result(self) -> AuthorizationCodeResult:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.came_to).query).items()}
        return AuthorizationCodeResult(code=query["code"], state=query.get("state"), iss=query.get("iss"))


async def main(url: str, era: str, tool: str, arguments: str = "{}") -> None:
    browser = Browser()
    metadata = OAuthClientMetadata(
        client_name="sign-in test",
        redirect_uris=[CALLBACK],  # type: ignore[list-item]
        token_endpoint_auth_method="none",
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
    )
    provider = OAuthClientProvider(url, metadata, Kept(), browser.go, browser.result)
    async with httpx2.AsyncClient(auth=provider, timeout=30) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=MODES[era]) as client:
            seen["tools"] = [tool.name for tool in (await client.list_tools()).tools]
            result = await client.call_tool(tool, json.loads(arguments))
            seen["result"] = [block.model_dump(exclude_none=True) for block in result.content]


try:
    anyio.run(main, *sys.argv[1:])
except BaseException as error:  # noqa: BLE001  (whatever it is, it is what the test wants to see)
    traceback.print_exc()
    seen["error"] = repr(error)
print(json.dumps(seen))
