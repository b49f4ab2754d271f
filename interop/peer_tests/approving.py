"""Calls that have to be approved first: official clients of both eras ask at one replica; somebody else approves at another, in a
real browser."""

from __future__ import annotations

import json
import shutil
import subprocess
import unittest
from pathlib import Path
from typing import Any, ClassVar

from harness import HERE, NODE, PYTHON
from harness.database import Postgres
from harness.gateway import Gateway, over_http
from harness.process import Process

from .base import PeerTest
from .signing_in import free_port

CLIENTS: dict[str, list[str | Path]] = {
    "typescript": [NODE, HERE / "identity" / "approving.mjs"],
    "python": [PYTHON, HERE / "identity" / "approving.py"],
}
EACH = [(client, era) for client in CLIENTS for era in ("modern", "legacy")]
POLICIES = """
@id("small") @approval("sums are dear")
forbid (principal, action == Mcp::Action::"call", resource == Mcp::Tool::"one/add")
unless { context.arguments.hasTag("/a") && context.arguments.getTag("/a") has integer && context.arguments.getTag("/a").integer > 100 };

@id("large") @approval("a large sum") @approvers("user api-keys/boss")
forbid (principal, action == Mcp::Action::"call", resource == Mcp::Tool::"one/add")
when { context.arguments.hasTag("/a") && context.arguments.getTag("/a") has integer && context.arguments.getTag("/a").integer > 100 };
"""


class Approving(PeerTest):
    """Two replicas that share a database."""

    front: ClassVar[list[Gateway]]
    keys: ClassVar[dict[str, str]]

    @classmethod
    def set_up(cls) -> None:
        if subprocess.run([cls.servers.portolan, "policy", "schema"], capture_output=True).returncode:
            raise unittest.SkipTest("this portolan is built without policies")
        database = Postgres()
        cls.addClassCleanup(database.stop)
        (cls.stage.folder / "rules.cedar").write_text(POLICIES)
        master = cls.stage.folder / "master"
        master.touch(mode=0o600)
        new = subprocess.run([cls.servers.portolan, "keys", "new"], capture_output=True, text=True, check=True)
        master.write_text(new.stdout.strip())
        upstreams = {"one": over_http(cls.serve("reference").url)}
        tables: dict[str, Any] = {
            "store": database.database("approvals"),
            "policy": ["allow-all", "rules.cedar"],
            "keys": {"master": "${file:master}"},
            "replicas": {"listen": "127.0.0.1:0"},
        }
        # Whoever approves comes to the second.
        ports = [free_port(), free_port()]
        route = {"public_url": f"http://127.0.0.1:{ports[1]}/mcp", "api_keys": True}
        cls.front = [
            cls.gateway(
                upstreams,
                name=f"gateway-{number}",
                listener={"main": {"address": f"127.0.0.1:{port}"}},
                route={"main": route},
                **tables,
            )
            for number, port in enumerate(ports)
        ]
        cls.keys = {name: cls.portolan("api-keys", "create", "--principal", name) for name in ("agent", "boss", "other")}

    @classmethod
    def portolan(cls, *words: str) -> str:
        command = [cls.servers.portolan, *words, cls.front[0].config]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def asks(self, client: str, era: str, arguments: dict[str, int]) -> Process:
        words = [*CLIENTS[client], self.front[0].url, era, self.keys["agent"], "add", json.dumps(arguments)]
        return self.stage.start(f"{self._testMethodName}-{client}-{era}", words)

    def ended(self, process: Process) -> dict[str, Any]:
        process.wait(90)
        seen = [json.loads(line) for line in process.output() if line.startswith("{")]
        self.stage.forget(process)
        if not seen or "asked" not in seen[-1]:
            self.fail(f"{process.name}: {seen}\n{process.tail()}\n{self.front[0].process.tail()}")
        return dict(seen[-1])

    def approve(self, url: str, who: str, answer: str, name: str) -> dict[str, Any]:
        folder = self.stage.folder / name
        folder.mkdir()
        words = [NODE, HERE / "identity" / "approver.mjs", url, self.keys[who], answer, folder]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return dict(json.loads(done.stdout))

    def state(self, name: str) -> list[str]:
        listed = json.loads(self.portolan("approvals", "list", "--all", "--json"))
        return [one["state"] for one in listed if json.loads(one["arguments"])["b"] == int(name)]

    def test_a_caller_approves_in_a_form(self) -> None:
        for number, (client, era) in enumerate(EACH):
            with self.subTest(client=client, era=era):
                seen = self.ended(self.asks(client, era, {"a": 1, "b": number}))
                self.assertEqual(seen["asked"], ["form"], seen)
                self.assertIn("sums are dear", seen["message"])
                self.assertIn(str(1 + number), seen["result"][0]["text"], seen)
                self.assertEqual(self.state(str(number)), ["used"])

    def test_somebody_else_approves_at_another_replica_in_a_browser(self) -> None:
        if not shutil.which("chromium"):
            self.skipTest("Chromium is not here")
        for number, (client, era) in enumerate(EACH, 200):
            with self.subTest(client=client, era=era):
                process = self.asks(client, era, {"a": 1000, "b": number})
                url = json.loads(process.wait_for_line(r'(\{"visit".*)')[1])["visit"]
                self.assertTrue(url.startswith(self.front[1].url.removesuffix("/mcp")), url)
                seen = self.approve(url, "boss", "approve", f"{client}-{era}")
                self.assertNotIn("error", seen)
                who, asked, answered = seen["pages"]
                self.assertNotIn("large", who)
                for part in ("a large sum", "add", '"a": 1000', "agent", "boss"):
                    self.assertIn(part, asked)
                self.assertIn("It is approved", answered)
                self.assertEqual((seen["complaints"], seen["scripts"]), ([], 0))
                seen = self.ended(process)
                self.assertIn("url", seen["asked"])
                self.assertIn(str(1000 + number), seen.get("result", [{"text": str(seen)}])[0]["text"])
                self.assertEqual(self.state(str(number)), ["used"])

    def test_what_is_denied_is_not_done(self) -> None:
        if not shutil.which("chromium"):
            self.skipTest("Chromium is not here")
        for number, (client, era) in enumerate(EACH, 300):
            with self.subTest(client=client, era=era):
                process = self.asks(client, era, {"a": 1000, "b": number})
                url = json.loads(process.wait_for_line(r'(\{"visit".*)')[1])["visit"]
                seen = self.approve(url, "boss", "deny", f"{client}-{era}-denied")
                self.assertIn("It is denied", seen["pages"][-1])
                seen = self.ended(process)
                self.assertIn("not approved", seen["error"])
                self.assertEqual(self.state(str(number)), ["denied"])
