"""SqliteStore: values in one SQLite file that the reference reads and writes too. Source: spec 04, 13.

Durability: WAL with ``synchronous=FULL``, so a batch is on disk when :meth:`apply` returns: it survives
``kill -9`` and loss of power. One connection writes, in one thread at a time (see
:mod:`dna_dht.store.writer`); loading reads through a connection of its own, so it may go on while values
are written. After an error of the disk the connection is dropped and the next batch opens a new one: a
disk that recovers is used again at once.

Files of the reference have rows it should not have written (spec 04, 13.4): random value ids, unsigned
values. Loading deletes rows that are no signed value and puts the others under their true id, keeping
the highest seq.
"""

import contextlib
import itertools
import logging
import math
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, Self

from dna_dht.crypto.mldsa import verify
from dna_dht.crypto.verifiers import Verifier
from dna_dht.errors import DecodeError, StorageError
from dna_dht.private_files import sync_directory
from dna_dht.store import schema
from dna_dht.store.database_lock import DatabaseLock
from dna_dht.store.port import Change, Extension, Purge, Removal, Row, StoreStats
from dna_dht.store.rules import is_genuine, is_stale
from dna_dht.store.schema import INT64_LIMIT
from dna_dht.wire import value_codec
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.limits import PACKED_VALUE

_PRIVATE = 0o600  # mode of a new file; SQLite gives its companions the same
_REPAIRED = 1000  # misfiled rows repaired in one transaction, about 10 MB
_DAY = 86_400  # seconds; a refresh is written at most once a day, spec 04, 13.4
_FIELDS = (  # no value is larger, so what is larger is not read: it would only cost memory
    "rowid, key_hash, value_id,"
    f" CASE WHEN length(value_data) <= {PACKED_VALUE} THEN value_data END, created_at, expires_at"
)
_PUT = (
    "INSERT INTO dht_values VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key_hash, value_id) DO UPDATE SET"
    " value_data = excluded.value_data, value_type = excluded.value_type,"
    " created_at = excluded.created_at, expires_at = excluded.expires_at"
)

_log = logging.getLogger(__name__)


class SqliteStore:
    """A database file held by this process alone. Also a context manager that closes it."""

    def __init__(self, path: Path, *, verifier: Verifier = verify) -> None:
        """Open, create or migrate the database at *path*; its directory must exist.

        *verifier* judges a row that would keep an older revision out: only a genuine one may.

        Raises:
            StorageError: with one sentence that says what to do: another process uses it, it or its
                directory cannot be written, it is damaged, no database, another program's or a later
                version's. Nothing was written.
        """
        self.path = path
        self._verifier = verifier
        self._mutex = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._puts = self._purged = self._errors = self._values = 0
        self._last_purge: float | None = None
        schema.examine(path)
        self._lock = DatabaseLock(path)
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def load_all(self) -> Iterator[Row]:
        """Every row, read while the caller iterates; rows the reference misfiled are repaired at the end.

        Raises StorageError, also half-way, if the file cannot be read or is damaged.
        """
        suspects: list[tuple[str, int]] = []
        try:
            reader = schema.connect(self.path, "mode=ro")
            try:
                for record in reader.execute(f"SELECT {_FIELDS} FROM dht_values"):
                    row, sound = _read(record)
                    if row is not None and sound:
                        yield row
                    else:
                        suspects.append((str(record[1]), record[0]))
            finally:
                reader.close()
        except sqlite3.Error as error:
            raise schema.unusable(self.path, error) from error
        if suspects:
            yield from self._repair(suspects)

    def apply(self, batch: Sequence[Change]) -> None:
        """Commit *batch* in one transaction; StorageError if that fails, then nothing of it is stored."""
        with self._mutex, self._writing() as database:
            values, puts, purged, last_purge = self._values, 0, 0, self._last_purge
            with schema.transaction(database):
                for change in batch:
                    if isinstance(change, Row):
                        written, new = self._put(database, change)
                        puts += written
                        values += new
                    elif isinstance(change, Extension):
                        _extend(database, change)
                    elif isinstance(change, Removal):
                        values -= _remove(database, change)
                    else:
                        deleted = _purge(database, change)
                        values -= deleted
                        purged += deleted
                        last_purge = change.before
            self._values, self._last_purge = values, last_purge
            self._puts += puts
            self._purged += purged

    def purge(self, before: float) -> int:
        """Delete rows that expired before *before* (Unix seconds, strictly); how many. StorageError."""
        purged = self._purged
        self.apply((Purge(before),))
        return self._purged - purged

    def stats(self) -> StoreStats:
        """Counters, and the size of the main database file as the reference counts it."""
        try:
            size = self.path.stat().st_size
        except OSError:
            size = 0
        return StoreStats(self._values, size, self._puts, self._purged, self._errors, self._last_purge)

    def close(self) -> None:
        """Close the file and let other processes have it. Calling it again does nothing."""
        with self._mutex:
            self._disconnect()
            self._lock.release()

    def _open(self) -> None:
        version = schema.examine(self.path)  # again, now that nobody else can change it
        schema.check(self.path)
        try:
            # SQLite would open a file it cannot write too, and fail at the first value
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE))
            database = self._database = self._connect("mode=rw")
            if version == "new":
                schema.create(database)
            elif version == "first":
                schema.migrate(database)
            else:
                schema.complete(database)
            self._values = database.execute("SELECT count(*) FROM dht_values").fetchone()[0]
            sync_directory(self.path.parent)
        except sqlite3.Error as error:
            raise schema.unusable(self.path, error) from error
        except OSError as error:
            raise StorageError(
                f"cannot write {self.path}: {error.strerror or error};"
                " make it writable or choose another data directory"
            ) from error

    def _connect(self, mode: str) -> sqlite3.Connection:
        database = schema.connect(self.path, mode)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _disconnect(self) -> None:
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """The connection to write with; on failure it is dropped and StorageError raised."""
        if self._lock.released:
            raise StorageError(f"the database {self.path} is closed")
        try:
            if self._database is None:
                self._database = self._connect("mode=rw")
            yield self._database
        except sqlite3.Error as error:
            self._errors += 1
            self._disconnect()
            raise schema.unusable(self.path, error) from error

    def _put(self, database: sqlite3.Connection, row: Row) -> tuple[bool, bool]:
        """Write *row* unless a newer one stands there; (whether it was written, whether it is a row more)."""
        place = (row.key.hex(), _signed(row.value_id))
        found = database.execute(
            "SELECT CAST(value_data AS BLOB) FROM dht_values WHERE key_hash = ? AND value_id = ?", place
        ).fetchone()
        if found is not None:
            (stored,) = found
            if is_stale(row.packed, row.seq, stored) and is_genuine(stored, self._verifier):
                return False, False
        expires = None if row.expires is None else math.ceil(row.expires)
        database.execute(_PUT, (*place, row.packed, row.value_type, int(row.created), expires))
        return True, found is None

    def _repair(self, suspects: list[tuple[str, int]]) -> Iterator[Row]:
        """Delete or re-file *suspects*, (key, row number) each; yield the rows re-filed.

        A reference file may consist of nothing else, so this is done in pieces: neither memory nor the
        writer's patience has to hold all of it.
        """
        kept = 0
        for keys in _by_key(suspects):
            moved = self._refile(keys)
            kept += len(moved)
            yield from moved
        _log.warning("%s: %d rows were no signed values or misfiled; %d kept", self.path, len(suspects), kept)

    def _refile(self, keys: list[list[int]]) -> list[Row]:
        """Repair the rows of these numbers, one list for each key, in one transaction; those re-filed."""
        moved: dict[tuple[InfoHash, int], Row] = {}
        with self._mutex, self._writing() as database:
            values = self._values
            with schema.transaction(database):
                for numbers in keys:
                    records = [_record(database, "rowid = ?", (number,)) for number in numbers]
                    wrong = [record for record in records if record is not None and not _read(record)[1]]
                    for record in wrong:  # all of them first: one may stand at another's place
                        database.execute("DELETE FROM dht_values WHERE rowid = ?", (record[0],))
                    values -= len(wrong)
                    for row in (_read(record)[0] for record in wrong):
                        if row is not None and _is_best(database, row):
                            values += self._put(database, row)[1]
                            moved[row.key, row.value_id] = row
            self._values = values
        return list(moved.values())


def _by_key(suspects: list[tuple[str, int]]) -> Iterator[list[list[int]]]:
    """The row numbers of each key, in pieces of whole keys with _REPAIRED rows or a few more."""
    suspects.sort()
    piece: list[list[int]] = []
    rows = 0
    for _, of_key in itertools.groupby(suspects, key=itemgetter(0)):
        piece.append([number for _, number in of_key])
        rows += len(piece[-1])
        if rows >= _REPAIRED:
            yield piece
            piece, rows = [], 0
    if piece:
        yield piece


def _record(
    database: sqlite3.Connection, where: str, parameters: tuple[object, ...]
) -> tuple[Any, ...] | None:
    record: tuple[Any, ...] | None = database.execute(
        f"SELECT {_FIELDS} FROM dht_values WHERE {where}", parameters
    ).fetchone()
    return record


def _read(record: tuple[Any, ...]) -> tuple[Row | None, bool]:
    """(the row in a database record, None if it holds no signed value; whether it stands at its place)."""
    _, key_text, column_id, packed, created, expires = record
    try:
        if not (isinstance(key_text, str) and isinstance(packed, bytes) and isinstance(created, int)):
            return None, False
        if not (expires is None or isinstance(expires, int)):
            return None, False
        key = InfoHash.from_hex(key_text)
        value = value_codec.unpack(packed)
    except (DecodeError, ValueError):
        return None, False
    if not value.is_signed or value.id == 0:
        return None, False
    row = Row(key, value.id, packed, value.type, value.seq, created, expires)
    return row, column_id == _signed(value.id) and key_text == key.hex()


def _is_best(database: sqlite3.Connection, row: Row) -> bool:
    """Whether a misfiled row beats the one at its true place: by seq, then by time of storing."""
    record = _record(database, "key_hash = ? AND value_id = ?", (row.key.hex(), _signed(row.value_id)))
    stored = None if record is None else _read(record)[0]
    return stored is None or (row.seq, row.created) > (stored.seq, stored.created)


def _extend(database: sqlite3.Connection, change: Extension) -> None:
    place = (change.key.hex(), _signed(change.value_id))
    if change.expires is None:
        database.execute("UPDATE dht_values SET expires_at = NULL WHERE key_hash = ? AND value_id = ?", place)
        return
    expires = math.ceil(change.expires)
    database.execute(
        "UPDATE dht_values SET expires_at = ? WHERE key_hash = ? AND value_id = ? AND expires_at <= ?",
        (expires, *place, expires - _DAY),
    )


def _remove(database: sqlite3.Connection, change: Removal) -> int:
    row = (change.key.hex(), _signed(change.value_id), change.packed)
    return database.execute(
        "DELETE FROM dht_values WHERE key_hash = ? AND value_id = ? AND value_data = ?", row
    ).rowcount


def _purge(database: sqlite3.Connection, change: Purge) -> int:
    return database.execute("DELETE FROM dht_values WHERE expires_at < ?", (change.before,)).rowcount


def _signed(value_id: int) -> int:
    """A u64 as the i64 with the same bits, which is what SQLite holds."""
    return value_id - 2 * INT64_LIMIT if value_id >= INT64_LIMIT else value_id
