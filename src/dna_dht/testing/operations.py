"""What a simulated user started and waits for."""

from dna_dht.core.effects import GetOutcome, ListenChanged, OperationId, Outcome, PutOutcome
from dna_dht.testing.sim_node import SimNode
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.value import Value


class SimOperation:
    """A get, put or ping under way.

    Attributes:
        node: who does it.
        started, first_value, finished: monotonic seconds; None: not yet.
        values: found so far, in the order they came.
        outcome: the result; None until it is over, and for ever if the node died before.
    """

    __slots__ = ("finished", "first_value", "node", "operation", "outcome", "started", "values")

    def __init__(self, node: SimNode, operation: OperationId, started: float) -> None:
        self.node, self.operation, self.started = node, operation, started
        self.first_value: float | None = None
        self.finished: float | None = None
        self.values: list[Value] = []
        self.outcome: Outcome | None = None

    @property
    def done(self) -> bool:
        return self.outcome is not None

    @property
    def put(self) -> PutOutcome | None:
        """The outcome of a put; None if it did not end."""
        return self.outcome if isinstance(self.outcome, PutOutcome) else None

    @property
    def get(self) -> GetOutcome | None:
        """The outcome of a get; None if it did not end."""
        return self.outcome if isinstance(self.outcome, GetOutcome) else None


class SimListener:
    """A listen under way.

    Attributes:
        changes: everything reported, in order.
        times: monotonic seconds of each.
    """

    __slots__ = ("changes", "key", "node", "operation", "times")

    def __init__(self, node: SimNode, key: InfoHash, operation: OperationId) -> None:
        self.node, self.key, self.operation = node, key, operation
        self.changes: list[ListenChanged] = []
        self.times: list[float] = []

    @property
    def data(self) -> list[tuple[str, bytes]]:
        """(change, data of the value), in order."""
        return [(change.change, change.value.data) for change in self.changes]
