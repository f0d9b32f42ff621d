"""Restoring: values that come back from disk, checked before they are served. Source: reliability G2, T21,
T27.

A row is trusted no more than a stranger: its signature is verified first. A row that nobody signed, or whose
signature is bad, is reported, so that it can be deleted. Nobody waits for all of them: rows
wait per key, a bounded number is checked in the background, and whoever asks for a key moves its rows to the
front and is answered when they are through. So a node serves its first value at once, however many it has.

A row that the verifier has no room for waits; it is never given up for that. A result that is known at once
(the same value under another key, a signature of wrong length) does not recurse: there is one loop.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from dna_dht.core.context import CoreContext
from dna_dht.core.effects import RestoreRefused
from dna_dht.core.sources import LOCAL, restored_source
from dna_dht.core.timers import Timer
from dna_dht.core.values.storage import Storage
from dna_dht.core.values.stored_value import StoredValue
from dna_dht.core.values.verification import Verification
from dna_dht.errors import DecodeError
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack, unpack

IN_BACKGROUND = 32  # checks under way at once because of nobody's request
ON_DEMAND = 512  # checks under way at once for those who wait
MAX_DEMANDS = 1024  # requests that wait for a key
RETRY = 0.1  # seconds after which rows that found no room at the verifier are offered again


class Row(NamedTuple):
    """One value as it was saved. *created*, *expires*: unix seconds; None: now, and by its type."""

    packed: bytes
    created: float | None
    expires: float | None
    permanent: bool


class Restoring:
    """Rows on their way into the store.

    Attributes:
        on_restored: told of each value that is stored again; set by the owner.
    """

    def __init__(self, ctx: CoreContext, storage: Storage, verification: Verification) -> None:
        self.on_restored: Callable[[StoredValue], None] = lambda stored: None
        self._ctx = ctx
        self._storage = storage
        self._verification = verification
        self._rows: OrderedDict[InfoHash, deque[Row]] = OrderedDict()  # demanded keys first
        self._checking: dict[InfoHash, int] = {}
        self._demands: dict[InfoHash, list[Callable[[], None]]] = {}
        self._demand_count = 0
        self._under_way = 0
        self._going_on = False
        self._retry: Timer | None = None

    def add(self, key: InfoHash, row: Row) -> None:
        """Take a row; call :meth:`go_on` after a batch of them."""
        rows = self._rows.get(key)
        if rows is None:
            rows = self._rows[key] = deque()
        rows.append(row)

    def concerns(self, key: InfoHash) -> bool:
        """Whether rows of *key* are not checked yet."""
        return key in self._rows or key in self._checking

    def demand(self, key: InfoHash, then: Callable[[], None]) -> bool:
        """Check the rows of *key* now; run *then* when they are through. False if too many wait: *then* is
        never run.
        """
        if self._demand_count >= MAX_DEMANDS:
            self._ctx.counters.dropped["request: too many wait for the disk"] += 1
            return False
        self._demand_count += 1
        self._demands.setdefault(key, []).append(then)
        if key in self._rows:
            self._rows.move_to_end(key, last=False)
            self.go_on()
        self._answer(key)
        return True

    def go_on(self) -> None:
        """Check more rows: those somebody waits for, then those in the background."""
        if self._going_on:
            return
        self._going_on = True
        rows = self._rows
        while rows:
            key = next(iter(rows))
            if self._under_way >= (ON_DEMAND if key in self._demands else IN_BACKGROUND):
                break
            self._checking[key] = self._checking.get(key, 0) + 1
            row = rows[key].popleft()
            if not rows[key]:
                del rows[key]
            if not self._check(key, row):
                self._put_back(key, row)
                break
        self._going_on = False

    def __len__(self) -> int:
        return len(self._rows) + len(self._checking)

    # -- one row; it is counted as under check

    def _check(self, key: InfoHash, row: Row) -> bool:
        """Find out what *row* is worth, now or later; False if there is no room for its check."""
        try:
            value = unpack(row.packed)
        except DecodeError:
            self._settle(key, "restored: unreadable")
            return True
        if value.is_signed:
            self._under_way += 1
            if self._verification.check(value, None, partial(self._on_checked, key, value, row)):
                return True
            self._under_way -= 1
            return False
        if self._ctx.config.accept_unsigned:
            self._store(key, value, row)
        else:
            self._refuse(key, value, row, "restored: unsigned")
        return True

    def _put_back(self, key: InfoHash, row: Row) -> None:
        self.add(key, row)
        self._rows[key].rotate(1)
        self._rows.move_to_end(key, last=False)
        self._unmark(key)
        if self._retry is None or not self._retry.pending:
            self._retry = self._ctx.timers.at(self._ctx.now.mono + RETRY, self.go_on)

    def _on_checked(self, key: InfoHash, value: Value, row: Row, valid: bool) -> None:
        self._under_way -= 1
        if valid:
            self._store(key, value, row)
        else:
            self._refuse(key, value, row, "restored: bad signature")
        self.go_on()

    def _refuse(self, key: InfoHash, value: Value, row: Row, why: str) -> None:
        """The row is worth nothing, now and later: say so."""
        self._ctx.outbox.emit(RestoreRefused(key, value.id, row.packed))
        self._settle(key, why)

    def _store(self, key: InfoHash, value: Value, row: Row) -> None:
        now = self._ctx.now
        created = now.mono if row.created is None else now.mono - max(0.0, now.unix - row.created)
        expires = None if row.expires is None else now.mono + (row.expires - now.unix)
        source = LOCAL if row.permanent else restored_source(value.owner_id)
        stored = self._storage.store(
            key, value, pack(value), created=created, source=source, expires=expires, permanent=row.permanent
        )
        if stored is not None:
            self.on_restored(stored)
        self._settle(key, "restored" if stored is not None else "restored: refused")

    def _settle(self, key: InfoHash, outcome: str) -> None:
        """A row is through: answer who waits if it was the last of its key."""
        self._ctx.counters.values[outcome] += 1
        self._unmark(key)
        self._answer(key)

    def _unmark(self, key: InfoHash) -> None:
        left = self._checking[key] - 1
        if left:
            self._checking[key] = left
        else:
            del self._checking[key]

    def _answer(self, key: InfoHash) -> None:
        if not self.concerns(key):
            waiting = self._demands.pop(key, [])
            self._demand_count -= len(waiting)
            for then in waiting:
                then()
