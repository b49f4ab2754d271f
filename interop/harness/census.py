"""Which processes there are, by /proc. Those of one test are told by a mark in their environment, which a process keeps
when whoever started it is gone."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MARK = "PORTOLAN_INTEROP_MARK"


@dataclass(frozen=True)
class Living:
    pid: int
    words: tuple[str, ...]

    @property
    def guards(self) -> bool:
        """Whether it is the guard that Portolan puts before a server."""
        return len(self.words) > 1 and self.words[1] == "guard"


def new_mark() -> dict[str, str]:
    """An environment variable that nobody else has."""
    return {MARK: uuid.uuid4().hex}


def marked(mark: dict[str, str]) -> list[Living]:
    """The processes that have the mark, guards included."""
    wanted = f"{MARK}={mark[MARK]}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                words = (folder / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
                found.append(Living(int(folder.name), tuple(map(os.fsdecode, words))))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended meanwhile, or is not ours
    return found


def servers(mark: dict[str, str]) -> list[Living]:
    """The processes that have the mark, without guards."""
    return [living for living in marked(mark) if not living.guards]


def wait_until(true: Callable[[], bool], timeout: float = 10.0) -> bool:
    """Whether it became true in time. For what happens in other processes and cannot be awaited."""
    deadline = time.monotonic() + timeout
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
