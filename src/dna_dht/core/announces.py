"""Announces: values this node keeps alive as long as it runs ("permanent" puts). Source: spec 02, 15.4, 25.1
item 14.

An announce is a compact record: its value lies in our own store without expiry, nodes that become close get
it by renewal, and once per life of its type it is refreshed everywhere. A refresh that reached no quorum is
tried again soon.
"""

from collections.abc import Callable
from functools import partial

from dna_dht.core.context import CoreContext
from dna_dht.core.effects import PutOutcome
from dna_dht.core.timers import Timer
from dna_dht.core.value_types import type_of
from dna_dht.wire.infohash import InfoHash

MARGIN = 10.0  # seconds before the end of its life at which a value is refreshed; spec 02, REANNOUNCE_MARGIN
RETRY = (30.0, 600.0)  # seconds before an incomplete announce is tried again: first, at most


class Announce:
    """One value kept alive. *failures*: attempts in a row that reached no quorum."""

    __slots__ = ("failures", "key", "packed", "seq", "timer", "value_id", "value_type")

    def __init__(self, key: InfoHash, value_id: int, value_type: int, seq: int, packed: bytes) -> None:
        self.key = key
        self.value_id = value_id
        self.value_type = value_type
        self.seq = seq
        self.packed = packed
        self.failures = 0
        self.timer: Timer | None = None


class Announces:
    """All announces of this node.

    Attributes:
        refresh: starts a put in refresh mode and reports its outcome; set by the owner.
    """

    def __init__(self, ctx: CoreContext) -> None:
        self.refresh: Callable[[Announce, Callable[[PutOutcome], None]], None]
        self._ctx = ctx
        self._announces: dict[tuple[InfoHash, int], Announce] = {}

    def add(self, announce: Announce) -> None:
        """Keep a value alive; it takes the place of an earlier one with the same key and id."""
        self.cancel(announce.key, announce.value_id)
        self._announces[announce.key, announce.value_id] = announce

    def get(self, key: InfoHash, value_id: int) -> Announce | None:
        return self._announces.get((key, value_id))

    def on_outcome(self, announce: Announce, outcome: PutOutcome) -> None:
        """A put or refresh of *announce* ended: schedule the next."""
        if self._announces.get((announce.key, announce.value_id)) is not announce:
            return
        if outcome.quorum:
            announce.failures = 0
            delay = max(type_of(announce.value_type).lifetime - MARGIN, MARGIN)
        else:
            delay = self._ctx.jittered(min(RETRY[0] * 2.0**announce.failures, RETRY[1]), 0.25)
            announce.failures = min(announce.failures + 1, 16)
        if announce.timer is not None:
            announce.timer.cancel()
        announce.timer = self._ctx.timers.at(self._ctx.now.mono + delay, partial(self._on_due, announce))

    def cancel(self, key: InfoHash, value_id: int) -> bool:
        """Stop keeping a value alive; False if it was not."""
        announce = self._announces.pop((key, value_id), None)
        if announce is None:
            return False
        if announce.timer is not None:
            announce.timer.cancel()
        return True

    def __len__(self) -> int:
        return len(self._announces)

    def _on_due(self, announce: Announce) -> None:
        self.refresh(announce, partial(self.on_outcome, announce))
