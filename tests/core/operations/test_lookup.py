"""Lookups: whom they ask and when, when they are settled, and that they find the closest nodes there are."""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dna_dht.core.config import CoreConfig
from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.address_proof import AddressProof
from dna_dht.core.exchange.admission import Admission
from dna_dht.core.exchange.compose import Composer
from dna_dht.core.exchange.reassembly import Reassembly
from dna_dht.core.exchange.remote_node import RemoteNode
from dna_dht.core.exchange.requests import Requests
from dna_dht.core.instant import Instant
from dna_dht.core.operations.lookup import (
    ALPHA,
    ANSWERED,
    ASKED,
    FAILED,
    MAX_ASKED,
    NEW,
    SEARCH_NODES,
    TARGET_NODES,
    Candidate,
    Lookup,
)
from dna_dht.core.routing.maintenance import Maintenance
from dna_dht.core.routing.overlay import Overlay
from dna_dht.core.routing.routing_table import REPLIED
from dna_dht.wire.address import Address
from dna_dht.wire.compact_nodes import CompactNode, pack_nodes
from dna_dht.wire.infohash import LENGTH, InfoHash
from dna_dht.wire.messages import Reply

KEY = InfoHash.of(b"key")
NUMBER = int.from_bytes(KEY, "big")
OWN_ID = InfoHash(bytes([KEY[0] ^ 0x80]) + KEY[1:])


class Bench:
    """One lookup whose questions are answered by hand."""

    def __init__(self) -> None:
        self.ctx = CoreContext(CoreConfig(), OWN_ID, Random(3), Instant(10_000.0, 0.0))
        requests, proof = Requests(self.ctx, Reassembly(self.ctx)), AddressProof(self.ctx)
        self.overlay = Overlay(self.ctx, 4, requests, Composer(self.ctx), Admission(self.ctx), proof)
        self.overlay.maintenance = Maintenance(self.ctx, [self.overlay.table], [self.overlay.cache])
        self.overlay.start_lookup = lambda target: None
        self.asked: list[Candidate] = []

    def know(self, rank: int, *, good: bool = True, address: Address | None = None) -> RemoteNode:
        """A node at the distance *rank* from the key, in units that leave room between them."""
        node = self.overlay.cache.seen(node_id(rank), address or address_of(rank), confirmed=True)
        if good:
            node.replied(self.ctx.now.mono, 0.02)
            self.overlay.table.on_node(node, REPLIED)
        return node

    def lookup(self) -> Lookup:
        return Lookup(self.ctx, self.overlay, KEY, lambda lookup, candidate: self.asked.append(candidate))

    def ranks(self, candidates: Sequence[Candidate]) -> list[int]:
        return [candidate.distance >> 100 for candidate in candidates]

    def asked_ranks(self) -> list[int]:
        asked, self.asked = self.asked, []
        return self.ranks(asked)


def node_id(rank: int) -> InfoHash:
    return InfoHash((NUMBER ^ (rank << 100)).to_bytes(LENGTH, "big"))


def address_of(rank: int) -> Address:
    return (f"31.{rank // 200}.{rank % 200}.1", 4000)


def naming(*ranks: int, addresses: dict[int, Address] | None = None) -> Reply:
    """A reply that names nodes."""
    chosen = addresses or {}
    nodes = [CompactNode(node_id(rank), chosen.get(rank, address_of(rank))) for rank in ranks]
    return Reply(tid=1, sender=OWN_ID, nodes4=pack_nodes(nodes, 4), token=b"t")


@pytest.fixture
def bench() -> Bench:
    return Bench()


# -- how many at once


def test_small_network_is_asked_at_once(bench: Bench) -> None:
    for rank in range(1, 6):
        bench.know(rank)
    lookup = bench.lookup()
    lookup.step()

    assert lookup.wide
    assert bench.asked_ranks() == [1, 2, 3, 4, 5]


def _far(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Lookup:
    """A lookup that begins far from the key."""
    monkeypatch.setattr(bench.overlay, "is_dense", lambda key, seeds: False)
    for rank in range(1000, 1020):
        bench.know(rank)
    return bench.lookup()


def test_far_from_the_key_no_more_than_alpha_are_asked_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookup = _far(bench, monkeypatch)
    lookup.step()
    lookup.step()

    assert len(bench.asked) == ALPHA


def test_all_targets_are_asked_once_the_nearest_has_answered(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookup = _far(bench, monkeypatch)
    lookup.step()
    lookup.answered(bench.asked[0], naming())
    lookup.step()

    assert len(bench.asked) == TARGET_NODES


def test_nearer_node_brings_alpha_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    lookup = _far(bench, monkeypatch)
    lookup.step()
    lookup.answered(bench.asked[0], naming(5))
    lookup.step()

    assert bench.asked_ranks()[ALPHA:] == [5]
    assert sum(candidate.state == ASKED for candidate in lookup.targets()) == ALPHA


# -- hedging


def test_slow_candidate_is_replaced_and_a_late_answer_brings_it_back(bench: Bench) -> None:
    for rank in range(1, 11):
        bench.know(rank)
    lookup = bench.lookup()
    lookup.step()
    first = bench.asked[0]
    lookup.slow(first)
    lookup.step()
    assert bench.asked_ranks() == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert bench.ranks(lookup.targets()) == [2, 3, 4, 5, 6, 7, 8, 9]

    lookup.answered(first, naming())
    assert bench.ranks(lookup.targets()) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_failed_candidate_is_replaced_for_good(bench: Bench) -> None:
    for rank in range(1, 11):
        bench.know(rank)
    lookup = bench.lookup()
    lookup.step()
    lookup.failed(bench.asked[2])
    lookup.step()

    assert bench.asked_ranks()[-1] == 9
    assert bench.ranks(lookup.targets()) == [1, 2, 4, 5, 6, 7, 8, 9]


def test_answered_candidate_does_not_turn_slow(bench: Bench) -> None:
    bench.know(1)
    lookup = bench.lookup()
    lookup.step()
    lookup.answered(bench.asked[0], naming())
    lookup.slow(bench.asked[0])

    assert lookup.settled


# -- settled and stuck


def test_settled_when_all_targets_answered(bench: Bench) -> None:
    for rank in range(1, 13):
        bench.know(rank)
    lookup = bench.lookup()
    lookup.step()
    for candidate in bench.asked[:7]:
        lookup.answered(candidate, naming())
    assert not lookup.settled
    lookup.answered(bench.asked[7], naming())

    assert lookup.settled
    assert not lookup.stuck  # there would be more to ask


def test_settled_without_the_slow_ones_if_there_are_no_others(bench: Bench) -> None:
    for rank in range(1, 4):
        bench.know(rank)
    lookup = bench.lookup()
    lookup.step()
    lookup.answered(bench.asked[0], naming())
    lookup.answered(bench.asked[1], naming())
    lookup.slow(bench.asked[2])

    assert lookup.settled
    assert not lookup.stuck


def test_without_any_node_it_is_stuck_and_not_settled(bench: Bench) -> None:
    lookup = bench.lookup()
    lookup.step()

    assert lookup.stuck and not lookup.settled


def test_stuck_when_everybody_failed(bench: Bench) -> None:
    bench.know(1)
    lookup = bench.lookup()
    lookup.step()
    assert not lookup.stuck
    bench.asked[0].node.timed_out()
    lookup.failed(bench.asked[0])

    assert lookup.stuck and not lookup.settled


def test_expired_nodes_are_not_waited_for(bench: Bench) -> None:
    for rank in range(1, 4):
        bench.know(rank)
    lookup = bench.lookup()
    bench.overlay.cache.seen(node_id(2), address_of(2), confirmed=True).timed_out()
    lookup.step()

    assert bench.asked_ranks() == [1, 3]


def test_liars_end_the_lookup_after_so_many_questions(bench: Bench) -> None:
    """Everybody names somebody nearer: it must end, and be known to have ended."""
    bench.know(10_000)
    lookup = bench.lookup()
    lookup.step()
    nearer, done = 9_999, 0
    while done < len(bench.asked):
        candidate = bench.asked[done]
        done += 1
        lookup.answered(candidate, naming(*range(nearer - 8, nearer)))
        nearer -= 8
        lookup.step()

    assert done == MAX_ASKED
    assert not lookup.settled
    assert lookup.stuck


# -- candidates


def test_candidates_are_nearest_first_and_known_once(bench: Bench) -> None:
    bench.know(7)
    lookup = bench.lookup()
    lookup.step()
    lookup.answered(bench.asked[0], naming(9, 3, 5, 3, 7))

    assert bench.ranks(lookup.candidates) == [3, 5, 7, 9]


def test_clients_are_no_candidates(bench: Bench) -> None:
    bench.know(1)
    bench.overlay.cache.seen(node_id(2), address_of(2), confirmed=True, client=True)
    lookup = bench.lookup()
    lookup.step()
    lookup.answered(bench.asked[0], naming(2))

    assert bench.ranks(lookup.candidates) == [1]


def test_what_lies_behind_fourteen_live_candidates_is_dropped(bench: Bench) -> None:
    for rank in range(1, 15):
        bench.know(2 * rank)
    lookup = bench.lookup()
    lookup.step()
    lookup.answered(bench.asked[0], naming(1, 3, 5))

    assert len(lookup.candidates) == SEARCH_NODES
    assert bench.ranks(lookup.candidates)[:4] == [1, 2, 3, 4]


def test_dropped_candidate_may_come_back_when_nearer_ones_fail(bench: Bench) -> None:
    for rank in range(10, 24):
        bench.know(rank)
    lookup = bench.lookup()
    lookup.step()
    lookup.answered(bench.asked[0], naming(*range(1, 9)))
    assert 23 not in bench.ranks(lookup.candidates)

    lookup.step()
    for candidate in list(lookup.candidates):
        if candidate.distance >> 100 < 10:
            candidate.node.timed_out()
            lookup.failed(candidate)
            lookup.step()
    for rank in range(11, 19):
        for candidate in lookup.candidates:
            if candidate.distance >> 100 == rank:
                candidate.node.timed_out()
                lookup.failed(candidate)
                lookup.step()

    assert 23 in bench.ranks(lookup.candidates)


def test_node_cache_is_asked_again_when_candidates_run_out(bench: Bench) -> None:
    """Half of a network dies at once: the lookup goes on with nodes that were not among the first."""
    for rank in range(1, 29):
        bench.know(rank)
    lookup = bench.lookup()
    lookup.step()
    done = 0
    while done < len(bench.asked):
        candidate = bench.asked[done]
        done += 1
        if candidate.distance >> 100 <= 14:
            candidate.node.timed_out()
            lookup.failed(candidate)
        else:
            lookup.answered(candidate, naming())
        lookup.step()

    assert lookup.settled
    assert bench.ranks(lookup.targets()) == list(range(15, 23))


# -- subnets


def _crowd(host: int) -> Address:
    return (f"77.7.7.{host}", 4000)


def test_two_of_a_subnet_while_there_are_others(bench: Bench) -> None:
    for rank in range(1, 9):
        bench.know(rank, address=_crowd(rank))
    for rank in range(11, 19):
        bench.know(rank)
    lookup = bench.lookup()
    lookup.step()

    assert bench.asked_ranks() == [1, 2, 11, 12, 13, 14, 15, 16, 17, 18]


def test_all_of_a_subnet_if_there_are_no_others(bench: Bench) -> None:
    for rank in range(1, 9):
        bench.know(rank, address=_crowd(rank))
    bench.know(11)
    lookup = bench.lookup()
    lookup.step()

    assert bench.asked_ranks() == [1, 2, 3, 4, 5, 6, 7, 11]


def test_private_addresses_are_exempt(bench: Bench) -> None:
    for rank in range(1, 9):
        bench.know(rank, address=("127.0.0.1", 4000 + rank))
    for rank in range(11, 19):
        bench.know(rank)
    lookup = bench.lookup()
    lookup.step()

    assert bench.asked_ranks() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_nearer_node_takes_the_place_of_a_farther_one_of_its_subnet(bench: Bench) -> None:
    for rank in range(101, 109):
        bench.know(rank)
    bench.know(90, address=_crowd(90))
    bench.know(91, address=_crowd(91))
    lookup = bench.lookup()
    lookup.step()
    lookup.answered(bench.asked[0], naming(3, 4, 5, addresses={rank: _crowd(rank) for rank in (3, 4, 5)}))

    assert bench.ranks(lookup.targets())[:3] == [3, 4, 101]


def test_network_in_one_subnet_finds_its_closest(bench: Bench) -> None:
    for rank in range(101, 115):
        bench.know(rank, address=_crowd(rank))
    lookup = bench.lookup()
    lookup.step()
    addresses = {rank: _crowd(rank) for rank in range(1, 17)}
    lookup.answered(bench.asked[0], naming(*range(1, 9), addresses=addresses))
    lookup.answered(bench.asked[1], naming(*range(9, 17), addresses=addresses))

    assert bench.ranks(lookup.targets()) == list(range(1, 9))


def test_failed_node_gives_its_place_to_the_next_of_its_subnet(bench: Bench) -> None:
    for rank in range(1, 5):
        bench.know(rank, address=_crowd(rank))
    for rank in range(11, 19):
        bench.know(rank)
    lookup = bench.lookup()
    lookup.step()
    bench.asked[0].node.timed_out()
    lookup.failed(bench.asked[0])

    assert bench.ranks(lookup.targets())[:3] == [2, 3, 11]


def test_late_answer_takes_the_place_back_from_the_next_of_its_subnet(bench: Bench) -> None:
    for rank in range(1, 5):
        bench.know(rank, address=_crowd(rank))
    for rank in range(11, 19):
        bench.know(rank)
    lookup = bench.lookup()
    lookup.step()
    first = bench.asked[0]
    lookup.slow(first)
    assert bench.ranks(lookup.targets())[:3] == [2, 3, 11]
    lookup.answered(first, naming())

    assert bench.ranks(lookup.targets())[:3] == [1, 2, 11]


def test_many_names_of_one_node_push_nobody_aside(bench: Bench) -> None:
    """The list of those set aside holds each node once, and the nearest."""
    for rank in range(101, 109):
        bench.know(rank)
    for rank in (1, 2):
        bench.know(rank, address=_crowd(rank))
    lookup = bench.lookup()
    lookup.step()
    addresses = {rank: _crowd(rank) for rank in (*range(3, 10), *range(50, 58))}
    lookup.answered(bench.asked[0], naming(*range(50, 58), addresses=addresses))
    lookup.answered(bench.asked[1], naming(*range(50, 58), addresses=addresses))
    lookup.answered(bench.asked[2], naming(*range(3, 10), addresses=addresses))
    for candidate in list(lookup.candidates):
        if candidate.distance >> 100 > 100:
            candidate.node.timed_out()
            lookup.failed(candidate)

    assert bench.ranks(lookup.targets()) == list(range(1, 9))


# -- memory


def test_settled_lookup_is_remembered(bench: Bench) -> None:
    for rank in range(1, 4):
        bench.know(rank)
    lookup = bench.lookup()
    assert not lookup.confident
    lookup.step()
    for candidate in bench.asked:
        lookup.answered(candidate, naming())

    assert bench.lookup().confident


def test_lookup_that_a_failure_settles_is_remembered_too(bench: Bench) -> None:
    for rank in range(1, 4):
        bench.know(rank)
    lookup = bench.lookup()
    lookup.step()
    lookup.answered(bench.asked[0], naming())
    lookup.answered(bench.asked[1], naming())
    bench.asked[2].node.timed_out()
    lookup.failed(bench.asked[2])

    assert bench.lookup().confident


# -- random networks


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 60), dead=st.floats(0, 0.6), lost=st.floats(0, 0.3))
def test_every_lookup_ends_and_finds_the_closest(seed: int, size: int, dead: float, lost: float) -> None:
    """Nodes know their neighbours and some others; answers come in any order; some nodes are dead or slow."""
    rng = Random(seed)
    bench = Bench()
    ranks = rng.sample(range(1, 2**60), size)
    alive = {rank for rank in ranks if rng.random() >= dead}
    addresses = {rank: address_of(at) for at, rank in enumerate(ranks)}
    for rank in rng.sample(ranks, min(size, 20)):
        bench.know(rank, address=addresses[rank])
    by_distance = sorted(ranks)
    lookup = bench.lookup()
    asked: list[Candidate] = []
    lookup.step()
    waiting: list[Candidate] = []
    while True:
        waiting += bench.asked
        asked += bench.asked
        bench.asked = []
        targets = lookup.targets()
        under_way = sum(candidate.state == ASKED for candidate in targets)
        assert under_way <= TARGET_NODES
        if not waiting:
            break
        candidate = waiting.pop(rng.randrange(len(waiting)))
        rank = candidate.distance >> 100
        if rank in alive:
            if rng.random() < lost and not candidate.slow:
                lookup.slow(candidate)
                waiting.append(candidate)
            else:
                named = [other for other in by_distance if other in alive and other != rank][:8]
                lookup.answered(candidate, naming(*named, addresses=addresses))
        else:
            candidate.node.timed_out()
            lookup.failed(candidate)
        lookup.step()

    assert len(asked) <= MAX_ASKED
    assert len(set(asked)) == len(asked)
    assert lookup.settled or lookup.stuck
    found = bench.ranks(lookup.targets())
    assert found == sorted(found)
    if any(candidate.state == ANSWERED for candidate in lookup.candidates):
        assert found == [rank for rank in by_distance if rank in alive][:8]
    states = {candidate.state for candidate in lookup.candidates}
    assert states <= {NEW, ANSWERED, FAILED}


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 14), nets=st.integers(1, 6))
def test_subnet_rule_holds_whatever_the_order(seed: int, size: int, nets: int) -> None:
    """Of each subnet the two nearest, then the nearest of all others until there are eight."""
    rng = Random(seed)
    bench = Bench()
    ranks = sorted(rng.sample(range(1, 1000), size))
    net = {rank: rng.randrange(nets) for rank in ranks}
    addresses = {rank: (f"77.7.{net[rank]}.{1 + at}", 4000) for at, rank in enumerate(ranks)}
    first = rng.choice(ranks)
    bench.know(first, address=addresses[first])
    lookup = bench.lookup()
    lookup.step()
    others = [rank for rank in ranks if rank != first]
    rng.shuffle(others)
    replies = [naming(*others[at : at + 3], addresses=addresses) for at in range(0, len(others), 3)]
    for reply in replies:
        lookup.answered(bench.asked[0], reply)

    chosen: list[int] = []
    aside: list[int] = []
    for rank in ranks:
        same = sum(net[other] == net[rank] for other in chosen)
        (aside if same >= 2 else chosen).append(rank)
    expected = sorted(chosen + aside[: max(0, 8 - len(chosen))])[:8]
    assert bench.ranks(lookup.targets())[:8] == expected


def test_crowd_among_the_closest_widens_the_lookup(bench: Bench) -> None:
    """64 ids from 4 subnets next to the key: they cannot be all the targets (reliability T1)."""
    addresses = {rank: (f"66.6.{rank % 4}.{rank}", 4000) for rank in range(1, 65)}
    for rank in range(101, 109):
        bench.know(rank)
    lookup = bench.lookup()
    lookup.step()
    for at in range(8):
        named = range(1 + 8 * at, 9 + 8 * at)
        lookup.answered(bench.asked[at], naming(*named, addresses=addresses))
    lookup.step()

    assert lookup.width == SEARCH_NODES
    assert bench.ranks(lookup.targets()) == [1, 2, 3, 4, 5, 6, 7, 8, 101, 102, 103, 104, 105, 106]


def test_crowd_far_away_does_not(bench: Bench) -> None:
    for rank in range(1, 15):
        bench.know(rank)
    for rank in range(101, 105):
        bench.know(rank, address=_crowd(rank - 100))

    assert bench.lookup().width == TARGET_NODES
