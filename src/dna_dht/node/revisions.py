"""Revisions: the last seq of our own values, and one writer at a time for each. Source: spec 02, 25.1 item 5.

Knowing the last seq lets a replacement go out in one round trip. Two puts of one (key, id) at once would
take the same seq and destroy each other, so they queue.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dna_dht.wire.infohash import InfoHash

REMEMBERED = 65_536  # (key, id) pairs, about 12 MB; the longest unused goes and costs one more round trip

Slot = tuple[InfoHash, int]
"""Key and value id."""


class Revisions:
    """Last seq per slot, and a lock per slot in use."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._last: OrderedDict[Slot, int] = OrderedDict()
        self._locks: dict[Slot, tuple[asyncio.Lock, list[None]]] = {}

    def last(self, slot: Slot) -> int | None:
        """The highest seq used by this process; None if unknown."""
        seq = self._last.get(slot)
        if seq is not None:
            self._last.move_to_end(slot)
        return seq

    def used(self, slot: Slot, seq: int) -> None:
        """*seq* was, or may have been, published."""
        self._last[slot] = max(seq, self._last.get(slot, 0))
        self._last.move_to_end(slot)
        if len(self._last) > self._limit:
            self._last.popitem(last=False)

    @asynccontextmanager
    async def writing(self, slot: Slot) -> AsyncIterator[None]:
        """Hold the slot; others wait in order."""
        lock, users = self._locks.setdefault(slot, (asyncio.Lock(), []))
        users.append(None)
        try:
            async with lock:
                yield
        finally:
            users.pop()
            if not users:
                del self._locks[slot]

    def __len__(self) -> int:
        return len(self._last)
