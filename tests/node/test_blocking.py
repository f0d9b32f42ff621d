"""The same operations for threads that wait."""

import asyncio
import inspect
import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from dna_dht.errors import ConfigError, NetworkError, NotConnectedError, OperationTimeoutError
from dna_dht.node import Added, BlockingNode, Node, Updated
from dna_dht.node.blocking import _LoopThread
from dna_dht.wire.infohash import InfoHash

from .networks import KEY, LOCAL, OTHER_KEY, PATIENCE, config, identity


def blocking_config(*through: BlockingNode, who: int) -> BlockingNode:
    bootstrap = tuple(f"{LOCAL}:{node.port}" for node in through)
    return BlockingNode(config(who=who, bootstrap=bootstrap))


@pytest.fixture
def pair() -> Iterator[tuple[BlockingNode, BlockingNode]]:
    with blocking_config(who=0) as one, blocking_config(one, who=1) as two:
        for node in (one, two):
            node.ready(PATIENCE)
        yield one, two


Pair = tuple[BlockingNode, BlockingNode]


def test_put_get_and_evidence(pair: Pair) -> None:
    one, two = pair
    receipt = one.put(KEY, b"hello", verify=True)

    assert (receipt.accepted, receipt.verified) == (1, True)
    (value,) = two.get(KEY)
    assert (value.data, value.owner_id) == (b"hello", identity(0).owner_id)
    assert two.get_all(KEY) == (value,)
    assert two.lookup(KEY).conclusive
    assert two.put_value(OTHER_KEY, value).accepted == 1
    assert one.put_signed(KEY, b"other", value_id=1).seq == 0
    one.cancel_put(KEY, 1)


def test_iterators(pair: Pair) -> None:
    one, two = pair
    keys = [InfoHash.of(b"%d" % number) for number in range(5)]
    for key in keys:
        one.put(key, key)

    assert [value.data for value in two.stream(keys[0])] == [keys[0]]
    found = {item.key: [value.data for value in item.values] for item in two.get_batch(keys)}
    assert found == {key: [key] for key in keys}
    status = next(two.status_changes())
    assert status.ipv4 == "connected"


def test_leaving_an_iterator_early_stops_its_operation(pair: Pair) -> None:
    one, two = pair
    for number in range(3):
        one.put(KEY, b"%d" % number)
    values = two.stream(KEY)
    next(values)
    values.close()  # type: ignore[attr-defined]

    assert two.stats()["operations"] == 0


def test_an_iterator_that_outlives_the_node_is_harmless() -> None:
    with blocking_config(who=0) as one:
        changes = one.status_changes()
        next(changes)
    changes.close()  # type: ignore[attr-defined]
    with pytest.raises(NetworkError):
        next(one.stream(KEY))


def test_listening(pair: Pair) -> None:
    one, two = pair
    with two.listen(KEY) as changes:
        one.put_signed(KEY, b"first", value_id=1)
        one.put_signed(KEY, b"second", value_id=1)
        received = [changes.next(PATIENCE), next(changes)]
        with pytest.raises(TimeoutError):
            changes.next(0.001)
        one.put_signed(KEY, b"third", value_id=1)
        assert changes.next(PATIENCE).value.data == b"third"

        assert [type(change) for change in received] == [Added, Updated]
        assert (changes.key, changes.dropped) == (KEY, 0)
    assert two.stats()["listens"] == 0


def test_listening_ends_with_the_node() -> None:
    with blocking_config(who=0) as node:
        with node.listen(KEY) as changes:
            ends = threading.Timer(0.01, node.stop)
            ends.start()
            assert list(changes) == []
            ends.join()
            with pytest.raises(NetworkError):
                changes.next(1)
        with pytest.raises(NetworkError):
            node.listen(KEY).__enter__()


def test_many_threads_at_once(pair: Pair) -> None:
    one, two = pair
    seen: list[bytes] = []

    def work(number: int) -> None:
        key = InfoHash.of(b"%d" % number)
        one.put(key, b"%d" % number)
        seen.append(two.get(key)[0].data)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(seen) == [b"%d" % number for number in range(8)]


def test_the_network_side(pair: Pair) -> None:
    one, two = pair
    assert two.ping((LOCAL, one.port)).node_id == one.node_id == identity(0).node_id
    with pytest.raises(OperationTimeoutError):
        two.ping((LOCAL, 9), timeout=0.01)
    two.bootstrap([f"{LOCAL}:{one.port}"])
    two.connectivity_changed()
    two.ready(PATIENCE)
    two.import_state(one.export_state())

    assert two.connected
    assert two.status.ipv4 == "connected"
    assert two.addresses == ((LOCAL, two.port),)
    assert one.public_addresses == (LOCAL,)


def test_errors_arrive_where_the_call_was() -> None:
    with BlockingNode(config(hold_timeout=0.01)) as node:
        with pytest.raises(NotConnectedError):
            node.get(KEY)
        with pytest.raises(ConfigError):
            node.put(KEY, b"data")
        with pytest.raises(NotConnectedError):
            list(node.stream(KEY))


def test_nothing_is_left_after_stop() -> None:
    threads = threading.active_count()
    node = BlockingNode(config(who=0))
    with pytest.raises(NetworkError, match="BlockingNode"):
        node.get(KEY)
    node.start()
    node.stop()
    node.stop()
    with pytest.raises(NetworkError, match="BlockingNode"):
        node.get(KEY)

    assert threading.active_count() == threads


def test_a_node_that_cannot_start_leaves_no_thread() -> None:
    with BlockingNode(config()) as running:
        threads = threading.active_count()
        with pytest.raises(ConfigError, match="in use"):
            BlockingNode(config(port=running.port)).start()
        assert threading.active_count() == threads


def test_an_interrupted_wait_cancels_the_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: object, timeout: float | None = None) -> None:
        raise KeyboardInterrupt

    async def others_end() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=PATIENCE)
        assert all(task.cancelled() for task in others)

    with BlockingNode(config(hold_timeout=60)) as node:
        with monkeypatch.context() as patch:
            patch.setattr(Future, "result", interrupted)
            with pytest.raises(KeyboardInterrupt):
                node.get(KEY)
        node._wait(others_end())


def test_an_interrupted_start_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    threads, result = threading.active_count(), Future.result
    node = BlockingNode(config())

    def interrupted(self: Future[object], timeout: float | None = None) -> object:
        monkeypatch.setattr(Future, "result", result)
        result(self, PATIENCE)  # Ctrl-C when all is done, and before anybody knows
        raise KeyboardInterrupt

    monkeypatch.setattr(Future, "result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        node.start()

    assert threading.active_count() == threads
    assert node._node._host.board.closed


def test_stopping_tells_a_thread_that_waits_for_something_slow() -> None:
    """A name server that does not answer, say: the node does not wait for it, and nobody may for ever."""
    node, entered = BlockingNode(config()), threading.Event()
    raised: list[BaseException] = []

    async def never() -> None:
        entered.set()
        await asyncio.Event().wait()

    def wait() -> None:
        try:
            node._wait(never())
        except NetworkError as error:
            raised.append(error)

    node.start()
    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    assert entered.wait(PATIENCE)
    node.stop()
    waiting.join(PATIENCE)

    assert "not running" in str(raised)


def test_calls_that_race_with_the_stop_end() -> None:
    for _ in range(10):
        node = BlockingNode(config())
        node.start()
        ends: list[BaseException | None] = []

        def ask(node: BlockingNode = node, ends: list[BaseException | None] = ends) -> None:
            try:
                while True:
                    node.stats()
            except NetworkError as error:
                ends.append(error)

        asking = [threading.Thread(target=ask, daemon=True) for _ in range(3)]
        stopping = [threading.Thread(target=node.stop, daemon=True) for _ in range(2)]
        for thread in (*asking, *stopping):
            thread.start()
        for thread in (*asking, *stopping):
            thread.join(PATIENCE)
            assert not thread.is_alive()
        assert len(ends) == len(asking)


def test_a_call_from_the_loop_would_wait_for_itself() -> None:
    thread = _LoopThread()
    raised: list[BaseException] = []

    async def nothing() -> None:
        return

    async def misuse() -> None:
        try:
            thread.wait(nothing())
        except RuntimeError as error:
            raised.append(error)

    thread.wait(misuse())
    thread.stop()
    assert "wait for itself" in str(raised[0])


def test_every_operation_of_node_is_there() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    assert public(Node) - public(BlockingNode) == {"config"}
    assert inspect.signature(BlockingNode.get).parameters.keys() >= {"key", "owner", "strength"}
    assert BlockingNode.put.__doc__ == Node.put.__doc__
