"""Packed values: the recorded ones byte for byte, what is tolerated, what is refused."""

import hashlib
import json
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_dht.errors import DecodeError
from dna_dht.wire.scanner import Scanner
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack, signed_bytes, unpack, unpack_canonical, unpack_tolerant

DIRECTORY = Path(__file__).parent.parent / "vectors"
RECORDED: Any = json.loads((DIRECTORY / "wire-values.json").read_text())["values"]
CASES: Any = json.loads((DIRECTORY / "wire-value-unpack.json").read_text())["cases"]
ACCEPTED = [case for case in CASES if case["accepted"]]
OWNER, SIGNATURE = b"k" * 2592, b"s" * 4627


def values() -> st.SearchStrategy[Value]:
    """Values as they come back from the wire."""
    common = {
        "id": st.integers(0, 2**64 - 1),
        "priority": st.integers(0, 2**32 - 1) | st.just(0),
    }
    content = {
        "type": st.integers(0, 65_535),
        "data": st.binary(max_size=80) | st.integers(0, 70_000).map(bytes),
        "user_type": st.binary(max_size=40) | st.text(max_size=40).map(str.encode),
    }
    signing = {
        "seq": st.integers(0, 65_535),
        "owner": st.just(OWNER),
        "recipient": st.just(b"") | st.just(b"r" * 20),
        "signature": st.just(SIGNATURE) | st.binary(max_size=20),
    }
    return (
        st.builds(Value, **common, **content)
        | st.builds(Value, **common, **content, **signing)
        | st.builds(Value, **common, cypher=st.binary(min_size=1, max_size=300))
    )


def check_fields(value: Value, expected: dict[str, Any]) -> None:
    data = expected["data"]
    digest = hashlib.sha1(value.data, usedforsecurity=False).hexdigest()
    assert data == ("sha1:" + digest if data.startswith("sha1:") else value.data.hex())
    assert len(value.data) == expected["data_len"]
    assert str(value.id) == expected["id"] and value.type == expected["type"]
    assert value.cypher.hex() == expected["cypher"] and value.recipient.hex() == expected["recipient"]
    assert value.is_encrypted is expected["is_encrypted"] and value.is_signed is expected["is_signed"]
    assert (value.owner_id.hex() if value.owner else "") == expected["owner_id"]
    assert value.priority == expected["prio"]
    assert value.seq == (expected["seq"] if value.owner else 0)
    assert len(value.signature) == expected["signature_len"] and value.size == expected["size"]
    assert value.user_type.decode() == expected["user_type"]


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["name"])
def test_recorded_values(case: dict[str, Any]) -> None:
    packed = bytes.fromhex(case["packed"])
    value = unpack(packed)
    check_fields(value, case)
    assert pack(value) == packed and len(packed) == case["packed_len"]
    assert pack(msgspec.structs.replace(value, seq=case["seq"])) == packed  # written only with an owner
    assert unpack_canonical(packed) == (None if value.is_encrypted else value)
    to_sign = signed_bytes(value)
    assert hashlib.sha1(to_sign, usedforsecurity=False).hexdigest() == case["to_sign_sha1"]
    assert "to_sign" not in case or to_sign.hex() == case["to_sign"]


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case["name"])
def test_accepted(case: dict[str, Any]) -> None:
    packed = bytes.fromhex(case["input"])
    value = unpack(packed)
    check_fields(value, case["value"])
    assert unpack_tolerant(packed, Scanner()) == value and unpack_canonical(packed) in (None, value)
    assert unpack(pack(value)) == value


@pytest.mark.parametrize("case", [c for c in CASES if not c["accepted"]], ids=lambda case: case["name"])
def test_refused(case: dict[str, Any]) -> None:
    with pytest.raises(DecodeError):
        unpack(bytes.fromhex(case["input"]))
    assert unpack_canonical(bytes.fromhex(case["input"])) is None


@given(values())
def test_round_trip(value: Value) -> None:
    packed = pack(value)
    assert unpack(packed) == unpack_tolerant(packed, Scanner()) == value
    assert unpack(packed + b"behind") == value


@given(values())
def test_an_independent_writer_makes_the_same_bytes(value: Value) -> None:
    body: dict[str, Any] = {"seq": value.seq, "owner": value.owner} if value.owner else {}
    if value.recipient:
        body["to"] = value.recipient
    body |= {"type": value.type, "data": value.data}
    if value.user_type:
        body["utype"] = value.user_type.decode("utf-8", "surrogateescape")
    dat: Any = {"body": body, "sig": value.signature} if value.owner else {"body": body}
    outer = {"id": value.id, "dat": value.cypher or dat}
    if value.priority:
        outer["p"] = value.priority
    assert pack(value) == msgpack.packb(outer, unicode_errors="surrogateescape")
    if not value.is_encrypted:
        assert signed_bytes(value) == msgpack.packb(body, unicode_errors="surrogateescape")


@given(st.integers(0, 58_286), st.integers(0, 2**64 - 1), st.integers(0, 65_535))
def test_data_that_always_fits(length: int, value_id: int, seq: int) -> None:
    value = Value(id=value_id, type=0x1001, seq=seq, data=bytes(length), owner=OWNER, signature=SIGNATURE)
    assert len(pack(value)) <= 65_568


def test_signed_bytes_do_not_cover_id_and_priority() -> None:
    one = Value(id=1, type=2, data=b"d", owner=OWNER, signature=SIGNATURE)
    other = Value(id=2, type=2, data=b"d", owner=OWNER, signature=b"other", priority=9)
    assert signed_bytes(one) == signed_bytes(other)


@pytest.mark.parametrize(
    "value",
    [
        Value(id=-1),
        Value(id=2**64),
        Value(id=1, priority=2**32),
        Value(id=1, type=65_536),
        Value(id=1, type=-1),
        Value(id=1, seq=65_536, owner=OWNER),
        Value(id=1, owner=b"short"),
        Value(id=1, owner=OWNER, recipient=b"short"),
    ],
)
def test_fields_out_of_range_are_not_packed(value: Value) -> None:
    with pytest.raises(ValueError):
        pack(value)


def test_a_missing_signature_is_not_hidden_by_other_oddities() -> None:
    """The bytes a signature leaves out are filled by a long form of a number: still refused."""
    body = {"seq": 2, "owner": OWNER, "type": 1, "data": b"x"}
    packed = msgpack.packb({"id": 7, "dat": {"body": body}})
    padded = packed.replace(b"\xa2id\x07", b"\xa2id\xce\x00\x00\x00\x07") + b"\x00\x00"
    for data in (packed, padded, padded[:-1], padded[:-2]):
        with pytest.raises(DecodeError):
            unpack(data)


def test_a_repeated_key_counts_once_and_the_first_wins() -> None:
    body = msgpack.packb({"type": 1, "data": b"x"})
    twice = (
        b"\x82\xa2id\x01\xa3dat\x82\xa4body" + body + b"\xa4body" + msgpack.packb({"type": 2, "data": b"y"})
    )
    assert (unpack(twice).type, unpack(twice).data) == (1, b"x")
    assert unpack_canonical(twice) is None


def test_texts_that_are_no_utf8_survive() -> None:
    value = Value(id=1, user_type=b"\xff\xfe", data=b"x")
    assert unpack(pack(value)).user_type == b"\xff\xfe"


@pytest.mark.parametrize("depth", [10, 40, 5000])
def test_depth_is_bounded(depth: int) -> None:
    packed = b"\x83\xa1x" + b"\x91" * depth + b"\xc0" + pack(Value(id=1))[1:]
    if depth < 16:
        assert unpack(packed) == Value(id=1)
    else:
        with pytest.raises(DecodeError):
            unpack(packed)
