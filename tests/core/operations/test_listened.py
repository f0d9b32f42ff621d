"""What is told of the values at a listened key: each change once, expiry when the last source is gone."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from dna_dht.core.config import CoreConfig, Limits
from dna_dht.core.context import CoreContext
from dna_dht.core.instant import Instant
from dna_dht.core.operations.listened import Listened
from dna_dht.core.values.value_types import type_of
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.value import Value

A, B, C, D = (InfoHash.of(name) for name in (b"a", b"b", b"c", b"d"))
WEEK = 0x1001


class Bench:
    def __init__(self, listen_values: int = 4096) -> None:
        config = CoreConfig(limits=Limits(listen_values=listen_values))
        self.ctx = CoreContext(config, InfoHash.of(b"us"), Random(1), Instant(1000.0, 0.0))
        self.told: list[tuple[str, int, int]] = []
        self.values = Listened(
            self.ctx, lambda change, value: self.told.append((change, value.id, value.seq))
        )

    def later(self, seconds: float) -> None:
        self.ctx.now = Instant(self.ctx.now.mono + seconds, 0.0)


def value(id: int = 1, seq: int = 0, owner: bytes = b"o") -> Value:
    return Value(id=id, type=WEEK, seq=seq, owner=owner, signature=b"s", data=b"%d" % seq)


def test_value_of_several_sources_is_told_once() -> None:
    bench = Bench()
    for source in (A, B, C, D):
        bench.values.report(value(), source)

    assert bench.told == [("added", 1, 0)]


def test_update_of_several_sources_is_told_once_and_older_copies_are_ignored() -> None:
    bench = Bench()
    bench.values.report(value(seq=1), A)
    for source in (A, B, C, D):
        bench.values.report(value(seq=2), source)
    bench.values.report(value(seq=1), B)

    assert bench.told == [("added", 1, 1), ("updated", 1, 2)]


def test_expiry_is_told_once_when_the_last_source_says_so_also_after_updates() -> None:
    bench = Bench()
    for seq in range(3):
        for source in (A, B, C):
            bench.values.report(value(seq=seq), source)
    bench.told.clear()
    for source in (A, B, C, C):
        assert bench.told == []
        bench.values.expired(1, source)
        if source is C:
            break

    assert bench.told == [("expired", 1, 2)]
    assert len(bench.values) == 0


def test_expiry_of_an_older_revision_means_nothing() -> None:
    bench = Bench()
    bench.values.report(value(seq=1), A)
    bench.values.report(value(seq=1), B)
    bench.values.report(value(seq=2), A)
    bench.values.expired(1, B)

    assert bench.told == [("added", 1, 1), ("updated", 1, 2)]


def test_lost_source_says_nothing_but_is_not_waited_for() -> None:
    bench = Bench()
    bench.values.report(value(), A)
    bench.values.report(value(), B)
    bench.values.forget(A)
    assert bench.told == [("added", 1, 0)]
    bench.values.expired(1, B)

    assert bench.told[-1] == ("expired", 1, 0)


def test_value_whose_sources_are_all_lost_stays_until_somebody_says_it_is_gone() -> None:
    bench = Bench()
    bench.values.report(value(), A)
    bench.values.forget(A)
    assert len(bench.values) == 1
    bench.values.expired(1, B)

    assert bench.told[-1] == ("expired", 1, 0)


def test_life_of_a_value_ends_without_confirmation() -> None:
    bench = Bench()
    life = type_of(WEEK).lifetime
    bench.values.report(value(1), A)
    bench.values.report(value(2), A)
    bench.later(life - 1)
    bench.values.refreshed(1, A)
    bench.values.refreshed(2, B)  # not a source: means nothing
    bench.later(2)
    bench.values.sweep()

    assert bench.told[2:] == [("expired", 2, 0)]


def test_known_value_needs_no_check_and_counts_as_confirmation() -> None:
    bench = Bench()
    bench.values.report(value(seq=2), A)

    assert bench.values.knows(value(seq=2), B)
    assert bench.values.knows(value(seq=1), C)
    assert not bench.values.knows(value(seq=3), B)
    assert not bench.values.knows(value(seq=2, owner=b"other"), B)
    bench.values.expired(1, A)
    assert bench.told == [("added", 1, 2)]  # B has it
    bench.values.expired(1, B)
    assert bench.told[-1] == ("expired", 1, 2)


def test_owners_of_one_id_are_told_apart() -> None:
    bench = Bench()
    bench.values.report(value(owner=b"one"), A)
    bench.values.report(value(owner=b"two"), B)
    bench.values.expired(1, A)

    assert [change for change, _, _ in bench.told] == ["added", "added", "expired"]
    assert len(bench.values) == 1


def test_too_many_values_push_out_the_one_confirmed_longest_ago() -> None:
    bench = Bench(listen_values=3)
    for number in (1, 2, 3):
        bench.values.report(value(number), A)
    bench.values.refreshed(1, A)
    bench.values.report(value(4), A)

    assert bench.told[3:] == [("expired", 2, 0), ("added", 4, 0)]
    assert len(bench.values) == 3


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_changes_always_make_sense(seed: int) -> None:
    """Added before updated, seqs rise, expired before added again; never more than the limit."""
    rng = Random(seed)
    bench = Bench(listen_values=4)
    known: dict[int, int] = {}
    at = 0
    for _ in range(200):
        source = rng.choice((A, B, C, D))
        number = rng.randint(1, 6)
        action = rng.randint(0, 5)
        if action <= 2:
            bench.values.report(value(number, rng.randint(0, 5)), source)
        elif action == 3:
            bench.values.expired(number, source)
        elif action == 4:
            bench.values.refreshed(number, source)
        else:
            bench.values.forget(source)
        bench.later(rng.random() * 100_000)
        bench.values.sweep()
        for change, value_id, seq in bench.told[at:]:
            if change == "added":
                assert value_id not in known
                known[value_id] = seq
            elif change == "updated":
                assert seq > known[value_id]
                known[value_id] = seq
            else:
                assert known.pop(value_id) == seq
        at = len(bench.told)
        assert len(known) == len(bench.values) <= 4
