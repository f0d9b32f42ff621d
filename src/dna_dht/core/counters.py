"""Plain integers counted by reason; no metrics library here."""

from collections import Counter


class Counters:
    """What happened, by reason. Every key is a constant of the code, so the tables are bounded.

    Attributes:
        dropped: datagrams and parts of them thrown away, by reason.
        received: messages by kind.
        sent: messages by kind.
        values: what became of values offered to the store or to an operation, by verdict.
        events: everything else worth a number.
    """

    __slots__ = ("dropped", "events", "received", "sent", "values")

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        self.received: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.values: Counter[str] = Counter()
        self.events: Counter[str] = Counter()

    def snapshot(self) -> dict[str, dict[str, int]]:
        """A copy as plain dictionaries, for statistics and logs."""
        return {name: dict(getattr(self, name)) for name in self.__slots__}
