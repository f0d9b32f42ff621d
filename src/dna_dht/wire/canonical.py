"""The fast reader of datagrams: a typed decoder that takes what our own writers and the reference send.

It refuses unknown keys, odd types and bytes behind the object, and hands inner values, queries and field
answers to readers that take canonical forms only. It never decides that something is wrong, and whatever it
takes the tolerant reader takes too, with the same result: where the first of repeated keys counts (values,
queries, field answers, parts), it takes only forms that cannot hide a repetition. In the envelope and the
body the last one counts, as typed decoders have it.
"""

import msgspec
from msgspec import UNSET

from dna_dht.wire import leaves
from dna_dht.wire import messages as m
from dna_dht.wire.envelope import NOTHING, REQUESTS, Body, Inner, Piece, Top, error_reply, notice, reply
from dna_dht.wire.limits import PACKED_VALUE
from dna_dht.wire.packing import binary_header_length, uint_length
from dna_dht.wire.query import unpack_fields_canonical, unpack_query_canonical
from dna_dht.wire.value_codec import unpack_canonical


def decode_canonical(datagram: bytes) -> m.Message | None:
    """Read one datagram; None for whatever is not taken here, which says nothing about the datagram."""
    try:
        top = _decode_top(datagram)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    body = top.a
    if body is UNSET:
        body = top.r
        if body is UNSET:
            if top.p is not UNSET and top.e is UNSET:
                return _part(top, top.p, len(datagram))
            body = top.u
            if body is UNSET:
                return None
    inner = NOTHING
    if body.values or body.q or body.fileds:
        found = _inner(body)
        if found is None:
            return None
        inner = found
    if top.e is not UNSET:
        return error_reply(top, body, top.e[0], top.e[1].encode())
    if top.r is not UNSET:
        return reply(top, body, inner)
    if top.p is not UNSET:
        return None
    if top.u is not UNSET:
        return notice(top, body)
    build = REQUESTS.get(top.q)
    return build(top, body, inner) if build is not None and top.y == "q" else None


def _part(top: Top, pieces: dict[int, Piece], length: int) -> m.Part | None:
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


def _inner(body: Body) -> Inner | None:
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
        return Inner((), (), query, fields)
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
    return Inner(tuple(values), tuple(sizes), query, fields)


_decode_top = msgspec.msgpack.Decoder(Top).decode
