"""Shares add up, and their intervals are those of Wilson."""

import pytest

from dna_dht.testing.experiments import Share, closest_found, survival


def test_shares_add_up() -> None:
    total = Share(9, 10, events=5, failures=("a",)) + Share(30, 30, events=7)
    assert (total.good, total.n, total.events, total.failures) == (39, 40, 12, ("a",))
    assert total.value == 0.975


def test_interval_of_a_share() -> None:
    # Wilson interval of 8 of 10: (0.490, 0.943), as tables have it.
    assert Share(8, 10).interval == (pytest.approx(0.490, abs=1e-3), pytest.approx(0.943, abs=1e-3))


def test_all_of_n_does_not_mean_always() -> None:
    low, high = Share(1000, 1000).interval
    assert low == pytest.approx(1 - 3.84 / 1000, abs=1e-4)
    assert high == 1.0
    assert Share(0, 0).interval == (0.0, 1.0)


def test_experiments_notice_when_things_go_wrong() -> None:
    without = survival(1, nodes=20, values=10, hours=3, per_hour=4.0, policy="off")
    assert without.value < 0.5
    assert without.failures


def test_lookups_under_heavy_loss_are_not_called_perfect() -> None:
    assert closest_found(1, nodes=100, lookups=50, loss=0.6).value < 0.9
