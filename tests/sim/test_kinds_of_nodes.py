"""IPv4, IPv6 and dual-stack nodes, full nodes and clients in one network."""

import pytest

from dna_dht.core.config import CoreConfig
from dna_dht.testing import SimNetwork

ONLY_4, ONLY_6, BOTH = CoreConfig(ipv6=False), CoreConfig(ipv4=False), CoreConfig()


@pytest.mark.parametrize("seed", range(2))
def test_dual_stack_nodes_store_in_both_families(seed: int) -> None:
    net = SimNetwork(seed, config=BOTH)
    net.grow(20)
    only4 = [net.add(config=ONLY_4) for _ in range(10)]
    only6 = [net.add(config=ONLY_6) for _ in range(10)]
    assert net.run_until(lambda: all(node.connected for node in (*only4, *only6)), 120)
    net.run(60)
    key = net.random_key()
    assert net.put(net.nodes[5], key, b"hello").quorum
    assert net.get(only4[3], key) == (b"hello",), f"{seed=}"
    assert net.get(only6[3], key) == (b"hello",), f"{seed=}"
    assert net.get(net.nodes[9], key) == (b"hello",), f"{seed=}"


@pytest.mark.parametrize("seed", range(2))
def test_a_network_of_ipv6_only_works(seed: int) -> None:
    net = SimNetwork(seed, config=ONLY_6, loss=0.02)
    nodes = net.grow(30)
    key = net.random_key()
    assert net.put(nodes[4], key, bytes(9000)).quorum
    assert net.get(nodes[20], key) == (bytes(9000),), f"{seed=}"


@pytest.mark.parametrize("seed", range(2))
def test_clients_read_and_write_and_store_nothing_for_others(seed: int) -> None:
    net = SimNetwork(seed)
    net.grow(20)
    clients = [net.add(config=CoreConfig(ipv6=False, client_mode=True)) for _ in range(10)]
    assert net.run_until(lambda: all(client.connected for client in clients), 120)
    keys = [net.random_key() for _ in range(10)]
    for key, client in zip(keys, clients, strict=True):
        assert net.put(client, key, b"by a client").quorum
    net.run(1800)
    for key, writer, reader in zip(keys, clients, reversed(clients), strict=True):
        assert net.get(reader, key) == (b"by a client",), f"{seed=}"
        assert [holder for holder in net.holders(key) if holder in clients] in ([], [writer])


def test_networks_with_different_ids_do_not_mix() -> None:
    net = SimNetwork(1)
    net.grow(12)
    stranger = net.add(config=CoreConfig(ipv6=False, network=7))
    net.run(120)
    assert not stranger.connected
    key = net.random_key()
    net.put(net.nodes[3], key, b"ours")
    assert stranger not in net.holders(key)


@pytest.mark.parametrize("seed", range(2))
def test_networks_without_signatures_take_unsigned_values(seed: int) -> None:
    net = SimNetwork(seed, config=CoreConfig(ipv6=False, accept_unsigned=True))
    nodes = net.grow(20)
    key = net.random_key()
    assert net.put(nodes[3], key, net.value(b"plain", owner=None)).quorum
    assert net.get(nodes[9], key) == (b"plain",), f"{seed=}"


def test_networks_with_signatures_refuse_unsigned_values() -> None:
    net = SimNetwork(1)
    nodes = net.grow(20)
    liar = net.add(config=CoreConfig(ipv6=False, accept_unsigned=True))
    assert net.run_until(lambda: liar.connected, 120)
    key = net.random_key()
    net.put(liar, key, net.value(b"plain", owner=None))
    net.run(30)
    assert [holder for holder in net.holders(key) if holder is not liar] == []
    assert net.get(nodes[9], key) == ()
