"""Bucket: up to eight nodes that share a prefix, and one spare. Source: spec 02, section 6.

A bucket is a subtree of the id space: all ids that start with the first ``depth`` bits of ``first``. The
buckets of a table tile the space, so the distance of a key to a whole bucket is a matter of these bits alone.
"""

from math import inf
from random import Random

from dna_dht.core.exchange.remote_node import RemoteNode
from dna_dht.wire.address import is_private, subnet
from dna_dht.wire.infohash import LENGTH, InfoHash

BITS = 8 * LENGTH
TARGET_NODES = 8  # nodes in a bucket; spec 02, section 1
MAX_PER_SUBNET = 2  # nodes of one /24 or IPv6 /48 in a bucket; reliability T1


class Bucket:
    """One range of the id space. Times are monotonic seconds.

    Attributes:
        first: the lowest id it covers, as an integer. depth: bits its ids have in common, 0 to 160.
        nodes: newest first; :class:`~dna_dht.core.routing.routing_table.RoutingTable` alone changes the list.
        cached: a spare that waits for a place; change it by :meth:`keep_spare` and :meth:`take_spare`.
        time: last answer of one of its nodes. asked, tries: when maintenance last refreshed it, and how often
            since the last answer.
    """

    __slots__ = ("asked", "cached", "depth", "first", "nodes", "time", "tries")

    def __init__(self, first: int, depth: int, time: float = -inf) -> None:
        self.first = first
        self.depth = depth
        self.nodes: list[RemoteNode] = []
        self.cached: RemoteNode | None = None
        self.time = time
        self.asked = -inf
        self.tries = 0

    @property
    def first_id(self) -> InfoHash:
        return InfoHash(self.first.to_bytes(LENGTH, "big"))

    def covers(self, number: int) -> bool:
        """Whether an id, given as an integer, belongs here."""
        return number >> (BITS - self.depth) == self.first >> (BITS - self.depth)

    def random_id(self, rng: Random) -> InfoHash:
        """A uniformly random id this bucket covers."""
        free = BITS - self.depth
        return InfoHash((self.first | (rng.getrandbits(free) if free else 0)).to_bytes(LENGTH, "big"))

    def is_full(self) -> bool:
        return len(self.nodes) >= TARGET_NODES

    def of_subnet(self, node: RemoteNode) -> list[RemoteNode]:
        """The other nodes here of the subnet of *node*; none if its host is private, hence not limited."""
        host = node.address[0]
        if is_private(host):
            return []
        own = subnet(host)
        return [other for other in self.nodes if other is not node and subnet(other.address[0]) == own]

    def keep_spare(self, node: RemoteNode) -> None:
        """Make *node* the spare, in place of the one before."""
        self.take_spare()
        node.held += 1
        self.cached = node

    def take_spare(self) -> RemoteNode | None:
        """The spare, which is none any more."""
        spare, self.cached = self.cached, None
        if spare is not None:
            spare.held -= 1
        return spare

    def split(self) -> "Bucket":
        """Give the upper half of the range, with its nodes, to a new bucket. Needs ``depth < 160``."""
        middle = self.first | 1 << (BITS - 1 - self.depth)
        self.depth += 1
        upper = Bucket(middle, self.depth, self.time)
        upper.asked, upper.tries = self.asked, self.tries
        upper.nodes = [node for node in self.nodes if node.number >= middle]
        self.nodes = [node for node in self.nodes if node.number < middle]
        return upper
