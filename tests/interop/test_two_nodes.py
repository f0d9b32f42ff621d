"""One stock OpenDHT node and one of ours: every operation, in both directions, over both families."""

import asyncio
from typing import Any

import pytest

from dna_dht.node.changes import Added
from dna_dht.wire.infohash import InfoHash

KEY = InfoHash.of(b"interop")
LARGE = bytes(range(256)) * 176  # 45,056 bytes: 36 parts
READY = 20.0  # seconds


async def start_cpp(cpp: Any, host: str, *, node: int = 0) -> dict[str, Any]:
    """Start a stock node on *host*; its ``id`` and ``port``.

    For IPv6 it gets both families, and nobody to talk to over IPv4: with IPv6 alone it never sends a listen.
    """
    ipv6 = ":" in host
    started = await cpp.call("start", node=node, ipv4="127.0.0.1", ipv6=host if ipv6 else "")
    return {"id": started["id"], "port": started["port6" if ipv6 else "port4"]}


@pytest.fixture
async def pair(cpp: Any, start_node: Any, host: str) -> Any:
    """Our node, bootstrapped from theirs."""
    node = await start_node(host, (await start_cpp(cpp, host))["port"])
    await node.ready(READY)
    return node


async def test_we_ping_them(cpp: Any, start_node: Any, host: str) -> None:
    started = await start_cpp(cpp, host)
    node = await start_node(host)
    assert (await node.ping((host, started["port"]))).node_id.hex() == started["id"]


async def test_they_ping_us(cpp: Any, start_node: Any, host: str) -> None:
    await start_cpp(cpp, host)
    node = await start_node(host)
    assert (await cpp.call("ping", host=host, port=node.port))["ok"]


async def test_they_read_what_we_write(cpp: Any, pair: Any) -> None:
    receipt = await pair.put(KEY, b"from Python")
    assert receipt.accepted == 1
    assert await cpp.get(KEY) == [b"from Python"]


async def test_we_read_what_they_write(cpp: Any, pair: Any) -> None:
    assert await cpp.put(KEY, b"from C++", id=7)
    assert [value.data for value in await pair.get(KEY)] == [b"from C++"]


async def test_they_store_on_us(cpp: Any, start_node: Any, host: str) -> None:
    node = await start_node(host)
    await start_cpp(cpp, host)
    await cpp.call("bootstrap", host=host, port=node.port)
    assert await cpp.put(KEY, b"kept for them")
    assert [value.data for value in await node.get(KEY)] == [b"kept for them"]
    await start_cpp(cpp, host, node=1)
    await cpp.call("bootstrap", node=1, host=host, port=node.port)
    assert await cpp.get(KEY, node=1) == [b"kept for them"]


async def test_values_over_40_kB_travel_both_ways(cpp: Any, pair: Any) -> None:
    assert (await pair.put(KEY, LARGE)).accepted == 1
    assert await cpp.get(KEY) == [LARGE]
    other = InfoHash.of(b"the other way")
    assert await cpp.put(other, LARGE[::-1])
    assert [value.data for value in await pair.get(other)] == [LARGE[::-1]]


async def test_user_types_arrive(cpp: Any, pair: Any) -> None:
    assert await cpp.put(KEY, b"typed", user_type="text/plain")
    assert [value.user_type for value in await pair.get(KEY)] == [b"text/plain"]


async def test_we_listen_to_what_they_write(cpp: Any, pair: Any) -> None:
    async with pair.listen(KEY) as changes:
        assert await cpp.put(KEY, b"first", id=1)
        assert await cpp.put(KEY, LARGE, id=2)
        seen = []
        async with asyncio.timeout(READY):
            async for change in changes:
                assert isinstance(change, Added)
                seen.append(change.value.data)
                if len(seen) == 2:
                    break
    assert sorted(seen) == sorted([b"first", LARGE])


async def test_they_listen_to_what_we_write(cpp: Any, pair: Any) -> None:
    change = await cpp.listen(KEY)
    await pair.put(KEY, b"first")
    assert await change() == (b"first", False)
    await pair.put(KEY, LARGE)
    assert await change() == (LARGE, False)


async def test_they_listen_at_us(cpp: Any, start_node: Any, host: str) -> None:
    node = await start_node(host)
    for number in (0, 1):
        await start_cpp(cpp, host, node=number)
        await cpp.call("bootstrap", node=number, host=host, port=node.port)
    change = await cpp.listen(KEY)
    assert await cpp.put(KEY, b"news", node=1)
    assert await change() == (b"news", False)


async def test_a_network_id_keeps_networks_apart(cpp: Any, start_node: Any) -> None:
    started = await cpp.call("start", network=5)
    node = await start_node("127.0.0.1", started["port4"])
    key = InfoHash.of(b"apart")
    await cpp.put(key, b"elsewhere")
    with pytest.raises(TimeoutError):
        await node.ping(("127.0.0.1", started["port4"]))
    assert not node.connected
