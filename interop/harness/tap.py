"""A connection that is overheard: passes bytes on as they are, and keeps what the client sent, to count it."""

from __future__ import annotations

import re
import socket
import threading
from urllib.parse import urlsplit


class Tap:
    """Stands in front of an HTTP server on 127.0.0.1. `url` leads through it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname and parts.port
        self._server = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}{parts.path}"
        self._lock = threading.Lock()
        self._sent: list[bytearray] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            try:
                server = socket.create_connection(self._server)
            except OSError:
                client.close()  # the server is away, and its client may see that
                continue
            sent = bytearray()
            with self._lock:
                self._sent.append(sent)
            threading.Thread(target=self._pump, args=(client, server, sent), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, None), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, copy: bytearray | None) -> None:
        try:
            while data := source.recv(65536):
                if copy is not None:
                    with self._lock:
                        copy += data
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                # One end is gone, so the whole is: HTTP has no half-closed connections.
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def sent(self) -> list[bytes]:
        """What clients sent, by connection, in the order in which these came."""
        with self._lock:
            return [bytes(sent) for sent in self._sent]

    def _count(self, pattern: bytes) -> int:
        wanted = re.compile(pattern)
        with self._lock:
            return sum(len(wanted.findall(sent)) for sent in self._sent)

    @property
    def connections(self) -> int:
        with self._lock:
            return len(self._sent)

    @property
    def opened(self) -> int:
        """How many legacy sessions were asked for."""
        return self._count(rb'"method"\s*:\s*"initialize"')

    @property
    def ended(self) -> int:
        """How many were said to be over."""
        return self._count(rb"DELETE /\S* HTTP/1\.1\r\n")

    @property
    def streams(self) -> int:
        """How many times the legacy stream of notifications was asked for."""
        return self._count(rb"GET /\S* HTTP/1\.1\r\n")

    def close(self) -> None:
        self._listener.close()
