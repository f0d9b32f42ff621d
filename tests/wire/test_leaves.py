"""Which forms each kind of field takes (spec 01, section 3)."""

from collections.abc import Callable
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest

from dna_dht.errors import DecodeError
from dna_dht.wire import leaves

MAX64 = 2**64 - 1


def refused(read: Callable[[bytes], Any], *odd: object) -> list[tuple[Callable[[bytes], Any], bytes]]:
    return [(read, msgpack.packb(each)) for each in odd]


@pytest.mark.parametrize(
    ("read", "data", "expected"),
    [
        (leaves.integer, b"\xd3" + b"\x80" + bytes(7), -(2**63)),
        (leaves.integer, b"\xcf" + b"\xff" * 8, MAX64),
        (leaves.integer, b"\xd0\x05", 5),
        (leaves.short_id, b"\x05", 5),
        (leaves.short_id, b"\xce\xff\xff\xff\xff", 2**32 - 1),
        (leaves.short_id, b"\xc4\x04\x01\x02\x03\x04", 0x01020304),
        (leaves.short_id, b"\xa4abcd", 0x61626364),
        (leaves.text, b"\xa2\xff\xfe", b"\xff\xfe"),
        (leaves.text, b"\xc4\x01x", b"x"),
        (leaves.blob, b"\xc4\x01x", b"x"),
        (leaves.blob, b"\xa1x", b"x"),
        (leaves.blob, b"\x92\x00\xcc\xff", b"\x00\xff"),
        (leaves.info_hash, b"\xc4\x14" + b"i" * 20, b"i" * 20),
        (leaves.uints, b"\x92\x01\xcf" + b"\xff" * 8, [1, MAX64]),
        (leaves.integers, b"\x92\x01\xff", [1, -1]),
        (leaves.items, b"\x92\x01\x91\xa1x", [b"\x01", b"\x91\xa1x"]),
        (leaves.boolean, b"\xc3", True),
        (leaves.boolean, b"\xc2", False),
    ],
)
def test_accepted(read: Callable[[bytes], Any], data: bytes, expected: object) -> None:
    assert read(data) == expected


@pytest.mark.parametrize(
    ("read", "data"),
    [
        *refused(leaves.integer, 1.0, True, None, "1", b"1", [1]),
        *refused(leaves.short_id, -1, 2**32, 1.0, b"abc", b"abcde", "abc", "", [1]),
        *refused(leaves.text, 1, None, ["x"], [120]),
        *refused(leaves.blob, 1, None, [256], [-1], ["x"], {}),
        *refused(leaves.info_hash, b"i" * 19, b"i" * 21, b"", "i" * 20, [0] * 20, None),
        *refused(leaves.uints, [-1], ["x"], [1.0], 1, None, [True]),
        *refused(leaves.items, 1, {}, b""),
        *refused(leaves.boolean, 1, 0, None, "true"),
    ],
)
def test_refused(read: Callable[[bytes], Any], data: bytes) -> None:
    with pytest.raises(DecodeError):
        read(data)


def test_uint_has_a_maximum() -> None:
    assert leaves.uint(b"\x05", 5) == 5
    for data in (b"\x06", b"\xff", b"\xcb" + bytes(8)):
        with pytest.raises(DecodeError):
            leaves.uint(data, 5)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x7f", 127),
        (b"\xcc\x05", 5),
        (b"\xcd\xff\xff", 65_535),
        (b"\xce\xff\xff\xff\xff", 2**32 - 1),
        (b"\xcf" + b"\xff" * 8, MAX64),
        (b"\xd0\x7f", 127),
        (b"\xd3\x7f" + b"\xff" * 7, 2**63 - 1),
        *((data, None) for data in (b"\xff", b"\xd0\xff", b"\xd1\x80\x00", b"\xd3" + b"\xff" * 8)),
        *((data, None) for _, data in refused(leaves.integer, 1.0, True, None, "1", b"1", [1], {})),
    ],
)
def test_unsigned_integers_among_others(data: bytes, expected: int | None) -> None:
    assert leaves.uint_of(data) == expected
