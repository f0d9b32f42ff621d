"""Read repair: a get that finds somebody with an older revision gives it the newest. Source: reliability T6.

The value goes out as it came, at most one put per get; the storing node decides by its usual rules, and
acknowledges also what it refuses. So the same node is offered the same revision only once in REST seconds.
"""

from collections import OrderedDict
from collections.abc import Iterable

from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.compose import Composer
from dna_dht.core.exchange.remote_node import RemoteNode
from dna_dht.core.exchange.requests import Requests
from dna_dht.core.values.storage import Storage
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack

REST = 600.0  # seconds; as long as the outcome of a lookup holds
MEMORY = 4096  # offers remembered

Offer = tuple[InfoHash, int, int, InfoHash]  # key, value id, seq, node id


class ReadRepair:
    """Repairs on behalf of all gets of one node; only under the policy that keeps copies alive."""

    __slots__ = ("_composer", "_ctx", "_offers", "_requests", "_storage")

    def __init__(self, ctx: CoreContext, requests: Requests, composer: Composer, storage: Storage) -> None:
        self._ctx, self._requests, self._composer, self._storage = ctx, requests, composer, storage
        self._offers: OrderedDict[Offer, float] = OrderedDict()

    def offer(self, key: InfoHash, value: Value, stale: Iterable[RemoteNode]) -> bool:
        """Give *value*, which is valid, to one of the *stale* nodes; False if there is no need, or no way."""
        if not value.is_signed or self._ctx.config.maintenance != "renew":
            return False
        now = self._ctx.now.mono
        for node in stale:
            offer = (key, value.id, value.seq, node.id)
            if node.has_token(now) and not node.expired and self._offers.get(offer, -REST) <= now - REST:
                self._offers[offer] = now
                self._offers.move_to_end(offer)
                if len(self._offers) > MEMORY:
                    self._offers.popitem(last=False)
                self._put(key, value, node)
                return True
        return False

    def _put(self, key: InfoHash, value: Value, node: RemoteNode) -> None:
        """Its creation date is known only if we store it too; otherwise its life begins again."""
        now = self._ctx.now
        stored = self._storage.get(key, value.id)
        created = None
        if stored is not None and stored.seq == value.seq and not stored.permanent:
            created = max(0, int(now.unix - (now.mono - stored.created)))
        self._ctx.counters.events["read repair"] += 1
        self._requests.send(
            node,
            "put",
            lambda tid: self._composer.put(tid, key, node.token, (pack(value),), created),
            on_reply=_ignore,
            on_failed=_ignore,
        )


def _ignore(answer: object) -> None:
    """Nobody waits for a repair."""
