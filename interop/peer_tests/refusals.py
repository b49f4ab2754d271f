"""Requests that are refused while their client is still writing: whatever client that is, it reads the refusal and not a
reset of the connection."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import unittest
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from harness import HERE, NODE, PYTHON
from harness.gateway import Gateway, over_http

from .base import PeerTest

SIZE = 20 * 1024 * 1024
AGAIN = 2

HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
# What is refused before a byte of it was read, or in the middle.
CASES: dict[int, tuple[str, Mapping[str, str]]] = {
    413: ("/mcp", {}),
    406: ("/mcp", {"accept": "text/plain"}),
    415: ("/mcp", {"content-type": "text/plain"}),
    403: ("/mcp", {"origin": "https://elsewhere.example"}),
    404: ("/elsewhere", {}),
}
IN_NODE = ["fetch", "fetch-stream", "undici", "undici-http2", "http", "http2"]
REQUESTS = "import json, sys, requests; print(requests.post(sys.argv[1], data=bytes(int(sys.argv[2])), headers=json.loads(sys.argv[3])).status_code)"
CURL: dict[str, list[str]] = {
    "curl": [],
    "curl that does not ask first": ["-H", "Expect:"],
    "curl in chunks": ["-H", "Transfer-Encoding: chunked"],
    "curl over HTTP/2": ["--http2-prior-knowledge"],
}


class Refusals(PeerTest):
    """One gateway, and clients that send it 20 MB."""

    front: ClassVar[Gateway]
    body: ClassVar[Path]

    @classmethod
    def set_up(cls) -> None:
        cls.front = cls.gateway({"one": over_http(cls.serve("typescript", "modern").url)})
        cls.body = cls.stage.folder / "body"
        cls.body.write_bytes(bytes(SIZE))

    def test_http_client_reads_it(self) -> None:
        self.all_read(lambda url, headers: http_client(url, headers, bytes(SIZE)))

    def test_http_client_in_chunks_reads_it(self) -> None:
        self.all_read(lambda url, headers: http_client(url, headers, (bytes(65536) for _ in range(SIZE // 65536))))

    def test_requests_reads_it(self) -> None:
        self.all_read(lambda url, headers: output(PYTHON, "-c", REQUESTS, url, str(SIZE), json.dumps(headers)))

    def test_clients_in_node_read_it(self) -> None:
        script = HERE / "clients" / "refused.mjs"
        for client in IN_NODE:
            with self.subTest(client):
                self.all_read(
                    lambda url, headers, client=client: output(NODE, script, client, url, str(SIZE), json.dumps(headers))
                )

    @unittest.skipUnless(shutil.which("curl"), "curl is not here")
    def test_curl_reads_it(self) -> None:
        common = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", f"@{self.body}"]
        for client, more in CURL.items():
            with self.subTest(client):
                self.all_read(
                    lambda url, headers, more=more: output(
                        *common, *more, *(word for pair in headers.items() for word in ("-H", ": ".join(pair))), url
                    )
                )

    def all_read(self, send: Callable[[str, dict[str, str]], str]) -> None:
        origin = self.front.url.removesuffix("/mcp")
        todo = [
            (status, origin + path, {**HEADERS, **more}) for status, (path, more) in CASES.items() for _ in range(AGAIN)
        ]
        with ThreadPoolExecutor(2) as pool:
            read = list(pool.map(lambda each: send(each[1], each[2]), todo))
        self.assertEqual(read, [str(status) for status, _, _ in todo])


def http_client(url: str, headers: Mapping[str, str], body: bytes | Iterator[bytes]) -> str:
    to = urlsplit(url)
    connection = http.client.HTTPConnection(to.netloc, timeout=60)
    try:
        connection.request("POST", to.path, body, dict(headers), encode_chunked=not isinstance(body, bytes))
        answer = connection.getresponse()
        answer.read()
        return str(answer.status)
    except OSError as error:
        return repr(error)
    finally:
        connection.close()


def output(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return (done.stdout + done.stderr).strip()
