"""What the composer writes reads back as what was meant, with our id, network and client flag."""

from random import Random

import pytest

from dna_dht.core.config import CoreConfig
from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.compose import Composer
from dna_dht.core.instant import Instant
from dna_dht.wire.decode import decode
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import ErrorReply, Find, Get, Listen, Part, Ping, Put, Refresh, Reply, Update
from dna_dht.wire.query import ANY, PROBE, FieldAnswer, Query, where_id
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack

US = InfoHash.of(b"us")
KEY = InfoHash.of(b"key")
TO = ("31.0.0.1", 4000)
SEEN = bytes([31, 0, 0, 1])


@pytest.fixture(params=[(0, False), (7, True)], ids=["default network", "network 7, client"])
def composer(request: pytest.FixtureRequest) -> tuple[Composer, dict[str, object]]:
    network, client = request.param
    config = CoreConfig(network=network, client_mode=client)
    ctx = CoreContext(config, US, Random(1), Instant(1000.0, 0.0))
    return Composer(ctx), {"tid": 9, "sender": US, "network": network, "client": client}


Composed = tuple[Composer, dict[str, object]]


def test_requests(composer: Composed) -> None:
    compose, common = composer
    filtered = where_id(3)

    assert _read(compose.ping(9)) == Ping(**common)
    assert _read(compose.find(9, KEY, 3)) == Find(target=KEY, want=3, **common)
    assert _read(compose.get(9, KEY, PROBE)) == Get(key=KEY, query=PROBE, **common)
    assert _read(compose.refresh(9, KEY, 3, b"token")) == Refresh(
        key=KEY, value_id=3, token=b"token", **common
    )
    assert _read(compose.listen(9, KEY, b"token", 5, filtered)) == Listen(
        key=KEY, token=b"token", socket_id=5, query=filtered, version=1, **common
    )


def test_query_for_everything_is_left_out(composer: Composed) -> None:
    compose, common = composer

    assert _read(compose.get(9, KEY, ANY)) == Get(key=KEY, **common)
    assert _read(compose.listen(9, KEY, b"token", 5, Query())) == Listen(
        key=KEY, token=b"token", socket_id=5, version=1, **common
    )


def test_put_carries_its_value_in_parts_behind_the_header(composer: Composed) -> None:
    compose, common = composer
    packed = pack(Value(id=3, data=b"x" * 3000))
    header, *parts = map(decode, compose.put(9, KEY, b"token", (packed,), 1_700_000_000))

    assert header == Put(key=KEY, token=b"token", sizes=((0, len(packed)),), created=1_700_000_000, **common)
    assert b"".join(data for part in parts if isinstance(part, Part) for _, _, data in part.pieces) == packed


def test_updates(composer: Composed) -> None:
    compose, common = composer
    packed = pack(Value(id=3, data=b"x" * 3000))
    header = decode(compose.update_values(9, KEY, 5, b"token", [packed])[0])

    assert header == Update(
        key=KEY, socket_id=5, token=b"token", version=1, sizes=((0, len(packed)),), **common
    )
    assert _read(compose.update_ids(9, 5, b"token", [1, 2], [3])) == Update(
        socket_id=5, token=b"token", refreshed=(1, 2), expired=(3,), **common
    )


def test_replies(composer: Composed) -> None:
    compose, common = composer
    fields = FieldAnswer((1, 4), ((3, 0),))

    assert decode(compose.pong(9, TO)) == Reply(seen_ip=SEEN, **common)
    assert decode(compose.put_reply(9, 3, TO)) == Reply(seen_ip=SEEN, value_id=3, **common)
    assert decode(compose.error(9, 401, b"no")) == ErrorReply(code=401, text=b"no", **common)
    assert _read(compose.nodes_reply(9, TO, (b"4" * 26, b"6" * 38), b"token", fields=fields)) == Reply(
        seen_ip=SEEN, nodes4=b"4" * 26, nodes6=b"6" * 38, token=b"token", fields=fields, **common
    )


def _read(datagrams: list[bytes]) -> object:
    (datagram,) = datagrams
    return decode(datagram)
