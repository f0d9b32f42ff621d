"""Reading datagrams: recorded oddities, both paths, what stock nodes do otherwise, hostile input."""

import json
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_dht.errors import DecodeError
from dna_dht.wire import messages as m
from dna_dht.wire.address import unpack_ip
from dna_dht.wire.decode import decode, decode_canonical, decode_tolerant
from dna_dht.wire.infohash import ZERO, InfoHash
from dna_dht.wire.limits import DATAGRAM
from dna_dht.wire.query import FieldAnswer, Query, where_id
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack

VECTORS: Any = json.loads((Path(__file__).parent.parent / "vectors" / "wire-parse.json").read_text())
CASES = VECTORS["cases"]
SENDER = InfoHash(b"s" * 20)
KEY = b"k" * 20
VALUE = Value(id=7, data=b"x")
KINDS: dict[str, type[Any]] = {
    "ping": m.Ping,
    "find": m.Find,
    "get": m.Get,
    "put": m.Put,
    "refresh": m.Refresh,
    "listen": m.Listen,
    "update": m.Update,
    "reply": m.Reply,
    "error": m.ErrorReply,
    "value_update": m.Notice,
    "value_data": m.Part,
}


def datagram(**entries: Any) -> bytes:
    """A datagram of these top-level entries, in this order."""
    return bytes(msgpack.packb(entries))


def request(name: str, /, **body: Any) -> bytes:
    """A request with these body entries behind the sender."""
    return datagram(a={"id": SENDER[:], **body}, q=name, t=9, y="q", v="o2")


def reply(**body: Any) -> bytes:
    """A reply with these body entries behind the sender."""
    return datagram(r={"id": SENDER[:], **body}, t=9, y="r", v="o2")


def same_on_both_paths(data: bytes) -> m.Message:
    message = decode(data)
    assert decode_tolerant(data) == message and decode_canonical(data) in (None, message)
    return message


# -- Recorded cases ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [c for c in CASES if c["accepted"]], ids=lambda case: case["name"])
def test_accepted(case: dict[str, Any]) -> None:
    message = same_on_both_paths(bytes.fromhex(case["packet"]))
    parsed = case["parsed"]
    assert type(message) is KINDS[parsed["kind"]]
    assert (message.tid, message.network, message.client) == (
        parsed["tid"],
        parsed["network"],
        parsed["client"],
    )
    if isinstance(message, m.Part):
        pieces = [{"bytes": data.hex(), "index": i, "number": o} for i, o, data in message.pieces]
        assert pieces == parsed.get("parts", [])
        return
    assert message.sender.hex() == parsed.get("id", ZERO.hex())
    if isinstance(message, m.Put | m.Update | m.Reply):
        assert len(message.values) == parsed["inline_values"]
        sizes = [{"bytes": "", "index": index, "number": size} for index, size in message.sizes]
        assert sizes == parsed.get("parts", [])
    _check_request(message, parsed)
    _check_answer(message, parsed)


def _check_request(message: m.Message, parsed: dict[str, Any]) -> None:
    if isinstance(message, m.Find | m.Get):
        assert message.want == (None if parsed["want"] == -1 else parsed["want"])
    if isinstance(message, m.Find):
        assert message.target.hex() == parsed.get("target", ZERO.hex())
    if isinstance(message, m.Get | m.Put | m.Refresh | m.Listen | m.Update):
        assert message.key.hex() == parsed.get("h", ZERO.hex())
    if isinstance(message, m.Get):
        assert message.query == (where_id(7, select=(1, 4)) if "query" in parsed else None)
    if isinstance(message, m.Put | m.Refresh | m.Listen | m.Update | m.Notice | m.Reply):
        assert message.token.hex() == parsed.get("token", "")
    if isinstance(message, m.Refresh | m.Reply):
        assert str(message.value_id) == parsed.get("vid", "0")
    if isinstance(message, m.Listen | m.Update):
        assert (message.socket_id, message.version) == (parsed["sid"], parsed["ve"])
    if isinstance(message, m.Put | m.Update):
        assert message.created == parsed.get("created")
    if isinstance(message, m.Update | m.Notice):
        assert list(map(str, message.refreshed)) == parsed.get("re", [])
        assert list(map(str, message.expired)) == parsed.get("exp", [])


def _check_answer(message: m.Message, parsed: dict[str, Any]) -> None:
    if isinstance(message, m.ErrorReply):
        assert message.code == parsed["error"]
    if isinstance(message, m.Reply):
        seen = unpack_ip(message.seen_ip) if message.seen_ip else ""
        assert (f"[{seen}]" if ":" in seen else seen) == parsed.get("sa", "")
        assert message.nodes4.hex() == parsed.get("n4", "") and message.nodes6.hex() == parsed.get("n6", "")
        assert (len(message.fields.rows) if message.fields else 0) == parsed["fields"]


@pytest.mark.parametrize("case", [c for c in CASES if not c["accepted"]], ids=lambda case: case["name"])
def test_dropped(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["packet"])
    assert decode_canonical(data) is None
    with pytest.raises(DecodeError):
        decode(data)


@pytest.mark.parametrize("case", [c for c in CASES if c["accepted"]], ids=lambda case: case["name"])
def test_every_proper_prefix_is_dropped(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["packet"])
    whole = len(data) - (5 if case["name"] == "trailing bytes" else 0)
    for end in range(whole):
        with pytest.raises(DecodeError):
            decode(data[:end])


# -- Tolerance (spec 01, section 3) ------------------------------------------------------------------------


def test_blobs_come_as_bin_str_or_array() -> None:
    for token in (b"abc", "abc", [97, 98, 99]):
        message = same_on_both_paths(request("put", h=KEY, values=[], token=token))
        assert isinstance(message, m.Put) and message.token == b"abc"


def test_socket_ids_come_as_number_or_four_bytes() -> None:
    for sid in (0x61626364, b"abcd", "abcd"):
        message = same_on_both_paths(request("listen", h=KEY, sid=sid))
        assert isinstance(message, m.Listen) and message.socket_id == 0x61626364
    for odd in (b"abc", b"abcde", 2**32, -1, 1.0):
        with pytest.raises(DecodeError):
            decode(request("listen", h=KEY, sid=odd))


def test_texts_that_are_no_utf8_survive() -> None:
    value = Value(id=7, user_type=b"\xff\xfe", data=b"x")
    (values,) = (b"\x91" + pack(value),)
    data = request("put", h=KEY, values=[]).replace(b"\xa6values\x90", b"\xa6values" + values)
    message = same_on_both_paths(data)
    assert isinstance(message, m.Put) and message.values == (value,)
    error = datagram(e=[401, "??"], r={"id": SENDER[:]}, t=9, y="e", v="o2").replace(b"??", b"\xff\xfe")
    message = same_on_both_paths(error)
    assert isinstance(message, m.ErrorReply) and message.text == b"\xff\xfe"
    agent = request("ping").replace(b"\xa2o2", b"\xa2\xff\xfe")
    assert isinstance(same_on_both_paths(agent), m.Ping)


def test_in_the_envelope_and_the_body_the_last_of_repeated_keys_counts() -> None:
    twice = b"\x86" + request("ping")[1:] + b"\xa1t\x05"
    assert same_on_both_paths(twice).tid == 5
    body = request("find").replace(b"\x81\xa2id", b"\x83\xa2id", 1)
    body = body.replace(SENDER, SENDER + b"\xa6target\xc4\x14" + KEY + b"\xa6target\xc4\x14" + b"l" * 20)
    message = same_on_both_paths(body)
    assert isinstance(message, m.Find) and message.target == b"l" * 20
    odd = body.replace(
        b"\xa6target\xc4\x14" + KEY, b"\xa6target\x05"
    )  # the one that does not count is not read
    assert same_on_both_paths(odd) == message


def test_in_values_queries_answers_and_parts_the_first_counts() -> None:
    pieces = b"\x82\x00\x83\xa1o\x00\xa1d\xc4\x01a\xa1d\xc4\x01b\x00\x82\xa1o\x05\xa1d\xc4\x01c"
    part = b"\x83\xa1y\xa1p\xa1t\x07\xa1p" + pieces
    assert same_on_both_paths(part) == m.Part(tid=7, pieces=((0, 0, b"a"),))
    query = b"\x83\xa1s\x91\x01\xa1w\x90\xa1s\x91\x02"
    get = request("get", h=KEY, q={}).replace(b"\xa1q\x80", b"\xa1q" + query)
    message = same_on_both_paths(get)
    assert isinstance(message, m.Get) and message.query == Query((1,))
    answer = b"\x83\xa1f\x91\x01\xa1v\x91\x07\xa1v\x91\x08"
    message = same_on_both_paths(reply(fileds={}).replace(b"\xa6fileds\x80", b"\xa6fileds" + answer))
    assert isinstance(message, m.Reply) and message.fields == FieldAnswer((1,), ((7,),))


def test_unknown_keys_and_kinds_of_objects_are_ignored() -> None:
    junk = [{"x": [None, 1.5, msgpack.ExtType(5, b"x"), msgpack.Timestamp(1)]}, {}, "x", b"x"]
    plain = same_on_both_paths(request("ping"))
    assert same_on_both_paths(request("ping", zz=junk)) == plain
    odd_keys = msgpack.packb({5: 1, None: 2, b"t": 3, "t": 9, "a": {"id": SENDER[:], 7: junk}, "q": "ping"})
    assert same_on_both_paths(odd_keys) == plain


@pytest.mark.parametrize("name", ["target", "h"])
@pytest.mark.parametrize("odd", [b"", b"i" * 19, b"i" * 21, "i" * 20, 5, None, [0] * 20])
def test_a_malformed_known_key_drops_any_message(name: str, odd: object) -> None:
    for kind in KINDS:
        with pytest.raises(DecodeError):
            decode(request(kind, **{name: odd}))
    with pytest.raises(DecodeError):
        decode(reply(**{name: odd}))


@pytest.mark.parametrize(
    ("name", "odd"),
    [
        ("values", 5),
        ("values", {}),
        ("q", {}),
        ("q", []),
        ("fileds", {"f": [], "v": []}),
        ("fileds", {"f": [1]}),
        ("c", 1.0),
        ("c", True),
        ("vid", -1),
        ("sid", None),
        ("ve", 2**32),
        ("re", [-1]),
        ("exp", ["1"]),
        ("w", 2),
        ("sa", "1234"),
        ("n4", 5),
        ("token", None),
    ],
)
def test_malformed_body_keys(name: str, odd: object) -> None:
    for data in (request("ping", **{name: odd}), request("put", **{name: odd}), reply(**{name: odd})):
        with pytest.raises(DecodeError):
            decode(data)


@pytest.mark.parametrize("created", [-(2**63), -1, 0, 2**63, 2**64 - 1])
def test_creation_dates_are_any_integer(created: int) -> None:
    message = same_on_both_paths(request("put", h=KEY, values=[], c=created))
    assert isinstance(message, m.Put) and message.created == created


@pytest.mark.parametrize(
    ("families", "want"), [([2], 1), ([10], 2), ([23], 2), ([30], 2), ([2, 23], 3), ([-1, 5], 0)]
)
def test_families_of_all_platforms(families: list[int], want: int) -> None:
    message = same_on_both_paths(request("find", w=families))
    assert isinstance(message, m.Find) and message.want == want


# -- Classification and drops (spec 01, 4.2 and 17 #4) -----------------------------------------------------


def test_packets_that_kill_the_reference_are_dropped() -> None:
    for data in (
        datagram(e=[], r={"id": SENDER[:]}, t=9, y="e"),
        datagram(r=5, t=9, y="r"),
        reply(fileds={"f": [], "v": []}),
    ):
        with pytest.raises(DecodeError):
            decode(data)


def test_what_is_there_decides_the_kind() -> None:
    body = {"id": SENDER[:]}
    everything: dict[str, Any] = {"a": body, "q": "ping", "t": 9, "y": "q"}
    assert isinstance(same_on_both_paths(datagram(**everything)), m.Ping)
    everything["u"] = body
    assert isinstance(same_on_both_paths(datagram(**everything)), m.Notice)
    everything["p"] = {0: {"o": 0, "d": b"x"}}
    assert isinstance(same_on_both_paths(datagram(**everything)), m.Part)
    everything["r"] = body
    assert isinstance(same_on_both_paths(datagram(**everything)), m.Reply)
    everything["e"] = [401, "x"]
    assert isinstance(same_on_both_paths(datagram(**everything)), m.ErrorReply)


def test_the_body_is_the_first_of_a_r_u() -> None:
    other = {"id": b"o" * 20}
    message = same_on_both_paths(datagram(r=other, a={"id": SENDER[:]}, t=9))
    assert isinstance(message, m.Reply) and message.sender == SENDER
    with pytest.raises(DecodeError):
        decode(datagram(a=5, r=other, t=9))
    assert isinstance(same_on_both_paths(datagram(a=other, r=5, t=9)), m.Reply)


def test_an_error_without_a_body_is_dropped() -> None:
    with pytest.raises(DecodeError):
        decode(datagram(e=[401, "x"], t=9, y="e"))


@pytest.mark.parametrize("code", [-1, 65_536, "401", None, 401.0])
def test_odd_error_codes_are_dropped(code: object) -> None:
    with pytest.raises(DecodeError):
        decode(datagram(e=[code, "x"], r={"id": SENDER[:]}, t=9, y="e"))


@pytest.mark.parametrize("error", [[401], [401, 5], [401, "x", "y"], [401, b"x"]])
def test_the_text_of_an_error_is_not_needed(error: list[object]) -> None:
    message = same_on_both_paths(datagram(e=error, r={"id": SENDER[:]}, t=9, y="e"))
    assert isinstance(message, m.ErrorReply) and message.code == 401


# -- Values ------------------------------------------------------------------------------------------------


def test_values_and_sizes_mix() -> None:
    entries = [100, msgpack.unpackb(pack(VALUE)), 65_569, None, "x", -1, {"id": 1}, [1], 0, 65_568]
    message = same_on_both_paths(request("put", h=KEY, values=entries))
    assert isinstance(message, m.Put)
    wide = b"\xa6values\x93\xd0\x05\xd1\xff\xff\xcf\0\0\0\0\0\0\1\0"
    other = same_on_both_paths(request("put", h=KEY, values=[]).replace(b"\xa6values\x90", wide))
    assert isinstance(other, m.Put) and other.sizes == ((0, 5), (2, 256))
    assert message.values == (VALUE,) and message.sizes == ((0, 100), (8, 0), (9, 65_568))


def test_an_undecodable_value_is_skipped_and_the_rest_kept() -> None:
    stock = {
        "id": 8,
        "dat": {"body": {"seq": 1, "owner": b"o" * 550, "type": 1, "data": b"x"}, "sig": b"s" * 512},
    }
    deep: Any = None
    for _ in range(9):
        deep = [deep]
    odd = {"id": 9, "x": deep, "dat": {"body": {"data": "y", "type": 2}}}
    message = same_on_both_paths(request("put", h=KEY, values=[stock, odd, msgpack.unpackb(pack(VALUE))]))
    assert isinstance(message, m.Put) and message.values == (Value(id=9, type=2, data=b"y"), VALUE)


@pytest.mark.parametrize("length", [0, 1, 64, 65, 60_000])
def test_tokens_too_long_are_not_kept(length: int) -> None:
    token = b"t" * length
    for data in (reply(token=token), request("update", token=token)):
        message = same_on_both_paths(data)
        assert isinstance(message, m.Reply | m.Update) and message.token == (token if length <= 64 else b"")


# -- Stock nodes (spec 01, section 18) ---------------------------------------------------------------------


def test_values_of_stock_nodes_may_carry_a_push_type() -> None:
    entry = {**msgpack.unpackb(pack(VALUE)), "pt": "push"}
    message = same_on_both_paths(request("put", h=KEY, values=[entry]))
    assert isinstance(message, m.Put) and message.values == (VALUE,)


def test_listen_confirmations_of_stock_nodes_carry_a_token() -> None:
    message = same_on_both_paths(reply(sa=b"\x7f\0\0\1", token=b"t" * 32))
    assert message == m.Reply(tid=9, sender=SENDER, seen_ip=b"\x7f\0\0\1", token=b"t" * 32)


# -- Hostile input -----------------------------------------------------------------------------------------

LISTS = ("values", "re", "exp", "w", "token", "n4", "zz")
ITEMS = (b"\xc0", b"\x80", b"\x90", b"\x01", b"\x91\xc0", b"\xa1x", b"\xc4\x00", b"\xcf" + b"\xff" * 8)


def stuffed(name: str, item: bytes, claim: int | None = None) -> bytes:
    """A ping whose entry *name* is an array filled with *item* up to the size of a datagram."""
    frame = request("ping", **{name: None})
    count = (DATAGRAM - len(frame) - 5) // len(item)
    array = b"\xdd" + (claim or count).to_bytes(4, "big") + item * count
    key = bytes((0xA0 | len(name),)) + name.encode()
    return frame.replace(key + b"\xc0", key + array)


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("item", ITEMS)
def test_full_datagrams_give_a_message_or_decode_error(name: str, item: bytes) -> None:
    data = stuffed(name, item)
    try:
        message = decode(data)
    except DecodeError:
        return
    assert isinstance(message, m.Ping) and item in (b"\xcf" + b"\xff" * 8, b"\x91\xc0")


@pytest.mark.parametrize("name", LISTS)
def test_claims_of_four_giga_items_are_dropped(name: str) -> None:
    with pytest.raises(DecodeError):
        decode(stuffed(name, b"\x01", claim=2**32 - 1))


def test_a_datagram_full_of_ids_is_read() -> None:
    for name in ("re", "exp"):
        frame = request("update", **{name: []})
        ids = list(range(2**64 - 7270, 2**64))
        message = same_on_both_paths(request("update", **{name: ids}))
        assert isinstance(message, m.Update) and (message.refreshed or message.expired) == tuple(ids)
        assert len(frame) + 9 * len(ids) < DATAGRAM
    message = same_on_both_paths(reply(fileds={"f": [1], "v": ids}, token=b"t" * 32))
    assert isinstance(message, m.Reply) and message.fields and len(message.fields.rows) == len(ids)
    message = same_on_both_paths(reply(values=[7300] * 8000))
    assert isinstance(message, m.Reply) and len(message.sizes) == 8000


CELLS = (1, 2**64 - 1, -1, b"x" * 20, "x", None)


@pytest.mark.parametrize("cell", CELLS, ids=repr)
@pytest.mark.parametrize("field", [2, 3, 4, 5, 9])
def test_field_answers_that_cost_too_much_are_dropped(field: int, cell: object) -> None:
    """Rows nobody can read cost the most: each would be an exception caught."""
    message = decode_tolerant(reply(fileds={"f": [field], "v": [cell] * 2000}))
    assert isinstance(message, m.Reply) and message.fields is not None
    assert len(message.fields.rows) in (0, 2000)
    with pytest.raises(DecodeError, match="too many"):
        decode_tolerant(reply(fileds={"f": [field], "v": [cell] * 2800}))


def test_parts_with_many_costly_pieces_are_dropped() -> None:
    def part(keys: int) -> bytes:
        entry = dict.fromkeys(range(keys), 0)
        return datagram(y="p", t=5, p=dict.fromkeys(range(512), entry))

    assert decode(part(1)) == m.Part(tid=5, pieces=())
    with pytest.raises(DecodeError, match="too many"):
        decode(part(10))


def test_many_inline_values_are_read() -> None:
    message = same_on_both_paths(request("put", h=KEY, values=[msgpack.unpackb(pack(VALUE))] * 1000))
    assert isinstance(message, m.Put) and message.values == (VALUE,) * 1000


@pytest.mark.parametrize(
    "nest", [b"\x91", b"\x81\xa1a", b"\xdc\x00\x01", b"\x81\xa1r", b"\x81\xa1a\x81\xa6values\x91"]
)
def test_nests_are_dropped(nest: bytes) -> None:
    for count in (17, 1000, 60_000 // len(nest)):
        for data in (nest * count, nest * count + b"\xc0", b"\x81\xa2zz" + nest * count + b"\xc0"):
            with pytest.raises(DecodeError):
                decode(data)


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda tail: request("ping")[:30] + tail))
def test_any_bytes_give_a_message_or_decode_error(data: bytes) -> None:
    try:
        message = decode(data)
    except DecodeError:
        assert decode_canonical(data) is None
    else:
        assert decode_tolerant(data) == message
