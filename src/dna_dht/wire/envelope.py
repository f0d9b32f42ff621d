"""What both readers of datagrams fill, and the messages made from it. Source: spec 01, 4 to 6.

The types are at once the shape the typed decoder takes (:mod:`dna_dht.wire.canonical`) and the record the
tolerant reader fills field by field (:mod:`dna_dht.wire.tolerant`), so that both end in the same functions.
"""

from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from dna_dht.wire import messages as m
from dna_dht.wire.infohash import LENGTH, ZERO, InfoHash
from dna_dht.wire.leaves import UInt32, UInt64
from dna_dht.wire.limits import ADDRESS4, ADDRESS6, TOKEN_MAX
from dna_dht.wire.query import FieldAnswer, Query
from dna_dht.wire.value import Value

MAX_CODE = 65_535  # error codes have 16 bits in the reference
MAX_FAMILIES = 64  # entries of `w` looked at; there are two families
_FAMILIES = {2: m.WANT_IPV4, 10: m.WANT_IPV6, 23: m.WANT_IPV6, 30: m.WANT_IPV6}  # AF_ numbers (spec 01, 4.3)
_Hash = Annotated[bytes, Meta(min_length=LENGTH, max_length=LENGTH)]


class Body(msgspec.Struct, gc=False, forbid_unknown_fields=True):
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


class Piece(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    o: UInt64
    d: bytes


class Top(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The keys of a datagram (spec 01, section 4)."""

    a: Body | UnsetType = UNSET
    r: Body | UnsetType = UNSET
    q: str = ""
    t: UInt32 = 0
    y: str = "q"
    v: str = ""
    n: UInt32 = 0
    s: bool = False
    p: dict[UInt32, Piece] | UnsetType = UNSET
    e: tuple[Annotated[int, Meta(ge=0, le=MAX_CODE)], str] | UnsetType = UNSET
    u: Body | UnsetType = UNSET


class Inner(msgspec.Struct, frozen=True, gc=False):
    """What stands inside a body and has a reader of its own."""

    values: tuple[Value, ...]
    sizes: m.Sizes
    query: Query | None
    fields: FieldAnswer | None


NOTHING = Inner((), (), None, None)


def _id(raw: bytes) -> InfoHash:
    return bytes.__new__(InfoHash, raw) if raw else ZERO  # the length is checked


def _want(families: list[int] | UnsetType) -> int | None:
    if families is UNSET:
        return None
    want = 0
    for family in families[:MAX_FAMILIES]:
        want |= _FAMILIES.get(family, 0)
    return want


def _kept(token: bytes) -> bytes:
    """A token others gave us, if we keep ones of its length."""
    return token if len(token) <= TOKEN_MAX else b""


def _ids(numbers: list[int] | UnsetType) -> tuple[int, ...]:
    return tuple(numbers) if numbers else ()


def _created(number: int | UnsetType) -> int | None:
    return None if number is UNSET else number


def _ping(top: Top, body: Body, _inner: Inner) -> m.Message:
    return m.Ping(tid=top.t, sender=_id(body.id), network=top.n, client=top.s)


def _find(top: Top, body: Body, _inner: Inner) -> m.Message:
    return m.Find(
        tid=top.t,
        sender=_id(body.id),
        target=_id(body.target),
        want=_want(body.w),
        network=top.n,
        client=top.s,
    )


def _get(top: Top, body: Body, inner: Inner) -> m.Message:
    return m.Get(
        tid=top.t,
        sender=_id(body.id),
        key=_id(body.h),
        query=inner.query,
        want=_want(body.w),
        network=top.n,
        client=top.s,
    )


def _put(top: Top, body: Body, inner: Inner) -> m.Message:
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


def _refresh(top: Top, body: Body, _inner: Inner) -> m.Message:
    return m.Refresh(
        tid=top.t,
        sender=_id(body.id),
        key=_id(body.h),
        value_id=body.vid,
        token=body.token,
        network=top.n,
        client=top.s,
    )


def _listen(top: Top, body: Body, inner: Inner) -> m.Message:
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


def _update(top: Top, body: Body, inner: Inner) -> m.Message:
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


def reply(top: Top, body: Body, inner: Inner) -> m.Message:
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


def error_reply(top: Top, body: Body, code: int, text: bytes) -> m.Message:
    return m.ErrorReply(tid=top.t, sender=_id(body.id), code=code, text=text, network=top.n, client=top.s)


def notice(top: Top, body: Body) -> m.Message:
    return m.Notice(
        tid=top.t,
        sender=_id(body.id),
        token=_kept(body.token),
        refreshed=_ids(body.re),
        expired=_ids(body.exp),
        network=top.n,
        client=top.s,
    )


REQUESTS: dict[str, Callable[[Top, Body, Inner], m.Message]] = {
    "ping": _ping,
    "find": _find,
    "get": _get,
    "put": _put,
    "refresh": _refresh,
    "listen": _listen,
    "update": _update,
}
