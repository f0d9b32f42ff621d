"""LagMeter: how late the event loop runs what is due. The one figure that tells an overloaded node."""

import asyncio
import math
from collections import deque
from typing import NamedTuple

PERIOD = 0.25  # seconds between two samples: four wake-ups a second cost nothing
WINDOW = 60.0  # seconds the figures cover


class Lag(NamedTuple):
    """Seconds of delay over the last minute; 0 before the first sample."""

    maximum: float
    p99: float


class LagMeter:
    """Samples the delay of a timer. ``start`` and ``stop`` in the loop's thread."""

    __slots__ = ("_due", "_loop", "_samples", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._samples: deque[float] = deque(maxlen=round(WINDOW / PERIOD))
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def start(self) -> None:
        """Begin to sample."""
        self._due = self._loop.time() + PERIOD
        self._timer = self._loop.call_at(self._due, self._sample)

    def stop(self) -> None:
        """End; the figures stay readable."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def lag(self) -> Lag:
        """The figures of the last minute."""
        if not self._samples:
            return Lag(0.0, 0.0)
        ordered = sorted(self._samples)
        return Lag(ordered[-1], ordered[math.ceil(0.99 * len(ordered)) - 1])

    def _sample(self) -> None:
        self._samples.append(max(0.0, self._loop.time() - self._due))
        self.start()
