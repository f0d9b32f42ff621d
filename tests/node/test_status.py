import asyncio

import pytest

from dna_dht.core.effects import StatusChanged
from dna_dht.errors import NetworkError, NotConnectedError
from dna_dht.node.status import DISCONNECTED, StatusBoard

CONNECTING = StatusChanged("connecting", "disconnected")
CONNECTED4 = StatusChanged("connected", "disconnected")
CONNECTED6 = StatusChanged("connecting", "connected")


def test_either_family_connects() -> None:
    board = StatusBoard()
    assert (board.status, board.connected) == (DISCONNECTED, False)

    for status, connected in ((CONNECTING, False), (CONNECTED4, True), (CONNECTED6, True)):
        board.show(status)
        assert (board.status, board.connected) == (status, connected)


async def test_waiting_ends_with_the_connection() -> None:
    board = StatusBoard()
    waiting = asyncio.ensure_future(board.wait_connected(5))
    await asyncio.sleep(0)
    board.show(CONNECTING)
    await asyncio.sleep(0)
    assert not waiting.done()

    board.show(CONNECTED4)
    await waiting
    await board.wait_connected(0)


async def test_waiting_ends_after_its_time() -> None:
    with pytest.raises(NotConnectedError, match="bootstrap"):
        await StatusBoard().wait_connected(0.001)


async def test_waiting_ends_when_the_node_stops() -> None:
    board = StatusBoard()
    waiting = [asyncio.ensure_future(board.wait_connected(None)), asyncio.ensure_future(board.wait_lost(5))]
    await asyncio.sleep(0)
    board.close()

    for task in waiting:
        with pytest.raises(NetworkError, match="stopped"):
            await task
    with pytest.raises(NetworkError, match="stopped"):
        await board.wait_connected(None)
    board.show(CONNECTED4)
    assert not board.connected


async def test_watchers_see_each_change_once_and_the_end() -> None:
    board = StatusBoard()
    board.show(CONNECTING)

    async def watch() -> list[StatusChanged]:
        return [status async for status in board.watch()]

    watching = asyncio.ensure_future(watch())
    await asyncio.sleep(0)
    board.show(CONNECTED4)
    board.show(CONNECTED4)
    await asyncio.sleep(0)
    board.close()

    assert await asyncio.wait_for(watching, 5) == [CONNECTING, CONNECTED4]


async def test_a_slow_watcher_sees_the_latest() -> None:
    board = StatusBoard()
    watch = board.watch()
    assert await anext(watch) == DISCONNECTED
    board.show(CONNECTING)
    board.show(CONNECTED4)

    assert await anext(watch) == CONNECTED4


async def test_a_short_loss_does_not_count() -> None:
    board = StatusBoard()
    board.show(CONNECTED4)
    waiting = asyncio.ensure_future(board.wait_lost(60))
    for status in (CONNECTING, CONNECTED4):
        await asyncio.sleep(0)
        board.show(status)
    for _ in range(5):
        await asyncio.sleep(0)

    assert not waiting.done()
    waiting.cancel()


async def test_a_lasting_loss_counts() -> None:
    board = StatusBoard()
    board.show(CONNECTED4)
    waiting = asyncio.ensure_future(board.wait_lost(0.001))
    await asyncio.sleep(0.005)
    assert not waiting.done()

    board.show(DISCONNECTED)
    await asyncio.wait_for(waiting, 5)
