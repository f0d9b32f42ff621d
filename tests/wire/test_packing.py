"""MessagePack primitives against an independent writer."""

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_dht.wire.packing import (
    array_header,
    binary,
    binary_header_length,
    map_header,
    text,
    text_header,
    uint,
    uint_length,
)

EDGES = [0, 1, 15, 16, 31, 32, 127, 128, 255, 256, 65_535, 65_536, 70_000]


@given(st.integers(0, 2**64 - 1) | st.sampled_from(EDGES) | st.sampled_from([2**32 - 1, 2**32]))
def test_integers(number: int) -> None:
    assert uint(number) == msgpack.packb(number) and uint_length(number) == len(uint(number))


@pytest.mark.parametrize("length", EDGES)
def test_strings(length: int) -> None:
    assert binary(bytes(length)) == msgpack.packb(bytes(length))
    assert binary_header_length(length) == len(binary(bytes(length))) - length
    assert text(b"x" * length) == msgpack.packb("x" * length)
    assert text_header(length) == text(b"x" * length)[: -length or None]


@pytest.mark.parametrize("count", EDGES)
def test_containers(count: int) -> None:
    packer = msgpack.Packer()
    assert array_header(count) == packer.pack_array_header(count)
    if count < 65_536:
        assert map_header(count) == packer.pack_map_header(count)


def test_texts_need_not_be_utf8() -> None:
    assert text(b"\xff\xfe") == b"\xa2\xff\xfe"


def test_numbers_beyond_64_bits() -> None:
    with pytest.raises(OverflowError):
        uint(2**64)
