"""What a scripted server has, whatever it is spoken to with: its lists, and how it answers what needs nobody else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Json = Any

OBJECT = {"type": "object"}
SAYS = {"type": "object", "properties": {"message": {"type": "string"}}}


def tool(name: str, schema: Json = SAYS, **more: Json) -> dict[str, Json]:
    return {"name": name, "inputSchema": schema, **more}


def text(words: str, **more: Json) -> dict[str, Json]:
    return {"content": [{"type": "text", "text": words}], **more}


class Refusal(Exception):
    """An error that the server answers with."""

    def __init__(self, code: Json, message: Json, data: Json = None) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message} | ({} if data is None else {"data": data})


class Content:
    """Lists by method, pages of lists by cursor, results of tools by name, of resources by URI, of prompts by name."""

    def __init__(
        self,
        *,
        tools: Iterable[Json] = (),
        results: Mapping[str, Json] | None = None,
        pages: Mapping[Json, Json] | None = None,
        lists: Mapping[str, Json] | None = None,
        resources: Mapping[str, Json] | None = None,
        prompts: Mapping[str, Json] | None = None,
        completion: Json = None,
    ) -> None:
        self.tools = [tool("echo"), *tools]
        self.results = results or {}
        self.pages = pages
        self.lists = lists or {}
        self.resources = resources or {}
        self.prompts = prompts or {}
        self.completion = completion

    @property
    def capabilities(self) -> dict[str, Json]:
        return {
            "tools": {},
            **({"resources": {}} if self.resources or "resources/list" in self.lists else {}),
            **({"prompts": {}} if self.prompts or "prompts/list" in self.lists else {}),
            **({"completions": {}} if self.completion else {}),
        }

    def answer(self, method: str, params: Mapping[str, Json]) -> Json:
        """The result, or a `Refusal`."""
        if method in self.lists:
            if isinstance(self.lists[method], Refusal):
                raise self.lists[method]
            return self.lists[method]
        if method == "ping":
            return {}
        if method == "tools/list":
            return self.pages[params.get("cursor")] if self.pages else {"tools": self.tools}
        if method == "tools/call":
            return self._call(params)
        if method == "resources/list" and self.resources:
            return {"resources": [{"uri": uri, "name": uri} for uri in self.resources if "{" not in uri]}
        if method == "resources/templates/list" and self.resources:
            return {"resourceTemplates": [{"uriTemplate": uri, "name": uri} for uri in self.resources if "{" in uri]}
        if method == "resources/read" and self.resources:
            return self._read(params["uri"])
        if method == "prompts/list" and self.prompts:
            return {"prompts": [{"name": name, **entry.get("entry", {})} for name, entry in self.prompts.items()]}
        if method == "prompts/get" and params.get("name") in self.prompts:
            return self.prompts[params["name"]]["result"]
        if method == "completion/complete" and self.completion:
            return {"completion": self.completion}
        raise Refusal(-32601, "Method not found")

    def _call(self, params: Mapping[str, Json]) -> Json:
        name, arguments = params["name"], params.get("arguments") or {}
        if name in self.results:
            if isinstance(self.results[name], Refusal):
                raise self.results[name]
            return self.results[name]
        if name == "echo":
            return text(f"echo: {arguments.get('message')}")
        raise Refusal(-32602, f"Unknown tool: {name}")

    def _read(self, uri: str) -> Json:
        # What a template makes counts as well.
        known = uri in self.resources or any("{" in known and uri.startswith(known.split("{")[0]) for known in self.resources)
        if not known:
            raise Refusal(-32002, "Resource not found", {"uri": uri})
        return {"contents": [{"uri": uri, "mimeType": "text/plain", "text": f"this is {uri}"}]}
