"""What only the database does: files of the reference, errors of the disk, one process at a time."""

import errno
import json
import os
import resource
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from dna_dht.crypto.node_identity import NodeIdentity
from dna_dht.errors import StorageError
from dna_dht.store import sqlite
from dna_dht.store.port import Purge, Row
from dna_dht.store.rules import should_persist
from dna_dht.store.sqlite import SqliteStore
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.limits import PACKED_VALUE
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack, signed_bytes, unpack

PATH = Path(__file__).parents[1] / "vectors" / "context-storage.json"
CASES: dict[str, Any] = json.loads(PATH.read_text())["cases"]
KEY = InfoHash.of(b"key")


def row(
    value_id: int,
    seq: int = 0,
    *,
    key: InfoHash = KEY,
    owner: bytes = b"o",
    created: int = 1000,
    size: int = 9,
) -> Row:
    value = Value(
        id=value_id, type=0x1002, data=bytes(size), seq=seq, owner=owner * 2592, signature=b"s" * 4627
    )
    return Row(key, value_id, pack(value), value.type, seq, created, 2000)


def reference_file(path: Path, records: list[tuple[object, ...]]) -> None:
    """A database as the reference makes it, closed."""
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode = WAL")
    for statement in CASES["schema"]:
        database.execute(statement)
    database.executemany("INSERT INTO dht_values VALUES (?, ?, ?, ?, ?, ?)", records)
    database.commit()
    database.close()


def records(path: Path) -> set[tuple[Any, ...]]:
    """What another program sees in the file."""
    database = sqlite3.connect(path)
    found = set(database.execute("SELECT * FROM dht_values"))
    database.close()
    return found


def test_the_rows_a_live_reference_node_left_are_read_and_repaired(tmp_path: Path) -> None:
    path = tmp_path / "values.db"
    reference_file(
        path,
        [
            (
                case["key_hash"],
                int(case["value_id_column"]),
                bytes.fromhex(case["value_data"]),
                case["value_type"],
                case["created_at"],
                case["expires_at"],
            )
            for case in CASES["rows"]
        ],
    )
    expected = set()
    for case in CASES["rows"]:
        packed = bytes.fromhex(case["value_data"])
        value = unpack(packed)
        if value.is_signed:
            key = InfoHash.from_hex(case["key_hash"])
            expected.add(
                Row(
                    key,
                    value.id,
                    packed,
                    case["value_type"],
                    value.seq,
                    case["created_at"],
                    case["expires_at"],
                )
            )
    assert {CASES["keys"][row.key.hex()] for row in expected} == {"s30", "s365", "sperm"}

    with SqliteStore(path) as store:
        assert set(store.load_all()) == expected
        assert set(store.load_all()) == expected
        assert store.stats().values == len(expected)

    as_signed = {row.key.hex(): row.value_id - (row.value_id >= 2**63) * 2**64 for row in expected}
    assert {record[0]: record[1] for record in records(path)} == as_signed


def test_of_misfiled_versions_the_highest_seq_stays_then_the_latest(tmp_path: Path) -> None:
    path = tmp_path / "values.db"
    other = InfoHash.of(b"other")
    versions = [
        (77, row(1, 3)),
        (1, row(1, 2)),  # at its place, but older than the misfiled one
        (5, row(1, 1)),
        (2, row(2, 4)),  # at its place, newer than the misfiled one
        (6, row(2, 3)),
        (7, row(3, 1, created=500)),
        (8, row(3, 1, created=600)),
        (4, row(9, 1)),  # two that stand at each other's place
        (9, row(4, 1)),
        (-1, row(2**64 - 1, 0, key=other)),
    ]
    reference_file(
        path,
        [(r.key.hex(), column, r.packed, r.value_type, r.created, r.expires) for column, r in versions],
    )

    with SqliteStore(path) as store:
        loaded = list(store.load_all())
        newest = {(r.key, r.value_id): r for r in loaded}  # a later one is the newer
        expected = {
            row(1, 3),
            row(2, 4),
            row(3, 1, created=600),
            row(9, 1),
            row(4, 1),
            row(2**64 - 1, key=other),
        }
        assert set(newest.values()) == expected
        assert set(store.load_all()) == expected
        assert store.stats().values == len(expected)


@pytest.mark.parametrize(
    "record",
    [
        (KEY.hex(), 1, b"not msgpack", 0x1002, 1000, None),
        (KEY.hex(), 1, row(1).packed[:-1], 0x1002, 1000, None),
        (KEY.hex(), 1, "text", 0x1002, 1000, None),
        (KEY.hex(), 1, pack(Value(id=1, type=0x1002, data=b"unsigned")), 0x1002, 1000, None),
        (KEY.hex(), 1, pack(Value(id=1, cypher=b"opaque")), 0x1002, 1000, None),
        (KEY.hex(), 0, row(0).packed, 0x1002, 1000, None),
        (KEY.hex()[:-1], 1, row(1).packed, 0x1002, 1000, None),
        ("key " * 10, 1, row(1).packed, 0x1002, 1000, None),
        (b"key", 1, row(1).packed, 0x1002, 1000, None),
        (KEY.hex(), 1, row(1).packed, 0x1002, "yesterday", None),
        (KEY.hex(), 1, row(1).packed, 0x1002, 1000, b"never"),
    ],
    ids=[
        "garbage",
        "cut",
        "text",
        "unsigned",
        "encrypted",
        "id-0",
        "short-key",
        "no-hex",
        "bytes-key",
        "created",
        "expires",
    ],
)
def test_rows_that_are_no_signed_values_are_deleted(tmp_path: Path, record: tuple[object, ...]) -> None:
    path = tmp_path / "values.db"
    good = row(5)
    reference_file(path, [record, (KEY.hex(), 5, good.packed, good.value_type, 1000, 2000)])

    with SqliteStore(path) as store:
        assert list(store.load_all()) == [good]
        assert store.stats().values == 1

    assert {found[1] for found in records(path)} == {5}


def test_a_file_of_misfiled_rows_is_repaired_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_REPAIRED", 4)
    path = tmp_path / "values.db"
    rows = [row(value_id, key=InfoHash.of(b"%d" % (value_id // 3))) for value_id in range(1, 12)]
    reference_file(path, [(r.key.hex(), r.value_id + 100, r.packed, 1, r.created, 2000) for r in rows])

    with SqliteStore(path) as store:
        loading = store.load_all()
        loaded = [next(loading)]
        assert 4 <= sum(record[1] < 100 for record in records(path)) < len(rows)
        loaded += loading
        assert {(r.key, r.value_id) for r in loaded} == {(r.key, r.value_id) for r in rows}
        assert {record[1] for record in records(path)} == {r.value_id for r in rows}
        assert store.stats().values == len(loaded) == len(rows)


def test_a_key_in_capitals_is_filed_again(tmp_path: Path) -> None:
    path = tmp_path / "values.db"
    reference_file(path, [(KEY.hex().upper(), 1, row(1).packed, 0x1002, 1000, 2000)])

    with SqliteStore(path) as store:
        assert list(store.load_all()) == [row(1)]

    assert {record[0] for record in records(path)} == {KEY.hex()}


def test_texts_that_are_no_utf8_do_not_make_the_file_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "values.db"
    reference_file(path, [(KEY.hex(), 1, row(1).packed, 0x1002, 1000, 2000)])
    database = sqlite3.connect(path)
    database.execute("INSERT INTO dht_values VALUES (CAST(x'ff' AS TEXT), 2, x'00', 1, 1, 1)")
    database.execute("INSERT INTO dht_values VALUES ('key', 3, CAST(x'ff' AS TEXT), 1, 1, 1)")
    database.commit()
    database.close()

    with SqliteStore(path) as store:
        assert list(store.load_all()) == [row(1)]
    assert len(records(path)) == 1


def test_a_value_larger_than_any_that_travels_is_deleted_unread(tmp_path: Path) -> None:
    path = tmp_path / "values.db"
    frame = len(row(1, size=60_000).packed) - 60_000
    largest, larger = (row(i, size=PACKED_VALUE - frame + i - 1) for i in (1, 2))
    assert (len(largest.packed), len(larger.packed)) == (PACKED_VALUE, PACKED_VALUE + 1)
    reference_file(
        path, [(KEY.hex(), each.value_id, each.packed, 0x1002, 1000, 2000) for each in (largest, larger)]
    )

    with SqliteStore(path) as store:
        assert list(store.load_all()) == [largest]
        assert store.stats().values == 1


def test_only_a_genuine_row_keeps_an_older_revision_out(tmp_path: Path) -> None:
    """A flipped bit can turn seq 5 into 32,773: nothing the owner publishes would be kept any more."""
    alice = NodeIdentity.from_seed(bytes(32))

    def revision(seq: int, stored_as: int | None = None) -> Row:
        value = Value(id=1, type=0x1002, data=b"x", seq=seq, owner=alice.public_key)
        value = replace(value, signature=alice.sign(signed_bytes(value)), seq=stored_as or seq)
        return Row(KEY, 1, pack(value), value.type, value.seq, 1000, None)

    genuine, older, damaged = revision(5), revision(4), revision(5, stored_as=32_773)
    with SqliteStore(tmp_path / "values.db") as store:
        store.apply([genuine, older])
        assert list(store.load_all()) == [genuine]
        store.apply([damaged])
        store.apply([genuine])
        assert list(store.load_all()) == [genuine]


def test_a_row_written_while_loading_is_not_taken_for_damage(tmp_path: Path) -> None:
    path = tmp_path / "values.db"
    reference_file(path, [(KEY.hex(), i, b"garbage", 0x1002, 1000, None) for i in (1, 2)])

    with SqliteStore(path) as store:
        loading = store.load_all()
        store.apply([row(3)])
        first = list(loading)  # reads the snapshot or the new row, deletes the garbage
        store.apply([row(1)])
        assert set(first) <= {row(3)}
        assert set(store.load_all()) == {row(1), row(3)}


def test_the_recorded_operations(tmp_path: Path) -> None:
    path = tmp_path / "values.db"
    with SqliteStore(path) as store:
        for case in CASES["operations"]:
            if case["op"] == "put":
                value_type, expires = int(case["type"], 16), case["expires"] or None
                value_id = (
                    int(case["value_id"]) or case["created"]
                )  # we always know the id; the reference guesses
                if should_persist(value_type, expires, case["created"]):
                    store.apply(
                        [Row(KEY, value_id, case["data"].encode(), value_type, 0, case["created"], expires)]
                    )
            elif case["op"] == "cleanup":
                assert store.purge(case["now"]) == case["deleted"]
            else:
                assert store.stats().values == case["total_values"]
                assert store.stats().puts == case.get("put_count", store.stats().puts)
                assert store.stats().errors == 0
            if "column_value" in case:
                assert int(case["column_value"]) in {record[1] for record in records(path)}
            if case.get("note") == "replaces the row":
                assert records(path) == {(KEY.hex(), 1, b"b", 0x1002, case["created"], case["expires"])}


def test_a_second_store_on_the_same_file_is_refused_until_the_first_closes(tmp_path: Path) -> None:
    path = tmp_path / "values.db"
    store = SqliteStore(path)
    with pytest.raises(StorageError, match=rf"another process \(pid {os.getpid()}\) uses the database"):
        SqliteStore(path)

    store.close()
    store.close()

    SqliteStore(path).close()


def test_a_closed_store_refuses_writes(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "values.db")
    store.close()

    with pytest.raises(StorageError, match="is closed"):
        store.apply([row(1)])


def test_a_failed_opening_gives_the_lock_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch, pytest.raises(StorageError, match="no such column"):
        patch.setattr("dna_dht.store.schema.create", lambda database: database.execute("SELECT no more"))
        SqliteStore(tmp_path / "values.db")

    SqliteStore(tmp_path / "values.db").close()


def test_a_new_file_and_its_companions_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with SqliteStore(tmp_path / "values.db") as store:
            store.apply([row(1)])
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    names = ("values.db", "values.db-wal", "values.db-shm", "values.db.lock")
    assert modes == dict.fromkeys(names, 0o600)


def test_a_file_that_cannot_be_written_is_refused_at_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "values.db"
    SqliteStore(path).close()
    really_open = os.open

    def refuse(name: Path, flags: int, mode: int = 0o777) -> int:
        if name == path:
            raise PermissionError(errno.EACCES, "Permission denied")
        return really_open(name, flags, mode)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StorageError, match=r"cannot write .*: Permission denied; make it writable or choose"):
        SqliteStore(path)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file grows beyond *size*, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_batch_the_disk_refuses_is_not_stored_and_the_next_one_is(tmp_path: Path) -> None:
    path = tmp_path / "values.db"
    with SqliteStore(path) as store:
        store.apply([row(1)])
        with file_size_limit(64 * 1024):
            for _ in range(2):
                with pytest.raises(StorageError, match=r"values\.db"):
                    store.apply([row(2), *(row(i, size=60_000) for i in range(3, 20))])
            assert set(store.load_all()) == {row(1)}
        assert store.stats().errors == 2
        assert store.stats().values == store.stats().puts == 1

        store.apply([row(2)])

        assert set(store.load_all()) == {row(1), row(2)}
        assert store.stats().values == 2


def test_a_full_disk_says_so(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "values.db") as store:
        assert store._database is not None
        store._database.execute("PRAGMA max_page_count = 10")
        with pytest.raises(
            StorageError, match=r"the disk of .* is full: make room, writing goes on by itself"
        ):
            store.apply([row(1, size=60_000)])
        store.apply([row(1, size=60_000)])  # the new connection has no such limit


def test_a_database_deleted_under_way_is_not_replaced_by_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "values.db"
    with SqliteStore(path) as store:
        assert store._database is not None
        store._database.execute("PRAGMA query_only = 1")
        with pytest.raises(StorageError, match="cannot be written"):
            store.apply([row(1)])
        for file in tmp_path.iterdir():
            file.unlink()
        with pytest.raises(StorageError, match="unable to open"):
            store.apply([row(1)])
        with pytest.raises(StorageError, match="unable to open"):
            list(store.load_all())
    assert not path.exists()


def test_damage_found_while_loading_is_an_error_not_an_end(tmp_path: Path) -> None:
    path = tmp_path / "values.db"
    with SqliteStore(path) as store:
        store.apply([row(i, size=3000) for i in range(1, 60)])
    content = bytearray(path.read_bytes())
    middle = len(content) // 4096 // 2
    for page in range(middle, middle + 40):
        content[page * 4096 : page * 4096 + 12] = b"\xff" * 12
    path.write_bytes(content)

    with SqliteStore(path) as store, pytest.raises(StorageError, match="is damaged"):
        list(store.load_all())


def test_a_failed_batch_leaves_the_statistics_alone(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "values.db") as store:
        store.apply([row(1)])
        with pytest.raises(OverflowError):
            store.apply([row(2), Purge(9999), row(3)._replace(value_id=2**65)])

        assert set(store.load_all()) == {row(1)}
        stats = store.stats()
        assert (stats.values, stats.puts, stats.purged, stats.last_purge) == (1, 1, 0, None)
