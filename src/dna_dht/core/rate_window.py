"""Exact sliding windows: at most so many events in any period, per source and in bounded memory.

A window remembers the times of its last *quota* events. A new event fits if there were fewer, or if the
oldest of them has left the period. That is exact, unlike counting per calendar second. Source: spec 01,
15.2.

Memory: times are kept only while they matter. Sources are ordered by their last event, so those that were
silent for a whole period are at the front, and every call forgets up to two of them: what is remembered
never exceeds the events of one period by much, and never *sources* windows.
"""

from collections import OrderedDict, deque

UNLIMITED = -1


class RateWindow:
    """At most *quota* events in any *period* seconds; quota -1: unlimited, 0: none."""

    __slots__ = ("_period", "_quota", "_times")

    def __init__(self, quota: int, period: float) -> None:
        self._quota, self._period = quota, period
        self._times: deque[float] = deque(maxlen=max(quota, 0))

    def allow(self, now: float) -> bool:
        """Record an event at *now* (monotonic seconds) if it fits."""
        times, quota = self._times, self._quota
        if len(times) >= quota:
            if quota < 0:
                return True
            if not times or times[0] > now - self._period:
                return False
        times.append(now)
        return True

    def full(self, now: float) -> bool:
        """Whether :meth:`allow` would refuse; records nothing."""
        times, quota = self._times, self._quota
        return 0 <= quota <= len(times) and (not times or times[0] > now - self._period)

    def idle(self, now: float) -> bool:
        """Whether nothing remembered matters any more."""
        return not self._times or self._times[-1] <= now - self._period


class RateWindows:
    """One :class:`RateWindow` per source, for the *sources* most recently active ones."""

    __slots__ = ("_period", "_quota", "_sources", "_windows")

    def __init__(self, quota: int, period: float, sources: int) -> None:
        self._quota, self._period, self._sources = quota, period, sources
        self._windows: OrderedDict[str, RateWindow] = OrderedDict()

    def allow(self, source: str, now: float) -> bool:
        """Record an event of *source* at *now* if it fits."""
        if self._quota < 0:
            return True
        windows = self._windows
        window = windows.get(source)
        if window is None:
            self._forget_idle(now)
            window = windows[source] = RateWindow(self._quota, self._period)
            if len(windows) > self._sources:
                windows.popitem(last=False)
            return window.allow(now)
        windows.move_to_end(source)
        return window.allow(now)

    def full(self, source: str, now: float) -> bool:
        """Whether :meth:`allow` would refuse *source*; records nothing."""
        window = self._windows.get(source)
        if window is None:
            return self._quota == 0
        return window.full(now)

    def _forget_idle(self, now: float) -> None:
        windows = self._windows
        for _ in range(2):
            if not windows:
                return
            source = next(iter(windows))
            if not windows[source].idle(now):
                return
            del windows[source]

    def __len__(self) -> int:
        return len(self._windows)
