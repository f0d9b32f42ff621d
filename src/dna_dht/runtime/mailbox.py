"""Mailbox: how worker threads hand results to the event loop, many results for one wake-up.

A thread appends to a deque and writes to an eventfd only if nobody has since the loop last looked, so a
burst of results costs one system call and one turn of the loop. The order per thread is kept. Source:
performance, section 5.
"""

import asyncio
import contextlib
import logging
import os
from collections import deque
from collections.abc import Callable
from typing import Any

Handler = Callable[[list[Any]], None]

_ONE = (1).to_bytes(8, "little")  # what an eventfd is written
_log = logging.getLogger(__name__)


class Mailbox:
    """Results of threads on their way to the loop. Bounded by whoever bounds the work."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Made in the loop's thread; must be closed there."""
        self._loop = loop
        self._waiting: deque[tuple[Handler, object]] = deque()
        self._signalled = False
        self._closed = False
        if hasattr(os, "eventfd"):
            self._read = self._write = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        else:  # pragma: no cover - systems without eventfd
            self._read, self._write = os.pipe()
            os.set_blocking(self._read, False)
            os.set_blocking(self._write, False)
        loop.add_reader(self._read, self._drain)

    def post(self, handler: Handler, result: object) -> None:
        """From any thread: have *handler* called in the loop with a list that holds *result*.

        Results for one handler that arrive together come in one list, in order. After :meth:`close` nothing
        happens.
        """
        self._waiting.append((handler, result))
        if not self._signalled and not self._closed:
            self._signalled = True
            try:
                os.write(self._write, _ONE)
            except OSError:  # full means that the loop will look anyway; closed means that nobody will
                return

    def close(self) -> None:
        """Deliver what has arrived, then no more. Join the threads before."""
        if self._closed:
            return
        self._drain()
        self._closed = True
        self._loop.remove_reader(self._read)
        for descriptor in {self._read, self._write}:
            os.close(descriptor)

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 4096)
        self._signalled = False
        batches: dict[Handler, list[Any]] = {}
        while self._waiting:
            handler, result = self._waiting.popleft()
            batches.setdefault(handler, []).append(result)
        for handler, results in batches.items():
            try:
                handler(results)
            except Exception:
                _log.exception("a handler of finished work failed")
