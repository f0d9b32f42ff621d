"""Lookup: the iterative search for the nodes closest to a key, in one family. Source: spec 02, 14 and 25.

A lookup owns a list of candidates, nearest first. Each is in one of these states:

    NEW        known, not asked yet
    ASKED      a request is under way
    ANSWERED   it answered; its node list has been merged
    FAILED     it refused or stayed silent to the end; out of the game

A candidate that missed its first retry is *slow*: it stays ASKED, but no longer counts among the closest, so
the next one behind it is asked in its place (hedging); a late answer brings it back. The *targets* are the
first eight candidates that are neither FAILED nor slow. The lookup is *settled* when all targets have
answered: then they are the closest live nodes.

How many at once: all eight when they are probably the right ones (Overlay.is_dense), or when the nearest
candidate has answered and nothing nearer turned up; before that ALPHA, so that early waves do not flood nodes
that are far away.

The lookup decides whom to ask next; *what* to ask is the operation's: it gives `ask`, which sends a request
and reports back through :meth:`answered`, :meth:`slow`, :meth:`failed`. No operation is told anything from
inside `ask`.
"""

from bisect import insort
from collections import Counter
from collections.abc import Callable

from dna_dht.core.context import CoreContext
from dna_dht.core.overlay import Overlay
from dna_dht.core.remote_node import RemoteNode
from dna_dht.wire.address import is_private, subnet
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import Reply

TARGET_NODES = 8  # spec 02, section 1
SEARCH_NODES = 14  # live candidates kept; same
ALPHA = 4  # requests at once while far from the key; spec 02, section 1, MAX_REQUESTED_SEARCH_NODES
MAX_ASKED = 96  # nodes asked by one lookup: a lying neighbourhood must not keep us busy for ever
PER_SUBNET = 2  # candidates of one /24 or /48; reliability T1
NEW, ASKED, ANSWERED, FAILED = range(4)


class Candidate:
    """One node as this lookup sees it."""

    __slots__ = ("distance", "node", "slow", "state")

    def __init__(self, node: RemoteNode, distance: int) -> None:
        self.node = node
        self.distance = distance
        self.state = NEW
        self.slow = False

    def __lt__(self, other: "Candidate") -> bool:
        return self.distance < other.distance


class Lookup:
    """The search in one family.

    Attributes:
        candidates: nearest first; the failed ones stay listed as evidence.
        confident: the closest nodes were known from the start, by an earlier lookup.
        wide: they were probably known from the start; all targets are asked at once.
    """

    def __init__(
        self, ctx: CoreContext, overlay: Overlay, key: InfoHash, ask: Callable[["Lookup", Candidate], None]
    ) -> None:
        self.key = key
        self.overlay = overlay
        self._ctx = ctx
        self._ask = ask
        self._number = int.from_bytes(key, "big")
        self._known: set[InfoHash] = set()
        self._subnets: Counter[str] = Counter()
        self._crowded: list[RemoteNode] = []  # more than PER_SUBNET of one subnet: asked if others run out
        self._asked = 0
        self._remembered = False
        self.candidates: list[Candidate] = []
        seeds = overlay.closest(key, SEARCH_NODES)
        self.confident = overlay.is_settled(key, seeds)
        self.wide = self.confident or overlay.is_dense(key, seeds)
        for node in seeds:
            self._add(node)

    # -- going on

    def step(self) -> None:
        """Ask whoever is next."""
        targets = self.targets()
        if len(targets) < TARGET_NODES and self._crowded:
            crowded, self._crowded = self._crowded, []
            for node in crowded:
                self._list(node)
            targets = self.targets()
        limit = TARGET_NODES
        if not self.wide and targets and targets[0].state != ANSWERED:
            limit = ALPHA
        under_way = sum(candidate.state == ASKED for candidate in targets)
        for candidate in targets:
            if under_way >= limit or self._asked >= MAX_ASKED:
                return
            if candidate.state == NEW:
                candidate.state = ASKED
                self._asked += 1
                under_way += 1
                self._ask(self, candidate)

    def answered(self, candidate: Candidate, reply: Reply) -> None:
        """*candidate* answered a find or get; its token and nodes are taken in."""
        candidate.state = ANSWERED
        candidate.slow = False
        nodes = reply.nodes4 if self.overlay.family == 4 else reply.nodes6
        if nodes:
            for node in self.overlay.on_nodes(nodes, candidate.node):
                self._add(node)
            self._trim()
        if not self._remembered and self.settled:
            self._remembered = True
            self.overlay.remember_surroundings(self.key)

    def slow(self, candidate: Candidate) -> None:
        """*candidate* missed its first retry."""
        if candidate.state == ASKED:
            candidate.slow = True

    def failed(self, candidate: Candidate) -> None:
        """*candidate* will not answer any more."""
        candidate.state = FAILED

    # -- questions

    def targets(self) -> list[Candidate]:
        """The closest candidates that are neither failed nor slow, at most eight."""
        found = []
        for candidate in self.candidates:
            if (
                candidate.state != FAILED
                and not candidate.slow
                and not (candidate.state == NEW and candidate.node.expired)
            ):
                found.append(candidate)
                if len(found) == TARGET_NODES:
                    break
        return found

    @property
    def settled(self) -> bool:
        """All targets have answered, and there is at least one."""
        targets = self.targets()
        return bool(targets) and all(candidate.state == ANSWERED for candidate in targets)

    @property
    def stuck(self) -> bool:
        """Nothing is under way and nobody is left to ask."""
        return not any(
            candidate.state == ASKED or (candidate.state == NEW and not candidate.node.expired)
            for candidate in self.candidates
        )

    # -- inside

    def _add(self, node: RemoteNode) -> None:
        if node.id in self._known or node.client:
            return
        host = node.address[0]
        if not is_private(host):
            net = subnet(host)
            if self._subnets[net] >= PER_SUBNET:
                if len(self._crowded) < SEARCH_NODES:
                    self._crowded.append(node)
                return
            self._subnets[net] += 1
        self._list(node)

    def _list(self, node: RemoteNode) -> None:
        if node.id not in self._known:
            self._known.add(node.id)
            insort(self.candidates, Candidate(node, node.number ^ self._number))

    def _trim(self) -> None:
        """Drop what lies behind the closest SEARCH_NODES live candidates and was never asked."""
        live = 0
        for position, candidate in enumerate(self.candidates):
            live += candidate.state != FAILED and not candidate.slow
            if live >= SEARCH_NODES:
                kept = [later for later in self.candidates[position + 1 :] if later.state != NEW]
                self.candidates[position + 1 :] = kept
                return
