"""Bootstrap: from a few addresses to connected, and back after loss. Source: spec 02, 8 and 25.1 item 11.

A family is *connected* while its table has a good node, *connecting* while it has any live node or a
bootstrap ping is under way, else *disconnected*. As long as no family is connected an attempt is always
scheduled (S-18): all bootstrap addresses are pinged at once, again after 0.5, 1, 2 ... 30 s; and when nobody
else is left, the addresses of saved nodes, for we may have been started without a network. While connected,
addresses that no good node has are pinged every 10 minutes, so that islands that grew around different
servers, or were cut off from each other, find together.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from dna_dht.core.context import CoreContext
from dna_dht.core.effects import Connectivity, StatusChanged
from dna_dht.core.exchange.compose import Composer
from dna_dht.core.exchange.requests import Request, Requests
from dna_dht.core.routing.overlay import Overlay
from dna_dht.core.timers import Timer
from dna_dht.wire.address import Address, Family, family_of

FIRST_RETRY = 0.5  # seconds; spec 02, 25.1 item 11
MAX_RETRY = 30.0  # seconds; same
JITTER = 0.2
CHECK_PERIOD = 60.0  # seconds between looks at the tables; losses are also noticed when a node expires
ISLAND_PERIOD = 600.0  # seconds between pings of bootstrap addresses that are not in the table
MAX_ADDRESSES = 64  # bootstrap addresses remembered, and as many of saved nodes


class Bootstrap:
    """Keeps the node connected.

    Attributes:
        status: connectivity of both families.
        on_connected: called when the node becomes connected after not having been; set by the owner.
    """

    def __init__(
        self, ctx: CoreContext, overlays: Mapping[Family, Overlay], requests: Requests, composer: Composer
    ) -> None:
        self.status = StatusChanged("disconnected", "disconnected")
        self.on_connected: Callable[[], None] = lambda: None
        self._ctx = ctx
        self._overlays = overlays
        self._requests = requests
        self._composer = composer
        self._addresses: dict[Address, Request | None] = {}
        self._saved: list[Address] = []  # of nodes saved before a restart, until we are connected
        self._wait = FIRST_RETRY
        self._retry: Timer | None = None
        self._island_due = ctx.now.mono + ISLAND_PERIOD
        ctx.timers.at(ctx.now.mono + CHECK_PERIOD, self._on_check)

    @property
    def connected(self) -> bool:
        return "connected" in self.status

    def add(self, addresses: Iterable[Address]) -> None:
        """Remember *addresses* and ping them at once."""
        for address in addresses:
            if family_of(address) in self._overlays and len(self._addresses) < MAX_ADDRESSES:
                self._addresses.setdefault(address, None)
        self._wait = FIRST_RETRY
        self._attempt()

    def start(self, saved: Iterable[Address]) -> None:
        """Saved nodes were inserted: contact them and the bootstrap addresses. *saved*: where they were."""
        usable = [address for address in saved if family_of(address) in self._overlays]
        self._saved = usable[:MAX_ADDRESSES]
        self._attempt()

    def on_good_node(self, family: Family) -> None:
        """A node answered: if its family was not connected, it may be now."""
        if self.status[0 if family == 4 else 1] != "connected":
            self.update()

    def network_changed(self) -> None:
        """Try again at once."""
        self.update()
        self._wait = FIRST_RETRY
        self._attempt()

    def update(self) -> None:
        """Compute the status again; tell about changes."""
        before = self.status
        status = StatusChanged(self._of(4), self._of(6))
        if status == before:
            return
        was_connected = self.connected
        self.status = status
        self._ctx.outbox.emit(status)
        if self.connected and not was_connected:
            self._wait = FIRST_RETRY
            self._saved.clear()
            if self._retry is not None:
                self._retry.cancel()
            self.on_connected()
        elif was_connected and not self.connected:
            self._attempt()

    # -- inside

    def _of(self, family: Family) -> Connectivity:
        overlay = self._overlays.get(family)
        if overlay is None:
            return "disconnected"
        if overlay.table.has_good():
            return "connected"
        if overlay.table.has_live() or any(
            ping is not None and ping.open and family_of(address) == family
            for address, ping in self._addresses.items()
        ):
            return "connecting"
        return "disconnected"

    def _attempt(self) -> None:
        """Ping everybody we may start from; schedule the next attempt unless connected."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        for address in self._addresses:
            self._ping(address)
        for overlay in self._overlays.values():
            for node in overlay.cache.closest(self._ctx.node_id, MAX_ADDRESSES):
                if not node.pending and not node.is_good(self._ctx.now.mono):
                    overlay.ping(node)
        if not any(overlay.cache.closest(self._ctx.node_id, 1) for overlay in self._overlays.values()):
            for address in self._saved:
                self._requests.ping_address(address, self._composer.ping, on_reply=_ignore, on_failed=_ignore)
        self.update()
        if not self.connected:
            delay = self._ctx.jittered(self._wait, JITTER)
            self._wait = min(2 * self._wait, MAX_RETRY)
            self._retry = self._ctx.timers.at(self._ctx.now.mono + delay, self._attempt)

    def _ping(self, address: Address) -> None:
        ping = self._addresses[address]
        if ping is None or not ping.open:
            self._addresses[address] = self._requests.ping_address(
                address, self._composer.ping, on_reply=_ignore, on_failed=partial(self._on_failed, address)
            )

    def _on_failed(self, address: Address, code: int) -> None:
        self._ctx.counters.events["bootstrap unanswered"] += 1
        self.update()

    def _on_check(self) -> None:
        now = self._ctx.now.mono
        self.update()
        if self.connected and now >= self._island_due:
            self._island_due = now + self._ctx.jittered(ISLAND_PERIOD, JITTER)
            good = {
                node.address
                for overlay in self._overlays.values()
                for node in overlay.table
                if node.is_good(now)
            }
            for address in self._addresses:
                if address not in good:
                    self._ping(address)
        self._ctx.timers.at(now + CHECK_PERIOD, self._on_check)


def _ignore(answer: object) -> None:
    """The receive path notes who answered."""
