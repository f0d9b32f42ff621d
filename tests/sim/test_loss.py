"""Puts and gets succeed although datagrams vanish, come twice, or overtake each other."""

import pytest

from dna_dht.testing import Faults, SimNetwork
from dna_dht.testing.experiments import large_values, put_and_get


@pytest.mark.parametrize("seed", [0])
def test_300_nodes_put_and_get_at_5_percent_loss(seed: int) -> None:
    put, get = put_and_get(seed, nodes=300, loss=0.05, operations=1000)
    assert put.n == get.n == 500
    assert put.value >= 0.999, put.failures
    assert get.value >= 0.999, get.failures


@pytest.mark.parametrize("seed", range(2))
def test_values_of_45_kB_at_10_percent_loss(seed: int) -> None:
    put, get = large_values(seed, loss=0.10, operations=50)
    assert put.value >= 0.98, put.failures
    assert get.value >= 0.95, get.failures


@pytest.mark.parametrize("seed", range(2))
def test_duplicates_and_reordering_are_invisible(seed: int) -> None:
    put, get = put_and_get(
        seed, nodes=50, loss=0.02, operations=80, size=8000, faults=Faults(duplicate=0.05, reorder=0.2)
    )
    assert put.value == 1, put.failures
    assert get.value == 1, get.failures


def test_bursts_do_not_overrun_small_socket_buffers() -> None:
    # The default receive buffer of Linux holds 90 full datagrams; the reference stalls for a second there.
    net = SimNetwork(1, faults=Faults(receive_buffer=100_000, receive_rate=5e6))
    net.grow(20)
    keys = [net.random_key() for _ in range(10)]
    puts = [net.start_put(net.nodes[4], key, net.value(bytes(40_000))) for key in keys]
    net.wait_all(puts)
    assert all(put.put is not None and put.put.quorum for put in puts)
    gets = [net.start_get(net.nodes[9], key) for key in keys]
    net.wait_all(gets)
    assert [len(get.get.values) if get.get else None for get in gets] == [1] * 10
