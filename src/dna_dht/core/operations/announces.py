"""Announces: values this node keeps alive as long as it runs ("permanent" puts). Source: spec 02, 15.4, 25.1
item 14; reliability T27.

An announce is a compact record: its value lies in our own store without expiry, nodes that become close get
it by renewal, and before the life of its type ends it is refreshed everywhere. Lives are counted from the
start of an attempt, since that is when the first copy was made. A refresh that reached no quorum is tried
again soon.

Values that come back from disk are refreshed one by one, RESUME_PACE apart: a whole network may restart at
once, and nothing is urgent, for each holder serves its copies from disk. Other refreshes leave at PACE,
however many are due at once; since they fall due well before the end, and not all at the same age, a queue of
them does no harm.
"""

from collections.abc import Callable
from functools import partial

from dna_dht.core.context import CoreContext
from dna_dht.core.effects import PutOutcome
from dna_dht.core.timers import Timer
from dna_dht.core.values.value_types import type_of
from dna_dht.wire.infohash import InfoHash

DUE = (
    0.75,
    0.9,
)  # share of its life after which a value is refreshed, uniform; spec 02 has 10 s before the end
PACE = 0.05  # seconds between refreshes; reliability T27, 20 puts per second
RESUME_PACE = 1.0  # seconds between refreshes of values from disk, ± half of it; reliability T27
RETRY = (30.0, 600.0)  # seconds before an incomplete announce is tried again: first, at most


class Announce:
    """One value kept alive.

    Attributes:
        failures: attempts in a row that reached no quorum.
        started: monotonic seconds of the last attempt.
    """

    __slots__ = ("failures", "key", "packed", "seq", "started", "timer", "value_id", "value_type")

    def __init__(self, key: InfoHash, value_id: int, value_type: int, seq: int, packed: bytes) -> None:
        self.key = key
        self.value_id = value_id
        self.value_type = value_type
        self.seq = seq
        self.packed = packed
        self.failures = 0
        self.started = 0.0
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
        self._free_at = self._resume_at = ctx.now.mono

    def add(self, announce: Announce) -> None:
        """Keep alive what is being put now; it takes the place of an earlier value of the key and id."""
        self.cancel(announce.key, announce.value_id)
        self._announces[announce.key, announce.value_id] = announce
        announce.started = self._ctx.now.mono

    def resume(self, announce: Announce) -> None:
        """Keep a value alive that came back from disk: it is refreshed when its turn comes."""
        self.add(announce)
        turn = max(self._resume_at, self._ctx.now.mono)
        self._resume_at = turn + self._ctx.jittered(RESUME_PACE, 0.5)
        self._schedule(announce, turn)

    def on_cancelled(self, key: InfoHash, value_id: int) -> None:
        """A first put was cancelled, so it tells no outcome: what it began is taken up before long."""
        announce = self._announces.get((key, value_id))
        if announce is not None and announce.timer is None:
            self._schedule(announce, self._ctx.now.mono + self._ctx.jittered(RETRY[0], 0.25))

    def get(self, key: InfoHash, value_id: int) -> Announce | None:
        return self._announces.get((key, value_id))

    def on_outcome(self, announce: Announce, outcome: PutOutcome) -> None:
        """A put or refresh of *announce* ended: schedule the next."""
        if self._announces.get((announce.key, announce.value_id)) is not announce:
            return
        now = self._ctx.now.mono
        if outcome.quorum:
            announce.failures = 0
            life = type_of(announce.value_type).lifetime
            due = max(announce.started + life * self._ctx.rng.uniform(*DUE), now)
        else:
            due = now + self._ctx.jittered(min(RETRY[0] * 2.0**announce.failures, RETRY[1]), 0.25)
            announce.failures = min(announce.failures + 1, 16)
        self._schedule(announce, due)

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

    def _schedule(self, announce: Announce, due: float) -> None:
        if announce.timer is not None:
            announce.timer.cancel()
        announce.timer = self._ctx.timers.at(due, partial(self._on_due, announce))

    def _on_due(self, announce: Announce) -> None:
        """Take the next place in the row."""
        now = self._ctx.now.mono
        turn = max(self._free_at, now)
        self._free_at = turn + PACE
        if turn > now:
            announce.timer = self._ctx.timers.at(turn, partial(self._refresh, announce))
        else:
            self._refresh(announce)

    def _refresh(self, announce: Announce) -> None:
        announce.started = self._ctx.now.mono
        self.refresh(announce, partial(self.on_outcome, announce))
