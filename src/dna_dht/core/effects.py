"""What comes out of the core: datagrams to send, and events for whoever drives it."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from dna_dht.wire.address import Address
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.value import Value

OperationId = int
Connectivity = Literal["disconnected", "connecting", "connected"]


class Transmit(NamedTuple):
    """Effect: send *payload* to *destination*, once."""

    destination: Address
    payload: bytes


class VerifyRequested(NamedTuple):
    """Check an ML-DSA-87 signature, then call ``core.verified(job, valid, now)``."""

    job: int
    owner: bytes
    signature: bytes
    message: bytes


class PersistRequested(NamedTuple):
    """Commit a value to disk, then call ``core.persisted(ticket, ok, now)``. The put is answered after
    that.
    """

    ticket: int
    key: InfoHash
    value_id: int
    value_type: int
    seq: int
    packed: bytes
    created: float
    """Unix seconds."""
    expires: float | None
    """Unix seconds; None: never."""


class RestoreRefused(NamedTuple):
    """A restored row is not what its owner signed, or nobody signed it: the disk should forget it (spec 04,
    13.6).
    """

    key: InfoHash
    value_id: int
    packed: bytes
    """As it was given to :meth:`DhtCore.restore`: a newer row of the same key and id is another matter."""


class ValuesFound(NamedTuple):
    """Values of a running get, each delivered once per (owner, id, seq); verified unless unsigned."""

    operation: OperationId
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class NodeEvidence:
    """What one node said during an operation.

    Attributes:
        node_id, address: who was asked.
        answered: it answered a request of this operation.
        round_trip: seconds, smoothed; None if never measured.
        holds: (value id, seq) it claims to hold at the key.
    """

    node_id: InfoHash
    address: Address
    answered: bool
    round_trip: float | None
    holds: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class GetOutcome:
    """Result of a get.

    Attributes:
        values: per (owner, id) the highest seq seen, verified; from the network and this node's own store.
        conclusive: enough nodes answered for *values* to be the whole answer, also when empty.
        asked, answered: nodes.
        evidence: one entry per node asked, closest first.
        connected: False if no node at all was known.
    """

    values: tuple[Value, ...]
    conclusive: bool
    asked: int
    answered: int
    connected: bool
    evidence: tuple[NodeEvidence, ...] = ()


@dataclass(frozen=True, slots=True)
class PutOutcome:
    """Result of a put.

    Attributes:
        accepted: nodes that acknowledged it.
        refused: nodes that answered with an error.
        silent: nodes that did not answer in time.
        quorum: accepted reached 5 of the 8 closest, or all live ones if fewer.
        connected: False if no node at all was known; nothing was sent.
        conflicts: (seq, nodes) of values with the same id and a seq >= ours that the probes saw before the
            put, highest seq first; such nodes keep theirs.
        evidence: one entry per node asked, closest first.
    """

    accepted: int
    refused: int
    silent: int
    quorum: bool
    connected: bool
    conflicts: tuple[tuple[int, int], ...] = ()
    evidence: tuple[NodeEvidence, ...] = ()


@dataclass(frozen=True, slots=True)
class PingOutcome:
    """Result of a ping: who answered and after how many seconds; None, None if nobody did."""

    node_id: InfoHash | None
    round_trip: float | None


Outcome = GetOutcome | PutOutcome | PingOutcome


class OperationDone(NamedTuple):
    """The operation is over; nothing more about it follows."""

    operation: OperationId
    outcome: Outcome


class ListenChanged(NamedTuple):
    """A listened key changed. ``expired``: no node has the value any more (value = the last version seen)."""

    operation: OperationId
    change: Literal["added", "updated", "expired"]
    value: Value


class StatusChanged(NamedTuple):
    """Connectivity of a family changed."""

    ipv4: Connectivity
    ipv6: Connectivity


class PublicAddressChanged(NamedTuple):
    """The address most nodes see us at, as IP text."""

    host: str


Event = (
    VerifyRequested
    | PersistRequested
    | RestoreRefused
    | ValuesFound
    | OperationDone
    | ListenChanged
    | StatusChanged
    | PublicAddressChanged
)


@dataclass(slots=True)
class Outbox:
    """Effects of the current call into the core, in order, until the driver takes them."""

    transmits: list[Transmit] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def send(self, destination: Address, payload: bytes) -> None:
        self.transmits.append(Transmit(destination, payload))

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def take_transmits(self) -> list[Transmit]:
        taken, self.transmits = self.transmits, []
        return taken

    def take_events(self) -> list[Event]:
        taken, self.events = self.events, []
        return taken
