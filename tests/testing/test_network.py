"""The simulated network delivers, loses, delays and forgets what it is told to."""

import pytest

from dna_dht.core.config import CoreConfig
from dna_dht.testing import ConstantDelay, Faults, SimNetwork
from dna_dht.testing.network import START
from dna_dht.wire.address import is_martian, is_private, subnet


def quiet(**faults: float) -> SimNetwork:
    """A network in which every datagram takes exactly 10 ms."""
    return SimNetwork(1, faults=Faults(delay=ConstantDelay(0.010), jitter=0.0, **faults))  # type: ignore[arg-type]


def test_a_ping_takes_two_delays() -> None:
    net = quiet()
    one, other = net.grow(2)
    began = net.now
    pong = net.ping(one, other.addresses[0])
    assert pong.node_id == other.node_id
    assert net.now - began == pytest.approx(0.020)


def test_time_passes_only_as_told() -> None:
    net = quiet()
    assert net.now == START
    net.run(7.5)
    assert net.now == START + 7.5


def test_actions_happen_at_their_time_in_their_order() -> None:
    net = quiet()
    seen: list[tuple[str, float]] = []
    net.after(2, lambda: seen.append(("second", net.now)))
    net.after(1, lambda: seen.append(("first", net.now)))
    net.after(2, lambda: seen.append(("third", net.now)))
    net.run(3)
    assert seen == [("first", START + 1), ("second", START + 2), ("third", START + 2)]


def test_every_node_has_a_public_address_in_a_subnet_of_its_own() -> None:
    net = SimNetwork(1, config=CoreConfig())
    nodes = [net.add(bootstrap=[]) for _ in range(300)]
    for family in (0, 1):
        hosts = [node.addresses[family][0] for node in nodes]
        assert len({subnet(host) for host in hosts}) == len(nodes)
        assert not any(is_private(host) for host in hosts)
        assert not any(is_martian(node.addresses[family]) for node in nodes)


def test_total_loss_loses_everything() -> None:
    net = SimNetwork(1, loss=1.0)
    one, other = net.add(bootstrap=[]), net.add()
    assert net.ping(one, other.addresses[0]).node_id is None
    assert net.internet.delivered == 0
    assert net.internet.lost == net.internet.sent > 0


def test_a_blocked_direction_is_silent_and_the_other_is_not() -> None:
    net = quiet()
    one, other = net.grow(2)
    received = other.running.counters.received
    net.block([other], [one])
    before = received["ping"]
    assert net.ping(one, other.addresses[0]).node_id is None
    assert received["ping"] > before
    net.heal()
    assert net.ping(one, other.addresses[0]).node_id == other.node_id


def test_a_node_behind_a_nat_answers_only_whom_it_wrote_to() -> None:
    net = quiet()
    stranger, friend = net.grow(2)
    hidden = net.add(nat=True, bootstrap=[friend])
    assert net.run_until(lambda: hidden.connected, 10)
    loner = net.add(bootstrap=[])
    assert net.ping(loner, hidden.addresses[0]).node_id is None
    assert net.ping(hidden, loner.addresses[0]).node_id == loner.node_id
    assert net.ping(loner, hidden.addresses[0]).node_id == hidden.node_id
    assert stranger.connected


def test_what_does_not_fit_into_the_receive_buffer_is_lost() -> None:
    small = SimNetwork(1, faults=Faults(delay=ConstantDelay(0.01), receive_buffer=5_000, receive_rate=1e3))
    one, other = small.grow(2)
    lost = small.internet.lost
    small.start_put(one, small.random_key(), small.value(bytes(40_000)))
    small.run(0.1)
    assert small.internet.lost > lost
    assert other.alive


def test_a_crashed_node_is_silent_and_restarts_with_what_it_knew() -> None:
    net = SimNetwork(1)
    nodes = net.grow(12)
    key = net.random_key()
    net.put(nodes[3], key, b"hello")
    net.run(5)
    holder = net.holders(key)[0]
    net.crash([holder])
    assert holder not in net.holders(key)
    net.restart([holder])
    net.run(10)
    assert holder in net.holders(key)
    with pytest.raises(RuntimeError, match="runs already"):
        net.restart([holder])


def test_a_removed_node_leaves_nothing_behind() -> None:
    net = SimNetwork(1)
    nodes = net.grow(5)
    net.remove(nodes[4])
    assert nodes[4] not in net.nodes
    assert net.ping(nodes[0], nodes[4].addresses[0]).node_id is None


def test_forged_values_are_not_stored() -> None:
    net = SimNetwork(1)
    nodes = net.grow(12)
    key = net.random_key()
    forged = net.value(b"true", owner="alice")
    forged = type(forged)(
        id=forged.id, type=forged.type, data=b"false", owner=forged.owner, signature=forged.signature
    )
    net.put(nodes[3], key, forged)
    net.run(10)
    assert [holder for holder in net.holders(key) if holder is not nodes[3]] == []


def test_an_operation_that_does_not_end_names_the_seed() -> None:
    net = SimNetwork(17)
    one, other = net.grow(2)
    net.crash([other])
    with pytest.raises(AssertionError, match="seed 17"):
        net.wait(net.start_get(one, net.random_key()), within=0.001)


def test_networks_with_both_families_connect_in_both() -> None:
    net = SimNetwork(1, config=CoreConfig())
    nodes = net.grow(6)
    assert net.run_until(
        lambda: all(node.running.status == ("connected", "connected") for node in nodes), 60
    ), [node.running.status for node in nodes]


def test_persisted_values_are_acknowledged_after_the_commit() -> None:
    net = SimNetwork(1, config=CoreConfig(ipv6=False, persist=True), faults=Faults(commit_time=0.5))
    nodes = net.grow(12)
    began = net.now
    assert net.put(nodes[3], net.random_key(), net.value(b"hello", value_type=0x1002)).quorum
    assert net.now - began > 0.5
