"""Operations of real nodes over loopback."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dna_dht.core.effects import StatusChanged
from dna_dht.core.values.value_types import DNA_7_DAYS, DNA_30_DAYS, DNA_365_DAYS
from dna_dht.errors import (
    ConfigError,
    NetworkError,
    NotConnectedError,
    OperationTimeoutError,
)
from dna_dht.node import Added, Expired, Node, Updated
from dna_dht.node import node as node_module
from dna_dht.node.publisher import MAX_SIGNED_DATA
from dna_dht.wire.infohash import ZERO, InfoHash
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack

from .networks import KEY, LOCAL, OTHER_KEY, PATIENCE, config, identity, mute, network, under_way, until

DAY = 86_400


@pytest.fixture
async def nodes() -> AsyncIterator[list[Node]]:
    async with network(4) as started:
        yield started


# -- put and get


async def test_what_one_node_puts_all_others_get(nodes: list[Node]) -> None:
    receipt = await nodes[0].put(KEY, b"hello")

    assert receipt.accepted >= 3
    assert (receipt.seq, receipt.refused, receipt.conflict, receipt.verified) == (0, 0, None, None)
    for node in nodes:
        (value,) = await node.get(KEY)
        assert (value.data, value.id, value.type) == (b"hello", receipt.value_id, DNA_7_DAYS)
        assert value.owner_id == identity(0).owner_id


async def test_a_key_without_values_is_a_conclusive_nothing(nodes: list[Node]) -> None:
    for strength in ("first", "fresh", "all"):
        assert await nodes[1].get(KEY, strength=strength) == ()
    assert await nodes[1].get_all(KEY) == ()
    assert [value async for value in nodes[1].stream(KEY)] == []


async def test_puts_without_an_id_accumulate(nodes: list[Node]) -> None:
    ids = {(await nodes[0].put(KEY, b"%d" % number)).value_id for number in range(3)}

    values = await nodes[2].get(KEY, strength="all")
    assert {value.id for value in values} == ids
    assert {value.data for value in values} == {b"0", b"1", b"2"}


@pytest.mark.parametrize(
    ("settings", "value_type"),
    [
        ({}, DNA_7_DAYS),
        ({"ttl": 0}, DNA_7_DAYS),
        ({"ttl": 1.5}, DNA_7_DAYS),
        ({"ttl": 30 * DAY - 1}, DNA_7_DAYS),
        ({"ttl": 30 * DAY}, DNA_30_DAYS),
        ({"ttl": 365 * DAY}, DNA_365_DAYS),
        ({"ttl": 2**32 - 1}, DNA_365_DAYS),
        ({"permanent": True}, DNA_365_DAYS),
        ({"permanent": True, "ttl": 7 * DAY}, DNA_7_DAYS),
    ],
)
async def test_the_ttl_chooses_the_type(settings: dict[str, Any], value_type: int) -> None:
    async with network(2) as nodes:
        await nodes[0].put(KEY, b"data", **settings)

        (value,) = await nodes[1].get(KEY)
        assert value.type == value_type


async def test_values_of_the_largest_size_travel(nodes: list[Node]) -> None:
    data = bytes(range(256)) * (MAX_SIGNED_DATA // 256) + bytes(MAX_SIGNED_DATA % 256)
    receipt = await nodes[0].put(KEY, data, verify=True)

    assert receipt.verified
    assert (await nodes[3].get(KEY))[0].data == data


async def test_values_without_data_are_nothing_to_get_and_something_to_get_all(nodes: list[Node]) -> None:
    await nodes[0].put(KEY, b"")

    assert await nodes[1].get(KEY) == ()
    assert [value.data for value in await nodes[1].get_all(KEY)] == [b""]


async def test_filters_by_owner_and_id(nodes: list[Node]) -> None:
    for number in (0, 1):
        await nodes[number].put_signed(KEY, b"of %d" % number, value_id=number + 5)

    assert len(await nodes[2].get_all(KEY)) == 2
    (of_one,) = await nodes[2].get(KEY, owner=identity(1).owner_id)
    (five,) = await nodes[2].get(KEY, value_id=5)
    assert (of_one.data, five.data) == (b"of 1", b"of 0")
    assert await nodes[2].get(KEY, owner=identity(1).owner_id, value_id=5) == ()


async def test_a_signed_value_can_be_put_as_it_is_by_anybody(nodes: list[Node]) -> None:
    receipt = await nodes[0].put(KEY, b"signed by 0")
    (value,) = await nodes[0].get(KEY)

    again = await nodes[1].put_value(OTHER_KEY, value, verify=True)

    assert (again.value_id, again.seq, again.verified) == (receipt.value_id, 0, True)
    assert await nodes[2].get(OTHER_KEY) == (value,)


async def test_permanent_values_are_kept_alive_until_cancelled(nodes: list[Node]) -> None:
    await nodes[0].put_signed(KEY, b"kept", value_id=1)
    assert nodes[0].stats()["announces"] == 1

    nodes[0].cancel_put(KEY, 1)
    assert nodes[0].stats()["announces"] == 0
    await nodes[0].put_signed(KEY, b"not kept", value_id=2, permanent=False)
    assert nodes[0].stats()["announces"] == 0


async def test_put_signed_takes_a_type_instead_of_a_ttl(nodes: list[Node]) -> None:
    await nodes[0].put_signed(KEY, b"data", value_id=1, value_type=3)
    (value,) = await nodes[1].get(KEY)
    assert value.type == 3

    with pytest.raises(ValueError, match="not both"):
        await nodes[0].put_signed(KEY, b"data", value_id=1, value_type=3, ttl=5)
    with pytest.raises(ValueError, match="value_type"):
        await nodes[0].put_signed(KEY, b"data", value_id=1, value_type=65_536)


async def test_unsigned_values_travel_only_where_they_are_accepted() -> None:
    core = {"accept_unsigned": True}
    async with network(2, core=core) as nodes, Node(config(nodes[0], core=core)) as stranger:
        receipt = await stranger.put(KEY, b"unsigned", verify=True)
        assert (receipt.seq, receipt.verified) == (0, True)
        assert (await nodes[1].get(KEY))[0].data == b"unsigned"
        with pytest.raises(ValueError, match=r"65568.*chunk layer"):
            await stranger.put(KEY, bytes(65_560))


# -- misuse


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"value_id": 0}, "value_id"),
        ({"value_id": 2**64}, "value_id"),
        ({"ttl": -1}, "ttl"),
        ({"ttl": 2**32}, "ttl"),
        ({"ttl": float("nan")}, "ttl"),
    ],
)
async def test_arguments_out_of_range_are_misuse(settings: dict[str, float], says: str) -> None:
    async with Node(config(who=0)) as node:
        with pytest.raises(ValueError, match=says):
            await node.put(KEY, b"data", **settings)  # type: ignore[arg-type]


async def test_data_is_bytes() -> None:
    async with network(2) as nodes:
        await nodes[0].put(KEY, memoryview(bytearray(b"data")))
        assert (await nodes[1].get(KEY))[0].data == b"data"
        for wrong in (5, "text", None):
            with pytest.raises(TypeError):
                await nodes[0].put(KEY, wrong)


async def test_data_one_byte_too_long_names_the_limit_and_the_way_out() -> None:
    async with Node(config(who=0)) as node:
        with pytest.raises(ValueError, match=r"58286 bytes.*58287.*chunk layer"):
            await node.put(KEY, bytes(58_287))


async def test_keys_and_filters_are_checked() -> None:
    async with Node(config(who=0)) as node:
        for operation in (node.get, node.get_all, node.lookup):
            with pytest.raises(ValueError, match="zero"):
                await operation(ZERO)
        with pytest.raises(ValueError, match="zero"):
            await anext(node.get_batch([KEY, ZERO]))
        with pytest.raises(ValueError, match="zero"):
            node.listen(ZERO)
        with pytest.raises(ValueError, match="owner"):
            await node.get(KEY, owner=ZERO)
        with pytest.raises(ValueError, match="value_id"):
            node.listen(KEY, value_id=0)
        with pytest.raises(TypeError, match=r"InfoHash\.of"):
            await node.get(bytes(20))  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="InfoHash"):
            await node.get(KEY, owner=b"o" * 20)  # type: ignore[arg-type]
        for value_id in (1.5, "1"):
            with pytest.raises(TypeError, match="value_id"):
                await node.put(KEY, b"data", value_id=value_id)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="value_type"):
            await node.put_signed(KEY, b"data", value_id=1, value_type=1.5)  # type: ignore[arg-type]


async def test_how_to_search_is_checked() -> None:
    async with Node(config()) as node:
        with pytest.raises(ValueError, match="strength: one of first, fresh, all"):
            await node.get(KEY, strength="best")  # type: ignore[arg-type]
        for seconds in (-1.0, float("nan")):
            with pytest.raises(ValueError, match="timeout"):
                await node.lookup(KEY, timeout=seconds)
            with pytest.raises(ValueError, match="timeout"):
                await anext(node.get_batch([], timeout=seconds))
        with pytest.raises(ValueError, match="owner"):
            await anext(node.get_batch([], owner=ZERO))


async def test_without_identity_nothing_is_put() -> None:
    async with Node(config()) as node:
        for putting in (
            node.put(KEY, b"data"),
            node.put_signed(KEY, b"data", value_id=1),
            node.put_value(KEY, Value(id=1, data=b"data")),
        ):
            with pytest.raises(ConfigError, match="identity"):
                await putting


# -- streams, batches, evidence


async def test_a_stream_gives_values_as_they_come_and_ends(nodes: list[Node]) -> None:
    for number in range(3):
        await nodes[0].put(KEY, b"%d" % number)

    received = [value.data async for value in nodes[1].stream(KEY)]

    assert sorted(received) == [b"0", b"1", b"2"]


async def test_leaving_a_stream_stops_its_search(nodes: list[Node]) -> None:
    await nodes[0].put(KEY, b"data")
    stream = nodes[1].stream(KEY)
    assert (await anext(stream)).data == b"data"
    await stream.aclose()  # type: ignore[attr-defined]

    assert under_way(nodes[1]) == 0


async def test_a_batch_reports_every_key_once(nodes: list[Node]) -> None:
    keys = [InfoHash.of(b"%d" % number) for number in range(40)]
    await asyncio.gather(*(nodes[0].put(key, key) for key in keys[::2]))

    items = [item async for item in nodes[1].get_batch([*keys, *keys])]

    assert sorted(item.key for item in items) == sorted(keys)
    found = {item.key: [value.data for value in item.values] for item in items}
    assert found == {key: [key] if position % 2 == 0 else [] for position, key in enumerate(keys)}
    assert all(item.error is None for item in items)


async def test_a_batch_has_a_bounded_number_under_way(
    nodes: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_module, "BATCH_KEYS", 3)
    running: list[int] = []
    most = 0

    async def counted(key: InfoHash, **settings: object) -> tuple[Value, ...]:
        nonlocal most
        running.append(1)
        most = max(most, len(running))
        await asyncio.sleep(0)
        running.pop()
        return ()

    monkeypatch.setattr(nodes[1], "get", counted)
    keys = [InfoHash.of(b"%d" % number) for number in range(20)]

    assert len([item async for item in nodes[1].get_batch(keys)]) == 20
    assert most == 3


async def test_leaving_a_batch_stops_the_rest(nodes: list[Node]) -> None:
    batch = nodes[1].get_batch(InfoHash.of(b"%d" % number) for number in range(100))
    await anext(batch)
    await batch.aclose()  # type: ignore[attr-defined]

    assert under_way(nodes[1]) == 0


async def test_an_empty_batch_ends(nodes: list[Node]) -> None:
    assert [item async for item in nodes[1].get_batch([])] == []


async def test_a_batch_tells_which_keys_are_unknown() -> None:
    async with network(2) as nodes:
        mute(nodes[0])
        await asyncio.sleep(0)
        (item,) = [item async for item in nodes[1].get_batch([KEY], timeout=0.05)]

        assert item.values == ()
        assert isinstance(item.error, OperationTimeoutError)


async def test_a_lookup_shows_who_holds_what(nodes: list[Node]) -> None:
    receipt = await nodes[0].put(KEY, b"data", verify=True)
    found = await nodes[1].lookup(KEY)

    assert found.conclusive
    assert [value.data for value in found.values] == [b"data"]
    assert (found.asked, found.answered) == (3, 3)
    others = {node.node_id: (LOCAL, node.port) for node in nodes if node is not nodes[1]}
    assert {entry.node_id: entry.address for entry in found.nodes} == others
    holders = [entry for entry in found.nodes if (receipt.value_id, 0) in entry.holds]
    assert len(holders) == 3
    assert all(entry.answered and entry.round_trip is not None for entry in found.nodes)
    distances = [entry.node_id.distance(KEY) for entry in found.nodes]
    assert distances == sorted(distances)


# -- listening


async def test_a_listener_sees_what_exists_what_is_added_and_what_is_edited(nodes: list[Node]) -> None:
    await nodes[0].put_signed(KEY, b"first", value_id=1)
    async with asyncio.timeout(PATIENCE), nodes[3].listen(KEY) as changes:
        first = await anext(changes)
        await nodes[1].put_signed(KEY, b"second", value_id=2)
        second = await anext(changes)
        await nodes[0].put_signed(KEY, b"edited", value_id=1)
        third = await anext(changes)

    assert [(type(change), change.value.data) for change in (first, second, third)] == [
        (Added, b"first"),
        (Added, b"second"),
        (Updated, b"edited"),
    ]
    assert under_way(nodes[3]) == 0


async def test_a_listener_sees_what_expires() -> None:
    core = {"client_mode": True}
    async with (
        Node(config(who=0)) as server,
        Node(config(server, who=1, core=core)) as writer,
        Node(config(server, core=core)) as reader,
        asyncio.timeout(PATIENCE),
        reader.listen(KEY) as changes,
    ):
        await writer.put_signed(KEY, b"data", value_id=1, permanent=False)
        assert isinstance(await anext(changes), Added)
        server.cancel_put(KEY, 1)  # the only one that holds it

        change = await anext(changes)
        assert isinstance(change, Expired)
        assert change.value.data == b"data"


async def test_a_listener_can_filter(nodes: list[Node]) -> None:
    async with asyncio.timeout(PATIENCE), nodes[3].listen(KEY, owner=identity(1).owner_id) as changes:
        await nodes[0].put_signed(KEY, b"of 0", value_id=1)
        await nodes[1].put_signed(KEY, b"of 1", value_id=2)

        assert (await anext(changes)).value.data == b"of 1"


async def test_listening_begins_before_the_connection_and_ends_with_the_node() -> None:
    async with network(2) as nodes:
        node = Node(config())
        await node.start()
        async with node.listen(KEY) as changes:
            await node.bootstrap([f"{LOCAL}:{nodes[0].port}"])
            await node.ready(PATIENCE)
            await nodes[0].put(KEY, b"data")
            assert (await asyncio.wait_for(anext(changes), PATIENCE)).value.data == b"data"

            await node.stop()
            assert [change async for change in changes] == []
        with pytest.raises(NetworkError, match="stopped"):
            async with node.listen(KEY):
                pytest.fail("a stopped node cannot listen")


async def test_there_is_a_bound_on_listens() -> None:
    async with Node(config(who=0)) as node:
        async with asyncio.timeout(PATIENCE):
            subscriptions = [node.listen(InfoHash.of(b"%d" % number)) for number in range(1025)]
            for subscription in subscriptions[:1024]:
                await subscription.__aenter__()
            with pytest.raises(ValueError, match="1024"):
                await subscriptions[1024].__aenter__()
            subscriptions[0].close()
            await subscriptions[1024].__aenter__()


# -- connection


async def test_operations_wait_for_the_connection() -> None:
    async with network(2) as nodes, Node(config(who=9)) as late:
        putting = asyncio.ensure_future(late.put(KEY, b"data"))
        await asyncio.sleep(0)
        assert not late.connected
        await late.bootstrap([(LOCAL, nodes[0].port)])

        assert (await asyncio.wait_for(putting, PATIENCE)).accepted >= 1
        assert late.connected


async def test_without_connection_operations_end_after_the_hold_time() -> None:
    async with Node(config(who=0, hold_timeout=0.01)) as node:
        for operation in (node.get(KEY), node.put(KEY, b"data"), node.lookup(KEY), anext(node.stream(KEY))):
            with pytest.raises(NotConnectedError):
                await operation
        (item,) = [item async for item in node.get_batch([KEY])]
        assert isinstance(item.error, NotConnectedError)
        assert under_way(node) == 0


async def test_ready_gives_up_after_its_time() -> None:
    async with Node(config()) as node:
        with pytest.raises(NotConnectedError, match="bootstrap"):
            await node.ready(0.01)


async def test_status_changes_are_told_until_the_node_stops() -> None:
    async with network(1) as nodes:
        node = Node(config(*nodes))
        assert node.status == StatusChanged("disconnected", "disconnected")
        await node.start()
        seen = []

        async def watch() -> None:
            async for status in node.status_changes():
                seen.append(status)  # noqa: PERF401 - the order of events is the test

        watching = asyncio.ensure_future(watch())
        await node.ready(PATIENCE)
        await node.stop()
        await asyncio.wait_for(watching, PATIENCE)

    assert seen[-1] == StatusChanged("connected", "disconnected")
    assert not node.connected


async def test_nobody_answers_is_not_nothing() -> None:
    async with network(3) as nodes:
        for silent in nodes[:2]:
            mute(silent)

        with pytest.raises(OperationTimeoutError) as raised:
            await nodes[2].get(KEY, timeout=0.05)
        assert (raised.value.asked, raised.value.answered) == (2, 0)
        found = await nodes[2].lookup(KEY, timeout=0.05)
        assert (found.conclusive, found.values, found.answered) == (False, (), 0)
        with pytest.raises(OperationTimeoutError):
            await anext(nodes[2].stream(KEY, timeout=0.05))


async def test_ping_measures_and_gives_up() -> None:
    async with network(2) as nodes:
        pong = await nodes[0].ping(f"{LOCAL}:{nodes[1].port}")
        assert pong.node_id == nodes[1].node_id
        assert 0 < pong.round_trip < PATIENCE

        mute(nodes[1])
        with pytest.raises(OperationTimeoutError):
            await nodes[0].ping((LOCAL, nodes[1].port), timeout=0.02)
        assert under_way(nodes[0]) == 0
        with pytest.raises(ConfigError):
            await nodes[0].ping("host:0")


async def test_a_network_of_both_families() -> None:
    def both(who: int, *through: Node) -> Node:
        bootstrap = tuple(f"[::1]:{node.port}" for node in through)
        return Node(config(core={"ipv6": True}, ipv6_host="::1", who=who, bootstrap=bootstrap))

    async with both(0) as one, both(1, one) as two, asyncio.timeout(PATIENCE):
        assert two.addresses == ((LOCAL, two.port), ("::1", two.port))
        await two.ready()
        assert two.status.ipv6 == "connected"
        await two.put(KEY, b"over IPv6")

        assert (await one.get(KEY))[0].data == b"over IPv6"
        assert (await one.ping(("::1", two.port))).node_id == two.node_id


async def test_the_address_others_see_is_known(nodes: list[Node]) -> None:
    assert nodes[1].public_addresses == (LOCAL,)


async def test_a_changed_network_is_checked_at_once(nodes: list[Node]) -> None:
    nodes[0].connectivity_changed()
    await asyncio.wait_for(nodes[0].ready(), PATIENCE)

    assert (await nodes[0].put(KEY, b"data")).accepted >= 1


async def test_a_bootstrap_address_is_checked_and_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Node(config()) as node:
        with pytest.raises(ConfigError):
            await node.bootstrap(["host:port"])
        for wrong in ((LOCAL, 0), (LOCAL, 65_536), ("", 4000)):
            with pytest.raises(ConfigError, match="port from 1 to 65535"):
                await node.bootstrap([wrong])
            with pytest.raises(ConfigError, match="port from 1 to 65535"):
                await node.ping(wrong)
        with pytest.raises(ConfigError, match="list"):
            await node.bootstrap("127.0.0.1:4000")
        with pytest.raises(NetworkError, match="no address"):
            await node.bootstrap(["[::1]:4000"])
        await node.bootstrap([])


# -- cancelling


async def test_cancelling_leaves_nothing_behind() -> None:
    async with network(2) as nodes:
        asking = nodes[1]
        mute(nodes[0])
        tasks = [
            asyncio.ensure_future(operation)
            for operation in (
                asking.get(KEY),
                asking.get_all(KEY),
                asking.lookup(KEY),
                asking.put(KEY, b"data", permanent=True),
                asking.put_signed(KEY, b"data", value_id=1),
                asking.ping((LOCAL, nodes[0].port)),
                anext(asking.stream(KEY)),
                anext(asking.get_batch([KEY])),
            )
        ]
        await until(lambda: len(asking._host._operations) == len(tasks))
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)

        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        assert under_way(asking) == 0
        assert asking.stats()["announces"] == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_put_that_fails_is_not_kept_alive() -> None:
    async with network(2, core={"operation_timeout": 0.05}) as nodes:
        mute(nodes[0])
        with pytest.raises(OperationTimeoutError):
            await nodes[1].put_signed(KEY, b"data", value_id=1)

        assert nodes[1].stats()["announces"] == 0


# -- life


async def test_stopping_ends_what_waits_and_leaves_nothing() -> None:
    threads, tasks = threading.active_count(), asyncio.all_tasks()
    async with network(2) as nodes:
        mute(nodes[0])
        waiting = [
            asyncio.ensure_future(work)
            for work in (nodes[1].get(KEY), nodes[1].put(KEY, b"data"), anext(nodes[1].stream(KEY)))
        ]
        await until(lambda: len(nodes[1]._host._operations) == len(waiting))
        port = nodes[1].port
        await nodes[1].stop()
        await nodes[1].stop()
        for result in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(result, NetworkError)
            assert "stopped" in str(result)

        for operation in (
            nodes[1].get(KEY),
            nodes[1].put(KEY, b"data"),
            nodes[1].ready(1),
            nodes[1].bootstrap([(LOCAL, port)]),
            nodes[1].ping((LOCAL, port)),
        ):
            with pytest.raises(NetworkError, match="stopped"):
                await operation
        assert (nodes[1].port, nodes[1].addresses, nodes[1].connected) == (port, (), False)
        async with Node(config(port=port)):
            pass
    assert threading.active_count() == threads
    assert asyncio.all_tasks() == tasks


async def test_stopping_tells_puts_that_wait_for_a_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    async with network(2) as nodes:
        gate, driver = threading.Event(), nodes[1]._host._driver
        stop = driver.stop
        monkeypatch.setattr(driver, "stop", lambda: (gate.set(), stop()))  # next the pool stops
        blocking = asyncio.ensure_future(nodes[1]._host.work(lambda: gate.wait(PATIENCE)))
        puts = [asyncio.ensure_future(nodes[1].put(KEY, b"data")) for _ in range(100)]
        await until(lambda: nodes[1]._host._pool.waiting == 101)
        await nodes[1].stop()
        for result in await asyncio.gather(*puts, return_exceptions=True):
            assert isinstance(result, NetworkError), repr(result)
        await asyncio.gather(blocking, return_exceptions=True)


async def test_cancelling_stop_does_not_stop_the_stopping() -> None:
    threads = threading.active_count()
    node = Node(config())
    await node.start()
    stopping = asyncio.ensure_future(node.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    await asyncio.gather(stopping, return_exceptions=True)
    await node.stop()

    assert threading.active_count() == threads


async def test_a_node_that_cannot_start_leaves_nothing() -> None:
    threads = threading.active_count()
    async with Node(config()) as node:
        running = threading.active_count()
        other = Node(config(port=node.port))
        with pytest.raises(ConfigError, match="in use"):
            await other.start()
        await other.stop()
        assert threading.active_count() == running
    assert threading.active_count() == threads


async def test_a_node_is_started_once() -> None:
    node = Node(config())
    with pytest.raises(NetworkError, match="not started"):
        await node.get(KEY)
    with pytest.raises(NetworkError, match="not started"):
        node.cancel_put(KEY, 1)
    await node.stop()
    await node.start()
    with pytest.raises(RuntimeError, match="once"):
        await node.start()
    await node.stop()


async def test_the_id_is_that_of_the_identity_or_random() -> None:
    async with Node(config(who=3)) as known, Node(config()) as one, Node(config()) as two:
        assert known.node_id == identity(3).node_id
        assert len({known.node_id, one.node_id, two.node_id}) == 3


async def test_figures_cover_core_and_process(nodes: list[Node]) -> None:
    await nodes[0].put(KEY, b"data")
    figures = nodes[0].stats()

    assert figures["good_nodes"] == {4: 3}
    assert figures["runtime"]["driver"]["received"] > 0
    assert figures["runtime"]["lag"]["maximum"] >= 0
    assert figures["runtime"]["store"] is None
    assert len(pack((await nodes[0].get(KEY))[0])) > 7000
