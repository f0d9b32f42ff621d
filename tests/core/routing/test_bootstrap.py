"""From a few addresses to connected, and back after any loss."""

from itertools import pairwise

from dna_dht.core.config import CoreConfig
from dna_dht.core.effects import StatusChanged
from dna_dht.core.routing.bootstrap import CHECK_PERIOD, ISLAND_PERIOD, JITTER, MAX_ADDRESSES, MAX_RETRY
from dna_dht.testing import SimNetwork
from dna_dht.wire.address import Address
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import Ping

from ..peers import Peer, World

SERVER = InfoHash.of(b"server")


def world_with_server(*, silent: bool = False) -> tuple[World, Peer]:
    world = World(CoreConfig())
    server = world.add(SERVER)
    server.silent = silent
    return world, server


def join(world: World, *addresses: Address) -> None:
    world.call(lambda now: world.core.bootstrap(addresses, now))


def status_events(world: World) -> list[tuple[str, str]]:
    return [(event.ipv4, event.ipv6) for event in world.events if isinstance(event, StatusChanged)]


def pings_to(world: World, peer: Peer) -> list[float]:
    """Times of pings, repetitions of one left out."""
    seen: dict[int, float] = {}
    for entry in world.log:
        if entry.peer is peer and isinstance(entry.message, Ping):
            seen.setdefault(entry.message.tid, entry.time)
    return list(seen.values())


def test_connecting_then_connected_within_one_round_trip() -> None:
    world, server = world_with_server()
    join(world, server.address)
    assert status_events(world) == [("connecting", "disconnected")]
    world.run(server.rtt + 0.001)
    assert status_events(world)[1:] == [("connected", "disconnected")] and world.core.connected
    assert world.core.status == StatusChanged("connected", "disconnected")


def test_a_missing_server_is_asked_again_after_half_a_second_up_to_thirty() -> None:
    world, server = world_with_server(silent=True)
    join(world, server.address)
    world.run(300)
    times = [entry.time for entry in world.log]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps[0] <= 0.5 and max(gaps) <= MAX_RETRY * (1 + JITTER) + 0.1
    assert max(gaps[:5]) <= 5 < max(gaps[-5:])
    assert len(set(pings_to(world, server))) >= 8 and times[-1] > times[0] + 250, "one is always scheduled"
    assert status_events(world)[-1][0] in ("connecting", "disconnected")
    server.silent = False
    world.run(MAX_RETRY * (1 + JITTER) + 1)
    assert world.core.connected


def test_disconnected_when_nobody_answers_within_twenty_seconds() -> None:
    world, server = world_with_server(silent=True)
    join(world, server.address)
    world.run(20)
    assert ("disconnected", "disconnected") in status_events(world)


def test_a_connected_node_does_not_ask_any_more() -> None:
    world, server = world_with_server()
    join(world, server.address)
    world.run(5)
    before = len(pings_to(world, server))
    world.run(120)
    assert len(pings_to(world, server)) - before <= 2


def test_loss_and_return_of_everybody() -> None:
    """S-18: also when the loss is long."""
    world, server = world_with_server()
    join(world, server.address)
    world.run(60)
    server.silent = True
    world.run(1200)
    assert not world.core.connected
    server.silent = False
    world.run(MAX_RETRY * (1 + JITTER) + 1)
    assert world.core.connected
    changes = [v4 for v4, _ in status_events(world)]
    assert changes[0] == "connecting" and changes.count("connected") == 2


def test_the_second_family_is_connected_as_soon_as_it_answers() -> None:
    world, server = world_with_server()
    six = world.add(InfoHash.of(b"six"), ("2a01:4f8::1", 4000))
    six.silent = True
    join(world, server.address, six.address)
    world.run(1)
    assert status_events(world)[-1][0] == "connected" != status_events(world)[-1][1]
    six.silent = False
    world.run(ISLAND_PERIOD * (1 + JITTER) + CHECK_PERIOD + six.rtt)
    first = next(entry.time for entry in world.log if entry.peer is six and six.received)
    assert first and world.core.status == StatusChanged("connected", "connected")


def test_a_new_family_is_told_with_its_first_answer() -> None:
    world, server = world_with_server()
    join(world, server.address)
    world.run(1)
    six = world.add(InfoHash.of(b"six"), ("2a01:4f8::1", 4000))
    world.call(lambda now: world.core.ping(six.address, now))
    world.run(six.rtt + 0.001)
    assert status_events(world)[-1] == ("connected", "connected")


def test_islands_around_different_servers_find_each_other() -> None:
    world, server = world_with_server()
    other = world.add(InfoHash.of(b"the other server"))
    other.silent = True
    join(world, server.address, other.address)
    world.run(60)
    other.silent = False
    before = len(pings_to(world, other))
    world.run(ISLAND_PERIOD * (1 + JITTER) + CHECK_PERIOD + 1)
    assert len(pings_to(world, other)) > before and other.node.is_good(world.now.mono)


def test_a_server_that_was_cut_off_is_asked_although_the_table_has_it() -> None:
    """It is in the table, but no longer good: an island may have grown around it meanwhile."""
    world, server = world_with_server()
    other = world.add(InfoHash.of(b"the other server"))
    join(world, server.address, other.address)
    world.run(60)
    assert other.node.in_table
    other.node.timed_out()
    other.node.failures = 10  # nobody's mention revives it
    other.received.clear()
    world.run(ISLAND_PERIOD * (1 + JITTER) + CHECK_PERIOD + 1)
    assert any(isinstance(message, Ping) for message in other.received)
    assert other.node.is_good(world.now.mono)


def test_saved_nodes_are_enough_to_start() -> None:
    world, server = world_with_server()
    join(world, server.address)
    world.run(10)
    state = world.core.export_state(world.now)
    later = World(CoreConfig())
    same = later.add(SERVER, server.address)
    later.call(lambda now: later.core.import_state(state, now))
    later.run(same.rtt + 0.001)
    assert later.core.connected


def test_saved_nodes_are_tried_again_when_the_network_was_away_at_the_start() -> None:
    world, server = world_with_server()
    join(world, server.address)
    world.run(10)
    state = world.core.export_state(world.now)
    later = World(CoreConfig())
    same = later.add(SERVER, server.address)
    same.silent = True
    later.call(lambda now: later.core.import_state(state, now))
    later.run(1000)
    assert not later.core.connected and not len(later.overlay(same).cache)
    same.silent = False
    later.run(MAX_RETRY * (1 + JITTER) + 1)
    assert later.core.connected


def test_a_changed_network_is_tried_at_once() -> None:
    world, server = world_with_server()
    join(world, server.address)
    world.run(60)
    world.call(lambda now: world.core.connectivity_changed(now))
    assert not world.core.connected
    world.run(server.rtt + 0.001)
    assert world.core.connected


def test_addresses_are_bounded_and_foreign_families_ignored() -> None:
    world = World(CoreConfig(ipv6=False))
    many: list[Address] = [(f"31.9.{number}.1", 4000) for number in range(200)]
    join(world, ("2a01:4f8::1", 4000), *many)
    assert world.open_requests == MAX_ADDRESSES


def test_two_islands_become_one_network() -> None:
    """Two groups that knew only their own server meet, because one node of each knows both servers."""
    net = SimNetwork(3)
    one, two = net.add(bootstrap=[]), net.add(bootstrap=[])
    for number in range(12):
        net.add(bootstrap=[one] if number % 2 else [two])
    net.run(120)
    key = net.random_key()
    net.put(one, key, b"here")
    assert net.get(two, key) == ()
    net.add(bootstrap=[one, two])
    net.run(900)
    assert net.get(two, key) == (b"here",)
