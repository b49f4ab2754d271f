"""The client half of the official suite, one scenario at a time: the suite's server, and a command that is its client.

The suite would start all scenarios of a revision at once, which on a small machine fails clients that are only slow.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import HERE, NODE
from .process import Process

SUITE = HERE / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"

SCENARIO_TIMEOUT = 60  # seconds that the suite gives a client; a usual one takes two
RUN_TIMEOUT = SCENARIO_TIMEOUT + 30.0


class SuiteBroke(Exception):
    """The suite itself did not get to a verdict."""


@dataclass(frozen=True)
class Scenario:
    """One scenario of one revision."""

    revision: str
    name: str
    scored: bool

    @property
    def folder(self) -> str:
        return f"{self.revision}/{self.name.replace('/', '-')}"


def scenarios(revision: str) -> list[Scenario]:
    """Those that the revision requires of a client, and those that it has beside them; no extensions."""
    listing = subprocess.run(
        [NODE, SUITE, "list", "--requirements", revision], capture_output=True, text=True, check=True
    ).stdout
    required, unscored = listing.split("Run and reported, but never scored:")
    _, clients = required.split("Client scenarios")
    found = [Scenario(revision, name, True) for name in re.findall(r"^ *- (\S+)$", clients, re.M)]
    _, beside = unscored.split("added-after-release", 1)
    return found + [Scenario(revision, name, False) for name in re.findall(r"^ *- (\S+) \[client\]$", beside, re.M)]


def run(scenario: Scenario, client: Path, folder: Path, env: dict[str, str]) -> dict[str, Any]:
    """Runs one, and says what failed, what warned, and whether it passed. `folder` gets the suite's results and log."""
    folder.mkdir(parents=True, exist_ok=True)
    command: list[str | Path] = [NODE, SUITE, "client", "--command", client, "--scenario", scenario.name]
    command += ["--spec-version", scenario.revision, "--timeout", str(SCENARIO_TIMEOUT * 1000), "-o", folder]
    suite = Process(f"{client.name} {scenario.folder}", command, folder / "suite.log", env)
    try:
        suite.wait(RUN_TIMEOUT)
    finally:
        suite.stop()
    results = sorted(folder.rglob("checks.json"))
    if len(results) != 1:
        raise SuiteBroke(f"the suite left {len(results)} results for {scenario.folder}:\n{suite.tail()}")
    checks: list[dict[str, Any]] = json.loads(results[0].read_text())
    return verdict(checks, suite.output())


def verdict(checks: list[dict[str, Any]], log: list[str]) -> dict[str, Any]:
    """As the suite's tier check: at least one success, and no failure. And the client must have ended well."""
    failures = said(checks, "FAILURE")
    failures += [f"client: {line.strip()}" for line in log if re.search(r"CLIENT (TIMED OUT|EXITED WITH ERROR)", line)]
    if not failures and not any(check["status"] == "SUCCESS" for check in checks):
        failures = ["no-success: the scenario ended without a successful check"]
    return {"passed": not failures, "failures": failures, "warnings": said(checks, "WARNING")}


def said(checks: list[dict[str, Any]], status: str) -> list[str]:
    """Each check with this status, once, as `id: message`."""
    texts = [
        f"{check['id']}: {' '.join((check.get('errorMessage') or check.get('description') or '').split())[:300]}"
        for check in checks
        if check["status"] == status
    ]
    return list(dict.fromkeys(texts))
