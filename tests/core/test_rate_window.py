"""Windows are exact: compared with a list of all accepted events, and bounded in memory."""

from hypothesis import given
from hypothesis import strategies as st

from dna_dht.core.rate_window import RateWindow, RateWindows

STEPS = st.lists(st.sampled_from([0.0, 0.0, 0.1, 0.25, 0.5, 1.0, 3.0]), max_size=60)


@given(st.integers(0, 5), STEPS)
def test_window_accepts_exactly_what_fits(quota: int, steps: list[float]) -> None:
    window, now = RateWindow(quota, 1.0), 0.0
    accepted: list[float] = []
    for step in steps:
        now += step
        fits = sum(time > now - 1.0 for time in accepted) < quota
        assert window.full(now) is not fits
        assert window.allow(now) is fits
        if fits:
            accepted.append(now)


def test_quota_at_the_bound_and_one_past_it() -> None:
    window = RateWindow(3, 1.0)
    assert [window.allow(5.0) for _ in range(4)] == [True, True, True, False]
    assert not window.allow(5.999)
    assert window.allow(6.0)


def test_minus_one_is_unlimited() -> None:
    window, windows = RateWindow(-1, 1.0), RateWindows(-1, 1.0, 2)
    assert all(window.allow(1.0) and windows.allow("a", 1.0) for _ in range(5000))
    assert not window.full(1.0)
    assert not windows.full("a", 1.0)
    assert len(windows) == 0


def test_zero_allows_nothing() -> None:
    windows = RateWindows(0, 1.0, 2)
    assert windows.full("a", 1.0)
    assert not windows.allow("a", 1.0)
    assert not windows.allow("a", 9.0)


def test_sources_do_not_share_a_quota() -> None:
    windows = RateWindows(2, 1.0, 10)
    assert [windows.allow(source, 1.0) for source in "aaabb"] == [True, True, False, True, True]
    assert windows.full("a", 1.0)
    assert not windows.full("c", 1.0)


def test_sources_are_bounded_and_the_longest_silent_is_forgotten() -> None:
    windows = RateWindows(1, 1.0, 2)
    windows.allow("a", 1.0)
    windows.allow("b", 1.1)
    windows.allow("a", 1.2)  # refused, but a sign of life
    windows.allow("c", 1.3)
    assert len(windows) == 2
    assert windows.full("a", 1.3)
    assert not windows.full("b", 1.3)


def test_idle_sources_do_not_pile_up() -> None:
    windows = RateWindows(10, 1.0, 16_384)
    for number in range(10_000):
        windows.allow(f"source {number}", number / 100)
    assert len(windows) <= 102
