"""Delays have the distribution they promise; shares are shares."""

from statistics import median

import pytest

from dna_dht.testing.faults import DELAYS, ConstantDelay, Faults, LogNormalDelay


def test_log_normal_delays_have_their_median_and_tail() -> None:
    table = LogNormalDelay(median=0.040, p99=0.300).table()
    assert len(table) == DELAYS
    assert median(table) == pytest.approx(0.040, rel=0.01)
    assert sorted(table)[int(0.99 * DELAYS)] == pytest.approx(0.300, rel=0.02)


def test_constant_delays_are_constant() -> None:
    assert set(ConstantDelay(0.015).table()) == {0.015}


@pytest.mark.parametrize("name", ["loss", "duplicate", "reorder", "unreachable"])
@pytest.mark.parametrize("share", [-0.01, 1.01])
def test_a_share_outside_0_to_1_is_refused(name: str, share: float) -> None:
    with pytest.raises(ValueError, match=name):
        Faults(**{name: share})
