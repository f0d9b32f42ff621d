"""The state file: exact layout of version 2, reading of version 1, and survival of any damage."""

from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_dht.core.config import CoreConfig
from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.remote_node import RemoteNode
from dna_dht.core.instant import Instant
from dna_dht.core.node_state import (
    EMPTY,
    NodeState,
    SavedValue,
    decode_state,
    encode_state,
    nodes_to_save,
    pack_sockaddr,
    unpack_sockaddr,
)
from dna_dht.core.routing.routing_table import REPLIED, SENT, RoutingTable
from dna_dht.wire.address import Address
from dna_dht.wire.infohash import InfoHash

OWN = InfoHash(b"\x01" * 20)
KEY, OTHER_KEY = InfoHash(b"\x02" * 20), InfoHash(b"\x03" * 20)
NODE4, NODE6 = (InfoHash(b"\x04" * 20), ("1.2.3.4", 4000)), (InfoHash(b"\x06" * 20), ("2001:db8::1", 4222))
SOCKADDR4 = bytes.fromhex("02000fa0010203040000000000000000")
SOCKADDR6 = bytes.fromhex("0a00107e0000000020010db800000000000000000000000100000000")


pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode


def packed_value(value_id: int) -> bytes:
    return pack({"id": value_id, "dat": {"body": {"type": 0, "data": b"x" * 50}}})


STATE = NodeState(
    OWN,
    (NODE4, NODE6),
    (
        SavedValue(KEY, packed_value(1), created=1_700_000_000.5, expires=1_700_000_600.0, permanent=True),
        SavedValue(KEY, packed_value(2), created=1_700_000_001.0),
        SavedValue(OTHER_KEY, packed_value(3)),
    ),
)


def test_what_is_written_is_read() -> None:
    assert decode_state(encode_state(STATE)) == STATE


def test_a_state_without_id_is_not_written() -> None:
    with pytest.raises(ValueError, match="node id"):
        encode_state(NodeState())


def test_layout_of_the_file() -> None:
    data = unpack(encode_state(STATE))

    assert list(data) == ["v", "id", "nodes", "values"]
    assert (data["v"], data["id"]) == (2, OWN)
    assert data["nodes"] == [
        {"id": NODE4[0], "addr": SOCKADDR4},
        {"id": NODE6[0], "addr": SOCKADDR6},
    ]
    assert [key for key, _ in data["values"]] == [KEY, OTHER_KEY]
    assert [unpack(blob) for _, blob in data["values"]] == [
        [
            [1_700_000_000.5, unpack(packed_value(1)), 1_700_000_600.0, True],
            [1_700_000_001.0, unpack(packed_value(2)), 0.0, False],
        ],
        [[0.0, unpack(packed_value(3)), 0.0, False]],
    ]


def make_file(version: object = 1, **changes: Any) -> bytes:
    entries = [[123_456_789_000, unpack(packed_value(1))]]
    fields: dict[str, Any] = {
        "v": version,
        "id": bytes(OWN),
        "nodes": [{"id": bytes(NODE4[0]), "addr": SOCKADDR4}],
        "values": [[bytes(KEY), pack(entries)]],
    }
    return pack({**fields, **changes})


def test_a_file_of_the_reference_is_read_without_its_meaningless_times() -> None:
    assert decode_state(make_file()) == NodeState(OWN, (NODE4,), (SavedValue(KEY, packed_value(1)),))


@pytest.mark.parametrize("version", [0, 3, -1, "1", None, 1.5])
def test_a_file_of_an_unknown_version_is_an_empty_state(version: object) -> None:
    assert decode_state(make_file(version)) == EMPTY


@pytest.mark.parametrize(
    "nodes",
    [
        None,
        7,
        [7],
        [{}],
        [{"id": b"\x04" * 19, "addr": SOCKADDR4}],
        [{"id": bytes(20), "addr": SOCKADDR4}],
        [{"id": b"\x04" * 20}],
        [{"id": b"\x04" * 20, "addr": SOCKADDR4[:-1]}],
        [{"id": b"\x04" * 20, "addr": b"\x02"}],
        [{"id": b"\x04" * 20, "addr": SOCKADDR4.replace(b"\x0f\xa0", b"\0\0")}],
        [{"id": b"\x04" * 20, "addr": SOCKADDR6.replace(b"\x10\x7e", b"\0\0")}],
        [{"id": b"\x04" * 20, "addr": b"\x0a" + SOCKADDR4[1:]}],
        [{"id": b"\x04" * 20, "addr": b"\x02" + SOCKADDR6[1:]}],
    ],
)
def test_damaged_nodes_are_left_out_and_the_rest_is_read(nodes: Any) -> None:
    good = [{"id": bytes(NODE6[0]), "addr": SOCKADDR6, "more": 1}]
    whole = nodes + good if isinstance(nodes, list) else nodes
    state = decode_state(make_file(nodes=whole, unknown=[1, 2]))

    assert state.nodes == ((NODE6,) if isinstance(nodes, list) else ())
    assert state.node_id == OWN and len(state.values) == 1


@pytest.mark.parametrize(
    "entry",
    [
        7,
        [],
        [bytes(KEY)],
        [b"short", pack([[1, {"id": 1}]])],
        [bytes(20), pack([[1, {"id": 1}]])],
        [bytes(KEY), b""],
        [bytes(KEY), b"\xc1"],
        [bytes(KEY), pack(7)],
        [bytes(KEY), pack([7, [], [1], [1, b"no map"]])],
        [bytes(KEY), 7],
    ],
)
def test_damaged_values_are_left_out_and_the_rest_is_read(entry: Any) -> None:
    good = [bytes(OTHER_KEY), pack([[1, unpack(packed_value(9)), 2, 3, 4]]), "more"]
    state = decode_state(make_file(values=[entry, good]))

    assert state.values == (SavedValue(OTHER_KEY, packed_value(9)),)
    assert state.nodes == (NODE4,)


@pytest.mark.parametrize("time", [0, -5, float("nan"), float("inf"), "x", None, [1]])
def test_senseless_times_of_version_2_are_unknown(time: Any) -> None:
    blob = pack([[time, unpack(packed_value(9)), time, 1]])
    state = decode_state(make_file(2, values=[[bytes(KEY), blob]]))

    assert state.values == (SavedValue(KEY, packed_value(9)),)


@pytest.mark.parametrize("node_id", [None, b"", bytes(20), b"\x01" * 19, "text", 7])
def test_a_damaged_id_costs_only_the_id(node_id: Any) -> None:
    state = decode_state(make_file(id=node_id))

    assert state.node_id is None and state.nodes == (NODE4,)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_survived(garbage: bytes) -> None:
    assert isinstance(decode_state(garbage), NodeState)


@given(st.integers(0, 10_000), st.integers(0, 255), st.booleans())
def test_a_file_with_a_wrong_byte_or_cut_short_is_survived(position: int, byte: int, cut: bool) -> None:
    data = bytearray(encode_state(STATE))
    position %= len(data)
    data[position] = byte

    assert isinstance(decode_state(bytes(data[: position + 1] if cut else data)), NodeState)


def test_deep_nesting_is_survived() -> None:
    assert decode_state(b"\x81\xa1v" + b"\x91" * 100_000) == EMPTY


@pytest.mark.parametrize(
    ("address", "raw"), [(NODE4[1], SOCKADDR4), (NODE6[1], SOCKADDR6)], ids=["IPv4", "IPv6"]
)
def test_socket_addresses(address: Address, raw: bytes) -> None:
    assert pack_sockaddr(address) == raw
    assert unpack_sockaddr(raw) == address


def test_good_nodes_are_saved_nearest_first() -> None:
    ctx = CoreContext(CoreConfig(), OWN, Random(1), Instant(1000.0, 0.0))
    tables = [RoutingTable(ctx, 4), RoutingTable(ctx, 6)]
    nodes = []
    for table, host in zip(tables, ("127.0.0.1", "::1"), strict=True):
        for i in range(9):
            first = 0x01 if i == 8 else 0x80
            nodes.append(RemoteNode(InfoHash(bytes([first, i, *range(18)])), (host, 4000)))
            nodes[-1].replied(1000.0)
            table.on_node(nodes[-1], REPLIED)
        dubious = RemoteNode(InfoHash(bytes([0x02, 99, *range(18)])), (host, 4000))
        table.on_node(dubious, SENT)

    saved = nodes_to_save(tables)

    assert saved[:2] == tuple((node.id, node.address) for node in (nodes[8], nodes[17]))
    assert len(saved) == 18
    assert {address[0] for _, address in saved[2:10]} == {"127.0.0.1"}
    assert {address[0] for _, address in saved[10:]} == {"::1"}
