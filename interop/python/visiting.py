"""Visits to many servers at once with a Python SDK, for `interop/works-through`: what both versions share.

JOBS.json is a list of {id, transport, url | command, steps, plain}; the steps are those of servers/odd/case.py. Prints
{id, era, seen: [{ok, seen} | {ok, error}]} for each, one a line. ../clients/visits.mjs does the same.
"""

from __future__ import annotations

import json
import logging
import math
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import anyio

PATIENCE = 15.0  # seconds for one step
PAGES = 20  # a list that goes on longer goes round in circles
Json = Any
Step = dict[str, Any]


class Inapplicable(Exception):
    """There is no such step in this era."""


class Client:
    """One connection. What a version of the SDK spells its own way is in subclasses."""

    modern = False

    def __init__(self, job: Step) -> None:
        self.job = job
        self.asked: list[str] = []
        self.logs: list[Json] = []
        self.heard: list[str] = []

    async def enter(self, stack: AsyncExitStack) -> None:
        raise NotImplementedError

    async def page(self, what: str, cursor: str | None) -> Json:
        raise NotImplementedError

    async def call(self, name: str, arguments: Json, on_progress: Any = None) -> Json:
        raise NotImplementedError

    async def read(self, uri: str) -> Json:
        raise NotImplementedError

    async def prompt(self, name: str, arguments: Json) -> Json:
        raise NotImplementedError

    async def complete(self) -> Json:
        raise NotImplementedError

    async def ping(self) -> None:
        raise NotImplementedError

    async def roots_changed(self) -> None:
        raise NotImplementedError

    async def level(self) -> None:
        raise NotImplementedError

    async def subscribe(self, uri: str) -> None:
        raise NotImplementedError

    def listening(self, what: str, uri: str | None) -> Any:
        raise NotImplementedError

    @property
    def instructions(self) -> str | None:
        raise NotImplementedError


def plainly(model: Any) -> Json:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


async def every(client: Client, what: str) -> list[Json]:
    items: list[Json] = []
    cursor = None
    for _ in range(PAGES):
        page = await client.page(what, cursor)
        items += page[what]
        cursor = page.get("nextCursor")
        if cursor is None:
            return items
    raise RuntimeError("the list does not end")


async def take(client: Client, step: Step) -> Json:
    match step["do"]:
        case "tools":
            listed = await every(client, "tools")
            return listed if step.get("whole") else [tool["name"] for tool in listed]
        case "call":
            for left in range(20, -1, -1):
                result = await client.call(step["name"], step["arguments"])
                if not (until := step.get("until")) or not left or result["content"][0]["text"] == until:
                    return {"isError": False, **result}
                await anyio.sleep(0.25)
        case "progress":
            came: list[Json] = []

            async def on_progress(progress: float, total: float | None, message: str | None) -> None:
                came.append([progress, total, message])

            result = await client.call(step["name"], {}, on_progress)
            return {"came": came, "result": result}
        case "read":
            return await client.read(step["uri"])
        case "resources":
            return [resource["uri"] for resource in await every(client, "resources")]
        case "templates":
            return [template["uriTemplate"] for template in await every(client, "resourceTemplates")]
        case "prompts":
            return [[prompt["name"], prompt.get("arguments")] for prompt in await every(client, "prompts")]
        case "prompt":
            return await client.prompt(step["name"], step["arguments"])
        case "complete":
            return (await client.complete())["completion"]["values"]
        case "ping":
            if not client.modern:
                await client.ping()
            return {}
        case "instructions":
            return client.instructions
        case "roots_changed":
            if client.modern:
                raise Inapplicable
            await client.roots_changed()
            return {}
        case "level":
            if client.modern:
                raise Inapplicable
            await client.level()
            return {}
        case "logs":
            await until(lambda: bool(client.logs), 5)
            return client.logs[:]
        case "asked":
            asked, client.asked[:] = client.asked[:], []
            return asked
        case "hears":
            return await hears(client, step)
    raise RuntimeError(f"no such step: {step['do']}")


async def hears(client: Client, step: Step) -> Json:
    kind = step["kind"]
    wanted = "notifications/" + ("resources/updated" if kind == "resource" else f"{kind}/list_changed")

    async def provoked() -> Json:
        for _ in range(12):
            await client.call(step["name"], {})
            if await until(lambda: wanted in client.heard, 0.5, must=False):
                return wanted
        raise RuntimeError(f"{wanted} did not come")

    if client.modern:
        async with client.listening(kind, step.get("uri")):
            return await provoked()
    if "uri" in step:
        await client.subscribe(step["uri"])
    return await provoked()


async def until(true: Callable[[], bool], patience: float, must: bool = True) -> bool:
    end = time.monotonic() + patience
    while not true():
        if time.monotonic() > end:
            if must:
                raise RuntimeError("it did not come")
            return False
        await anyio.sleep(0.02)
    return True


def described(error: BaseException) -> Json:
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    inner = getattr(error, "error", error)
    message = str(getattr(inner, "message", "") or error or type(error).__name__)
    code = getattr(inner, "code", None)
    return {**({} if code is None else {"code": code}), "message": message[:600]}


async def attempt(seen: list[Json], run: Callable[[], Awaitable[Json]]) -> bool:
    try:
        with anyio.fail_after(PATIENCE + 2):
            got = await run()
        seen.append({"ok": True, "seen": got})
    except Inapplicable:
        seen.append({"ok": True, "seen": {}, "inapplicable": True})
    except Exception as error:
        seen.append({"ok": False, "error": described(error)})
        return False
    return True


async def go(kind: Callable[[Step], Client], job: Step) -> None:
    seen: list[Json] = []
    left = list(job["steps"])
    era = "legacy"
    while True:
        # Each connection is left before the next is made, by whoever entered it.
        client = kind(job)
        before = len(seen)
        connected = False
        try:
            # Around all that is entered, and only until it is: what an SDK opens must close in the order in which it opened.
            with anyio.CancelScope(deadline=anyio.current_time() + PATIENCE + 2) as connecting:
                async with AsyncExitStack() as stack:
                    await client.enter(stack)
                    connecting.deadline = math.inf
                    connected = True
                    era = "modern" if client.modern else "legacy"
                    seen.append({"ok": True, "seen": {} if before else None})
                    while left and left[0]["do"] != "reconnect":
                        step = left.pop(0)
                        await attempt(seen, lambda step=step: take(client, step))
                    connecting.deadline = anyio.current_time() + 4  # for closing
            if not connected:
                raise RuntimeError("not connected in time")
        except Exception as error:
            # What goes wrong while a connection closes is not asked about; what went wrong before is.
            if not connected or len(seen) == before:
                seen.append({"ok": False, "error": described(error)})
                break
            while left and left[0]["do"] != "reconnect":
                left.pop(0)
                seen.append({"ok": False, "error": described(error)})
        if not left:
            break
        left.pop(0)
    print(json.dumps({"id": job["id"], "era": era, "seen": seen}) + "\n", end="", flush=True)


async def visits(kind: Callable[[Step], Client], jobs: list[Step], at_once: int) -> None:
    async def worker() -> None:
        while jobs:
            await go(kind, jobs.pop(0))

    async with anyio.create_task_group() as group:
        for _ in range(at_once):
            group.start_soon(worker)


def main(kinds: dict[str, Callable[[Step], Client]]) -> None:
    logging.disable(logging.CRITICAL)
    kind, file, *rest = sys.argv[1:]
    with open(file) as jobs:
        anyio.run(visits, kinds[kind], json.load(jobs), int(rest[0]) if rest else 10)
