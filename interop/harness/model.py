"""A stand-in for a language model: it says one word in the form of whichever API it is asked by, and keeps the names of
the tools that it was offered. Real clients show the tools of their MCP servers to a model and to nobody else."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = Any
WORD = "Fine."


class Offer:
    """One request to the model."""

    def __init__(self, path: str, tools: list[str], seconds: float) -> None:
        self.path, self.tools, self.seconds = path, tools, seconds


class Model:
    """Listens on a port of its own. `url` has no path."""

    def __init__(self) -> None:
        self.offers: list[Offer] = []
        self.asked: list[str] = []
        self._began = time.monotonic()
        self._changed = threading.Condition()
        model = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                model.asked.append(f"GET {self.path}")
                listed = [{"id": "stand-in", "object": "model", "name": "stand-in", "display_name": "stand-in"}]
                self._whole({"object": "list", "data": listed, "models": [{"name": "models/stand-in"}]})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                model.asked.append(f"POST {self.path}")
                try:
                    request = json.loads(body)
                except ValueError:
                    request = {}
                model._note(self.path, tool_names(request))
                path = self.path.split("?")[0]
                if path.endswith("/messages"):
                    self._answer(request, anthropic(), anthropic_events())
                elif path.endswith("/responses"):
                    self._answer(request, response("completed"), response_events())
                elif path.endswith("/chat/completions"):
                    self._answer(request, completion(), completion_events())
                elif "GenerateContent" in path:
                    self._events([json.dumps(gemini())], named=False)
                elif "generateContent" in path:
                    self._whole(gemini())
                elif path.endswith("count_tokens"):
                    self._whole({"input_tokens": 1})
                elif "countTokens" in path:
                    self._whole({"totalTokens": 1})
                else:
                    self._whole({})

            def _answer(self, request: Json, whole: Json, events: list[str]) -> None:
                if request.get("stream"):
                    self._events(events, named=True)
                else:
                    self._whole(whole)

            def _whole(self, value: Json) -> None:
                data = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def _events(self, events: list[str], named: bool) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Connection", "close")
                self.end_headers()
                for event in events:
                    kind = json.loads(event).get("type") if named and event.startswith("{") else None
                    self.wfile.write((f"event: {kind}\n" if kind else "").encode() + f"data: {event}\n\n".encode())
                self.close_connection = True

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def begin(self) -> None:
        """Forgets what was offered before."""
        with self._changed:
            self.offers.clear()
            self.asked.clear()
            self._began = time.monotonic()

    def _note(self, path: str, tools: list[str]) -> None:
        with self._changed:
            self.offers.append(Offer(path, tools, time.monotonic() - self._began))
            self._changed.notify_all()

    def close(self) -> None:
        self._server.shutdown()


def tool_names(request: Json) -> list[str]:
    """The names of the tools in a request of any of the APIs."""
    names: list[str] = []

    def go(tools: Json, space: str = "") -> None:
        for tool in tools if isinstance(tools, list) else []:
            if not isinstance(tool, dict):
                continue
            name = tool.get("name") or (tool.get("function") or {}).get("name")
            inner = tool.get("functionDeclarations") or tool.get("function_declarations") or tool.get("tools")
            if inner:
                go(inner, f"{space}{name}" if name else space)
            elif name:
                names.append(f"{space}{name}")

    if isinstance(request, dict):
        go(request.get("tools"))
        go((request.get("request") or {}).get("tools") if isinstance(request.get("request"), dict) else None)
    return names


# ---- Anthropic's messages --------------------------------------------------------------------------------------------


def anthropic() -> Json:
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "stand-in", "stop_reason": "end_turn",
        "stop_sequence": None, "content": [{"type": "text", "text": WORD}],
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip


def anthropic_events() -> list[str]:
    begun = {**anthropic(), "content": [], "stop_reason": None}
    events = [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": WORD}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    return [json.dumps(event) for event in events]


# ---- OpenAI's responses and chat completions -------------------------------------------------------------------------

ITEM = {"type": "message", "id": "item_1", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": WORD, "annotations": []}]}  # fmt: skip
USAGE = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2, "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}  # fmt: skip


def response(status: str) -> Json:
    done = status == "completed"
    return {
        "id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "stand-in",
        "output": [ITEM] if done else [], "usage": USAGE if done else None,
    }  # fmt: skip


def response_events() -> list[str]:
    events = [
        {"type": "response.created", "response": response("in_progress")},
        {"type": "response.output_item.added", "output_index": 0, "item": {**ITEM, "status": "in_progress", "content": []}},
        {"type": "response.content_part.added", "item_id": "item_1", "output_index": 0, "content_index": 0, "part": {"type": "output_text", "text": "", "annotations": []}},
        {"type": "response.output_text.delta", "item_id": "item_1", "output_index": 0, "content_index": 0, "delta": WORD},
        {"type": "response.output_text.done", "item_id": "item_1", "output_index": 0, "content_index": 0, "text": WORD},
        {"type": "response.output_item.done", "output_index": 0, "item": ITEM},
        {"type": "response.completed", "response": response("completed")},
    ]  # fmt: skip
    return [json.dumps({**event, "sequence_number": at}) for at, event in enumerate(events)]


def completion() -> Json:
    message = {"role": "assistant", "content": WORD}
    return {
        "id": "c_1", "object": "chat.completion", "created": 1, "model": "stand-in",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }  # fmt: skip


def completion_events() -> list[str]:
    def chunk(delta: Json, finish: str | None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return json.dumps({"id": "c_1", "object": "chat.completion.chunk", "created": 1, "model": "stand-in", "choices": [choice]})

    return [chunk({"role": "assistant", "content": WORD}, None), chunk({}, "stop"), "[DONE]"]


# ---- Gemini ----------------------------------------------------------------------------------------------------------


def gemini() -> Json:
    candidate = {"index": 0, "content": {"role": "model", "parts": [{"text": WORD}]}, "finishReason": "STOP"}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "stand-in"}
