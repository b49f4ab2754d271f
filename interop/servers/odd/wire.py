"""HTTP/1.1 as far as the scripted servers need it, with every byte of an answer in the script's hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

Message = dict[str, Any]
JSON = {"Content-Type": "application/json"}
EVENTS = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}


class Closed(Exception):
    """The script hung up, which ends the connection."""


class Request:
    """One request, and the way to answer it."""

    def __init__(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, writer: asyncio.StreamWriter
    ) -> None:
        self.method = method
        self.path, _, self.query = target.partition("?")
        self.headers = headers  # names in lower case
        self.body = body
        self._writer = writer
        self.answered = False
        self.last_of_connection = headers.get("connection", "").lower() == "close"

    def message(self) -> Any:
        """The body as JSON, or None."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    async def answer(self, status: int, headers: Mapping[str, str] | None = None, body: bytes | str = b"") -> None:
        """A whole answer."""
        data = body.encode() if isinstance(body, str) else body
        sized = {} if status in (204, 304) else {"Content-Length": str(len(data))}
        await self._head(status, {**(headers or {}), **sized})
        await self._write(data)

    async def open(self, headers: Mapping[str, str] | None = None, status: int = 200) -> None:
        """The head of an answer whose body comes bit by bit."""
        await self._head(status, {**EVENTS, **(headers or {}), "Transfer-Encoding": "chunked"})

    async def send(self, data: bytes | str) -> None:
        """A bit of such a body."""
        raw = data.encode() if isinstance(data, str) else data
        if raw:
            await self._write(b"%x\r\n%s\r\n" % (len(raw), raw))

    async def end(self) -> None:
        """The end of such a body."""
        await self._write(b"0\r\n\r\n")

    async def until_gone(self) -> None:
        """Keeps a stream open as long as its reader does."""
        while not self._writer.is_closing():
            try:
                await self.send(": still here\n\n")
            except ConnectionError:
                return
            await asyncio.sleep(0.5)

    def hang_up(self) -> None:
        self._writer.transport.abort()
        raise Closed

    async def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.answered = True
        try:
            reason = HTTPStatus(status).phrase
        except ValueError:
            reason = "Odd"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        await self._write(f"HTTP/1.1 {status} {reason}\r\n{lines}\r\n".encode("latin-1"))

    async def _write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


Handler = Callable[[Request], Awaitable[None]]


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
    body = b""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    return Request(method, target, headers, body, writer)


async def serve(handler: Handler, port: int) -> asyncio.Server:
    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, Closed):
            while True:
                request = await _read(reader, writer)
                await handler(request)
                if request.last_of_connection:
                    break
        writer.close()

    return await asyncio.start_server(connection, "127.0.0.1", port, limit=1 << 24)
