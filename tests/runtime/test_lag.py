import asyncio
import time

import pytest

from dna_dht.runtime import lag
from dna_dht.runtime.lag import Lag, LagMeter


async def test_a_blocked_loop_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, "PERIOD", 0.001)
    meter = LagMeter(asyncio.get_running_loop())
    assert meter.lag == Lag(0.0, 0.0)

    meter.start()
    await asyncio.sleep(0.01)
    time.sleep(0.03)  # noqa: ASYNC251 - the loop is to be blocked
    await asyncio.sleep(0.005)
    meter.stop()

    assert meter.lag.maximum >= 0.025
    assert meter.lag.p99 <= meter.lag.maximum


async def test_stop_leaves_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, "PERIOD", 0.001)
    meter = LagMeter(asyncio.get_running_loop())
    meter.start()
    await asyncio.sleep(0.005)
    meter.stop()
    samples = list(meter._samples)
    await asyncio.sleep(0.005)

    assert samples
    assert list(meter._samples) == samples
    meter.stop()


def test_p99_leaves_out_one_sample_in_a_hundred() -> None:
    meter = LagMeter(asyncio.new_event_loop())
    meter._loop.close()
    meter._samples.extend([0.5] + [0.001] * 199)

    assert meter.lag == Lag(0.5, 0.001)
