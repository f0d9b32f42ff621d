"""The public address is what most replies say."""

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from dna_dht.core.config import CoreConfig, Limits
from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.address_votes import MAX_VOTES, AddressVotes
from dna_dht.core.instant import Instant
from dna_dht.wire.infohash import InfoHash


def make_ctx(**limits: int) -> CoreContext:
    config = CoreConfig(limits=Limits(**limits))
    return CoreContext(config, InfoHash.of(b"us"), Random(1), Instant(1000.0, 1.7e9))


def test_majority_decides_and_changes_are_told() -> None:
    votes = AddressVotes(make_ctx())
    assert votes.best(4) is None
    assert [votes.add(4, host) for host in ("a", "a", "b", "b")] == [True, False, False, False]
    assert votes.best(4) == "a"
    assert votes.add(4, "b")
    assert votes.best(4) == "b"
    assert votes.best(6) is None
    votes.add(6, "c")
    assert votes.all() == ["b", "a", "c"]


def test_forgetting_one_family() -> None:
    votes = AddressVotes(make_ctx())
    votes.add(4, "a")
    votes.add(6, "b")
    votes.forget(4)
    assert votes.best(4) is None
    assert votes.all() == ["b"]
    assert votes.add(4, "c")


def test_made_up_addresses_displace_each_other_not_the_real_one() -> None:
    votes = AddressVotes(make_ctx())
    votes.add(4, "real")
    votes.add(4, "real")
    for number in range(1000):
        assert not votes.add(4, f"forged {number}")
    assert votes.best(4) == "real"
    assert len(votes.all()) == 32
    assert votes.all()[0] == "real"


def test_another_address_wins_however_long_we_had_the_former() -> None:
    votes = AddressVotes(make_ctx())
    for _ in range(100_000):
        votes.add(4, "former")
    assert [votes.add(4, "present") for _ in range(MAX_VOTES)].count(True) == 1
    assert votes.best(4) == "present"


@given(st.lists(st.sampled_from("abcde"), min_size=1))
def test_best_is_always_a_most_frequent_one(hosts: list[str]) -> None:
    votes, counts = AddressVotes(make_ctx()), Counter[str]()
    best = None
    for host in hosts:
        counts[host] += 1
        changed = votes.add(4, host)
        assert changed is (votes.best(4) != best)
        best = votes.best(4)
        assert best is not None
        assert counts[best] == max(counts.values())
