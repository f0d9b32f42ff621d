"""BlockingNode: a node for scripts. A thread owns an event loop, and the loop a :class:`Node`.

There is no second implementation: every operation is the one of :class:`Node`, run in that loop while the
caller waits. Arguments, results and errors are the same. Ctrl-C and other exceptions in the waiting thread
cancel the operation.
"""

import asyncio
import concurrent.futures
import contextlib
import functools
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from dna_dht.core.effects import StatusChanged
from dna_dht.errors import NetworkError
from dna_dht.node.changes import Change
from dna_dht.node.config import NodeConfig
from dna_dht.node.node import Node
from dna_dht.node.subscription import QUEUE_LIMIT, Subscription
from dna_dht.wire.address import Address
from dna_dht.wire.infohash import InfoHash

P = ParamSpec("P")
T = TypeVar("T")
STOPPED = "the node is not running: use 'with BlockingNode(config) as node'"


class _LoopThread:
    """A thread that runs an event loop until it is stopped. Every method is for any other thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # held to give work to the loop, or to say that it gets no more
        self._ending = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="dna-dht-node", daemon=True)
        self._thread.start()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run *work* in the loop and return, or raise, what it does. An interrupted wait cancels it.

        Raises NetworkError if the loop has ended, or ends before *work* does.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("a blocking call from the node's own thread would wait for itself")
        with self._lock:
            if self._ending:
                work.close()
                raise NetworkError(STOPPED)
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:  # by the end of the loop: nobody else could
            raise NetworkError(STOPPED) from None
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """Cancel what still runs, end the loop and join the thread. Idempotent."""
        with self._lock:
            if not self._ending:
                self._ending = True
                self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(_cancel_others())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        finally:
            self._loop.close()


def _waiting(
    method: Callable[Concatenate[Node, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate["BlockingNode", P], T]:
    """*method* of Node as one that returns when it is done."""

    def call(self: "BlockingNode", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._wait(method(self._node, *args, **kwargs))

    functools.update_wrapper(call, method)
    return call


def _direct(method: Callable[Concatenate[Node, P], T]) -> Callable[Concatenate["BlockingNode", P], T]:
    """*method* of Node, which does not wait, run in the loop's thread."""

    def call(self: "BlockingNode", /, *args: P.args, **kwargs: P.kwargs) -> T:
        async def run() -> T:
            return method(self._node, *args, **kwargs)

        return self._wait(run())

    functools.update_wrapper(call, method)
    return call


def _iterating(
    method: Callable[Concatenate[Node, P], AsyncIterator[T]],
) -> Callable[Concatenate["BlockingNode", P], Iterator[T]]:
    """*method* of Node as one that returns an ordinary iterator; leaving it early stops the operation."""

    def call(self: "BlockingNode", /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        iterator = method(self._node, *args, **kwargs)
        try:
            while (item := self._wait(_following(iterator))) is not None:
                yield item[0]
        finally:
            if self._thread is not None:
                self._wait(_close(iterator))

    functools.update_wrapper(call, method)
    return call


class BlockingNode:
    """:class:`Node` for threads that wait: ``with BlockingNode(config) as node``.

    Every method does what the method of Node of that name does, and may be called from any number of threads
    at once. After ``with``, or :meth:`stop`, they raise NetworkError. A node is started once.
    """

    def __init__(self, config: NodeConfig | None = None) -> None:
        """Nothing happens before :meth:`start`."""
        self._node = Node(config)
        self._thread: _LoopThread | None = None
        self._ending = threading.Lock()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the thread and the node; raises as :meth:`Node.start`, and then no thread is left."""
        thread = _LoopThread()
        try:
            thread.wait(self._node.start())
        except BaseException:
            try:
                thread.wait(self._node.stop())  # the node may just have started when the wait was interrupted
            finally:
                thread.stop()
            raise
        self._thread = thread

    def stop(self) -> None:
        """Stop the node and join the thread; what other threads wait for raises NetworkError. Idempotent."""
        with self._ending:
            thread, self._thread = self._thread, None
        if thread is not None:
            try:
                thread.wait(self._node.stop())
            finally:
                thread.stop()

    ready = _waiting(Node.ready)
    put = _waiting(Node.put)
    put_signed = _waiting(Node.put_signed)
    put_value = _waiting(Node.put_value)
    cancel_put = _direct(Node.cancel_put)
    get = _waiting(Node.get)
    get_all = _waiting(Node.get_all)
    stream = _iterating(Node.stream)
    get_batch = _iterating(Node.get_batch)
    lookup = _waiting(Node.lookup)
    ping = _waiting(Node.ping)
    bootstrap = _waiting(Node.bootstrap)
    connectivity_changed = _direct(Node.connectivity_changed)
    export_state = _direct(Node.export_state)
    import_state = _direct(Node.import_state)
    stats = _direct(Node.stats)
    status_changes = _iterating(Node.status_changes)

    def listen(
        self,
        key: InfoHash,
        *,
        owner: InfoHash | None = None,
        value_id: int | None = None,
        limit: int = QUEUE_LIMIT,
    ) -> "BlockingSubscription":
        """As :meth:`Node.listen`, for ``with`` and ``for``."""
        return BlockingSubscription(
            self._node.listen(key, owner=owner, value_id=value_id, limit=limit), self._wait
        )

    @property
    def node_id(self) -> InfoHash:
        """Our place in the id space."""
        return self._node.node_id

    @property
    def port(self) -> int:
        """The UDP port bound, of both families."""
        return self._node.port

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The local addresses bound, IPv4 first; none after :meth:`stop`."""
        return self._node.addresses

    @property
    def public_addresses(self) -> tuple[str, ...]:
        """IP texts most nodes see us at, IPv4 first; empty before anybody said."""
        return self._node.public_addresses

    @property
    def connected(self) -> bool:
        """Whether a good node of either family is known."""
        return self._node.connected

    @property
    def status(self) -> StatusChanged:
        """Connectivity of both families."""
        return self._node.status

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        thread = self._thread
        if thread is None:
            work.close()
            raise NetworkError(STOPPED)
        return thread.wait(work)


class BlockingSubscription:
    """:class:`Subscription` for threads that wait; made by :meth:`BlockingNode.listen`."""

    def __init__(self, subscription: Subscription, wait: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._subscription = subscription
        self._wait = wait

    @property
    def key(self) -> InfoHash:
        """What is listened to."""
        return self._subscription.key

    @property
    def dropped(self) -> int:
        """Changes lost because they were not read in time."""
        return self._subscription.dropped

    def __enter__(self) -> Self:
        self._wait(self._subscription.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(NetworkError):  # the node is stopped, and the listening with it
            self._wait(self._subscription.__aexit__(kind, error, trace))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Change:
        """The next change; waits for one. The iteration ends when the node stops."""
        item = self._following(None)
        if item is None:
            raise StopIteration
        return item

    def next(self, timeout: float) -> Change:
        """The next change; a builtin TimeoutError if none comes within *timeout* seconds.

        Raises NetworkError when the node stops.
        """
        item = self._following(timeout)
        if item is None:
            raise NetworkError(STOPPED)
        return item

    def _following(self, timeout: float | None) -> Change | None:
        async def following() -> Change | None:
            async with asyncio.timeout(timeout):
                item = await _following(aiter(self._subscription))
                return None if item is None else item[0]

        change: Change | None = self._wait(following())
        return change


async def _following(iterator: AsyncIterator[T]) -> tuple[T] | None:
    try:
        return (await anext(iterator),)
    except StopAsyncIteration:
        return None


async def _cancel_others() -> None:
    """Cancel all other tasks of the loop and wait until they have ended."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others)


async def _close(iterator: AsyncIterator[Any]) -> None:
    if isinstance(iterator, AsyncGenerator):
        await iterator.aclose()
