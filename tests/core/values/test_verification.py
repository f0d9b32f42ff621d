"""No signature is checked twice, and strangers get the checks they are allowed, no more."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_dht.core.config import CoreConfig, Limits
from dna_dht.core.context import CoreContext
from dna_dht.core.effects import VerifyRequested
from dna_dht.core.instant import Instant
from dna_dht.core.values.verification import Verification
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import signed_bytes

SOURCE = "192.0.2.1"


def make_ctx(**limits: int) -> CoreContext:
    config = CoreConfig(limits=Limits(**limits))
    return CoreContext(config, InfoHash.of(b"us"), Random(1), Instant(1000.0, 1.7e9))


def advance(ctx: CoreContext, seconds: float) -> None:
    ctx.now = Instant(ctx.now.mono + seconds, ctx.now.unix + seconds)
    ctx.timers.run_due(ctx.now.mono)


def value(number: int, *, owner: int = 2592, signature: int = 4627) -> Value:
    return Value(
        id=1,
        data=b"%d" % number,
        owner=bytes(owner),
        signature=number.to_bytes(4, "big").ljust(signature, b"s"),
    )


class Bench:
    """A verification, the jobs it asked for, and the answers it gave."""

    def __init__(self, *, signature_length: int | None = 4627, **limits: int) -> None:
        self.ctx = make_ctx(**limits)
        self.verification = Verification(self.ctx, signature_length=signature_length)
        self.answers: list[bool] = []
        self.jobs: list[VerifyRequested] = []

    def check(self, checked: Value, source: str | None = SOURCE) -> bool:
        accepted = self.verification.check(checked, source, self.answers.append)
        self.collect()
        return accepted

    def collect(self) -> None:
        for event in self.ctx.outbox.take_events():
            assert isinstance(event, VerifyRequested)
            self.jobs.append(event)

    def advance(self, seconds: float) -> None:
        advance(self.ctx, seconds)
        self.collect()

    def dropped(self) -> dict[str, int]:
        return dict(self.ctx.counters.dropped)


def test_the_request_names_what_is_to_be_checked() -> None:
    bench, checked = Bench(), value(1)
    assert bench.check(checked)
    assert bench.answers == []
    assert bench.jobs == [VerifyRequested(1, checked.owner, checked.signature, signed_bytes(checked))]
    assert bench.verification.pending() == 1
    bench.verification.verified(1, True)
    assert bench.answers == [True]
    assert bench.verification.pending() == 0


def test_valid_ones_are_never_checked_again_also_under_another_id() -> None:
    bench = Bench()
    bench.check(value(1))
    bench.verification.verified(1, True)
    assert bench.check(Value(id=99, data=b"1", owner=value(1).owner, signature=value(1).signature))
    assert bench.answers == [True, True]
    assert len(bench.jobs) == 1


def test_invalid_ones_are_not_remembered() -> None:
    bench = Bench()
    for _ in range(2):
        bench.check(value(1))
        bench.verification.verified(bench.jobs[-1].job, False)
    assert bench.answers == [False, False]
    assert len(bench.jobs) == 2


@pytest.mark.parametrize("field", ["owner", "signature", "message"])
def test_any_changed_byte_is_another_check(field: str) -> None:
    bench = Bench()
    bench.check(value(1))
    bench.verification.verified(1, True)
    first = value(1)
    owner, signature, data = first.owner, first.signature, first.data
    if field == "owner":
        owner = b"x" + owner[1:]
    elif field == "signature":
        signature = signature[:-1] + b"x"
    else:
        data = b"x"
    bench.check(Value(id=1, data=data, owner=owner, signature=signature))
    assert len(bench.jobs) == 2


def test_callers_join_an_open_check_up_to_the_bound() -> None:
    bench = Bench()
    accepted = [bench.check(value(1), f"192.0.2.{n}") for n in range(65)]
    assert accepted == [True] * 64 + [False]
    assert len(bench.jobs) == 1
    bench.verification.verified(1, True)
    assert bench.answers == [True] * 64
    assert bench.dropped() == {"verification: too many wait for one": 1}


@pytest.mark.parametrize(
    "wrong",
    [
        value(1, owner=0),
        value(1, owner=2591),
        value(1, owner=2593),
        value(1, signature=4626),
        value(1, signature=4628),
        Value(id=1, data=b"unsigned"),
        Value(id=1, owner=bytes(2592)),
        Value(id=1, cypher=b"opaque"),
    ],
)
def test_wrong_lengths_are_invalid_at_once(wrong: Value) -> None:
    bench = Bench()
    assert bench.check(wrong)
    assert bench.answers == [False]
    assert bench.jobs == []


def test_length_of_signatures_can_be_switched_off() -> None:
    bench = Bench(signature_length=None)
    bench.check(value(1, signature=32))
    bench.check(Value(id=1, owner=bytes(2592)))
    assert len(bench.jobs) == 1
    assert bench.answers == [False]


def test_unknown_and_repeated_jobs_are_ignored() -> None:
    bench = Bench()
    bench.verification.verified(5, True)
    bench.check(value(1))
    bench.verification.verified(1, True)
    bench.verification.verified(1, False)
    assert bench.answers == [True]


def test_cache_is_bounded_and_the_longest_unused_goes() -> None:
    bench = Bench(verified_digests=2)
    for number in (1, 2):
        bench.check(value(number))
        bench.verification.verified(number, True)
    bench.check(value(1))  # used again
    bench.check(value(3))
    bench.verification.verified(3, True)
    asked = len(bench.jobs)
    bench.check(value(1))
    assert len(bench.jobs) == asked
    bench.check(value(2))
    assert len(bench.jobs) == asked + 1


def test_budget_of_a_source_burst_then_rate_then_refusal() -> None:
    bench = Bench(verifications_pending=10_000)
    accepted = [bench.check(value(n)) for n in range(500)]
    assert sum(accepted) == 450  # a burst of 400, and 200/s x 250 ms that wait
    assert accepted == [True] * 450 + [False] * 50
    assert len(bench.jobs) == 400
    assert bench.dropped() == {"verification: budget": 50}
    assert bench.check(value(1000), "192.0.2.2")
    assert len(bench.jobs) == 401
    bench.advance(0.25)
    assert len(bench.jobs) == 451
    assert bench.ctx.counters.events["verification delayed"] == 50


def test_delayed_checks_start_at_their_turn() -> None:
    bench = Bench(verifications_per_source=10)
    for number in range(22):
        bench.check(value(number))
    assert len(bench.jobs) == 20
    bench.advance(0.09)
    assert len(bench.jobs) == 20
    bench.advance(0.02)
    assert len(bench.jobs) == 21
    bench.advance(0.1)
    assert [job.job for job in bench.jobs] == list(range(1, 23))
    bench.verification.verified(22, True)
    assert bench.answers == [True]


def test_a_refused_check_takes_nothing_from_the_total() -> None:
    bench = Bench(verifications_per_source=10, verifications_per_second=30)
    for number in range(1000):
        bench.check(value(number))
    accepted = sum(bench.check(value(10_000 + n), "192.0.2.2") for n in range(20))
    assert accepted == 15  # of 30 + 30/s x 250 ms in all, 22 went to the flooder


def test_budget_of_all_strangers_together() -> None:
    bench = Bench(verifications_per_second=100)
    accepted = sum(bench.check(value(n), f"192.0.2.{n}") for n in range(200))
    assert accepted == 125
    assert len(bench.jobs) == 100


def test_our_own_checks_take_no_budget() -> None:
    bench = Bench(verifications_per_second=1, verifications_per_source=1)
    assert all(bench.check(value(n), None) for n in range(100))
    assert len(bench.jobs) == 100
    assert bench.check(value(1000))


def test_backlog_of_strangers_and_four_times_as_many_of_ours() -> None:
    bench = Bench(verifications_pending=5)
    assert [bench.check(value(n)) for n in range(6)] == [True] * 5 + [False]
    assert [bench.check(value(10 + n), None) for n in range(16)] == [True] * 15 + [False]
    bench.verification.verified(1, False)
    assert bench.check(value(50), None)
    assert bench.dropped() == {"verification: backlog": 2}


def test_loopback_is_exempt_from_the_bound_of_a_source_only() -> None:
    bench = Bench(verifications_pending=10_000, verifications_per_second=1000)
    assert sum(bench.check(value(n), "127.0.0.1") for n in range(2000)) == 1250
    strict = Bench(verifications_per_source=2)
    strict.verification = Verification(_strict(strict.ctx))
    assert sum(strict.check(value(n), "127.0.0.1") for n in range(50)) == 4


def _strict(ctx: CoreContext) -> CoreContext:
    ctx.config = CoreConfig(limits=ctx.config.limits, exempt_loopback=False)
    return ctx


def test_minus_one_is_unlimited_and_zero_is_nothing() -> None:
    free = Bench(verifications_per_second=-1, verifications_per_source=-1, verifications_pending=10_000)
    assert all(free.check(value(n)) for n in range(5000))
    assert len(free.jobs) == 5000
    closed = Bench(verifications_per_second=0)
    assert not closed.check(value(1))
    assert not Bench(verifications_per_source=0).check(value(1))


def test_continuations_may_check_again() -> None:
    bench = Bench()
    answers: list[bool] = []

    def again(valid: bool) -> None:
        answers.append(valid)
        bench.verification.check(value(1), SOURCE, answers.append)

    bench.verification.check(value(1), SOURCE, again)
    bench.verification.verified(1, True)
    assert answers == [True, True]


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from([0.0, 0.0, 0.0, 0.05, 0.3, 1.0])),
        min_size=1,
        max_size=80,
    )
)
def test_no_source_ever_gets_more_than_burst_and_rate(steps: list[tuple[int, float]]) -> None:
    """In any interval at most burst + rate x length checks start, and all that were accepted start."""
    bench = Bench(verifications_per_source=5, verifications_per_second=12, verifications_pending=1000)
    started: list[tuple[float, str]] = []
    owners: dict[bytes, str] = {}
    accepted = Counter[str]()

    def note() -> None:
        bench.collect()
        started.extend((bench.ctx.now.mono, owners[job.signature]) for job in bench.jobs)
        bench.jobs.clear()

    for number, (who, pause) in enumerate(steps):
        until = bench.ctx.now.mono + pause
        while (wakeup := bench.ctx.timers.next_wakeup()) is not None and wakeup <= until:
            bench.advance(wakeup - bench.ctx.now.mono)
            note()
        bench.advance(until - bench.ctx.now.mono)
        source = f"192.0.2.{who}"
        owners[value(number).signature] = source
        accepted[source] += bench.check(value(number), source)
        note()
    for _ in range(100):
        bench.advance(0.01)
        note()
    assert Counter(source for _, source in started) == +accepted
    for names, burst, rate in [*(({f"192.0.2.{n}"}, 10, 5) for n in range(4)), (set(accepted), 12, 12)]:
        times = [time for time, source in started if source in names]
        for index, begin in enumerate(times):
            for count, end in enumerate(times[index:], 1):
                assert count <= burst + rate * (end - begin) + 1e-3
