"""Processes with logs, each in a process group of its own, and the stage on which they stand."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NoReturn

TAIL = 25  # lines of a log that are shown when something went wrong
PATIENCE = 30.0  # seconds for a server to say that it listens; a busy machine starts Python in five

_running: set[Process] = set()
_lock = threading.Lock()
_closing = False


class NotReady(Exception):
    """A server did not say in time that it listens."""


class Process:
    """A running program. What it prints goes to a log file, and the line that says it is ready is waited for."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | os.PathLike[str]],
        log: Path,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._changed = threading.Condition()
        self._lines: list[str] = []
        self._ended = False
        with _lock:
            if _closing:
                raise NotReady(f"{name}: the run is being stopped")
            self.child = subprocess.Popen(
                [os.fspath(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                # Each its own pipe: what a child of it complains of must not end up in the middle of a line. The lines of
                # one keep their order; which of both came first is anybody's guess.
                stderr=subprocess.PIPE,
                env={**os.environ, **(env or {})},
                # A group and a session of its own: an interrupt at the terminal reaches us alone, and we end the rest.
                start_new_session=True,
            )
            _running.add(self)
        self.pid = self.child.pid
        streams = [stream for stream in (self.child.stdout, self.child.stderr) if stream is not None]
        self._open = len(streams)
        self._readers = [
            threading.Thread(target=self._read, args=(stream,), name=f"log of {name}", daemon=True)
            for stream in streams
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: IO[bytes]) -> None:
        with open(self.log, "ab") as log:
            for line in stream:
                log.write(line)
                log.flush()
                with self._changed:
                    self._lines.append(line.decode(errors="replace").rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._open -= 1
            self._ended = self._open == 0
            self._changed.notify_all()

    def _read_out(self) -> None:
        for reader in self._readers:
            reader.join(5)

    def wait_for_line(self, pattern: str, timeout: float = PATIENCE) -> re.Match[str]:
        """The match in the first line that has one."""
        wanted, seen = re.compile(pattern), 0
        found: list[re.Match[str]] = []

        def arrived() -> bool:
            nonlocal seen
            found.extend(match for line in self._lines[seen:] if (match := wanted.search(line)))
            seen = len(self._lines)
            return bool(found) or self._ended

        with self._changed:
            self._changed.wait_for(arrived, timeout)
        if found:
            return found[0]
        why = "ended" if self._ended else f"did not say {pattern!r} within {timeout:g} s"
        raise NotReady(f"{self.name} {why}; its last words:\n{self.tail()}")

    def wait(self, timeout: float) -> int:
        """Its exit status, once all that it printed is there too. One that takes too long is killed."""
        try:
            status = self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            self.child.wait()
            raise TimeoutError(
                f"{self.name} was not done within {timeout:g} s; its last words:\n{self.tail()}"
            ) from None
        self._read_out()
        return status

    @property
    def running(self) -> bool:
        return self.child.poll() is None

    def output(self) -> list[str]:
        with self._changed:
            return self._lines[:]

    def tail(self, lines: int = TAIL) -> str:
        return "\n".join(f"    {line[:400]}" for line in self.output()[-lines:]) or "    (nothing)"

    def signal(self, number: int) -> None:
        """Signals the group, of which others may still be there when the program itself is gone."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def stop(self, grace: float = 5.0) -> int:
        """Asks it to end, insists after `grace`, and gives its exit status."""
        if self.running:
            self.signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.child.wait(grace)
        self.kill()
        status = self.child.wait()
        self._read_out()
        with _lock:
            _running.discard(self)
        return status


def _end_all() -> None:
    global _closing
    with _lock:
        _closing = True
        left = list(_running)
    # Asked first: a gateway that is killed leaves its children to their guards, which take a moment.
    for process in left:
        process.signal(signal.SIGTERM)
    for process in left:
        process.stop(grace=2.0)


def end_with_us() -> None:
    """Whatever ends this program, what it started ends with it."""
    atexit.register(_end_all)

    def interrupted(number: int, _frame: Any) -> NoReturn:
        _end_all()
        # Other threads are in the middle of something that now cannot be finished; nobody waits for them.
        sys.stdout.flush()
        sys.stderr.write(f"\n{signal.Signals(number).name}: all that was started is stopped\n")
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)


class Stage:
    """What stands together for one cell or group: processes, their logs, files. Gone when it closes."""

    def __init__(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.folder = folder
        self.processes: list[Process] = []
        self._closers: list[Callable[[], object]] = []
        self._lock = threading.Lock()

    def start(
        self, name: str, command: Sequence[str | os.PathLike[str]], env: Mapping[str, str] | None = None
    ) -> Process:
        process = Process(name, command, self.folder / f"{name}.log", env)
        with self._lock:
            self.processes.append(process)
        return process

    def forget(self, process: Process) -> None:
        """It has ended, and its log explains nothing to others."""
        with self._lock:
            self.processes.remove(process)

    def on_close(self, close: Callable[[], object]) -> None:
        self._closers.append(close)

    def tails(self) -> str:
        return "\n".join(
            f"  {process.name}, the end of {process.log.name}:\n{process.tail()}" for process in self.processes
        )

    def close(self) -> None:
        for process in reversed(self.processes):
            process.stop()
        for close in reversed(self._closers):
            close()

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
