"""The few MessagePack primitives the encoders join into datagrams, each in its shortest form (spec 01, 3)."""

from collections.abc import Callable

import msgspec

uint: Callable[[int], bytes] = msgspec.msgpack.Encoder().encode
"""An integer; OverflowError beyond 64 bits."""


def binary(raw: bytes) -> bytes:
    """A byte string as bin."""
    length = len(raw)
    if length < 0x100:
        return _BIN8[length] + raw
    if length < 0x10000:
        return b"\xc5" + length.to_bytes(2, "big") + raw
    return b"\xc6" + length.to_bytes(4, "big") + raw


def uint_length(number: int) -> int:
    """Bytes *number* (0 to 2**64 - 1) takes."""
    if number < 0x80:
        return 1
    if number < 0x100:
        return 2
    if number < 0x10000:
        return 3
    return 5 if number < 0x1_0000_0000 else 9


def binary_header_length(length: int) -> int:
    """Bytes in front of a bin of *length* bytes."""
    if length < 0x100:
        return 2
    return 3 if length < 0x10000 else 5


def text_header(length: int) -> bytes:
    """What stands before a text (str) of *length* bytes."""
    if length < 32:
        return bytes((0xA0 | length,))
    if length < 0x100:
        return bytes((0xD9, length))
    if length < 0x10000:
        return b"\xda" + length.to_bytes(2, "big")
    return b"\xdb" + length.to_bytes(4, "big")


def text(raw: bytes) -> bytes:
    """A text given as bytes, which need not be UTF-8 (spec 01, section 3)."""
    return text_header(len(raw)) + raw


def array_header(count: int) -> bytes:
    """What stands before an array of *count* items."""
    if count < 16:
        return bytes((0x90 | count,))
    if count < 0x10000:
        return b"\xdc" + count.to_bytes(2, "big")
    return b"\xdd" + count.to_bytes(4, "big")


def map_header(count: int) -> bytes:
    """What stands before a map of *count* entries, 0 to 65,535."""
    return bytes((0x80 | count,)) if count < 16 else b"\xde" + count.to_bytes(2, "big")


_BIN8 = tuple(bytes((0xC4, length)) for length in range(0x100))
