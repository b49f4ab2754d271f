#!/usr/bin/env python3
"""Two modern servers at one address: `/well` answers at once and little, `/big` answers 50 MB, lists 20 MB or talks without end."""

from __future__ import annotations

import asyncio
import json
import re

MB = 1024 * 1024
CACHED = {"resultType": "complete", "ttlMs": 3600000, "cacheScope": "public"}


def text(words: str) -> dict[str, object]:
    return {"resultType": "complete", "content": [{"type": "text", "text": words}]}


def tools(*names: str) -> dict[str, object]:
    return {**CACHED, "tools": [{"name": name, "inputSchema": {"type": "object"}} for name in names]}


def dump(result: object) -> bytes:
    return json.dumps(result).encode()


ABLE = {"tools": {}, "resources": {}}
ANSWERS = {
    "server/discover": dump({**CACHED, "supportedVersions": ["2026-07-28"], "capabilities": ABLE}),
    "tools/list": dump(tools("echo", "much", "chatter")),
    "echo": dump(text("x" * 900)),
    "much": dump(text("x" * (50 * MB))),
    "resources/list": dump({**CACHED, "ttlMs": 0, "cacheScope": "private", "resources": [{"uri": f"file:///{n}", "name": "x" * 2000} for n in range(10000)]}),
}  # fmt: skip


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = re.search(r"content-length: (\d+)", head, re.I)
            body = json.loads(await reader.readexactly(int(length[1])) if length else b"{}")
            method, params = body.get("method"), body.get("params") or {}
            name = params.get("name") if method == "tools/call" else method
            if name == "resources/list" and "/well" in head.split("\r\n")[0]:
                result = dump({**CACHED, "resources": []})
            else:
                result = ANSWERS.get(name, b"{}")
            if name == "chatter":
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
                word = {"level": "info", "data": "x" * 65536, "logger": "x"}
                token = (params.get("_meta") or {}).get("progressToken")
                n = 0
                while True:
                    n += 1
                    said = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": n, "message": word["data"]}}
                    writer.write(b"data: " + dump(said) + b"\n\n")
                    await writer.drain()
            whole = b'{"jsonrpc":"2.0","id":' + json.dumps(body.get("id")).encode() + b',"result":' + result + b"}"
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(whole))
            writer.write(whole)
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=MB)
    port = server.sockets[0].getsockname()[1]
    print(f"listening http://127.0.0.1:{port}", flush=True)
    await server.serve_forever()


asyncio.run(main())
