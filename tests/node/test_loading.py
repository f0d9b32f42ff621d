"""A node that starts from a store: nobody is told "not there" about what is not loaded yet."""

import threading
from collections.abc import Iterator

import pytest

from dna_dht import CoreConfig, InfoHash, Node, NodeConfig, NodeIdentity
from dna_dht.core.values.value_types import DNA_365_DAYS
from dna_dht.node import host
from dna_dht.store.memory import MemoryStore
from dna_dht.store.port import Purge, Row

WAIT = 10.0  # seconds
KEY = InfoHash.of(b"kept")
ME = NodeIdentity.from_seed(bytes(32))


class SlowStore(MemoryStore):
    """A store whose disk takes 50 ms, which is longer than any question to a node on loopback."""

    def load_all(self) -> Iterator[Row]:
        threading.Event().wait(0.05)
        return super().load_all()

    def close(self) -> None:
        """Keep the rows, as a file would."""


def node(store: MemoryStore | None, bootstrap: tuple[str, ...] = ()) -> Node:
    core = CoreConfig(ipv6=False, client_mode=store is None)
    return Node(
        NodeConfig(
            core=core, ipv4_host="127.0.0.1", store=store, bootstrap=bootstrap, identity=ME, random_id=True
        )
    )


async def test_the_first_question_after_a_start_finds_what_was_kept() -> None:
    store = SlowStore()
    async with node(store) as server, node(None, (f"127.0.0.1:{server.port}",)) as client:
        await client.ready(WAIT)
        await client.put_signed(KEY, b"kept", value_id=1, value_type=DNA_365_DAYS, permanent=False)
    assert store.stats().values == 1

    async with node(store) as server, node(None, (f"127.0.0.1:{server.port}",)) as client:
        await client.ready(WAIT)
        assert [value.data for value in await client.get(KEY)] == [b"kept"]


async def test_a_store_that_takes_too_long_does_not_delay_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = threading.Event()

    class StuckStore(MemoryStore):
        def load_all(self) -> Iterator[Row]:
            release.wait(WAIT)
            return iter(())

    monkeypatch.setattr(host, "LOAD_LIMIT", 0.05)
    async with node(StuckStore()) as server, node(None, (f"127.0.0.1:{server.port}",)) as client:
        await client.ready(WAIT)
        assert server.stats()["runtime"]["restoring"]
        release.set()


async def test_a_row_that_nobody_signed_is_neither_served_nor_kept() -> None:
    store = SlowStore()
    async with node(store) as server, node(None, (f"127.0.0.1:{server.port}",)) as client:
        await client.ready(WAIT)
        await client.put_signed(KEY, b"kept", value_id=1, value_type=DNA_365_DAYS, permanent=False)
    (row,) = store.load_all()
    store.apply([Purge(2**40), row._replace(packed=row.packed[:-1] + bytes([row.packed[-1] ^ 1]))])

    async with node(store) as server, node(None, (f"127.0.0.1:{server.port}",)) as client:
        await client.ready(WAIT)
        assert await client.get(KEY) == ()

    assert list(store.load_all()) == []
