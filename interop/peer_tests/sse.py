"""HTTP+SSE, the transport of 2024-11-05: official servers that speak nothing else behind Portolan, and official clients
that speak nothing else in front of it."""

from __future__ import annotations

import socket
from typing import Any, ClassVar

from harness.gateway import Gateway, over_http
from harness.servers import HttpServer, listening

from .base import PeerTest
from .clients import ASKED, SCRIPT, differences

OLD_CLIENTS = ("typescript_v1", "python_legacy")
NEW_CLIENTS = ("typescript_modern", "typescript_legacy", "python_modern", "python_legacy")
# A header of a tool's schema is mirrored by a modern client, to a server that reads it.
BOTH_ERAS = [op for op in SCRIPT + ASKED if op != "header"]


class OldTransport(PeerTest):
    """A server on the Python SDK, and the official server-everything on the TypeScript SDK, both over HTTP+SSE."""

    python: ClassVar[HttpServer]
    everything: ClassVar[HttpServer]
    front: ClassVar[Gateway]
    over_everything: ClassVar[Gateway]
    over_new: ClassVar[Gateway]

    @classmethod
    def set_up(cls) -> None:
        fixture = cls.servers.sse("python")
        process = cls.stage.start("python", fixture.words, fixture.env)
        cls.python = HttpServer(process, listening(process))
        port = free_port()
        official = cls.servers.sse("everything", port)
        process = cls.stage.start("everything", official.words, official.env)
        process.wait_for_line(r"running on port")
        cls.everything = HttpServer(process, f"http://127.0.0.1:{port}/sse")
        cls.front = cls.behind("front", cls.python.url)
        cls.over_everything = cls.behind("over_everything", cls.everything.url)
        cls.over_new = cls.behind("over_new", cls.serve("reference", "modern").url)

    @classmethod
    def behind(cls, name: str, url: str) -> Gateway:
        return cls.gateway({"old": over_http(url)}, name=name, route={"main": {"sse_path": "/sse"}})

    def test_old_clients_see_the_old_server_as_without_portolan(self) -> None:
        for client in OLD_CLIENTS:
            with self.subTest(client=client):
                directly = self.go(client, ["--sse", "--url", self.python.url], SCRIPT + ASKED)
                through = self.go(client, ["--sse", "--url", stream(self.front)], SCRIPT + ASKED)
                self.assertFalse(differences(directly, through))

    def test_new_clients_use_the_old_server(self) -> None:
        for client in NEW_CLIENTS:
            with self.subTest(client=client):
                self.go(client, ["--url", self.front.url], BOTH_ERAS)

    def test_old_clients_use_a_modern_server(self) -> None:
        for client in OLD_CLIENTS:
            with self.subTest(client=client):
                self.go(client, ["--sse", "--url", stream(self.over_new)], BOTH_ERAS)

    def test_the_official_server_lists_what_it_has(self) -> None:
        # It shows more tools to clients that can do more.
        directly = self.go("typescript_v1", ["--sse", "--url", self.everything.url], ["survey"])["survey"]
        for client, where in ways(self.over_everything).items():
            with self.subTest(client=client):
                listed = self.go(client, where, ["survey"])["survey"]
                for member in ("tools", "prompts", "resources", "uriTemplates"):
                    self.assertLessEqual(set(directly[member]), set(listed[member]), member)


def ways(gateway: Gateway) -> dict[str, list[Any]]:
    old = {client: ["--sse", "--url", stream(gateway)] for client in OLD_CLIENTS}
    return old | {client: ["--url", gateway.url] for client in NEW_CLIENTS if client not in old}


def stream(gateway: Gateway) -> str:
    return gateway.url.removesuffix("/mcp") + "/sse"


def free_port() -> int:
    """For a server that does not say which one it got."""
    with socket.socket() as any_socket:
        any_socket.bind(("127.0.0.1", 0))
        port: int = any_socket.getsockname()[1]
        return port
