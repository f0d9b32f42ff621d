"""What a node keeps over a restart, and what happens when disk, verifier or time fail it."""

import asyncio
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from dna_dht.core.node_state import decode_state
from dna_dht.core.values.value_types import DNA_7_DAYS, DNA_365_DAYS
from dna_dht.crypto.mldsa import verify
from dna_dht.errors import ConfigError, OperationTimeoutError, StorageError
from dna_dht.node import Node, host
from dna_dht.runtime import udp
from dna_dht.store.memory import MemoryStore
from dna_dht.store.port import Change, Row
from dna_dht.store.sqlite import SqliteStore
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack, signed_bytes

from .networks import KEY, LOCAL, OTHER_KEY, PATIENCE, config, good_nodes, identity, mute, network, until

DAY = 86_400.0


def row(key: InfoHash, data: bytes, *, forged: bool = False, age: float = 0.0) -> Row:
    """A persisted value of identity 9 that was stored *age* seconds ago."""
    value = Value(id=1, type=DNA_365_DAYS, data=data, owner=identity(9).public_key)
    signature = bytes(4627) if forged else identity(9).sign(signed_bytes(value))
    packed = pack(msgspec.structs.replace(value, signature=signature))
    created = time.time() - age
    return Row(key, 1, packed, DNA_365_DAYS, 0, created, created + 365 * DAY)


def client_of(*servers: Node, who: int | None = None) -> Node:
    return Node(config(*servers, who=who, core={"client_mode": True}))


# -- the store


async def test_persisted_values_and_their_edits_survive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "values.db"
    async with Node(config(who=0, store=SqliteStore(path))) as server, client_of(server, who=1) as client:
        await client.put_signed(KEY, b"first", value_id=1, ttl=365 * DAY)
        await client.put_signed(KEY, b"edited", value_id=1, ttl=365 * DAY)
        await client.put_signed(OTHER_KEY, b"forgotten", value_id=1, ttl=7 * DAY)

    async with Node(config(who=0, store=SqliteStore(path))) as server, client_of(server) as client:
        (value,) = await client.get(KEY)
        assert (value.data, value.seq, value.owner_id) == (b"edited", 1, identity(1).owner_id)
        assert await client.get(OTHER_KEY) == ()
        figures = server.stats()["runtime"]
        assert (figures["restored"], figures["store"]["values"]) == (1, 1)


async def test_a_put_is_answered_after_its_commit() -> None:
    class Slow(MemoryStore):
        gate = threading.Event()

        def apply(self, batch: Sequence[Change]) -> None:
            if any(isinstance(change, Row) for change in batch):
                self.gate.wait(PATIENCE)
            super().apply(batch)

    store = Slow()
    async with Node(config(who=0, store=store)) as server, client_of(server, who=1) as client:
        await client.ready(PATIENCE)
        quick = await asyncio.wait_for(client.put(OTHER_KEY, b"not persisted"), PATIENCE)
        putting = asyncio.ensure_future(client.put(KEY, b"persisted", permanent=True))
        await until(lambda: server.stats()["runtime"]["persists_waiting"] == 1)
        assert quick.accepted == 1
        assert not putting.done()

        store.gate.set()
        assert (await asyncio.wait_for(putting, PATIENCE)).accepted == 1
        assert store.stats().values == 1


async def test_a_put_the_disk_refuses_is_not_acknowledged(caplog: pytest.LogCaptureFixture) -> None:
    class Full(MemoryStore):
        def apply(self, batch: Sequence[Change]) -> None:
            raise StorageError("the disk is full")

    core = {"operation_timeout": 0.1, "client_mode": True}
    async with (
        Node(config(who=0, store=Full())) as server,
        Node(config(server, who=1, core=core)) as client,
    ):
        with pytest.raises(OperationTimeoutError):
            await client.put(KEY, b"persisted", permanent=True)
        assert not server.stats()["runtime"]["store_healthy"]
        assert (await client.put(OTHER_KEY, b"not persisted")).accepted == 1
    assert "the disk is full" in caplog.text


async def test_stored_values_are_served_from_the_start_and_only_if_they_verify() -> None:
    rows = [row(InfoHash.of(b"%d" % number), b"%d" % number) for number in range(300)]
    store = MemoryStore()
    store.apply([*rows, row(KEY, b"forged", forged=True), row(OTHER_KEY, b"expired", age=366 * DAY)])

    async with Node(config(who=0, store=store)) as server, client_of(server) as client:
        (value,) = await client.get(InfoHash.of(b"299"))
        assert value.data == b"299"
        assert await client.get(KEY) == ()
        assert await client.get(OTHER_KEY) == ()
        await until(lambda: server.stats()["stored_values"] == 300)
        assert server.stats()["values"]["restored: bad signature"] == 1


async def test_expired_rows_are_purged_at_start() -> None:
    store = MemoryStore()
    store.apply([row(KEY, b"expired", age=366 * DAY), row(OTHER_KEY, b"lives")])
    async with Node(config(who=0, store=store)):
        await until(lambda: store.stats().values == 1)


async def test_a_damaged_store_does_not_keep_the_node_from_serving(caplog: pytest.LogCaptureFixture) -> None:
    class Damaged(MemoryStore):
        def load_all(self) -> Iterator[Row]:
            yield row(KEY, b"readable")
            raise StorageError("the file is damaged")

    async with Node(config(who=0, store=Damaged())) as server, client_of(server) as client:
        assert (await client.get(KEY))[0].data == b"readable"
    assert "the file is damaged" in caplog.text


async def test_the_store_is_closed_by_stop_and_by_a_failed_start(tmp_path: Path) -> None:
    path = tmp_path / "values.db"
    async with Node(config(who=0, store=SqliteStore(path))) as running:
        other = SqliteStore(tmp_path / "other.db")
        with pytest.raises(ConfigError, match="in use"):
            await Node(config(port=running.port, store=other)).start()
        SqliteStore(tmp_path / "other.db").close()  # would be in use by another process
    SqliteStore(path).close()


# -- the state file


async def test_id_nodes_values_and_port_survive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "node.state"
    async with network(3) as others:
        async with Node(config(*others, state_path=path)) as node:
            await until(lambda: all(good_nodes(each) == 3 for each in (node, *others)))
            await others[0].put_signed(KEY, b"seven days", value_id=1, verify=True)
            await until(lambda: node.stats()["stored_values"] == 1)
            node_id, port = node.node_id, node.port

        state = decode_state(path.read_bytes())
        assert state.node_id == node_id
        assert {address for _, address in state.nodes} == {(LOCAL, other.port) for other in others}
        assert [value.key for value in state.values] == [KEY]

        async with Node(config(state_path=path)) as again:
            assert (again.node_id, again.port) == (node_id, port)
            await again.ready(PATIENCE)
            await until(lambda: again.stats()["stored_values"] == 1)
            assert [value.data for value in await again.get(KEY)] == [b"seven days"]


async def test_a_damaged_state_file_is_told_and_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "node.state"
    path.write_bytes(b"\xc1 garbage")
    async with Node(config(state_path=path)) as node:
        node_id = node.node_id
    assert f"{path} is damaged" in caplog.text
    assert decode_state(path.read_bytes()).node_id == node_id

    caplog.clear()
    async with Node(config(state_path=path)) as node:
        assert node.node_id == node_id
    assert "damaged" not in caplog.text


async def test_a_state_that_cannot_be_read_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    threads = threading.active_count()
    with pytest.raises(StorageError, match="not a file"):
        await Node(config(state_path=tmp_path)).start()
    assert threading.active_count() == threads


async def test_a_state_that_cannot_be_written_does_not_spoil_the_stop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "missing" / "node.state"
    async with Node(config(state_path=path)):
        pass
    assert "not saved" in caplog.text


async def test_the_port_of_the_last_run_may_be_taken(tmp_path: Path) -> None:
    path = tmp_path / "node.state"
    async with Node(config(state_path=path)) as node:
        port = node.port
    async with Node(config(port=port)), Node(config(state_path=path)) as again:
        assert again.port != port


async def test_state_can_be_handed_to_another_node() -> None:
    async with network(3) as nodes:
        await nodes[0].put_signed(KEY, b"data", value_id=1)
        state = nodes[0].export_state()

        async with Node(config(who=8)) as other:
            other.import_state(state)
            await other.ready(PATIENCE)
            await until(lambda: other.stats()["stored_values"] == 1)
            assert (await other.get(KEY))[0].data == b"data"


async def test_many_values_of_a_state_arrive_in_slices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "IMPORT_SLICE", 2)
    path = tmp_path / "node.state"
    async with Node(config(who=0, state_path=path)) as node, client_of(node, who=1) as client:
        for number in range(5):
            await client.put(InfoHash.of(b"%d" % number), b"data")
    async with Node(config(who=0, state_path=path)) as again:
        await until(lambda: again.stats()["stored_values"] == 5)


# -- starting and stopping


async def test_a_random_id_hides_the_identity() -> None:
    async with Node(config(who=0, random_id=True)) as node:
        assert node.node_id != identity(0).node_id


async def test_an_unknown_verifier_is_an_error_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> None:
        raise ConfigError(f"verifier {name}: the library was not found")

    monkeypatch.setattr(host, "load_verifier", missing)
    threads = threading.active_count()
    with pytest.raises(ConfigError, match="not found"):
        await Node(config(verifier="liboqs")).start()
    assert threading.active_count() == threads


async def test_signatures_can_be_checked_without_threads() -> None:
    async with network(2, verify_workers=0) as nodes:
        await nodes[0].put(KEY, b"data")
        assert (await nodes[1].get(KEY))[0].data == b"data"


async def test_a_forged_value_is_neither_stored_nor_delivered() -> None:
    async with network(2) as nodes:
        value = Value(id=1, type=DNA_7_DAYS, data=b"forged", owner=identity(9).public_key)
        forged = msgspec.structs.replace(value, signature=bytes(4627))
        assert not verify(forged.owner, forged.signature, signed_bytes(forged))
        await nodes[0].put_value(KEY, forged)

        assert nodes[1].stats()["stored_values"] == 0
        assert await nodes[1].get(KEY) == ()


async def test_a_missing_family_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    real = udp.bind

    def without_ipv6(port: int, *, ipv4: str | None, ipv6: str | None) -> udp.UdpSockets:
        assert ipv6 == "::"
        return real(port, ipv4=ipv4, ipv6=None)

    monkeypatch.setattr(udp, "bind", without_ipv6)
    async with Node(config(core={"ipv6": True})) as node:
        assert node.addresses == ((LOCAL, node.port),)
        assert set(node._host.core.overlays) == {4}


async def test_a_leaving_node_hands_its_copies_over() -> None:
    async with network(2, core={"maintenance": "renew"}) as nodes:
        await nodes[0].put_signed(KEY, b"data", value_id=1, permanent=False)
        async with Node(config(nodes[0], who=7)) as newcomer:
            await until(lambda: all(good_nodes(each) == 2 for each in (newcomer, *nodes)))
            await asyncio.gather(*(node.stop() for node in nodes))

            assert newcomer.stats()["stored_values"] == 1


async def test_handing_over_to_nobody_ends_soon(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="dna_dht")
    monkeypatch.setattr(host, "HAND_OVER_PATIENCE", 0.05)
    async with network(2, core={"maintenance": "renew"}) as nodes:
        await nodes[0].put_signed(KEY, b"data", value_id=1)
        mute(nodes[1])
        await asyncio.wait_for(nodes[0].stop(), PATIENCE)
    assert "not handed over" in caplog.text


async def test_stopping_while_the_store_loads_ends_the_loading() -> None:
    class Endless(MemoryStore):
        def load_all(self) -> Iterator[Row]:
            sample = row(KEY, b"data")
            while True:
                yield sample

    threads = threading.active_count()
    node = Node(config(who=0, store=Endless()))
    starting = asyncio.ensure_future(node.start())
    await asyncio.sleep(0.02)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await node.stop()

    assert threading.active_count() == threads


async def test_failing_background_work_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise KeyError("broken")

    async with Node(config()) as node:
        node._host._spawn(fail())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert "background work failed" in caplog.text
    assert "broken" in caplog.text


async def test_a_put_reaches_all_the_closest_although_its_node_stops_after_the_quorum() -> None:
    async with network(8) as nodes:
        async with client_of(nodes[0], who=9) as client:
            receipt = await client.put(KEY, b"data")
        assert receipt.accepted < 8
        await until(lambda: sum(node.stats()["stored_values"] for node in nodes) == 8)


async def test_a_silent_node_does_not_delay_the_stop_for_long() -> None:
    async with network(7) as nodes:
        async with client_of(nodes[0], who=9) as client:
            await client.put(OTHER_KEY, b"to know everybody", verify=True)
            await until(lambda: good_nodes(client) == 7)
            mute(nodes[6])
            await client.put(KEY, b"data")
            assert client._host.core.writing > 0
            await asyncio.wait_for(client.stop(), PATIENCE)
        assert client._host.core.writing > 0
