"""Node lists: bytes of the specification, round trips, wrong lengths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_dht.errors import DecodeError
from dna_dht.wire.address import unpack_ip
from dna_dht.wire.compact_nodes import CompactNode, pack_nodes, unpack_nodes
from dna_dht.wire.infohash import InfoHash

IDS = st.binary(min_size=20, max_size=20).map(InfoHash)
PORTS = st.integers(0, 65_535)


def addresses(size: int) -> st.SearchStrategy[tuple[str, int]]:
    return st.tuples(st.binary(min_size=size, max_size=size).map(unpack_ip), PORTS)


def test_layout() -> None:
    node = CompactNode(InfoHash(b"i" * 20), ("192.0.2.7", 4000))
    assert pack_nodes([node], 4) == b"i" * 20 + bytes((192, 0, 2, 7, 0x0F, 0xA0))
    node = CompactNode(InfoHash(b"i" * 20), ("2001:db8::7", 4000))
    assert (
        pack_nodes([node], 6) == b"i" * 20 + bytes.fromhex("20010db8000000000000000000000007") + b"\x0f\xa0"
    )


@given(st.lists(st.builds(CompactNode, IDS, addresses(4)), max_size=9))
def test_ipv4_round_trip(nodes: list[CompactNode]) -> None:
    blob = pack_nodes(nodes, 4)
    assert len(blob) == 26 * len(nodes) and unpack_nodes(blob, 4) == nodes


@given(st.lists(st.builds(CompactNode, IDS, addresses(16)), max_size=9))
def test_ipv6_round_trip(nodes: list[CompactNode]) -> None:
    blob = pack_nodes(nodes, 6)
    assert len(blob) == 38 * len(nodes) and unpack_nodes(blob, 6) == nodes


def test_ids_are_ids() -> None:
    (node,) = unpack_nodes(bytes(26), 4)
    assert type(node.node_id) is InfoHash and node.address == ("0.0.0.0", 0)


@pytest.mark.parametrize("length", [1, 25, 27, 38, 51])
def test_wrong_length(length: int) -> None:
    with pytest.raises(DecodeError):
        unpack_nodes(bytes(length), 4)
    with pytest.raises(DecodeError):
        unpack_nodes(bytes(length + 1 if length == 38 else length), 6)


def test_wrong_family() -> None:
    with pytest.raises(ValueError):
        pack_nodes([CompactNode(InfoHash(bytes(20)), ("::1", 1))], 4)
    with pytest.raises(ValueError):
        pack_nodes([CompactNode(InfoHash(bytes(20)), ("127.0.0.1", 1))], 6)
