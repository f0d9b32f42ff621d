"""NodeState: what a node keeps over a restart, and its file. Source: spec 02, section 21.

One MessagePack map; keys in this order::

    { "v": 2,
      "id": bin 20,
      "nodes": [ { "id": bin 20, "addr": bin 16 | 28 }, ... ],
      "values": [ [ key: bin 20, blob: bin ], ... ] }
    addr  a socket address as Linux stores it: family (2 bytes, 02 00 or 0a 00), port (big-endian), then
          IPv4: address (4), zeros (8); IPv6: flow info (4), address (16), scope (4)
    blob  MessagePack again: [ [ created, value, expires, permanent ], ... ] in version 2, with wall-clock
          seconds (expires 0: the life of its type) and the packed value of spec 01, section 9, as it is on
          the wire

Version 1, the reference's, has entries ``[ created, value ]`` whose ``created`` counts nanoseconds of a clock
that starts anew with the machine: unknown, that is. The reader never fails: a damaged file is an empty state,
a damaged entry is left out; unknown keys and longer arrays are welcome.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from math import isfinite
from typing import TypeVar

import msgspec

from dna_dht.core.routing.routing_table import RoutingTable
from dna_dht.wire.address import Address, pack_ip, unpack_ip
from dna_dht.wire.infohash import LENGTH, ZERO, InfoHash

VERSION = 2
FIRST_VERSION = 1  # the reference's
INET = 2  # AF_INET of every system
INET6 = 10  # AF_INET6 of Linux, the system of the reference's files
INET_LENGTH = 16  # bytes of a sockaddr_in
INET6_LENGTH = 28  # bytes of a sockaddr_in6

T = TypeVar("T")


class SavedValue(msgspec.Struct, frozen=True, gc=False):
    """One stored value.

    Attributes:
        key: what it is stored under. packed: its canonical bytes.
        created: unix seconds; None if unknown (count it from now).
        expires: unix seconds; None for the life of its type.
        permanent: this node keeps it alive.
    """

    key: InfoHash
    packed: bytes
    created: float | None = None
    expires: float | None = None
    permanent: bool = False


class NodeState(msgspec.Struct, frozen=True):
    """What a node saves: its id (None if the file had none), nodes to come back to, and stored values."""

    node_id: InfoHash | None = None
    nodes: tuple[tuple[InfoHash, Address], ...] = ()
    values: tuple[SavedValue, ...] = ()


EMPTY = NodeState()


def nodes_to_save(tables: Sequence[RoutingTable]) -> tuple[tuple[InfoHash, Address], ...]:
    """The good nodes, those closest to us first: our own bucket of every table, then all others."""
    parts = [table.good_nodes() for table in tables]
    ordered = [node for own, _ in parts for node in own] + [node for _, others in parts for node in others]
    return tuple((node.id, node.address) for node in ordered)


def encode_state(state: NodeState) -> bytes:
    """The file of a state, version 2. ValueError if it has no node id."""
    if state.node_id is None:
        raise ValueError("a state without a node id cannot be saved")
    by_key: dict[InfoHash, list[tuple[float, msgspec.Raw, float, bool]]] = {}
    for value in state.values:
        entry = (value.created or 0.0, msgspec.Raw(value.packed), value.expires or 0.0, value.permanent)
        by_key.setdefault(value.key, []).append(entry)
    return msgspec.msgpack.encode(
        {
            "v": VERSION,
            "id": bytes(state.node_id),
            "nodes": [
                {"id": bytes(node_id), "addr": pack_sockaddr(address)} for node_id, address in state.nodes
            ],
            "values": [[bytes(key), msgspec.msgpack.encode(entries)] for key, entries in by_key.items()],
        }
    )


def decode_state(data: bytes) -> NodeState:
    """Read a file of version 1 or 2. Never raises: what cannot be read is left out."""
    fields = _decode(data, dict[str, msgspec.Raw])
    if fields is None:
        return EMPTY
    version = _decode(fields.get("v"), int)
    if version not in (FIRST_VERSION, VERSION):
        return EMPTY
    return NodeState(
        node_id=_infohash(_decode(fields.get("id"), bytes)),
        nodes=tuple(_nodes(_items(fields.get("nodes")))),
        values=tuple(_values(_items(fields.get("values")), version)),
    )


def pack_sockaddr(address: Address) -> bytes:
    """A socket address as Linux stores it."""
    host, port = address
    ip = pack_ip(host)
    if len(ip) == 4:
        return struct.pack("<H", INET) + struct.pack(">H", port) + ip + bytes(8)
    return struct.pack("<H", INET6) + struct.pack(">H", port) + bytes(4) + ip + bytes(4)


def unpack_sockaddr(raw: bytes) -> Address | None:
    """The address; None if it is none, or its port is 0."""
    if len(raw) < 4:
        return None
    port = int.from_bytes(raw[2:4], "big")
    family = (len(raw), int.from_bytes(raw[:2], "little"))
    if port and family == (INET_LENGTH, INET):
        return unpack_ip(raw[4:8]), port
    if port and family == (INET6_LENGTH, INET6):
        return unpack_ip(raw[8:24]), port
    return None


def _nodes(items: Iterable[msgspec.Raw]) -> Iterator[tuple[InfoHash, Address]]:
    for item in items:
        fields = _decode(item, dict[str, msgspec.Raw]) or {}
        node_id = _infohash(_decode(fields.get("id"), bytes))
        address = unpack_sockaddr(_decode(fields.get("addr"), bytes) or b"")
        if node_id is not None and address is not None:
            yield node_id, address


def _values(items: Iterable[msgspec.Raw], version: int) -> Iterator[SavedValue]:
    for item in items:
        parts = _items(item)
        if len(parts) < 2:
            continue
        key = _infohash(_decode(parts[0], bytes))
        if key is None:
            continue
        for entry in _items(_decode(parts[1], bytes)):
            value = _value(key, _items(entry), version)
            if value is not None:
                yield value


def _value(key: InfoHash, entry: list[msgspec.Raw], version: int) -> SavedValue | None:
    if len(entry) < 2 or _decode(entry[1], dict[str, msgspec.Raw]) is None:
        return None
    packed = bytes(entry[1])
    if version == FIRST_VERSION or len(entry) < 4:
        return SavedValue(key, packed)
    created, expires, permanent = _time(entry[0]), _time(entry[2]), _decode(entry[3], bool)
    return SavedValue(key, packed, created, expires, permanent is True)


def _time(raw: msgspec.Raw) -> float | None:
    """Unix seconds; None for 0 and nonsense."""
    seconds = _decode(raw, float)
    return seconds if seconds is not None and isfinite(seconds) and seconds > 0 else None


def _infohash(raw: bytes | None) -> InfoHash | None:
    if raw is None or len(raw) != LENGTH or raw == ZERO:
        return None
    return InfoHash(raw)


def _items(raw: bytes | msgspec.Raw | None) -> list[msgspec.Raw]:
    return _decode(raw, list[msgspec.Raw]) or []


def _decode(raw: bytes | msgspec.Raw | None, kind: type[T]) -> T | None:
    if raw is None:
        return None
    try:
        return msgspec.msgpack.decode(raw, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, OverflowError):
        return None
