"""Deadlines of the core in one heap, so that the driver arms one timer only."""

import heapq
from collections.abc import Callable


class Timer:
    """A pending deadline; :meth:`cancel` makes it never fire."""

    __slots__ = ("_action", "deadline")

    def __init__(self, deadline: float, action: Callable[[], None]) -> None:
        self.deadline = deadline
        self._action: Callable[[], None] | None = action

    @property
    def pending(self) -> bool:
        return self._action is not None

    def cancel(self) -> None:
        self._action = None

    def fire(self) -> None:
        action, self._action = self._action, None
        if action is not None:
            action()


class Timers:
    """Run actions at their deadlines, in order of deadline, then of scheduling."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._scheduled = 0

    def at(self, deadline: float, action: Callable[[], None]) -> Timer:
        """Schedule *action* for *deadline* (monotonic seconds)."""
        timer = Timer(deadline, action)
        self._scheduled += 1
        heapq.heappush(self._heap, (deadline, self._scheduled, timer))
        return timer

    def next_wakeup(self) -> float | None:
        """When the next pending timer is due, in monotonic seconds; None if there is none."""
        heap = self._heap
        while heap and not heap[0][2].pending:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def run_due(self, now: float) -> None:
        """Fire everything due at *now*; what the actions schedule for *now* or earlier waits for the next
        run.
        """
        heap, due = self._heap, []
        while heap and heap[0][0] <= now:
            due.append(heapq.heappop(heap)[2])
        for timer in due:
            timer.fire()

    def __len__(self) -> int:
        return len(self._heap)
