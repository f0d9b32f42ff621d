"""What the operations of a node return."""

from dataclasses import dataclass
from typing import NamedTuple

from dna_dht.core.effects import NodeEvidence
from dna_dht.errors import NetworkError
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.value import Value


@dataclass(frozen=True, slots=True)
class PutReceipt:
    """What became of a put.

    Attributes:
        value_id: under which it is stored; the one to change it with. seq: revision, 0 to 65,535; 0 for
        unsigned values. accepted: nodes that acknowledged it, at least 1. A node may acknowledge what it
        does not keep. refused: nodes that answered with an error. silent: nodes that had not answered when
        enough others had; the core goes on asking them. conflict: highest seq that nodes hold under this id
        in spite of the put, of a value that is not older; None
            if none do.
        verified: the value was read back from the network; None if that was not asked for.
    """

    value_id: int
    seq: int
    accepted: int
    refused: int
    silent: int
    conflict: int | None = None
    verified: bool | None = None


@dataclass(frozen=True, slots=True)
class Lookup:
    """Everything known after asking for a key.

    Attributes:
        values: as from :meth:`Node.get_all`.
        conclusive: enough nodes answered for *values* to be the whole answer, also when empty.
        asked, answered: nodes.
        nodes: what each of them said, the closest to the key first.
    """

    values: tuple[Value, ...]
    conclusive: bool
    asked: int
    answered: int
    nodes: tuple[NodeEvidence, ...]


class BatchItem(NamedTuple):
    """One key of :meth:`Node.get_batch`.

    Attributes:
        values: as from :meth:`Node.get`; empty if *error*.
        error: why nothing is known about this key; None if the answer is conclusive.
    """

    key: InfoHash
    values: tuple[Value, ...]
    error: NetworkError | None = None


class Pong(NamedTuple):
    """A node that answered.

    Attributes:
        round_trip: seconds.
    """

    node_id: InfoHash
    round_trip: float
