"""Overlays: who is believed to be who, what node lists may bring in, what is known about surroundings."""

import pytest

from dna_dht.core.config import CoreConfig, Limits
from dna_dht.core.instant import Instant
from dna_dht.core.routing.overlay import MEMORY_LIFE, SMALL_NETWORK, Overlay
from dna_dht.wire import encode
from dna_dht.wire.address import Address
from dna_dht.wire.compact_nodes import CompactNode, pack_nodes
from dna_dht.wire.infohash import ZERO, InfoHash
from dna_dht.wire.messages import Find, Ping, Reply

from ..peers import KEY, OWN_ID, Peer, World, near


def overlay_of(world: World, family: int = 4) -> Overlay:
    return next(each for each in world.core.overlays.values() if each.family == family)


def listed(world: World, entries: list[tuple[InfoHash, Address]], replier: Peer, family: int = 4) -> list:
    """What a node list of *replier* brings in."""
    blob = pack_nodes([CompactNode(*entry) for entry in entries], 6 if family == 6 else 4)
    return [(node.id, node.address) for node in overlay_of(world, family).on_nodes(blob, replier.node)]


# -- node lists


def test_node_list_brings_in_its_nodes() -> None:
    world = World(peers=1)
    entries = [(near(KEY, 50), ("99.0.0.1", 1)), (near(KEY, 51), ("99.0.1.1", 2))]

    assert listed(world, entries, world.peers[0]) == entries


@pytest.mark.parametrize(
    ("node_id", "address"),
    [
        (OWN_ID, ("99.0.0.1", 4000)),
        (ZERO, ("99.0.0.1", 4000)),
        (near(KEY, 50), ("99.0.0.1", 0)),
        (near(KEY, 50), ("224.0.0.1", 4000)),
        (near(KEY, 50), ("0.0.0.0", 4000)),
    ],
    ids=["own id", "zero id", "no port", "multicast", "nowhere"],
)
def test_impossible_nodes_are_passed_over(node_id: InfoHash, address: Address) -> None:
    world = World(peers=1)

    assert listed(world, [(node_id, address)], world.peers[0]) == []
    assert len(overlay_of(world).cache) == 1


def test_no_more_than_eight_nodes_of_a_list_are_taken() -> None:
    world = World(peers=1)
    entries = [(near(KEY, rank), (f"99.0.{rank}.1", 1)) for rank in range(50, 70)]

    assert len(listed(world, entries, world.peers[0])) == 8


@pytest.mark.parametrize("length", [1, 25, 27, 38])
def test_list_of_wrong_length_is_ignored(length: int) -> None:
    world = World(peers=1)

    assert overlay_of(world).on_nodes(bytes(length), world.peers[0].node) == []


def test_loopback_stands_for_the_host_of_the_replier() -> None:
    world = World(peers=1)
    host = world.peers[0].address[0]

    assert listed(world, [(near(KEY, 50), ("127.0.0.1", 5))], world.peers[0]) == [(near(KEY, 50), (host, 5))]


def test_loopback_named_from_loopback_is_meant() -> None:
    world = World()
    peer = world.add(near(KEY, 1), ("127.0.0.1", 4001))
    world.know(peer)
    entry = (near(KEY, 50), ("127.0.0.1", 5))

    assert listed(world, [entry], peer) == [entry]


def test_stranger_cannot_send_us_to_our_own_loopback_in_the_other_family() -> None:
    world = World(CoreConfig(), peers=1)

    assert listed(world, [(near(KEY, 50), ("::1", 53))], world.peers[0], family=6) == []


def test_blacklisted_addresses_are_passed_over() -> None:
    world = World(peers=2)
    bad = world.peers[1]
    bad.token = b""
    world.got()  # a reply without token

    assert listed(world, [(near(KEY, 50), bad.address)], world.peers[0]) == []


def test_node_list_does_not_move_a_good_node() -> None:
    world = World(peers=2)
    known = world.peers[1]

    assert listed(world, [(known.id, ("99.0.0.1", 4000))], world.peers[0]) == [(known.id, known.address)]


# -- who is who


def test_claim_of_a_known_id_from_elsewhere_is_pinged_and_believed_when_answered() -> None:
    world = World(peers=1)
    node = world.peers[0].node
    claimant = world.add(near(KEY, 99))
    claimant.id = node.id
    claimant.send(encode.ping(1, node.id))
    world.run(0.01 + claimant.rtt)
    assert node.address == world.peers[0].address
    assert [entry.peer for entry in world.sent(Ping)] == [claimant]
    world.run(1)

    assert node.address == claimant.address


def test_claim_that_is_not_answered_changes_nothing() -> None:
    world = World(peers=1)
    node = world.peers[0].node
    claimant = world.add(near(KEY, 99))
    claimant.silent = True
    for _ in range(20):
        claimant.send(encode.ping(1, node.id))
    world.run(5)

    assert node.address == world.peers[0].address
    assert not node.expired
    assert len(world.sent(Ping, to=claimant)) <= 5
    world.run(20)
    assert world.open_requests == 0


def test_claims_are_pinged_within_the_budget_of_an_address_that_proved_nothing() -> None:
    """T9: who knows our nodes could name them all from the address of a victim."""
    world = World(CoreConfig(ipv6=False, limits=Limits(unproved_per_source=10)), peers=30)
    victim = world.add(near(KEY, 99))
    victim.silent = True
    for peer in world.peers[:30]:
        victim.send(encode.ping(1, peer.id))
    world.run(0.1)

    assert len(world.sent(Ping, to=victim)) + len(world.sent(Reply, to=victim)) <= 10
    assert world.core.counters.dropped["ping: budget of unproved address"] > 0


def test_claim_answered_under_another_id_changes_nothing() -> None:
    world = World(peers=1)
    node = world.peers[0].node
    claimant = world.add(near(KEY, 99))
    claimant.send(encode.ping(1, node.id))
    world.run(1)

    assert node.address == world.peers[0].address


def test_clients_are_known_but_not_listed() -> None:
    world = World()
    peer = world.add(near(KEY, 1))
    peer.send(encode.ping(1, peer.id, client=True))
    world.run(1)

    assert peer.node.client and not peer.node.in_table
    assert overlay_of(world).closest(KEY, 8) == []


def test_silent_node_makes_way_for_the_spare_of_its_bucket() -> None:
    world = World(peers=9)
    overlay = overlay_of(world)
    spare = next(bucket.cached for bucket in overlay.table.buckets() if bucket.cached is not None)
    victim = next(node for node in overlay.table if overlay.table.bucket_of(node.number).cached is spare)
    peer = next(peer for peer in world.peers if peer.node is victim)
    peer.silent = True
    world.call(lambda now: overlay.ping(victim))
    world.run(10)

    assert any(entry.peer.node is spare for entry in world.sent(Ping))


# -- surroundings


def settle(world: World) -> bool:
    overlay = overlay_of(world)
    return overlay.is_settled(KEY, overlay.closest(KEY, 14))


def test_surroundings_are_known_for_ten_minutes_after_a_lookup() -> None:
    world = World(peers=10)
    assert not settle(world)
    world.got()
    assert settle(world)
    ctx = world.services.ctx
    ctx.now = Instant(ctx.now.mono + MEMORY_LIFE + 1, ctx.now.unix)

    assert not settle(world)


def test_surroundings_that_died_are_not_known() -> None:
    world = World(peers=20)
    world.got()
    for peer in world.peers[:3]:
        peer.node.timed_out()
    assert settle(world)
    world.peers[3].node.timed_out()

    assert not settle(world)


def test_small_network_is_known_once_we_looked_ourselves_up() -> None:
    world = World(peers=SMALL_NETWORK // 4)
    overlay = overlay_of(world)
    assert not settle(world)
    overlay.remember_surroundings(OWN_ID, radius=2**160, nodes=4)
    assert settle(world)
    world.peers[0].node.last_reply = world.peers[0].node.last_heard = 0.0

    assert not settle(world)


def test_network_is_not_small_because_the_table_has_no_room_for_it() -> None:
    """All far away: they share a bucket of eight, but we know them."""
    world = World(peers=SMALL_NETWORK + 4)
    overlay = overlay_of(world)
    assert overlay.table.size <= SMALL_NETWORK < len(overlay.cache)
    overlay.remember_surroundings(OWN_ID, radius=2**160, nodes=8)

    assert not settle(world)


def test_memory_of_surroundings_is_bounded() -> None:
    world = World(CoreConfig(ipv6=False, limits=Limits(searches=3)))
    overlay = overlay_of(world)
    for number in range(10):
        overlay.remember_surroundings(InfoHash.of(b"%d" % number), radius=1, nodes=1)

    assert len(overlay._settled) == 3


def test_dense_means_as_many_near_the_key_as_the_depth_of_the_table_promises() -> None:
    world = World(peers=20)
    overlay = overlay_of(world)
    near_nodes = overlay.closest(KEY, 14)
    far = InfoHash(bytes([KEY[0] ^ 0x40]) + KEY[1:])

    assert overlay.is_dense(KEY, near_nodes)
    assert overlay.table.depth <= 1 or not overlay.is_dense(far, overlay.closest(far, 14))


def test_change_of_our_network_forgets_what_was_known() -> None:
    world = World(peers=10)
    world.got()
    world.call(world.core.connectivity_changed)

    assert not settle(world)
    assert not any(peer.node.token for peer in world.peers)


def test_reply_names_the_closest_good_nodes() -> None:
    world = World(peers=12)
    world.peers[0].node.timed_out()
    named = overlay_of(world).named(KEY)

    assert named == pack_nodes(
        [CompactNode(peer.id, peer.address) for peer in world.peers[1:] if peer.node.in_table][:8],
        4,
    )


def test_maintenance_finds_are_carried_out() -> None:
    world = World(peers=3)
    world.run(900)

    assert any(isinstance(entry.message, Find) for entry in world.log)
