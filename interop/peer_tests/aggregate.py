"""Six servers behind one gateway: three over HTTP that speak both eras, a legacy one, and two official ones as child
processes."""

from __future__ import annotations

import os
import re
import time
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from harness import census
from harness.gateway import Gateway, over_http, over_stdio
from harness.raw import RawClient, RpcError
from harness.servers import Command, HttpServer

from .base import PeerTest
from .clients import COMES_AND_GOES, SCRIPT

PUBLIC_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
FIXTURES = {"reference": "both", "python": "both", "rmcp": "both", "typescript": "legacy"}
ERAS = ("modern", "legacy")
DEGRADED = "dev.portolan/degraded"


class Aggregate(PeerTest):
    """One gateway in front of `FIXTURES` over HTTP, and server-everything and server-filesystem over stdio."""

    fixtures: ClassVar[dict[str, HttpServer]]
    commands: ClassVar[dict[str, Command]]
    mark: ClassVar[dict[str, str]]
    front: ClassVar[Gateway]

    @classmethod
    def set_up(cls) -> None:
        files = cls.stage.folder / "files"
        files.mkdir()
        (files / "greeting.txt").write_text("Grüße aus dem Hafen\n")
        cls.mark = census.new_mark()
        cls.commands = {"everything": cls.servers.stdio("everything"), "files": cls.servers.filesystem(files)}
        cls.fixtures = {kind: cls.serve(kind, era) for kind, era in FIXTURES.items()}
        upstreams = {kind: over_http(server.url) for kind, server in cls.fixtures.items()}
        upstreams |= {name: over_stdio(command, env=cls.mark) for name, command in cls.commands.items()}
        # The servers' own spelling, so that names can be compared.
        naming = {"max_length": 64, "alphabet": "any"}
        # A program may take its time to start on a busy machine, and here lists wait for all.
        patient = {"timeouts": {"grace": "30s", "starting": "30s", "list": "30s"}}
        upstreams = {name: {**upstream, **patient} for name, upstream in upstreams.items()}
        cls.front = cls.gateway(upstreams, route={"main": {"path": "/mcp", "naming": naming}})

    @contextmanager
    def both_eras(self) -> Iterator[list[RawClient]]:
        with RawClient(self.front.url, "modern") as modern, RawClient(self.front.url, "legacy") as legacy:
            yield [modern, legacy]

    # --- What is listed ---

    def directly(self, client: str) -> dict[str, dict[str, list[str]]]:
        """What each server lists by itself to a client. Servers list more to clients that can be asked more."""
        ways: dict[str, list[Any]] = {kind: ["--url", server.url] for kind, server in self.fixtures.items()}
        ways |= {name: ["--command", *command.words] for name, command in self.commands.items()}
        return {name: self.go(client, way, ["survey"])["survey"] for name, way in ways.items()}

    def test_every_entry_of_every_server_is_listed_under_its_prefix(self) -> None:
        directly = {"typescript": self.directly("typescript_legacy"), "python": self.directly("python_legacy")}
        for client in ("typescript_modern", "typescript_legacy", "python_modern", "python_legacy"):
            listed = self.go(client, ["--url", self.front.url], ["survey"])["survey"]
            for member in ("tools", "prompts", "resources", "uriTemplates"):
                wanted = [
                    public(member, server, name)
                    for server in [*FIXTURES, *self.commands]
                    for name in directly[client.split("_")[0]][server][member] or []
                ]
                with self.subTest(client=client, member=member):
                    self.assertEqual(steady(wanted), steady(listed[member]))
            for name in [*listed["tools"], *listed["prompts"]]:
                self.assertRegex(name, PUBLIC_NAME)
                self.assertLessEqual(len(name), 64)
            for member in ("tools", "prompts", "resources"):
                self.assertEqual(len(listed[member]), len(set(listed[member])), f"{client} sees {member} twice")

    # --- What works ---

    def through_fixtures(self, client: str) -> None:
        """The whole script against each fixture, by its prefixes: progress, cancellation and changes among it."""
        for kind in FIXTURES:
            operations = [op for op in SCRIPT if not (op == "header" and FIXTURES[kind] == "legacy")]
            prefixes = ["--tool-prefix", f"{kind}__", "--uri-prefix", f"{kind}__"]
            with self.subTest(server=kind):
                observed = self.go(client, ["--url", self.front.url], operations, prefixes)
                self.assertEqual(True, observed["cancel"]["cancelled"])
                self.assertEqual(
                    "cancelled", observed["cancel"]["outcome"], "the cancellation did not reach the server"
                )
                self.assertEqual(f"test://{kind}__static-text", observed["read_text"]["uri"])

    def test_typescript_modern_goes_through_every_fixture(self) -> None:
        self.through_fixtures("typescript_modern")

    def test_typescript_v1_goes_through_every_fixture(self) -> None:
        self.through_fixtures("typescript_v1")

    def test_python_modern_goes_through_every_fixture(self) -> None:
        self.through_fixtures("python_modern")

    def test_python_legacy_goes_through_every_fixture(self) -> None:
        self.through_fixtures("python_legacy")

    def test_clients_call_the_official_servers(self) -> None:
        file = self.stage.folder / "files" / "greeting.txt"
        calls = {
            "everything__echo": ('{"message": "ahoi ⚓"}', "ahoi ⚓"),
            "everything__get-sum": ('{"a": 2, "b": 40}', "42"),
            "files__read_text_file": (f'{{"path": "{file}"}}', "Grüße aus dem Hafen"),
        }
        for client in ("typescript_modern", "typescript_legacy", "python_modern", "python_legacy"):
            for tool, (arguments, wanted) in calls.items():
                more = ["--call", tool, "--arguments", arguments]
                called = self.go(client, ["--url", self.front.url], ["call"], more)["call"]
                with self.subTest(client=client, tool=tool):
                    self.assertFalse(called["isError"], called)
                    self.assertIn(wanted, called["content"][0]["text"])

    def test_everything_has_its_resources_prompts_and_completion(self) -> None:
        with self.both_eras() as clients:
            for client in clients:
                with self.subTest(era=client.era):
                    resource = next(
                        r for r in client.listed("resources/list", "resources") if "everything__" in r["uri"]
                    )
                    contents = client.request("resources/read", {"uri": resource["uri"]})["contents"]
                    self.assertEqual(resource["uri"], contents[0]["uri"])
                    self.assertTrue(contents[0].get("text") or contents[0].get("blob"), contents)
                    prompt = client.request("prompts/get", {"name": "everything__simple-prompt"})
                    self.assertTrue(prompt["messages"])
                    ref = {"type": "ref/prompt", "name": "everything__completable-prompt"}
                    argument = {"name": "department", "value": "E"}
                    values = client.request("completion/complete", {"ref": ref, "argument": argument})["completion"][
                        "values"
                    ]
                    self.assertEqual(["Engineering"], values)

    def test_the_filesystem_server_stays_in_its_folder(self) -> None:
        with self.both_eras() as clients:
            for client in clients:
                refused = client.call("files__read_text_file", path="/etc/hostname")
                self.assertTrue(refused.get("isError"), refused)

    def test_only_what_concerns_the_server_reaches_it(self) -> None:
        trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        private = {"Authorization": "Bearer client-token", "Cookie": "a=b", "X-Private": "x", "traceparent": trace}
        for era in ERAS:
            with RawClient(self.front.url, era, headers=private) as client:
                for kind in FIXTURES:
                    with self.subTest(era=era, server=kind):
                        seen = client.text(f"{kind}__test_seen_request")
                        for secret in ("client-token", "a=b", "x-private"):
                            self.assertNotIn(secret, seen.lower())
                        self.assertIn(trace[3:35], seen, "the trace context is lost")

    # --- What happens when one is gone ---

    def wait_for_tools(self, client: RawClient, names: list[str]) -> None:
        """Lists as seldom as a client does, until these are there or it has taken too long."""

        def are_there() -> bool:
            if steady(client.tools()) == names:
                return True
            time.sleep(1)
            return False

        census.wait_until(are_there, timeout=30)

    def test_a_server_that_dies_leaves_the_others_and_comes_back(self) -> None:
        for kind in ("typescript", "python"):
            with self.both_eras() as clients, self.subTest(server=kind):
                before = {client.era: steady(client.tools()) for client in clients}
                server = self.fixtures[kind]
                server.process.stop()
                for client in clients:
                    others = [name for name in before[client.era] if not name.startswith(f"{kind}__")]
                    # A list that came late is kept for a while, but not when its server has been away for longer than a moment.
                    self.wait_for_tools(client, others)
                    result = client.request("tools/list")
                    names = steady([tool["name"] for tool in result["tools"]])
                    self.assertEqual(others, names, f"{client.era}: the list without {kind}")
                    degraded = result.get("_meta", {}).get(DEGRADED, [])
                    self.assertEqual([kind], [entry["server"] for entry in degraded], result.get("_meta"))
                    self.assertTrue(degraded[0]["reason"])
                    self.assertRaises(RpcError, client.call, f"{kind}__test_simple_text")
                    self.assertTrue(client.text("reference__test_simple_text"))
                self.fixtures[kind] = self.serve(kind, FIXTURES[kind], port=server.port, name=f"{kind}-again")
                for client in clients:
                    # It is not asked at once by whoever was refused more than once.
                    self.wait_for_tools(client, before[client.era])
                    self.assertTrue(client.text(f"{kind}__test_simple_text"))
                    result = client.request("tools/list")
                    self.assertNotIn(DEGRADED, result.get("_meta", {}))
                    self.assertEqual(before[client.era], steady([tool["name"] for tool in result["tools"]]))

    def test_a_process_that_dies_is_started_again(self) -> None:
        with self.both_eras() as clients:
            for client in clients:
                for server, tool, arguments in (
                    ("everything", "everything__echo", {"message": "hi"}),
                    ("files", "files__list_allowed_directories", {}),
                ):
                    with self.subTest(era=client.era, server=server):
                        self.assertTrue(client.text(tool, **arguments))
                        # One for each set of capabilities that clients have declared.
                        killed = self.processes(server)
                        for process in killed:
                            os.kill(process.pid, signal.SIGKILL)
                        gone = census.wait_until(lambda: not set(killed) & set(census.servers(self.mark)))
                        self.assertTrue(gone)
                        # It may be told once that the server is gone, and never gets an empty success.
                        back = census.wait_until(lambda: answers(client, tool, arguments))
                        self.assertTrue(back, f"{tool} does not come back")
                        self.assertEqual(1, len(self.processes(server)))

    def processes(self, server: str) -> list[census.Living]:
        program = self.commands[server].words[1]
        return [living for living in census.servers(self.mark) if program in living.words]


def answers(client: RawClient, tool: str, arguments: dict[str, Any]) -> bool:
    try:
        return client.text(tool, **arguments) != ""
    except RpcError:
        return False


def public(member: str, server: str, name: str) -> str:
    if member in ("tools", "prompts"):
        return f"{server}__{name}"
    scheme, rest = name.split("://", 1)
    return name if scheme in ("http", "https") else f"{scheme}://{server}__{rest}"


def steady(names: list[str] | None) -> list[str]:
    """Without the tools that come and go as clients trigger it."""
    return [name for name in names or [] if name.split("__", 1)[-1] not in COMES_AND_GOES]
