"""Processor time of a piece of code in this thread."""

import time
from collections.abc import Callable

ROUNDS = 5  # the best of so many counts: whatever disturbs only adds


def cpu_per_call(action: Callable[[], object], *, budget: float = 0.1) -> tuple[float, int]:
    """Seconds of processor time per call, and the number of calls behind it; takes about *budget* seconds."""
    clock = time.thread_time
    calls, spent = 1, 0.0
    while spent < budget / (4 * ROUNDS):
        calls *= 2
        started = clock()
        for _ in range(calls):
            action()
        spent = clock() - started
    best = spent
    for _ in range(ROUNDS):
        started = clock()
        for _ in range(calls):
            action()
        best = min(best, clock() - started)
    return best / calls, calls * (ROUNDS + 1)
