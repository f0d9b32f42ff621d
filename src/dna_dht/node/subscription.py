"""Subscription: what listening to a key returns; an async context manager and an async iterator.

The network does not wait for a reader, so the queue between both is bounded: when it is full the oldest
change goes, and is counted. A reader that sees :attr:`Subscription.dropped` grow knows that it has to get
the key again.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from dna_dht.core.effects import ListenChanged
from dna_dht.node.changes import Added, Change, Expired, Updated
from dna_dht.wire.infohash import InfoHash

QUEUE_LIMIT = 1024  # changes waiting for the reader

_KINDS: dict[str, Callable[..., Change]] = {"added": Added, "updated": Updated, "expired": Expired}
Stop = Callable[[], None]
Start = Callable[["Subscription", Callable[[ListenChanged], None]], Stop]
"""Begins to listen for a subscription, handing changes to the function given; returns what ends it."""


class Subscription:
    """Changes of one key, from ``async with node.listen(key) as changes`` on, or from the first reading.

    First come the values that exist, as :class:`Added`. Iteration ends when the node stops or :meth:`close`
    is called; leaving the ``async with`` closes. One reader at a time.

    Attributes:
        key: what is listened to.
        dropped: changes lost because they were not read in time.
    """

    def __init__(self, key: InfoHash, start: Start, *, limit: int = QUEUE_LIMIT) -> None:
        """Made by :meth:`Node.listen`. *limit*: changes waiting for the reader, at least 1."""
        if limit < 1:
            raise ValueError(f"limit: at least 1, got {limit}")
        self.key = key
        self.dropped = 0
        self._start = start
        self._stop: Stop | None = None
        self._limit = limit
        self._queue: deque[Change] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether nothing more will arrive; what waits can still be read."""
        return self._closed

    async def __aenter__(self) -> Self:
        self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> Self:
        self._begin()
        return self

    async def __anext__(self) -> Change:
        """The next change; waits for one."""
        self._begin()
        while not self._queue:
            if self._closed:
                raise StopAsyncIteration
            if self._waiter is not None:
                raise RuntimeError("a subscription has one reader at a time")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._queue.popleft()

    def close(self) -> None:
        """Stop listening. What has arrived can still be read. Idempotent."""
        self._closed = True
        stop, self._stop = self._stop, None
        if stop is not None:
            stop()
        self._wake()

    def _begin(self) -> None:
        if self._stop is None and not self._closed:
            self._stop = self._start(self, self._push)

    def _push(self, change: ListenChanged) -> None:
        if self._closed:
            return
        if len(self._queue) >= self._limit:
            self._queue.popleft()
            self.dropped += 1
        self._queue.append(_KINDS[change.change](change.value))
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
