"""A case: what a server does, and what a client then does with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Step = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One row. `serve` makes the server, for each visit anew; a stdio server is started by its case's name."""

    name: str
    serve: Callable[..., Any]
    steps: Sequence[Step]
    transport: str = "http"  # or sse, stdio
    # How Portolan is told of the server, beside where it is.
    upstream: Mapping[str, Any] = field(default_factory=dict)
    # What the server may be asked at most through Portolan: the name of a count, and its bound.
    at_most: Mapping[str, int] = field(default_factory=dict)
    # Why it has to work through Portolan even for a client that gets nowhere directly.
    must: str = ""
    # What the client declares: nothing, instead of all that it can.
    plain: bool = False


def tools(**more: Any) -> Step:
    """The tools' names, or with `whole` all that is said of them."""
    return {"do": "tools", **more}


def call(name: str, *, fails: str | None = None, code: bool = False, until: str | None = None, **arguments: Any) -> Step:
    """`fails`: it must not work, and the error must have these words, and with `code` the same code where both are of one
    era. `until`: again, until it answers this text."""
    more = {} if fails is None else {"fails": fails, "code": code}
    return {"do": "call", "name": name, "arguments": arguments, **({"until": until} if until else {}), **more}


def progress(name: str) -> Step:
    """A call with the progress that comes."""
    return {"do": "progress", "name": name}


def read(uri: str, **more: Any) -> Step:
    return {"do": "read", "uri": uri, **more}


def prompt(name: str, **arguments: str) -> Step:
    return {"do": "prompt", "name": name, "arguments": arguments}


def heard(method: str) -> Step:
    """Waits until a notification of this kind has come."""
    return {"do": "heard", "method": method}


def hears(kind: str, name: str, uri: str | None = None) -> Step:
    """Listens for changes of this kind (tools, prompts, resources, or of one resource), and calls a tool that causes one."""
    return {"do": "hears", "kind": kind, "name": name, **({"uri": uri} if uri else {})}


RESOURCES, TEMPLATES, PROMPTS = {"do": "resources"}, {"do": "templates"}, {"do": "prompts"}
PING, RECONNECT, ROOTS_CHANGED = {"do": "ping"}, {"do": "reconnect"}, {"do": "roots_changed"}
INSTRUCTIONS, ASKED, COMPLETE = {"do": "instructions"}, {"do": "asked"}, {"do": "complete"}
LOGS = {"do": "logs"}
ECHO = [tools(), call("echo", message="hi")]
