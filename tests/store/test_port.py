"""What every ValueStore does, whatever it is made of."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dna_dht.store.memory import MemoryStore
from dna_dht.store.port import Extension, Purge, Removal, Row, ValueStore
from dna_dht.store.sqlite import SqliteStore
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack

KEY = InfoHash.of(b"key")
DAY = 86_400


def row(
    value_id: int = 1,
    seq: int = 0,
    *,
    key: InfoHash = KEY,
    owner: bytes = b"o",
    created: float = 1000,
    expires: float | None = 2000,
    data: bytes = b"data",
) -> Row:
    value = Value(id=value_id, type=0x1002, data=data, seq=seq, owner=owner * 2592, signature=b"s" * 4627)
    return Row(key, value_id, pack(value), value.type, seq, created, expires)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ValueStore]:
    opened: ValueStore = MemoryStore()
    if request.param != "memory":
        opened = SqliteStore(tmp_path / "values.db", verifier=lambda *_: True)
    yield opened
    opened.close()


def removal(gone: Row) -> Removal:
    return Removal(gone.key, gone.value_id, gone.packed)


def rows(store: ValueStore) -> set[Row]:
    return set(store.load_all())


def test_rows_come_back_as_they_went_in(store: ValueStore) -> None:
    batch = [
        row(1, 3),
        row(2**63 - 1, expires=None),
        row(2**63),
        row(2**64 - 1),
        row(1, key=InfoHash.of(b"other")),
    ]

    store.apply(batch)

    assert rows(store) == set(batch)
    assert store.stats().values == 5
    assert store.stats().puts == 5


def test_an_empty_store_has_no_rows(store: ValueStore) -> None:
    store.apply([])

    assert rows(store) == set()
    assert store.stats().values == 0


def test_times_are_stored_whole_and_never_shorten_a_life(store: ValueStore) -> None:
    store.apply([row(created=1000.9, expires=2000.1)])

    (loaded,) = store.load_all()
    assert (loaded.created, loaded.expires) == (1000, 2001)


def test_an_edit_replaces_the_row(store: ValueStore) -> None:
    store.apply([row(seq=1, data=b"first")])
    store.apply([row(seq=2, data=b"second", created=1500, expires=None)])

    assert rows(store) == {row(seq=2, data=b"second", created=1500, expires=None)}
    assert store.stats().values == 1


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "two batches"])
def test_a_lower_seq_never_replaces_a_higher_one_of_the_same_owner(store: ValueStore, together: bool) -> None:
    newer, older = row(seq=7), row(seq=6)

    for batch in [[newer, older]] if together else [[newer], [older]]:
        store.apply(batch)

    assert rows(store) == {newer}
    assert store.stats().puts == 1


def test_an_equal_seq_and_another_owner_replace(store: ValueStore) -> None:
    store.apply([row(seq=7)])
    store.apply([row(seq=7, expires=3000)])
    assert rows(store) == {row(seq=7, expires=3000)}

    store.apply([row(seq=1, owner=b"p")])
    assert rows(store) == {row(seq=1, owner=b"p")}


def test_a_refresh_is_written_once_a_day(store: ValueStore) -> None:
    store.apply([row(expires=2000)])

    store.apply([Extension(KEY, 1, 2000 + DAY - 1)])
    assert rows(store) == {row(expires=2000)}
    store.apply([Extension(KEY, 1, 2000 + DAY)])
    assert rows(store) == {row(expires=2000 + DAY)}
    store.apply([Extension(KEY, 1, 3000)])
    assert rows(store) == {row(expires=2000 + DAY)}
    store.apply([Extension(KEY, 1, None)])
    assert rows(store) == {row(expires=None)}
    store.apply([Extension(KEY, 1, 9 * DAY)])
    assert rows(store) == {row(expires=None)}


def test_changes_to_missing_rows_do_nothing(store: ValueStore) -> None:
    store.apply([Extension(KEY, 1, 9000), Removal(KEY, 1, b"any"), Purge(10**9)])

    assert rows(store) == set()
    assert store.stats().values == 0


def test_a_removal_takes_one_row(store: ValueStore) -> None:
    store.apply([row(1), row(2**64 - 1), row(1, key=InfoHash.of(b"other"))])
    store.apply([removal(row(2**64 - 1)), removal(row(2))])

    assert rows(store) == {row(1), row(1, key=InfoHash.of(b"other"))}
    assert store.stats().values == 2


def test_a_removal_spares_what_took_the_place_of_the_row(store: ValueStore) -> None:
    store.apply([row(1, data=b"newer")])
    store.apply([removal(row(1, data=b"older"))])

    assert rows(store) == {row(1, data=b"newer")}


def test_a_purge_takes_what_expired_strictly_before(store: ValueStore) -> None:
    store.apply([row(1, expires=2000), row(2, expires=2001), row(3, expires=None)])
    assert store.stats().last_purge is None

    assert store.purge(2000) == 0
    assert store.purge(2001) == 1

    assert rows(store) == {row(2, expires=2001), row(3, expires=None)}
    stats = store.stats()
    assert (stats.values, stats.purged, stats.last_purge) == (2, 1, 2001)


def test_changes_of_a_batch_happen_in_order(store: ValueStore) -> None:
    store.apply([row(1), removal(row(1)), row(2, expires=10), Purge(11), row(3)])

    assert rows(store) == {row(3)}


def test_statistics_count_bytes(store: ValueStore) -> None:
    before = store.stats().bytes
    store.apply([row(data=bytes(60_000))])
    store.close()

    assert store.stats().bytes >= before + 60_000
    assert store.stats().errors == 0
