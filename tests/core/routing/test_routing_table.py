"""The routing table against the recorded reference, and against brute force."""

import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dna_dht.core.config import CoreConfig
from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.remote_node import RemoteNode
from dna_dht.core.instant import Instant
from dna_dht.core.routing.bucket import BITS
from dna_dht.core.routing.routing_table import HEARD_OF, REPLIED, SENT, UNCHANGED, RoutingTable
from dna_dht.wire.address import subnet
from dna_dht.wire.infohash import LENGTH, InfoHash, common_bits, lowbit

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "engine-routing.json").read_text())
NOW = 100_000.0
OWN = InfoHash(bytes(LENGTH - 1) + b"\x01")


def make_table(own: InfoHash = OWN, *, bootstrap: bool = False) -> RoutingTable:
    config = CoreConfig(bootstrap_mode=bootstrap)
    return RoutingTable(CoreContext(config, own, Random(1), Instant(NOW, 0.0)), 4)


def set_time(table: RoutingTable, mono: float) -> None:
    table._ctx.now = Instant(mono, 0.0)


def make_node(node_id: InfoHash | str, state: str = "good", host: str = "127.0.0.1") -> RemoteNode:
    raw = InfoHash.from_hex(node_id) if isinstance(node_id, str) else node_id
    node = RemoteNode(raw, (host, 4000))
    if state == "good":
        node.replied(NOW)
    elif state == "dubious":
        node.heard(NOW)
    else:
        node.timed_out()
    return node


def high(first_byte: int, rest: int = 0) -> InfoHash:
    return InfoHash(bytes([first_byte]) + rest.to_bytes(LENGTH - 1, "big"))


def replay(case: dict[str, Any]) -> tuple[RoutingTable, list[RemoteNode]]:
    """Insert what the recording inserts, checking every step; pings stay unanswered."""
    table = make_table(InfoHash.from_hex(case["own_id"]), bootstrap=case["bootstrap_mode"])
    nodes: list[RemoteNode] = []
    for step in case["inserts"]:
        node = make_node(step["id"], step["state"])
        nodes.append(node)
        seen = table.on_node(node, step["confirm"])
        assert seen.changed is step["changed"]
        assert sorted(nodes.index(pinged) for pinged in seen.pings) == sorted(step["pings"])
        for pinged in seen.pings:
            pinged.pending += 1
    return table, nodes


@pytest.mark.parametrize("case", VECTORS["bits"])
def test_bit_arithmetic_of_the_recording(case: dict[str, Any]) -> None:
    a, b, target = (InfoHash.from_hex(case[name]) for name in "abt")

    assert lowbit(a) == case["lowbit_a"]
    assert common_bits(a, b) == case["commonbits_a_b"]
    to_a, to_b = a.distance(target), b.distance(target)
    assert (to_a > to_b) - (to_a < to_b) == case["closer_to_t"]


@pytest.mark.parametrize("case", VECTORS["tables"], ids=lambda case: case["name"])
def test_insertions_pings_and_splits_of_the_recording(case: dict[str, Any]) -> None:
    table, _ = replay(case)

    assert [
        {
            "first": bucket.first_id.hex(),
            "depth": bucket.depth,
            "cached": bucket.cached and bucket.cached.id.hex(),
            "nodes": sorted(node.id.hex() for node in bucket.nodes),
        }
        for bucket in table.buckets()
    ] == case["buckets"]


@pytest.mark.parametrize("case", VECTORS["tables"], ids=lambda case: case["name"])
def test_closest_is_never_worse_than_the_recorded_walk(case: dict[str, Any]) -> None:
    table, _ = replay(case)
    for walk in case["closest"]:
        target = InfoHash.from_hex(walk["target"])
        theirs = [InfoHash.from_hex(node).distance(target) for node in walk["nodes"]]

        ours = [node.id.distance(target) for node in table.closest(target, walk["count"])]

        assert len(ours) >= len(theirs)
        assert all(a <= b for a, b in zip(ours, theirs, strict=False))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(0, 300),
    k=st.integers(0, 20),
    bootstrap=st.booleans(),
    shared=st.integers(0, BITS),
)
@example(seed=0, count=300, k=8, bootstrap=False, shared=BITS)
@example(seed=0, count=0, k=8, bootstrap=False, shared=0)
def test_closest_equals_sorting_everything(
    seed: int, count: int, k: int, bootstrap: bool, shared: int
) -> None:
    """*shared* low bits are random: few of them crowd all ids together, deep in the table."""
    rng = Random(seed)
    own = InfoHash(rng.randbytes(LENGTH))
    base = int.from_bytes(own, "big")
    table = make_table(own, bootstrap=bootstrap)
    for _ in range(count):
        number = base ^ rng.getrandbits(rng.randint(0, shared))
        state = rng.choice(("good", "good", "dubious", "expired"))
        table.on_node(make_node(InfoHash(number.to_bytes(LENGTH, "big")), state), rng.randrange(3))
    target = InfoHash((base ^ rng.getrandbits(BITS) >> rng.randrange(BITS)).to_bytes(LENGTH, "big"))

    by_distance = sorted(table, key=lambda node: node.id.distance(target))
    good = [node for node in by_distance if node.is_good(NOW)]
    filled = good[:k] + [node for node in by_distance if node.is_dubious(NOW)][: max(0, k - len(good))]

    assert table.closest(target, k) == good[:k]
    assert table.closest(target, k, good_only=False) == sorted(
        filled, key=lambda node: node.id.distance(target)
    )


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), bootstrap=st.booleans())
def test_invariants_hold_under_random_histories(seed: int, bootstrap: bool) -> None:
    rng = Random(seed)
    own = InfoHash(rng.randbytes(LENGTH))
    table = make_table(own, bootstrap=bootstrap)
    known: list[RemoteNode] = []
    for _ in range(400):
        action = rng.random()
        if action < 0.6 or not known:
            host = f"{rng.randrange(50, 53)}.1.{rng.randrange(4)}.{rng.randrange(1, 5)}"
            known.append(make_node(InfoHash(rng.randbytes(LENGTH)), rng.choice(("good", "dubious")), host))
            table.on_node(known[-1], rng.randrange(3))
        elif action < 0.8:
            rng.choice(known).timed_out()
        elif action < 0.9:
            node = rng.choice(known)
            node.replied(NOW)
            table.on_node(node, REPLIED)
        elif action < 0.97:
            node = rng.choice(known)
            node.moved((f"{rng.randrange(50, 60)}.1.1.1", 4000))
            table.recheck(node)
        else:
            table.expire()

    buckets = table.buckets()
    ends = [bucket.first for bucket in buckets[1:]] + [1 << BITS]
    assert buckets[0].first == 0
    for bucket, end in zip(buckets, ends, strict=True):
        assert bucket.first + (1 << (BITS - bucket.depth)) == end
        assert len(bucket.nodes) <= 8
        assert all(bucket.covers(node.number) for node in bucket.nodes)
        assert max(Counter(subnet(node.address[0]) for node in bucket.nodes).values(), default=0) <= 2
    assert {bucket.cached for bucket in buckets} - {None} == {node for node in known if node.held}
    assert max((node.held for node in known), default=0) <= 1
    assert set(table) == {node for node in known if node.in_table}
    assert len(table) == len(set(table))


def test_a_live_node_is_never_displaced() -> None:
    table = make_table()
    old = [make_node(high(0x80, i), "dubious") for i in range(8)]
    for node in old:
        table.on_node(node, SENT)
    near = [make_node(high(0x01, i)) for i in range(8)]
    for node in near:
        table.on_node(node, REPLIED)

    for i in range(100):
        table.on_node(make_node(high(0x80, 1000 + i)), REPLIED)

    assert all(node.in_table for node in old)


def test_an_expired_node_gives_its_place_to_a_newcomer() -> None:
    table = make_table()
    old = [make_node(high(0x80, i)) for i in range(8)]
    for node in [*old, make_node(high(0x01))]:
        table.on_node(node, REPLIED)
    newcomer = make_node(high(0x90))
    assert not table.on_node(newcomer, REPLIED).entered
    old[3].timed_out()

    seen = table.on_node(newcomer, REPLIED)

    assert seen.entered and newcomer.in_table and not old[3].in_table
    assert table.bucket_of(newcomer.number).cached is None


def test_expiry_hands_out_the_spare_of_the_bucket_once() -> None:
    table = make_table()
    old = [make_node(high(0x80, i)) for i in range(8)]
    for node in [*old, make_node(high(0x01))]:
        table.on_node(node, REPLIED)
    spare = make_node(high(0x90))
    table.on_node(spare, SENT)
    old[0].timed_out()

    assert table.expire() == [spare]
    assert table.expire() == []
    assert not old[0].in_table and len(table) == 8


def test_a_table_of_expired_nodes_keeps_them() -> None:
    table = make_table()
    node = make_node(high(0x80))
    table.on_node(node, REPLIED)
    node.timed_out()

    assert table.expire() == [] and node.in_table


def test_an_expired_newcomer_is_no_growth() -> None:
    table = make_table()
    table.on_node(make_node(high(0x80), "expired"), HEARD_OF)

    assert len(table) == 1 and table.grow_time < NOW


def test_the_spare_is_asked_as_soon_as_a_node_expires() -> None:
    table = make_table()
    old = [make_node(high(0x80, i)) for i in range(8)]
    for node in [*old, make_node(high(0x01))]:
        table.on_node(node, REPLIED)
    spare = make_node(high(0x90))
    table.on_node(spare, SENT)
    old[0].timed_out()

    assert table.replacement(old[0]) is spare
    assert table.replacement(old[0]) is None
    assert table.replacement(spare) is None


@pytest.mark.parametrize(
    ("hosts", "third_enters"),
    [
        (("8.8.8.1", "8.8.8.2", "8.8.8.3"), False),
        (("8.8.8.1", "8.8.8.2", "8.8.9.3"), True),
        (("127.0.0.1", "127.0.0.1", "127.0.0.1"), True),
        (("10.1.1.1", "10.1.1.2", "10.1.1.3"), True),
        (("172.31.0.1", "172.31.0.2", "172.31.0.3"), True),
        (("172.32.0.1", "172.32.0.2", "172.32.0.3"), False),
        (("192.168.0.1", "192.168.0.2", "192.168.0.3"), True),
        (("2001:db8:1:1::1", "2001:db8:1:2::1", "2001:db8:1:3::1"), False),
        (("2001:db8:1:1::1", "2001:db8:1:2::1", "2001:db8:2:3::1"), True),
        (("fd00::1", "fd00::2", "fd00::3"), True),
        (("::1", "::1", "::1"), True),
    ],
)
def test_a_bucket_takes_two_nodes_of_a_public_subnet(hosts: tuple[str, ...], third_enters: bool) -> None:
    table = make_table()
    nodes = [make_node(high(0x80, i), host=host) for i, host in enumerate(hosts)]

    for node in nodes:
        table.on_node(node, REPLIED)

    assert [node.in_table for node in nodes] == [True, True, third_enters]


def test_a_dead_node_makes_way_for_another_of_its_subnet() -> None:
    table = make_table()
    nodes = [make_node(high(0x80, i), host=f"8.8.8.{i}") for i in range(3)]
    table.on_node(nodes[0], REPLIED)
    table.on_node(nodes[1], REPLIED)
    nodes[0].timed_out()

    assert table.on_node(nodes[2], REPLIED).entered
    assert [node.in_table for node in nodes] == [False, True, True]


def test_a_node_that_moves_into_a_crowded_subnet_leaves() -> None:
    table = make_table()
    nodes = [make_node(high(0x80, i), host=f"8.8.{i}.1") for i in range(3)]
    for node in nodes:
        table.on_node(node, REPLIED)
    for node in nodes:
        node.moved(("8.8.8.8", 4000))
        table.recheck(node)

    assert [node.in_table for node in nodes] == [True, True, False]
    assert len(table) == 2


def test_clients_and_ourselves_stay_out() -> None:
    table = make_table()
    client = RemoteNode(high(0x80), ("127.0.0.1", 1), client=True)

    assert table.on_node(client, REPLIED) is UNCHANGED
    assert table.on_node(make_node(OWN), REPLIED) is UNCHANGED
    assert len(table) == 0


def test_a_node_that_turns_client_leaves() -> None:
    table = make_table()
    node = make_node(high(0x80))
    table.on_node(node, REPLIED)
    node.client = True
    table.recheck(node)

    assert not node.in_table and table.closest(node.id, 8) == []


def test_growth_of_our_own_bucket_is_timed() -> None:
    table = make_table()
    for i in range(8):
        table.on_node(make_node(high(0x80, i)), REPLIED)
    table.on_node(make_node(high(0x01)), REPLIED)
    set_time(table, NOW + 50)

    far = table.on_node(make_node(high(0x90)), REPLIED)
    assert not far.own_bucket and table.grow_time == NOW
    near = table.on_node(make_node(high(0x02)), REPLIED)
    assert near.own_bucket and table.grow_time == NOW + 50


def test_only_answers_refresh_a_bucket() -> None:
    table = make_table()
    node = make_node(high(0x80), "dubious")
    for confirm in (HEARD_OF, SENT, SENT):
        table.on_node(node, confirm)
    assert table.own_bucket.time < NOW

    table.on_node(node, REPLIED)
    assert table.own_bucket.time == NOW


def test_a_network_change_leaves_every_node_dubious_and_every_bucket_due() -> None:
    table = make_table()
    node = make_node(high(0x80))
    table.on_node(node, REPLIED)
    set_time(table, NOW + 1)
    table.reset()

    assert node.is_dubious(NOW + 1) and table.own_bucket.time < NOW
    assert table.grow_time == NOW + 1


def test_statistics() -> None:
    table = make_table()
    assert table.stats().network_size == 0
    for i in range(9):
        table.on_node(make_node(high(0x80, i)), REPLIED)
    for state in ("dubious", "good", "expired"):
        table.on_node(make_node(high(0x01, len(table)), state), SENT)
    next(node for node in table if node.is_good(NOW)).last_heard = NOW + 1
    set_time(table, NOW + 1)

    stats = table.stats()

    assert (stats.good, stats.dubious, stats.cached, stats.incoming) == (9, 1, 1, 1)
    assert (stats.known, stats.depth, stats.network_size) == (10, 1, 16)
    assert table.good_count() == 9 and table.has_good() and table.has_live()
    own, others = table.good_nodes()
    assert (len(own), len(others)) == (1, 8)
