"""Message -> datagrams, byte for byte what the reference writes (key order: spec 01, 4.1 and 5 to 6).

:func:`encode` takes any message. The functions after it write the hot ones from byte templates, without
building a message first; they give the same bytes.
"""

from collections.abc import Iterable, Sequence

from dna_dht.wire import messages as m
from dna_dht.wire.fragments import cut, travels_inline
from dna_dht.wire.infohash import ZERO
from dna_dht.wire.messages import Message
from dna_dht.wire.packing import array_header, binary, map_header, text, uint
from dna_dht.wire.query import FieldAnswer, Query, pack_fields, pack_query
from dna_dht.wire.value_codec import pack

_AGENT = b"\xa1v\xa2o2"  # constant since 2.6 of the reference's engine, without effect (spec 01, section 4)
_ID = b"\xa2id\xc4\x14"
_WANT = {None: b"", 0: b"\xa1w\x90", 1: b"\xa1w\x91\x02", 2: b"\xa1w\x91\x0a", 3: b"\xa1w\x92\x02\x0a"}


def encode(message: Message, packed: Sequence[bytes] = ()) -> list[bytes]:
    """The header datagram of *message* and, behind it, the parts of values that do not fit into it.

    Values are given packed; without *packed*, those of the message are packed here. A message that still
    has sizes, and no *packed*, is written as it was received: a header whose parts nobody sends.
    ValueError for fields out of range.
    """
    if isinstance(message, m.Part):
        return [_part(message)]
    carried: list[bytes] = []
    parts: list[bytes] = []
    if isinstance(message, m.Put | m.Update | m.Reply):
        if message.sizes and not packed:
            carried = _as_received(message)
        else:
            whole = list(packed) or [pack(value) for value in message.values]
            carried, parts = _carry(message.tid, whole, message.network, message.client)
    return [_header(message, carried), *parts]


# -- Templates of the replies ------------------------------------------------------------------------------


def pong(tid: int, sender: bytes, seen_ip: bytes, network: int = 0, client: bool = False) -> bytes:
    """The reply to ping, listen and update."""
    if len(seen_ip) == 4 and not network and not client:
        return b"".join(
            (
                b"\x84\xa1r\x82\xa2id\xc4\x14",
                sender,
                b"\xa2sa\xc4\x04",
                seen_ip,
                b"\xa1t",
                uint(tid),
                b"\xa1y\xa1r\xa1v\xa2o2",
            )
        )
    return _reply([_ID + sender, *_seen(seen_ip)], tid, network, client)


confirmation = pong
"""The reply to listen and update has the shape of a pong."""


def put_reply(
    tid: int, sender: bytes, value_id: int, seen_ip: bytes, network: int = 0, client: bool = False
) -> bytes:
    """The reply to one value of a put, and to a refresh."""
    return b"".join(
        (
            _OPEN_REPLY[network > 0][client],
            b"\xa1r\x83\xa2id\xc4\x14",
            sender,
            b"\xa3vid",
            uint(value_id),
            b"\xa2sa\xc4",
            _LENGTH[len(seen_ip)],
            seen_ip,
            b"\xa1t",
            uint(tid),
            b"\xa1y\xa1r\xa1v\xa2o2",
            _tail(network, client),
        )
    )


def error(
    tid: int, sender: bytes, code: int, explanation: bytes, network: int = 0, client: bool = False
) -> bytes:
    """A refusal."""
    return b"".join(
        (
            bytes((0x85 + (network > 0) + client,)),
            b"\xa1e\x92",
            uint(code),
            text(explanation),
            b"\xa1r\x81\xa2id\xc4\x14",
            sender,
            b"\xa1t",
            uint(tid),
            b"\xa1y\xa1e\xa1v\xa2o2",
            _tail(network, client),
        )
    )


def nodes_reply(
    tid: int,
    sender: bytes,
    seen_ip: bytes,
    nodes4: bytes,
    nodes6: bytes,
    token: bytes,
    network: int = 0,
    client: bool = False,
    packed: Sequence[bytes] = (),
    fields: FieldAnswer | None = None,
) -> list[bytes]:
    """The reply to find and get, with the parts of its values."""
    body = [_ID + sender, *_seen(seen_ip)]
    if nodes4:
        body.append(b"\xa2n4" + binary(nodes4))
    if nodes6:
        body.append(b"\xa2n6" + binary(nodes6))
    body.append(b"\xa5token" + binary(token))
    parts: list[bytes] = []
    if fields is not None:
        body.append(b"\xa6fileds" + pack_fields(fields))
    elif packed:
        carried, parts = _carry(tid, packed, network, client)
        body.append(_values(carried))
    return [_reply(body, tid, network, client), *parts]


# -- Templates of the requests -----------------------------------------------------------------------------


def ping(tid: int, sender: bytes, network: int = 0, client: bool = False) -> bytes:
    """A ping."""
    return _request([_ID + sender], b"\xa4ping", tid, network, client)


def find(
    tid: int, sender: bytes, target: bytes, want: int | None = None, network: int = 0, client: bool = False
) -> bytes:
    """A find; *want*: WANT_ bits of messages, None = the family of the packet."""
    body = [_ID + sender, b"\xa6target\xc4\x14" + target]
    if want is not None:
        body.append(_WANT[want])
    return _request(body, b"\xa4find", tid, network, client)


def get(
    tid: int,
    sender: bytes,
    key: bytes,
    query: Query | None = None,
    want: int | None = None,
    network: int = 0,
    client: bool = False,
) -> bytes:
    """A get; *query* only if it selects or filters (spec 01, 5.3)."""
    body = [_ID + sender, b"\xa1h\xc4\x14" + key]
    if query is not None:
        body.append(b"\xa1q" + pack_query(query))
    if want is not None:
        body.append(_WANT[want])
    return _request(body, b"\xa3get", tid, network, client)


# -- The general form --------------------------------------------------------------------------------------


def _header(message: Message, carried: list[bytes]) -> bytes:
    tid, network, client = message.tid, message.network, message.client
    match message:
        case m.Ping():
            return ping(tid, message.sender, network, client)
        case m.Find():
            return find(tid, message.sender, message.target, message.want, network, client)
        case m.Get():
            return get(tid, message.sender, message.key, message.query, message.want, network, client)
        case m.Put():
            return _request(_put_body(message, carried), b"\xa3put", tid, network, client)
        case m.Refresh():
            return _request(_refresh_body(message), b"\xa7refresh", tid, network, client)
        case m.Listen():
            return _request(_listen_body(message), b"\xa6listen", tid, network, client)
        case m.Update():
            return _update(message, carried)
        case m.Reply():
            return _reply(_reply_body(message, carried), tid, network, client)
        case m.ErrorReply():
            return error(tid, message.sender, message.code, message.text, network, client)
        case m.Notice():
            return _notice(message)
    raise TypeError(f"not a message: {message!r:.80}")


def _put_body(message: m.Put, carried: list[bytes]) -> list[bytes]:
    body = [_ID + message.sender, b"\xa1h\xc4\x14" + message.key, _values(carried)]
    if message.created is not None:
        body.append(b"\xa1c" + uint(message.created))
    return body + _token(message.token)


def _refresh_body(message: m.Refresh) -> list[bytes]:
    value_id = b"\xa3vid" + uint(message.value_id)
    return [_ID + message.sender, b"\xa1h\xc4\x14" + message.key, value_id, *_token(message.token)]


def _listen_body(message: m.Listen) -> list[bytes]:
    body = [_ID + message.sender]
    if message.version:
        body.append(b"\xa2ve" + uint(message.version))
    body.append(b"\xa1h\xc4\x14" + message.key)
    body += _token(message.token)
    body.append(b"\xa3sid" + uint(message.socket_id))
    if message.query is not None:
        body.append(b"\xa1q" + pack_query(message.query))
    return body


def _update(message: m.Update, carried: list[bytes]) -> bytes:
    body = [_ID + message.sender]
    if message.version:
        body.append(b"\xa2ve" + uint(message.version))
    if message.key != ZERO:
        body.append(b"\xa1h\xc4\x14" + message.key)
    body.append(b"\xa3sid" + uint(message.socket_id))
    if carried:
        body.append(_values(carried))
    if message.created is not None:
        body.append(b"\xa1c" + uint(message.created))
    body += _token(message.token)
    if not message.refreshed and not message.expired:
        return _request(body, b"\xa6update", message.tid, message.network, message.client)
    body += _ids(message.refreshed, message.expired)
    top = [
        b"\xa1a" + _map(body) + b"\xa1y\xa1q",
        *_closing(message.network, message.client),
        b"\xa1q\xa6update",
        b"\xa1t" + uint(message.tid),
    ]
    return bytes((0x85 + (message.network > 0) + message.client,)) + b"".join(top)


def _reply_body(message: m.Reply, carried: list[bytes]) -> list[bytes]:
    body = [_ID + message.sender]
    if message.value_id:
        body.append(b"\xa3vid" + uint(message.value_id))
    body += _seen(message.seen_ip)
    if message.nodes4:
        body.append(b"\xa2n4" + binary(message.nodes4))
    if message.nodes6:
        body.append(b"\xa2n6" + binary(message.nodes6))
    body += _token(message.token)
    if carried:
        body.append(_values(carried))
    if message.fields is not None:
        body.append(b"\xa6fileds" + pack_fields(message.fields))
    return body


def _notice(message: m.Notice) -> bytes:
    body = [_ID + message.sender, *_token(message.token), *_ids(message.refreshed, message.expired)]
    top = [b"\xa1u" + _map(body) + b"\xa1y\xa1r", *_closing(message.network, message.client)]
    top.append(b"\xa1t" + uint(message.tid))
    return bytes((0x84 + (message.network > 0) + message.client,)) + b"".join(top)


def _part(message: m.Part) -> bytes:
    pieces = [
        uint(index) + b"\x82\xa1o" + uint(offset) + b"\xa1d" + binary(data)
        for index, offset, data in message.pieces
    ]
    return b"".join(
        (
            bytes((0x83 + (message.network > 0) + message.client,)),
            _tail(message.network, message.client),
            b"\xa1y\xa1p\xa1t",
            uint(message.tid),
            b"\xa1p",
            map_header(len(pieces)),
            *pieces,
        )
    )


def _request(body: list[bytes], name: bytes, tid: int, network: int, client: bool) -> bytes:
    return b"".join(
        (
            bytes((0x85 + (network > 0) + client,)),
            b"\xa1a",
            bytes((0x80 | len(body),)),
            *body,
            b"\xa1q",
            name,
            b"\xa1t",
            uint(tid),
            b"\xa1y\xa1q\xa1v\xa2o2",
            _tail(network, client),
        )
    )


def _reply(body: list[bytes], tid: int, network: int, client: bool) -> bytes:
    return b"".join(
        (
            bytes((0x84 + (network > 0) + client,)),
            b"\xa1r",
            bytes((0x80 | len(body),)),
            *body,
            b"\xa1t",
            uint(tid),
            b"\xa1y\xa1r\xa1v\xa2o2",
            _tail(network, client),
        )
    )


def _map(entries: list[bytes]) -> bytes:
    return map_header(len(entries)) + b"".join(entries)


def _closing(network: int, client: bool) -> Iterable[bytes]:
    return (_AGENT, _tail(network, client))


def _tail(network: int, client: bool) -> bytes:
    """The entries `n` and `s`, if they are written."""
    if not network and not client:
        return b""
    return (b"\xa1n" + uint(network) if network else b"") + (b"\xa1s\xc3" if client else b"")


def _seen(seen_ip: bytes) -> list[bytes]:
    return [b"\xa2sa" + binary(seen_ip)] if seen_ip else []


def _token(token: bytes) -> list[bytes]:
    return [b"\xa5token" + binary(token)] if token else []


def _ids(refreshed: Sequence[int], expired: Sequence[int]) -> list[bytes]:
    named = ((b"\xa2re", refreshed), (b"\xa3exp", expired))
    return [name + array_header(len(ids)) + b"".join(map(uint, ids)) for name, ids in named if ids]


def _values(entries: Sequence[bytes]) -> bytes:
    return b"\xa6values" + array_header(len(entries)) + b"".join(entries)


def _carry(tid: int, packed: Sequence[bytes], network: int, client: bool) -> tuple[list[bytes], list[bytes]]:
    """The entries of `values`, and the parts."""
    if travels_inline(packed):
        return list(packed), []
    return [uint(len(each)) for each in packed], cut(tid, packed, network, client)


def _as_received(message: m.Put | m.Update | m.Reply) -> list[bytes]:
    """The entries of `values` with the sizes at their indexes, the values between them, nil elsewhere."""
    sizes = dict(message.sizes)
    values = iter(message.values)
    count = max(len(message.values) + len(sizes), max(sizes) + 1)
    entries = []
    for index in range(count):
        if index in sizes:
            entries.append(uint(sizes[index]))
        else:
            value = next(values, None)
            entries.append(b"\xc0" if value is None else pack(value))
    return entries


_LENGTH = {4: b"\x04", 16: b"\x10"}
_OPEN_REPLY = ((b"\x84", b"\x85"), (b"\x85", b"\x86"))
