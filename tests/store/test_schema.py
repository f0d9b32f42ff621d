"""Opening: what a file may be, what is refused with which sentence, and that refusing writes nothing."""

import json
import os
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from dna_dht.errors import StorageError
from dna_dht.store import schema
from dna_dht.store.port import Row
from dna_dht.store.sqlite import SqliteStore
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack

PATH = Path(__file__).parents[1] / "vectors" / "context-storage.json"
CASES: dict[str, Any] = json.loads(PATH.read_text())["cases"]
KEY = InfoHash.of(b"key")
FIRST_VERSION = """
    CREATE TABLE dht_values (key_hash TEXT NOT NULL, value_data BLOB NOT NULL, value_type INTEGER NOT NULL,
                             created_at INTEGER NOT NULL, expires_at INTEGER,
                             PRIMARY KEY (key_hash, created_at));
    CREATE INDEX idx_expires ON dht_values(expires_at);
    CREATE INDEX idx_key ON dht_values(key_hash);
"""


def signed(value_id: int, seq: int, owner: bytes = b"o", data: bytes = b"") -> bytes:
    value = Value(id=value_id, type=0x1002, data=data, seq=seq, owner=owner * 2592, signature=b"s" * 4627)
    return pack(value)


def script(path: Path, statements: str) -> None:
    database = sqlite3.connect(path)
    database.executescript(statements)
    database.close()


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_a_new_database_has_the_recorded_schema(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "values.db").close()

    database = sqlite3.connect(tmp_path / "values.db")
    made = [sql for (sql,) in database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")]
    assert [re.sub(r"\s+", "", sql) for sql in made] == [re.sub(r"\s+", "", sql) for sql in CASES["schema"]]
    assert database.execute("PRAGMA journal_mode").fetchone() == (CASES["journal_mode"],)
    assert database.execute("PRAGMA user_version").fetchone() == (CASES["user_version"],)
    assert database.execute("PRAGMA application_id").fetchone() == (schema.APPLICATION_ID,)
    database.close()


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "values.db").close()
    before = files(tmp_path)

    SqliteStore(tmp_path / "values.db").close()

    assert files(tmp_path) == before


def test_an_empty_file_and_missing_indexes_are_completed(tmp_path: Path) -> None:
    path = tmp_path / "values.db"
    path.write_bytes(b"")
    SqliteStore(path).close()
    script(path, "DROP INDEX idx_expires")

    SqliteStore(path).close()

    assert schema.examine(path) == "current"
    database = sqlite3.connect(path)
    names = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    database.close()
    assert {"idx_expires", "idx_key"} <= names


def test_a_path_with_special_characters_is_opened(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "50% of #1? ü.db").close()

    assert (tmp_path / "50% of #1? ü.db").exists()


def test_the_first_version_is_migrated_and_the_newest_row_of_an_id_stays(tmp_path: Path) -> None:
    path = tmp_path / "values.db"
    script(path, FIRST_VERSION)
    database = sqlite3.connect(path)
    newest, lone, foreign = signed(1, 2), signed(2**64 - 1, 0), signed(3, 1, b"p")
    database.executemany(
        "INSERT INTO dht_values VALUES (?, ?, ?, ?, ?)",
        [
            (KEY.hex(), signed(1, 0), 0x1002, 1000, 9000),
            (KEY.hex(), newest, 0x1002, 1002, 9002),
            (KEY.hex(), signed(1, 1), 0x1002, 1001, 9001),
            (KEY.hex(), signed(1, 1), 0x1002, 1003, 9003),  # newer, but a lower seq of the same owner
            (KEY.hex(), lone, 0x1002, 1004, None),
            (KEY.hex(), signed(3, 9), 0x1002, 1005, None),
            (KEY.hex(), foreign, 0x1002, 1006, None),  # newer, of another owner
            (KEY.hex(), b"not msgpack", 0x1002, 1007, None),
        ],
    )
    database.commit()
    database.close()
    assert schema.examine(path) == "first"

    with SqliteStore(path) as store:
        assert store.stats().values == 4  # the unreadable row stays until values are loaded
        assert set(store.load_all()) == {
            Row(KEY, 1, newest, 0x1002, 2, 1002, 9002),
            Row(KEY, 2**64 - 1, lone, 0x1002, 0, 1004, None),
            Row(KEY, 3, foreign, 0x1002, 1, 1006, None),
        }
        assert store.stats().values == 3

    database = sqlite3.connect(path)
    made = {re.sub(r"\s+", "", sql) for (sql,) in database.execute("SELECT sql FROM sqlite_master") if sql}
    database.close()
    assert made == {re.sub(r"\s+", "", sql) for sql in CASES["schema"]}


def test_rows_of_the_first_version_that_lack_something_are_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "values.db"
    script(path, FIRST_VERSION.replace(" NOT NULL", ""))
    database = sqlite3.connect(path)
    for created in range(5):
        record = [KEY.hex(), signed(created + 1, 0), 0x1002, created, None]
        record[created] = None  # each column in turn; the last one may be empty
        database.execute("INSERT INTO dht_values VALUES (?, ?, ?, ?, ?)", record)
    database.commit()
    database.close()

    with SqliteStore(path) as store:
        assert [row.value_id for row in store.load_all()] == [5]


def test_a_migration_that_fails_leaves_the_first_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "values.db"
    script(path, FIRST_VERSION)
    script(path, f"INSERT INTO dht_values VALUES ('{KEY.hex()}', x'00', 4098, 1000, NULL)")
    monkeypatch.setattr(schema, "_INDEXES", ("CREATE INDEX broken ON missing_table(x)",))

    with pytest.raises(StorageError, match="no such table"):
        SqliteStore(path)

    assert schema.examine(path) == "first"
    database = sqlite3.connect(path)
    assert database.execute("SELECT created_at FROM dht_values").fetchall() == [(1000,)]
    database.close()


@pytest.mark.parametrize(
    ("statements", "sentence"),
    [
        ("CREATE TABLE songs (title TEXT)", "the database of another program: move it away"),
        ("PRAGMA application_id = 77; CREATE TABLE dht_values (a)", "the database of another program"),
        ("PRAGMA user_version = 3;" + CASES["schema"][0], "a schema this version does not know"),
        (
            CASES["schema"][0] + "; ALTER TABLE dht_values ADD COLUMN extra TEXT",
            "a schema this version does not know",
        ),
        (CASES["schema"][0].replace("(key_hash, value_id)", "(value_id, key_hash)"), "does not know"),
        ("CREATE TABLE dht_values (key_hash TEXT)", "a schema this version does not know"),
        ("PRAGMA journal_mode = WAL; CREATE TABLE songs (title TEXT)", "the database of another program"),
    ],
    ids=["other tables", "application", "user version", "more columns", "other key", "fewer columns", "WAL"],
)
def test_other_databases_are_refused_and_left_alone(tmp_path: Path, statements: str, sentence: str) -> None:
    script(tmp_path / "values.db", statements)
    before = files(tmp_path)

    with pytest.raises(StorageError, match=sentence):
        SqliteStore(tmp_path / "values.db")

    assert files(tmp_path) == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "values.db").write_bytes(b"Dear diary, " * 1000)
    before = files(tmp_path)

    with pytest.raises(StorageError, match="is not an SQLite database: move it away"):
        SqliteStore(tmp_path / "values.db")

    assert files(tmp_path) == before


@pytest.mark.parametrize("length", [100, 4096, 5000])
def test_a_cut_database_is_refused_and_left_alone(tmp_path: Path, length: int) -> None:
    path = tmp_path / "values.db"
    SqliteStore(path).close()
    (tmp_path / "values.db.lock").unlink()
    path.write_bytes(path.read_bytes()[:length])
    before = files(tmp_path)

    with pytest.raises(StorageError, match="is damaged: restore a backup, or move it away"):
        SqliteStore(path)

    assert files(tmp_path) == before


def test_damage_after_an_unclean_stop_is_found_at_opening(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "made.db") as store:
        store.apply(
            [Row(KEY, i, signed(i, 0, data=bytes(3000)), 0x1002, 0, 1000, None) for i in range(1, 40)]
        )
    content = bytearray((tmp_path / "made.db").read_bytes())
    for page in range(1, len(content) // 4096):
        content[page * 4096 : page * 4096 + 12] = os.urandom(12)
    killed = tmp_path / "killed"
    killed.mkdir()
    (killed / "values.db").write_bytes(content)
    (killed / "values.db-wal").write_bytes(b"")

    with pytest.raises(StorageError, match="is damaged"):
        SqliteStore(killed / "values.db")

    assert (killed / "values.db").read_bytes() == content


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"the directory .*missing does not exist: create it first"):
        SqliteStore(tmp_path / "missing" / "values.db")


def test_a_directory_in_place_of_the_file_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot read .*: Is a directory"):
        SqliteStore(tmp_path)
