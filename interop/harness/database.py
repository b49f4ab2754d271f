"""A PostgreSQL of our own, for replicas that share one: on a Unix socket, gone with us."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from .process import PATIENCE, NotReady, Process

USER = "postgres"


class Postgres:
    """A running server; each who asks gets an empty database."""

    def __init__(self) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
        if not found:
            raise NotReady("PostgreSQL is not here; ./test install gets it")
        self._programs = found[-1].parent
        # A short path: the name of a socket has a hundred characters at most.
        self.folder = Path(tempfile.mkdtemp(prefix="portolan-pg-"))
        if os.geteuid() == 0:
            owner = pwd.getpwnam(USER)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        data = str(self.folder / "data")
        self._run("initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
        settings = ["listen_addresses=", "fsync=off", "shared_buffers=16MB", "max_connections=200"]
        words = self._owned("postgres", "-D", data, "-k", str(self.folder))
        for setting in settings:
            words += ["-c", setting]
        self._process = Process("postgres", words, self.folder.with_suffix(".log"))
        since = time.monotonic()
        while subprocess.run(self._owned("pg_isready", "-q", "-h", str(self.folder))).returncode:
            if not self._process.running or time.monotonic() - since > PATIENCE:
                raise NotReady(f"PostgreSQL does not start:\n{self._process.tail()}")
            time.sleep(0.05)

    def database(self, name: str) -> str:
        """The URL of a new database."""
        self._run("createdb", "-h", str(self.folder), "-U", USER, name)
        return f"postgres://{USER}@{quote(str(self.folder), safe='')}/{name}"

    def stop(self) -> None:
        self._process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.with_suffix(".log").unlink(missing_ok=True)

    def _owned(self, program: str, *arguments: str) -> list[str]:
        """As who may run PostgreSQL, where root may not."""
        words = [str(self._programs / program), *arguments]
        if os.geteuid():
            return words
        owner = pwd.getpwnam(USER)
        return ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups", "--", *words]

    def _run(self, program: str, *arguments: str) -> None:
        run: Sequence[str] = self._owned(program, *arguments)
        done = subprocess.run(run, cwd=self.folder, capture_output=True, text=True)
        if done.returncode:
            raise NotReady(f"{program}: {done.stderr.strip()}")
