"""What persistence is to the rest: rows, changes, the ValueStore protocol. Source: spec 04, section 13.

A store keeps at most one row per (key, value id). It trusts its caller about what is accepted, with one
exception that makes the order of writes harmless: a lower seq never replaces a higher seq of the same
owner, unless the signature of what is stored has become wrong on the disk. Rows are loaded as they are:
whoever loads them verifies a value before serving it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from dna_dht.wire.infohash import InfoHash


class Row(NamedTuple):
    """One persisted value; as a change: store it, replacing the row of the same key and id."""

    key: InfoHash
    value_id: int
    """1 to 2**64 - 1."""
    packed: bytes
    """The whole packed value, owner and signature included."""
    value_type: int
    seq: int
    created: float
    """Unix seconds; stored whole, rounded down."""
    expires: float | None
    """Unix seconds, stored whole, rounded up; None: never."""


class Extension(NamedTuple):
    """Change: a refresh moved the end of life to *expires* (Unix seconds; None: never).

    Written only if that is at least a day later than what is stored (spec 04, 13.4).
    """

    key: InfoHash
    value_id: int
    expires: float | None


class Removal(NamedTuple):
    """Change: delete the row of this key and id, if it still holds these bytes."""

    key: InfoHash
    value_id: int
    packed: bytes


class Purge(NamedTuple):
    """Change: delete every row that expired before *before* (Unix seconds, strictly)."""

    before: float


Change = Row | Extension | Removal | Purge


@dataclass(frozen=True, slots=True)
class StoreStats:
    """Counters since the store was opened, and its size now.

    Attributes:
        values: rows.
        bytes: size of the main database file, or of the packed values if there is no file.
        puts: rows written.
        purged: rows deleted because they had expired.
        errors: batches that failed.
        last_purge: Unix seconds of the last purge, None before the first.
    """

    values: int
    bytes: int
    puts: int
    purged: int
    errors: int
    last_purge: float | None


class ValueStore(Protocol):
    """Persistence of values. One caller of the writing methods at a time; :meth:`stats` from any thread."""

    def load_all(self) -> Iterator[Row]:
        """Every row, expired ones included, in no particular order.

        A (key, id) may appear twice only in a file written by the reference; the later one is the newer then.
        Raises StorageError, also half-way.
        """

    def apply(self, batch: Sequence[Change]) -> None:
        """Make *batch* durable, all of it or, raising StorageError, nothing. The next call starts afresh."""

    def purge(self, before: float) -> int:
        """Delete rows that expired before *before* (Unix seconds, strictly); how many. StorageError."""

    def stats(self) -> StoreStats:
        """Counters; never blocks on the disk."""

    def close(self) -> None:
        """Release everything. Calling it again does nothing."""
