"""Deadlines of the core in one heap, so that the driver arms one timer only.

A cancelled timer stays in the heap until its deadline, or until the cancelled ones are more than the pending
ones: then all of them go at once. So the heap is never much larger than what is pending, however far away
the deadlines are.
"""

import heapq
from collections.abc import Callable

MIN_SWEEP = 256  # cancelled timers that are not worth a sweep


class Timer:
    """A pending deadline; :meth:`cancel` makes it never fire."""

    __slots__ = ("_action", "_timers", "deadline")

    def __init__(self, deadline: float, action: Callable[[], None], timers: "Timers") -> None:
        self.deadline = deadline
        self._action: Callable[[], None] | None = action
        self._timers = timers

    @property
    def pending(self) -> bool:
        return self._action is not None

    def cancel(self) -> None:
        if self._action is not None:
            self._action = None
            self._timers.on_cancelled()

    def fire(self) -> None:
        action, self._action = self._action, None
        if action is not None:
            action()


class Timers:
    """Run actions at their deadlines, in order of deadline, then of scheduling."""

    __slots__ = ("_cancelled", "_heap", "_scheduled")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._scheduled = 0
        self._cancelled = 0  # an upper bound of the cancelled timers in the heap

    def at(self, deadline: float, action: Callable[[], None]) -> Timer:
        """Schedule *action* for *deadline* (monotonic seconds)."""
        timer = Timer(deadline, action, self)
        self._scheduled += 1
        heapq.heappush(self._heap, (deadline, self._scheduled, timer))
        return timer

    def next_wakeup(self) -> float | None:
        """When the next pending timer is due, in monotonic seconds; None if there is none."""
        heap = self._heap
        while heap and not heap[0][2].pending:
            heapq.heappop(heap)
            self._cancelled -= 1
        return heap[0][0] if heap else None

    def run_due(self, now: float) -> None:
        """Fire everything due at *now*; what the actions schedule for *now* or earlier waits for the next
        run.
        """
        heap, due = self._heap, []
        while heap and heap[0][0] <= now:
            timer = heapq.heappop(heap)[2]
            if timer.pending:
                due.append(timer)
            else:
                self._cancelled -= 1
        for timer in due:
            timer.fire()

    def on_cancelled(self) -> None:
        """A timer was cancelled: sweep if most of the heap is."""
        self._cancelled += 1
        heap = self._heap
        if self._cancelled > MIN_SWEEP and 2 * self._cancelled > len(heap):
            heap[:] = [entry for entry in heap if entry[2].pending]
            heapq.heapify(heap)
            self._cancelled = 0

    def __len__(self) -> int:
        return len(self._heap)
