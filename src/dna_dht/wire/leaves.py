"""The tolerant readers of single fields: one MessagePack slice in, a Python value or DecodeError out.

Which forms each kind of field takes: spec 01, section 3. Slices are whole objects, as Scanner cuts them.
"""

from typing import Annotated, Any

import msgspec

from dna_dht.errors import DecodeError
from dna_dht.wire.infohash import LENGTH, InfoHash
from dna_dht.wire.limits import MAX_UINT32
from dna_dht.wire.scanner import bytes_of, text_of

UInt32 = Annotated[int, msgspec.Meta(ge=0, le=MAX_UINT32)]
UInt64 = Annotated[int, msgspec.Meta(ge=0)]

_integer = msgspec.msgpack.Decoder(int).decode
_integers = msgspec.msgpack.Decoder(list[int]).decode
_slices = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode


def integer(data: bytes) -> int:
    """Any integer of 64 bits; floats and booleans are none."""
    try:
        return _integer(data)
    except msgspec.MsgspecError as error:
        raise DecodeError(f"integer: {error}") from None


def uint(data: bytes, maximum: int) -> int:
    """An integer from 0 to *maximum*."""
    number = uint_of(data)
    if number is None or number > maximum:
        raise DecodeError(f"an integer from 0 to {maximum} belongs here")
    return number


def uint_of(data: bytes) -> int | None:
    """The integer of *data* if that slice is one and not negative, in any of its forms; else None.

    For lists whose entries are skipped when they are of another kind: an exception costs more than reading.
    """
    head = data[0]
    if head < 0x80:
        return head
    if 0xCC <= head <= 0xCF:
        return int.from_bytes(data[1:], "big")
    if 0xD0 <= head <= 0xD3 and data[1] < 0x80:  # written as signed, but not negative
        return int.from_bytes(data[1:], "big")
    return None


def short_id(data: bytes) -> int:
    """A transaction or socket id: a 32-bit unsigned integer, or 4 bytes of it as bin or str."""
    raw = bytes_of(data)
    if raw is None:
        raw = text_of(data)
    if raw is None:
        return uint(data, MAX_UINT32)
    if len(raw) != 4:
        raise DecodeError(f"id of {len(raw)} bytes")
    return int.from_bytes(raw, "big")


def text(data: bytes) -> bytes:
    """A text: str or bin, any bytes."""
    raw = text_of(data)
    if raw is None:
        raw = bytes_of(data)
    if raw is None:
        raise DecodeError("a text belongs here")
    return raw


def blob(data: bytes) -> bytes:
    """Bytes: bin, str, or an array of integers 0 to 255."""
    raw = bytes_of(data)
    if raw is None:
        raw = text_of(data)
    if raw is not None:
        return raw
    try:
        return bytes(integers(data))
    except ValueError:
        raise DecodeError("an array of bytes holds a number over 255") from None


def info_hash(data: bytes) -> InfoHash:
    """A bin of exactly 20 bytes."""
    raw = bytes_of(data)
    if raw is None or len(raw) != LENGTH:
        raise DecodeError("an id is a bin of 20 bytes")
    return InfoHash(raw)


def integers(data: bytes) -> list[int]:
    """An array of 64-bit integers."""
    try:
        return _integers(data)
    except msgspec.MsgspecError as error:
        raise DecodeError(f"integers: {error}") from None


def uints(data: bytes) -> list[int]:
    """An array of integers from 0 to 2**64 - 1."""
    found = integers(data)
    if found and min(found) < 0:
        raise DecodeError("a negative number among ids")
    return found


def raw_items(data: bytes) -> list[msgspec.Raw]:
    """The items of an array, unread."""
    try:
        return _slices(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise DecodeError(f"array: {error}") from None


def items(data: bytes) -> list[bytes]:
    """The slices of the items of an array."""
    return [bytes(item) for item in raw_items(data)]


def boolean(data: bytes) -> bool:
    """true or false; the number 1 is neither."""
    if data == b"\xc3":
        return True
    if data == b"\xc2":
        return False
    raise DecodeError("true or false belongs here")


def canonical(decoder: "msgspec.msgpack.Decoder[Any]", data: bytes | msgspec.Raw) -> Any:
    """*data* through a typed decoder, or None if it is not of exactly that form."""
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
