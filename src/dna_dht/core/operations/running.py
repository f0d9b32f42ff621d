"""Operations: what the user of the node has running, by number, and what the node keeps alive for them."""

from collections.abc import Callable
from functools import partial

from dna_dht.core.effects import OperationDone, OperationId, Outcome, PingOutcome, PutOutcome
from dna_dht.core.exchange.requests import Request
from dna_dht.core.operations.announces import Announce, Announces
from dna_dht.core.operations.get import GetOperation, Strength
from dna_dht.core.operations.listen import ListenOperation
from dna_dht.core.operations.put import Mode, PutOperation
from dna_dht.core.operations.services import Services
from dna_dht.core.values.persistence import Persistence
from dna_dht.core.values.restoring import Restoring
from dna_dht.core.values.stored_value import Change, StoredValue
from dna_dht.wire.address import Address
from dna_dht.wire.infohash import ZERO, InfoHash
from dna_dht.wire.messages import Reply
from dna_dht.wire.query import Query, pack_query
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack

Running = GetOperation | PutOperation | ListenOperation | Request


class Operations:
    """Starts, knows and ends operations. Each ends with exactly one OperationDone, unless it is cancelled."""

    def __init__(self, services: Services, persistence: Persistence, restoring: Restoring) -> None:
        self._services = services
        self._ctx = services.ctx
        self._persistence = persistence
        self._restoring = restoring
        self._announces = Announces(services.ctx)
        self._announces.refresh = self._refresh
        self._running: dict[OperationId, Running] = {}
        self._listens: dict[InfoHash, list[ListenOperation]] = {}
        self._puts: set[PutOperation] = set()  # also those that are done but still write in the background
        self._last = 0

    # -- starting

    def ping(self, address: Address) -> OperationId:
        operation = self._number()

        def answered(reply: Reply) -> None:
            self._finish(operation, PingOutcome(reply.sender, self._ctx.now.mono - request.sent_at))

        request = self._services.requests.ping_address(
            address,
            self._services.composer.ping,
            on_reply=answered,
            on_failed=lambda code: self._finish(operation, PingOutcome(None, None)),
        )
        self._running[operation] = request
        return operation

    def get(
        self,
        key: InfoHash,
        where: tuple[tuple[int, int | bytes], ...],
        strength: Strength,
        timeout: float,
    ) -> OperationId:
        pack_query(Query((), where))
        operation = self._number(key)
        running = GetOperation(
            self._services, operation, key, where, strength, timeout, partial(self._finish, operation)
        )
        self._running[operation] = running
        if not (self._restoring.concerns(key) and self._restoring.demand(key, running.start)):
            running.start()
        return operation

    def put(
        self, key: InfoHash, value: Value, *, permanent: bool, created: float | None, probe: bool
    ) -> OperationId:
        operation = self._number(key)
        if not value.id:
            raise ValueError("a value needs an id, 1 to 2**64 - 1")
        now, storage = self._ctx.now, self._services.storage
        packed = pack(value)
        born = now.mono if created is None else now.mono - max(0.0, now.unix - created)
        held = storage.get(key, value.id)
        stored = storage.store(key, value, packed, created=born, source="", permanent=permanent)
        if stored is not None:
            self._persistence.commit(stored, _nothing)
        elif held is not None and held.seq >= value.seq:
            conflicts = ((held.seq, 1),)
            self._finish(operation, PutOutcome(0, 0, 0, quorum=False, connected=True, conflicts=conflicts))
            return operation
        announce = None
        if permanent:
            announce = Announce(key, value.id, value.type, value.seq, packed)
            self._announces.add(announce)
        running = self._start_put(
            Announce(key, value.id, value.type, value.seq, packed) if announce is None else announce,
            None if permanent or created is None else int(max(0.0, min(created, now.unix))),
            "first" if probe else "update",
            partial(self._on_put_done, operation, announce),
        )
        if not running.done:
            self._running[operation] = running
        return operation

    def listen(self, key: InfoHash, query: Query) -> OperationId:
        pack_query(Query((), query.where))
        most = self._ctx.config.limits.listens
        if self.listening >= most:
            raise ValueError(f"too many listens: at most {most} at once")
        operation = self._number(key)
        running = ListenOperation(self._services, operation, key, query)
        self._running[operation] = running
        self._listens.setdefault(key, []).append(running)
        running.start()
        return operation

    def keep_alive(self, stored: StoredValue) -> None:
        """A permanent value came back from disk."""
        announce = Announce(stored.key, stored.id, stored.type, stored.seq, stored.packed)
        self._announces.resume(announce)

    # -- ending

    def cancel(self, operation: OperationId) -> None:
        """Stop an operation; no event about it follows. One that is over is ignored. A permanent value is
        kept alive all the same, until :meth:`cancel_put`.
        """
        running = self._running.pop(operation, None)
        if isinstance(running, Request):
            self._services.requests.cancel(running)
        elif running is not None:
            running.cancel()
        if isinstance(running, PutOperation):
            self._puts.discard(running)
            self._announces.on_cancelled(running.key, running.value_id)
        elif isinstance(running, ListenOperation):
            listens = self._listens[running.key]
            listens.remove(running)
            if not listens:
                del self._listens[running.key]

    def cancel_put(self, key: InfoHash, value_id: int) -> bool:
        found = self._announces.cancel(key, value_id)
        return self._services.storage.remove(key, value_id) or found

    # -- being told

    def on_change(self, key: InfoHash, change: Change) -> None:
        """Our own store changed."""
        for running in self._listens.get(key, ()):
            running.on_local_change(change)

    def on_connected(self) -> None:
        """The node has company again."""
        for running in self._all_listens():
            running.on_connected()

    def on_network_changed(self) -> None:
        """Nobody knows our address any more."""
        for running in self._all_listens():
            running.resubscribe()

    # -- figures

    @property
    def listening(self) -> int:
        return sum(map(len, self._listens.values()))

    @property
    def writing(self) -> int:
        """Requests of puts under way, also of those that are done and write on in the background."""
        return sum(put.under_way for put in self._puts)

    @property
    def announcing(self) -> int:
        return len(self._announces)

    def __len__(self) -> int:
        return len(self._running)

    # -- inside

    def _all_listens(self) -> list[ListenOperation]:
        return [running for listens in self._listens.values() for running in listens]

    def _start_put(
        self, value: Announce, created: int | None, mode: Mode, on_done: Callable[[PutOutcome], None]
    ) -> PutOperation:
        running = PutOperation(
            self._services,
            value.key,
            value.value_id,
            value.seq,
            value.packed,
            created,
            mode,
            self._ctx.config.operation_timeout,
            on_done,
            self._puts.discard,
        )
        self._puts.add(running)
        running.start()
        return running

    def _refresh(self, announce: Announce, then: Callable[[PutOutcome], None]) -> None:
        self._start_put(announce, None, "refresh", then)

    def _on_put_done(self, operation: OperationId, announce: Announce | None, outcome: PutOutcome) -> None:
        if announce is not None:
            self._announces.on_outcome(announce, outcome)
        self._finish(operation, outcome)

    def _number(self, key: InfoHash | None = None) -> OperationId:
        if key == ZERO:
            raise ValueError("the zero key stores nothing")
        self._last += 1
        return self._last

    def _finish(self, operation: OperationId, outcome: Outcome) -> None:
        self._running.pop(operation, None)
        self._ctx.outbox.emit(OperationDone(operation, outcome))


def _nothing() -> None:
    """Nobody waits for the commit of our own value: its put is acknowledged by other nodes."""
