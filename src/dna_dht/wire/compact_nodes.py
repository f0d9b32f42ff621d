"""Node lists `n4` and `n6`: id, address, port of up to eight nodes in a row. Source: spec 01, section 7."""

from collections.abc import Iterable
from struct import Struct
from typing import NamedTuple

from dna_dht.errors import DecodeError
from dna_dht.wire.address import Address, Family, pack_ip, unpack_ip
from dna_dht.wire.infohash import LENGTH, InfoHash
from dna_dht.wire.limits import ADDRESS4, ADDRESS6

_ENTRY4 = Struct(f">{LENGTH}s{ADDRESS4}sH")  # id, address, port: 26 bytes
_ENTRY6 = Struct(f">{LENGTH}s{ADDRESS6}sH")  # 38 bytes


class CompactNode(NamedTuple):
    """A node as others tell of it: nothing here is proved."""

    node_id: InfoHash
    address: Address


def pack_nodes(nodes: Iterable[CompactNode], family: Family) -> bytes:
    """The blob of *nodes*, in order; ValueError if one is of the other family."""
    size = ADDRESS4 if family == 4 else ADDRESS6
    pieces: list[bytes] = []
    for node_id, (host, port) in nodes:
        raw = pack_ip(host)
        if len(raw) != size:
            raise ValueError(f"{host} is not of family IPv{family}")
        pieces += (node_id, raw, port.to_bytes(2, "big"))
    return b"".join(pieces)


def unpack_nodes(blob: bytes, family: Family) -> list[CompactNode]:
    """The nodes of *blob*, in order; DecodeError if its length is no multiple of an entry."""
    entry = _ENTRY4 if family == 4 else _ENTRY6
    if len(blob) % entry.size:
        raise DecodeError(f"node list of {len(blob)} bytes")
    return [
        CompactNode(bytes.__new__(InfoHash, node_id), (unpack_ip(raw), port))
        for node_id, raw, port in entry.iter_unpack(blob)
    ]
