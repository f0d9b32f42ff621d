"""Listeners see every change once, also when the nodes that tell them disappear."""

import pytest

from dna_dht.testing import Churn, Faults, SimNetwork


@pytest.mark.parametrize("seed", range(3))
def test_a_listener_sees_every_revision_in_order(seed: int) -> None:
    net = SimNetwork(seed, faults=Faults(loss=0.05, duplicate=0.05, reorder=0.05))
    nodes = net.grow(40)
    key = net.random_key()
    listener = net.listen(nodes[7], key)
    net.run(5)
    revisions = [b"revision %d" % seq for seq in range(6)]
    for seq, data in enumerate(revisions):
        net.put(nodes[9], key, net.value(data, value_id=5, seq=seq))
        net.run(30)
    assert listener.data == [("added", revisions[0]), *(("updated", data) for data in revisions[1:])]


@pytest.mark.parametrize("seed", range(3))
def test_a_listener_is_told_within_a_second_and_only_once_per_value(seed: int) -> None:
    net = SimNetwork(seed)
    nodes = net.grow(40)
    key = net.random_key()
    listener = net.listen(nodes[7], key)
    net.run(30)
    began = net.now
    net.put(nodes[9], key, b"hello")
    net.run(60)
    assert listener.data == [("added", b"hello")]
    assert listener.times[0] - began < 1.0, f"{seed=}"


@pytest.mark.parametrize("seed", range(3))
def test_a_listener_outlives_the_nodes_it_was_told_by(seed: int) -> None:
    net = SimNetwork(seed)
    net.grow(40)
    listening = net.nodes[20]
    listening.protected = net.nodes[21].protected = True
    key = net.random_key()
    listener = net.listen(listening, key)
    net.run(30)
    net.crash([node for node in net.true_closest(key, 8) if not node.protected])
    churn = Churn(net, per_hour=2.0)
    net.run(1800)
    churn.stop()
    net.run(60)
    net.put(net.nodes[net.nodes.index(listening) + 1], key, b"hello")
    net.run(60)
    assert listener.data == [("added", b"hello")], f"{seed=}"


def test_hundreds_of_listens_of_one_node_in_a_network_of_five() -> None:
    net = SimNetwork(1)
    nodes = net.grow(6)
    keys = [net.random_key() for _ in range(400)]
    listeners = [net.listen(nodes[5], key) for key in keys]
    net.run(30)
    puts = [net.start_put(nodes[number % 5], key, net.value(b"news")) for number, key in enumerate(keys)]
    net.wait_all(puts)
    net.run(5)
    assert [listener for listener in listeners if not listener.changes] == []
    assert nodes[5].running.counters.events["node expired"] == 0


def test_a_listener_learns_that_a_value_expired() -> None:
    net = SimNetwork(1)
    nodes = net.grow(30)
    key = net.random_key()
    listener = net.listen(nodes[7], key)
    net.run(5)
    net.put(nodes[9], key, net.value(b"ten minutes", value_type=0))
    net.run(1200)
    assert listener.data == [("added", b"ten minutes"), ("expired", b"ten minutes")]


def test_after_unlisten_nothing_comes() -> None:
    net = SimNetwork(1)
    nodes = net.grow(20)
    key = net.random_key()
    listener = net.listen(nodes[7], key)
    net.run(5)
    net.unlisten(listener)
    net.put(nodes[9], key, b"hello")
    net.run(60)
    assert listener.data == []
