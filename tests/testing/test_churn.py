"""Churn replaces as many nodes as it says, and keeps the size of the network."""

import pytest

from dna_dht.testing import Churn, SimNetwork

HOUR = 3600.0  # seconds


def test_half_of_the_nodes_leave_in_an_hour_and_as_many_join() -> None:
    net = SimNetwork(1)
    net.grow(60)
    churn = Churn(net, per_hour=0.5)
    net.run(HOUR)
    churn.stop()
    net.run(60)
    assert 14 <= churn.leaves <= 46  # 30 expected; these are three standard deviations
    assert churn.joins == churn.leaves
    assert len(net.nodes) == len(net.alive()) == 60
    assert sum(node.index >= 60 for node in net.nodes) > 10


def test_after_stop_everybody_stays() -> None:
    net = SimNetwork(1)
    net.grow(20)
    churn = Churn(net, per_hour=5.0)
    net.run(600)
    churn.stop()
    leaves = churn.leaves
    net.run(HOUR)
    assert leaves > 0
    assert churn.leaves == leaves


def test_protected_nodes_stay() -> None:
    net = SimNetwork(1)
    for node in net.grow(10):
        node.protected = True
    churn = Churn(net, per_hour=50.0)
    net.run(600)
    assert churn.leaves == 0


@pytest.mark.parametrize("goodbye", [0.0, 1.0])
def test_nodes_may_restart_instead(goodbye: float) -> None:
    net = SimNetwork(1)
    nodes = net.grow(20)
    churn = Churn(net, per_hour=4.0, mode="restart", downtime=30, goodbye=goodbye)
    net.run(HOUR)
    churn.stop()
    net.run(60)
    assert net.nodes == nodes
    assert all(node.connected for node in nodes)
    assert sum(node.starts for node in nodes) == 20 + churn.leaves > 40


def test_a_rate_must_be_positive() -> None:
    with pytest.raises(ValueError, match="per_hour"):
        Churn(SimNetwork(1), per_hour=0)
