"""Packed values and the bytes that are signed. Source: spec 01, 9.1 to 9.4.

Two readers with one result. The canonical one is a typed decoder; that a packed value is exactly as long as
its canonical form proves that nothing but the order of keys differs from it (everything repeated, padded or
odd adds bytes). All else goes to the tolerant reader.
"""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from dna_dht.errors import DecodeError
from dna_dht.wire import leaves
from dna_dht.wire.infohash import LENGTH
from dna_dht.wire.limits import (
    MAX_SEQ,
    MAX_TYPE,
    MAX_UINT32,
    MAX_UINT64,
    PUBLIC_KEY,
)
from dna_dht.wire.packing import binary, binary_header_length, text, text_header, uint, uint_length
from dna_dht.wire.scanner import Scanner, bytes_of
from dna_dht.wire.value import Value

_NO_RECIPIENT = bytes(LENGTH)  # on the wire, 20 zero bytes and nothing mean the same
_SHORTEST = 11  # bytes: {id: 0, dat: empty bin}


def pack(value: Value) -> bytes:
    """The packed form that travels and is stored; ValueError for fields out of range."""
    if not (0 <= value.id <= MAX_UINT64 and 0 <= value.priority <= MAX_UINT32):
        raise ValueError(f"id {value.id} or priority {value.priority} out of range")
    pieces = [b"\x83\xa2id" if value.priority else b"\x82\xa2id", uint(value.id)]
    if value.cypher:
        pieces += (b"\xa3dat", binary(value.cypher))
    elif value.owner:
        pieces += (b"\xa3dat\x82\xa4body", signed_bytes(value), b"\xa3sig", binary(value.signature))
    else:
        pieces += (b"\xa3dat\x81\xa4body", signed_bytes(value))
    if value.priority:
        pieces += (b"\xa1p", uint(value.priority))
    return b"".join(pieces)


def signed_bytes(value: Value) -> bytes:
    """What the owner signs: the body map in canonical form (spec 01, 9.2); ValueError if out of range."""
    if not (0 <= value.type <= MAX_TYPE and 0 <= value.seq <= MAX_SEQ):
        raise ValueError(f"type {value.type} or seq {value.seq} out of range")
    entries = 2
    owner = recipient = user_type = b""
    if value.owner:
        if len(value.owner) != PUBLIC_KEY:
            raise ValueError(f"an owner key has {PUBLIC_KEY} bytes, got {len(value.owner)}")
        entries = 4
        owner = b"".join((b"\xa3seq", uint(value.seq), b"\xa5owner\xc5\x0a\x20", value.owner))
        if value.recipient and value.recipient != _NO_RECIPIENT:
            if len(value.recipient) != LENGTH:
                raise ValueError(f"a recipient has {LENGTH} bytes, got {len(value.recipient)}")
            entries = 5
            recipient = b"\xa2to\xc4\x14" + value.recipient
    if value.user_type:
        entries += 1
        user_type = b"\xa5utype" + text(value.user_type)
    return b"".join(
        (
            _MAP[entries],
            owner,
            recipient,
            b"\xa4type",
            uint(value.type),
            b"\xa4data",
            binary(value.data),
            user_type,
        )
    )


def unpack(packed: bytes, scanner: Scanner | None = None) -> Value:
    """Read a packed value; bytes after it are ignored. DecodeError (spec 01, 9.4).

    With *scanner*, its budget is used and a value that is not canonical is charged to it.
    """
    value = unpack_canonical(packed)
    return value if value is not None else unpack_tolerant(packed, scanner or Scanner())


def unpack_canonical(packed: bytes) -> Value | None:
    """Read a plain or signed value as :func:`pack` writes it, in any key order; None for anything else."""
    try:
        outer = _decode(packed)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    value_id, dat, priority = outer.id, outer.dat, outer.p
    body, signature = dat.body, dat.sig
    number, data, user_type, owner = body.type, body.data, body.utype, body.owner
    # What a plain value takes: 3 map headers, the keys id, dat, body, type, data, and their contents.
    size = len(data)
    length = 25 + uint_length(value_id) + uint_length(number) + binary_header_length(size) + size
    if priority:
        length += 2 + uint_length(priority)
    raw_type = b""
    if user_type:
        raw_type = user_type.encode()
        length += 6 + len(text_header(len(raw_type))) + len(raw_type)
    if not owner:
        if length != len(packed):  # also when seq, to or sig stand there without an owner
            return None
        return Value(id=value_id, type=number, data=data, user_type=raw_type, priority=priority)
    if signature is UNSET or body.seq < 0:
        return None
    size = len(signature)
    length += 4 + uint_length(body.seq) + 9 + PUBLIC_KEY + 4 + binary_header_length(size) + size
    if body.to:
        length += 25
    if length != len(packed) or len(owner) != PUBLIC_KEY or body.to == _NO_RECIPIENT:
        return None
    return Value(
        id=value_id,
        type=number,
        data=data,
        user_type=raw_type,
        seq=body.seq,
        owner=owner,
        recipient=body.to,
        signature=signature,
        priority=priority,
    )


def unpack_tolerant(packed: bytes, scanner: Scanner) -> Value:
    """Read a packed value in any form spec 01, 9.4 accepts; DecodeError."""
    if len(packed) < _SHORTEST:
        raise DecodeError("too short for a value")
    outer = scanner.fields(packed, first_wins=True)
    if b"id" not in outer or b"dat" not in outer:
        raise DecodeError("a value needs id and dat")
    value_id = leaves.uint(outer[b"id"], MAX_UINT64)
    priority = leaves.uint(outer[b"p"], MAX_UINT32) if b"p" in outer else 0
    cypher = bytes_of(outer[b"dat"])
    if cypher is not None:
        return Value(id=value_id, cypher=cypher, priority=priority)
    dat = scanner.fields(outer[b"dat"], first_wins=True)
    if b"body" not in dat:
        raise DecodeError("a value needs a body")
    body = scanner.fields(dat[b"body"], first_wins=True)
    if b"type" not in body or b"data" not in body:
        raise DecodeError("a value needs type and data")
    owner = signature = recipient = b""
    seq = 0
    if b"owner" in body:
        owner = leaves.blob(body[b"owner"])
        if len(owner) != PUBLIC_KEY or b"seq" not in body or b"sig" not in dat:
            raise DecodeError("an owned value needs a key of 2592 bytes, seq and sig")
        seq = leaves.uint(body[b"seq"], MAX_SEQ)
        signature = leaves.blob(dat[b"sig"])
        if b"to" in body:
            recipient = bytes(leaves.info_hash(body[b"to"]))
    return Value(
        id=value_id,
        type=leaves.uint(body[b"type"], MAX_TYPE),
        data=leaves.blob(body[b"data"]),
        user_type=leaves.text(body[b"utype"]) if b"utype" in body else b"",
        seq=seq,
        owner=owner,
        recipient=b"" if recipient == _NO_RECIPIENT else recipient,
        signature=signature,
        priority=priority,
    )


class _Body(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    type: Annotated[int, Meta(ge=0, le=MAX_TYPE)]
    data: bytes
    seq: Annotated[int, Meta(ge=0, le=MAX_SEQ)] = -1  # missing
    owner: bytes = b""
    to: Annotated[bytes, Meta(min_length=LENGTH, max_length=LENGTH)] = b""
    utype: str = ""


class _Dat(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    body: _Body
    sig: bytes | UnsetType = UNSET


class _Packed(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    id: Annotated[int, Meta(ge=0)]
    dat: _Dat
    p: Annotated[int, Meta(ge=0, le=MAX_UINT32)] = 0


_decode = msgspec.msgpack.Decoder(_Packed).decode
_MAP = tuple(bytes((0x80 | entries,)) for entries in range(16))
