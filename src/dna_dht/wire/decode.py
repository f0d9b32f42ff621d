"""Datagram -> Message. Total: any bytes give a message or DecodeError. Source: spec 01, sections 3 and 4.

Two paths with one result. The fast one is a typed decoder that takes what our own writers and the reference
send: it refuses unknown keys, odd types and bytes behind the object, and hands inner values, queries and
field answers to readers that take canonical forms only. Whatever it does not take goes, from the start, the
tolerant way: the scanner cuts the datagram into slices, and single fields are read from those (leaves).

The fast path never decides that something is wrong, and whatever it takes the tolerant one takes too, with
the same result: it tries datagrams of at most FAST_DATAGRAM bytes, which cannot reach the tolerant path's
limits; and where the first of repeated keys counts (values, queries, field answers, parts), it takes only
forms that cannot hide a repetition. In the envelope and the body the last one counts, as typed decoders
have it.
"""

from collections.abc import Callable, Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from dna_dht.errors import DecodeError
from dna_dht.wire import leaves
from dna_dht.wire import messages as m
from dna_dht.wire.infohash import LENGTH, ZERO, InfoHash
from dna_dht.wire.leaves import UInt32, UInt64
from dna_dht.wire.limits import (
    ADDRESS4,
    ADDRESS6,
    FAST_DATAGRAM,
    INLINE_CHARGE,
    MAX_UINT32,
    MAX_UINT64,
    PACKED_VALUE,
    PIECE_CHARGE,
    TOKEN_MAX,
)
from dna_dht.wire.packing import binary_header_length, uint_length
from dna_dht.wire.query import (
    FieldAnswer,
    Query,
    unpack_fields,
    unpack_fields_canonical,
    unpack_query,
    unpack_query_canonical,
)
from dna_dht.wire.scanner import Scanner, bytes_of, is_map
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import unpack_canonical, unpack_tolerant

_BODIES = frozenset((b"a", b"r", b"u"))
_MAX_CODE = 65_535  # error codes have 16 bits in the reference
_MAX_FAMILIES = 64  # entries of `w` looked at; there are two families
_FAMILIES = {2: m.WANT_IPV4, 10: m.WANT_IPV6, 23: m.WANT_IPV6, 30: m.WANT_IPV6}  # AF_ numbers (spec 01, 4.3)


def decode(datagram: bytes) -> m.Message:
    """Read one datagram; DecodeError if it is to be dropped."""
    if len(datagram) <= FAST_DATAGRAM:
        message = decode_canonical(datagram)
        if message is not None:
            return message
    return decode_tolerant(datagram)


def decode_canonical(datagram: bytes) -> m.Message | None:
    """The fast path: None for whatever it does not take, which says nothing about the datagram."""
    try:
        top = _decode_top(datagram)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    body = top.a
    if body is UNSET:
        body = top.r
        if body is UNSET:
            if top.p is not UNSET and top.e is UNSET:
                return _canonical_part(top, top.p, len(datagram))
            body = top.u
            if body is UNSET:
                return None
    inner = _NOTHING
    if body.values or body.q or body.fileds:
        found = _canonical_inner(body)
        if found is None:
            return None
        inner = found
    if top.e is not UNSET:
        return _error_reply(top, body, top.e[0], top.e[1].encode())
    if top.r is not UNSET:
        return _reply(top, body, inner)
    if top.p is not UNSET:
        return None
    if top.u is not UNSET:
        return _notice(top, body)
    build = _REQUESTS.get(top.q)
    return build(top, body, inner) if build is not None and top.y == "q" else None


def decode_tolerant(datagram: bytes) -> m.Message:
    """The tolerant path alone: the same result as :func:`decode`, at any size; DecodeError."""
    scanner = Scanner()
    slices, bodies = scanner.envelope(datagram, _BODIES)
    kind, name, _agent = (leaves.text(slices[key]) if key in slices else None for key in (b"y", b"q", b"v"))
    top = _Top(
        t=leaves.short_id(slices[b"t"]) if b"t" in slices else 0,
        n=leaves.uint(slices[b"n"], MAX_UINT32) if b"n" in slices else 0,
        s=leaves.boolean(slices[b"s"]) if b"s" in slices else False,
    )
    if b"p" in slices and b"e" not in slices and b"r" not in slices:
        return m.Part(tid=top.t, pieces=_tolerant_pieces(slices[b"p"], scanner), network=top.n, client=top.s)
    body_key = next((key for key in (b"a", b"r", b"u") if key in slices), None)
    if body_key not in bodies:
        raise DecodeError("no body, or one that is no map")
    body = _tolerant_body(bodies[body_key])
    inner = _tolerant_inner(body, scanner)
    if b"e" in slices:
        return _error_reply(top, body, *_tolerant_error(slices[b"e"]))
    if b"r" in slices:
        return _reply(top, body, inner)
    if b"u" in slices:
        return _notice(top, body)
    build = _REQUESTS.get((name or b"").decode("ascii", "replace"))
    if build is None or kind not in (None, b"q"):
        raise DecodeError("neither a known request nor a reply")
    return build(top, body, inner)


# -- What both paths fill ----------------------------------------------------------------------------------

_Hash = Annotated[bytes, Meta(min_length=LENGTH, max_length=LENGTH)]


class _Body(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The keys of `a`, `r` and `u` (spec 01, 4.3). Missing: empty, 0 or UNSET."""

    id: _Hash = b""
    target: _Hash = b""
    h: _Hash = b""
    w: list[int] | UnsetType = UNSET
    q: Raw = Raw()
    values: list[Raw] | UnsetType = UNSET
    fileds: Raw = Raw()
    c: int | UnsetType = UNSET
    token: bytes = b""
    vid: UInt64 = 0
    sid: UInt32 = 0
    ve: UInt32 = 0
    re: list[UInt64] | UnsetType = UNSET
    exp: list[UInt64] | UnsetType = UNSET
    sa: bytes = b""
    n4: bytes = b""
    n6: bytes = b""


class _Piece(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    o: UInt64
    d: bytes


class _Top(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The keys of a datagram (spec 01, section 4)."""

    a: _Body | UnsetType = UNSET
    r: _Body | UnsetType = UNSET
    q: str = ""
    t: UInt32 = 0
    y: str = "q"
    v: str = ""
    n: UInt32 = 0
    s: bool = False
    p: dict[UInt32, _Piece] | UnsetType = UNSET
    e: tuple[Annotated[int, Meta(ge=0, le=_MAX_CODE)], str] | UnsetType = UNSET
    u: _Body | UnsetType = UNSET


class _Inner(msgspec.Struct, frozen=True, gc=False):
    """What stands inside a body and has a reader of its own."""

    values: tuple[Value, ...]
    sizes: m.Sizes
    query: Query | None
    fields: FieldAnswer | None


_NOTHING = _Inner((), (), None, None)


# -- The fast path -----------------------------------------------------------------------------------------

_decode_top = msgspec.msgpack.Decoder(_Top).decode


def _canonical_part(top: _Top, pieces: dict[int, _Piece], length: int) -> m.Part | None:
    """The part if it holds one piece and the datagram is no longer than that takes."""
    if len(pieces) != 1:
        return None
    ((index, piece),) = pieces.items()
    offset, data = piece.o, piece.d
    size = len(data)
    expected = 15 + uint_length(top.t) + uint_length(index) + uint_length(offset)
    expected += binary_header_length(size) + size
    if top.n:
        expected += 2 + uint_length(top.n)
    if top.s:
        expected += 3
    if expected != length:
        return None
    return m.Part(tid=top.t, pieces=((index, offset, data),), network=top.n, client=top.s)


def _canonical_inner(body: _Body) -> _Inner | None:
    query = fields = None
    if body.q:
        query = unpack_query_canonical(bytes(body.q))
        if query is None:
            return None
    if body.fileds:
        fields = unpack_fields_canonical(bytes(body.fileds))
        if fields is None:
            return None
    if not body.values:
        return _Inner((), (), query, fields)
    values, sizes = [], []
    for index, raw in enumerate(body.values):
        packed = bytes(raw)
        size = leaves.uint_of(packed)
        if size is not None:
            if size <= PACKED_VALUE:
                sizes.append((index, size))
            continue
        value = unpack_canonical(packed)
        if value is None:
            return None
        values.append(value)
    return _Inner(tuple(values), tuple(sizes), query, fields)


# -- The tolerant path -------------------------------------------------------------------------------------


def _seen_ip(data: bytes) -> bytes:
    raw = bytes_of(data)
    if raw is None:
        raise DecodeError("an address is a bin")
    return raw


def _families(data: bytes) -> list[int]:
    """The integers among the first entries of `w`; other entries are skipped."""
    found = []
    for item in leaves.raw_items(data)[:_MAX_FAMILIES]:
        try:
            found.append(leaves.integer(bytes(item)))
        except DecodeError:
            continue
    return found


_BODY_READERS: dict[bytes, Callable[[bytes], object]] = {
    b"id": leaves.info_hash,
    b"target": leaves.info_hash,
    b"h": leaves.info_hash,
    b"w": _families,
    b"q": Raw,
    b"values": leaves.raw_items,
    b"fileds": Raw,
    b"c": leaves.integer,
    b"token": leaves.blob,
    b"vid": lambda data: leaves.uint(data, MAX_UINT64),
    b"sid": leaves.short_id,
    b"ve": lambda data: leaves.uint(data, MAX_UINT32),
    b"re": leaves.uints,
    b"exp": leaves.uints,
    b"sa": _seen_ip,
    b"n4": leaves.blob,
    b"n6": leaves.blob,
}


def _tolerant_body(slices: dict[bytes, bytes]) -> _Body:
    body = _Body()
    for key, data in slices.items():
        read = _BODY_READERS.get(key)
        if read is not None:
            setattr(body, key.decode(), read(data))
    return body


def _tolerant_inner(body: _Body, scanner: Scanner) -> _Inner:
    values, sizes = _tolerant_values(body.values or (), scanner)
    query = unpack_query(bytes(body.q), scanner) if body.q else None
    fields = unpack_fields(bytes(body.fileds), scanner) if body.fileds else None
    return _Inner(values, sizes, query, fields)


def _tolerant_values(raws: Sequence[Raw], scanner: Scanner) -> tuple[tuple[Value, ...], m.Sizes]:
    """Inline values and announced sizes; entries of other kinds and undecodable values are skipped."""
    scanner.charge(len(raws))  # a second time: looking at an entry costs as much as finding it
    values, sizes = [], []
    for index, raw in enumerate(raws):
        packed = bytes(raw)
        size = leaves.uint_of(packed)
        if size is not None:
            if size <= PACKED_VALUE:
                sizes.append((index, size))
        elif is_map(packed):
            value = unpack_canonical(packed)
            if value is None:
                scanner.charge(INLINE_CHARGE)
                value = _tolerant_value(packed, scanner)
            if value is not None:
                values.append(value)
    return tuple(values), tuple(sizes)


def _tolerant_value(packed: bytes, scanner: Scanner) -> Value | None:
    try:
        return unpack_tolerant(packed, scanner)
    except DecodeError:
        scanner.charge(0)  # an exhausted budget ends the datagram, not the value
        return None


def _tolerant_pieces(data: bytes, scanner: Scanner) -> tuple[tuple[int, int, bytes], ...]:
    """The pieces of `p`; those without offset or data are skipped, of repeated indexes the first counts."""
    pieces: dict[int, tuple[int, int, bytes]] = {}
    for key, entry in scanner.pairs(data):
        scanner.charge(PIECE_CHARGE)
        index = leaves.uint(key, MAX_UINT32)
        slices = scanner.fields(entry, first_wins=True)
        if b"o" in slices and b"d" in slices:
            piece = (index, leaves.uint(slices[b"o"], MAX_UINT64), leaves.blob(slices[b"d"]))
            pieces.setdefault(index, piece)
    return tuple(pieces.values())


def _tolerant_error(data: bytes) -> tuple[int, bytes]:
    """Code and text; a text of odd form is left out, as nobody acts on it."""
    items = leaves.items(data)
    if not items:
        raise DecodeError("an error without code")
    code = leaves.uint(items[0], _MAX_CODE)
    try:
        return code, leaves.text(items[1]) if len(items) > 1 else b""
    except DecodeError:
        return code, b""


# -- Messages from what was read ---------------------------------------------------------------------------


def _id(raw: bytes) -> InfoHash:
    return bytes.__new__(InfoHash, raw) if raw else ZERO  # the length is checked


def _want(families: list[int] | UnsetType) -> int | None:
    if families is UNSET:
        return None
    want = 0
    for family in families[:_MAX_FAMILIES]:
        want |= _FAMILIES.get(family, 0)
    return want


def _kept(token: bytes) -> bytes:
    """A token others gave us, if we keep ones of its length."""
    return token if len(token) <= TOKEN_MAX else b""


def _ids(numbers: list[int] | UnsetType) -> tuple[int, ...]:
    return tuple(numbers) if numbers else ()


def _created(number: int | UnsetType) -> int | None:
    return None if number is UNSET else number


def _ping(top: _Top, body: _Body, _inner: _Inner) -> m.Message:
    return m.Ping(tid=top.t, sender=_id(body.id), network=top.n, client=top.s)


def _find(top: _Top, body: _Body, _inner: _Inner) -> m.Message:
    return m.Find(
        tid=top.t,
        sender=_id(body.id),
        target=_id(body.target),
        want=_want(body.w),
        network=top.n,
        client=top.s,
    )


def _get(top: _Top, body: _Body, inner: _Inner) -> m.Message:
    return m.Get(
        tid=top.t,
        sender=_id(body.id),
        key=_id(body.h),
        query=inner.query,
        want=_want(body.w),
        network=top.n,
        client=top.s,
    )


def _put(top: _Top, body: _Body, inner: _Inner) -> m.Message:
    return m.Put(
        tid=top.t,
        sender=_id(body.id),
        key=_id(body.h),
        token=body.token,
        values=inner.values,
        sizes=inner.sizes,
        created=_created(body.c),
        network=top.n,
        client=top.s,
    )


def _refresh(top: _Top, body: _Body, _inner: _Inner) -> m.Message:
    return m.Refresh(
        tid=top.t,
        sender=_id(body.id),
        key=_id(body.h),
        value_id=body.vid,
        token=body.token,
        network=top.n,
        client=top.s,
    )


def _listen(top: _Top, body: _Body, inner: _Inner) -> m.Message:
    return m.Listen(
        tid=top.t,
        sender=_id(body.id),
        key=_id(body.h),
        token=body.token,
        socket_id=body.sid,
        query=inner.query,
        version=body.ve,
        network=top.n,
        client=top.s,
    )


def _update(top: _Top, body: _Body, inner: _Inner) -> m.Message:
    return m.Update(
        tid=top.t,
        sender=_id(body.id),
        socket_id=body.sid,
        token=_kept(body.token),
        key=_id(body.h),
        version=body.ve,
        values=inner.values,
        sizes=inner.sizes,
        refreshed=_ids(body.re),
        expired=_ids(body.exp),
        created=_created(body.c),
        network=top.n,
        client=top.s,
    )


def _reply(top: _Top, body: _Body, inner: _Inner) -> m.Message:
    return m.Reply(
        tid=top.t,
        sender=_id(body.id),
        seen_ip=body.sa if len(body.sa) in (ADDRESS4, ADDRESS6) else b"",
        nodes4=body.n4,
        nodes6=body.n6,
        token=_kept(body.token),
        values=inner.values,
        sizes=inner.sizes,
        fields=inner.fields,
        value_id=body.vid,
        network=top.n,
        client=top.s,
    )


def _error_reply(top: _Top, body: _Body, code: int, text: bytes) -> m.Message:
    return m.ErrorReply(tid=top.t, sender=_id(body.id), code=code, text=text, network=top.n, client=top.s)


def _notice(top: _Top, body: _Body) -> m.Message:
    return m.Notice(
        tid=top.t,
        sender=_id(body.id),
        token=_kept(body.token),
        refreshed=_ids(body.re),
        expired=_ids(body.exp),
        network=top.n,
        client=top.s,
    )


_REQUESTS: dict[str, Callable[[_Top, _Body, _Inner], m.Message]] = {
    "ping": _ping,
    "find": _find,
    "get": _get,
    "put": _put,
    "refresh": _refresh,
    "listen": _listen,
    "update": _update,
}
