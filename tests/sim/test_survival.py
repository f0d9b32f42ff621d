"""Values outlive their publishers and the nodes that held them."""

import pytest

from dna_dht.testing import SimNetwork
from dna_dht.testing.experiments import survival


@pytest.mark.parametrize("seed", [0])
def test_values_survive_three_hours_in_which_most_nodes_are_replaced(seed: int) -> None:
    renewed = survival(seed, nodes=80, values=100, hours=3, per_hour=0.4)
    copied = survival(seed, nodes=80, values=100, hours=3, per_hour=0.4, policy="reference")
    assert renewed.n >= 99
    assert renewed.value >= 0.999, renewed.failures
    assert copied.value < renewed.value


@pytest.mark.parametrize("seed", range(5))
def test_value_survives_the_loss_of_half_its_holders(seed: int) -> None:
    net = SimNetwork(seed, loss=0.05)
    alice, bob, *_ = net.grow(60)
    key = net.random_key()
    net.put(alice, key, b"hello")
    net.run(10)
    net.crash([holder for holder in net.holders(key) if holder is not bob][::2])
    assert net.get(bob, key) == (b"hello",), f"{seed=}"


@pytest.mark.parametrize("seed", range(3))
def test_lost_copies_are_replaced(seed: int) -> None:
    net = SimNetwork(seed)
    net.grow(60)
    key = net.random_key()
    net.put(net.nodes[10], key, b"hello")
    net.run(10)
    net.crash(net.holders(key)[:5])
    assert net.run_until(lambda: len(net.holders(key)) >= 8, 3600), f"{seed=}: {net.holders(key)}"


@pytest.mark.parametrize("seed", range(3))
def test_who_shuts_down_hands_over_what_it_holds(seed: int) -> None:
    net = SimNetwork(seed, maintenance="renew")
    net.grow(40)
    key = net.random_key()
    net.put(net.nodes[10], key, b"hello")
    net.run(10)
    closest = net.true_closest(key)
    net.stop(closest)
    assert set(net.holders(key)) - set(closest)
    assert net.get(net.alive()[3], key) == (b"hello",), f"{seed=}"


@pytest.mark.parametrize("seed", range(2))
def test_values_end_with_their_type_although_they_are_renewed(seed: int) -> None:
    net = SimNetwork(seed)
    net.grow(30)
    key = net.random_key()
    net.put(net.nodes[4], key, net.value(b"ten minutes", value_type=0))
    net.run(300)
    assert net.get(net.nodes[8], key) == (b"ten minutes",)
    net.run(900)
    assert net.get(net.nodes[8], key) == (), f"{seed=}"
    assert net.holders(key) == []
