"""Where objects end, against an independent reader; and every bound."""

from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_dht.errors import DecodeError
from dna_dht.wire.limits import ARRAY_ITEMS, DATAGRAM, DEPTH, MAP_ENTRIES, SCAN_ITEMS
from dna_dht.wire.scanner import Scanner, bytes_of, text_of

LEAVES = (
    st.integers(-(2**63), 2**64 - 1)
    | st.binary(max_size=300)
    | st.text(max_size=300)
    | st.floats(allow_nan=False)
    | st.sampled_from([None, True, False])
    | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=300))
)
OBJECTS: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=5), inner, max_size=20),
    max_leaves=30,
)


@given(st.dictionaries(st.text(max_size=40), OBJECTS, max_size=20), st.binary(max_size=5))
def test_maps_are_cut_where_the_objects_end(content: dict[str, Any], behind: bytes) -> None:
    found = Scanner().fields(msgpack.packb(content) + behind, first_wins=True)
    assert found == {key.encode(): msgpack.packb(value) for key, value in content.items()}


@given(st.dictionaries(st.text(max_size=5), OBJECTS, max_size=5), st.data())
def test_cut_short(content: dict[str, Any], data: st.DataObject) -> None:
    packed = msgpack.packb(content)
    end = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(DecodeError):
        Scanner().pairs(packed[:end])


def test_keys_that_are_no_text_are_left_out() -> None:
    packed = b"\x85\x05\x01\xc0\x02\xc4\x01a\x03\x91\x00\x04\xa1a\x05"
    assert Scanner().fields(packed, first_wins=True) == {b"a": b"\x05"}
    assert [key for key, _ in Scanner().pairs(packed)] == [
        b"\x05",
        b"\xc0",
        b"\xc4\x01a",
        b"\x91\x00",
        b"\xa1a",
    ]


def test_repeated_keys() -> None:
    packed = b"\x83\xa1a\x01\xd9\x01a\x02\xa1b\x03"
    assert Scanner().fields(packed, first_wins=True) == {b"a": b"\x01", b"b": b"\x03"}
    assert Scanner().fields(packed, first_wins=False) == {b"a": b"\x02", b"b": b"\x03"}


@pytest.mark.parametrize("packed", [b"", b"\xc0", b"\x90", b"\x05", b"\xa1a", b"\xdf\xff", b"\xde\x00"])
def test_no_map(packed: bytes) -> None:
    with pytest.raises(DecodeError):
        Scanner().pairs(packed)


@pytest.mark.parametrize("head", ["dd", "df", "c6", "db", "c9"])
def test_claims_of_four_giga_objects(head: str) -> None:
    claim = bytes.fromhex(head) + b"\xff\xff\xff\xff"
    for packed in (claim, b"\x81\xa1a" + claim, b"\x81\xa1a" + claim + b"\xc0" * 60_000):
        with pytest.raises(DecodeError):
            Scanner().pairs(packed)


def test_depth() -> None:
    Scanner().pairs(b"\x81\xa1a" + b"\x91" * (DEPTH - 1) + b"\xc0")
    for depth in (DEPTH, 60_000):
        with pytest.raises(DecodeError):
            Scanner().pairs(b"\x81\xa1a" + b"\x91" * depth + b"\xc0")
    with pytest.raises(DecodeError):
        Scanner().pairs(b"\x81\xa1a" * 20_000)


def test_sizes_of_containers() -> None:
    def array(count: int) -> bytes:
        return b"\x81\xa1a\xdc" + count.to_bytes(2, "big") + b"\xc0" * count

    def entries(count: int) -> bytes:
        return b"\xde" + count.to_bytes(2, "big") + b"\xa0\xc0" * count

    assert len(Scanner().pairs(array(ARRAY_ITEMS))) == 1
    assert len(Scanner().pairs(entries(MAP_ENTRIES))) == MAP_ENTRIES
    Scanner().pairs(b"\x81\xa1a" + entries(MAP_ENTRIES))
    for packed in (array(ARRAY_ITEMS + 1), entries(MAP_ENTRIES + 1), b"\x81\xa1a" + entries(MAP_ENTRIES + 1)):
        with pytest.raises(DecodeError):
            Scanner().pairs(packed)


def test_the_budget_covers_all_scans_of_one_scanner() -> None:
    thousand = b"\x81\xa1a\xdc\x03\xe8" + b"\xc0" * 1000
    scanner = Scanner()
    with pytest.raises(DecodeError):
        for _ in range(SCAN_ITEMS // 1000 + 1):
            scanner.pairs(thousand)
    with pytest.raises(DecodeError):
        scanner.charge(0)
    Scanner().pairs(thousand)


@pytest.mark.parametrize(
    "item", [b"\xc0", b"\xdc\x00\x00", b"\xde\x00\x00", b"\xc5\x00\x00", b"\x91\xc0", b"\xc7\x00\x05"]
)
def test_no_datagram_gets_more_than_the_budget(item: bytes) -> None:
    count = (DATAGRAM - 60) // len(item) // 8
    nested = b"\x81\xa1a\x98" + (b"\xdc" + min(count, ARRAY_ITEMS).to_bytes(2, "big") + item * count) * 8
    scanner = Scanner(budget=5000)
    with pytest.raises(DecodeError):
        scanner.pairs(nested)


@pytest.mark.parametrize("length", [0, 31, 32, 255, 256, 65_535, 65_536])
def test_contents_of_strings(length: int) -> None:
    raw = b"\xff" * length
    wide = length.to_bytes(4, "big") + raw
    assert bytes_of(msgpack.packb(raw)) == bytes_of(b"\xc6" + wide) == text_of(b"\xdb" + wide) == raw
    assert text_of(msgpack.packb("x" * length)) == b"x" * length
    assert text_of(msgpack.packb(raw)) is None and bytes_of(msgpack.packb("x" * length)) is None


@pytest.mark.parametrize(
    "other", [b"\x05", b"\xc0", b"\x90", b"\x80", b"\xcc\xff", b"\xc7\x01\x05a", b"\xd4\x05a"]
)
def test_other_objects_have_no_content(other: bytes) -> None:
    assert text_of(other) is None and bytes_of(other) is None
