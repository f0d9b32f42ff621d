"""Instant: the only notion of now. It enters the core with every call."""

from typing import NamedTuple


class Instant(NamedTuple):
    """One moment on two clocks.

    Attributes:
        mono: monotonic seconds; every deadline of the core is on this clock.
        unix: seconds since 1970 UTC; used only where time crosses the wire or a restart, since it can step.
    """

    mono: float
    unix: float
