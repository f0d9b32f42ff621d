from dna_dht.store.memory import MemoryStore
from dna_dht.store.port import Row
from dna_dht.wire.infohash import InfoHash


def test_rows_may_change_while_they_are_loaded() -> None:
    store = MemoryStore()
    first, second = (Row(InfoHash.of(b"key"), i, b"packed", 0x1002, 0, 0, None) for i in (1, 2))
    store.apply([first])

    loading = store.load_all()
    store.apply([second])

    assert list(loading) == [first]
    assert set(store.load_all()) == {first, second}
