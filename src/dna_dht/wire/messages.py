"""The messages of the protocol as frozen values. Source: spec 01, sections 4 to 6.

Missing ids read as ZERO (the receiving side drops messages without sender), missing tokens as empty, missing
numbers as 0. A message whose values travel as parts has *sizes* until the parts are together
(:func:`with_values`).
"""

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from dna_dht.wire.infohash import ZERO, InfoHash
from dna_dht.wire.query import FieldAnswer, Query
from dna_dht.wire.value import Value

Sizes = tuple[tuple[int, int], ...]
"""(index in the list of values, packed size in bytes announced) of each value that travels as parts."""

WANT_IPV4, WANT_IPV6 = 1, 2  # bits of `want`


class Envelope(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What every datagram has.

    Attributes:
        tid: transaction id, 0 to 2**32 - 1.
        network: network id, 0 to 2**32 - 1; 0 is the default network.
        client: the sender does not want to be in routing tables.
    """

    tid: int
    network: int = 0
    client: bool = False


class Ping(Envelope, frozen=True, gc=False, kw_only=True):
    """Are you there?"""

    sender: InfoHash


class Find(Envelope, frozen=True, gc=False, kw_only=True):
    """Which nodes are closest to *target*? *want*: WANT_ bits, None = the family of the packet."""

    sender: InfoHash
    target: InfoHash = ZERO
    want: int | None = None


class Get(Envelope, frozen=True, gc=False, kw_only=True):
    """Which values do you have under *key*, and who is closer to it?"""

    sender: InfoHash
    key: InfoHash = ZERO
    query: Query | None = None
    want: int | None = None


class Put(Envelope, frozen=True, gc=False, kw_only=True):
    """Store *values* under *key*. *created*: Unix seconds, any 64-bit integer, None = now."""

    sender: InfoHash
    key: InfoHash = ZERO
    token: bytes = b""
    values: tuple[Value, ...] = ()
    sizes: Sizes = ()
    created: int | None = None


class Refresh(Envelope, frozen=True, gc=False, kw_only=True):
    """Restart the life of a stored value."""

    sender: InfoHash
    key: InfoHash = ZERO
    value_id: int = 0
    token: bytes = b""


class Listen(Envelope, frozen=True, gc=False, kw_only=True):
    """Tell me of changes under *key*, as updates with my *socket_id*."""

    sender: InfoHash
    key: InfoHash = ZERO
    token: bytes = b""
    socket_id: int = 0
    query: Query | None = None
    version: int = 0


class Update(Envelope, frozen=True, gc=False, kw_only=True):
    """New values, or ids whose life was extended (*refreshed*) or that are gone (*expired*)."""

    sender: InfoHash
    socket_id: int = 0
    token: bytes = b""
    key: InfoHash = ZERO
    version: int = 0
    values: tuple[Value, ...] = ()
    sizes: Sizes = ()
    refreshed: tuple[int, ...] = ()
    expired: tuple[int, ...] = ()
    created: int | None = None


class Reply(Envelope, frozen=True, gc=False, kw_only=True):
    """The answer to any request; what is in it tells which.

    Attributes:
        seen_ip: our own address as the replier sees it, 4 or 16 bytes; empty if not given.
        nodes4, nodes6: compact node lists, not looked into (compact_nodes.unpack_nodes).
        token: at most 64 bytes; longer ones are not kept.
        value_id: of a put or refresh reply; 0 otherwise.
    """

    sender: InfoHash
    seen_ip: bytes = b""
    nodes4: bytes = b""
    nodes6: bytes = b""
    token: bytes = b""
    values: tuple[Value, ...] = ()
    sizes: Sizes = ()
    fields: FieldAnswer | None = None
    value_id: int = 0


class ErrorReply(Envelope, frozen=True, gc=False, kw_only=True):
    """A request was refused; *text* is for humans."""

    sender: InfoHash
    code: int
    text: bytes = b""


class Part(Envelope, frozen=True, gc=False, kw_only=True):
    """Pieces of packed values: (index in the header's values, offset in bytes, bytes)."""

    pieces: tuple[tuple[int, int, bytes], ...] = ()


class Notice(Envelope, frozen=True, gc=False, kw_only=True):
    """What a storing node sends to very old listeners; *tid* is the socket id, nobody confirms it."""

    sender: InfoHash
    token: bytes = b""
    refreshed: tuple[int, ...] = ()
    expired: tuple[int, ...] = ()


Request = Ping | Find | Get | Put | Refresh | Listen | Update
Message = Request | Reply | ErrorReply | Part | Notice
Carrier = Put | Update | Reply
"""Messages that carry values."""

M = TypeVar("M", bound=Put | Update | Reply)


def with_values(message: M, values: Iterable[Value]) -> M:
    """*message* with the *values* that came as parts behind its own, and nothing announced any more."""
    return msgspec.structs.replace(message, values=(*message.values, *values), sizes=())
