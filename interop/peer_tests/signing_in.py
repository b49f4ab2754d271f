"""An endpoint that knows its callers: official clients log in at a real authorization server with nothing but its URL."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, ClassVar

from harness import HERE, NODE, PYTHON
from harness.gateway import Gateway, over_http
from harness.process import Process

from .base import PeerTest

CLIENTS: dict[str, list[str | Path]] = {
    "typescript": [NODE, HERE / "identity" / "client.mjs"],
    "python": [PYTHON, HERE / "identity" / "client.py"],
}
SECRET = "gateway-secret-of-a-test"
HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Answer:
    def __init__(self, status: int, headers: http.client.HTTPMessage, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def challenge(self) -> str:
        return self.headers.get("www-authenticate", "")

    def json(self) -> Any:
        return json.loads(self.body)


def send(url: str, body: object = None, *, method: str = "POST", **headers: str) -> Answer:
    data = None if body is None else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data, {**HEADERS, **named}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.headers, error.read())


def issued_by(process: Process) -> list[str]:
    return [line.removeprefix("issued ") for line in process.output() if line.startswith("issued ")]


def request(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}}


class SigningIn(PeerTest):
    """One gateway whose route is a protected resource, one authorization server."""

    issuer: ClassVar[Process]
    issuer_url: ClassVar[str]
    front: ClassVar[Gateway]
    url: ClassVar[str]
    tokens: ClassVar[list[str]]
    issuer_env: ClassVar[dict[str, str]] = {}

    @classmethod
    def set_up(cls) -> None:
        cls.tokens = []
        cls.start_issuer(free_port())
        port = free_port()
        cls.url = f"http://127.0.0.1:{port}/mcp"
        route = {
            "public_url": cls.url,
            "issuers": ["company"],
            "initial_scopes": ["mcp:call"],
            "scopes": {"mcp:call": {"tools": ["*"]}, "mcp:admin": {"tools": ["test_error_handling"]}},
        }
        issuer = {"url": cls.issuer_url, "allow_http": True, **cls.how_tokens_are_read()}
        cls.front = cls.gateway(
            {"one": over_http(cls.serve("typescript", "both").url)},
            issuer={"company": issuer},
            route={"main": route},
            listener={"main": {"address": f"127.0.0.1:{port}"}},
            env={"PORTOLAN_LOG": "trace"},
        )

    @classmethod
    def how_tokens_are_read(cls) -> dict[str, Any]:
        return {"algorithms": ["ES256"]}

    @classmethod
    def start_issuer(cls, port: int) -> None:
        name = f"issuer-{len(cls.stage.processes)}"
        cls.issuer = cls.stage.start(name, [NODE, HERE / "identity" / "issuer.mjs", str(port)], cls.issuer_env)
        cls.issuer_url = cls.issuer.wait_for_line(r"listening (\S+)")[1]

    def token(self, scope: str = "mcp:call", resource: str | None = None) -> str:
        """What the authorization server gives a program that has a secret there."""
        form = {"grant_type": "client_credentials", "scope": scope, "resource": resource or self.url}
        basic = base64.b64encode(f"gateway:{SECRET}".encode()).decode()
        asked = urllib.request.Request(
            f"{self.issuer_url}/token",
            urllib.parse.urlencode(form).encode(),
            {"authorization": f"Basic {basic}"},
        )
        with urllib.request.urlopen(asked, timeout=30) as answer:
            token = str(json.load(answer)["access_token"])
        self.tokens.append(token)
        return token

    def call(self, token: str | None, tool: str = "test_simple_text", **headers: str) -> Answer:
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        body = request("tools/call", name=tool, arguments={})
        return send(self.url, body, mcp_protocol_version="2026-07-28", mcp_method="tools/call", mcp_name=tool, **headers)

    def log_in(self, client: str, era: str, tool: str, env: dict[str, str] | None = None) -> dict[str, Any]:
        process = self.stage.start(f"{client}-{era}-{tool}", [*CLIENTS[client], self.url, era, tool], env)
        process.wait(90)
        seen = next((json.loads(line) for line in process.output() if line.startswith("{")), None)
        self.stage.forget(process)
        if seen is None or "error" in seen:
            self.fail(f"{client} in the {era} era: {seen}\n{process.tail()}\n{self.front.process.tail()}")
        return seen

    def test_official_clients_log_in_with_nothing_but_the_url(self) -> None:
        for client in CLIENTS:
            for era in ("modern", "legacy"):
                with self.subTest(client=client, era=era):
                    seen = self.log_in(client, era, "test_simple_text")
                    self.assertEqual(seen["redirects"], 1, seen)
                    self.assertIn("mcp:call", seen["scopes"][0])
                    self.assertEqual(seen["resource"], self.url)
                    self.assertEqual(seen["result"][0]["type"], "text")

    def test_a_client_asks_for_a_scope_when_it_needs_it(self) -> None:
        for client in CLIENTS:
            for era in ("modern", "legacy"):
                with self.subTest(client=client, era=era):
                    seen = self.log_in(client, era, "test_error_handling")
                    self.assertEqual(seen["redirects"], 2, seen)
                    # Both ask for what they had, too.
                    self.assertLess({"mcp:call", "mcp:admin"}, {*seen["scopes"][1].split()})

    def test_a_client_proves_that_a_key_is_its_own(self) -> None:
        for era in ("modern", "legacy"):
            with self.subTest(era=era):
                seen = self.log_in("typescript", era, "test_simple_text", {"DPOP": "1"})
                self.assertEqual(seen["kind"], "DPoP", seen)
                self.assertEqual(seen["result"][0]["type"], "text")

    def test_a_refusal_names_all_scopes_at_once(self) -> None:
        answer = self.call(self.token("mcp:call"), "test_error_handling")
        self.assertEqual(answer.status, 403, answer.body)
        self.assertIn('error="insufficient_scope"', answer.challenge)
        self.assertIn('scope="mcp:call mcp:admin"', answer.challenge)
        self.assertEqual(answer.json()["error"]["data"]["reason"], "insufficient_scope")

    def test_a_token_without_scopes_is_told_which_it_needs(self) -> None:
        answer = self.call(self.token(scope=""))
        self.assertEqual(answer.status, 403, answer.body)
        self.assertIn('scope="mcp:call"', answer.challenge)

    def test_words_for_people_come_last_in_a_challenge(self) -> None:
        answers = {
            "invalid_token": self.call(self.token(resource="https://other.example/mcp")),
            "insufficient_scope": self.call(self.token(), "test_error_handling"),
        }
        for error, answer in answers.items():
            self.assertEqual(answer.headers.get_all("www-authenticate"), [answer.challenge], error)
            parts = f'Bearer resource_metadata="[^"]+", error="{error}", scope="[^"]+", error_description="[^"=\\\\]+"'
            self.assertRegex(answer.challenge, f"^{parts}$")

    def test_nobody_is_let_in_without_a_token(self) -> None:
        legacy = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}}
        answers = {
            "call": self.call(None),
            "discover": send(self.url, request("server/discover"), mcp_protocol_version="2026-07-28", mcp_method="server/discover"),
            "initialize": send(self.url, legacy),
            "ping": send(self.url, {"jsonrpc": "2.0", "id": 1, "method": "ping"}),
            "notification": send(self.url, {"jsonrpc": "2.0", "method": "notifications/initialized"}),
            "stream": send(self.url, method="GET", mcp_session_id="x"),
            "end": send(self.url, method="DELETE", mcp_session_id="x"),
            "rubbish": send(self.url, "x"),
        }
        self.assertEqual({name: answer.status for name, answer in answers.items()}, dict.fromkeys(answers, 401))
        well_known = self.url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp")
        for name, answer in answers.items():
            self.assertEqual(answer.challenge, f'Bearer resource_metadata="{well_known}", scope="mcp:call"', name)
        for place in (well_known, well_known.removesuffix("/mcp")):
            metadata = send(place, method="GET")
            self.assertEqual(metadata.status, 200)
            self.assertEqual(metadata.json()["resource"], self.url)
            self.assertEqual(metadata.json()["authorization_servers"], [self.issuer_url])

    def test_a_token_for_another_resource_is_good_for_nothing(self) -> None:
        origin = self.url.removesuffix("/mcp")
        for resource in ("https://other.example/mcp", f"{self.url}/", origin, f"{self.url}?a=b"):
            answer = self.call(self.token(resource=resource))
            self.assertEqual(answer.status, 401, resource)
            self.assertIn('error="invalid_token"', answer.challenge)

    def test_a_session_is_worth_nothing_to_somebody_else(self) -> None:
        legacy = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}}
        mine, theirs = self.token(), self.token_of_somebody_else()
        opened = send(self.url, legacy, authorization=f"Bearer {mine}")
        self.assertEqual(opened.status, 200, opened.body)
        session = opened.headers["mcp-session-id"]
        ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
        of_mine = send(self.url, ping, authorization=f"Bearer {mine}", mcp_session_id=session)
        of_theirs = send(self.url, ping, authorization=f"Bearer {theirs}", mcp_session_id=session)
        self.assertEqual((of_mine.status, of_theirs.status), (200, 404), of_theirs.body)

    def token_of_somebody_else(self) -> str:
        """Another client of the authorization server, which is another subject."""
        registration = {"redirect_uris": [], "response_types": [], "grant_types": ["client_credentials"], "client_name": "b"}
        client = send(f"{self.issuer_url}/reg", registration).json()
        form = {"grant_type": "client_credentials", "scope": "mcp:call", "resource": self.url}
        basic = base64.b64encode(f"{client['client_id']}:{client['client_secret']}".encode()).decode()
        asked = urllib.request.Request(
            f"{self.issuer_url}/token", urllib.parse.urlencode(form).encode(), {"authorization": f"Basic {basic}"}
        )
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return str(json.load(answer)["access_token"])

    def test_keys_may_change_and_the_issuer_go_away(self) -> None:
        before = self.token()
        self.assertEqual(self.call(before).status, 200)
        port = int(self.issuer_url.rsplit(":", 1)[1])
        self.issuer.stop()
        self.assertEqual(self.call(before).status, 200, "what is known goes on while the issuer is away")
        # It comes back with other keys: what it signs now is found good when its keys were asked for again.
        self.start_issuer(port)
        after = self.token()
        answer = self.call(after)
        while answer.status == 503:
            time.sleep(float(answer.headers["retry-after"]))
            answer = self.call(after)
        self.assertEqual(answer.status, 200, answer.body)

    def test_nothing_of_a_token_is_in_any_log(self) -> None:
        issued = self.tokens + [token for process in self.stage.processes for token in issued_by(process)]
        self.assertGreater(len(issued), len(self.tokens), "those of the official clients are among them")
        log = self.front.process.log.read_text()
        self.assertIn("DEBUG", log, "everything is logged")
        for token in issued:
            for part in token.split("."):
                self.assertNotIn(part, log)


class SigningInOpaquely(SigningIn):
    """The same with tokens that say nothing themselves, so that the authorization server is asked about each (RFC 7662)."""

    issuer_env: ClassVar[dict[str, str]] = {"OPAQUE": "1"}

    @classmethod
    def how_tokens_are_read(cls) -> dict[str, Any]:
        asked = {"url": f"{cls.issuer_url}/token/introspection", "client_id": "gateway", "client_secret": SECRET}
        return {"introspection": asked}

    def test_tokens_say_nothing_themselves(self) -> None:
        token = self.token()
        self.assertNotIn(".", token)
        self.assertEqual(self.call(token).status, 200)
