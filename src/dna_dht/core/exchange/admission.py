"""Who may cost us work: rates of requests and replies per source, and addresses refused altogether.

Requests: per source first, then in total; a request refused by the total has already been counted for its
source (spec 01, 15.2). A source is an IPv4 address or the first 64 bits of an IPv6 address, whatever the
port. The blacklist holds addresses with their port for 10 minutes, at most ``Limits.blacklist`` of them
(spec 01, 15.3 and 17 #11).
"""

from collections import OrderedDict

from dna_dht.core.context import CoreContext
from dna_dht.core.rate_window import RateWindow, RateWindows
from dna_dht.wire.address import Address, source_group

WINDOW = 1.0  # seconds; spec 01, 15.2
BLACKLIST_LIFE = 600.0  # seconds; spec 01, 17 #11


class Admission:
    """The first gate of a datagram after its address was found plausible."""

    __slots__ = ("_blacklist", "_ctx", "_replies", "_requests", "_total")

    def __init__(self, ctx: CoreContext) -> None:
        limits = ctx.config.limits
        self._ctx = ctx
        self._requests = RateWindows(limits.requests_per_source, WINDOW, limits.rate_sources)
        self._total = RateWindow(limits.requests_per_second, WINDOW)
        self._replies = RateWindows(limits.replies_per_source, WINDOW, limits.rate_sources)
        self._blacklist: OrderedDict[Address, float] = OrderedDict()

    def request_allowed(self, address: Address) -> bool:
        """Count a request (or the first stray part of a message) from *address*; False: drop it silently."""
        now = self._ctx.now.mono
        return self._requests.allow(source_group(address[0]), now) and self._total.allow(now)

    def reply_allowed(self, address: Address) -> bool:
        """Count a reply, an update or a part from *address*; False: drop it silently."""
        return self._replies.allow(source_group(address[0]), self._ctx.now.mono)

    def blacklist(self, address: Address) -> None:
        """Refuse everything from *address* for 10 minutes."""
        blacklist, now = self._blacklist, self._ctx.now.mono
        blacklist.pop(address, None)
        while blacklist and (
            len(blacklist) >= self._ctx.config.limits.blacklist or next(iter(blacklist.values())) <= now
        ):
            blacklist.popitem(last=False)
        blacklist[address] = now + BLACKLIST_LIFE

    def is_blacklisted(self, address: Address) -> bool:
        """Whether *address* is refused now."""
        if not self._blacklist:
            return False
        until = self._blacklist.get(address)
        return until is not None and until > self._ctx.now.mono

    def blacklisted(self) -> int:
        """Number of addresses refused now."""
        now = self._ctx.now.mono
        return sum(until > now for until in self._blacklist.values())
