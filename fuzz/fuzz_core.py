"""A whole node under fire: no datagram, in any order and from anywhere, may break it or make it grow.

One :class:`Siege` holds a core with values, listeners, operations and neighbours. :func:`one_input` takes one
datagram and a seed made from it, which decides who sends it, what happens around it (time passes, a signature
check or a commit is answered truly, falsely, late, or never; an operation starts or is cancelled), and looks
at the sizes of all tables now and then. Everything a siege does follows from its inputs alone.
"""

import hashlib
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from dna_dht.core.config import CoreConfig, Limits
from dna_dht.core.dht import DhtCore
from dna_dht.core.effects import (
    Event,
    GetOutcome,
    OperationDone,
    PersistRequested,
    PutOutcome,
    VerifyRequested,
)
from dna_dht.core.instant import Instant
from dna_dht.core.values.verification import OWN_FACTOR
from dna_dht.errors import DecodeError
from dna_dht.wire import encode
from dna_dht.wire.address import Address, family_of, pack_ip
from dna_dht.wire.decode import decode
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import Find, Get, Listen, Ping, Put, Refresh, Reply, Update
from dna_dht.wire.query import Query
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack
from fuzz.samples import datagrams as seeds

__all__ = ["Siege", "one_input", "seeds"]

LIMITS = Limits(
    rate_sources=64,
    held_replies=32,
    reassembly_states_per_source=8,
    reassembly_bytes_per_source=128 * 1024,
    reassembly_states=64,
    reassembly_bytes=512 * 1024,
    verifications_pending=32,
    verified_digests=64,
    keys=256,
    values_per_key=32,
    values_per_key_and_owner=8,
    values_per_key_and_source=16,
    store_bytes=256 * 1024,
    local_bytes=64 * 1024,
    tombstones=64,
    remote_listeners=64,
    remote_listeners_per_source=8,
    listens=16,
    listen_values=32,
    blacklist=16,
    address_votes=8,
    nodes=256,
    searches=64,
    pending_persists=16,
)
CONFIG = CoreConfig(limits=LIMITS, persist=True, accept_unsigned=True, exempt_loopback=False)
START = Instant(50_000.0, 1_700_000_000.0)
SIGNATURE = 8  # bytes, so that small datagrams can carry signed values
OPEN_REQUESTS = 4096
TIMERS = 20_000
COUNTER_NAMES = 300
EVERY = 50  # inputs between two looks at the tables
FRESH = 2000  # inputs after which one_input begins with a new node


class Siege:
    """One node and those who besiege it."""

    def __init__(self, seed: int = 0) -> None:
        self.now = START
        self.core = DhtCore(
            CONFIG, InfoHash.of(b"besieged"), rng=Random(seed), now=START, signature_length=SIGNATURE
        )
        self.inputs = 0
        self.done: dict[int, Any] = {}
        self.largest_answer = 0
        self._checks: list[VerifyRequested] = []
        self._forgotten: list[VerifyRequested] = []  # not answered while the siege lasts
        self._commits: list[PersistRequested] = []
        self._asked: list[tuple[Address, bytes]] = []  # the latest requests of the node
        self._tokens: dict[Address, bytes] = {}
        self._operations: list[int] = []
        self._sources: list[Address] = [(f"203.0.{number}.{number}", 4000 + number) for number in range(40)]
        self._sources += [(f"2001:470:{number:x}::1", 4000) for number in range(20)]
        self._sources += [("127.0.0.1", 5000), ("203.0.113.1", 0), ("0.0.0.0", 1), ("fe80::1", 9)]
        self._keys = [InfoHash.of(b"key %d" % number) for number in range(20)]
        self._neighbours = {
            address: InfoHash.of(b"neighbour %r" % (address,)) for address in self._sources[:12]
        }
        self._neighbours |= {
            address: InfoHash.of(b"neighbour %r" % (address,)) for address in self._sources[40:46]
        }
        self.core.bootstrap(list(self._neighbours)[:3], self.now)
        self.pump(Random(0), honest=True)

    # -- one step

    def strike(self, datagram: bytes) -> None:
        """Let *datagram* arrive, and something else happen."""
        chance = Random(hashlib.blake2b(datagram, digest_size=8).digest() + bytes([self.inputs % 256]))
        self.inputs += 1
        source = chance.choice(self._sources)
        if chance.random() < 0.3:
            datagram = self._plausible(datagram, source, chance)
        self.core.receive(datagram, source, self.now)
        if chance.random() < 0.1:
            self.core.receive(datagram, chance.choice(self._sources), self.now)
        self.pump(chance)
        _choose(chance, self._happenings())(chance)
        self.pump(chance)
        if self.inputs % EVERY == 0:
            self.check()

    def pass_time(self, seconds: float, chance: Random, *, honest: bool = False) -> None:
        """Let the timers run; *honest*: everybody who is asked answers."""
        end = self.now.mono + seconds
        for _ in range(20_000):
            due = self.core.next_wakeup()
            if due is None or due > end:
                break
            self._to(max(due, self.now.mono))
            self.core.on_timer(self.now)
            self.pump(chance, honest=honest)
        else:
            raise AssertionError(f"more than 20,000 timers in {seconds} s")
        self._to(end)

    def pump(self, chance: Random, *, honest: bool = False) -> None:
        """Take what the core puts out; some of it is answered."""
        for _ in range(1000):
            transmits, events = self.core.take_transmits(), self.core.take_events()
            if not (transmits or events):
                return
            for destination, payload in transmits:
                self._sent(destination, payload, chance, honest)
            for event in events:
                self._told(event, chance, honest)
        raise AssertionError("the core never stops talking")

    def check(self) -> None:
        """All tables are within their limits."""
        stats, limits = self.core.stats(), LIMITS
        checked: list[tuple[str, int, int]] = [
            ("stored bytes", stats["stored_bytes"], limits.store_bytes + limits.local_bytes),
            ("keys", stats["keys"], limits.keys + 64),
            ("listens", stats["listens"], limits.listens),
            ("remote listeners", stats["remote_listeners"], limits.remote_listeners),
            ("open requests", stats["open_requests"], OPEN_REQUESTS),
            ("reassembly", stats["reassembly_bytes"], limits.reassembly_bytes),
            ("checks", stats["verifications_pending"], OWN_FACTOR * limits.verifications_pending),
            ("commits", stats["persists_pending"], limits.pending_persists),
            ("restoring", stats["restoring"], 64),
            ("timers", stats["timers"], TIMERS),
            ("renewal", stats["keys_looked_after"], stats["keys"]),
            ("held answers", stats["held_requests"], limits.held_replies),
            ("pushes", stats["push_channels"], 2 * limits.remote_listeners),
        ]
        most_nodes = 2 * limits.nodes + OPEN_REQUESTS
        checked += [("nodes", stats["known_nodes"][family], most_nodes) for family in (4, 6)]
        kinds = ("dropped", "events", "received", "sent", "values")
        checked += [(name, len(stats[name]), COUNTER_NAMES) for name in kinds]
        storage = self.core.storage
        counts = [len(storage.find(key, Query())) for key in (*storage.keys(), InfoHash.of(b"nothing"))]
        checked.append(("values of a key", max(counts), 2 * limits.values_per_key))
        for name, size, most in checked:
            assert 0 <= size <= most, f"{name}: {size}, at most {most}"

    def survives(self) -> None:
        """Afterwards, when the attackers are gone, the node does its work: an honest put and get."""
        chance = Random(1)
        for event in (*self._checks, *self._forgotten):
            self.core.verified(event.job, False, self.now)
        for commit in self._commits:
            self.core.persisted(commit.ticket, False, self.now)
        self._checks.clear()
        self._commits.clear()
        self.pump(chance, honest=True)
        self.pass_time(700, chance, honest=True)
        self.check()
        self.core.bootstrap(list(self._neighbours), self.now)
        self.pump(chance, honest=True)
        self.pass_time(60, chance, honest=True)
        assert self.core.connected, "the node found no company again"
        key = InfoHash.of(b"afterwards")
        operation = self.core.put(key, _signed(7, b"still alive"), self.now)
        self.pump(chance, honest=True)
        self.pass_time(20, chance, honest=True)
        outcome = self.done.get(operation)
        assert isinstance(outcome, PutOutcome) and outcome.quorum, outcome
        operation = self.core.get(key, self.now)
        self.pump(chance, honest=True)
        self.pass_time(20, chance, honest=True)
        found = self.done.get(operation)
        assert isinstance(found, GetOutcome) and [each.data for each in found.values] == [b"still alive"]
        source = ("198.51.100.77", 4000)
        self._ask_put(source, key, _signed(8, b"by a stranger"), chance)
        assert {each.id for each in self.core.storage.find(key, Query())} == {7, 8}

    # -- what may happen

    def _happenings(self) -> list[tuple[float, Callable[[Random], None]]]:
        return [
            (10.0, lambda chance: None),
            (5.0, lambda chance: self.pass_time(chance.choice((0.001, 0.05, 0.3, 2.0)), chance)),
            (0.04, lambda chance: self.pass_time(chance.choice((20.0, 100.0, 700.0)), chance)),
            (4.0, self._answer_check),
            (1.0, self._answer_commit),
            (1.5, self._start_operation),
            (1.5, self._cancel_operation),
            (2.0, self._honest_request),
            (1.0, self._late_answer),
            (0.2, lambda chance: self.core.send_failed(chance.choice(self._sources[:60]), self.now)),
            (0.05, lambda chance: self.core.connectivity_changed(self.now)),
            (0.2, self._restore),
            (0.1, lambda chance: self.core.bootstrap(list(self._neighbours), self.now)),
            (0.1, self._reload),
        ]

    def _answer_check(self, chance: Random) -> None:
        while self._checks and chance.random() < 0.7:
            event = self._checks.pop(chance.randrange(len(self._checks)))
            if chance.random() < 0.8:
                self.core.verified(event.job, chance.random() < 0.7, self.now)
                self.core.verified(event.job, True, self.now)  # twice is once
            else:
                self._forgotten.append(event)

    def _answer_commit(self, chance: Random) -> None:
        while self._commits and chance.random() < 0.7:
            event = self._commits.pop(chance.randrange(len(self._commits)))
            self.core.persisted(event.ticket, chance.random() < 0.7, self.now)

    def _start_operation(self, chance: Random) -> None:
        key, core = chance.choice(self._keys), self.core
        match chance.randrange(4):
            case 0:
                operation = core.get(key, self.now, strength=chance.choice(("first", "fresh", "all")))
            case 1:
                one = _signed(chance.randrange(1, 6), chance.randbytes(chance.choice((1, 900))))
                one = msgspec.structs.replace(one, seq=chance.randrange(4), type=chance.choice((0, 0x1002)))
                operation = core.put(key, one, self.now, permanent=chance.random() < 0.2)
            case 2 if core.stats()["listens"] < LIMITS.listens:
                operation = core.listen(key, self.now)
            case _:
                operation = core.ping(chance.choice(self._sources[:60]), self.now)
        self._operations.append(operation)

    def _cancel_operation(self, chance: Random) -> None:
        if self._operations:
            at = chance.randrange(len(self._operations))
            self.core.cancel(self._operations.pop(at), self.now)
        self.core.cancel_put(chance.choice(self._keys), chance.randrange(1, 6), self.now)

    def _restore(self, chance: Random) -> None:
        packed = chance.choice(
            (pack(_signed(chance.randrange(1, 9), b"from disk")), b"\xc1", chance.randbytes(9))
        )
        self.core.restore(chance.choice(self._keys), packed, None, None, self.now)

    def _reload(self, chance: Random) -> None:
        self.core.import_state(self.core.export_state(self.now), self.now)

    def _honest_request(self, chance: Random) -> None:
        """What clients do all day: with tokens, so that values and listeners come in."""
        source, key = chance.choice(self._sources[:60]), chance.choice(self._keys)
        one = _signed(chance.randrange(1, 40), chance.randbytes(chance.choice((1, 100, 3000))))
        one = msgspec.structs.replace(
            one, seq=chance.randrange(3), type=chance.choice((0, 3, 0x1001, 0x1002))
        )
        self._ask_put(source, key, one, chance)
        token, sender = self._tokens.get(source, b""), InfoHash.of(b"client %r" % (source,))
        listen = Listen(
            tid=3, sender=sender, key=key, token=token, socket_id=chance.randrange(1, 12), version=1
        )
        self.core.receive(encode.encode(listen)[0], source, self.now)
        refresh = Refresh(tid=4, sender=sender, key=key, value_id=chance.randrange(1, 40), token=token)
        self.core.receive(encode.encode(refresh)[0], source, self.now)
        self.core.receive(encode.encode(Get(tid=5, sender=sender, key=key))[0], source, self.now)

    def _ask_put(self, source: Address, key: InfoHash, one: Value, chance: Random) -> None:
        sender = InfoHash.of(b"client %r" % (source,))
        self.core.receive(encode.find(2, sender, key), source, self.now)
        self.pump(chance)
        put = Put(tid=self.inputs % 2**32, sender=sender, key=key, token=self._tokens.get(source, b""))
        for datagram in encode.encode(put, [pack(one)]):
            self.core.receive(datagram, source, self.now)
        while chance.random() < 0.9 and self._checks:
            self.core.verified(self._checks.pop().job, True, self.now)
        self.pump(chance, honest=True)

    def _late_answer(self, chance: Random) -> None:
        if self._asked:
            self._answer(*self._asked.pop(chance.randrange(len(self._asked))))

    def _plausible(self, datagram: bytes, source: Address, chance: Random) -> bytes:
        """*datagram* as an answer to something the node asked, or with a valid token: so it gets further."""
        try:
            message = decode(datagram)
        except DecodeError:
            return datagram
        changes: dict[str, Any] = {}
        names = message.__struct_fields__
        if "token" in names and source in self._tokens:
            changes["token"] = self._tokens[source]
        if "key" in names:
            changes["key"] = chance.choice(self._keys)
        if isinstance(message, Reply) and self._asked:
            to, request = chance.choice(self._asked)
            asked = decode(request)
            self.core.receive(
                encode.encode(msgspec.structs.replace(message, tid=asked.tid, sender=self._id_at(to)))[0],
                to,
                self.now,
            )
        return encode.encode(msgspec.structs.replace(message, **changes))[0]

    # -- the other nodes

    def _sent(self, destination: Address, payload: bytes, chance: Random, honest: bool) -> None:
        message = decode(payload)
        if isinstance(message, Reply) and message.token:
            self._tokens[destination] = message.token
        if not isinstance(message, Ping | Find | Get | Put | Refresh | Listen | Update):
            return
        if destination in self._neighbours and (honest or chance.random() < 0.5):
            if not honest and chance.random() < 0.05:
                node_id, code = self._id_at(destination), chance.choice((203, 401, 404, 500, 0))
                refusal = encode.error(message.tid, node_id, code, b"no")
                bare = encode.pong(message.tid, node_id, b"")  # lacks the token that a find should bring
                self.core.receive(refusal if code else bare, destination, self.now)
            else:
                self._answer(destination, payload)
        else:
            self._asked.append((destination, payload))
            del self._asked[:-100]

    def _answer(self, address: Address, request: bytes) -> None:
        """As an honest node would, that stores what it is told and forgets it."""
        message, node_id = decode(request), self._id_at(address)
        seen = pack_ip("203.0.113.200" if family_of(address) == 4 else "2001:470:ffff::1")
        if isinstance(message, Find | Get):
            token = b"token of neighbour"
            answer = encode.nodes_reply(message.tid, node_id, seen, b"", b"", token)[0]
        elif isinstance(message, Put) and (message.values or message.sizes):
            answer = encode.put_reply(
                message.tid, node_id, message.values[0].id if message.values else 7, seen
            )
        elif isinstance(message, Refresh):
            answer = encode.put_reply(message.tid, node_id, message.value_id, seen)
        else:
            answer = encode.pong(message.tid, node_id, seen)
        self.core.receive(answer, address, self.now)

    def _id_at(self, address: Address) -> InfoHash:
        return self._neighbours.get(address) or InfoHash.of(b"somebody %r" % (address,))

    def _told(self, event: Event, chance: Random, honest: bool) -> None:
        if isinstance(event, VerifyRequested):
            if honest:
                self.core.verified(event.job, True, self.now)
            else:
                self._checks.append(event)
        elif isinstance(event, PersistRequested):
            if honest:
                self.core.persisted(event.ticket, True, self.now)
            else:
                self._commits.append(event)
        elif isinstance(event, OperationDone):
            assert event.operation not in self.done, "an operation ended twice"
            self.done[event.operation] = event.outcome

    def _to(self, mono: float) -> None:
        self.now = Instant(mono, START.unix + mono - START.mono)


_siege: Siege | None = None


def one_input(data: bytes) -> None:
    """Let one datagram hit the node of the moment."""
    global _siege
    if _siege is None or _siege.inputs >= FRESH:
        if _siege is not None:
            _siege.survives()
        _siege = Siege()
    _siege.strike(data)


def _signed(value_id: int, data: bytes) -> Value:
    owner = bytes([value_id % 7]) * 2592
    return Value(
        id=value_id, type=0x1001, data=data, owner=owner, signature=hashlib.sha256(data).digest()[:8]
    )


def _choose(
    chance: Random, weighted: list[tuple[float, Callable[[Random], None]]]
) -> Callable[[Random], None]:
    return chance.choices([what for _, what in weighted], [weight for weight, _ in weighted])[0]


if __name__ == "__main__":
    from fuzz.guided import run

    run(one_input, seeds())
