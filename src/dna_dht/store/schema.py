"""The database file: what it may be, making one, migrating the first version. Source: spec 04, 13.1.

The schema is the reference's to the letter, so that the same file serves both. Two versions exist, told
apart by their columns (``user_version`` is 0 in both): in the first the key was (key_hash, created_at)
and there was no value id. A file is examined before anything is written; whatever is not plainly ours is
refused with a sentence.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from dna_dht.errors import DecodeError, StorageError
from dna_dht.store.rules import is_stale
from dna_dht.wire import value_codec

APPLICATION_ID = 0x444E4156  # "DNAV"; set in files we create, 0 in those of the reference

INT64_LIMIT = 2**63
_MAGIC = b"SQLite format 3\0"  # https://sqlite.org/fileformat.html, 1.3.1
_TABLE = (
    "CREATE TABLE dht_values (key_hash TEXT NOT NULL, value_id INTEGER NOT NULL, value_data BLOB NOT NULL,"
    " value_type INTEGER NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER,"
    " PRIMARY KEY (key_hash, value_id))"
)
_INDEXES = (
    "CREATE INDEX IF NOT EXISTS idx_expires ON dht_values(expires_at)",
    "CREATE INDEX IF NOT EXISTS idx_key ON dht_values(key_hash)",
)
_COLUMNS = {"key_hash", "value_id", "value_data", "value_type", "created_at", "expires_at"}

Version = Literal["new", "first", "current"]


def examine(path: Path) -> Version:
    """What the file at *path* is, found without writing anything.

    Raises StorageError, with what to do, if it is not a database, damaged, another program's or a later
    version's.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise StorageError(f"the directory {path.parent} does not exist: create it first") from None
        return "new"
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
    if not start:
        return "new"
    if start != _MAGIC:
        raise StorageError(f"{path} is not an SQLite database: move it away or choose another data directory")
    mode = "mode=ro" if _stopped_unclean(path) else "mode=ro&immutable=1"  # immutable: not even -shm is made
    with _reading(path, mode) as database:
        return _version(database, path)


def check(path: Path) -> None:
    """Look through a file whose last user was killed; StorageError if it is damaged. Writes nothing."""
    if not _stopped_unclean(path):
        return
    with _reading(path, "mode=ro") as database:
        if database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise damaged(path)


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """A connection without implicit transactions, usable from any one thread at a time; sqlite3.Error.

    Texts that are not UTF-8 are read with replacement characters: they must not make a file unreadable.
    """
    database = sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=1.0,
    )
    database.text_factory = _text
    return database


def create(database: sqlite3.Connection) -> None:
    """Make the table and its indexes in an empty database, in one transaction; sqlite3.Error."""
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    with transaction(database):
        database.execute(_TABLE)
        _create_indexes(database)


def complete(database: sqlite3.Connection) -> None:
    """Make indexes that are missing; sqlite3.Error."""
    with transaction(database):
        _create_indexes(database)


def migrate(database: sqlite3.Connection) -> None:
    """Bring a database of the first version to the current one, in one transaction; sqlite3.Error.

    Of the rows that hold the same value id the newest stays, but never a lower seq of the same owner.
    """
    with transaction(database):
        for (name,) in database.execute(
            "SELECT name FROM sqlite_master"
            " WHERE type = 'index' AND tbl_name = 'dht_values' AND sql IS NOT NULL"
        ).fetchall():
            database.execute('DROP INDEX "{}"'.format(name.replace('"', '""')))
        database.execute("ALTER TABLE dht_values RENAME TO dht_values_first")
        database.execute(_TABLE)
        for number in _oldest_first(database):
            _copy(database, number)
        database.execute("DROP TABLE dht_values_first")
        _create_indexes(database)


@contextlib.contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """BEGIN IMMEDIATE, then COMMIT, or ROLLBACK on any exception; sqlite3.Error."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    finally:
        if database.in_transaction:
            database.execute("ROLLBACK")


def unusable(path: Path, error: sqlite3.Error) -> StorageError:
    """The sentence for an error of SQLite about the file at *path*."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return damaged(path)
    if code == sqlite3.SQLITE_READONLY:
        return StorageError(
            f"the database {path} cannot be written: make it and its directory writable for this user,"
            " or choose another data directory"
        )
    if code == sqlite3.SQLITE_FULL:
        return StorageError(f"the disk of {path} is full: make room, writing goes on by itself")
    return StorageError(f"cannot use the database {path}: {error}")


def damaged(path: Path) -> StorageError:
    """The sentence for a damaged file."""
    return StorageError(
        f"the database {path} is damaged: restore a backup, or move it away and start without it"
        " (other nodes hold copies of its values)"
    )


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _stopped_unclean(path: Path) -> bool:
    return path.with_name(path.name + "-wal").exists()


@contextlib.contextmanager
def _reading(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    try:
        database = connect(path, mode)
        try:
            yield database
        finally:
            database.close()
    except sqlite3.Error as error:
        raise unusable(path, error) from error


def _version(database: sqlite3.Connection, path: Path) -> Version:
    user_version = database.execute("PRAGMA user_version").fetchone()[0]
    application = database.execute("PRAGMA application_id").fetchone()[0]
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if application not in (0, APPLICATION_ID) or (tables and "dht_values" not in tables):
        raise StorageError(
            f"{path} is the database of another program: move it away or choose another data directory"
        )
    described = database.execute("PRAGMA table_info(dht_values)").fetchall()
    columns = {name: place for _, name, _, _, _, place in described}  # place in the primary key, from 1
    if user_version == 0 and not tables:
        return "new"
    if (
        user_version == 0
        and columns.keys() == _COLUMNS
        and (columns["key_hash"], columns["value_id"]) == (1, 2)
    ):
        return "current"
    if user_version == 0 and columns.keys() == _COLUMNS - {"value_id"}:
        return "first"
    raise StorageError(
        f"the database {path} has a schema this version does not know: use the program that wrote it,"
        " or choose another data directory"
    )


def _create_indexes(database: sqlite3.Connection) -> None:
    for statement in _INDEXES:
        database.execute(statement)


def _oldest_first(database: sqlite3.Connection) -> Iterator[int]:
    """Numbers of the rows that have key, value and time; only the numbers are held in memory."""
    rows = database.execute(
        "SELECT rowid FROM dht_values_first WHERE key_hash IS NOT NULL AND value_data IS NOT NULL"
        " AND value_type IS NOT NULL AND created_at IS NOT NULL ORDER BY created_at"
    )
    for (number,) in rows.fetchall():
        yield number


def _copy(database: sqlite3.Connection, number: int) -> None:
    key, packed, value_type, created, expires = database.execute(
        "SELECT key_hash, CAST(value_data AS BLOB), value_type, created_at, expires_at"
        " FROM dht_values_first WHERE rowid = ?",
        (number,),
    ).fetchone()
    value_id, seq = created, 0
    try:
        value = value_codec.unpack(packed)
        value_id, seq = value.id - (value.id >= INT64_LIMIT) * 2 * INT64_LIMIT, value.seq
    except DecodeError:
        pass  # unreadable: the time of storing names it until loading removes it
    stored = database.execute(
        "SELECT CAST(value_data AS BLOB) FROM dht_values WHERE key_hash = ? AND value_id = ?", (key, value_id)
    ).fetchone()
    if stored is None or not is_stale(packed, seq, stored[0]):
        database.execute(
            "INSERT OR REPLACE INTO dht_values VALUES (?, ?, ?, ?, ?, ?)",
            (key, value_id, packed, value_type, created, expires),
        )
