"""Scripted servers with the manners that users met in real ones, for `interop/works-through`.

    python3 servers/odd http PORT        all over HTTP; says `listening http://...`; GET /counts/CASE/VISIT has the counts
    python3 servers/odd stdio NAME       one over stdin and stdout

A server is at /CASE/VISIT/mcp (or /sse), and each VISIT has one of its own.
"""

from __future__ import annotations

import sys


def main() -> None:
    if sys.argv[1] == "stdio":
        from stdio import SERVERS, Server

        Server(**SERVERS[sys.argv[2]]).run()
        return

    import asyncio
    import json

    from table import CASES
    from wire import JSON, Request, serve

    cases = {case.name: case for case in CASES}
    servers: dict[tuple[str, str], object] = {}

    async def handle(request: Request) -> None:
        first, case, visit = (request.path.strip("/").split("/") + ["", ""])[:3]
        if first == "counts":
            server = servers.get((case, visit))
            return await request.answer(200, JSON, json.dumps(server.counts if server else {}))
        case, visit = first, case
        if case not in cases:
            return await request.answer(404)
        if (case, visit) not in servers:
            servers[case, visit] = cases[case].serve()
        await servers[case, visit](request)  # type: ignore[operator]

    async def run() -> None:
        server = await serve(handle, int(sys.argv[2]))
        print(f"listening http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()

    asyncio.run(run())


main()
