"""What tools of the scripted servers do beside answering."""

from __future__ import annotations

import asyncio
from typing import Any

from content import text
from legacy import Exchange, Reply, Script

FORM = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
CHANGED = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}


async def forget(exchange: Exchange) -> Any:
    """Answers, and has lost all sessions."""
    server = exchange.server
    await server.write(exchange.request, {"jsonrpc": "2.0", "id": exchange.message["id"], "result": text("forgotten")}, {})
    await server.forget()


def counts(*steps: dict[str, Any], token: Any = lambda token: token, aside: bool = False) -> Script:
    """Reports progress as listed."""

    async def script(exchange: Exchange) -> Any:
        for step in steps:
            told = {"progressToken": token(exchange.token), **step}
            if aside:
                note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": told}
                await exchange.server.put_aside(note, exchange.session)
            else:
                await exchange.tell("notifications/progress", **told)
            await asyncio.sleep(0.05)  # clients may read progress that comes with the response after that
        return text(f"{len(steps)} steps")

    return script


def tells(*notes: tuple[str, dict[str, Any]], aside: bool = False) -> Script:
    """Sends notifications: on the stream of the call, or on the session's own."""

    async def script(exchange: Exchange) -> Any:
        for method, params in notes:
            if aside:
                note = {"jsonrpc": "2.0", "method": method, "params": params}
                await exchange.server.put_aside(note, exchange.session)
            else:
                await exchange.tell(method, **params)
        return text("told")

    return script


def asks(method: str, *, id: Any = None, aside: bool = False, times: int = 1, **params: Any) -> Script:
    """Asks the client, and answers with what it said."""

    async def script(exchange: Exchange) -> Any:
        said = []
        for _ in range(times):
            answer = await exchange.ask(method, id=id, aside=aside, **params)
            # Which code a client refuses with is its own affair.
            said.append("no" if "error" in answer else summary(answer.get("result")))
        return text(f"the client said {said}")

    return script


def summary(result: Any) -> Any:
    """What is said, without what an SDK may add to it."""
    if isinstance(result, dict):
        for member in ("content", "roots", "action"):
            if member in result:
                value = result[member]
                return [root["uri"] for root in value] if member == "roots" else value
    return result


async def who(exchange: Exchange) -> Any:
    client = exchange.server.clients.get(exchange.session, {})
    return text(f"{client.get('clientInfo', {}).get('name')}")


async def aside_answer(exchange: Exchange) -> Any:
    """202, and the response on the session's own stream."""
    answer = {"jsonrpc": "2.0", "id": exchange.message["id"], "result": text("from aside")}
    await exchange.request.answer(202)
    await exchange.server.put_aside(answer, exchange.session)


def slow(seconds: float) -> Script:
    async def script(exchange: Exchange) -> Any:
        await asyncio.sleep(seconds)
        return text("late")

    return script


def status(code: int, headers: dict[str, str], body: str) -> Script:
    """Answers the call with this status and body."""

    async def script(exchange: Exchange) -> Any:
        await Reply(code, headers, body).give(exchange.request, exchange.message)

    return script
