"""Claims: which nodes say they hold which revisions of which values, and what to fetch from whom.

The nodes asked by a get tell ids and seqs, not owners. Per id two revisions are worth fetching: the highest
claimed, if it is above all that came; and the one most nodes claim. The second matters because an id can be
used by several owners: a single node with somebody else's value and a high seq must not hide what the others
hold.

Of the nodes that claim a revision the one with the shortest round trip is asked first; if it is slow the next
one as well, while its own answer still counts. Who does not deliver what it claimed, or delivers something
with a bad signature, is not believed any more: all its claims are void. So lies cost one question per liar.
"""

from collections import Counter
from typing import NamedTuple

from dna_dht.core.operations.lookup import Candidate

MAX_IDS = 4096  # value ids with claims: four liars with as many as a key may hold (reliability, section 6)
UNKNOWN_ROUND_TRIP = 1.0  # seconds assumed of a node that was never measured


class Fetch(NamedTuple):
    """Ask *candidate* for revision *seq* of a value."""

    candidate: Candidate
    value_id: int
    seq: int


class Claims:
    """The claims met by one get."""

    __slots__ = ("_came", "_claims", "_fetches", "_open", "_tried", "_unbelieved")

    def __init__(self) -> None:
        self._claims: dict[int, dict[Candidate, int]] = {}
        self._came: dict[int, set[int]] = {}  # revisions that were delivered and valid, whoever owns them
        self._open: dict[int, None] = {}  # ids of which something may be missing
        self._tried: set[Fetch] = set()
        self._fetches: dict[tuple[int, int], dict[Candidate, bool]] = {}  # under way; True: slow
        self._unbelieved: set[Candidate] = set()

    # -- being told

    def claim(self, candidate: Candidate, value_id: int, seq: int) -> None:
        """*candidate* says it holds revision *seq*."""
        if candidate in self._unbelieved:
            return
        claims = self._claims.get(value_id)
        if claims is None:
            if len(self._claims) >= MAX_IDS:
                return
            claims = self._claims[value_id] = {}
        claims[candidate] = seq
        if seq not in self._came.get(value_id, ()):
            self._open[value_id] = None

    def delivered(self, candidate: Candidate, value_id: int, seq: int) -> None:
        """*candidate* sent revision *seq*; its signature is not checked yet."""
        self.claim(candidate, value_id, seq)
        self._tried.add(Fetch(candidate, value_id, seq))

    def came(self, value_id: int, seq: int) -> None:
        """A valid value with this id and revision is here."""
        self._came.setdefault(value_id, set()).add(seq)

    def has(self, value_id: int, seq: int) -> bool:
        return seq in self._came.get(value_id, ())

    def withdraw(self, candidate: Candidate, value_id: int) -> None:
        """What *candidate* holds under *value_id* is of no interest to us."""
        claims = self._claims.get(value_id)
        if claims is not None:
            claims.pop(candidate, None)

    def disbelieve(self, candidate: Candidate) -> None:
        """*candidate* lied, or is gone: forget all it claimed."""
        if candidate in self._unbelieved:
            return
        self._unbelieved.add(candidate)
        for value_id, claims in list(self._claims.items()):
            claims.pop(candidate, None)
            if not claims:
                del self._claims[value_id]

    # -- fetching

    def begun(self, fetch: Fetch) -> None:
        self._tried.add(fetch)
        self._fetches.setdefault((fetch.value_id, fetch.seq), {})[fetch.candidate] = False

    def slow(self, fetch: Fetch) -> None:
        """It takes long: somebody else may be asked too."""
        under_way = self._fetches.get((fetch.value_id, fetch.seq))
        if under_way is not None and fetch.candidate in under_way:
            under_way[fetch.candidate] = True

    def ended(self, fetch: Fetch) -> None:
        """It was answered, or will not be."""
        slot = (fetch.value_id, fetch.seq)
        under_way = self._fetches.get(slot)
        if under_way is not None:
            under_way.pop(fetch.candidate, None)
            if not under_way:
                del self._fetches[slot]

    def plan(self, at_once: int) -> tuple[bool, list[Fetch]]:
        """Whether anything claimed is missing, and what to fetch now so that *at_once* fetches run."""
        room = at_once - sum(not slow for each in self._fetches.values() for slow in each.values())
        missing = False
        fetches: list[Fetch] = []
        complete: list[int] = []
        for value_id in self._open:
            unresolved = False
            for seq in self._wanted(value_id):
                under_way = self._fetches.get((value_id, seq))
                if under_way:
                    unresolved = True
                    if not all(under_way.values()):
                        continue
                fetch = self._next(value_id, seq)
                if fetch is not None:
                    unresolved = True
                    if room > 0:
                        room -= 1
                        fetches.append(fetch)
            if not unresolved:
                complete.append(value_id)
                continue
            missing = True
            if room <= 0:
                break
        for value_id in complete:
            del self._open[value_id]
        return missing, fetches

    def holders(self, value_id: int) -> dict[Candidate, int]:
        """Candidate -> revision it claims."""
        return self._claims.get(value_id, {})

    @property
    def by_id(self) -> dict[int, dict[Candidate, int]]:
        """All claims that are believed."""
        return self._claims

    # -- inside

    def _wanted(self, value_id: int) -> list[int]:
        """The revisions worth fetching, as far as they are not here; the highest first."""
        claims = self._claims.get(value_id)
        if not claims:
            return []
        came = self._came.get(value_id, ())
        counts = Counter(claims.values())
        highest = max(counts)
        usual = max(counts, key=lambda seq: (counts[seq], seq))
        wanted = []
        if highest > max(came, default=-1):
            wanted.append(highest)
        if usual not in came and usual not in wanted:
            wanted.append(usual)
        return wanted

    def _next(self, value_id: int, seq: int) -> Fetch | None:
        """The quickest node that claims a revision and was not asked for it."""
        best: Fetch | None = None
        shortest = 0.0
        for candidate, claimed in self._claims[value_id].items():
            fetch = Fetch(candidate, value_id, seq)
            if claimed == seq and fetch not in self._tried:
                srtt = candidate.node.srtt
                round_trip = UNKNOWN_ROUND_TRIP if srtt is None else srtt
                if best is None or round_trip < shortest:
                    best, shortest = fetch, round_trip
        return best
