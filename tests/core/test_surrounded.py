"""A key surrounded by 64 nodes of one attacker in 4 subnets (reliability T1): it can still be used."""

from typing import Any

from dna_dht.wire.messages import Get, Listen, Put

from .peers import KEY, Peer, World, near, value

HONEST = 12


def hostile(peer: Peer, message: Any) -> list[bytes] | None:
    """Acknowledges everything, keeps nothing, knows nothing."""
    match message:
        case Put():
            return [peer.put_reply(message.tid, each.id) for each in message.values]
        case Get():
            return peer.nodes_reply(message.tid)
        case Listen():
            return [peer.pong(message.tid)]
    return None


def surrounded() -> tuple[World, list[Peer]]:
    world = World()
    honest = [world.add(near(KEY, 1000 + rank)) for rank in range(HONEST)]
    attackers = [world.add(near(KEY, rank), (f"66.6.{rank % 4}.{rank}", 4000)) for rank in range(1, 65)]
    for at, peer in enumerate(attackers):
        peer.script = hostile
        peer.neighbours = attackers[at // 8 * 8 :][:8]
    for at, peer in enumerate(honest):
        peer.neighbours = [*attackers[5 * at :][:4], *honest[:4]]
    world.know(*honest)
    return world, honest


def test_what_is_put_reaches_honest_nodes_and_is_found() -> None:
    world, honest = surrounded()
    world.stored(value(), probe=False)
    world.run(10)
    holders = [peer for peer in honest if peer.values.get(KEY)]
    assert len(holders) >= 4

    world.core.storage.remove(KEY, 1)
    for strength in ("first", "fresh", "all"):
        assert world.got(strength).values == (value(),)


def test_what_was_put_before_is_found() -> None:
    world, honest = surrounded()
    for peer in honest[:8]:
        peer.hold(value())

    assert world.got("fresh").values == (value(),)
    world.run(10)
    assert world.got("fresh").values == (value(),)


def test_changes_are_told_by_honest_nodes() -> None:
    world, honest = surrounded()
    operation = world.listen()
    world.run(10)
    for peer in honest:
        peer.tell(value())
    world.run(1)

    assert world.changes(operation) == [("added", b"data")]
