"""Who wants to be told about a key we store: the storing side of listen.

A listener is known by the address of its node and its socket id. It lives for 10 minutes after its last
listen; there is no message to end it. Bounds: ``remote_listeners_per_source`` per address and port,
``remote_listeners`` in all; beyond them a new one is refused, a known one may always renew. Sources: spec
01, 14.2; spec 02, 13.2; reliability, section 6.
"""

from collections import Counter, OrderedDict
from typing import Literal

from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.remote_node import RemoteNode
from dna_dht.wire.address import Address
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.query import Query

LIFE = 600.0  # seconds; spec 02, section 1, NODE_EXPIRE_TIME


class RemoteListener:
    """One subscription.

    Attributes:
        node: who subscribed.
        address: from where, which was proved by a token.
        socket_id: channel named by the listener; goes into every push.
        query: filter of pushed values; its selection is ignored.
        version: 0 for very old nodes, else 1.
        renewed: monotonic seconds of the last listen.
    """

    __slots__ = ("address", "key", "node", "query", "renewed", "socket_id", "version")

    def __init__(
        self, key: InfoHash, node: RemoteNode, socket_id: int, query: Query, version: int, now: float
    ) -> None:
        self.key, self.node, self.socket_id = key, node, socket_id
        self.query, self.version, self.renewed = query, version, now
        self.address = node.address

    def endpoint(self) -> RemoteNode:
        """Whom to push to: the node, but only where it subscribed. Its known address may be a stranger's
        claim, and pushes are large; if it did move it subscribes again from there.
        """
        node = self.node
        return node if node.address == self.address else RemoteNode(node.id, self.address, client=True)


class RemoteListeners:
    """The subscriptions of other nodes, by key."""

    __slots__ = ("_by_age", "_by_key", "_ctx", "_per_address")

    def __init__(self, ctx: CoreContext) -> None:
        self._ctx = ctx
        self._by_key: dict[InfoHash, dict[tuple[Address, int], RemoteListener]] = {}
        self._by_age: OrderedDict[tuple[InfoHash, Address, int], RemoteListener] = OrderedDict()
        self._per_address: Counter[Address] = Counter()

    def add(
        self, key: InfoHash, node: RemoteNode, socket_id: int, query: Query, version: int
    ) -> Literal["new", "known", "refused"]:
        """Subscribe *node*, or renew its subscription and take over the new *query* and *version*."""
        self.expire()
        address, now = node.address, self._ctx.now.mono
        known = self._by_age.get((key, address, socket_id))
        if known is not None:
            known.node.held -= 1
            node.held += 1
            known.node, known.query, known.version, known.renewed = node, query, version, now
            self._by_age.move_to_end((key, address, socket_id))
            return "known"
        limits = self._ctx.config.limits
        if (
            len(self._by_age) >= limits.remote_listeners
            or self._per_address[address] >= limits.remote_listeners_per_source
        ):
            self._ctx.counters.dropped["listen: too many"] += 1
            return "refused"
        listener = RemoteListener(key, node, socket_id, query, version, now)
        self._by_age[key, address, socket_id] = listener
        self._by_key.setdefault(key, {})[address, socket_id] = listener
        self._per_address[address] += 1
        node.held += 1
        return "new"

    def find(self, key: InfoHash, address: Address, socket_id: int) -> RemoteListener | None:
        """One subscription."""
        return self._by_age.get((key, address, socket_id))

    def of(self, key: InfoHash) -> list[RemoteListener]:
        """The live subscriptions of *key*, oldest first."""
        listeners = self._by_key.get(key)
        if listeners is None:
            return []
        oldest = self._ctx.now.mono - LIFE
        return [listener for listener in listeners.values() if listener.renewed >= oldest]

    def has(self, key: InfoHash) -> bool:
        """Whether anybody listens to *key*."""
        return key in self._by_key and bool(self.of(key))

    def expire(self) -> None:
        """Drop what was not renewed for more than 10 minutes."""
        by_age, oldest = self._by_age, self._ctx.now.mono - LIFE
        while by_age:
            listener = next(iter(by_age.values()))
            if listener.renewed >= oldest:
                return
            self._remove(listener)

    def forget(self, key: InfoHash) -> None:
        """Drop every subscription of *key*."""
        for listener in list(self._by_key.get(key, {}).values()):
            self._remove(listener)

    def keys(self) -> list[InfoHash]:
        """Keys with subscriptions."""
        return list(self._by_key)

    def __len__(self) -> int:
        return len(self._by_age)

    def _remove(self, listener: RemoteListener) -> None:
        key, address = listener.key, listener.address
        listener.node.held -= 1
        del self._by_age[key, address, listener.socket_id]
        listeners = self._by_key[key]
        del listeners[address, listener.socket_id]
        if not listeners:
            del self._by_key[key]
        self._per_address[address] -= 1
        if not self._per_address[address]:
            del self._per_address[address]
