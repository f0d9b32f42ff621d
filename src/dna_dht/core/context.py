"""CoreContext: what every machine of the core shares. Nothing ambient: time, chance and effects live here."""

from dataclasses import dataclass, field
from random import Random

from dna_dht.core.config import CoreConfig
from dna_dht.core.counters import Counters
from dna_dht.core.effects import Outbox
from dna_dht.core.instant import Instant
from dna_dht.core.timers import Timers
from dna_dht.wire.infohash import InfoHash


@dataclass(slots=True)
class CoreContext:
    """Shared state of one node.

    Attributes:
        now: the instant of the call being handled; sampled once per call (spec 02, section 0).
        node_id: our own id.
    """

    config: CoreConfig
    node_id: InfoHash
    rng: Random
    now: Instant
    timers: Timers = field(default_factory=Timers)
    counters: Counters = field(default_factory=Counters)
    outbox: Outbox = field(default_factory=Outbox)

    def jittered(self, seconds: float, fraction: float) -> float:
        """*seconds* ± *fraction* of it, uniformly."""
        return seconds * (1 + fraction * (2 * self.rng.random() - 1))
