import asyncio

import pytest

from dna_dht.node.revisions import Revisions
from dna_dht.wire.infohash import InfoHash

ONE, TWO, THREE = ((InfoHash.of(bytes([number])), 1) for number in range(3))


def test_the_last_seq_is_the_highest() -> None:
    revisions = Revisions()
    assert revisions.last(ONE) is None

    revisions.used(ONE, 3)
    revisions.used(ONE, 2)
    revisions.used(TWO, 0)

    assert (revisions.last(ONE), revisions.last(TWO)) == (3, 0)


def test_the_longest_unused_is_forgotten_one_past_the_bound() -> None:
    revisions = Revisions(limit=2)
    revisions.used(ONE, 1)
    revisions.used(TWO, 2)
    assert len(revisions) == 2
    assert revisions.last(ONE) == 1

    revisions.used(THREE, 3)

    assert len(revisions) == 2
    assert (revisions.last(ONE), revisions.last(TWO), revisions.last(THREE)) == (1, None, 3)


async def test_writers_of_one_slot_follow_each_other_in_order() -> None:
    revisions, order = Revisions(), []

    async def write(number: int) -> None:
        async with revisions.writing(ONE):
            order.append(("begin", number))
            await asyncio.sleep(0)
            order.append(("end", number))

    await asyncio.gather(*map(write, range(3)))

    assert order == [(what, number) for number in range(3) for what in ("begin", "end")]


async def test_other_slots_do_not_wait() -> None:
    revisions = Revisions()
    async with asyncio.timeout(5), revisions.writing(ONE), revisions.writing(TWO):
        assert len(revisions._locks) == 2


async def test_locks_are_forgotten_also_after_errors_and_cancellation() -> None:
    revisions = Revisions()

    async def wait() -> None:
        async with revisions.writing(ONE):
            await asyncio.Event().wait()

    tasks = [asyncio.ensure_future(wait()) for _ in range(2)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    with pytest.raises(KeyError):
        async with revisions.writing(ONE):
            raise KeyError

    assert revisions._locks == {}
