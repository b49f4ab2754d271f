"""A group of tests, and the official clients as programs."""

from __future__ import annotations

import json
import unittest
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from harness import HERE, NODE, OUT, PYTHON
from harness.gateway import Gateway, Upstream
from harness.process import Stage
from harness.servers import HttpServer, Servers

Observed = dict[str, dict[str, Any]]

CLIENTS: dict[str, list[str | Path]] = {
    "typescript_modern": [NODE, HERE / "clients" / "typescript.mjs", "--era", "modern"],
    "typescript_legacy": [NODE, HERE / "clients" / "typescript.mjs", "--era", "legacy"],
    "typescript_v1": [NODE, HERE / "clients" / "typescript.mjs", "--era", "legacy", "--sdk", "1"],
    "python_modern": [PYTHON, HERE / "python" / "client.py", "--era", "modern"],
    "python_legacy": [PYTHON, HERE / "python" / "client.py", "--era", "legacy"],
}


def is_modern(client: str) -> bool:
    return client.endswith("modern")


class PeerTest(unittest.TestCase):
    """Tests that share what `set_up` starts. The tests of a group run one after the other, as they stand."""

    servers: ClassVar[Servers]
    stage: ClassVar[Stage]
    maxDiff = 4000

    @classmethod
    def setUpClass(cls) -> None:
        cls.stage = Stage(OUT / "peers" / cls.__name__)
        cls.addClassCleanup(cls.stage.close)
        cls.set_up()

    @classmethod
    def set_up(cls) -> None:
        """Starts what the tests need."""

    @classmethod
    def serve(cls, kind: str, era: str = "both", *, port: int = 0, name: str | None = None) -> HttpServer:
        return cls.servers.start(cls.stage, kind, era, port=port, name=name)

    @classmethod
    def gateway(cls, upstreams: dict[str, Upstream], *, name: str = "gateway", **tables: Any) -> Gateway:
        return Gateway(cls.stage, cls.servers.portolan, upstreams, name=name, **tables)

    def go(
        self, client: str, where: Sequence[Any], operations: Sequence[str] = (), more: Sequence[str] = (), **env: str
    ) -> Observed:
        """Runs a client: `where` is `--url URL` or `--command ...`. What it observed, by operation; all must work."""
        only = ["--only", ",".join(operations)] if operations else []
        process = self.stage.start(f"{self._testMethodName}", [*CLIENTS[client], *only, *more, *where], env)
        try:
            status = process.wait(120)
        finally:
            process.stop()
            self.stage.forget(process)
        observed: Observed = {}
        for line in process.output():
            if line.startswith('{"op"'):
                report = json.loads(line)
                observed[report.pop("op")] = report
        failed = [
            f"{op}: {json.dumps(report, ensure_ascii=False)}" for op, report in observed.items() if not report["ok"]
        ]
        missing = [op for op in operations if op not in observed]
        if status or failed or missing:
            complaint = "\n  ".join(failed) or process.tail()
            self.fail(f"{client} ended with {status}; not done: {missing}; what failed:\n  {complaint}")
        return observed
