"""The network comes back after partitions, restarts and wrong clocks, and says so while it is away."""

import pytest

from dna_dht.testing import Faults, SimNetwork, SimNode

HOUR = 3600.0  # seconds


@pytest.mark.parametrize("seed", range(3))
def test_both_sides_of_a_partition_work_and_find_together_again(seed: int) -> None:
    net = SimNetwork(seed)
    nodes = net.grow(40)
    left, right = nodes[::2], nodes[1::2]
    before, during_left, during_right = net.random_key(), net.random_key(), net.random_key()
    net.put(left[3], before, b"before")
    net.partition(left, right)
    net.run(900)
    assert net.put(left[4], during_left, b"left").quorum
    assert net.put(right[4], during_right, b"right").quorum
    assert net.get(left[5], during_left) == (b"left",)
    assert net.get(right[5], during_left) == ()

    net.heal()
    net.run(HOUR)

    for reader in (left[6], right[6]):
        assert net.get(reader, before) == (b"before",), f"{seed=}"
        assert net.get(reader, during_left) == (b"left",), f"{seed=}"
        assert net.get(reader, during_right) == (b"right",), f"{seed=}"


@pytest.mark.parametrize("seed", range(2))
def test_nodes_that_hear_but_are_not_heard_do_not_block_others(seed: int) -> None:
    net = SimNetwork(seed)
    nodes = net.grow(40)
    mute = nodes[10:16]
    net.block(mute, [node for node in nodes if node not in mute])
    key = net.random_key()
    assert net.put(nodes[20], key, b"hello").quorum
    assert net.get(nodes[30], key) == (b"hello",), f"{seed=}"


@pytest.mark.parametrize("state", [True, False], ids=["with state", "without state"])
@pytest.mark.parametrize("seed", range(2))
def test_a_whole_network_restarts(seed: int, state: bool) -> None:
    net = SimNetwork(seed)
    nodes = net.grow(30)
    key = net.random_key()
    net.put(nodes[4], key, b"hello")
    net.run(10)
    net.crash(nodes)
    net.run(60)
    net.restart(nodes[:1], state=state)
    net.restart(nodes[1:], state=state)
    assert net.run_until(lambda: all(node.connected for node in nodes), 120), f"{seed=}"
    net.run(60)
    assert net.get(nodes[9], key) == ((b"hello",) if state else ())
    other = net.random_key()
    assert net.put(nodes[8], other, b"after").quorum
    assert net.get(nodes[9], other) == (b"after",), f"{seed=}"


def test_a_restart_with_state_needs_no_bootstrap_node() -> None:
    net = SimNetwork(1)
    nodes = net.grow(20)
    net.crash([nodes[15]])
    net.run(60)
    net.restart([nodes[15]], bootstrap=[])
    assert net.run_until(lambda: nodes[15].connected, 60)


def test_without_bootstrap_nodes_a_node_waits_and_says_so() -> None:
    net = SimNetwork(1)
    lonely = net.add(bootstrap=[])
    net.run(60)
    assert not lonely.connected
    outcome = net.lookup(lonely, net.random_key())
    assert not outcome.connected
    assert not outcome.conclusive
    assert not net.put(lonely, net.random_key(), b"hello").connected

    net.add(bootstrap=[lonely])  # somebody finds it
    assert net.run_until(lambda: lonely.connected, 60)


def test_a_node_finds_the_network_when_its_bootstrap_node_comes_up_later() -> None:
    net = SimNetwork(1)
    first, *_ = net.grow(10)
    net.crash([first])
    late = net.add(bootstrap=[first])
    net.run(300)
    assert not late.connected
    net.restart([first], bootstrap=net.nodes[1:4])
    assert net.run_until(lambda: late.connected, 600)


@pytest.mark.parametrize("seed", range(2))
def test_wrong_clocks_do_not_lose_values(seed: int) -> None:
    net = SimNetwork(seed, faults=Faults(clock_error=2 * HOUR))
    nodes = net.grow(40)
    keys = [net.random_key() for _ in range(10)]
    for key, writer in zip(keys, nodes[5:], strict=False):
        assert net.put(writer, key, b"hello").quorum
    net.run(HOUR)
    net.crash(nodes[5:15])
    net.run(HOUR)
    for key in keys:
        assert net.get(nodes[20], key) == (b"hello",), f"{seed=}"


def test_a_network_whose_nodes_restart_in_the_same_second_makes_no_storm() -> None:
    """T27: 21 nodes with 50 permanent records each."""
    net = SimNetwork(1)
    nodes = net.grow(21)
    keys = [net.random_key() for _ in range(21 * 50)]
    net.wait_all(
        [
            net.start_put(nodes[number % 21], key, net.value(b"record"), permanent=True)
            for number, key in enumerate(keys)
        ]
    )
    net.run(30)
    net.crash(nodes)
    net.run(1)
    net.restart(nodes)
    net.run(3)
    joining = _received(nodes)
    assert all(node.connected for node in nodes)
    busiest, before = 0, joining
    for _ in range(150):
        net.run(1)
        now = _received(nodes)
        busiest, before = max(busiest, now - before), now

    assert joining <= 21 * 300, "looking around costs each node so much, once"
    assert busiest <= 2000
    assert [key for key in keys if len(net.holders(key)) < 8] == []
    assert net.get(nodes[7], keys[0]) == (b"record",)


def _received(nodes: list[SimNode]) -> int:
    """Messages that arrived at *nodes* since they started."""
    return sum(node.running.counters.received.total() for node in nodes)
