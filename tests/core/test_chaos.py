"""Operations among peers that lose, refuse, lie, die and come back: no exception, and nothing stays behind.

Each seed is another history. Whatever happens: an operation ends at most once, values that are delivered
verify, changes of a listen make sense, and when all is over no request, socket, hold or operation is left.
"""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from dna_dht.core.config import CoreConfig
from dna_dht.core.effects import ListenChanged, OperationDone, OperationId, ValuesFound
from dna_dht.wire import encode
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import Find, Get, Listen, Notice, Put, Refresh
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import signed_bytes

from .peers import KEY, Peer, World, crypto, forged, near, value

KEYS = [KEY, InfoHash.of(b"second key")]
SECONDS = 40.0


def random_value(rng: Random) -> Value:
    made = value(
        rng.choice((b"a", b"b", b"c" * 3000)),
        id=rng.randint(1, 4),
        seq=rng.randint(0, 5),
        owner=rng.choice(("owner", "other")),
    )
    return forged(made, data=b"forged") if rng.random() < 0.15 else made


def misbehaving(rng: Random) -> Callable[[Peer, Any], list[bytes] | None]:
    """Answers now and then as nobody should."""

    def script(peer: Peer, message: Any) -> list[bytes] | None:
        if rng.random() < 0.5:
            return None
        tid = message.tid
        match message:
            case Get() | Find():
                values = [random_value(rng) for _ in range(rng.randint(0, 4))]
                rows = [(rng.randint(0, 6), rng.randint(0, 65_535)) for _ in range(rng.randint(0, 5))]
                answers = [
                    peer.nodes_reply(tid, values=values),
                    peer.nodes_reply(tid, values=values)[:2],
                    peer.claim(tid, *rows) if rows else [],
                    [peer.pong(tid)] if rng.random() < 0.1 else [],
                    [peer.error(tid, rng.choice((203, 401, 404, 7)))],
                ]
            case Put() | Refresh():
                answers = [
                    [peer.put_reply(tid, rng.randint(0, 5))],
                    [peer.error(tid, rng.choice((203, 401, 404, 7)))],
                    [],
                ]
            case Listen():
                answers = [
                    [peer.error(tid, rng.choice((203, 401, 404, 7)))],
                    peer.push(message.socket_id, random_value(rng)) + [peer.pong(tid)] * 2,
                    [],
                ]
            case _:
                answers = [[]]
        return rng.choice(answers)

    return script


def disturb(world: World, rng: Random) -> None:
    """Something happens to some peer."""
    peer = rng.choice(world.peers)
    action = rng.randint(0, 7)
    if action == 0:
        peer.silent = not peer.silent
    elif action == 1:
        peer.lose = rng.randint(1, 4)
    elif action == 2:
        peer.token = rng.randbytes(8)
    elif action == 3:
        peer.script = None if peer.script else misbehaving(rng)
    elif action == 4:
        peer.hold(random_value(rng), key=rng.choice(KEYS))
    elif action == 5 and not peer.silent:
        ids = [rng.randint(1, 4)]
        peer.tell(random_value(rng), refreshed=ids, expired=[rng.randint(1, 4)], key=rng.choice(KEYS))
    elif action == 6 and peer.listeners and not peer.silent:
        socket_id = rng.choice(list(peer.listeners))
        peer.send(encode.encode(Notice(tid=socket_id, sender=peer.id, expired=(rng.randint(1, 4),)))[0])
    else:
        peer.rtt = rng.choice((0.001, 0.02, 0.3, 1.5))


def start(world: World, rng: Random, seq: int) -> OperationId:
    """Some operation begins."""
    key = rng.choice(KEYS)
    action = rng.randint(0, 5)
    if action <= 2:
        strength = ("first", "fresh", "all")[action]
        return world.call(lambda now: world.core.get(key, now, strength=strength))  # type: ignore[arg-type]
    if action <= 4:
        what = value(b"ours", id=rng.randint(1, 4), seq=seq)
        permanent, probe = rng.random() < 0.3, rng.random() < 0.5
        return world.call(lambda now: world.core.put(key, what, now, permanent=permanent, probe=probe))
    return world.listen(key)


@pytest.mark.parametrize("seed", range(40))
def test_history(seed: int) -> None:
    rng = Random(f"chaos {seed}")
    world = World(CoreConfig(ipv6=False), peers=rng.randint(1, 14))
    for peer in world.peers:
        peer.neighbours = rng.sample(world.peers, min(len(world.peers), 8))
    if rng.random() < 0.5:
        world.know(*world.peers, tokens=True)
        world.settle()
    world.verify_delay = rng.choice((0.0, 0.05, 0.5))
    running: list[OperationId] = []
    cancelled: dict[OperationId, int] = {}
    end = world.now.mono + SECONDS
    while world.now.mono < end:
        disturb(world, rng)
        if len(running) < 12:
            running.append(start(world, rng, len(running) + len(cancelled)))
        elif rng.random() < 0.3:
            operation = running.pop(rng.randrange(len(running)))
            world.cancel(operation)
            cancelled[operation] = len(world.events)
        if rng.random() < 0.02 and len(world.peers) < 20:
            world.peers[0].neighbours = [world.add(near(KEY, rng.randint(100, 2**40)))]
        if rng.random() < 0.01:
            world.call(world.core.connectivity_changed)
        world.run(rng.choice((0.0, 0.01, 0.1, 0.7)))

    for peer in world.peers:
        peer.silent, peer.lose, peer.script, peer.rtt = False, 0, None, 0.02
    world.run(30)
    for operation in running:
        world.cancel(operation)
        cancelled.setdefault(operation, len(world.events))
    for key in KEYS:
        for value_id in range(1, 5):
            world.call(lambda now, key=key, value_id=value_id: world.core.cancel_put(key, value_id, now))
    world.run(60)
    _check_events(world, cancelled)
    _check_nothing_left(world)


def _check_events(world: World, cancelled: dict[OperationId, int]) -> None:
    done: set[OperationId] = set()
    told: dict[tuple[OperationId, int, bytes], int] = {}
    for at, event in enumerate(world.events):
        match event:
            case OperationDone(operation, _):
                assert operation not in done
                assert at < cancelled.get(operation, at + 1)
                done.add(operation)
            case ValuesFound(operation, values):
                assert operation not in done
                assert at < cancelled.get(operation, at + 1)
                assert all(_valid(each) for each in values)
            case ListenChanged(operation, change, each):
                assert at < cancelled.get(operation, at + 1)
                assert _valid(each)
                slot = operation, each.id, each.owner
                if change == "added":
                    assert slot not in told
                    told[slot] = each.seq
                elif change == "updated":
                    assert each.seq > told[slot]
                    told[slot] = each.seq
                else:
                    assert told.pop(slot) == each.seq


def _valid(what: Value) -> bool:
    return crypto.verify(what.owner, what.signature, signed_bytes(what))


def _check_nothing_left(world: World) -> None:
    stats = world.core.stats()
    assert stats["operations"] == stats["listens"] == stats["reassembly_bytes"] == 0
    assert stats["verifications_pending"] == world.core.writing == 0
    requests = world.services.requests
    assert not requests._sockets
    for peer in world.peers:
        node = world.overlay(peer).cache.find(peer.id)
        if node is not None:
            assert world.held(peer) == 0
    open_now = {request.node for request in requests._open.values() if request.node is not None}
    for node in world.overlay(world.peers[0]).cache:
        assert (node.pending > 0) == (node in open_now)
    assert all(request.kind in ("ping", "find", "get", "put") for request in requests._open.values())
    assert len(requests) <= 2  # upkeep of the table, renewal of what was stored
