"""How long a user waits: eight nodes of ours in processes of their own, 2 kB signed values.

First on bare loopback, then through the relay at 30 ms a round trip, at last the C++ engine through the same
relay (with unsigned values, since its signatures are of another kind). The client is warm: it has done other
operations before, on other keys; no key is used twice unless the figure says so. It stores nothing itself, so
whatever it reads came over the network.
"""

import asyncio
import base64
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from random import Random
from typing import Any

from bench.network import CLIENT_HALF, SERVER_HALF, SERVERS, Network, in_half
from bench.processes import Child, cpp_child, now
from bench.raw_client import RawClient
from bench.report import Report, p50, percentile
from dna_dht.node.changes import Added
from dna_dht.node.node import Node
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack

SIZE = 2048  # bytes of data
DELAY = 0.015  # seconds one way: 30 ms a round trip
SETTLE = 2.0  # seconds in which servers get to know each other
WARM_UP = 10  # operations before the first that counts
SAMPLES = 40  # of each operation on loopback
SLOW_SAMPLES = 25  # of each operation through the relay
LOSS = 0.01
LOSS_SAMPLES = 200
BATCH, BATCHES = 50, 5
IN_FLIGHT, FLOOD_SECONDS, WINDOW = 64, 6.0, 1.0
DEAD_ROUNDS = 2  # times each server is muted once
RECOVERY = 0.3  # seconds after a server comes back


async def run(report: Report) -> None:
    """All three settings."""
    rng = Random(4)
    async with AsyncExitStack() as stack:
        await _loopback(report, await Network.open(stack, delayed=False), rng)
    async with AsyncExitStack() as stack:
        await _delayed(report, await Network.open(stack, delayed=True), rng)
    async with AsyncExitStack() as stack:
        await _cpp(report, stack, await Network.open(stack, delayed=True), rng)


async def _loopback(report: Report, network: Network, rng: Random) -> None:
    await network.own_servers()
    writer, reader = await network.client(seed=1), await network.client(seed=2)
    await asyncio.sleep(SETTLE)
    await _warm_up(writer, reader, rng)
    keys = _keys(rng, SAMPLES)
    puts = [await _timed(writer.put(key, rng.randbytes(SIZE))) for key in keys]
    gets = [await _timed(_found(reader, key)) for key in keys]
    _report(report, "loopback.get", gets, 5)
    _report(report, "loopback.put", puts, 15)
    batches = []
    for _ in range(BATCHES):
        keys = _keys(rng, BATCH)
        await asyncio.gather(*(writer.put(key, rng.randbytes(SIZE)) for key in keys))
        batches.append(await _timed(_batch(reader, keys)))
    _report(report, "loopback.batch_of_50_gets", batches, 150)
    await _flood(report, writer, rng)


async def _flood(report: Report, writer: Node, rng: Random) -> None:
    """Puts one after the other, then 64 at a time: the slowest second against the sequential rate."""
    started, sequential = now(), 0
    while now() - started < FLOOD_SECONDS / 2:
        await writer.put(InfoHash(rng.randbytes(20)), rng.randbytes(SIZE))
        sequential += 1
    rate = sequential / (now() - started)
    finished: list[float] = []
    started = now()

    async def keep_putting() -> None:
        while now() - started < FLOOD_SECONDS:
            await writer.put(InfoHash(rng.randbytes(20)), rng.randbytes(SIZE))
            finished.append(now() - started)

    await asyncio.gather(*(keep_putting() for _ in range(IN_FLIGHT)))
    windows = [0] * int(FLOOD_SECONDS / WINDOW)
    for time in finished:
        if time < FLOOD_SECONDS:
            windows[int(time / WINDOW)] += 1
    slowest = min(windows) / WINDOW
    note = (
        f"slowest second {slowest:.0f}/s, mean {len(finished) / FLOOD_SECONDS:.0f}/s, sequential {rate:.0f}/s"
    )
    report.add(
        "loopback.64_puts_in_flight", slowest / rate, "x_sequential", len(finished), least=0.5, note=note
    )


async def _delayed(report: Report, network: Network, rng: Random) -> None:
    await network.own_servers()
    writer, reader = await network.client(seed=1), await network.client(seed=2)
    await network.weather(delay=DELAY)
    await asyncio.sleep(SETTLE)
    await _warm_up(writer, reader, rng)
    keys = _keys(rng, SLOW_SAMPLES)
    new = [await _timed(writer.put(key, rng.randbytes(SIZE), value_id=7)) for key in keys]
    _report(report, "rtt30.put_new", new, 45)
    replaced = [await _timed(writer.put(key, rng.randbytes(SIZE), value_id=7)) for key in keys]
    _report(report, "rtt30.put_replace", replaced, 45)
    first = [await _timed(_first(reader, key)) for key in keys]
    _report(report, "rtt30.get_first_value", first, 40)
    gets = [await _timed(_found(reader, key)) for key in keys]
    _report(report, "rtt30.get_again", gets, None)
    misses = [await _timed(reader.get(key)) for key in _keys(rng, SLOW_SAMPLES)]
    _report(report, "rtt30.miss", misses, 45)
    heard = [await _heard(writer, reader, key, rng) for key in _keys(rng, SLOW_SAMPLES)]
    _report(report, "rtt30.put_to_listener", heard, 45)
    await _dead(report, network, writer, reader, rng)
    await network.weather(delay=DELAY, loss=LOSS)
    lossy = [await _timed(_found(reader, keys[number % len(keys)])) for number in range(LOSS_SAMPLES)]
    late = percentile(lossy, 0.95) * 1e3
    note = f"p50 {p50(lossy) * 1e3:.1f} ms, 2 kB values, warm keys"
    report.add("rtt30.get_at_1%_loss.p95", late, "ms", len(lossy), most=250, note=note)


async def _dead(report: Report, network: Network, writer: Node, reader: Node, rng: Random) -> None:
    """Mute each server in turn: the first get and the first put that run into the silence."""
    keys = _keys(rng, 2 * SERVERS * DEAD_ROUNDS)
    for key in keys:
        await writer.put(key, rng.randbytes(SIZE))
    calm_gets = [await _timed(_found(reader, key)) for key in keys[1::2]]
    calm_puts = [await _timed(writer.put(key, rng.randbytes(SIZE))) for key in keys[1::2]]
    gets, puts = [], []
    for number, key in enumerate(keys[::2]):
        port = network.ports[number % SERVERS]
        await network.mute(port)
        gets.append(await _timed(_found(reader, key)))
        puts.append(await _timed(writer.put(InfoHash(rng.randbytes(20)), rng.randbytes(SIZE))))
        await network.mute(port, on=False)
        await asyncio.sleep(RECOVERY)
    for name, calm, times in (("get", calm_gets, gets), ("put", calm_puts, puts)):
        worst, usual, alive = max(times) * 1e3, p50(times) * 1e3, p50(calm) * 1e3
        note = f"worst {worst:.0f} ms, p50 {usual:.0f} ms; all alive: p50 {alive:.0f} ms"
        report.add(
            f"rtt30.{name}_with_a_dead_node.worst_added", worst - alive, "ms", len(times), most=150, note=note
        )


async def _cpp(report: Report, stack: AsyncExitStack, network: Network, rng: Random) -> None:
    """The C++ engine: a writer and a reader among eight servers, everything delayed.

    Both are full nodes, there is no other kind; so the keys are closer to every server than to them.
    """
    await network.cpp_servers()
    clients = await stack.enter_async_context(cpp_child())
    for number in (0, 1):
        await network.cpp_node(clients, number, CLIENT_HALF)

    def keys_for(count: int) -> list[InfoHash]:
        return [in_half(SERVER_HALF, rng) for _ in range(count)]

    await network.weather(delay=DELAY)
    await asyncio.sleep(SETTLE)
    for key in keys_for(WARM_UP):
        await _cpp_put(clients, key, rng)
        await clients.call("get", node=1, key=key.hex())
    puts = [await _cpp_put(clients, key, rng) for key in keys_for(SLOW_SAMPLES)]
    _report(report, "opendht.rtt30.put_new", puts, None)
    keys = keys_for(SLOW_SAMPLES)
    await asyncio.to_thread(_store_on_all, network.ports, keys, rng)
    gets = [await clients.call("get", node=1, key=key.hex()) for key in keys]
    first = [answer["first"] for answer in gets if answer["first"] is not None]
    _report(report, "opendht.rtt30.get_first_value", first, None)
    misses = [await clients.call("get", node=1, key=key.hex()) for key in keys_for(SLOW_SAMPLES)]
    _report(report, "opendht.rtt30.miss", [answer["seconds"] for answer in misses], None)
    heard = [await _cpp_heard(clients, key, rng) for key in keys_for(SLOW_SAMPLES)]
    _report(report, "opendht.rtt30.put_to_listener", heard, None)


async def _cpp_put(clients: Child, key: InfoHash, rng: Random) -> float:
    data = base64.b64encode(rng.randbytes(SIZE)).decode()
    return float((await clients.call("put", node=0, key=key.hex(), data=data))["seconds"])


async def _cpp_heard(clients: Child, key: InfoHash, rng: Random) -> float:
    """Seconds from the writer's put to the reader's callback."""
    heard: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def on_event(event: dict[str, Any]) -> None:
        if "listen" in event and not heard.done():
            heard.set_result(event["at"])

    clients.on_event = on_event
    await clients.call("listen", node=1, key=key.hex())
    await asyncio.sleep(0.25)
    data = base64.b64encode(rng.randbytes(SIZE)).decode()
    put = await clients.call("put", node=0, key=key.hex(), data=data)
    return await asyncio.wait_for(heard, 10) - (float(put["at"]) - float(put["seconds"]))


def _store_on_all(ports: list[int], keys: list[InfoHash], rng: Random) -> None:
    """Put a value for each key on each server, past the relay and past the reader."""
    for port in ports:
        client = RawClient(("127.0.0.1", port), rng)
        tokens = client.tokens(keys, 8)
        client.puts(
            [
                (key, token, pack(Value(id=5, data=key * (SIZE // len(key)))))
                for key, token in zip(keys, tokens, strict=True)
            ],
            8,
        )
        client.close()


async def _warm_up(writer: Node, reader: Node, rng: Random) -> None:
    for key in _keys(rng, WARM_UP):
        await writer.put(key, rng.randbytes(SIZE))
        await _found(reader, key)


async def _timed(action: Awaitable[object]) -> float:
    started = now()
    await action
    return now() - started


async def _found(reader: Node, key: InfoHash) -> None:
    if not await reader.get(key):
        raise RuntimeError(f"{key} was put and is not there")


async def _first(reader: Node, key: InfoHash) -> None:
    if not await reader.get(key, strength="first"):
        raise RuntimeError(f"{key} was put and is not there")


async def _batch(reader: Node, keys: list[InfoHash]) -> None:
    found = 0
    async for item in reader.get_batch(keys):
        found += bool(item.values)
    if found != len(keys):
        raise RuntimeError(f"only {found} of {len(keys)} values were found")


async def _heard(writer: Node, reader: Node, key: InfoHash, rng: Random) -> float:
    """Seconds from the writer's put to the listener's change."""
    async with reader.listen(key) as changes:
        await asyncio.sleep(0.25)
        started = now()
        put = asyncio.ensure_future(writer.put(key, rng.randbytes(SIZE)))
        async for change in changes:
            if isinstance(change, Added):
                break
        seconds = now() - started
        await put
    return seconds


def _keys(rng: Random, count: int) -> list[InfoHash]:
    return [InfoHash(rng.randbytes(20)) for _ in range(count)]


def _report(report: Report, name: str, samples: list[float], most: float | None) -> None:
    if not samples:
        raise RuntimeError(f"{name}: no sample")
    note = f"p95 {percentile(samples, 0.95) * 1e3:.1f} ms"
    report.add(f"{name}.p50", p50(samples) * 1e3, "ms", len(samples), most=most, note=note)
