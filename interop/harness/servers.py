"""The servers that can stand behind Portolan: the reference server, and fixtures on the official SDKs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import HERE, NODE, PYTHON
from .process import Process, Stage

ERAS = ("both", "modern", "legacy")


@dataclass(frozen=True)
class Command:
    """A program with its arguments and what it needs in its environment beside the usual."""

    words: list[str]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Servers:
    """How to start each of them. `portolan` and `rmcp` are the paths of the built programs."""

    portolan: Path
    rmcp: Path

    def http(self, kind: str, era: str = "both", port: int = 0) -> Command:
        """A server over HTTP; port 0 picks a free one."""
        if kind == "reference":
            return Command([str(self.portolan), "reference-server", "--http", f"127.0.0.1:{port}", "--era", era])
        return Command(self._fixture(kind), {"PORT": str(port), "ERA": era})

    def sse(self, kind: str, port: int = 0) -> Command:
        """A server over HTTP+SSE, the transport of 2024-11-05, and no other."""
        if kind == "everything":
            return Command(_official("server-everything", "sse"), {"PORT": str(port)})
        return Command(self._fixture(kind), {"TRANSPORT": "sse", "PORT": str(port)})

    def stdio(self, kind: str, era: str = "both") -> Command:
        if kind == "reference":
            return Command([str(self.portolan), "reference-server", "--stdio", "--era", era])
        if kind == "everything":
            return Command(_official("server-everything", "stdio"))
        return Command(self._fixture(kind), {"TRANSPORT": "stdio", "ERA": era})

    def filesystem(self, root: Path) -> Command:
        """The official server for files under `root`."""
        return Command(_official("server-filesystem", str(root)))

    def _fixture(self, kind: str) -> list[str]:
        return {
            "typescript": [str(NODE), str(HERE / "servers" / "typescript.mjs")],
            "python": [str(PYTHON), str(HERE / "python" / "server.py")],
            "rmcp": [str(self.rmcp)],
        }[kind]

    def start(
        self, stage: Stage, kind: str, era: str = "both", *, port: int = 0, name: str | None = None
    ) -> HttpServer:
        command = self.http(kind, era, port)
        process = stage.start(name or kind, command.words, command.env)
        return HttpServer(process, listening(process))


@dataclass(frozen=True)
class HttpServer:
    """A server that listens."""

    process: Process
    url: str

    @property
    def port(self) -> int:
        return int(self.url.split(":")[2].split("/")[0])


def listening(process: Process) -> str:
    """The URL that a server says it listens at: at the end of a line, whatever stands before it."""
    return process.wait_for_line(r"(https?://\S+/(?:mcp|sse))$")[1]


def _official(package: str, *arguments: str) -> list[str]:
    # By its file and not by its name in .bin, whose first line would take whatever `node` is on PATH.
    program = HERE / "node_modules" / "@modelcontextprotocol" / package / "dist" / "index.js"
    return [str(NODE), str(program), *arguments]
