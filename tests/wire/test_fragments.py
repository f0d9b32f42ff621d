"""Parts: layout, order, the border between inline values and parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_dht.wire.decode import decode, decode_canonical
from dna_dht.wire.fragments import cut, travels_inline
from dna_dht.wire.limits import PART_DATA
from dna_dht.wire.messages import Part


@pytest.mark.parametrize(
    ("count", "size", "inline"),
    [
        (0, 0, True),
        (1, 599, True),
        (1, 600, False),
        (49, 12, True),
        (50, 11, False),
        (2, 300, False),
        (50, 1, False),
    ],
)
def test_what_travels_inline(count: int, size: int, inline: bool) -> None:
    assert travels_inline([bytes(size)] * count) is inline


def test_layout_of_the_specification() -> None:
    first, second = cut(0x48750995, [b"a" * 1280 + b"b"])
    assert first == bytes.fromhex("83a179a170a174ce48750995a170810082a16f00a164c50500") + b"a" * 1280
    assert second == bytes.fromhex("83a179a170a174ce48750995a170810082a16fcd0500a164c401") + b"b"


def test_network_and_client_stand_in_front() -> None:
    (part,) = cut(7, [b"a"], network=5, client=True)
    assert part == bytes.fromhex("85a16e05a173c3a179a170a17407a170810082a16f00a164c40161")


@given(
    st.lists(st.integers(1, 4000), max_size=5),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_parts_come_in_order_and_join_again(sizes: list[int], tid: int, network: int, client: bool) -> None:
    packed = [bytes([index + 1]) * size for index, size in enumerate(sizes)]
    joined = [b""] * len(packed)
    last = 0
    for datagram in cut(tid, packed, network, client):
        part = decode(datagram)
        assert isinstance(part, Part) and part == decode_canonical(datagram)
        assert (part.tid, part.network, part.client) == (tid, network, client)
        ((index, offset, data),) = part.pieces
        assert index >= last and offset == len(joined[index]) and 1 <= len(data) <= PART_DATA
        joined[index] += data
        last = index
    assert joined == packed
