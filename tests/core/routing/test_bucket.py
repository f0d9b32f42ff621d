"""One bucket: its range, its spare, its subnets."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_dht.core.exchange.remote_node import RemoteNode
from dna_dht.core.routing.bucket import BITS, Bucket
from dna_dht.wire.infohash import LENGTH, InfoHash

NOW = 1000.0


def make_node(number: int, host: str = "127.0.0.1") -> RemoteNode:
    return RemoteNode(InfoHash(number.to_bytes(LENGTH, "big")), (host, 4000))


@given(depth=st.integers(0, BITS), prefix=st.integers(0, 2**BITS - 1), seed=st.integers(0, 99))
def test_random_ids_lie_in_the_range(depth: int, prefix: int, seed: int) -> None:
    first = prefix >> (BITS - depth) << (BITS - depth)
    bucket = Bucket(first, depth)

    number = int.from_bytes(bucket.random_id(Random(seed)), "big")

    assert bucket.covers(number)
    assert first <= number < first + (1 << (BITS - depth))
    assert bucket.first_id == first.to_bytes(LENGTH, "big")


def test_random_ids_fill_the_range() -> None:
    bucket = Bucket(1 << 159, 1)
    rng = Random(1)

    seconds = {bucket.random_id(rng)[0] for _ in range(2000)}

    assert seconds == set(range(0x80, 0x100))


def test_the_range_ends_where_the_next_begins() -> None:
    bucket = Bucket(1 << 159, 1)

    assert not bucket.covers((1 << 159) - 1)
    assert bucket.covers(1 << 159) and bucket.covers((1 << 160) - 1)


def test_a_split_shares_out_range_and_nodes_and_copies_the_times() -> None:
    bucket = Bucket(0, 0, time=NOW)
    bucket.asked, bucket.tries = NOW - 5, 3
    low, high = make_node(5), make_node(1 << 159)
    bucket.nodes = [high, low]

    upper = bucket.split()

    assert (bucket.first, bucket.depth, bucket.nodes) == (0, 1, [low])
    assert (upper.first, upper.depth, upper.nodes) == (1 << 159, 1, [high])
    assert (upper.time, upper.asked, upper.tries) == (NOW, NOW - 5, 3)


def test_a_spare_is_held_while_it_waits() -> None:
    bucket = Bucket(0, 0)
    first, second = make_node(1), make_node(2)

    bucket.keep_spare(first)
    assert first.held == 1
    bucket.keep_spare(second)
    assert (first.held, second.held) == (0, 1)
    assert bucket.take_spare() is second and second.held == 0
    assert bucket.take_spare() is None


def test_eight_nodes_fill_it() -> None:
    bucket = Bucket(0, 0)
    bucket.nodes = [make_node(i) for i in range(7)]
    assert not bucket.is_full()

    bucket.nodes.append(make_node(7))
    assert bucket.is_full()


@pytest.mark.parametrize(
    ("host", "neighbour", "same"),
    [
        ("8.8.8.1", "8.8.8.255", True),
        ("8.8.8.1", "8.8.9.1", False),
        ("10.0.0.1", "10.0.0.2", False),
        ("2a00:1:2:3::1", "2a00:1:2:ffff::1", True),
        ("2a00:1:2::1", "2a00:1:3::1", False),
    ],
)
def test_who_shares_a_subnet(host: str, neighbour: str, same: bool) -> None:
    bucket = Bucket(0, 0)
    node, other = make_node(1, host), make_node(2, neighbour)
    bucket.nodes = [node, other]

    assert bucket.of_subnet(node) == ([other] if same else [])
