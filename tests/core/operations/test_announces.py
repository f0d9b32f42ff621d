"""Permanent values are refreshed before their lives end, again soon after a failure, and at an even rate."""

from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest

from dna_dht.core.config import CoreConfig
from dna_dht.core.context import CoreContext
from dna_dht.core.effects import PutOutcome
from dna_dht.core.instant import Instant
from dna_dht.core.operations.announces import DUE, PACE, RESUME_PACE, RETRY, Announce, Announces
from dna_dht.core.values.value_types import DNA_7_DAYS, type_of
from dna_dht.wire.infohash import InfoHash

KEY = InfoHash.of(b"key")
START = 1000.0
GOOD = PutOutcome(8, 0, 0, quorum=True, connected=True)
BAD = PutOutcome(0, 0, 8, quorum=False, connected=True)


class Bench:
    """Announces alone; every refresh is written down and ends when a test says so."""

    def __init__(self, seed: int = 1) -> None:
        self.ctx = CoreContext(CoreConfig(), InfoHash.of(b"us"), Random(seed), Instant(START, 1.7e9))
        self.announces = Announces(self.ctx)
        self.announces.refresh = self._refresh
        self.started: list[tuple[float, Announce]] = []
        self.open: list[Callable[[PutOutcome], None]] = []
        self.answer: PutOutcome | None = None

    def add(self, number: int = 1, type: int = 0, key: InfoHash = KEY) -> Announce:
        announce = Announce(key, number, type, 0, b"packed")
        self.announces.add(announce)
        return announce

    def _refresh(self, announce: Announce, then: Callable[[PutOutcome], None]) -> None:
        self.started.append((self.ctx.now.mono, announce))
        if self.answer is not None:
            then(self.answer)
        else:
            self.open.append(then)

    def wait(self, seconds: float) -> None:
        end = self.ctx.now.mono + seconds
        while (due := self.ctx.timers.next_wakeup()) is not None and due <= end:
            self.ctx.now = Instant(due, 1.7e9 + due - START)
            self.ctx.timers.run_due(due)
        self.ctx.now = Instant(end, 1.7e9 + end - START)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", [0, DNA_7_DAYS])
def test_refreshed_well_before_the_end_of_each_life(seed: int, kind: int) -> None:
    bench, life = Bench(seed), type_of(kind).lifetime
    bench.answer = GOOD
    announce = bench.add(type=kind)
    bench.wait(12.0)  # the put took a while; its first copy is that old
    bench.announces.on_outcome(announce, GOOD)
    bench.wait(10 * life)
    times = [START, *(time for time, _ in bench.started)]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(gaps) >= 10 and all(DUE[0] * life <= gap <= DUE[1] * life + PACE for gap in gaps)


def test_a_failed_one_is_tried_again_soon_then_less_often() -> None:
    bench = Bench()
    bench.answer = BAD
    bench.announces.on_outcome(bench.add(), BAD)
    bench.wait(4000)
    times = [START, *(time for time, _ in bench.started)]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    expected = [min(RETRY[0] * 2**number, RETRY[1]) for number in range(len(gaps))]
    assert len(gaps) >= 8
    assert all(0.75 * want <= gap <= 1.25 * want + PACE for gap, want in zip(gaps, expected, strict=True))


def test_after_a_success_the_next_failure_starts_over() -> None:
    bench = Bench()
    announce = bench.add()
    for _ in range(5):
        bench.announces.on_outcome(announce, BAD)
    bench.announces.on_outcome(announce, GOOD)
    bench.announces.on_outcome(announce, BAD)
    bench.wait(1.25 * RETRY[0] + 0.1)
    assert len(bench.started) == 1, "only the last outcome counts, and it is due after the first delay"


def test_a_cancelled_one_rests_also_if_its_refresh_is_under_way() -> None:
    bench = Bench()
    bench.announces.on_outcome(bench.add(), BAD)
    bench.wait(40)
    assert len(bench.started) == len(bench.open) == 1
    assert bench.announces.cancel(KEY, 1) and not bench.announces.cancel(KEY, 1)
    bench.open[0](BAD)
    bench.wait(10_000)
    assert len(bench.started) == 1 and len(bench.announces) == 0
    assert bench.announces.get(KEY, 1) is None


def test_a_new_value_takes_the_place_of_the_old() -> None:
    bench = Bench()
    bench.answer = GOOD
    old = bench.add()
    bench.announces.on_outcome(old, GOOD)
    new = bench.add()
    bench.announces.on_outcome(old, GOOD)
    bench.announces.on_outcome(new, GOOD)
    bench.wait(600)
    assert bench.announces.get(KEY, 1) is new and {announce for _, announce in bench.started} == {new}


def test_a_thousand_that_fall_due_together_leave_at_twenty_a_second() -> None:
    bench = Bench()
    for number in range(1000):
        bench.announces.on_cancelled(KEY, bench.add(number + 1, DNA_7_DAYS).value_id)
    bench.answer = GOOD
    bench.wait(2 * RETRY[0] + 1000 * PACE)
    times = [time for time, _ in bench.started]
    assert len(times) == 1000
    assert all(
        sum(start <= time < start + 1 for time in times) <= 1 / PACE + 1
        for start in (START + second / 2 for second in range(240))
    )


def test_a_thousand_from_disk_are_refreshed_evenly_within_half_an_hour() -> None:
    """T27: a restart of a node with a thousand records, perhaps of all nodes in the same second."""
    bench = Bench()
    bench.answer = GOOD
    for number in range(1000):
        bench.announces.resume(Announce(KEY, number + 1, DNA_7_DAYS, 0, b""))
    bench.wait(1800)
    times = [time for time, _ in bench.started]
    assert len(times) == 1000 and times[0] == START
    assert min(later - earlier for earlier, later in pairwise(times)) >= RESUME_PACE / 2


def test_cancelled_while_it_waits_for_its_turn() -> None:
    bench = Bench()
    bench.answer = GOOD
    for number in range(100):
        bench.announces.resume(Announce(KEY, number + 1, DNA_7_DAYS, 0, b""))
    bench.wait(20)
    done = {announce.value_id for _, announce in bench.started}
    for number in range(1, 101):
        bench.announces.cancel(KEY, number)
    bench.wait(100)
    assert 10 < len(done) < 30 and {announce.value_id for _, announce in bench.started} == done
