"""Node: a participant of the DHT, for asyncio.

The public face: it checks arguments and gives outcomes their meaning. The host runs the operations, and the
publisher knows which revision a put needs.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self, get_args

from dna_dht.core.effects import GetOutcome, ListenChanged, PingOutcome, StatusChanged
from dna_dht.core.node_state import NodeState
from dna_dht.core.operations.get import Strength
from dna_dht.core.values.value_types import DNA_7_DAYS, DNA_365_DAYS, type_for_ttl
from dna_dht.errors import ConfigError, NetworkError, OperationTimeoutError
from dna_dht.node import reader
from dna_dht.node.config import NodeConfig
from dna_dht.node.host import Host
from dna_dht.node.publisher import MAX_SIGNED_DATA, Publisher
from dna_dht.node.results import BatchItem, Lookup, Pong, PutReceipt
from dna_dht.node.status import DISCONNECTED
from dna_dht.node.subscription import QUEUE_LIMIT, Subscription
from dna_dht.runtime.resolve import HostPort, parse, resolve
from dna_dht.wire.address import Address
from dna_dht.wire.infohash import ZERO, InfoHash
from dna_dht.wire.limits import MAX_TYPE, MAX_UINT64, PACKED_VALUE
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack

LARGER = "larger data goes through the chunk layer"
NOT_STARTED = "the node is not started: use 'async with', or await start()"
UNSIGNED = "this network drops unsigned values: give the node an identity, or set accept_unsigned"
BATCH_KEYS = 16  # keys of one batch under way at once; spec 02, 25.1 item 9
MAX_PORT = 65_535
MAX_TTL = 2**32 - 1  # seconds; the "permanent" of spec 04, section 1


class Node:
    """One node: joins the network, reads, writes, listens, and stores for others unless it is a client.

    ``async with Node(config) as node`` starts and stops it. All methods are for the loop it was started in.

    Operations wait up to ``config.hold_timeout`` seconds for a connection, then raise NotConnectedError.
    After :meth:`stop` every operation raises NetworkError.
    """

    def __init__(self, config: NodeConfig | None = None) -> None:
        """Nothing happens before :meth:`start`. Default: a full node on a free port that joins nothing."""
        self._config = config or NodeConfig()
        self._running: Host | None = None
        self._publishing: Publisher | None = None
        self._starting = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # -- life

    async def start(self) -> None:
        """Bind, load the state, begin to join. A node is started once.

        Raises:
            ConfigError: the port is in use, an address is not of this machine, the verifier is not installed.
            NetworkError: the system refuses the sockets.
            StorageError: the state file or the store cannot be read.
        """
        if self._starting:
            raise RuntimeError("a node is started once: make another")
        self._starting = True
        host = await Host.start(self._config)
        self._running, self._publishing = host, Publisher(host)

    async def stop(self) -> None:
        """Leave: hand over copies, save the state, flush the store, join all threads.

        Takes at most about 10 seconds; a client is gone at once. Operations under way raise NetworkError,
        subscriptions and other iterators end. Calling it again, or before :meth:`start`, does nothing.
        """
        if self._running is not None:
            await self._running.stop()

    async def ready(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - part of the public face
        """Return once a good node is known, at once if one is.

        Raises NotConnectedError after *timeout* seconds (None: waits forever).
        """
        await self._host.board.wait_connected(timeout)

    @property
    def config(self) -> NodeConfig:
        return self._config

    @property
    def node_id(self) -> InfoHash:
        """Our place in the id space."""
        return self._host.core.node_id

    @property
    def port(self) -> int:
        """The UDP port bound, of both families."""
        return self._host.port

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The local addresses bound, IPv4 first; none after :meth:`stop`."""
        return self._host.addresses

    @property
    def public_addresses(self) -> tuple[str, ...]:
        """IP texts most nodes see us at, IPv4 first; empty before anybody said."""
        return tuple(host for _, host in sorted(self._host.public.items()))

    @property
    def connected(self) -> bool:
        """Whether a good node of either family is known."""
        return self._running is not None and self._running.board.connected

    @property
    def status(self) -> StatusChanged:
        """Connectivity of both families; disconnected before start and after stop."""
        return DISCONNECTED if self._running is None else self._running.board.status

    async def status_changes(self) -> AsyncIterator[StatusChanged]:
        """The present status, then each new one, until the node stops; a slow reader sees the latest."""
        async for status in self._host.board.watch():
            yield status

    # -- writing

    async def put(
        self,
        key: InfoHash,
        data: bytes,
        *,
        ttl: float | None = None,
        value_id: int | None = None,
        permanent: bool = False,
        verify: bool = False,
    ) -> PutReceipt:
        """Store *data* under *key* on the nodes closest to it, signed with this node's identity.

        Args:
            key: where to store; :meth:`InfoHash.of` makes one of any bytes.
            data: at most 58,286 bytes, stored as given, readable by everybody.
            ttl: seconds, 0 to 2**32 - 1. Storing nodes know three lives: 7, 30 and 365 days; the longest that
                is not longer counts, and never less than 7. None: 7 days, or 365 if *permanent*.
            value_id: 1 to 2**64 - 1. The same identity and id replace the earlier value. None adds a value
                under a random id.
            permanent: this node keeps the value alive while it runs.
            verify: read it back, which costs another round trip; see ``PutReceipt.verified``.

        Returns:
            A receipt, once 5 of the 8 closest nodes acknowledged, or all if there are fewer.

        Raises:
            ValueError: *key*, *data*, *ttl* or *value_id* out of range; nothing was sent.
            ConfigError: the node has no identity; nothing was sent. (A network with ``accept_unsigned`` takes
                it unsigned.)
            NotConnectedError: no node to start from; nothing was sent.
            OperationTimeoutError: no node acknowledged. The value may still be stored.
            PutRefusedError: most nodes keep a value of another owner under *value_id*.
            SequenceExhaustedError: the value was replaced 65,535 times.

        Cancelling stops the put; nodes already written keep the value until it expires. After that, or an
        error, this node does not keep it alive.
        """
        value_type = _type_for(ttl, permanent)
        if self._config.identity is None and self._config.core.accept_unsigned:
            value_id = self._publisher.random_id() if value_id is None else value_id
            value = Value(id=value_id, type=value_type, data=bytes(memoryview(data)))
            return await self.put_value(key, value, permanent=permanent, verify=verify)
        return await self._put_signed(key, data, value_id, value_type, permanent=permanent, verify=verify)

    async def put_signed(
        self,
        key: InfoHash,
        data: bytes,
        *,
        value_id: int,
        ttl: float | None = None,
        value_type: int | None = None,
        permanent: bool = True,
        verify: bool = False,
    ) -> PutReceipt:
        """Store or replace the value of this identity with the id *value_id* under *key*.

        Its revision is above every one the network holds of it, also of an earlier run or another device.
        Puts of one key and id follow each other in the order of their calls.

        Args:
            value_id: 1 to 2**64 - 1: 1 where one writer is expected, ``identity.owner_value_id`` where there
                are many.
            ttl: as in :meth:`put`; None: 7 days.
            value_type: 0 to 65,535, instead of *ttl*; decides how long storing nodes keep it.
            permanent: as in :meth:`put`; a later put of the key and id takes over.

        The rest is as in :meth:`put`; without an identity it is a ConfigError always.
        """
        if value_type is None:
            value_type = _type_for(ttl, False)
        elif ttl is not None:
            raise ValueError("give ttl or value_type, not both")
        elif not isinstance(value_type, int):
            raise TypeError(f"value_type is an int, got {type(value_type).__name__}")
        elif not 0 <= value_type <= MAX_TYPE:
            raise ValueError(f"value_type: 0 to {MAX_TYPE}, got {value_type}")
        return await self._put_signed(key, data, value_id, value_type, permanent=permanent, verify=verify)

    async def put_value(
        self, key: InfoHash, value: Value, *, permanent: bool = False, verify: bool = False
    ) -> PutReceipt:
        """Store *value* as it is: signed already, or unsigned in a network that takes such.

        Errors and cancelling are as in :meth:`put`. What nodes hold of the same id is only reported, in
        ``PutReceipt.conflict``. ConfigError for an unsigned value without ``accept_unsigned``.
        """
        _check_key(key)
        _check_id(value.id)
        if not value.is_signed and not self._config.core.accept_unsigned:
            raise ConfigError(UNSIGNED)
        if (size := len(pack(value))) > PACKED_VALUE:
            raise ValueError(f"a packed value has at most {PACKED_VALUE} bytes, got {size}: {LARGER}")
        await self._hold()
        return await self._publisher.put_value(key, value, permanent=permanent, verify=verify)

    def cancel_put(self, key: InfoHash, value_id: int) -> None:
        """Stop keeping a permanent value alive, and drop our copy. Others keep theirs until they expire."""
        self._host.call(lambda core, now: core.cancel_put(key, value_id, now))

    # -- reading

    async def get(
        self,
        key: InfoHash,
        *,
        owner: InfoHash | None = None,
        value_id: int | None = None,
        strength: Strength = "fresh",
        timeout: float | None = None,  # noqa: ASYNC109 - ends the operation in the core, with what it has
    ) -> tuple[Value, ...]:
        """The values under *key*, verified; the first is the one most nodes hold.

        Anybody can store under any key: who knows whose value is expected gives its *owner*.

        Args:
            owner: ``owner_id`` of the identity that signed; None: anybody.
            value_id: 1 to 2**64 - 1; None: any.
            strength: ``first``: the first valid value to arrive, perhaps not the latest revision. ``fresh``:
                the latest revisions that a majority of the closest nodes knows of. ``all``: every closest
                node was heard.
            timeout: seconds for the search once connected, 0 or more; None: ``core.operation_timeout`` of the
                configuration.

        Returns:
            Per owner and id the highest revision; values without data are left out. Empty means that enough
            of the closest nodes answered and have none.

        Raises:
            ValueError: *key*, *owner*, *value_id*, *strength* or *timeout* out of range.
            NotConnectedError: no node could be asked.
            OperationTimeoutError: too few nodes answered to say anything.

        Cancelling stops the search and leaves nothing behind.
        """
        outcome = await self._get(key, owner, value_id, strength, timeout)
        values = tuple(value for value in reader.ranked(outcome) if value.data or value.cypher)
        if not values:
            reader.require_conclusive(outcome)
        return values

    async def get_all(
        self,
        key: InfoHash,
        *,
        owner: InfoHash | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as in get
    ) -> tuple[Value, ...]:
        """Every value under *key* that any of the closest nodes holds, also those without data.

        Otherwise as :meth:`get` with the strength ``all``.
        """
        outcome = await self._get(key, owner, None, "all", timeout)
        if not outcome.values:
            reader.require_conclusive(outcome)
        return reader.ranked(outcome)

    async def stream(
        self,
        key: InfoHash,
        *,
        owner: InfoHash | None = None,
        value_id: int | None = None,
        strength: Strength = "all",
        timeout: float | None = None,  # noqa: ASYNC109 - as in get
    ) -> AsyncIterator[Value]:
        """The values under *key* as they arrive, each once; a later revision may follow an earlier one.

        Ends when the search ends. Raises as :meth:`get`, the NetworkErrors only if no value came before.
        Leaving the iteration early stops the search.
        """
        arrived: deque[Value] = deque()
        news = asyncio.Event()

        def on_values(values: tuple[Value, ...]) -> None:
            arrived.extend(values)
            news.set()

        search = asyncio.ensure_future(self._get(key, owner, value_id, strength, timeout, on_values))
        search.add_done_callback(lambda _: news.set())
        try:
            while arrived or not search.done():
                while arrived:
                    yield arrived.popleft()
                if not search.done():
                    await news.wait()
                    news.clear()
            outcome = search.result()
            if not outcome.values:
                reader.require_conclusive(outcome)
        finally:
            search.cancel()
            await asyncio.wait([search])

    async def get_batch(
        self,
        keys: Iterable[InfoHash],
        *,
        owner: InfoHash | None = None,
        strength: Strength = "fresh",
        timeout: float | None = None,  # noqa: ASYNC109 - as in get, per key
    ) -> AsyncIterator[BatchItem]:
        """:meth:`get` of many keys, each reported once, as they finish; at most 16 are under way at once.

        A key about which nothing could be learned has its error in ``BatchItem.error``. Leaving the iteration
        early stops the rest. ValueError, before anything is asked, for an argument out of range.
        """
        _check_filters(owner, None)
        _check_search(strength, timeout)
        waiting = deque(dict.fromkeys(keys))
        for key in waiting:
            _check_key(key)
        running: set[asyncio.Task[BatchItem]] = set()

        async def fetch(key: InfoHash) -> BatchItem:
            try:
                values = await self.get(key, owner=owner, strength=strength, timeout=timeout)
            except NetworkError as error:
                return BatchItem(key, (), error)
            return BatchItem(key, values)

        try:
            while waiting or running:
                while waiting and len(running) < BATCH_KEYS:
                    running.add(asyncio.ensure_future(fetch(waiting.popleft())))
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                while waiting and len(running) < BATCH_KEYS:
                    running.add(asyncio.ensure_future(fetch(waiting.popleft())))
                for task in done:
                    yield task.result()
        finally:
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running)

    async def lookup(
        self,
        key: InfoHash,
        *,
        owner: InfoHash | None = None,
        value_id: int | None = None,
        strength: Strength = "all",
        timeout: float | None = None,  # noqa: ASYNC109 - as in get
    ) -> Lookup:
        """As :meth:`get_all`, with the evidence: who was asked, who answered, who holds what.

        When a value was made is no part of it: in this protocol only puts and pushes carry a date, answers to
        gets do not.

        Raises ValueError and NotConnectedError as :meth:`get`; too few answers are no error, see
        ``Lookup.conclusive``.
        """
        outcome = await self._get(key, owner, value_id, strength, timeout)
        if not outcome.connected:
            reader.require_conclusive(outcome)
        return Lookup(
            values=reader.ranked(outcome),
            conclusive=outcome.conclusive,
            asked=outcome.asked,
            answered=outcome.answered,
            nodes=outcome.evidence,
        )

    def listen(
        self,
        key: InfoHash,
        *,
        owner: InfoHash | None = None,
        value_id: int | None = None,
        limit: int = QUEUE_LIMIT,
    ) -> Subscription:
        """Changes of the values under *key*, for ``async with`` and ``async for``; starts when entered.

        The values that exist come first, as Added. It lives through losses of connection and ends with the
        node.

        Args:
            owner, value_id: as in :meth:`get`.
            limit: changes kept for the reader, at least 1; then the oldest go, see ``Subscription.dropped``.

        Raises:
            ValueError: *key*, *owner*, *value_id* or *limit* out of range; on entering, if too many listens
                run.
            NetworkError: on entering, if the node is stopped.
        """
        _check_key(key)
        _check_filters(owner, value_id)
        query = reader.query_for(owner, value_id)

        def start(subscription: Subscription, push: Callable[[ListenChanged], None]) -> Callable[[], None]:
            return self._host.listen(key, query, push, subscription.close)

        return Subscription(key, start, limit=limit)

    # -- the network

    async def ping(
        self,
        address: str | Address,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - part of the public face
    ) -> Pong:
        """Ask the node at *address* (``host:port``, or IP text and port) for a sign of life.

        Args:
            timeout: seconds to wait for it; None: three attempts, some seconds.

        Raises:
            ConfigError: *address* is none.
            NetworkError: its name does not resolve.
            OperationTimeoutError: nobody answered in time.
        """
        ipv4, ipv6 = self._host.families
        target = (await resolve(self._place(address), ipv4=ipv4, ipv6=ipv6))[0]
        try:
            async with asyncio.timeout(timeout):
                outcome = await self._host.run(lambda core, now: core.ping(target, now))
        except TimeoutError:
            raise OperationTimeoutError(asked=1, answered=0) from None
        assert isinstance(outcome, PingOutcome)
        if outcome.node_id is None or outcome.round_trip is None:
            raise OperationTimeoutError(asked=1, answered=0)
        return Pong(outcome.node_id, outcome.round_trip)

    async def bootstrap(self, addresses: Sequence[str | Address]) -> None:
        """Contact *addresses* at once, and whenever the connection is lost. Returns before they answer.

        Raises ConfigError for what is no address, NetworkError if none of the names resolves.
        """
        if isinstance(addresses, str):
            raise ConfigError("addresses: give a list of addresses, not one text")
        await self._host.contact([self._place(address) for address in addresses])

    def connectivity_changed(self) -> None:
        """This machine has another network now (woke up, changed its Wi-Fi).

        The node checks at once what is left of its contacts, and renews its listens.
        """
        self._host.call(lambda core, now: core.connectivity_changed(now))

    def export_state(self) -> NodeState:
        """Our id, good nodes and stored values, to start another node from; see ``core.node_state``."""
        return self._host.call(lambda core, now: core.export_state(now))

    def import_state(self, state: NodeState) -> None:
        """Take in *state*: its nodes are contacted, its values verified before they are served."""
        self._host.call(lambda core, now: core.import_state(state, now))

    def stats(self) -> dict[str, Any]:
        """Figures for logs and monitoring: the core's, and under ``runtime`` those of this process."""
        return {**self._host.core.stats(), "runtime": self._host.stats()}

    # -- inside

    @property
    def _host(self) -> Host:
        if self._running is None:
            raise NetworkError(NOT_STARTED)
        return self._running

    @property
    def _publisher(self) -> Publisher:
        if self._publishing is None:
            raise NetworkError(NOT_STARTED)
        return self._publishing

    async def _hold(self) -> None:
        """Wait for a connection as long as the configuration allows."""
        board = self._host.board
        self._host.check()
        if not board.connected:
            await board.wait_connected(self._config.hold_timeout)

    async def _put_signed(
        self,
        key: InfoHash,
        data: bytes,
        value_id: int | None,
        value_type: int,
        *,
        permanent: bool,
        verify: bool,
    ) -> PutReceipt:
        _check_key(key)
        _check_filters(None, value_id)
        data = bytes(memoryview(data))
        if self._config.identity is None:
            raise ConfigError(UNSIGNED)
        if len(data) > MAX_SIGNED_DATA:
            raise ValueError(
                f"a signed value holds at most {MAX_SIGNED_DATA} bytes, got {len(data)}: {LARGER}"
            )
        await self._hold()
        return await self._publisher.put_signed(
            self._config.identity,
            key,
            data,
            value_id=value_id,
            value_type=value_type,
            permanent=permanent,
            verify=verify,
        )

    async def _get(
        self,
        key: InfoHash,
        owner: InfoHash | None,
        value_id: int | None,
        strength: Strength,
        seconds: float | None,
        on_values: Callable[[tuple[Value, ...]], None] | None = None,
    ) -> GetOutcome:
        _check_key(key)
        _check_filters(owner, value_id)
        _check_search(strength, seconds)
        query = reader.query_for(owner, value_id)
        await self._hold()
        outcome = await self._host.run(
            lambda core, now: core.get(key, now, query=query, strength=strength, timeout=seconds), on_values
        )
        assert isinstance(outcome, GetOutcome)
        return outcome

    def _place(self, address: str | Address) -> HostPort:
        if isinstance(address, str):
            return parse(address, default_port=self._config.default_port)
        host, port = address
        if not host or not 1 <= port <= MAX_PORT:
            raise ConfigError(f"address {address!r}: a host, and a port from 1 to {MAX_PORT}")
        return HostPort(host, port)


def _check_key(key: InfoHash) -> None:
    if not isinstance(key, InfoHash):
        raise TypeError(f"a key is an InfoHash, got {type(key).__name__}: InfoHash.of() makes one of bytes")
    if key == ZERO:
        raise ValueError("the key is zero, which means none")


def _check_id(value_id: int) -> None:
    if not isinstance(value_id, int):
        raise TypeError(f"value_id is an int, got {type(value_id).__name__}")
    if not 1 <= value_id <= MAX_UINT64:
        raise ValueError(f"value_id: 1 to 2**64 - 1, got {value_id}")


def _check_filters(owner: InfoHash | None, value_id: int | None) -> None:
    if value_id is not None:
        _check_id(value_id)
    if owner is None:
        return
    if not isinstance(owner, InfoHash):
        raise TypeError(f"an owner is an InfoHash, got {type(owner).__name__}: the owner_id of an identity")
    if owner == ZERO:
        raise ValueError("owner: an owner_id is not zero")


def _check_search(strength: Strength, seconds: float | None) -> None:
    if strength not in get_args(Strength):
        raise ValueError(f"strength: one of {', '.join(get_args(Strength))}, got {strength!r}")
    if seconds is not None and not seconds >= 0:
        raise ValueError(f"timeout: seconds, 0 or more, got {seconds}")


def _type_for(ttl: float | None, permanent: bool) -> int:
    if ttl is None:
        return DNA_365_DAYS if permanent else DNA_7_DAYS
    if not 0 <= ttl <= MAX_TTL:
        raise ValueError(f"ttl: 0 to {MAX_TTL} seconds, got {ttl}")
    return type_for_ttl(int(ttl))
