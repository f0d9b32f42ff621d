"""Eight stock nodes and eight of ours in one network: each side reads what the other wrote."""

import asyncio
from typing import Any

import pytest

from dna_dht.wire.infohash import InfoHash

HALF = 8  # nodes of each kind
HOLDERS = 8  # nodes that hold a value
READY = 20.0  # seconds
LARGE = bytes(range(256)) * 160  # 40,960 bytes


@pytest.fixture
async def network(cpp: Any, start_node: Any) -> list[Any]:
    """Our eight nodes; the stock ones are 0 to 7 in *cpp*. Both kinds bootstrap from one of each."""
    first = (await cpp.call("start", node=0))["port4"]
    nodes = [await start_node("127.0.0.1", first)]
    for number in range(1, HALF):
        await cpp.call("start", node=number)
        await cpp.call("bootstrap", node=number, host="127.0.0.1", port=nodes[0].port)
        nodes.append(await start_node("127.0.0.1", first, nodes[0].port))
    await asyncio.gather(*(node.ready(READY) for node in nodes))
    async with asyncio.timeout(READY):
        await asyncio.gather(*(acquainted(node) for node in nodes))
    return nodes


async def acquainted(node: Any) -> None:
    """Wait until *node* finds as many nodes as hold a value; stock nodes take seconds to name newcomers."""
    while (await node.lookup(InfoHash.of(b"anything"))).answered < HOLDERS:  # noqa: ASYNC110 - no event tells it
        await asyncio.sleep(0.05)


async def test_each_side_reads_what_the_other_wrote(cpp: Any, network: list[Any]) -> None:
    ours = {InfoHash.of(b"ours %d" % number): b"value %d of ours" % number for number in range(16)}
    theirs = {InfoHash.of(b"theirs %d" % number): b"value %d of theirs" % number for number in range(16)}
    for number, (key, data) in enumerate(ours.items()):
        assert (await network[number % HALF].put(key, data)).accepted >= 5
    for number, (key, data) in enumerate(theirs.items()):
        assert await cpp.put(key, data, node=number % HALF)

    for number, (key, data) in enumerate((ours | theirs).items()):
        reader = (number + 3) % HALF
        assert [value.data for value in await network[reader].get(key)] == [data], f"{key} by ours {reader}"
        assert await cpp.get(key, node=reader) == [data], f"{key} by theirs {reader}"


async def test_large_values_cross_the_network(cpp: Any, network: list[Any]) -> None:
    ours, theirs = InfoHash.of(b"large of ours"), InfoHash.of(b"large of theirs")
    await network[2].put(ours, LARGE)
    assert await cpp.put(theirs, LARGE[::-1], node=3)
    assert await cpp.get(ours, node=5) == [LARGE]
    assert [value.data for value in await network[6].get(theirs)] == [LARGE[::-1]]


async def test_changes_cross_the_network(cpp: Any, network: list[Any]) -> None:
    key = InfoHash.of(b"listened to")
    theirs = await cpp.listen(key, node=4)
    async with network[4].listen(key) as ours:
        await network[1].put(key, b"from ours")
        assert await theirs() == (b"from ours", False)
        assert await cpp.put(key, b"from theirs", node=6)
        assert await theirs() == (b"from theirs", False)
        seen = []
        async with asyncio.timeout(READY):
            async for change in ours:
                seen.append(change.value.data)
                if len(seen) == 2:
                    break
    assert sorted(seen) == [b"from ours", b"from theirs"]
