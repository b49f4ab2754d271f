"""A world in which nothing but loopback can be reached: a network namespace of one's own."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
from collections.abc import Sequence

_MARK = "PORTOLAN_LOOPBACK_ONLY"


def alone() -> bool:
    """Whether this process is in such a world. Its loopback is up when this has been asked."""
    if os.environ.get(_MARK) != "1":
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        # ifreq: the interface's name, then its flags; SIOCSIFFLAGS with IFF_UP and IFF_RUNNING.
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 0x1 | 0x40))
    return True


def only(command: Sequence[str]) -> None:
    """Goes on as this command in such a world. Returns where none can be made."""
    for how in (["unshare", "--net"], ["unshare", "--net", "--map-root-user"]):
        try:
            possible = subprocess.run([*how, "true"], stderr=subprocess.DEVNULL).returncode == 0
        except FileNotFoundError:
            return
        if possible:
            os.execvpe("unshare", [*how, *command], {**os.environ, _MARK: "1"})
