"""VerifyPool: threads that check signatures, and make them, beside the protocol thread.

The signature library releases the interpreter lock, so threads double what two cores accept and keep the
protocol thread free for answers. Work goes in by one queue, results come back by the node's mailbox in
batches: 0 to 35 us per verification, where an executor costs 60 to 95. What one pump of the core asks for
goes to a thread in one piece, and a thread reports every few results, for each hand-over between threads
costs system calls and a change of the interpreter lock. A single verification that nothing waits behind is
done at once, in the loop: that is a tenth less delay and work for a lonely put or get, and no burden, since a
second one finds the first under way or comes with it. With no thread (a machine with one core) all work is
done in the loop, a few pieces a turn, so that datagrams are read in between. Source: performance, section 5;
the tenth: measured with bench/accepted_put.py, one value at a time.

The core bounds what waits here (``Limits.verifications_pending``); the bound of the pool is a second line.
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from dna_dht.core.effects import VerifyRequested
from dna_dht.crypto.verifiers import Verifier
from dna_dht.errors import NetworkError
from dna_dht.runtime.mailbox import Mailbox

QUEUE_BOUND = 16_384  # pieces of work; the core asks for at most 5 x 1024 at once
INLINE_BATCH = 8  # pieces per turn of the loop without threads, about 2 ms
REPORTED = 4  # results a thread hands over together, about 1 ms

STOPPED = "the node is stopped"
Result = TypeVar("Result")
Work = Callable[[], Any]
OnVerified = Callable[[list[tuple[int, bool]]], None]
_log = logging.getLogger(__name__)


def default_workers() -> int:
    """One thread less than this process has cores, at least one."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # pragma: no cover - not on every system
        cores = os.cpu_count() or 1
    return max(1, cores - 1)


class VerifyPool:
    """Runs verifications and signatures. Every method is for the loop's thread.

    After :meth:`submit`, once or often, comes :meth:`hand_out`; the driver calls it at the end of each pump.

    Attributes:
        waiting: pieces of work whose result has not come back.
        refused: pieces refused because too many were waiting.
    """

    def __init__(
        self,
        verifier: Verifier,
        *,
        workers: int,
        mailbox: Mailbox,
        on_verified: OnVerified,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """*workers*: threads, 0 or more. *on_verified* gets (job, valid) of everything that was submitted."""
        self._verifier = verifier
        self._mailbox = mailbox
        self._on_verified = on_verified
        self._loop = loop
        self._queue: SimpleQueue[list[VerifyRequested] | tuple[asyncio.Future[Any], Work] | None]
        self._queue = SimpleQueue()
        self._batch: list[VerifyRequested] = []  # not handed out yet
        self._at_once = False  # a single one is being checked in the loop
        self._inline: deque[VerifyRequested | tuple[asyncio.Future[Any], Work]] = deque()
        self._inline_turn: asyncio.Handle | None = None
        self._futures: set[asyncio.Future[Any]] = set()
        self._stopped = False
        self.waiting = 0
        self.refused = 0
        self._threads = [
            Thread(target=self._serve, name=f"dna-dht-verify-{number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, request: VerifyRequested) -> None:
        """Take a signature to check. Above the bound it counts as not valid; the sender will try again."""
        if self.waiting >= QUEUE_BOUND or self._stopped:
            self.refused += 1
            self._loop.call_soon(self._on_verified, [(request.job, False)])
            return
        self._accept(request)

    async def run(self, work: Callable[[], Result]) -> Result:
        """Do *work* in one of the threads and return, or raise, what it does.

        Raises NetworkError if the pool is stopped, now or before the work is done. Cancelling abandons the
        result.
        """
        if self._stopped:
            raise NetworkError(STOPPED)
        future: asyncio.Future[Result] = self._loop.create_future()
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        self._accept((future, work))
        return await future

    def stop(self) -> None:
        """Finish what runs (a millisecond), join the threads, and tell who waits for the rest. Idempotent."""
        if self._stopped:
            return
        self._stopped = True
        self._inline.clear()
        if self._inline_turn is not None:
            self._inline_turn.cancel()
        try:
            while True:
                self._queue.get_nowait()
        except Empty:
            pass
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        for future in self._futures:
            if not future.done():
                future.set_exception(NetworkError(STOPPED))

    def _accept(self, piece: VerifyRequested | tuple[asyncio.Future[Any], Work]) -> None:
        self.waiting += 1
        if not self._threads:
            self._inline.append(piece)
            if self._inline_turn is None:
                self._inline_turn = self._loop.call_soon(self._serve_inline)
        elif isinstance(piece, VerifyRequested):
            self._batch.append(piece)
        else:
            self._queue.put(piece)

    def hand_out(self) -> None:
        """Share what was submitted since the last time among the threads."""
        if not self._batch or self._stopped:
            return
        batch, self._batch = self._batch, []
        if len(batch) == self.waiting == 1 and not self._at_once:
            self._at_once = True
            try:
                self._deliver_verified([[(batch[0].job, self._check(batch[0]))]])
            finally:
                self._at_once = False
            return
        share = -(-len(batch) // len(self._threads))
        for start in range(0, len(batch), share):
            self._queue.put(batch[start : start + share])

    def _serve(self) -> None:
        """The life of a thread."""
        get, post, verified = self._queue.get, self._mailbox.post, self._deliver_verified
        while (piece := get()) is not None:
            if isinstance(piece, tuple):
                post(self._deliver_done, _done(piece))
                continue
            for start in range(0, len(piece), REPORTED):
                some = piece[start : start + REPORTED]
                post(verified, [(request.job, self._check(request)) for request in some])

    def _serve_inline(self) -> None:
        self._inline_turn = None
        verified: list[tuple[int, bool]] = []
        for _ in range(min(INLINE_BATCH, len(self._inline))):
            piece = self._inline.popleft()
            if isinstance(piece, VerifyRequested):
                verified.append((piece.job, self._check(piece)))
            else:
                self._deliver_done([_done(piece)])
        if self._inline:
            self._inline_turn = self._loop.call_soon(self._serve_inline)
        if verified:
            self._deliver_verified([verified])

    def _check(self, request: VerifyRequested) -> bool:
        try:
            return self._verifier(request.owner, request.signature, request.message)
        except Exception:  # a verifier answers any bytes; should one not, its thread must live on
            _log.exception("the verifier failed")
            return False

    def _deliver_verified(self, batches: list[list[tuple[int, bool]]]) -> None:
        results = [result for batch in batches for result in batch]
        self.waiting -= len(results)
        if not self._stopped:
            self._on_verified(results)

    def _deliver_done(self, results: list[tuple[asyncio.Future[Any], Any, Exception | None]]) -> None:
        self.waiting -= len(results)
        for future, result, error in results:
            if future.done():
                continue
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)


def _done(piece: tuple[asyncio.Future[Any], Work]) -> tuple[asyncio.Future[Any], Any, Exception | None]:
    future, work = piece
    try:
        return future, work(), None
    except Exception as error:
        return future, None, error
