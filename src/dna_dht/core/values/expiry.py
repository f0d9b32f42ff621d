"""A queue of stored values by expiry that costs nothing when a life is prolonged.

Lives only grow: an entry of the heap names the expiry at the time of pushing, and when it comes to the top
too early it is pushed again with the present one. Values that are gone are skipped; when they are the
majority the heap is rebuilt, so that its size stays within twice the live values.
"""

import heapq

from dna_dht.core.values.stored_value import StoredValue

REBUILD_FROM = 64  # dead entries below this are not worth a rebuild


class ExpiryQueue:
    """Live values, nearest expiry first."""

    __slots__ = ("_dead", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, StoredValue]] = []
        self._dead = 0

    def push(self, value: StoredValue) -> None:
        heapq.heappush(self._heap, (value.expires, value.number, value))

    def first(self) -> StoredValue | None:
        """The live value with the nearest expiry; None if there is none."""
        heap = self._heap
        while heap:
            expires, number, value = heap[0]
            if value.gone:
                heapq.heappop(heap)
                self._dead -= 1
            elif value.expires != expires:
                heapq.heapreplace(heap, (value.expires, number, value))
            else:
                return value
        return None

    def dropped(self) -> None:
        """A pushed value was just marked as gone."""
        self._dead += 1
        if self._dead >= REBUILD_FROM and 2 * self._dead > len(self._heap):
            self._heap = [(value.expires, number, value) for _, number, value in self._heap if not value.gone]
            heapq.heapify(self._heap)
            self._dead = 0

    def __len__(self) -> int:
        return len(self._heap) - self._dead
