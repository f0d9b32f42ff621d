"""Instant from the operating system: the only place of the node that reads a clock."""

import time
from typing import Protocol

from dna_dht.core.instant import Instant


class Clock(Protocol):
    """Where the driver gets the time from."""

    def now(self) -> Instant: ...


class SystemClock:
    """The clocks of this machine. ``mono`` is the clock of asyncio's event loops (``time.monotonic``)."""

    __slots__ = ()

    def now(self) -> Instant:
        """This moment."""
        return Instant(time.monotonic(), time.time())
