"""Timers fire in order, once, and what was cancelled leaves nothing behind."""

from functools import partial
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from dna_dht.core.timers import MIN_SWEEP, Timers


def test_order_of_deadline_then_of_scheduling() -> None:
    timers, fired = Timers(), []
    for name, deadline in (("late", 3.0), ("first", 1.0), ("second", 1.0), ("middle", 2.0)):
        timers.at(deadline, partial(fired.append, name))
    timers.run_due(3.0)
    assert fired == ["first", "second", "middle", "late"]
    assert timers.next_wakeup() is None


def test_nothing_fires_early() -> None:
    timers, fired = Timers(), []
    timers.at(1.0, partial(fired.append, 1))
    timers.at(2.0, partial(fired.append, 2))
    timers.run_due(1.5)
    assert fired == [1] and timers.next_wakeup() == 2.0


def test_cancelled_timer_never_fires_and_is_not_waited_for() -> None:
    timers, fired = Timers(), []
    first = timers.at(1.0, partial(fired.append, 1))
    timers.at(2.0, partial(fired.append, 2))
    first.cancel()
    assert not first.pending and timers.next_wakeup() == 2.0
    timers.run_due(2.0)
    assert fired == [2]


def test_an_action_cancels_another_of_the_same_run() -> None:
    timers, fired = Timers(), []
    timers.at(1.0, lambda: second.cancel())
    second = timers.at(1.0, partial(fired.append, 2))
    timers.run_due(1.0)
    assert fired == []


def test_what_an_action_schedules_for_now_waits_for_the_next_run() -> None:
    """So no run is endless."""
    timers, fired = Timers(), []

    def again() -> None:
        fired.append(1)
        timers.at(1.0, again)

    timers.at(1.0, again)
    timers.run_due(1.0)
    assert fired == [1] and timers.next_wakeup() == 1.0


def test_cancelled_timers_do_not_pile_up() -> None:
    """A million requests that are answered at once, with deadlines far away, leave a small heap."""
    timers = Timers()
    kept = [timers.at(1e6, lambda: None) for _ in range(100)]
    for number in range(100_000):
        timers.at(1e5 + number, lambda: None).cancel()
        assert len(timers) <= 2 * (len(kept) + MIN_SWEEP)
    assert timers.next_wakeup() == 1e6


def test_a_timer_that_fired_is_not_counted_as_cancelled() -> None:
    timers = Timers()
    fired = [timers.at(1.0, lambda: None) for _ in range(2 * MIN_SWEEP)]
    later = [timers.at(5.0, lambda: None) for _ in range(10)]
    timers.run_due(1.0)
    for timer in fired:
        timer.cancel()
    assert len(timers) == len(later)


@given(st.integers(0, 2**32))
def test_against_a_plain_list(seed: int) -> None:
    """Any mixture of scheduling, cancelling and running does what a sorted list would do."""
    rng, timers, now = Random(seed), Timers(), 0.0
    fired: list[int] = []
    pending: dict[int, tuple[float, object]] = {}
    for number in range(rng.randrange(1, 3000)):
        match rng.randrange(5):
            case 0 | 1:
                deadline = now + rng.choice((0.0, 1.0, rng.random() * 50))
                timer = timers.at(deadline, partial(fired.append, number))
                pending[number] = (deadline, timer)
            case 2 | 3 if pending:
                victim = rng.choice(list(pending))
                pending.pop(victim)[1].cancel()  # type: ignore[attr-defined]
            case _ if rng.random() < 0.1:
                now += rng.random() * 5
                expected = sorted((at, name) for name, (at, _) in pending.items() if at <= now)
                fired.clear()
                timers.run_due(now)
                assert fired == [name for _, name in expected]
                for _, name in expected:
                    del pending[name]
    assert timers.next_wakeup() == min((at for at, _ in pending.values()), default=None)
