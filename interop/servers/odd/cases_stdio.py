"""The cases of servers over stdin and stdout."""

from __future__ import annotations

from typing import Any

from case import ASKED, ECHO, RECONNECT, Case, call, hears, progress, tools
from stdio import SERVERS

ASKS = [call("ask"), ASKED, call("echo", message="after")]
STEPS: dict[str, list[Any]] = {
    "changed": [hears("tools", "tell")],
    "changed-undeclared": [hears("tools", "tell")],
    "changed-in-a-glue": [hears("tools", "tell")],
    "progress": [progress("count")],
    "elicits": ASKS,
    "elicits-plain": ASKS,
    "roots": ASKS,
    "pings": ASKS,
    "exits-in-call": [tools(), call("exit", fails=""), RECONNECT, tools(), call("echo", message="after")],
    "plain": [*ECHO, RECONNECT, call("echo", message="again")],
}
MUST = {
    "revision-refused": "the server says which revisions it takes",
    "revision-refused-text": "the server says which revisions it takes",
    "cursor-empty": "a list ends where its cursor has been before",
}
CASES = [
    Case(f"stdio-{name}", lambda name=name: name, STEPS.get(name, ECHO), transport="stdio", must=MUST.get(name, ""), plain=name.endswith("-plain"))
    for name in SERVERS
]  # fmt: skip
