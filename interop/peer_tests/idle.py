"""Connections that the server closes when they were idle: uvicorn after five seconds, Node after five as well. Whoever
sends in just that moment writes into a closing connection, and must not see an error of it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

from harness.gateway import Gateway, Upstream, over_http
from harness.raw import RawClient

from .base import PeerTest

IDLE = 5.0
# What lies between two calls, around the moment in which the server closes. All run beside each other.
OFFSETS = [-0.02, -0.01, -0.005, -0.002, -0.001, 0.0, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02]
ROUNDS = 4


class IdleConnections(PeerTest):
    """Twelve upstreams that are one server, so that each has connections of its own."""

    front: ClassVar[Gateway]
    names: ClassVar[list[str]]

    @classmethod
    def set_up(cls) -> None:
        upstreams: dict[str, Upstream] = {}
        for kind in ("python", "typescript"):
            for era in ("modern", "legacy"):
                server = cls.serve(kind, era, name=f"{kind}-{era}")
                upstreams |= {f"{kind}-{era}-{i}": over_http(server.url, era=era) for i in range(len(OFFSETS))}
        cls.front = cls.gateway(upstreams)
        cls.names = list(upstreams)

    def test_calls_when_the_server_closes_the_connection_succeed(self) -> None:
        with ThreadPoolExecutor(len(self.names)) as pool:
            failed = [each for result in pool.map(self.calls, self.names) for each in result]
        self.assertFalse(
            failed, f"{len(failed)} of {len(self.names) * ROUNDS} calls failed:\n" + "\n".join(failed[:10])
        )

    def calls(self, name: str) -> list[str]:
        offset = OFFSETS[int(name.rsplit("-", 1)[1])]
        failed = []
        with RawClient(self.front.url, "modern") as client:
            client.text(f"{name}__test_simple_text")
            for turn in range(ROUNDS):
                # Real time is what this is about.
                time.sleep(IDLE + offset)
                try:
                    client.text(f"{name}__test_simple_text")
                except Exception as error:
                    failed.append(f"{name}, {IDLE + offset:.3f} s, call {turn + 1}: {error}")
        return failed
