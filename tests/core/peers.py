"""Peers with programmable answers around one core, in virtual time.

A :class:`World` holds the core under test and its peers. A peer answers like an honest storing node; a test
makes it silent, slow, lossy, or gives it a *script* that answers in its place. Everything the core sends is
logged as a decoded message, with the time and the peer it went to.
"""

import heapq
from collections.abc import Callable, Iterable
from random import Random
from typing import Any, NamedTuple, TypeVar

from dna_dht.core.config import CoreConfig
from dna_dht.core.dht import DhtCore
from dna_dht.core.effects import (
    Event,
    GetOutcome,
    ListenChanged,
    OperationDone,
    OperationId,
    Outcome,
    PersistRequested,
    PutOutcome,
    ValuesFound,
    VerifyRequested,
)
from dna_dht.core.exchange.remote_node import RemoteNode
from dna_dht.core.instant import Instant
from dna_dht.core.operations.services import Services
from dna_dht.core.routing.routing_table import REPLIED
from dna_dht.testing.fake_crypto import FakeCrypto, FakeIdentity
from dna_dht.wire import encode
from dna_dht.wire.address import Address, family_of, pack_ip
from dna_dht.wire.compact_nodes import CompactNode, pack_nodes
from dna_dht.wire.decode import decode
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import (
    ErrorReply,
    Find,
    Get,
    Listen,
    Notice,
    Part,
    Ping,
    Put,
    Refresh,
    Reply,
    Update,
)
from dna_dht.wire.query import ANY, FieldAnswer, Query, answer_fields
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack, unpack

START = Instant(10_000.0, 1_700_000_000.0)
KEY = InfoHash.of(b"the key")
OWN_ID = InfoHash(bytes([KEY[0] ^ 0x80]) + KEY[1:])  # as far from the key as can be
RTT = 0.02  # seconds
OWN_ADDRESS = ("198.18.0.1", 4000)
EXPIRE_AFTER = 20.0  # seconds in which every operation of these tests ends

crypto = FakeCrypto()
T = TypeVar("T")
Script = Callable[["Peer", Any], list[bytes] | None]


def value(
    data: bytes = b"data", *, id: int = 1, seq: int = 0, owner: str = "owner", type: int = 0x1001
) -> Value:
    """A value with a signature that verifies here."""
    return crypto.identity(owner).value(data, value_id=id, seq=seq, value_type=type)


def forged(original: Value, **changes: Any) -> Value:
    """*original* with other content under the same signature."""
    fields = {name: getattr(original, name) for name in original.__struct_fields__}
    return Value(**(fields | changes))


def identity(name: str) -> FakeIdentity:
    return crypto.identity(name)


def near(key: InfoHash, rank: int) -> InfoHash:
    """The id with *rank* as its distance from *key*, in units that leave room between them."""
    return InfoHash((int.from_bytes(key, "big") ^ (rank << 100)).to_bytes(20, "big"))


class Sent(NamedTuple):
    """Something the core sent."""

    time: float
    peer: "Peer"
    message: Any


class Peer:
    """A storing node made by hand.

    Attributes:
        rtt: seconds from a request of the core to the answer.
        silent: it receives nothing and sends nothing.
        lose: how many of the next datagrams of the core it does not receive.
        values: what it stores, by key and id.
        neighbours: whom it names to finds and gets.
        token: what it gives out, and the only one it accepts.
        script: answers in its place; None from it means: answer as usual, [] nothing.
        listeners: (socket id, key) of those that listen.
        received: requests that arrived.
    """

    def __init__(self, world: "World", node_id: InfoHash, address: Address) -> None:
        self.world, self.id, self.address = world, node_id, address
        self.rtt = RTT
        self.silent = False
        self.lose = 0
        self.values: dict[InfoHash, dict[int, Value]] = {}
        self.neighbours: list[Peer] = []
        self.token = b"token of " + node_id[:8]
        self.script: Script | None = None
        self.listeners: dict[int, InfoHash] = {}
        self.received: list[Any] = []
        self._puts: dict[int, tuple[Put, dict[int, bytearray]]] = {}

    def hold(self, *values: Value, key: InfoHash = KEY) -> None:
        """Store *values* without being asked."""
        self.values.setdefault(key, {}).update({each.id: each for each in values})

    @property
    def node(self) -> RemoteNode:
        """What the core knows of it."""
        found = self.world.overlay(self).cache.find(self.id)
        assert found is not None
        return found

    def arrive(self, datagram: bytes) -> None:
        if self.lose:
            self.lose -= 1
            return
        if self.silent:
            return
        message = decode(datagram)
        if isinstance(message, Put) and message.sizes:
            if message.tid not in self._puts:
                pieces = {index: bytearray() for index, _ in message.sizes}
                self._puts[message.tid] = (message, pieces)
            return
        if isinstance(message, Part):
            message = self._assemble(message)
        if message is None or isinstance(message, Reply | ErrorReply):
            return
        self.received.append(message)
        answer = self.script(self, message) if self.script is not None else None
        for each in self.answer(message) if answer is None else answer:
            self.send(each)

    def send(self, datagram: bytes, delay: float | None = None) -> None:
        """Let *datagram* reach the core after *delay*, by default the round trip."""
        self.world.deliver(self, datagram, self.rtt if delay is None else delay)

    def answer(self, message: Any) -> list[bytes]:
        """What an honest node answers."""
        match message:
            case Ping() | Update():
                return [self.pong(message.tid)]
            case Find():
                return self.nodes_reply(message.tid)
            case Get():
                return self.get_reply(message)
            case Put():
                if message.token != self.token:
                    return [self.error(message.tid, 401)]
                self.hold(*message.values, key=message.key)
                return [self.put_reply(message.tid, each.id) for each in message.values]
            case Refresh():
                if message.token != self.token:
                    return [self.error(message.tid, 401)]
                if message.value_id not in self.values.get(message.key, {}):
                    return [self.error(message.tid, 404)]
                return [self.put_reply(message.tid, message.value_id)]
            case Listen():
                if message.token != self.token:
                    return [self.error(message.tid, 401)]
                new = message.socket_id not in self.listeners
                self.listeners[message.socket_id] = message.key
                stored = self.values.get(message.key, {}).values()
                matching = [each for each in stored if (message.query or ANY).matches(each)]
                pushes = [self.push(message.socket_id, each) for each in matching] if new else []
                return [*(datagram for push in pushes for datagram in push), self.pong(message.tid)]
        raise AssertionError(f"unexpected {message!r}")

    # -- answers

    def pong(self, tid: int) -> bytes:
        return encode.pong(tid, self.id, pack_ip(OWN_ADDRESS[0]))

    def put_reply(self, tid: int, value_id: int) -> bytes:
        return encode.put_reply(tid, self.id, value_id, pack_ip(OWN_ADDRESS[0]))

    def error(self, tid: int, code: int) -> bytes:
        return encode.error(tid, self.id, code, b"no")

    def get_reply(self, message: Get) -> list[bytes]:
        """Values or fields, as asked for."""
        query = message.query or ANY
        stored = [each for each in self.values.get(message.key, {}).values() if query.matches(each)]
        if query.select:
            return self.nodes_reply(message.tid, fields=answer_fields(query, stored))
        return self.nodes_reply(message.tid, values=stored)

    def nodes_reply(
        self, tid: int, *, values: Iterable[Value] = (), fields: FieldAnswer | None = None
    ) -> list[bytes]:
        named = [CompactNode(peer.id, peer.address) for peer in self.neighbours]
        family = family_of(self.address)
        blob = pack_nodes(named, family) if named else b""
        return encode.nodes_reply(
            tid,
            self.id,
            pack_ip(OWN_ADDRESS[0]),
            blob if family == 4 else b"",
            blob if family == 6 else b"",
            self.token,
            packed=[pack(each) for each in values],
            fields=fields,
        )

    def claim(self, tid: int, *rows: tuple[int, int]) -> list[bytes]:
        """The answer of somebody who says he holds (id, seq) ..."""
        return self.nodes_reply(tid, fields=FieldAnswer((1, 4), rows))

    def push(self, socket_id: int, *values: Value, tid: int = 77) -> list[bytes]:
        update = Update(tid=tid, sender=self.id, socket_id=socket_id, token=self.token, key=KEY, version=1)
        return encode.encode(update, [pack(each) for each in values])

    def tell(
        self,
        *values: Value,
        refreshed: Iterable[int] = (),
        expired: Iterable[int] = (),
        key: InfoHash = KEY,
    ) -> None:
        """Push a change to whoever listens to *key*."""
        for socket_id, listened in self.listeners.items():
            if listened != key:
                continue
            datagrams = self.push(socket_id, *values) if values else []
            if refreshed or expired:
                update = Update(
                    tid=78,
                    sender=self.id,
                    socket_id=socket_id,
                    token=self.token,
                    refreshed=tuple(refreshed),
                    expired=tuple(expired),
                )
                datagrams += encode.encode(update)
            for datagram in datagrams:
                self.send(datagram)

    def notice(self, socket_id: int, *, expired: tuple[int, ...]) -> None:
        """What a very old node sends instead of an update."""
        self.send(encode.encode(Notice(tid=socket_id, sender=self.id, expired=expired))[0])

    def _assemble(self, part: Part) -> Put | None:
        entry = self._puts.get(part.tid)
        if entry is None:
            return None
        put, pieces = entry
        for index, offset, data in part.pieces:
            if len(pieces[index]) == offset:
                pieces[index] += data
        if any(len(pieces[index]) < size for index, size in put.sizes):
            return None
        del self._puts[part.tid]
        whole = tuple(unpack(bytes(pieces[index])) for index, _ in put.sizes)
        return Put(
            tid=put.tid,
            sender=put.sender,
            key=put.key,
            token=put.token,
            values=whole,
            created=put.created,
        )


class World:
    """One core, its peers, and the time between them."""

    def __init__(self, config: CoreConfig | None = None, *, peers: int = 0, known: bool = True) -> None:
        """*peers*: so many, ranked by their distance to KEY; *known*: the core has heard from them."""
        self.now = START
        self.core = DhtCore(config or CoreConfig(ipv6=False), OWN_ID, rng=Random(7), now=START)
        self.peers: list[Peer] = []
        self.log: list[Sent] = []
        self.events: list[Event] = []
        self.verify_delay = 0.0
        self._by_address: dict[Address, Peer] = {}
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        for rank in range(1, peers + 1):
            self.add(near(KEY, rank))
        if known:
            self.know(*self.peers)

    # -- peers

    def add(self, node_id: InfoHash, address: Address | None = None) -> Peer:
        """A peer in a subnet of its own, unless it is given an address."""
        index = len(self.peers)
        peer = Peer(self, node_id, address or (f"31.{index // 200}.{index % 200}.1", 4000))
        self.peers.append(peer)
        self._by_address[peer.address] = peer
        return peer

    def know(self, *peers: Peer, tokens: bool = False) -> None:
        """Make the core know *peers* as good nodes, and perhaps their tokens."""
        for peer in peers:
            overlay = self.overlay(peer)
            node = overlay.cache.seen(peer.id, peer.address, confirmed=True)
            node.replied(self.now.mono, peer.rtt)
            if tokens:
                node.got_token(peer.token, self.now.mono)
            overlay.table.on_node(node, REPLIED)

    def settle(self) -> None:
        """Make the core believe that the nodes it knows are the closest to KEY."""
        for overlay in self.core.overlays.values():
            found = overlay.closest(KEY, 8)
            if found:
                number = int.from_bytes(KEY, "big")
                overlay.remember_surroundings(KEY, radius=found[-1].distance(number), nodes=len(found))

    def held(self, peer: Peer) -> int:
        """Who holds the node of *peer* in the cache, besides the table, which may keep it as a spare."""
        node = peer.node
        spares = [bucket.cached for bucket in self.overlay(peer).table.buckets()]
        return node.held - spares.count(node)

    def overlay(self, peer: Peer) -> Any:
        return self.core.overlays[family_of(peer.address)]

    # -- operations

    def get(self, strength: Any = "fresh", **options: Any) -> OperationId:
        operation = self.core.get(KEY, self.now, strength=strength, **options)
        self._pump()
        return operation

    def put(self, what: Value, **options: Any) -> OperationId:
        operation = self.core.put(KEY, what, self.now, **options)
        self._pump()
        return operation

    def listen(self, key: InfoHash = KEY, *, query: Query = ANY) -> OperationId:
        operation = self.core.listen(key, self.now, query=query)
        self._pump()
        return operation

    def cancel(self, operation: OperationId) -> None:
        self.core.cancel(operation, self.now)
        self._pump()

    def call(self, action: Callable[[Instant], T]) -> T:
        """Do something with the core at this time, and carry out what follows."""
        result = action(self.now)
        self._pump()
        return result

    def got(self, strength: Any = "fresh", **options: Any) -> GetOutcome:
        """Get, wait, and return the outcome."""
        outcome = self.outcome(self.get(strength, **options))
        assert isinstance(outcome, GetOutcome)
        return outcome

    def stored(self, what: Value, **options: Any) -> PutOutcome:
        """Put, wait, and return the outcome."""
        outcome = self.outcome(self.put(what, **options))
        assert isinstance(outcome, PutOutcome)
        return outcome

    def outcome(self, operation: OperationId) -> Outcome:
        """Wait for the end of *operation*."""
        end = self.now.mono + EXPIRE_AFTER
        while self.done(operation) is None:
            assert self.now.mono < end, "the operation does not end"
            self.run(0.01)
        outcome = self.done(operation)
        assert outcome is not None
        return outcome

    def done(self, operation: OperationId) -> Outcome | None:
        outcomes = [
            event.outcome
            for event in self.events
            if isinstance(event, OperationDone) and event.operation == operation
        ]
        assert len(outcomes) <= 1, "the end of an operation was told twice"
        return outcomes[0] if outcomes else None

    def found(self, operation: OperationId) -> list[Value]:
        """Values delivered, in order."""
        return [
            each
            for event in self.events
            if isinstance(event, ValuesFound) and event.operation == operation
            for each in event.values
        ]

    def changes(self, operation: OperationId) -> list[tuple[str, bytes]]:
        """(change, data) of a listen, in order."""
        return [
            (event.change, event.value.data)
            for event in self.events
            if isinstance(event, ListenChanged) and event.operation == operation
        ]

    def sent(self, kind: type, *, to: Peer | None = None, since: float = 0.0) -> list[Sent]:
        """Messages of one kind; finds and gets only those for KEY."""
        return [
            entry
            for entry in self.log
            if isinstance(entry.message, kind)
            and (to is None or entry.peer is to)
            and entry.time >= since
            and getattr(entry.message, "key", getattr(entry.message, "target", KEY)) == KEY
        ]

    def asked(self, kind: type, *, since: float = 0.0) -> list[Peer]:
        """Whom messages of one kind went to, in order."""
        return [entry.peer for entry in self.sent(kind, since=since)]

    @property
    def services(self) -> Services:
        """What the operations of the core work with."""
        return self.core._operations._services

    @property
    def open_requests(self) -> int:
        figure = self.core.stats()["open_requests"]
        assert isinstance(figure, int)
        return figure

    # -- time

    def deliver(self, peer: Peer, datagram: bytes, delay: float) -> None:
        source = peer.address
        self.at(delay, lambda: self.core.receive(datagram, source, self.now))

    def at(self, delay: float, action: Callable[[], None]) -> None:
        """Do *action* in *delay* seconds."""
        self._count += 1
        heapq.heappush(self._heap, (self.now.mono + delay, self._count, action))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now.mono + seconds
        self._pump()
        while True:
            timer = self.core.next_wakeup()
            datagram = self._heap[0][0] if self._heap else None
            due = min((time for time in (timer, datagram) if time is not None), default=None)
            if due is None or due > end:
                break
            self._to(due)
            if datagram is not None and datagram <= due:
                heapq.heappop(self._heap)[2]()
            else:
                self.core.on_timer(self.now)
            self._pump()
        self._to(end)

    def _to(self, mono: float) -> None:
        mono = max(mono, self.now.mono)
        self.now = Instant(mono, START.unix + mono - START.mono)

    def _pump(self) -> None:
        while True:
            transmits, events = self.core.take_transmits(), self.core.take_events()
            if not (transmits or events):
                return
            for destination, payload in transmits:
                peer = self._by_address.get(destination)
                if peer is not None:
                    self.log.append(Sent(self.now.mono, peer, decode(payload)))
                    peer.arrive(payload)
            for event in events:
                self.events.append(event)
                if isinstance(event, VerifyRequested):
                    self._verify(event)
                elif isinstance(event, PersistRequested):
                    self.core.persisted(event.ticket, True, self.now)

    def _verify(self, event: VerifyRequested) -> None:
        valid = crypto.verify(event.owner, event.signature, event.message)
        if self.verify_delay:
            self.at(self.verify_delay, lambda: self.core.verified(event.job, valid, self.now))
        else:
            self.core.verified(event.job, valid, self.now)
