"""Request groups: what is open, what is told, what a cancelled group leaves."""

from functools import partial

from dna_dht.core.exchange.request_group import RequestGroup

from ..peers import World


def test_group_knows_what_is_open_and_tells_then_after_each_answer() -> None:
    world = World(peers=3)
    group = RequestGroup(world.services.requests)
    told: list[str] = []
    silent = world.peers[2]
    silent.silent = True
    for peer in world.peers:
        world.call(
            lambda now, peer=peer: group.send(
                peer.node,
                "ping",
                world.services.composer.ping,
                on_reply=lambda reply: told.append("reply"),
                on_failed=lambda code: told.append("failed"),
                on_slow=lambda: told.append("slow"),
                then=lambda: told.append("then"),
            )
        )
    assert len(group) == 3

    world.run(30)

    assert len(group) == 0
    assert told == ["reply", "then", "reply", "then", "slow", "then", "failed", "then"]


def test_cancelled_group_hears_nothing() -> None:
    world = World(peers=2)
    group = RequestGroup(world.services.requests)
    told: list[object] = []
    for peer in world.peers:
        send = partial(group.send, peer.node, "ping", world.services.composer.ping)
        world.call(lambda now, send=send: send(on_reply=told.append, on_failed=told.append))
    world.call(lambda now: group.cancel_all())

    world.run(30)

    assert told == []
    assert len(group) == 0
    assert world.open_requests == 0
