"""Our public address, by vote: every reply says under which IP its sender sees us.

Per family at most ``Limits.address_votes`` hosts are counted. When one more is reported, the one with the
fewest votes makes room (the oldest of these), so that a stranger who makes up addresses displaces made-up
addresses. When a host has MAX_VOTES all counts are halved: a node that runs for months and gets another
address learns it after as many answers. All are text. Sources: spec 01, 15.1 step 9; spec 02, section 9.
"""

from dna_dht.core.context import CoreContext
from dna_dht.wire.address import Family

MAX_VOTES = 256  # for one host


class AddressVotes:
    """Counts reported hosts per family."""

    __slots__ = ("_best", "_limit", "_votes")

    def __init__(self, ctx: CoreContext) -> None:
        self._limit = ctx.config.limits.address_votes
        self._votes: dict[Family, dict[str, int]] = {4: {}, 6: {}}
        self._best: dict[Family, str | None] = {4: None, 6: None}

    def add(self, family: Family, host: str) -> bool:
        """Count a vote; whether the presumed public host of the family changed by it."""
        votes = self._votes[family]
        count = votes.get(host, 0)
        if not count and len(votes) >= self._limit:
            del votes[min(votes, key=votes.__getitem__)]
        votes[host] = count + 1
        if count + 1 >= MAX_VOTES:
            votes = self._votes[family] = {each: count // 2 for each, count in votes.items() if count > 1}
        best = self._best[family]
        if best == host or (best is not None and votes.get(best, 0) >= votes[host]):
            return False
        self._best[family] = host
        return True

    def best(self, family: Family) -> str | None:
        """The host with the most votes; the first to reach them if several have as many."""
        return self._best[family]

    def all(self) -> list[str]:
        """Every reported host, IPv4 first, most votes first."""
        return [
            host
            for votes in self._votes.values()
            for host in sorted(votes, key=votes.__getitem__, reverse=True)
        ]

    def forget(self, family: Family) -> None:
        """Start over, because our network changed."""
        self._votes[family].clear()
        self._best[family] = None
