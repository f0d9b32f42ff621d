"""MemoryStore: the ValueStore that forgets. For nodes without persistence, simulations and tests."""

import math
from collections.abc import Iterator, Sequence

from dna_dht.store.port import Change, Extension, Purge, Removal, Row, StoreStats
from dna_dht.store.rules import is_stale
from dna_dht.wire.infohash import InfoHash

_DAY = 86_400  # seconds; extensions shorter than this are not written, spec 04, 13.4


class MemoryStore:
    """Rows in a dictionary, with the rules of the database."""

    def __init__(self) -> None:
        self._rows: dict[tuple[InfoHash, int], Row] = {}
        self._puts = self._purged = 0
        self._last_purge: float | None = None

    def load_all(self) -> Iterator[Row]:
        """Every row, as of the call."""
        return iter(tuple(self._rows.values()))

    def apply(self, batch: Sequence[Change]) -> None:
        """Carry out the changes in order."""
        for change in batch:
            if isinstance(change, Row):
                self._put(change)
            elif isinstance(change, Extension):
                self._extend(change)
            elif isinstance(change, Removal):
                slot = (change.key, change.value_id)
                if slot in self._rows and self._rows[slot].packed == change.packed:
                    del self._rows[slot]
            else:
                self._purge(change)

    def purge(self, before: float) -> int:
        """Delete rows that expired before *before*; how many."""
        return self._purge(Purge(before))

    def stats(self) -> StoreStats:
        """Counters; *bytes* is the size of the packed values."""
        size = sum(len(row.packed) for row in self._rows.values())
        return StoreStats(len(self._rows), size, self._puts, self._purged, 0, self._last_purge)

    def close(self) -> None:
        """Nothing to release."""

    def _put(self, row: Row) -> None:
        place = (row.key, row.value_id)
        old = self._rows.get(place)
        if old is not None and is_stale(row.packed, row.seq, old.packed):
            return
        expires = None if row.expires is None else math.ceil(row.expires)
        self._rows[place] = row._replace(created=int(row.created), expires=expires)
        self._puts += 1

    def _extend(self, change: Extension) -> None:
        place = (change.key, change.value_id)
        row = self._rows.get(place)
        if row is None or row.expires is None:
            return
        expires = None if change.expires is None else math.ceil(change.expires)
        if expires is None or expires >= row.expires + _DAY:
            self._rows[place] = row._replace(expires=expires)

    def _purge(self, change: Purge) -> int:
        expired = [
            place
            for place, row in self._rows.items()
            if row.expires is not None and row.expires < change.before
        ]
        for place in expired:
            del self._rows[place]
        self._purged += len(expired)
        self._last_purge = change.before
        return len(expired)
