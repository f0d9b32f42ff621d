"""Read repair: one put, to one node that can take it, and not again too soon."""

from dna_dht.core.operations.read_repair import MEMORY, REST
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import Put
from dna_dht.wire.value import Value

from ..peers import KEY, World, value


def offer(world: World, what: Value, ranks: tuple[int, ...] = (1, 2), key: InfoHash = KEY) -> bool:
    nodes = [world.peers[rank - 1].node for rank in ranks]
    return world.call(lambda now: world.services.repair.offer(key, what, nodes))


def known(peers: int = 2) -> World:
    world = World(peers=peers, known=False)
    world.know(*world.peers, tokens=True)
    return world


def test_first_node_that_can_take_it_gets_it() -> None:
    world = known()
    world.peers[0].node.token = b""

    assert offer(world, value())
    assert {entry.peer for entry in world.sent(Put)} == {world.peers[1]}
    world.run(1)
    assert world.peers[1].values[KEY] == {1: value()}


def test_silent_nodes_without_token_and_unsigned_values_are_left_alone() -> None:
    world = known()
    world.peers[0].node.token = b""
    world.peers[1].node.timed_out()

    assert not offer(world, value())
    assert not offer(known(), Value(id=1, data=b"unsigned"))
    assert world.sent(Put) == []


def test_each_revision_is_offered_to_a_node_once_in_a_while() -> None:
    world = known()
    assert offer(world, value(seq=1))
    assert offer(world, value(seq=1))  # to the second
    assert not offer(world, value(seq=1))
    assert offer(world, value(seq=2))
    world.run(REST)
    world.know(*world.peers, tokens=True)

    assert offer(world, value(seq=1), (1,))


def test_memory_of_offers_is_bounded() -> None:
    world = known()
    for number in range(MEMORY + 10):
        world.services.repair.offer(KEY, value(id=number + 1), [world.peers[0].node])

    assert len(world.services.repair._offers) == MEMORY
