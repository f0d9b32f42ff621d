"""What we write is what the reference writes, byte for byte; templates and the general form agree."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_dht.wire import encode as e
from dna_dht.wire import messages as m
from dna_dht.wire.decode import decode, decode_canonical, decode_tolerant
from dna_dht.wire.encode import encode
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.query import ANY, IDS, FieldAnswer, Query, where_id
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack, unpack

VECTORS: Any = json.loads((Path(__file__).parent.parent / "vectors" / "wire-packets.json").read_text())
CASES = [[bytes.fromhex(raw) for raw in case["datagrams"]] for case in VECTORS["cases"]]
NAMES = [case["name"] for case in VECTORS["cases"]]
SENDER, KEY = InfoHash(b"s" * 20), InfoHash(b"k" * 20)
IDS_OF_20 = st.binary(min_size=20, max_size=20).map(InfoHash)
UINT32, UINT64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
TOKENS = st.binary(max_size=64)
SEEN = st.just(b"") | st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)
WANT = st.none() | st.integers(0, 3)
QUERY = st.none() | st.sampled_from(
    [ANY, IDS, where_id(2**63), Query((5, 9), ((5, b"ab"), (3, KEY), (2, 7)))]
)
CREATED = st.none() | st.integers(-(2**63), 2**64 - 1)
VALUES = st.lists(
    st.builds(Value, id=UINT64, type=st.integers(0, 65_535), data=st.binary(max_size=300)), max_size=4
)
MANY_IDS = st.lists(UINT64, max_size=20).map(tuple)
FIELDS = st.none() | st.just(FieldAnswer((1, 4, 5), ((7, 1, b"ut"), (8, 2, b""))))
OUTER = {"tid": UINT32, "sender": IDS_OF_20, "network": UINT32 | st.just(0), "client": st.booleans()}
CARRIED = {"values": VALUES.map(tuple)}


def build(kind: Any, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(kind, **OUTER, **fields)


MESSAGES: st.SearchStrategy[m.Message] = st.one_of(
    build(m.Ping),
    build(m.Find, target=IDS_OF_20, want=WANT),
    build(m.Get, key=IDS_OF_20, query=QUERY, want=WANT),
    build(m.Put, key=IDS_OF_20, token=TOKENS, created=CREATED, **CARRIED),
    build(m.Refresh, key=IDS_OF_20, value_id=UINT64, token=TOKENS),
    build(m.Listen, key=IDS_OF_20, token=TOKENS, socket_id=UINT32, query=QUERY, version=UINT32),
    build(m.Update, socket_id=UINT32, token=TOKENS, refreshed=MANY_IDS, expired=MANY_IDS),
    build(
        m.Update, socket_id=UINT32, token=TOKENS, key=IDS_OF_20, version=UINT32, created=CREATED, **CARRIED
    ),
    build(m.Reply, seen_ip=SEEN, nodes4=TOKENS, nodes6=TOKENS, token=TOKENS, fields=FIELDS, value_id=UINT64),
    build(m.Reply, seen_ip=SEEN, nodes4=TOKENS, token=TOKENS, **CARRIED),
    build(m.ErrorReply, code=st.integers(0, 65_535), text=st.binary(max_size=300)),
    build(m.Notice, token=TOKENS, refreshed=MANY_IDS, expired=MANY_IDS),
    st.builds(
        m.Part,
        tid=UINT32,
        network=UINT32,
        client=st.booleans(),
        pieces=st.lists(
            st.tuples(UINT32, UINT64, st.binary(max_size=1280)), max_size=3, unique_by=lambda p: p[0]
        ).map(tuple),
    ),
)


def joined(parts: list[bytes]) -> list[bytes]:
    """The packed values in *parts*."""
    whole: dict[int, bytes] = {}
    for part in map(decode, parts):
        assert isinstance(part, m.Part)
        for index, _, data in part.pieces:
            whole[index] = whole.get(index, b"") + data
    return [whole[index] for index in sorted(whole)]


@pytest.mark.parametrize("datagrams", CASES, ids=NAMES)
def test_recorded_packets_are_written_again(datagrams: list[bytes]) -> None:
    header, packed = decode(datagrams[0]), joined(datagrams[1:])
    for datagram in datagrams:
        assert decode_canonical(datagram) == decode_tolerant(datagram) == decode(datagram)
    assert encode(header, packed) == datagrams
    if packed:
        assert isinstance(header, m.Put | m.Update | m.Reply)
        assert encode(m.with_values(header, map(_any_value, packed)), packed) == datagrams


def _any_value(packed: bytes) -> Value:
    """The value, or (for those of stock nodes, which nobody here can read) some value."""
    return Value(id=1) if len(packed) == 738 else unpack(packed)


@pytest.mark.parametrize("datagrams", CASES, ids=NAMES)
def test_templates_write_the_recorded_packets(datagrams: list[bytes]) -> None:
    message, packed = decode(datagrams[0]), joined(datagrams[1:])
    assert _by_template(message, packed) == (None if _has_no_template(message) else datagrams)


def _has_no_template(message: m.Message) -> bool:
    return isinstance(message, m.Put | m.Update | m.Refresh | m.Listen | m.Notice)


def _by_template(message: m.Message, packed: list[bytes]) -> list[bytes] | None:
    outer = (message.network, message.client)
    match message:
        case m.Ping():
            return [e.ping(message.tid, message.sender, *outer)]
        case m.Find():
            return [e.find(message.tid, message.sender, message.target, message.want, *outer)]
        case m.Get():
            return [e.get(message.tid, message.sender, message.key, message.query, message.want, *outer)]
        case m.ErrorReply():
            return [e.error(message.tid, message.sender, message.code, message.text, *outer)]
        case m.Reply() if message.value_id:
            return [e.put_reply(message.tid, message.sender, message.value_id, message.seen_ip, *outer)]
        case m.Reply() if not message.token:
            return [e.pong(message.tid, message.sender, message.seen_ip, *outer)]
        case m.Reply():
            return e.nodes_reply(
                message.tid,
                message.sender,
                message.seen_ip,
                message.nodes4,
                message.nodes6,
                message.token,
                *outer,
                packed=packed or [pack(value) for value in message.values],
                fields=message.fields,
            )
    return None


@given(MESSAGES)
def test_messages_round_trip(message: m.Message) -> None:
    header, *parts = encode(message)
    read = decode(header)
    if parts:
        assert isinstance(read, m.Put | m.Update | m.Reply) and not read.values
        packed = joined(parts)
        assert read.sizes == tuple(enumerate(map(len, packed)))
        read = m.with_values(read, map(unpack, packed))
    assert read == message
    assert decode_tolerant(header) == decode(header) and decode_canonical(header) in (None, decode(header))


@given(MESSAGES)
def test_templates_agree_with_the_general_form(message: m.Message) -> None:
    if isinstance(message, m.Reply):
        full = m.Reply(
            tid=message.tid,
            sender=message.sender,
            seen_ip=b"\x7f\0\0\1",
            nodes4=message.nodes4,
            nodes6=message.nodes6,
            token=b"t" * 32,
            values=message.values,
            fields=message.fields,
            network=message.network,
            client=message.client,
        )
        assert _by_template(full, []) == encode(full)
        pong = m.Reply(
            tid=message.tid, sender=message.sender, seen_ip=message.seen_ip, network=message.network
        )
        assert _by_template(pong, []) == encode(pong)
        done = m.Reply(
            tid=message.tid,
            sender=message.sender,
            seen_ip=bytes(16),
            value_id=7,
            client=message.client,
            network=message.network,
        )
        assert _by_template(done, []) == encode(done)
    elif not _has_no_template(message) and not isinstance(message, m.Part):
        assert _by_template(message, []) == encode(message)


def test_small_values_travel_inline_and_large_ones_as_parts() -> None:
    small, large = Value(id=1, data=b"x"), Value(id=2, data=b"x" * 600)
    put = m.Put(tid=7, sender=SENDER, key=KEY, token=b"t", values=(small, small))
    (header,) = encode(put)
    assert decode(header) == put
    header, *parts = encode(m.Put(tid=7, sender=SENDER, key=KEY, token=b"t", values=(small, large)))
    announced = decode(header)
    assert isinstance(announced, m.Put) and not announced.values
    assert [size for _, size in announced.sizes] == [len(pack(small)), len(pack(large))]
    assert joined(parts) == [pack(small), pack(large)]


def test_a_header_without_its_parts_is_written_as_it_was_read() -> None:
    value = Value(id=1, data=b"x")
    message = m.Put(
        tid=7, sender=SENDER, key=KEY, values=(value, value), sizes=((1, 300), (4, 0), (9, 65_568))
    )
    (header,) = encode(message)
    assert decode(header) == message


def test_a_full_reply_fits_into_a_datagram() -> None:
    head, *parts = e.nodes_reply(
        2**32 - 1, SENDER, bytes(16), bytes(8 * 26), bytes(8 * 38), bytes(32), packed=[bytes(65_568)]
    )
    assert len(head) <= 1400 and max(map(len, parts)) <= 1400 and len(parts) == 52


@pytest.mark.parametrize(
    "message",
    [
        m.Put(tid=7, sender=SENDER, values=(Value(id=2**64),)),
        m.Get(tid=7, sender=SENDER, key=KEY, query=Query(where=((4, 1),))),
    ],
)
def test_what_cannot_be_written(message: m.Message) -> None:
    with pytest.raises(ValueError):
        encode(message)
