"""Values too large for one datagram travel as parts. Source: spec 01, 11.2.

Parts are sent right after their header, in the order given here: the reference drops a part that is not the
continuation of what it already has.
"""

from collections.abc import Sequence

from dna_dht.wire.limits import INLINE_BYTES, INLINE_VALUES, PART_DATA
from dna_dht.wire.packing import binary, uint


def travels_inline(packed: Sequence[bytes]) -> bool:
    """Whether values of these packed forms stand in the header itself; else all of them travel as parts."""
    return len(packed) < INLINE_VALUES and sum(map(len, packed)) < INLINE_BYTES


def cut(tid: int, packed: Sequence[bytes], network: int = 0, client: bool = False) -> list[bytes]:
    """The part datagrams of all *packed* values: by index, then by offset."""
    head = b"".join(
        (
            bytes((0x83 + bool(network) + client,)),
            b"\xa1n" + uint(network) if network else b"",
            b"\xa1s\xc3" if client else b"",
            b"\xa1y\xa1p\xa1t",
            uint(tid),
            b"\xa1p\x81",
        )
    )
    datagrams = []
    for index, whole in enumerate(packed):
        start = head + uint(index) + b"\x82\xa1o"
        for offset in range(0, len(whole), PART_DATA):
            piece = binary(whole[offset : offset + PART_DATA])
            datagrams.append(b"".join((start, uint(offset), b"\xa1d", piece)))
    return datagrams
