"""Lookup: the iterative search for the nodes closest to a key, in one family. Source: spec 02, 14 and 25.

A lookup owns a list of candidates, nearest first. Each is in one of these states:

    NEW        known, not asked yet
    ASKED      a request is under way
    ANSWERED   it answered; its node list has been merged
    FAILED     it refused or stayed silent to the end; out of the game

A candidate that missed its first retry, or that its operation passes over, is *slow*: it keeps its state, but
no longer counts among the closest, so the next one behind it is asked in its place (hedging); a late answer
brings it back. The *targets* are the first candidates, usually eight, that are neither FAILED nor slow. The
lookup is *settled* when all targets have answered: then they are the closest live nodes.

Who may be a candidate: of one /24 or /48 the PER_SUBNET nearest that are alive, as long as there are eight
others; the rest waits aside (*crowded*). Whoever is nearer takes the place of a farther one of its subnet, so
the outcome does not depend on the order in which nodes are heard of. When candidates fail or turn slow and
fewer than eight are left, the node cache is asked again. A crowd among the closest looks like an attempt to
surround the key: then there are not eight targets but SEARCH_NODES (*width*), so that a few subnets cannot
hold all of them; storing nodes accept values up to that rank.

How many at once: all eight when they are probably the right ones (Overlay.is_dense), or when the nearest
candidate has answered and nothing nearer turned up; before that ALPHA, so that early waves do not flood nodes
that are far away.

The lookup decides whom to ask next; *what* to ask is the operation's: it gives `ask`, which sends a request
and reports back through :meth:`answered`, :meth:`slow`, :meth:`failed`. No operation is told anything from
inside `ask`.
"""

from bisect import insort
from collections import Counter
from collections.abc import Callable, Sequence

from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.remote_node import RemoteNode
from dna_dht.core.routing.overlay import Overlay
from dna_dht.wire.address import is_private, subnet
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import Reply

TARGET_NODES = 8  # spec 02, section 1
SEARCH_NODES = 14  # live candidates kept; same
ALPHA = 4  # requests at once while far from the key; spec 02, section 1, MAX_REQUESTED_SEARCH_NODES
MAX_ASKED = 96  # nodes asked by one lookup: a lying neighbourhood must not keep us busy for ever
CROWD = 1024  # nodes of the cache looked at to find others behind a crowd: four subnets full of nodes
PER_SUBNET = 2  # candidates of one /24 or /48; reliability T1
NEW, ASKED, ANSWERED, FAILED = range(4)


class Candidate:
    """One node as this lookup sees it."""

    __slots__ = ("distance", "net", "node", "slow", "state")

    def __init__(self, node: RemoteNode, distance: int, net: str) -> None:
        self.node = node
        self.distance = distance
        self.net = net  # its subnet; "" if it is private and need not share places with others
        self.state = NEW
        self.slow = False

    def __lt__(self, other: "Candidate") -> bool:
        return self.distance < other.distance

    @property
    def live(self) -> bool:
        """It answered, or may yet answer in time."""
        return not (self.state == FAILED or self.slow or (self.state == NEW and self.node.expired))


class Lookup:
    """The search in one family.

    Attributes:
        candidates: nearest first; the failed ones stay listed as evidence.
        confident: the closest nodes were known from the start, by an earlier lookup.
        wide: they were probably known from the start; all targets are asked at once.
        width: how many targets there are.
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
        self._nets: Counter[str] = Counter()  # nodes heard of, by subnet
        self._crowded: list[Candidate] = []  # nearest first; set aside because of their subnet
        self.width = TARGET_NODES
        self._filled = False  # candidates beyond PER_SUBNET are listed, for want of others
        self._asked = 0
        self._remembered = False
        self.candidates: list[Candidate] = []
        seeds = overlay.closest(key, SEARCH_NODES)
        self.confident = overlay.is_settled(key, seeds)
        self.wide = self.confident or overlay.is_dense(key, seeds)
        self._take(seeds)
        if self.width > TARGET_NODES:
            self._take(overlay.closest(key, CROWD))

    # -- going on

    def step(self) -> None:
        """Ask whoever is next."""
        targets = self.targets()
        limit = self.width
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
        if candidate.slow:
            self.count_again(candidate)
        nodes = reply.nodes4 if self.overlay.family == 4 else reply.nodes6
        if nodes:
            self._take(self.overlay.on_nodes(nodes, candidate.node))
            self._trim()
        self._remember()

    def slow(self, candidate: Candidate) -> None:
        """*candidate* missed its first retry."""
        if candidate.state == ASKED:
            self.pass_over(candidate)

    def pass_over(self, candidate: Candidate) -> None:
        """Do not count *candidate* among the closest, whatever it answered: it is of no use to the caller."""
        candidate.slow = True
        self._replace()

    def count_again(self, candidate: Candidate) -> None:
        """*candidate* is of use after all."""
        candidate.slow = False
        if self._crowded or self._filled:
            self._arrange()

    def failed(self, candidate: Candidate) -> None:
        """*candidate* will not answer any more."""
        candidate.state = FAILED
        self._replace()

    def close(self) -> None:
        """Nobody steps this lookup any more: let go of the operation, which refers to it."""
        self._ask = _nobody

    # -- questions

    def targets(self) -> list[Candidate]:
        """The closest candidates that are neither failed nor slow, at most :attr:`width`."""
        found = []
        for candidate in self.candidates:
            if candidate.live:
                found.append(candidate)
                if len(found) == self.width:
                    break
        return found

    @property
    def settled(self) -> bool:
        """All targets have answered, and there is at least one."""
        targets = self.targets()
        return bool(targets) and all(candidate.state == ANSWERED for candidate in targets)

    @property
    def exhausted(self) -> bool:
        """As many have been asked as a lookup may ask."""
        return self._asked >= MAX_ASKED

    @property
    def stuck(self) -> bool:
        """Nothing is under way and nobody is left who might be asked."""
        exhausted = self.exhausted
        return not any(
            candidate.state == ASKED
            or (candidate.state == NEW and not exhausted and not candidate.node.expired)
            for candidate in self.candidates
        )

    # -- inside

    def _take(self, nodes: Sequence[RemoteNode]) -> None:
        """Add the new ones among *nodes* to the candidates."""
        crowded = bool(self._crowded) or self._filled
        for node in nodes:
            if node.id in self._known or node.client:
                continue
            self._known.add(node.id)
            host = node.address[0]
            net = "" if is_private(host) else subnet(host)
            insort(self.candidates, Candidate(node, node.number ^ self._number, net))
            if net:
                self._nets[net] += 1
                crowded = crowded or self._nets[net] > PER_SUBNET
        if crowded:
            self._arrange()

    def _arrange(self) -> None:
        """Choose again who is a candidate: of each subnet the nearest; if these are too few, others too."""
        listed: list[Candidate] = []
        aside: list[Candidate] = []
        places: Counter[str] = Counter()
        live = 0
        for candidate in sorted(self.candidates + self._crowded):
            if candidate.live:
                if candidate.net and places[candidate.net] >= PER_SUBNET:
                    aside.append(candidate)
                    continue
                places[candidate.net] += 1
                live += 1
            listed.append(candidate)
        self._filled = bool(aside) and live < TARGET_NODES
        if self._filled:
            missing = TARGET_NODES - live
            listed = sorted(listed + aside[:missing])
            del aside[:missing]
        self.candidates, self._crowded = listed, aside[:SEARCH_NODES]
        self.width = SEARCH_NODES if not self._filled and self._is_surrounded() else TARGET_NODES

    def _is_surrounded(self) -> bool:
        """Whether somebody who was set aside would be among the SEARCH_NODES closest."""
        if not self._crowded:
            return False
        nearer = 0
        for candidate in self.candidates:
            if candidate.distance > self._crowded[0].distance:
                break
            nearer += candidate.live
        return nearer < SEARCH_NODES

    def _replace(self) -> None:
        """Somebody failed or is slow: find others to ask."""
        if self._crowded or self._filled:
            self._arrange()
        live = sum(candidate.live for candidate in self.candidates)
        if live < self.width:
            slow = sum(candidate.slow for candidate in self.candidates)
            self._take(self.overlay.closest(self.key, SEARCH_NODES + slow))
        self._remember()

    def _remember(self) -> None:
        """Once settled, tell the overlay what was found."""
        if not self._remembered:
            targets = self.targets()
            if targets and all(candidate.state == ANSWERED for candidate in targets):
                self._remembered = True
                closest = targets[:TARGET_NODES]
                self.overlay.remember_surroundings(self.key, radius=closest[-1].distance, nodes=len(closest))

    def _trim(self) -> None:
        """Drop what lies behind the closest SEARCH_NODES live candidates and was never asked; it may come
        back.
        """
        live = 0
        for position, candidate in enumerate(self.candidates):
            live += candidate.live
            if live >= SEARCH_NODES:
                kept = []
                for later in self.candidates[position + 1 :]:
                    if later.state != NEW:
                        kept.append(later)
                    else:
                        self._known.discard(later.node.id)
                        self._nets[later.net] -= 1
                self.candidates[position + 1 :] = kept
                return


def _nobody(lookup: Lookup, candidate: Candidate) -> None:
    """What a closed lookup asks."""
