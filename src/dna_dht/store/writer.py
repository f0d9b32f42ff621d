"""StoreWriter: one thread that commits changes in groups and says when they are on disk. Source: design, 0.

A put of a persisted type is answered after its commit, so the commit must be cheap and soon. A change
that finds the writer idle is committed at once. While a commit runs, and until 10 ms after its start,
further changes gather; 200 of them end the wait. So an idle node answers after one sync of the disk, and
a busy one pays it once for many values.

The queue is bounded: :meth:`StoreWriter.submit` returns False when it is full, and the put then stays
unanswered. When a group fails, its changes are tried one by one, so that a change the store cannot take (a
damaged page of the file is enough) costs the others nothing; :data:`FAILURES` failures in a row mean that
the disk is the reason (full, read-only, gone) and fail the rest. What failed is reported as failed and
forgotten, and the next group is tried afresh. Nothing a store or a callback raises ends the thread.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from dna_dht.errors import StorageError
from dna_dht.store.port import Change, Removal, Row, ValueStore

QUEUE_CHANGES = 4096  # waiting or being committed
QUEUE_BYTES = 32 * 1024 * 1024  # of packed values, waiting or being committed
GROUP_SECONDS = 0.010  # between the starts of two commits, unless a group is full; design, section 0
GROUP_CHANGES = 200  # at most in one commit; design, section 0
FAILURES = 3  # in a row, of changes tried one by one, until the rest is given up

_log = logging.getLogger(__name__)

Committed = Callable[[Sequence[int], bool], None]
"""Called in the writer's thread: (tickets of changes that came to the same end, whether they are on disk)."""


class StoreWriter:
    """Owns the writing side of *store* from construction until :meth:`stop`. All methods are thread-safe."""

    def __init__(self, store: ValueStore, committed: Committed) -> None:
        self._store = store
        self._committed = committed
        self._queue: deque[tuple[Change, int | None]] = deque()
        self._changed = threading.Condition()
        self._submitted = self._finished = 0  # changes, ever
        self._bytes = 0  # of packed values among the unfinished
        self._hurry = 0  # commit without gathering until so many changes are finished
        self._stopping = False
        self._healthy = True
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Changes not yet committed or failed."""
        return self._submitted - self._finished

    @property
    def healthy(self) -> bool:
        """Whether any change of the last group is on disk; True before the first."""
        return self._healthy

    def submit(self, change: Change, ticket: int | None = None) -> bool:
        """Queue *change*; False, and nothing happens, if the queue is full or the writer stopped.

        With a *ticket* the callback hears of its commit. Changes are committed in the order they were
        submitted.
        """
        size = _size(change)
        with self._changed:
            full = self.pending >= QUEUE_CHANGES or self._bytes + size > QUEUE_BYTES
            if full or self._stopping:
                return False
            self._queue.append((change, ticket))
            self._submitted += 1
            self._bytes += size
            if len(self._queue) in (1, GROUP_CHANGES):
                self._changed.notify_all()
        return True

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until everything submitted before is committed or failed; False after *timeout* seconds."""
        with self._changed:
            goal = self._hurry = self._submitted
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._finished >= goal, timeout)

    def stop(self, timeout: float | None = None) -> bool:
        """Commit what is queued and end the thread; False if that takes more than *timeout* seconds."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        started = -GROUP_SECONDS
        while batch := self._next_batch(started + GROUP_SECONDS):
            started = time.monotonic()
            on_disk = self._commit([change for change, _ in batch])
            for end in (True, False):
                self._report([t for (_, t), done in zip(batch, on_disk, strict=True) if done is end], end)
            with self._changed:
                self._finished += len(batch)
                self._bytes -= sum(_size(change) for change, _ in batch)
                self._changed.notify_all()

    def _next_batch(self, due: float) -> list[tuple[Change, int | None]]:
        """What to commit next, at *due* (monotonic seconds) or when there is enough; empty: stop."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._stopping)
            while not (self._stopping or len(self._queue) >= GROUP_CHANGES or self._hurry > self._finished):
                if (left := due - time.monotonic()) <= 0:
                    break
                self._changed.wait(left)
            return [self._queue.popleft() for _ in range(min(len(self._queue), GROUP_CHANGES))]

    def _commit(self, changes: list[Change]) -> list[bool]:
        """Which of *changes* are on disk now."""
        error = self._apply(changes)
        on_disk = [error is None] * len(changes)
        if error is not None and len(changes) > 1:
            left = FAILURES
            for place, change in enumerate(changes):
                alone = self._apply([change])
                on_disk[place] = alone is None
                left = FAILURES if alone is None else left - 1
                if not left:
                    break
        self._judge(on_disk, error)
        return on_disk

    def _apply(self, changes: list[Change]) -> Exception | None:
        try:
            self._store.apply(changes)
        except Exception as error:
            return error
        return None

    def _judge(self, on_disk: list[bool], error: Exception | None) -> None:
        """Say what went wrong, or that nothing does any more."""
        healthy = any(on_disk)
        trace = None if isinstance(error, StorageError) else error  # anything else is a fault of ours
        if not all(on_disk) and (healthy or self._healthy):  # an outage is logged once
            _log.error("%d values are not persisted: %s", on_disk.count(False), error, exc_info=trace)
        elif healthy and not self._healthy:
            _log.warning("values are persisted again")
        self._healthy = healthy

    def _report(self, tickets: list[int | None], on_disk: bool) -> None:
        asked = [ticket for ticket in tickets if ticket is not None]
        if not asked:
            return
        try:
            self._committed(asked, on_disk)
        except Exception:
            _log.exception("the callback for committed values failed")


def _size(change: Change) -> int:
    return len(change.packed) if isinstance(change, Row | Removal) else 0
