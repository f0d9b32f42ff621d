"""Restorer: feeds the rows of a store to the core while the node serves already. Source: spec 04, 13.6.

A thread of its own reads, because a database connection belongs to one thread and a slow disk may block it.
Rows reach the loop in slices, and the thread is never more than a few slices ahead, so that loading a large
database costs neither memory nor answers. The core verifies what it is given before it serves it.
"""

import asyncio
import logging
from collections.abc import Callable
from threading import Semaphore, Thread

from dna_dht.errors import StorageError
from dna_dht.runtime.mailbox import Mailbox
from dna_dht.store.port import Row, ValueStore

SLICE = 100  # rows handed over at once: about 2 ms of the loop
AHEAD = 4  # slices read before the loop has taken the first

_log = logging.getLogger(__name__)


class Restorer:
    """One load of *store*. Every method is for the loop's thread.

    Attributes:
        rows: handed over so far.
        done: set when nothing more will come.
        error: why it ended early; None if it did not.
    """

    def __init__(self, store: ValueStore, mailbox: Mailbox, feed: Callable[[list[Row]], None]) -> None:
        """*feed* is called in the loop with each slice."""
        self._store = store
        self._mailbox = mailbox
        self._feed = feed
        self._room = Semaphore(AHEAD)
        self._stopped = False
        self._thread = Thread(target=self._load, name="dna-dht-restore", daemon=True)
        self.rows = 0
        self.done = asyncio.Event()
        self.error: StorageError | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Give up what has not been read and join the thread. Idempotent."""
        self._stopped = True
        self._room.release()
        if self._thread.ident is not None:
            self._thread.join()

    def _load(self) -> None:
        """The life of the thread."""
        piece: list[Row] = []
        failure: StorageError | None = None
        try:
            for row in self._store.load_all():
                piece.append(row)
                if len(piece) == SLICE:
                    self._hand_over(piece)
                    piece = []
                if self._stopped:
                    return
        except StorageError as error:
            failure = error
        except Exception as error:
            failure = StorageError(f"the store failed: {error!r}")
        if piece:  # what was read before a failure is as good as the rest
            self._hand_over(piece)
        self._mailbox.post(self._ended, failure)

    def _hand_over(self, piece: list[Row]) -> None:
        self._room.acquire()
        if not self._stopped:
            self._mailbox.post(self._arrived, piece)

    def _arrived(self, pieces: list[list[Row]]) -> None:
        for piece in pieces:
            self._room.release()
            if not self._stopped:
                self.rows += len(piece)
                self._feed(piece)

    def _ended(self, errors: list[StorageError | None]) -> None:
        self.done.set()
        self.error = errors[-1]
        if self.error is not None:
            _log.error("stored values were not all loaded: %s", self.error)
        else:
            _log.info("loaded %d stored values", self.rows)
