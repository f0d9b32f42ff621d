"""The tolerant reader of datagrams: everything spec 01, section 3 accepts, at any size.

The scanner cuts the datagram into slices, within a budget; single fields are read from those (leaves).
"""

from collections.abc import Callable, Sequence

from msgspec import Raw

from dna_dht.errors import DecodeError
from dna_dht.wire import leaves
from dna_dht.wire import messages as m
from dna_dht.wire.envelope import (
    MAX_CODE,
    MAX_FAMILIES,
    REQUESTS,
    Body,
    Inner,
    Top,
    error_reply,
    notice,
    reply,
)
from dna_dht.wire.limits import INLINE_CHARGE, MAX_UINT32, MAX_UINT64, PACKED_VALUE, PIECE_CHARGE
from dna_dht.wire.query import unpack_fields, unpack_query
from dna_dht.wire.scanner import Scanner, bytes_of, is_map
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import unpack_canonical, unpack_tolerant

_BODIES = frozenset((b"a", b"r", b"u"))


def decode_tolerant(datagram: bytes) -> m.Message:
    """Read one datagram of any size; DecodeError if it is to be dropped."""
    scanner = Scanner()
    slices, bodies = scanner.envelope(datagram, _BODIES)
    kind, name, _agent = (leaves.text(slices[key]) if key in slices else None for key in (b"y", b"q", b"v"))
    top = Top(
        t=leaves.short_id(slices[b"t"]) if b"t" in slices else 0,
        n=leaves.uint(slices[b"n"], MAX_UINT32) if b"n" in slices else 0,
        s=leaves.boolean(slices[b"s"]) if b"s" in slices else False,
    )
    if b"p" in slices and b"e" not in slices and b"r" not in slices:
        return m.Part(tid=top.t, pieces=_pieces(slices[b"p"], scanner), network=top.n, client=top.s)
    body_key = next((key for key in (b"a", b"r", b"u") if key in slices), None)
    if body_key not in bodies:
        raise DecodeError("no body, or one that is no map")
    body = _body(bodies[body_key])
    inner = _inner(body, scanner)
    if b"e" in slices:
        return error_reply(top, body, *_error(slices[b"e"]))
    if b"r" in slices:
        return reply(top, body, inner)
    if b"u" in slices:
        return notice(top, body)
    build = REQUESTS.get((name or b"").decode("ascii", "replace"))
    if build is None or kind not in (None, b"q"):
        raise DecodeError("neither a known request nor a reply")
    return build(top, body, inner)


def _seen_ip(data: bytes) -> bytes:
    raw = bytes_of(data)
    if raw is None:
        raise DecodeError("an address is a bin")
    return raw


def _families(data: bytes) -> list[int]:
    """The integers among the first entries of `w`; other entries are skipped."""
    found = []
    for item in leaves.raw_items(data)[:MAX_FAMILIES]:
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


def _body(slices: dict[bytes, bytes]) -> Body:
    body = Body()
    for key, data in slices.items():
        read = _BODY_READERS.get(key)
        if read is not None:
            setattr(body, key.decode(), read(data))
    return body


def _inner(body: Body, scanner: Scanner) -> Inner:
    values, sizes = _values(body.values or (), scanner)
    query = unpack_query(bytes(body.q), scanner) if body.q else None
    fields = unpack_fields(bytes(body.fileds), scanner) if body.fileds else None
    return Inner(values, sizes, query, fields)


def _values(raws: Sequence[Raw], scanner: Scanner) -> tuple[tuple[Value, ...], m.Sizes]:
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
                value = _value(packed, scanner)
            if value is not None:
                values.append(value)
    return tuple(values), tuple(sizes)


def _value(packed: bytes, scanner: Scanner) -> Value | None:
    try:
        return unpack_tolerant(packed, scanner)
    except DecodeError:
        scanner.charge(0)  # an exhausted budget ends the datagram, not the value
        return None


def _pieces(data: bytes, scanner: Scanner) -> tuple[tuple[int, int, bytes], ...]:
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


def _error(data: bytes) -> tuple[int, bytes]:
    """Code and text; a text of odd form is left out, as nobody acts on it."""
    items = leaves.items(data)
    if not items:
        raise DecodeError("an error without code")
    code = leaves.uint(items[0], MAX_CODE)
    try:
        return code, leaves.text(items[1]) if len(items) > 1 else b""
    except DecodeError:
        return code, b""
