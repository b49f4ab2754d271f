"""Each official client goes to each server directly, through `portolan serve`, and through `portolan stdio`, and must
see the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar

from harness import census
from harness.gateway import Gateway, over_http
from harness.servers import HttpServer

from .base import CLIENTS, Observed, PeerTest, is_modern

SCRIPT = [
    "list_tools", "call_simple_text", "call_image", "call_error", "call_progress", "list_resources",
    "list_resource_templates", "read_text", "read_binary", "read_template", "list_prompts", "get_prompt",
    "get_prompt_with_arguments", "complete", "unknown_tool", "cancel", "log", "list_changed", "resource_updated",
    "header",
]  # fmt: skip
# What a server asks of its client: in mid-call in the legacy era, by its result in the modern one.
ASKED = ["elicit", "sample", "multi_round", "multiple_inputs"]
COMES_AND_GOES = {"test_dynamic_tool", "test_extra_tool"}


def comparable(observed: Observed) -> Observed:
    """Without what may differ: who answers, what earlier clients changed, and what clients lose by themselves."""
    same = {op: dict(report) for op, report in observed.items()}
    same["connect"] = {"protocolVersion": observed["connect"]["protocolVersion"]}
    # The fixtures have one tool that comes and goes, and a resource that counts its changes.
    names = [name for name in same["list_tools"]["names"] if name not in COMES_AND_GOES]
    same["list_tools"] = {"names": names, "pages": same["list_tools"]["pages"]}
    same["resource_updated"]["text"] = re.sub(r"\d+", "N", same["resource_updated"]["text"])
    # The TypeScript SDK drops progress that it reads together with the response.
    same["call_progress"]["progress"] = same["call_progress"]["progress"][:2]
    # What is asked at once has no order.
    same["multiple_inputs"]["asked"].sort()
    # Servers refuse it each in their own way, and through Portolan it may not get to them.
    refusal = same["unknown_tool"]
    same["unknown_tool"] = {"refused": refusal.get("isError") or refusal["error"]["code"] == -32602}
    return same


def differences(directly: Observed, through: Observed) -> list[str]:
    wanted, seen = comparable(directly), comparable(through)
    return [
        f"{op}: directly {wanted.get(op)}, through Portolan {seen.get(op)}"
        for op in wanted
        if wanted[op] != seen.get(op)
    ]


class ClientsOf(PeerTest):
    """All clients in front of one server."""

    kind: ClassVar[str]
    server: ClassVar[HttpServer]
    front: ClassVar[Gateway]
    directly: ClassVar[dict[str, Observed]]

    @classmethod
    def set_up(cls) -> None:
        cls.directly = {}
        cls.server = cls.serve(cls.kind)
        cls.front = cls.gateway({cls.kind: over_http(cls.server.url)})

    def compare(self, client: str, where: list[Any], **env: str) -> None:
        if client not in self.directly:
            self.directly[client] = self.go(client, ["--url", self.server.url], SCRIPT + ASKED)
        through = self.go(client, where, SCRIPT + ASKED, **env)
        differing = differences(self.directly[client], through)
        self.assertFalse(differing, "\n".join([f"{client} sees something else through Portolan:", *differing]))

    def over_http(self, client: str) -> None:
        self.compare(client, ["--url", self.front.url])

    def over_stdio(self, client: str) -> None:
        mark = census.new_mark()
        command = [self.servers.portolan, "stdio", "--config", self.front.config]
        self.compare(client, ["--command", *command], **mark)
        gone = census.wait_until(lambda: not census.marked(mark))
        self.assertTrue(gone, f"left behind by {client}: {census.marked(mark)}")


def test_of(client: str, way: Callable[[ClientsOf, str], None]) -> Callable[[ClientsOf], None]:
    return lambda self: way(self, client)


def clients_of(kind: str) -> type[PeerTest]:
    tests: dict[str, Any] = {"kind": kind}
    for client in CLIENTS:
        tests[f"test_{client}_over_http"] = test_of(client, ClientsOf.over_http)
        tests[f"test_{client}_over_stdio"] = test_of(client, ClientsOf.over_stdio)
    return type(f"ClientsOf{kind.capitalize()}", (ClientsOf,), tests)


class AcrossEras(PeerTest):
    """All clients in front of one server of the other era."""

    kind: ClassVar[str]
    server: ClassVar[HttpServer]
    fronts: ClassVar[dict[str, Gateway]]

    @classmethod
    def set_up(cls) -> None:
        cls.server = cls.serve(cls.kind)
        pinned = {era: cls.serve(cls.kind, era) for era in ("modern", "legacy")}
        cls.fronts = {
            era: cls.gateway({cls.kind: over_http(server.url)}, name=f"gateway-{era}") for era, server in pinned.items()
        }

    def across(self, client: str) -> None:
        front = self.fronts["legacy" if is_modern(client) else "modern"]
        # Legacy servers know no mirrored arguments.
        script = [op for op in SCRIPT + ASKED if not (op == "header" and is_modern(client))]
        directly = self.go(client, ["--url", self.server.url], script)
        differing = differences(directly, self.go(client, ["--url", front.url], script))
        self.assertFalse(differing, "\n".join([f"{client} sees something else across the eras:", *differing]))


def across_eras(kind: str) -> type[PeerTest]:
    tests: dict[str, Any] = {"kind": kind}
    for client in CLIENTS:
        tests[f"test_{client}"] = lambda self, client=client: self.across(client)
    return type(f"AcrossEras{kind.capitalize()}", (AcrossEras,), tests)


KINDS = ("reference", "typescript", "python", "rmcp")
CLIENT_GROUPS = [group(kind) for kind in KINDS for group in (clients_of, across_eras)]
