"""Restoring: values that come back from disk, checked before they are served. Source: reliability G2, T21,
T27.

A row is trusted no more than a stranger: its signature is verified first. Nobody waits for all of them: rows
wait per key, a bounded number is checked in the background, and whoever asks for a key moves its rows to the
front and is answered when they are through. So a node serves its first value at once, however many it has.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from dna_dht.core.context import CoreContext
from dna_dht.core.storage import Storage
from dna_dht.core.verification import Verification
from dna_dht.errors import DecodeError
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack, unpack

IN_BACKGROUND = 32  # checks under way at once because of nobody's request
MAX_DEMANDS = 1024  # requests that wait for a key
SOURCE = "disk"  # whom restored values are charged to


class Row(NamedTuple):
    """One value as it was saved. *created*, *expires*: unix seconds; None: now, and by its type."""

    packed: bytes
    created: float | None
    expires: float | None
    permanent: bool


class Restoring:
    """Rows on their way into the store."""

    def __init__(self, ctx: CoreContext, storage: Storage, verification: Verification) -> None:
        self._ctx = ctx
        self._storage = storage
        self._verification = verification
        self._rows: OrderedDict[InfoHash, list[Row]] = OrderedDict()
        self._checking: dict[InfoHash, int] = {}
        self._demands: dict[InfoHash, list[Callable[[], None]]] = {}
        self._demand_count = 0
        self._in_background = 0

    def add(self, key: InfoHash, row: Row) -> None:
        """Take a row; call :meth:`go_on` after a batch of them."""
        self._rows.setdefault(key, []).append(row)

    def concerns(self, key: InfoHash) -> bool:
        """Whether rows of *key* are not checked yet."""
        return key in self._rows or key in self._checking

    def demand(self, key: InfoHash, then: Callable[[], None]) -> None:
        """Check the rows of *key* now; run *then* when they are through."""
        if self._demand_count >= MAX_DEMANDS:
            self._ctx.counters.dropped["request: too many wait for the disk"] += 1
            return
        self._demand_count += 1
        self._demands.setdefault(key, []).append(then)
        if key in self._rows:
            self._check_key(key)
        self._answer(key)

    def go_on(self) -> None:
        """Check more rows in the background."""
        while self._rows and self._in_background < IN_BACKGROUND:
            self._check_key(next(iter(self._rows)))

    def __len__(self) -> int:
        return len(self._rows) + len(self._checking)

    def _check_key(self, key: InfoHash) -> None:
        for row in self._rows.pop(key):
            try:
                value = unpack(row.packed)
            except DecodeError:
                self._ctx.counters.values["restored: unreadable"] += 1
                continue
            if not value.is_signed:
                if self._ctx.config.accept_unsigned:
                    self._store(key, value, row)
                else:
                    self._ctx.counters.values["restored: unsigned"] += 1
                continue
            self._checking[key] = self._checking.get(key, 0) + 1
            self._in_background += 1
            if not self._verification.check(value, None, partial(self._on_checked, key, value, row)):
                self._on_checked(key, value, row, False)

    def _on_checked(self, key: InfoHash, value: Value, row: Row, valid: bool) -> None:
        self._in_background -= 1
        left = self._checking[key] - 1
        if left:
            self._checking[key] = left
        else:
            del self._checking[key]
        if valid:
            self._store(key, value, row)
        else:
            self._ctx.counters.values["restored: bad signature"] += 1
        self._answer(key)
        self.go_on()

    def _store(self, key: InfoHash, value: Value, row: Row) -> None:
        now = self._ctx.now
        created = now.mono if row.created is None else now.mono - max(0.0, now.unix - row.created)
        expires = None if row.expires is None else now.mono + (row.expires - now.unix)
        source = "" if row.permanent else SOURCE
        stored = self._storage.store(
            key, value, pack(value), created=created, source=source, expires=expires, permanent=row.permanent
        )
        self._ctx.counters.values["restored" if stored is not None else "restored: refused"] += 1

    def _answer(self, key: InfoHash) -> None:
        if not self.concerns(key):
            waiting = self._demands.pop(key, [])
            self._demand_count -= len(waiting)
            for then in waiting:
                then()
