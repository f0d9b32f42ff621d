"""NodeCache: every remote node of one family we know, by id. Source: spec 02, 3.3, S-4; reliability T1, T10.

Who may change an address
    A stranger can put any id into a datagram. So the address of a *good* node stays until the new address has
    answered a ping with that id: :meth:`NodeCache.seen` then returns the known node unchanged, the caller
    notices ``node.address != address``, treats the message as coming from another endpoint, asks
    :meth:`NodeCache.claims` whether a ping to it is due, and calls :meth:`NodeCache.moved` when it is
    answered. A node that is not good follows its own messages; one silent for 10 min also follows what
    others say.

Bound
    ``Limits.nodes`` entries. The eviction is the clock algorithm: the oldest entries get a second chance
    while they are good, and stay while somebody needs them (a bucket, an open request, a holder). Entries in
    use are bounded by their users, so the cache can exceed its limit by no more than those.

Closest nodes
    Ids are kept in numeric order. In that order the ids that share a prefix are neighbours, so the order by
    XOR distance is a walk over a binary trie that never exists as objects: cut a range at its highest
    differing bit, visit the half on the key's side first. O(k log n), exact.
"""

from bisect import bisect_left
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator

from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.remote_node import RemoteNode
from dna_dht.wire.address import Address, Family
from dna_dht.wire.infohash import InfoHash

SECOND_CHANCES = 32  # good entries passed over in one eviction before one of them is dropped
CLAIM_PERIOD = 10.0  # seconds between two pings because of one id that shows up at other addresses
MAX_CLAIMS = 1024  # ids whose last such ping is remembered
SMALL_RANGE = 12  # ids sorted at once instead of being cut further


class NodeCache:
    """The known nodes of one address family. Only our own messages' senders and node lists add to it.

    Attributes:
        on_changed: called with a node whose address or client flag changed (the routing table re-checks it).
    """

    def __init__(self, ctx: CoreContext, family: Family) -> None:
        self.family = family
        self.on_changed: Callable[[RemoteNode], object] = lambda node: None
        self._ctx = ctx
        self._nodes: dict[bytes, RemoteNode] = {}
        self._clock: deque[RemoteNode] = deque()
        self._numbers: list[int] = []  # of all nodes but clients, sorted
        self._ordered: list[RemoteNode] = []  # the nodes of _numbers
        self._claims: OrderedDict[bytes, float] = OrderedDict()

    def find(self, node_id: bytes) -> RemoteNode | None:
        """The node with this id, if known."""
        return self._nodes.get(node_id)

    def seen(
        self, node_id: InfoHash, address: Address, *, confirmed: bool, client: bool = False
    ) -> RemoteNode:
        """The node with this id, created if unknown.

        Args:
            node_id: not ZERO and not our own (the receive path drops those).
            address: of the family of this cache.
            confirmed: the node itself sent us a message from *address*; False: somebody told us.
            client: the flag of that message; ignored unless *confirmed* or the node is new.
        Returns:
            The node; if its address differs from *address*, the claim is not believed (see the module text).
        """
        node = self._nodes.get(node_id)
        if node is None:
            return self._create(node_id, address, client)
        if node.address != address:
            now = self._ctx.now.mono
            if node.is_old(now) or (confirmed and not node.is_good(now)):
                node.moved(address)
                self.on_changed(node)
            else:
                return node
        if not confirmed:
            node.mentioned(self._ctx.now.mono)
        elif node.client is not client:
            self._set_client(node, client)
        return node

    def claims(self, node: RemoteNode) -> bool:
        """Whether a ping to another address that claims to be *node* is due: once per node and 10 s."""
        now = self._ctx.now.mono
        last = self._claims.get(node.id)
        if last is not None and last > now - CLAIM_PERIOD:
            return False
        self._claims[node.id] = now
        self._claims.move_to_end(node.id)
        if len(self._claims) > MAX_CLAIMS:
            self._claims.popitem(last=False)
        return True

    def moved(self, node_id: bytes, address: Address) -> None:
        """A ping to *address* was answered with *node_id*: the node lives there now."""
        node = self._nodes.get(node_id)
        if node is not None and node.address != address:
            node.moved(address)
            self.on_changed(node)

    def closest(self, key: bytes, k: int) -> list[RemoteNode]:
        """The *k* nodes closest to *key*, nearest first, without expired and client nodes."""
        found: list[RemoteNode] = []
        if k <= 0:
            return found
        number = int.from_bytes(key, "big")
        numbers, ordered = self._numbers, self._ordered
        ranges = [(0, len(numbers))]
        while ranges:
            low, high = ranges.pop()
            if high - low <= SMALL_RANGE:
                live = [node for node in ordered[low:high] if not node.expired]
                live.sort(key=lambda node: node.number ^ number)
                found += live
                if len(found) >= k:
                    break
                continue
            last = numbers[high - 1]
            bit = (numbers[low] ^ last).bit_length() - 1
            middle = bisect_left(numbers, last >> bit << bit, low, high)
            if number >> bit & 1:
                ranges += ((low, middle), (middle, high))
            else:
                ranges += ((middle, high), (low, middle))
        return found[:k]

    def purge(self) -> int:
        """Forget nodes that are expired, silent for 10 min and needed by nobody; O(n). Return how many."""
        now = self._ctx.now.mono
        gone = [node for node in self._clock if node.expired and node.is_old(now) and not node.is_in_use()]
        if gone:
            for node in gone:
                del self._nodes[node.id]
            self._clock = deque(node for node in self._clock if node.id in self._nodes)
            self._ordered = [node for node in self._ordered if node.id in self._nodes]
            self._numbers = [node.number for node in self._ordered]
        return len(gone)

    def reset(self) -> None:
        """Our network changed: nobody is known to be reachable (spec 02, 8.3)."""
        for node in self._clock:
            node.reset()

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[RemoteNode]:
        return iter(self._nodes.values())

    def __contains__(self, node_id: object) -> bool:
        return node_id in self._nodes

    def _create(self, node_id: InfoHash, address: Address, client: bool) -> RemoteNode:
        if len(self._nodes) >= self._ctx.config.limits.nodes:
            self._evict()
        node = self._nodes[node_id] = RemoteNode(node_id, address, client=client)
        self._clock.append(node)
        if not client:
            self._list(node)
        return node

    def _evict(self) -> None:
        now = self._ctx.now.mono
        clock = self._clock
        chances = SECOND_CHANCES
        for _ in range(len(clock)):
            node = clock.popleft()
            if node.is_in_use() or (chances and node.is_good(now)):
                chances -= not node.is_in_use()
                clock.append(node)
                continue
            del self._nodes[node.id]
            self._claims.pop(node.id, None)
            if not node.client:
                self._unlist(node)
            self._ctx.counters.events["node evicted"] += 1
            return

    def _set_client(self, node: RemoteNode, client: bool) -> None:
        node.client = client
        if client:
            self._unlist(node)
        else:
            self._list(node)
        self.on_changed(node)

    def _list(self, node: RemoteNode) -> None:
        position = bisect_left(self._numbers, node.number)
        self._numbers.insert(position, node.number)
        self._ordered.insert(position, node)

    def _unlist(self, node: RemoteNode) -> None:
        position = bisect_left(self._numbers, node.number)
        del self._numbers[position]
        del self._ordered[position]
