"""RoutingTable: the nodes we keep in touch with, more of them the closer to us. Source: spec 02, section 6.

The table of one address family is a list of buckets that tile the id space. Invariants:

* a bucket holds at most eight nodes, and at most two of one /24 or IPv6 /48 (reliability T1);
* only the bucket of our own id splits, and in bootstrap mode any bucket down to depth 6;
* a live node is never displaced: a newcomer takes a free place or that of an expired node, else it may wait
  as the bucket's one spare (``cached``). That keeps old, proven nodes, and leaves an attacker nothing to
  push out;
* client nodes and our own id are not in it; ``node.in_table`` is true exactly for the nodes of the buckets.

The table never sends. It returns whom to ping, and its caller does (and counts ``node.pending``).

Closest nodes come in true XOR order. The reference walks its bucket list to both sides and misses some; peers
cannot tell the difference except by better answers (spec 02, 6.1).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.remote_node import NODE_EXPIRE_TIME, NODE_GOOD_TIME, RemoteNode
from dna_dht.core.routing.bucket import BITS, MAX_PER_SUBNET, TARGET_NODES, Bucket
from dna_dht.wire.address import Family

HEARD_OF, SENT, REPLIED = 0, 1, 2  # what on_node is told about a node; spec 02, 6.2
BOOTSTRAP_DEPTH = 6  # bits; buckets above split in bootstrap mode even far from us; spec 02, 6.3


class Seen(NamedTuple):
    """What a node did to the table.

    Attributes:
        changed: the node is new to its bucket, if only as its spare.
        entered: it got a place among the nodes of its bucket.
        own_bucket: the bucket is the one of our own id.
        pings: nodes to ping now: a dubious one that blocks a place, spares of buckets that were split.
    """

    changed: bool
    entered: bool = False
    own_bucket: bool = False
    pings: tuple[RemoteNode, ...] = ()


UNCHANGED = Seen(False)


@dataclass(frozen=True, slots=True)
class TableStats:
    """Figures of one family (spec 02, section 22).

    Attributes:
        good, dubious: nodes by state. cached: buckets with a spare.
        incoming: good nodes whose last message was not an answer.
        depth: bits of our own bucket. network_size: estimate, 8 * 2**depth; 0 if the table is empty.
    """

    good: int
    dubious: int
    cached: int
    incoming: int
    depth: int
    network_size: int

    @property
    def known(self) -> int:
        return self.good + self.dubious


class RoutingTable:
    """The table of one address family.

    Attributes:
        grow_time: when our own bucket last got a node, monotonic seconds; ``-inf`` if never.
        size: nodes in all buckets.
    """

    def __init__(self, ctx: CoreContext, family: Family) -> None:
        self.family = family
        self.grow_time = -inf
        self.size = 0
        self._ctx = ctx
        self._own = int.from_bytes(ctx.node_id, "big")
        self._buckets = [Bucket(0, 0)]
        self._firsts = [0]  # first id of every bucket

    # -- changes

    def on_node(self, node: RemoteNode, confirm: int) -> Seen:
        """Take note of a node: HEARD_OF from others, it SENT us a message, or it REPLIED to us."""
        if node.in_table:
            if confirm == REPLIED:
                self.bucket_of(node.number).time = self._ctx.now.mono
            return UNCHANGED
        if node.client or node.number == self._own:
            return UNCHANGED
        bucket = self.bucket_of(node.number)
        if confirm == REPLIED:
            bucket.time = self._ctx.now.mono
        if not self._admits(bucket, node):
            self._ctx.counters.events["node of a crowded subnet"] += 1
            return UNCHANGED
        return self._insert(node, bucket, confirm)

    def recheck(self, node: RemoteNode) -> None:
        """The address or client flag of *node* changed: drop it if it may not be here any more."""
        bucket = self.bucket_of(node.number)
        if node.in_table and (node.client or not self._admits(bucket, node)):
            bucket.nodes.remove(node)
            self._left(node)
        elif bucket.cached is node and node.client:
            bucket.take_spare()

    def expire(self) -> list[RemoteNode]:
        """Remove expired nodes; return the spares of their buckets, to be pinged: they enter by answering.

        A table without any live node keeps what it has: they are all we could try to come back through.
        """
        pings: list[RemoteNode] = []
        if not self.has_live():
            return pings
        for bucket in self._buckets:
            gone = [node for node in bucket.nodes if node.expired]
            if not gone:
                continue
            bucket.nodes = [node for node in bucket.nodes if not node.expired]
            for node in gone:
                self._left(node)
            spare = bucket.take_spare()
            if spare is not None:
                pings.append(spare)
        return pings

    def replacement(self, expired: RemoteNode) -> RemoteNode | None:
        """The spare to ping because *expired* just did; it takes the place when it answers."""
        if not expired.in_table:
            return None
        return self.bucket_of(expired.number).take_spare()

    def reset(self) -> None:
        """Our network changed: every bucket is due for a refresh, every node unproved (spec 02, 8.3)."""
        self.grow_time = self._ctx.now.mono
        for bucket in self._buckets:
            bucket.time = bucket.asked = -inf
            bucket.tries = 0
            for node in bucket.nodes:
                node.reset()

    # -- questions

    def closest(self, key: bytes, k: int, good_only: bool = True) -> list[RemoteNode]:
        """The closest nodes of the table to *key*, nearest first.

        Args:
            k: at most so many.
            good_only: True: good nodes, fit to be named to others. False: if fewer than *k* are good, the
                closest dubious ones fill up the number; the order stays that of the distance.
        """
        if k <= 0:
            return []
        now = self._ctx.now.mono
        good: list[RemoteNode] = []
        dubious: list[RemoteNode] = []
        number = int.from_bytes(key, "big")
        for bucket in self._outward(number):
            nodes = [node for node in bucket.nodes if not node.expired]
            nodes.sort(key=lambda node: node.number ^ number)
            for node in nodes:
                if node.last_heard >= now - NODE_EXPIRE_TIME and node.last_reply >= now - NODE_GOOD_TIME:
                    good.append(node)
                else:
                    dubious.append(node)
            if len(good) >= k:
                return good[:k]
        if good_only or not dubious:
            return good
        good += dubious[: k - len(good)]
        good.sort(key=lambda node: node.number ^ number)
        return good

    def bucket_of(self, number: int) -> Bucket:
        """The bucket that covers an id, given as an integer."""
        return self._buckets[bisect_right(self._firsts, number) - 1]

    @property
    def own_bucket(self) -> Bucket:
        return self.bucket_of(self._own)

    @property
    def depth(self) -> int:
        """Bits that our own bucket has in common: log2 of (network size / 8), about."""
        return self.own_bucket.depth

    def buckets(self) -> list[Bucket]:
        """All buckets, lowest ids first."""
        return list(self._buckets)

    def neighbours(self, bucket: Bucket) -> tuple[Bucket | None, Bucket | None]:
        """The buckets before and after *bucket*."""
        position = bisect_left(self._firsts, bucket.first)
        before = self._buckets[position - 1] if position else None
        after = self._buckets[position + 1] if position + 1 < len(self._buckets) else None
        return before, after

    def has_good(self) -> bool:
        """Whether any node is good; stops at the first."""
        now = self._ctx.now.mono
        return any(node.is_good(now) for node in self)

    def has_live(self) -> bool:
        """Whether any node is not expired; stops at the first."""
        return any(not node.expired for node in self)

    def good_count(self) -> int:
        """Good nodes; O(size)."""
        now = self._ctx.now.mono
        return sum(node.is_good(now) for node in self)

    def good_nodes(self) -> tuple[list[RemoteNode], list[RemoteNode]]:
        """Good nodes of our own bucket, and of all others."""
        now = self._ctx.now.mono
        own: list[RemoteNode] = []
        others: list[RemoteNode] = []
        own_bucket = self.own_bucket
        for bucket in self._buckets:
            (own if bucket is own_bucket else others).extend(n for n in bucket.nodes if n.is_good(now))
        return own, others

    def stats(self) -> TableStats:
        """Figures for statistics; O(size)."""
        now = self._ctx.now.mono
        good = dubious = incoming = 0
        for node in self:
            if node.is_good(now):
                good += 1
                incoming += node.last_heard > node.last_reply
            else:
                dubious += not node.expired
        depth = self.depth
        return TableStats(
            good=good,
            dubious=dubious,
            cached=sum(bucket.cached is not None for bucket in self._buckets),
            incoming=incoming,
            depth=depth,
            network_size=TARGET_NODES << depth if good + dubious else 0,
        )

    def __iter__(self) -> Iterator[RemoteNode]:
        for bucket in self._buckets:
            yield from bucket.nodes

    def __len__(self) -> int:
        return self.size

    # -- inside

    def _insert(self, node: RemoteNode, bucket: Bucket, confirm: int) -> Seen:
        pings: list[RemoteNode] = []
        while True:
            own = bucket.covers(self._own)
            if self._place(node, bucket):
                if own and not node.expired:
                    self.grow_time = self._ctx.now.mono
                return Seen(True, True, own, tuple(pings))
            dubious = self._ping_dubious(bucket, pings)
            splits = own or (self._ctx.config.bootstrap_mode and bucket.depth < BOOTSTRAP_DEPTH)
            if not splits or (dubious and len(self._buckets) > 1) or bucket.depth == BITS:
                break
            bucket = self._split(bucket, node.number, pings)
        if confirm >= SENT or bucket.cached is None:
            bucket.keep_spare(node)
        return Seen(True, False, own, tuple(pings))

    def _admits(self, bucket: Bucket, node: RemoteNode) -> bool:
        """Whether the subnet of *node* leaves it a place in *bucket*; an expired node of it makes way."""
        same = bucket.of_subnet(node)
        if len(same) < MAX_PER_SUBNET:
            return True
        for other in same:
            if other.expired:
                bucket.nodes.remove(other)
                self._left(other)
                return True
        return False

    def _place(self, node: RemoteNode, bucket: Bucket) -> bool:
        if not bucket.is_full():
            bucket.nodes.insert(0, node)
        else:
            for position, other in enumerate(bucket.nodes):
                if other.expired:
                    bucket.nodes[position] = node
                    self._left(other)
                    break
            else:
                return False
        node.in_table = True
        self.size += 1
        if bucket.cached is node:
            bucket.take_spare()
        return True

    def _left(self, node: RemoteNode) -> None:
        node.in_table = False
        self.size -= 1

    def _ping_dubious(self, bucket: Bucket, pings: list[RemoteNode]) -> bool:
        """Whether a node of a full bucket is not good; ping one of them that has no open request."""
        now = self._ctx.now.mono
        dubious = False
        for other in bucket.nodes:
            if not other.is_good(now):
                dubious = True
                if not other.pending and other not in pings:
                    pings.append(other)
                    break
        return dubious

    def _split(self, bucket: Bucket, number: int, pings: list[RemoteNode]) -> Bucket:
        """Split *bucket*; return the half that covers *number*."""
        spare = bucket.take_spare()
        if spare is not None:
            pings.append(spare)
        upper = bucket.split()
        position = bisect_right(self._firsts, bucket.first)
        self._firsts.insert(position, upper.first)
        self._buckets.insert(position, upper)
        return upper if number >= upper.first else bucket

    def _outward(self, number: int) -> Iterator[Bucket]:
        """The buckets from the closest to an id to the farthest: their distances do not overlap."""
        firsts = self._firsts
        ranges = [(0, len(firsts))]
        while ranges:
            low, high = ranges.pop()
            if high - low == 1:
                yield self._buckets[low]
                continue
            last = firsts[high - 1]
            bit = (firsts[low] ^ last).bit_length() - 1
            middle = bisect_left(firsts, last >> bit << bit, low, high)
            if number >> bit & 1:
                ranges += ((low, middle), (middle, high))
            else:
                ranges += ((middle, high), (low, middle))
