"""Which families an operation uses."""

import pytest

from dna_dht.core.config import CoreConfig

from ..peers import KEY, Peer, World, near, value


@pytest.fixture
def world() -> World:
    return World(CoreConfig())


def _v4(world: World, rank: int = 1) -> Peer:
    return world.add(near(KEY, rank))


def _v6(world: World, rank: int = 1) -> Peer:
    return world.add(near(KEY, rank), (f"2600:{rank:x}::1", 4000))


def _active(world: World) -> list[int]:
    return [overlay.family for overlay in world.services.active_overlays()]


def test_nothing_known_nothing_used(world: World) -> None:
    assert _active(world) == []


def test_families_with_a_good_node_are_used(world: World) -> None:
    world.know(_v4(world))
    assert _active(world) == [4]
    world.know(_v6(world))
    assert _active(world) == [4, 6]


def test_family_with_doubtful_nodes_is_used_only_if_no_other_is_good(world: World) -> None:
    doubtful = _v6(world)
    world.overlay(doubtful).cache.seen(doubtful.id, doubtful.address, confirmed=False)
    assert _active(world) == [6]
    world.know(_v4(world))
    assert _active(world) == [4]


def test_operations_use_both_families(world: World) -> None:
    ours, theirs = _v4(world), _v6(world)
    world.know(ours, theirs)
    outcome = world.stored(value())
    world.run(1)

    assert outcome.quorum and outcome.accepted == 2
    assert ours.values[KEY] == theirs.values[KEY] == {1: value()}
    del ours.values[KEY]
    world.core.storage.remove(KEY, 1)
    assert world.got("all").values == (value(),)


def test_listen_in_both_families_tells_each_change_once(world: World) -> None:
    peers = _v4(world), _v6(world)
    world.know(*peers)
    operation = world.listen()
    world.run(1)
    assert all(len(peer.listeners) == 1 for peer in peers)
    for peer in peers:
        peer.tell(value())
    world.run(1)

    assert world.changes(operation) == [("added", b"data")]
