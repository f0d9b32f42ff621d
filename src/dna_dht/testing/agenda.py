"""Agenda: everything that will happen in a simulation, in one heap, ordered by time, then by order of entry.

    datagram   reaches a node that may have died meanwhile
    timer      a node wants to be called; at most one is armed per node, an earlier one replaces it
    action     anything else: a signature was checked, a node dies, a test wants to know

Entries are plain tuples (time, number, node, payload, detail): the number is unique, so nothing behind it is
ever compared. An action has no node, a timer no payload; the detail of a datagram is its source.
"""

from collections.abc import Callable
from heapq import heappush

from dna_dht.testing.sim_node import SimNode
from dna_dht.wire.address import Address

Action = Callable[[], None]
Entry = tuple[float, int, SimNode | None, bytes | None, Address | Action | None]


class Agenda:
    """The heap and its numbering.

    Attributes:
        heap: for :func:`heapq.heappop`; time in monotonic seconds of the virtual clock.
    """

    __slots__ = ("_number", "heap")

    def __init__(self) -> None:
        self.heap: list[Entry] = []
        self._number = 0

    def datagram(self, time: float, node: SimNode, payload: bytes, source: Address) -> None:
        """*payload* reaches *node* at *time*."""
        self._number += 1
        heappush(self.heap, (time, self._number, node, payload, source))

    def timer(self, time: float, node: SimNode) -> None:
        """*node* is to be called at *time*."""
        self._number += 1
        heappush(self.heap, (time, self._number, node, None, None))

    def action(self, time: float, action: Action) -> None:
        """*action* is to be called at *time*."""
        self._number += 1
        heappush(self.heap, (time, self._number, None, None, action))
