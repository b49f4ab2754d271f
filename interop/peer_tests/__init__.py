"""What official clients and servers see of each other through Portolan.

Reading order: base (what a group of tests has), clients (each client in front of each server, compared with going there
directly), aggregate (six servers behind one gateway), counting (what a hundred clients cause), recovery (servers that
go away), idle (connections that a server closes in the last moment), refusals (what clients see that are still writing),
sse (servers and clients of the transport of 2024), signing_in (an endpoint that knows its callers), approving (calls that somebody
has to approve first).
"""

from .aggregate import Aggregate
from .approving import Approving
from .base import PeerTest
from .clients import CLIENT_GROUPS
from .counting import Lifetimes, PerClientSessions, SharedSessions
from .idle import IdleConnections
from .recovery import Recovery
from .refusals import Refusals
from .signing_in import SigningIn, SigningInOpaquely
from .sse import OldTransport

__all__ = ["GROUPS", "PeerTest"]

# The longest first, so that they run beside the others.
GROUPS: list[type[PeerTest]] = [
    IdleConnections,
    Aggregate,
    *CLIENT_GROUPS,
    Recovery,
    OldTransport,
    SharedSessions,
    PerClientSessions,
    Lifetimes,
    Refusals,
    SigningIn,
    SigningInOpaquely,
    Approving,
]
