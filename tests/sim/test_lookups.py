"""Every lookup finds the eight closest nodes there are."""

import pytest

from dna_dht.testing import Faults, SimNetwork
from dna_dht.testing.experiments import CLOSEST, closest_found


@pytest.mark.parametrize("seed", [0])
def test_a_thousand_nodes_join_and_lookups_find_the_eight_closest(seed: int) -> None:
    found = closest_found(seed, nodes=1000, lookups=200)
    assert found.value >= 0.99, found.failures


@pytest.mark.parametrize("seed", range(1, 4))
def test_a_hundred_nodes_find_each_other_in_spite_of_loss(seed: int) -> None:
    found = closest_found(seed, nodes=100, lookups=100, loss=0.05)
    assert found.value >= 0.97, found.failures


@pytest.mark.parametrize("seed", range(3))
def test_hidden_nodes_keep_nobody_from_reading(seed: int) -> None:
    net = SimNetwork(seed, faults=Faults(unreachable=0.2))
    net.grow(60)
    written = {}
    for _ in range(20):
        key = net.random_key()
        written[key] = net.rng.randbytes(50)
        assert net.put(net.rng.choice(net.nodes), key, written[key]).quorum
    for key, data in written.items():
        assert net.get(net.rng.choice(net.nodes), key) == (data,), f"{seed=}"


@pytest.mark.parametrize("seed", range(3))
def test_a_lookup_knows_when_nothing_is_there(seed: int) -> None:
    net = SimNetwork(seed, loss=0.02)
    net.grow(50)
    outcome = net.lookup(net.nodes[7], net.random_key())
    assert outcome.conclusive
    assert outcome.values == ()
    assert outcome.answered >= CLOSEST // 2
