import asyncio
from collections.abc import Callable

import pytest

from dna_dht.core.effects import ListenChanged
from dna_dht.node import Added, Expired, Subscription, Updated
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.value import Value

KEY = InfoHash.of(b"key")


class Source:
    """What a subscription listens to."""

    def __init__(self) -> None:
        self.push: Callable[[ListenChanged], None] = lambda change: None
        self.starts = self.stops = 0

    def start(self, subscription: Subscription, push: Callable[[ListenChanged], None]) -> Callable[[], None]:
        self.push = push
        self.starts += 1
        return self.stop

    def stop(self) -> None:
        self.stops += 1

    def add(self, value_id: int) -> None:
        self.push(ListenChanged(1, "added", Value(id=value_id)))


async def test_changes_arrive_in_order_with_their_kind() -> None:
    source = Source()
    async with Subscription(KEY, source.start) as changes:
        for kind in ("added", "updated", "expired"):
            source.push(ListenChanged(1, kind, Value(id=7)))

        received = [await anext(changes) for _ in range(3)]

    assert received == [Added(Value(id=7)), Updated(Value(id=7)), Expired(Value(id=7))]


async def test_listening_lasts_as_long_as_the_context() -> None:
    source = Source()
    subscription = Subscription(KEY, source.start)
    assert source.starts == 0
    async with subscription as changes:
        assert aiter(changes) is changes
        assert (source.starts, source.stops) == (1, 0)
    subscription.close()

    assert (source.starts, source.stops, subscription.closed) == (1, 1, True)


async def test_iterating_without_a_context_listens_too() -> None:
    source = Source()
    subscription = Subscription(KEY, source.start)
    changes = aiter(subscription)
    source.add(1)

    async for change in changes:
        assert change == Added(Value(id=1))
        subscription.close()

    assert (source.starts, source.stops) == (1, 1)


async def test_reading_begins_it_too() -> None:
    source = Source()
    subscription = Subscription(KEY, source.start)
    waiting = asyncio.ensure_future(anext(subscription))
    await asyncio.sleep(0)
    assert source.starts == 1
    source.add(1)

    assert await asyncio.wait_for(waiting, 5) == Added(Value(id=1))
    subscription.close()


async def test_a_reader_waits_for_the_next_change() -> None:
    source = Source()
    async with Subscription(KEY, source.start) as changes:
        waiting = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        assert not waiting.done()
        source.add(1)

        assert await asyncio.wait_for(waiting, 5) == Added(Value(id=1))


async def test_closing_ends_a_waiting_reader_after_what_has_arrived() -> None:
    source = Source()
    async with Subscription(KEY, source.start) as changes:
        source.add(1)
        changes.close()
        source.add(2)

        assert [change async for change in changes] == [Added(Value(id=1))]
        with pytest.raises(StopAsyncIteration):
            await anext(changes)


async def test_closing_wakes_a_reader() -> None:
    source = Source()
    async with Subscription(KEY, source.start) as changes:
        waiting = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        changes.close()

        with pytest.raises(StopAsyncIteration):
            await waiting


async def test_the_oldest_goes_when_nobody_reads_and_is_counted() -> None:
    source = Source()
    async with Subscription(KEY, source.start, limit=2) as changes:
        for value_id in (1, 2):
            source.add(value_id)
        assert changes.dropped == 0
        source.add(3)

        assert changes.dropped == 1
        assert [await anext(changes), await anext(changes)] == [Added(Value(id=2)), Added(Value(id=3))]


async def test_a_cancelled_reader_loses_nothing() -> None:
    source = Source()
    async with Subscription(KEY, source.start) as changes:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(changes), 0.001)
        source.add(1)

        assert await asyncio.wait_for(anext(changes), 5) == Added(Value(id=1))


async def test_a_second_reader_at_once_is_misuse() -> None:
    async with Subscription(KEY, Source().start) as changes:
        waiting = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="one reader"):
            await anext(changes)
        waiting.cancel()


def test_a_queue_has_room_for_one_at_least() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Subscription(KEY, Source().start, limit=0)
