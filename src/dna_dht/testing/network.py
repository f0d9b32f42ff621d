"""SimNetwork: whole nodes in one process, real datagrams between them, on a virtual clock.

Nothing makes time pass but the :class:`Agenda`: events are worked off in order, each at its moment, and each
is followed by what a driver would do: send, tell, arm the timer. All chance comes from the seed: delays and
losses from one generator, each node's own from another, the workload from a third, so that a change in one
does not shift the others. Same seed, same bytes: :attr:`SimNetwork.digest` covers each datagram sent, with
time, sender and receiver, and is equal on every machine and for every hash seed of the interpreter. The
harness costs some microseconds per datagram beside what the nodes do with it.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from functools import partial
from heapq import heappop, nsmallest
from math import inf
from random import Random
from typing import Literal

from dna_dht.core.config import CoreConfig, MaintenancePolicy
from dna_dht.core.dht import DhtCore
from dna_dht.core.effects import (
    Event,
    GetOutcome,
    ListenChanged,
    OperationDone,
    OperationId,
    PersistRequested,
    PingOutcome,
    PutOutcome,
    ValuesFound,
    VerifyRequested,
)
from dna_dht.core.instant import Instant
from dna_dht.core.values.value_types import DNA_7_DAYS
from dna_dht.testing.agenda import Action, Agenda
from dna_dht.testing.fake_crypto import FakeCrypto
from dna_dht.testing.faults import Faults
from dna_dht.testing.internet import Internet
from dna_dht.testing.operations import SimListener, SimOperation
from dna_dht.testing.sim_node import SimNode
from dna_dht.wire.address import Address
from dna_dht.wire.infohash import LENGTH, InfoHash
from dna_dht.wire.query import ANY, Query
from dna_dht.wire.value import Value

START = 10_000.0  # monotonic seconds at which every simulation begins; not 0, which often means "never"
EPOCH = 1_767_225_600.0  # Unix seconds at the same moment: 2026-01-01
BOOTSTRAPS = 3  # nodes that everybody knows, like the production network's
POLL = 0.1  # virtual seconds between two looks at a condition that no event announces
STANDSTILL = 1_000_000  # events at one instant that are taken for an endless loop

Strength = Literal["first", "fresh", "all"]


class SimNetwork:
    """A network that exists in this process only, and only as fast as its events can be worked off.

    Attributes:
        now: monotonic seconds of the virtual clock.
        nodes: all nodes that belong to the network, also those down; churn replaces leave it.
        crypto: signs and checks for everybody.
        rng: chance for the workload; use it instead of one of your own.
        internet: carries the datagrams, and counts them.
        events: datagrams, timers and actions worked off.
    """

    def __init__(
        self,
        seed: int,
        *,
        loss: float | None = None,
        faults: Faults | None = None,
        config: CoreConfig | None = None,
        maintenance: MaintenancePolicy | None = None,
    ) -> None:
        """An empty network.

        Args:
            seed: decides everything.
            loss: share of lost datagrams; short for ``faults=Faults(loss=...)``.
            faults: all that can go wrong.
            config: of every node that is added without its own; default: IPv4 only.
            maintenance: overrides the policy in *config*.
        """
        faults = faults or Faults()
        config = config or CoreConfig(ipv6=False)
        faults = faults if loss is None else replace(faults, loss=loss)
        self.config = config if maintenance is None else replace(config, maintenance=maintenance)
        self.seed = seed
        self.now = START
        self.nodes: list[SimNode] = []
        self.crypto = FakeCrypto()
        self.rng = Random(f"{seed} workload")
        self.events = 0
        self._chance = Random(f"{seed} network")
        self._agenda = Agenda()
        self.internet = Internet(faults, self._chance, self._agenda)
        self._joined = 0
        self._operations: dict[tuple[int, int, OperationId], SimOperation | SimListener] = {}

    # -- Nodes -----------------------------------------------------------------------------------------------

    def add(
        self,
        *,
        config: CoreConfig | None = None,
        bootstrap: Iterable[SimNode] | None = None,
        node_id: InfoHash | None = None,
        nat: bool | None = None,
    ) -> SimNode:
        """Start one more node; it bootstraps from *bootstrap* (default: the first three nodes that run)."""
        chance = self._chance
        index, self._joined = self._joined, self._joined + 1
        faults = self.internet.faults
        hidden = index >= BOOTSTRAPS and chance.random() < faults.unreachable if nat is None else nat
        node = SimNode(
            index,
            node_id or InfoHash(chance.randbytes(LENGTH)),
            config or self.config,
            salt=chance.getrandbits(32),
            clock_error=faults.clock_error * (2 * chance.random() - 1),
            nat=hidden,
        )
        known = self.bootstraps() if bootstrap is None else bootstrap
        self.nodes.append(node)
        self.internet.attach(node)
        self._start(node, known)
        return node

    def grow(self, count: int, *, interval: float = 0.1, settle: float = 30.0) -> list[SimNode]:
        """Add *count* nodes, one each *interval* seconds; return *settle* seconds after all are connected.

        AssertionError if one is not connected within two minutes after the last came.
        """
        grown: list[SimNode] = []
        for step in range(count):
            self.after(step * interval, lambda: grown.append(self.add()))
        self.run(max(count - 1, 0) * interval)
        if len(self.nodes) > 1 and not self.run_until(lambda: all(node.connected for node in grown), 120.0):
            lonely = [node for node in grown if not node.connected]
            raise AssertionError(f"seed {self.seed}: {len(lonely)} of {count} found no network: {lonely[:5]}")
        self.run(settle)
        return grown

    def bootstraps(self) -> list[SimNode]:
        """Whom newcomers are told about: the first three nodes that run."""
        found = []
        for node in self.nodes:
            if node.core is not None and node.contacts is None:
                found.append(node)
                if len(found) == BOOTSTRAPS:
                    break
        return found

    def crash(self, nodes: Iterable[SimNode]) -> None:
        """End *nodes* at once, without a word to anybody. What they know is kept for :meth:`restart`."""
        for node in nodes:
            if node.core is not None:
                node.state = node.core.export_state(self._instant(node))
                self._end(node)

    def say_goodbye(self, nodes: Iterable[SimNode]) -> None:
        """Tell *nodes* to shut down in order: they hand over what they hold. End them some seconds later."""
        for node in nodes:
            if node.core is not None:
                node.core.shutdown(self._instant(node))
                self._pump(node)

    def stop(self, nodes: Iterable[SimNode], *, grace: float = 10.0) -> None:
        """Let *nodes* shut down in order, and end them after *grace* seconds."""
        stopping = list(nodes)
        self.say_goodbye(stopping)
        self.run(grace)
        self.crash(stopping)

    def restart(
        self, nodes: Iterable[SimNode], *, state: bool = True, bootstrap: Iterable[SimNode] | None = None
    ) -> None:
        """Start *nodes* again, with what they knew (*state*) or with nothing but their id and address."""
        for node in nodes:
            if node.core is not None:
                raise RuntimeError(f"{node!r} runs already")
            self._start(node, self.bootstraps() if bootstrap is None else bootstrap, state=state)

    def remove(self, node: SimNode) -> None:
        """End *node* for good: its address answers no more, nothing of it is kept."""
        if node.core is not None:
            self._end(node)
        self.nodes.remove(node)
        self.internet.detach(node)

    def alive(self) -> list[SimNode]:
        """The nodes that run."""
        return [node for node in self.nodes if node.core is not None]

    # -- Operations ------------------------------------------------------------------------------------------

    def random_key(self) -> InfoHash:
        """A key nobody has used."""
        return InfoHash(self.rng.randbytes(LENGTH))

    def value(
        self,
        data: bytes,
        *,
        owner: str | None = "owner",
        value_id: int | None = None,
        value_type: int = DNA_7_DAYS,
        seq: int = 0,
    ) -> Value:
        """A value signed by the identity called *owner* (unsigned if None), by default with a random id."""
        number = value_id or self.rng.randrange(1, 2**64)
        if owner is None:
            return Value(id=number, type=value_type, data=data)
        return self.crypto.identity(owner).value(data, value_id=number, value_type=value_type, seq=seq)

    def start_put(
        self, node: SimNode, key: InfoHash, value: Value, *, permanent: bool = False, probe: bool = True
    ) -> SimOperation:
        """Begin a put; see :meth:`wait`."""
        operation = node.running.put(key, value, self._instant(node), permanent=permanent, probe=probe)
        return self._begun(node, operation)

    def start_get(
        self, node: SimNode, key: InfoHash, *, query: Query = ANY, strength: Strength = "fresh"
    ) -> SimOperation:
        """Begin a get; see :meth:`wait`."""
        operation = node.running.get(key, self._instant(node), query=query, strength=strength)
        return self._begun(node, operation)

    def put(
        self,
        node: SimNode,
        key: InfoHash,
        value: bytes | Value,
        *,
        permanent: bool = False,
        within: float = 60.0,
    ) -> PutOutcome:
        """Store *value* (bytes: signed by a common owner, with a random id) and return what became of it."""
        signed = value if isinstance(value, Value) else self.value(value)
        outcome = self.wait(self.start_put(node, key, signed, permanent=permanent), within=within).put
        if outcome is None:
            raise TypeError("the core answered a put with something else")
        return outcome

    def get(self, node: SimNode, key: InfoHash, *, strength: Strength = "fresh") -> tuple[bytes, ...]:
        """The data of all values at *key*, as far as *node* finds them, sorted."""
        return tuple(sorted(value.data for value in self.lookup(node, key, strength=strength).values))

    def lookup(
        self, node: SimNode, key: InfoHash, *, strength: Strength = "fresh", within: float = 60.0
    ) -> GetOutcome:
        """Like :meth:`get`, with the evidence."""
        outcome = self.wait(self.start_get(node, key, strength=strength), within=within).get
        if outcome is None:
            raise TypeError("the core answered a get with something else")
        return outcome

    def ping(self, node: SimNode, address: Address, *, within: float = 60.0) -> PingOutcome:
        """Ask whoever is at *address* for a sign of life."""
        begun = self._begun(node, node.running.ping(address, self._instant(node)))
        outcome = self.wait(begun, within=within).outcome
        if not isinstance(outcome, PingOutcome):
            raise TypeError("the core answered a ping with something else")
        return outcome

    def listen(self, node: SimNode, key: InfoHash, *, query: Query = ANY) -> SimListener:
        """Subscribe *node* to *key*; changes appear in the result as time passes."""
        operation = node.running.listen(key, self._instant(node), query=query)
        listener = SimListener(node, key, operation)
        self._operations[node.index, node.starts, operation] = listener
        self._pump(node)
        return listener

    def unlisten(self, listener: SimListener) -> None:
        """End a subscription."""
        node = listener.node
        node.running.cancel(listener.operation, self._instant(node))
        self._operations.pop((node.index, node.starts, listener.operation), None)
        self._pump(node)

    def wait(self, operation: SimOperation, *, within: float = 60.0) -> SimOperation:
        """Let time pass until *operation* is over; AssertionError if it is not *within* so many seconds."""
        if not operation.done:
            self._advance(self.now + within, operation)
        if not operation.done:
            raise AssertionError(f"seed {self.seed}: operation of {operation.node!r} open after {within} s")
        return operation

    def wait_all(self, operations: Collection[SimOperation], *, within: float = 60.0) -> None:
        """The same for several; those of nodes that died meanwhile stay without outcome."""
        deadline = self.now + within
        for operation in operations:
            if not operation.done and operation.node.core is not None:
                self._advance(deadline, operation)

    # -- Time ------------------------------------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self._advance(self.now + seconds, None)

    def run_until(self, condition: Callable[[], bool], within: float) -> bool:
        """Let time pass until *condition* holds; False if it does not *within* so many seconds."""
        deadline = self.now + within
        while not condition():
            if self.now >= deadline:
                return False
            self._advance(min(self.now + POLL, deadline), None)
        return True

    def after(self, seconds: float, action: Action) -> None:
        """Call *action* in so many seconds, at once if none."""
        self._agenda.action(self.now + max(seconds, 0.0), action)

    # -- Faults on demand ------------------------------------------------------------------------------------

    def block(self, senders: Iterable[SimNode], receivers: Iterable[SimNode]) -> None:
        """From now on nothing of *senders* reaches *receivers*; the other direction stays as it is."""
        self.internet.block(senders, receivers)

    def partition(self, one: Iterable[SimNode], other: Iterable[SimNode]) -> None:
        """Cut the network in two."""
        one, other = list(one), list(other)
        self.internet.block(one, other)
        self.internet.block(other, one)

    def heal(self) -> None:
        """Undo every :meth:`block` and :meth:`partition`."""
        self.internet.heal()

    # -- What an omniscient observer sees --------------------------------------------------------------------

    @property
    def digest(self) -> str:
        """Hash over everything sent so far, with times and addresses."""
        return self.internet.digest

    def holders(self, key: InfoHash, value_id: int | None = None) -> list[SimNode]:
        """The running nodes that store something at *key* (with *value_id*, if given)."""
        return [
            node
            for node in self.nodes
            if node.core is not None
            and any(value_id is None or stored.id == value_id for stored in node.core.storage.find(key, ANY))
        ]

    def true_closest(self, key: InfoHash, count: int = 8, *, besides: SimNode | None = None) -> list[SimNode]:
        """The running full nodes whose ids are closest to *key*, without *besides*, closest first."""
        number = int.from_bytes(key, "big")
        candidates = (
            node
            for node in self.nodes
            if node.core is not None and node is not besides and not node.config.client_mode
        )
        return nsmallest(count, candidates, key=lambda node: int.from_bytes(node.node_id, "big") ^ number)

    # -- The machine -----------------------------------------------------------------------------------------

    def _advance(self, until: float, operation: SimOperation | None) -> None:
        """Work off everything due by *until*, or until *operation* is over."""
        heap, standstill = self._agenda.heap, self.events + STANDSTILL
        while heap and heap[0][0] <= until:
            time, _, node, payload, detail = heappop(heap)
            if time > self.now:
                self.now, standstill = time, self.events + STANDSTILL
            if node is None:
                self.events += 1
                detail()  # type: ignore[operator, misc]  # an action has no node
            elif payload is None:
                if time == node.armed:
                    self._wake(node, time)
            elif node.core is not None:
                self.events += 1
                self._deliver(node, payload, detail)  # type: ignore[arg-type]  # a datagram has a source
            if operation is not None and operation.outcome is not None:
                return
            if self.events > standstill:
                raise AssertionError(f"seed {self.seed}: time stands still at {self.now}, last node {node!r}")
        self.now = max(self.now, until)

    def _deliver(self, node: SimNode, payload: bytes, source: Address) -> None:
        now = self.now
        if self.internet.admits(node, payload, source, now):
            node.running.receive(payload, source, Instant(now, now + (EPOCH - START) + node.clock_error))
            self._pump(node)

    def _wake(self, node: SimNode, time: float) -> None:
        node.armed = inf
        core = node.running
        due = core.next_wakeup()
        if due is not None and due <= time:
            self.events += 1
            core.on_timer(self._instant(node))
        self._pump(node)

    def _pump(self, node: SimNode) -> None:
        """What a driver does after every call: send, tell, arm the one timer."""
        core = node.core
        if core is None:
            return
        transmits = core.take_transmits()
        if transmits:
            self.internet.send(node, transmits, self.now)
        events = core.take_events()
        if events:
            for event in events:
                self._on_event(node, event)
        wakeup = core.next_wakeup()
        if wakeup is not None and wakeup < node.armed:
            node.armed = max(wakeup, self.now)
            self._agenda.timer(node.armed, node)

    def _on_event(self, node: SimNode, event: Event) -> None:
        match event:
            case VerifyRequested(job, owner, signature, message):
                valid = self.crypto.verify(owner, signature, message)
                self.after(
                    self.internet.faults.verify_time, partial(self._verified, node, node.starts, job, valid)
                )
            case PersistRequested():
                self.after(
                    self.internet.faults.commit_time,
                    partial(self._persisted, node, node.starts, event.ticket),
                )
            case ValuesFound(operation, values):
                begun = self._operations.get((node.index, node.starts, operation))
                if isinstance(begun, SimOperation):
                    begun.values += values
                    if begun.first_value is None:
                        begun.first_value = self.now
            case OperationDone(operation, outcome):
                begun = self._operations.pop((node.index, node.starts, operation), None)
                if isinstance(begun, SimOperation):
                    begun.outcome, begun.finished = outcome, self.now
            case ListenChanged(operation):
                begun = self._operations.get((node.index, node.starts, operation))
                if isinstance(begun, SimListener):
                    begun.changes.append(event)
                    begun.times.append(self.now)
            case _:  # changes of status and address concern only real drivers
                pass

    def _verified(self, node: SimNode, start: int, job: int, valid: bool) -> None:
        if node.core is not None and node.starts == start:
            node.core.verified(job, valid, self._instant(node))
            self._pump(node)

    def _persisted(self, node: SimNode, start: int, ticket: int) -> None:
        if node.core is not None and node.starts == start:
            node.core.persisted(ticket, True, self._instant(node))
            self._pump(node)

    def _begun(self, node: SimNode, operation: OperationId) -> SimOperation:
        begun = SimOperation(node, operation, self.now)
        self._operations[node.index, node.starts, operation] = begun
        self._pump(node)
        return begun

    def _start(self, node: SimNode, bootstrap: Iterable[SimNode], *, state: bool = False) -> None:
        node.starts += 1
        now = self._instant(node)
        chance = Random(f"{self.seed} node {node.index} start {node.starts}")
        node.core = DhtCore(node.config, node.node_id, rng=chance, now=now)
        node.armed = inf
        if state and node.state is not None:
            node.core.import_state(node.state, now)
        addresses = [address for known in bootstrap if known is not node for address in known.addresses]
        if addresses:
            node.core.bootstrap(addresses, now)
        self._pump(node)

    def _end(self, node: SimNode) -> None:
        node.core, node.armed = None, inf
        if node.contacts:
            node.contacts.clear()
        ended = [key for key in self._operations if key[0] == node.index]
        for key in ended:
            del self._operations[key]

    def _instant(self, node: SimNode) -> Instant:
        return Instant(self.now, self.now + (EPOCH - START) + node.clock_error)
