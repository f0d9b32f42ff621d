"""Strangers at every address around one core, in virtual time; nothing happens that a test does not say.

What the core sends is decoded and kept per address. Signature checks are answered at once (by a registry of
fake keys), unless they are held back; so are commits. Strangers are clients, whom the core does not ping to
get to know them, and never answer, except with :meth:`confirm`.
"""

from random import Random
from typing import Any

from dna_dht.core.config import CoreConfig, Limits
from dna_dht.core.dht import DhtCore
from dna_dht.core.effects import Event, PersistRequested, VerifyRequested
from dna_dht.core.instant import Instant
from dna_dht.testing.fake_crypto import FakeCrypto
from dna_dht.wire import encode
from dna_dht.wire.address import Address, pack_ip
from dna_dht.wire.decode import decode
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import (
    ErrorReply,
    Find,
    Get,
    Listen,
    Message,
    Part,
    Ping,
    Put,
    Refresh,
    Reply,
    Update,
    with_values,
)
from dna_dht.wire.query import Query
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack, unpack

START = Instant(10_000.0, 1_700_000_000.0)
KEY = InfoHash.of(b"the key")
ALICE: Address = ("192.0.2.1", 4000)
BOB: Address = ("198.51.100.2", 4001)
CAROL: Address = ("203.0.113.3", 4002)
SIX: Address = ("2a01:4f8::6", 4000)

crypto = FakeCrypto()


def value(
    data: bytes = b"data", *, id: int = 1, seq: int = 0, owner: str = "owner", type: int = 0x1001
) -> Value:
    """A value with a signature that verifies here."""
    return crypto.identity(owner).value(data, value_id=id, seq=seq, value_type=type)


def forged(data: bytes = b"forged", *, id: int = 1, seq: int = 0) -> Value:
    """A value whose signature has the right length only."""
    real = value(b"something else", id=id, seq=seq)
    return Value(id=id, type=real.type, data=data, seq=seq, owner=real.owner, signature=real.signature)


def id_of(address: Address) -> InfoHash:
    return InfoHash.of(f"node at {address}".encode())


class Stage:
    """The core, and what it sent.

    Attributes:
        hold_checks, hold_commits: keep them in *checks* and *commits* instead of answering.
        sent: every datagram of the core, as (address, bytes), in order.
    """

    def __init__(self, config: CoreConfig | None = None, **limits: int) -> None:
        if config is None:
            config = CoreConfig(exempt_loopback=False, limits=Limits(**limits))
        self.now = START
        self.core = DhtCore(config, InfoHash.of(b"the node on stage"), rng=Random(7), now=START)
        self.hold_checks = self.hold_commits = False
        self.checks: list[VerifyRequested] = []
        self.commits: list[PersistRequested] = []
        self.events: list[Event] = []
        self.sent: list[tuple[Address, bytes]] = []
        self._tokens: dict[Address, bytes] = {}
        self._tid = 100

    # -- what strangers do

    def receive(self, message: Message | bytes, source: Address, packed: tuple[bytes, ...] = ()) -> None:
        """A message (with *packed* values, perhaps in parts) arrives."""
        datagrams = [message] if isinstance(message, bytes) else encode.encode(message, packed)
        for datagram in datagrams:
            self.core.receive(datagram, source, self.now)
            self.pump()

    def ask(self, message: Message | bytes, source: Address, packed: tuple[bytes, ...] = ()) -> list[Message]:
        """The same; returns what the source was sent meanwhile."""
        self.take(source)
        self.receive(message, source, packed)
        return self.take(source)

    def tid(self) -> int:
        self._tid += 1
        return self._tid

    def token(self, source: Address) -> bytes:
        """A token of *source*, from a find."""
        if source not in self._tokens:
            (reply,) = self.ask(Find(tid=self.tid(), sender=id_of(source), target=KEY, client=True), source)
            assert isinstance(reply, Reply)
            self._tokens[source] = reply.token
        return self._tokens[source]

    def ping(self, source: Address) -> list[Message]:
        return self.ask(Ping(tid=self.tid(), sender=id_of(source), client=True), source)

    def get(self, source: Address, query: Query | None = None, key: InfoHash = KEY) -> list[Message]:
        get = Get(tid=self.tid(), sender=id_of(source), key=key, query=query, client=True)
        return self.ask(get, source)

    def put(
        self, source: Address, *values: Value, key: InfoHash = KEY, created: int | None = None, **fields: Any
    ) -> list[Message]:
        token = fields.pop("token", None)
        put = Put(
            tid=fields.pop("tid", None) or self.tid(),
            sender=id_of(source),
            key=key,
            token=self.token(source) if token is None else token,
            created=created,
            client=True,
        )
        return self.ask(put, source, tuple(pack(each) for each in values))

    def refresh(self, source: Address, value_id: int, key: InfoHash = KEY) -> list[Message]:
        token = self.token(source)
        refresh = Refresh(
            tid=self.tid(), sender=id_of(source), key=key, value_id=value_id, token=token, client=True
        )
        return self.ask(refresh, source)

    def listen(
        self,
        source: Address,
        socket_id: int = 5,
        *,
        key: InfoHash = KEY,
        query: Query | None = None,
        confirm: bool = True,
    ) -> list[Message]:
        token = self.token(source)
        listen = Listen(
            tid=self.tid(),
            sender=id_of(source),
            key=key,
            token=token,
            socket_id=socket_id,
            query=query,
            version=1,
            client=True,
        )
        answers = self.ask(listen, source)
        if confirm:
            self.confirm(source, answers)
        return answers

    def confirm(self, source: Address, messages: list[Message]) -> None:
        """Answer pings and updates."""
        for message in messages:
            if isinstance(message, Ping | Update):
                self.pong(source, message.tid)

    def pong(self, source: Address, tid: int, sender: InfoHash | None = None) -> None:
        seen = pack_ip(ALICE[0])
        self.receive(encode.pong(tid, sender or id_of(source), seen, client=sender is None), source)

    def prove(self, source: Address) -> None:
        """Make *source* an address that receives what the core sends."""
        (answer,) = self.put(source, value(id=2**40), key=InfoHash.of(b"proof %r" % (source,)))
        assert isinstance(answer, Reply) and answer.value_id == 2**40

    # -- what comes out

    def take(self, destination: Address) -> list[Message]:
        """What *destination* was sent and nobody took, with values put together from their parts."""
        messages = assembled([payload for to, payload in self.sent if to == destination])
        while messages is None:  # a long burst is spread over some milliseconds
            self.wait(0.001)
            messages = assembled([payload for to, payload in self.sent if to == destination])
        self.sent = [entry for entry in self.sent if entry[0] != destination]
        return messages

    def wait(self, seconds: float) -> None:
        """Let virtual time pass."""
        end = self.now.mono + seconds
        while (due := self.core.next_wakeup()) is not None and due <= end:
            self._to(max(due, self.now.mono))
            self.core.on_timer(self.now)
            self.pump()
        self._to(end)

    def pump(self) -> None:
        while True:
            transmits, events = self.core.take_transmits(), self.core.take_events()
            if not transmits and not events:
                return
            self.sent += transmits
            for event in events:
                if isinstance(event, VerifyRequested):
                    if self.hold_checks:
                        self.checks.append(event)
                    else:
                        self.core.verified(event.job, _is_valid(event), self.now)
                elif isinstance(event, PersistRequested):
                    self.commits.append(event)
                    if not self.hold_commits:
                        self.core.persisted(event.ticket, True, self.now)
                else:
                    self.events.append(event)

    def check(self, number: int = 0) -> None:
        """Answer one signature check that was held back, truly."""
        event = self.checks.pop(number)
        self.core.verified(event.job, _is_valid(event), self.now)
        self.pump()

    def commit(self, number: int = 0, *, ok: bool = True) -> None:
        """Answer one commit that was held back."""
        self.core.persisted(self.commits.pop(number).ticket, ok, self.now)
        self.pump()

    def stored(self, key: InfoHash = KEY) -> list[tuple[int, int]]:
        """(id, seq) of what is stored."""
        return [(each.id, each.seq) for each in self.core.storage.find(key, Query())]

    @property
    def dropped(self) -> Any:
        return self.core.counters.dropped

    def _to(self, mono: float) -> None:
        self.now = Instant(mono, START.unix + mono - START.mono)


def assembled(datagrams: list[bytes]) -> list[Message] | None:
    """The messages, values complete; None if parts are missing."""
    messages: list[Any] = []
    for datagram in datagrams:
        message: Any = decode(datagram)
        if not isinstance(message, Part):
            messages.append(
                [message, {index: bytearray(size) for index, size in getattr(message, "sizes", ())}, 0]
            )
            continue
        for entry in reversed(messages):
            if entry[0].tid == message.tid and entry[1]:
                for index, offset, data in message.pieces:
                    entry[1][index][offset : offset + len(data)] = data
                    entry[2] += len(data)
                break
    whole: list[Message] = []
    for message, pieces, arrived in messages:
        if pieces:
            if arrived < sum(map(len, pieces.values())):
                return None
            message = with_values(message, [unpack(bytes(piece)) for piece in pieces.values()])
        whole.append(message)
    return whole


def updates(messages: list[Message]) -> list[tuple[list[int], list[int], list[int]]]:
    """(ids of values, refreshed, expired) of each update among *messages*."""
    return [
        ([each.id for each in message.values], list(message.refreshed), list(message.expired))
        for message in messages
        if isinstance(message, Update)
    ]


def error_codes(messages: list[Message]) -> list[int]:
    return [message.code for message in messages if isinstance(message, ErrorReply)]


def _is_valid(event: VerifyRequested) -> bool:
    return crypto.verify(event.owner, event.signature, event.message)
