"""Servers that are restarted between calls. Their clients stay."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

from harness import census
from harness.gateway import over_http
from harness.raw import RawClient, RpcError

from .base import PeerTest

KINDS = ("reference", "typescript", "python", "rmcp")


class Recovery(PeerTest):
    """Each test has a server and a gateway of its own, and one client of each era that holds on to its session."""

    def test_a_stream_that_its_server_closes_in_mid_call_is_resumed(self) -> None:
        for kind in ("reference", "typescript", "python"):  # rmcp has no way to close its own
            server = self.serve(kind, "legacy", name=f"{kind}-resumed")
            front = self.gateway({"one": over_http(server.url)}, name=f"gateway-{kind}-resumed")
            for era in ("modern", "legacy"):
                with self.subTest(server=kind, client=era), RawClient(front.url, era) as client:
                    self.assertTrue(client.text("test_reconnection"))

    def restart(self, kind: str, era: str) -> None:
        server = self.serve(kind, era, name=f"{kind}-{era}")
        front = self.gateway({"one": over_http(server.url)}, name=f"gateway-{kind}-{era}")
        with ExitStack() as stack:
            clients = [stack.enter_context(RawClient(front.url, each)) for each in ("modern", "legacy")]
            for client in clients:
                self.assertTrue(client.text("test_simple_text"))

            # Restarted between two calls: the next one works, whichever it is.
            for turn, use in enumerate((self.call, self.list, self.read)):
                server.process.stop()
                server = self.serve(kind, era, port=server.port, name=f"{kind}-{era}-{turn}")
                for client in clients:
                    with self.subTest(client=client.era, first=use.__name__):
                        use(client)

            # Away: everything is an error, and nothing an empty success.
            server.process.stop()
            for client in clients:
                for use in (self.call, self.list, self.read):
                    with self.subTest(client=client.era, away=use.__name__), self.assertRaises(RpcError) as refused:
                        use(client)
                    self.assertIn("one", str(refused.exception), "the error does not name the server")
            server = self.serve(kind, era, port=server.port, name=f"{kind}-{era}-back")
            # By then the gateway leaves it alone for a moment; that it is back it finds out by itself.
            for client in clients:
                with self.subTest(client=client.era, back=True):
                    self.assertTrue(census.wait_until(lambda: self.is_served(client)))

            # Killed in mid-call: the caller hears of it.
            for client in clients:
                token = client.era
                call = partial(client.call, "test_cancellation", seconds=30, token=token)
                with self.subTest(client=client.era, killed="in mid-call"):
                    self.assertRaises(RpcError, self.meanwhile, call, server.process.kill, front.url, token)
                server.process.stop()
                server = self.serve(kind, era, port=server.port, name=f"{kind}-{era}-{token}")

    def meanwhile(self, call: Callable[[], object], act: Callable[[], object], url: str, token: str) -> object:
        """Calls, and acts as soon as the server says that the call runs."""
        with ThreadPoolExecutor(1) as pool, RawClient(url, "modern") as observer:
            future = pool.submit(call)
            running = census.wait_until(lambda: observer.text("test_cancellation_outcome", token=token) == "running")
            self.assertTrue(running, "the call does not get to the server")
            act()
            return future.result(20)

    def is_served(self, client: RawClient) -> bool:
        try:
            self.call(client)
        except RpcError as refused:
            self.assertIn("breaker_open", str(refused), "an error that says nothing of waiting")
            return False
        return True

    def call(self, client: RawClient) -> None:
        self.assertTrue(client.text("test_simple_text"))

    def list(self, client: RawClient) -> None:
        self.assertIn("test_simple_text", client.tools())

    def read(self, client: RawClient) -> None:
        [contents] = client.request("resources/read", {"uri": "test://static-text"})["contents"]
        self.assertTrue(contents["text"])


def add(kind: str, era: str) -> None:
    setattr(Recovery, f"test_{kind}_{era}_restarts", lambda self: self.restart(kind, era))


for kind in KINDS:
    add(kind, "legacy")
    add(kind, "modern")
