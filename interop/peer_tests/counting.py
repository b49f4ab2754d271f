"""How many legacy sessions and child processes one client causes, and a hundred; and that none outlives Portolan.

Sessions are counted by what Portolan sends (each server stands behind a `Tap`), processes by /proc.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import ClassVar

from harness import census
from harness.gateway import Gateway, Upstream, over_http, over_stdio
from harness.raw import RawClient
from harness.servers import Command
from harness.tap import Tap

from .base import PeerTest

LEGACY = ("reference", "typescript", "python", "rmcp")
HUNDRED = ["modern", "legacy"] * 50


class Counting(PeerTest):
    """Legacy servers over HTTP, each behind a tap, and as processes, each with a mark."""

    rule: ClassVar[str]
    over_http: ClassVar[Sequence[str]]
    over_stdio: ClassVar[Sequence[str]]
    taps: ClassVar[dict[str, Tap]]
    marks: ClassVar[dict[str, dict[str, str]]]
    front: ClassVar[Gateway]

    @classmethod
    def set_up(cls) -> None:
        cls.taps = {kind: Tap(cls.serve(kind, "legacy").url) for kind in cls.over_http}
        cls.marks = {kind: census.new_mark() for kind in cls.over_stdio}
        upstreams: dict[str, Upstream] = {kind: over_http(tap.url, sessions=cls.rule) for kind, tap in cls.taps.items()}
        for kind, mark in cls.marks.items():
            # The process limit counts those that are about to end, too.
            upstreams[f"{kind}-stdio"] = over_stdio(cls.servers.stdio(kind, "legacy"), env=mark, sessions=cls.rule)
        # A hundred programs that start at once take their time, and here lists wait for all.
        patient = {"timeouts": {"grace": "60s", "starting": "60s", "list": "60s"}}
        upstreams = {name: {**upstream, **patient} for name, upstream in upstreams.items()}
        cls.front = cls.gateway(upstreams, limits={"children": 200})

    @classmethod
    def tools(cls) -> list[str]:
        """One tool of each server."""
        return [
            f"{server}__test_simple_text" for server in (*cls.over_http, *(f"{kind}-stdio" for kind in cls.over_stdio))
        ]

    def visit(self, eras: Sequence[str]) -> dict[str, int]:
        """Lets clients of these eras come at once, and each call every server. What there is when all are done and none
        has gone yet."""
        with ExitStack() as stack, ThreadPoolExecutor(len(eras)) as pool:
            clients = [RawClient(self.front.url, era, timeout=60) for era in eras]

            def come(client: RawClient) -> None:
                client.__enter__()
                self.assertTrue(client.tools())
                for tool in self.tools() * 2:
                    self.assertTrue(client.text(tool))

            for client in clients:
                stack.push(client.__exit__)
            list(pool.map(come, clients))
            return self.there_are()

    def there_are(self) -> dict[str, int]:
        """The sessions opened so far, by server, and the processes that run."""
        sessions = {kind: tap.opened for kind, tap in self.taps.items()}
        return sessions | {f"{kind}-stdio": len(census.servers(mark)) for kind, mark in self.marks.items()}

    def each(self, count: int) -> dict[str, int]:
        return dict.fromkeys(self.there_are(), count)


class SharedSessions(Counting):
    """By default all clients of one principal share a session, or a process."""

    rule = "shared"
    over_http = LEGACY
    over_stdio = ("reference", "typescript", "python")

    def test_1_one_client_causes_one_session_and_one_process(self) -> None:
        self.assertEqual(self.each(1), self.visit(["modern"]))

    def test_2_one_of_each_era_causes_no_more(self) -> None:
        self.assertEqual(self.each(1), self.visit(["modern", "legacy"]))

    def test_3_a_hundred_clients_cause_no_more(self) -> None:
        self.assertEqual(self.each(1), self.visit(HUNDRED))
        self.assertEqual(dict.fromkeys(self.taps, 0), {kind: tap.ended for kind, tap in self.taps.items()})

    def test_4_none_is_set_up_per_call(self) -> None:
        with RawClient(self.front.url, "modern") as client:
            for turn in range(101):
                if turn == 1:
                    # Connections that were idle for long are gone, which is as it should be.
                    before = {kind: tap.connections for kind, tap in self.taps.items()}
                for tool in self.tools():
                    client.call(tool)
        opened = {kind: tap.connections - before[kind] for kind, tap in self.taps.items()}
        self.assertLessEqual(max(opened.values()), 1, f"connections for 100 calls one after the other: {opened}")


class PerClientSessions(Counting):
    """With `sessions = "per-client"` each legacy client has its own; modern clients, who have no session, share one."""

    rule = "per-client"
    over_http = ("reference", "typescript")
    over_stdio = ("reference",)

    def test_1_one_modern_client_causes_one(self) -> None:
        self.assertEqual(self.each(1), self.visit(["modern"]))

    def test_2_a_legacy_client_has_its_own_and_takes_it_along(self) -> None:
        self.assertEqual(self.each(2), self.visit(["legacy"]))
        self.assert_only_the_shared_one_is_left(ended=1)

    def test_3_a_hundred_clients_have_one_for_each_legacy_client(self) -> None:
        legacy = HUNDRED.count("legacy")
        before, streams = self.there_are(), {kind: tap.streams for kind, tap in self.taps.items()}
        after = self.visit(HUNDRED)
        self.assertEqual(self.each(legacy), {server: after[server] - before[server] for server in after})
        self.assert_only_the_shared_one_is_left(ended=1 + legacy)
        now = {kind: tap.streams for kind, tap in self.taps.items()}
        # Each session's own stream is read as long as there is one.
        self.assertEqual({kind: count + legacy for kind, count in streams.items()}, now)

    def assert_only_the_shared_one_is_left(self, ended: int) -> None:
        left = census.wait_until(lambda: all(len(census.servers(mark)) == 1 for mark in self.marks.values()))
        self.assertTrue(left, f"processes that outlive their client: {self.there_are()}")
        census.wait_until(lambda: all(tap.ended == ended for tap in self.taps.values()))
        self.assertEqual(dict.fromkeys(self.taps, ended), {kind: tap.ended for kind, tap in self.taps.items()})


class Lifetimes(PeerTest):
    """What Portolan has started ends with it, however it ends."""

    def start(self, name: str) -> tuple[Gateway, dict[str, str], Tap]:
        mark = census.new_mark()
        tap = Tap(self.serve("reference", "legacy", name=f"legacy-{name}").url)
        files = self.servers.filesystem(self.stage.folder)
        shell = Command(["sh", "-c", " ".join([*files.words, "; true"])])
        stubborn = Command(
            ["sh", "-c", "trap '' TERM HUP; " + " ".join(self.servers.stdio("reference", "both").words) + "; sleep 600"]
        )
        commands = {
            "everything": self.servers.stdio("everything"),
            "python": self.servers.stdio("python"),
            "rmcp": self.servers.stdio("rmcp"),
            "shell": shell,  # as npx and its like: what answers is a grandchild
            "stubborn": stubborn,  # outlives its stdin, and takes no hint
        }
        upstreams = {name: over_stdio(command, env=mark, stop_grace="500ms") for name, command in commands.items()}
        front = self.gateway({**upstreams, "legacy": over_http(tap.url)}, name=name)
        with RawClient(front.url, "modern") as client:
            for tool in (
                "everything__echo",
                "python__test_simple_text",
                "rmcp__test_simple_text",
                "stubborn__test_simple_text",
            ):
                self.assertTrue(client.text(tool, **({"message": "hi"} if "echo" in tool else {})))
            self.assertTrue(client.text("legacy__test_simple_text"))
        self.assertGreaterEqual(len(census.servers(mark)), len(commands))
        return front, mark, tap

    def test_sigterm_leaves_no_process_and_no_session(self) -> None:
        front, mark, tap = self.start("sigterm")
        os.kill(front.process.pid, signal.SIGTERM)
        self.assertEqual(0, front.process.wait(30), front.process.tail())
        self.assertEqual([], census.marked(mark), "left behind")
        self.assertEqual(1, tap.ended, "the legacy session was not ended")

    def test_sigkill_leaves_no_process(self) -> None:
        front, mark, _ = self.start("sigkill")
        os.kill(front.process.pid, signal.SIGKILL)
        front.process.wait(10)
        gone = census.wait_until(lambda: not census.marked(mark), timeout=10)
        self.assertTrue(gone, f"left behind: {census.marked(mark)}")
