"""Joiner: turns bootstrap addresses into contacts of the core, and keeps doing so.

The core pings what it is given, at once and again while it is not connected. What it cannot do is ask a name
server: a machine may start before its network, and a name may move. So names that do not resolve are tried
again after 1, 2, 4 ... 30 s, and all names once more whenever the node has been without connection for a
minute. Source: spec 02, 25.1 item 11.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from dna_dht.errors import NetworkError
from dna_dht.node.status import StatusBoard
from dna_dht.runtime.resolve import HostPort, resolve
from dna_dht.wire.address import Address

FIRST_DELAY, LAST_DELAY = 1.0, 30.0  # seconds between attempts to resolve what does not
LOST = 60.0  # seconds without connection after which names are resolved anew

_log = logging.getLogger(__name__)


class Joiner:
    """Resolves *places* for the families given and hands the addresses to *contact*."""

    def __init__(
        self,
        places: Sequence[HostPort],
        contact: Callable[[Sequence[Address]], None],
        board: StatusBoard,
        *,
        ipv4: bool,
        ipv6: bool,
    ) -> None:
        self._places = list(dict.fromkeys(places))
        self._contact = contact
        self._board = board
        self._ipv4, self._ipv6 = ipv4, ipv6
        self._reported: set[HostPort] = set()

    async def run(self) -> None:
        """Until cancelled, or until nothing is left to do because all places are plain addresses."""
        delay = FIRST_DELAY
        while True:
            missing = await self.contact(self._places)
            if missing:
                await asyncio.sleep(delay)
                delay = min(2 * delay, LAST_DELAY)
                continue
            self._places = [place for place in self._places if not place.is_literal]
            if not self._places:
                return
            delay = FIRST_DELAY
            await self._board.wait_lost(LOST)

    async def contact(self, places: Sequence[HostPort]) -> list[NetworkError]:
        """Resolve *places* and hand over what was found; why the others were not."""
        found = await asyncio.gather(
            *(resolve(place, ipv4=self._ipv4, ipv6=self._ipv6) for place in places), return_exceptions=True
        )
        addresses: list[Address] = []
        errors: list[NetworkError] = []
        for place, result in zip(places, found, strict=True):
            if isinstance(result, NetworkError):
                errors.append(result)
                if place not in self._reported:
                    self._reported.add(place)
                    _log.warning("bootstrap node %s: %s", place, result)
            elif isinstance(result, BaseException):
                raise result
            else:
                self._reported.discard(place)
                addresses += result
        if addresses:
            self._contact(addresses)
        return errors
