"""Which addresses are known to receive what we send, so that answers cannot be aimed at a victim.

UDP sources can be forged: whoever asks with the address of a victim makes us send the answer there. An
address is *proved* for 10 minutes once it answered one of our requests or presented a valid token, for both
show that it read a datagram from us. To all others we send small answers only (the caller's matter), and few
of them: ``unproved_per_source`` and ``unproved_per_subnet``. Proof counts for one address and port. Source:
reliability, section 6 and T9.
"""

from collections import OrderedDict

from dna_dht.core.context import CoreContext
from dna_dht.core.rate_window import RateWindows
from dna_dht.wire.address import Address, is_loopback, source_group, subnet

PROOF_LIFE = 600.0  # seconds; reliability T9
WINDOW = 1.0  # seconds


class AddressProof:
    """The proved addresses, ``Limits.nodes`` at most, and the budget of the others."""

    __slots__ = ("_budget", "_ctx", "_exempt_loopback", "_limit", "_proved", "_subnet_budget")

    def __init__(self, ctx: CoreContext) -> None:
        limits = ctx.config.limits
        self._ctx = ctx
        self._limit = limits.nodes
        self._exempt_loopback = ctx.config.exempt_loopback
        self._proved: OrderedDict[Address, float] = OrderedDict()
        self._budget = RateWindows(limits.unproved_per_source, WINDOW, limits.rate_sources)
        per_subnet = -1 if limits.unproved_per_source < 0 else limits.unproved_per_subnet
        self._subnet_budget = RateWindows(per_subnet, WINDOW, limits.rate_sources)

    def proved(self, address: Address) -> bool:
        """Whether *address* showed within 10 minutes that it receives what we send."""
        until = self._proved.get(address)
        return until is not None and until > self._ctx.now.mono

    def prove(self, address: Address) -> None:
        """Note that *address* answered one of our requests, or presented a valid token."""
        proved, now = self._proved, self._ctx.now.mono
        if address in proved:
            proved.move_to_end(address)
        else:
            while proved and (len(proved) >= self._limit or next(iter(proved.values())) <= now):
                proved.popitem(last=False)
        proved[address] = now + PROOF_LIFE

    def reply_budget(self, address: Address) -> bool:
        """Count one datagram to an unproved address; False: do not send it. Loopback is exempt if so
        configured.
        """
        host = address[0]
        if self._exempt_loopback and is_loopback(host):
            return True
        now = self._ctx.now.mono
        return self._budget.allow(source_group(host), now) and self._subnet_budget.allow(subnet(host), now)

    def __len__(self) -> int:
        return len(self._proved)
