"""StatusBoard: whether the node is connected, for whoever asks, waits or watches."""

import asyncio
from collections.abc import AsyncIterator

from dna_dht.core.effects import StatusChanged
from dna_dht.errors import NetworkError, NotConnectedError

DISCONNECTED = StatusChanged("disconnected", "disconnected")


class StatusBoard:
    """The present status and everybody who waits for another. For the loop's thread."""

    def __init__(self) -> None:
        self._status = DISCONNECTED
        self._closed = False
        self._changed = asyncio.Event()

    @property
    def status(self) -> StatusChanged:
        return self._status

    @property
    def connected(self) -> bool:
        """Whether a good node of either family is known."""
        return "connected" in self._status

    @property
    def closed(self) -> bool:
        return self._closed

    def show(self, status: StatusChanged) -> None:
        """The status is *status* now; ignored after :meth:`close`."""
        if status != self._status and not self._closed:
            self._status = status
            self._announce()

    def close(self) -> None:
        """The node stops: whoever waits is told. Idempotent."""
        self._status = DISCONNECTED
        self._closed = True
        self._announce()

    async def wait_connected(self, seconds: float | None) -> None:
        """Return once connected.

        Raises NotConnectedError after so many *seconds* (None: never), NetworkError when the node stops.
        """
        try:
            async with asyncio.timeout(seconds):
                while not self.connected:
                    await self._next()
        except TimeoutError:
            raise NotConnectedError(
                "no node answers: check the bootstrap addresses, and that UDP passes the firewall"
            ) from None

    async def wait_lost(self, seconds: float) -> None:
        """Return once the node has been without connection for *seconds*; NetworkError when it stops."""
        while True:
            while self.connected:
                await self._next()
            try:
                await asyncio.wait_for(self._connected(), seconds)
            except TimeoutError:
                return

    async def watch(self) -> AsyncIterator[StatusChanged]:
        """The present status, then each new one; a slow reader sees the latest. Ends when the node stops."""
        seen: StatusChanged | None = None
        while not self._closed:
            if self._status != seen:
                seen = self._status
                yield seen
            else:
                await self._changed.wait()

    async def _connected(self) -> None:
        while not self.connected:
            await self._next()

    async def _next(self) -> None:
        if self._closed:
            raise NetworkError("the node is stopped")
        await self._changed.wait()
        if self._closed:
            raise NetworkError("the node is stopped")

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
