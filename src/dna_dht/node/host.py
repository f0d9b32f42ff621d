"""Host: one core with everything it needs to live in an event loop.

It owns sockets, driver, threads, store writer and the operations under way, and is where the events of the
core find whom they are for. It knows nothing about what operations mean; that is :mod:`dna_dht.node.node`.

Starting: identity and state, sockets bound, core made and fed the state and the rows of the store, and only
then the first datagram is read: nothing arrives before its type is known, and nobody is told that a value is
not there because it was not loaded yet. What takes too long to load, and bootstrap addresses, follow while
the node serves.

Stopping, at most :data:`STOP_LIMIT` seconds in all: new operations are refused and waiting ones told; the
core hands its copies over; the state is written; sockets close; the store is flushed and closed; threads are
joined.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from random import SystemRandom
from typing import Any, Self, TypeVar

from dna_dht.core.dht import DhtCore
from dna_dht.core.effects import (
    Event,
    ListenChanged,
    OperationDone,
    OperationId,
    Outcome,
    PersistRequested,
    PublicAddressChanged,
    RestoreRefused,
    StatusChanged,
    ValuesFound,
    VerifyRequested,
)
from dna_dht.core.instant import Instant
from dna_dht.core.node_state import EMPTY, NodeState, SavedValue, decode_state, encode_state
from dna_dht.crypto.verifiers import load_verifier
from dna_dht.errors import ConfigError, NetworkError, StorageError
from dna_dht.node.config import NodeConfig
from dna_dht.node.joining import Joiner
from dna_dht.node.restore import Restorer
from dna_dht.node.status import StatusBoard
from dna_dht.runtime import udp
from dna_dht.runtime.clock import SystemClock
from dna_dht.runtime.driver import Driver
from dna_dht.runtime.lag import LagMeter
from dna_dht.runtime.mailbox import Mailbox
from dna_dht.runtime.resolve import HostPort, parse
from dna_dht.runtime.udp import UdpSockets
from dna_dht.runtime.verify_pool import VerifyPool, default_workers
from dna_dht.store.node_state_file import NodeStateFile, Ports
from dna_dht.store.port import Purge, Removal, Row
from dna_dht.store.writer import StoreWriter
from dna_dht.wire.address import Address, Family, family_of
from dna_dht.wire.infohash import LENGTH, InfoHash
from dna_dht.wire.query import Query
from dna_dht.wire.value import Value

STOP_LIMIT = 10.0  # seconds that stopping may take; reliability, T31
HAND_OVER_PATIENCE = 1.5  # seconds without progress after which it may no longer
WRITE_LIMIT = 2.0  # seconds of it in which puts that are done may reach the rest of the closest nodes
WRITE_PATIENCE = 0.3  # seconds without an answer after which they may no longer
LOOK = 0.01  # seconds between two looks whether something is over
FLUSH_LIMIT = 3.0  # seconds of it for what waits for the disk
LOAD_LIMIT = 1.0  # seconds that loading may delay the first answer; of two, reliability G9
PURGE_PERIOD = 86_400.0  # seconds between two purges of the store; spec 04, 13.5
IMPORT_SLICE = 100  # stored values of a state file handed to the core at once: about 2 ms

STOPPED = "the node is stopped"
Answer = TypeVar("Answer")
OnValues = Callable[[tuple[Value, ...]], None]
OnChange = Callable[[ListenChanged], None]
OnEnd = Callable[[], None]
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Operation:
    """A get, put or ping under way."""

    outcome: asyncio.Future[Outcome]
    on_values: OnValues | None


@dataclass(slots=True)
class _Listen:
    """A listen, and whom to tell that it ended because the host did."""

    on_change: OnChange
    on_end: OnEnd


class Host:
    """Runs the core of one node: :meth:`start` makes one, :meth:`stop` ends it. For the loop's thread.

    Attributes:
        board: the status. lag: of the event loop. public: family -> the host most nodes see us at.
    """

    def __init__(self, config: NodeConfig) -> None:
        """Only for :meth:`start`."""
        verifier = load_verifier(config.verifier)
        workers = default_workers() if config.verify_workers is None else config.verify_workers
        self.config = config
        self.board = StatusBoard()
        self.public: dict[Family, str] = {}
        self._loop = loop = asyncio.get_running_loop()
        self.lag = LagMeter(loop)
        self._clock = SystemClock()
        self._mailbox = Mailbox(loop)
        self._pool = VerifyPool(
            verifier, workers=workers, mailbox=self._mailbox, on_verified=self._on_verified, loop=loop
        )
        self._state_file = None if config.state_path is None else NodeStateFile(config.state_path)
        self._core: DhtCore
        self._driver: Driver
        self._joiner: Joiner
        self._writer: StoreWriter | None = None
        self._restorer: Restorer | None = None
        self._purge_timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._operations: dict[OperationId, _Operation] = {}
        self._listens: dict[OperationId, _Listen] = {}
        self._stop_task: asyncio.Task[None] | None = None
        self._handlers: dict[type, Callable[[Any], None]] = {
            VerifyRequested: self._pool.submit,
            PersistRequested: self._on_persist,
            ValuesFound: self._on_values,
            OperationDone: self._on_done,
            ListenChanged: self._on_listen,
            StatusChanged: self.board.show,
            PublicAddressChanged: self._on_public,
            RestoreRefused: self._on_restore_refused,
        }

    @classmethod
    async def start(cls, config: NodeConfig) -> Self:
        """A host that serves. Raises ConfigError, NetworkError, StorageError; then nothing is left behind."""
        host = None
        try:
            host = cls(config)
            await host._start()
        except BaseException:
            if host is not None:
                host._pool.stop()
                host._mailbox.close()
            if config.store is not None:
                config.store.close()
            raise
        return host

    # -- for the node

    @property
    def core(self) -> DhtCore:
        """To look at; calls that change it go through :meth:`call`."""
        return self._core

    @property
    def addresses(self) -> tuple[Address, ...]:
        """What is bound."""
        return self._driver.sockets.addresses

    @property
    def port(self) -> int:
        """The UDP port of both families."""
        return self._driver.sockets.port

    @property
    def families(self) -> tuple[bool, bool]:
        """Whether IPv4 and IPv6 are bound."""
        sockets = self._driver.sockets
        return sockets.ipv4 is not None, sockets.ipv6 is not None

    @property
    def operations(self) -> int:
        """Gets, puts and pings under way."""
        return len(self._operations)

    def check(self) -> None:
        """Raise NetworkError if the host stops or is stopped."""
        if self.board.closed:
            raise NetworkError(STOPPED)

    def call(self, action: Callable[[DhtCore, Instant], Answer]) -> Answer:
        """Call the core and pump."""
        self.check()
        return self._driver.call(lambda now: action(self._core, now))

    async def run(
        self, begin: Callable[[DhtCore, Instant], OperationId], on_values: OnValues | None = None
    ) -> Outcome:
        """Run the operation that *begin* starts; cancelling cancels it.

        Raises NetworkError if the host stops meanwhile.
        """
        outcome: asyncio.Future[Outcome] = self._loop.create_future()

        def register(core: DhtCore, now: Instant) -> OperationId:
            operation = begin(core, now)
            self._operations[operation] = _Operation(outcome, on_values)
            return operation

        operation = self.call(register)
        try:
            return await outcome
        finally:
            if self._operations.pop(operation, None) is not None and not self.board.closed:
                self.call(partial(_cancel, operation))

    def listen(self, key: InfoHash, query: Query, on_change: OnChange, on_end: OnEnd) -> Callable[[], None]:
        """Listen to *key*; returns what ends it. *on_end* is called if the host stops before."""

        def register(core: DhtCore, now: Instant) -> OperationId:
            operation = core.listen(key, now, query=query)
            self._listens[operation] = _Listen(on_change, on_end)
            return operation

        operation = self.call(register)

        def end() -> None:
            if self._listens.pop(operation, None) is not None and not self.board.closed:
                self.call(partial(_cancel, operation))

        return end

    async def work(self, function: Callable[[], Answer]) -> Answer:
        """Run *function* beside the loop, in a thread of the verification pool."""
        self.check()
        return await self._pool.run(function)

    async def contact(self, places: Sequence[HostPort]) -> None:
        """Ping *places* now, and again whenever the connection is lost. NetworkError if none resolves."""
        self.check()
        errors = await self._joiner.contact(places)
        self.check()
        if places and len(errors) == len(places):
            raise errors[0]

    def stats(self) -> dict[str, Any]:
        """Figures of this machine; those of the network are the core's."""
        store = self.config.store
        return {
            "driver": dict(self._driver.counters),
            "lag": self.lag.lag._asdict(),
            "verifications_waiting": self._pool.waiting,
            "operations": len(self._operations),
            "listens": len(self._listens),
            "restored": None if self._restorer is None else self._restorer.rows,
            "restoring": self._restorer is not None and not self._restorer.done.is_set(),
            "persists_waiting": 0 if self._writer is None else self._writer.pending,
            "store": None if store is None else asdict(store.stats()),
            "store_healthy": self._writer is None or self._writer.healthy,
        }

    async def stop(self) -> None:
        """End everything, within :data:`STOP_LIMIT` seconds. Idempotent; goes on when it is cancelled."""
        if self._stop_task is None:
            self._stop_task = self._loop.create_task(self._stop())
        await asyncio.shield(self._stop_task)

    # -- starting

    async def _start(self) -> None:
        config = self.config
        state, port = EMPTY, config.port
        if self._state_file is not None:
            state = await self._pool.run(partial(_read_state, self._state_file))
            if port == 0:
                port = await self._pool.run(partial(_last_port, self._state_file))
        sockets = self._bind(port)
        try:
            self._start_core(state, sockets)
            if self._state_file is not None:
                await self._pool.run(partial(_save_ports, self._state_file, sockets))
            await self._load(state)
        except BaseException:
            sockets.close()
            for task in list(self._tasks):
                task.cancel()
            if self._restorer is not None:
                self._restorer.stop()
            if self._writer is not None:
                self._writer.stop(FLUSH_LIMIT)  # nothing waits yet
            raise
        self._driver.start()
        self.lag.start()
        self._purge()
        self._spawn(self._join())

    async def _load(self, state: NodeState) -> None:
        """Give the core what was kept, before anybody is told that it is not there.

        Datagrams wait in the socket meanwhile, at most :data:`LOAD_LIMIT` seconds; a larger store goes on
        loading while the node serves.
        """
        loading: list[asyncio.Task[None]] = []
        if state.values:
            loading.append(self._spawn(self._import_values(state.values)))
        if self.config.store is not None:
            self._writer = StoreWriter(self.config.store, self._on_committed)
            self._restorer = Restorer(self.config.store, self._mailbox, self._restore)
            self._restorer.start()
            loading.append(self._spawn(self._restored(self._restorer)))
        if loading:
            await asyncio.wait(loading, timeout=LOAD_LIMIT)

    async def _restored(self, restorer: Restorer) -> None:
        await restorer.done.wait()

    def _bind(self, port: int) -> UdpSockets:
        config = self.config
        ipv4 = config.ipv4_host if config.core.ipv4 else None
        ipv6 = config.ipv6_host if config.core.ipv6 else None
        if port != config.port:
            with suppress(ConfigError, NetworkError):  # the port of the last run may be taken by now
                return udp.bind(port, ipv4=ipv4, ipv6=ipv6)
        return udp.bind(config.port, ipv4=ipv4, ipv6=ipv6)

    def _start_core(self, state: NodeState, sockets: UdpSockets) -> None:
        config, rng = self.config, SystemRandom()
        if config.identity is not None and not config.random_id:
            node_id = config.identity.node_id
        else:
            node_id = state.node_id or InfoHash(rng.randbytes(LENGTH))
        core_config = replace(
            config.core,
            ipv4=sockets.ipv4 is not None,
            ipv6=sockets.ipv6 is not None,
            persist=config.store is not None,
        )
        now = self._clock.now()
        self._core = DhtCore(core_config, node_id, rng=rng, now=now)
        self._driver = Driver(
            self._core,
            sockets,
            clock=self._clock,
            on_event=self._on_event,
            on_pumped=self._pool.hand_out,
            loop=self._loop,
        )
        self._core.import_state(NodeState(state.node_id, state.nodes), now)
        self._joiner = Joiner(
            [parse(text, default_port=config.default_port) for text in config.bootstrap],
            self._on_resolved,
            self.board,
            ipv4=core_config.ipv4,
            ipv6=core_config.ipv6,
        )

    async def _import_values(self, values: Sequence[SavedValue]) -> None:
        for start in range(0, len(values), IMPORT_SLICE):
            state = NodeState(values=tuple(values[start : start + IMPORT_SLICE]))
            self.call(partial(_import, state))
            await asyncio.sleep(0)

    def _restore(self, rows: list[Row]) -> None:
        def restore(core: DhtCore, now: Instant) -> None:
            for row in rows:
                if row.expires is None or row.expires > now.unix:
                    core.restore(row.key, row.packed, row.created, row.expires, now)

        if not self.board.closed:
            self.call(restore)

    def _purge(self) -> None:
        if self._writer is not None:
            self._writer.submit(Purge(self._clock.now().unix))
            self._purge_timer = self._loop.call_later(PURGE_PERIOD, self._purge)

    async def _join(self) -> None:
        with suppress(NetworkError):  # the host stops
            await self._joiner.run()

    def _on_resolved(self, addresses: Sequence[Address]) -> None:
        if not self.board.closed:
            self.call(lambda core, now: core.bootstrap(addresses, now))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("background work failed", exc_info=error)

    # -- events of the core, results of threads

    def _on_event(self, event: Event) -> None:
        self._handlers[type(event)](event)

    def _on_verified(self, results: list[tuple[int, bool]]) -> None:
        def verified(now: Instant) -> None:
            for job, valid in results:
                self._core.verified(job, valid, now)

        self._driver.call(verified)

    def _on_persist(self, event: PersistRequested) -> None:
        row = Row(
            key=event.key,
            value_id=event.value_id,
            packed=event.packed,
            value_type=event.value_type,
            seq=event.seq,
            created=event.created,
            expires=event.expires,
        )
        if self._writer is None or not self._writer.submit(row, event.ticket):
            self._on_persisted([([event.ticket], False)])

    def _on_committed(self, tickets: Sequence[int], ok: bool) -> None:
        """In the writer's thread."""
        self._mailbox.post(self._on_persisted, (tickets, ok))

    def _on_persisted(self, commits: list[tuple[Sequence[int], bool]]) -> None:
        def persisted(now: Instant) -> None:
            for tickets, ok in commits:
                for ticket in tickets:
                    self._core.persisted(ticket, ok, now)

        self._driver.call(persisted)

    def _on_values(self, event: ValuesFound) -> None:
        operation = self._operations.get(event.operation)
        if operation is not None and operation.on_values is not None:
            operation.on_values(event.values)

    def _on_done(self, event: OperationDone) -> None:
        operation = self._operations.pop(event.operation, None)
        if operation is not None and not operation.outcome.done():
            operation.outcome.set_result(event.outcome)

    def _on_listen(self, event: ListenChanged) -> None:
        listen = self._listens.get(event.operation)
        if listen is not None:
            listen.on_change(event)

    def _on_public(self, event: PublicAddressChanged) -> None:
        self.public[family_of((event.host, 0))] = event.host

    def _on_restore_refused(self, event: RestoreRefused) -> None:
        """A row that nobody signed: forget it, unless another has taken its place."""
        if self._writer is not None:
            self._writer.submit(Removal(event.key, event.value_id, event.packed))

    # -- stopping

    async def _stop(self) -> None:
        try:
            self._refuse()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._finish_writing()
            await self._hand_over()
            if self._state_file is not None:
                await self._save_state(self._state_file)
        finally:
            self._driver.stop()
            self.lag.stop()
            if self._writer is not None:
                await self._pool.run(partial(self._writer.stop, FLUSH_LIMIT))
            self._pool.stop()
            self._mailbox.close()
            if self.config.store is not None:
                self.config.store.close()

    def _refuse(self) -> None:
        """No new operations; those under way, and everybody waiting, are told."""
        listens, operations = dict(self._listens), dict(self._operations)
        for operation in (*listens, *operations):
            self.call(partial(_cancel, operation))
        self.board.close()
        self._listens.clear()
        self._operations.clear()
        for listen in listens.values():
            listen.on_end()
        for running in operations.values():
            if not running.outcome.done():
                running.outcome.set_exception(NetworkError(STOPPED))
        for task in list(self._tasks):
            task.cancel()
        if self._purge_timer is not None:
            self._purge_timer.cancel()
        if self._restorer is not None:
            self._restorer.stop()

    async def _finish_writing(self) -> None:
        """Let puts that reached their quorum reach the rest of the closest nodes."""
        await self._dwindle(lambda: self._core.writing, WRITE_LIMIT, WRITE_PATIENCE)

    async def _hand_over(self) -> None:
        """Give the core time to bring its copies to others, as long as somebody answers.

        With a store they stay on disk, and what renewal has under way does not matter any more.
        """
        self._driver.call(self._core.shutdown)
        if self.config.store is None:
            limit = self.config.hand_over_timeout
            left = await self._dwindle(lambda: self._core.handing_over, limit, HAND_OVER_PATIENCE)
            if left:
                _log.info("%d copies were not handed over", left)

    async def _dwindle(self, count: Callable[[], int], limit: float, patience: float) -> int:
        """Wait until *count* is 0, at most *limit* seconds, *patience* of them without change; the rest."""
        started = changed = self._loop.time()
        left = count()
        while left and self._loop.time() <= min(started + limit, changed + patience):
            await asyncio.sleep(LOOK)
            before, left = left, count()
            if left != before:
                changed = self._loop.time()
        return left

    async def _save_state(self, file: NodeStateFile) -> None:
        state = self._core.export_state(self._clock.now())
        try:
            await self._pool.run(lambda: file.write(encode_state(state)))
        except (StorageError, ValueError) as error:
            _log.error("the state of the node is not saved: %s", error)


def _import(state: NodeState, core: DhtCore, now: Instant) -> None:
    core.import_state(state, now)


def _cancel(operation: OperationId, core: DhtCore, now: Instant) -> None:
    core.cancel(operation, now)


def _read_state(file: NodeStateFile) -> NodeState:
    content = file.read()
    if content is None:
        return EMPTY
    state = decode_state(content)
    if state == EMPTY:
        _log.warning("the state file %s is damaged: nodes known and values held before are lost", file.path)
    return state


def _last_port(file: NodeStateFile) -> int:
    ports = file.read_ports()
    return 0 if ports is None else ports.ipv4 or ports.ipv6


def _save_ports(file: NodeStateFile, sockets: UdpSockets) -> None:
    port = sockets.port
    try:
        file.write_ports(Ports(port if sockets.ipv4 else 0, port if sockets.ipv6 else 0))
    except StorageError as error:
        _log.warning("the port is not remembered: %s", error)
