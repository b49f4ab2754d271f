"""Two replicas of Portolan with servers of all manners behind them, and clients that make it count all there is to count."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from harness.gateway import Gateway
from harness.process import Stage
from harness.raw import RawClient
from servers import Bad, start_bad

HERE = Path(__file__).resolve().parent
PATIENCE = 10.0  # seconds, of a client

POLICIES = """\
@id("never")
forbid (principal, action == Mcp::Action::"call", resource == Mcp::Tool::"good/test_image_content");

@id("ask")
@approval("somebody is asked")
forbid (principal, action == Mcp::Action::"call", resource == Mcp::Tool::"good/test_audio_content");
"""


class Scene:
    """What stands there."""

    def __init__(self, stage: Stage, portolan: Path) -> None:
        bad = start_bad()
        stage.on_close(bad.shutdown)
        at = f"http://127.0.0.1:{bad.server_address[1]}"
        good = stage.start("good", [portolan, "reference-server"]).wait_for_line(r"(http://\S+)")[1]
        upstreams = {
            "good": {"url": good},
            "plain": {"url": good},
            "down": {"url": "http://127.0.0.1:1/mcp"},
            "failing": {"url": f"{at}/failing", "breaker": {"failures": 3}},
            "stubborn": {"url": f"{at}/failing", "breaker": {"failures": 0}, "retry_tools": ["*"], "retries": 5},
            "forgetful": {"url": f"{at}/forgetful"},
            "slow": {"url": f"{at}/slow", "concurrent_calls": 1, "queued_calls": 0},
            "odd": {"command": [sys.executable, str(HERE / "servers.py")], "pins": "quarantine"},
        }
        (stage.folder / "rules.cedar").write_text(POLICIES)
        master = stage.folder / "master"
        master.touch(mode=0o600)
        master.write_text(subprocess.run([portolan, "keys", "new"], capture_output=True, text=True, check=True).stdout.strip())
        tables = {
            "store": f"sqlite:{stage.folder}/portolan.db",
            "policy": ["allow-all", "rules.cedar"],
            "denials": "explain",
            "keys": {"master": "${file:master}"},
            "replicas": {"listen": "127.0.0.1:0"},
            "admin": {"address": "127.0.0.1:0"},
            "audit": {
                "path": f"{stage.folder}/audit",
                "sink": {
                    "copy": {"type": "file", "path": f"{stage.folder}/copy.jsonl"},
                    "away": {"type": "http", "url": "http://127.0.0.1:1/in"},
                },
            },
            "limit": {"few": {"servers": ["plain"], "rate": "1/min"}},
            "route": {"main": {"path": "/mcp"}, "keys": {"path": "/keys", "public_url": "http://127.0.0.1/keys", "api_keys": True}},
        }
        env = {"XDG_STATE_HOME": os.fspath(stage.folder)}
        self.gateways = [Gateway(stage, portolan, upstreams, name=f"replica-{name}", env=env, **tables) for name in "ab"]
        self.admins = [gateway.process.wait_for_line(r"admin\s+http://([^/\s]+)/metrics")[1] for gateway in self.gateways]
        self._rounds = 0

    def play(self) -> None:
        """A round of all that clients do."""
        here, there = (gateway.url for gateway in self.gateways)
        first, self._rounds = self._rounds == 0, self._rounds + 1
        for era in ("modern", "legacy"):
            with RawClient(here, era, timeout=PATIENCE) as client:
                attempt(client.tools)
                for tool in ("good__test_simple_text", "good__test_image_content", "good__test_audio_content", "plain__test_simple_text",
                             "plain__test_simple_text", "down__work", "failing__work", "odd__err", "nope"):  # fmt: skip
                    attempt(client.call, tool)
                attempt(client.request, "tools/call", {"name": "odd__steps", "arguments": {}, "_meta": {"progressToken": "mine"}})
                # Retries are withheld, breakers open and sessions are withheld only when enough has gone wrong.
                for _ in range(4 if first else 1):
                    for tool in ("failing__work", "stubborn__work", "forgetful__work"):
                        attempt(client.call, tool)
                if era == "legacy":
                    elsewhere = RawClient(there, era, timeout=PATIENCE)
                    elsewhere._session = client._session
                    attempt(elsewhere.tools)
                    attempt(elsewhere.call, "good__test_simple_text")
                    elsewhere._http.close()
        with RawClient(here.replace("/mcp", "/keys"), "modern", timeout=PATIENCE) as stranger:
            attempt(stranger.tools)
        with RawClient(here, "modern", timeout=PATIENCE) as client:
            attempt(client.call, "odd__die")
        self._leave()

    def _leave(self) -> None:
        """A client goes away in mid-call; meanwhile another one finds no place at that server."""
        Bad.entered.clear()
        Bad.leave.clear()
        with RawClient(self.gateways[0].url, "modern") as leaving, RawClient(self.gateways[0].url, "modern") as other:
            call = threading.Thread(target=attempt, args=(leaving.call, "slow__work"))
            call.start()
            if Bad.entered.wait(10):
                attempt(other.call, "slow__work")
                if leaving._http.sock:
                    with suppress(OSError):
                        leaving._http.sock.shutdown(socket.SHUT_RDWR)
            call.join(20)
            Bad.leave.set()


def attempt(request: object, *words: object) -> str:
    """What became of it, whatever it was: others count it."""
    try:
        request(*words)  # type: ignore[operator]
    except Exception as refused:  # noqa: BLE001  an error of MCP, a connection that is gone, what http.client has
        return repr(refused)
    return ""
