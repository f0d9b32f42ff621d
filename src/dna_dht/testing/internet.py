"""Internet: what lies between simulated nodes. It delivers, delays, doubles or loses what they send.

Every datagram goes into the trace when it is sent, with its time, sender and receiver, whatever becomes of
it: two runs are the same if their digests are. The code that runs per datagram is one function, on purpose.
"""

import hashlib
from collections.abc import Iterable
from math import inf
from random import Random
from struct import Struct

from dna_dht.core.effects import Transmit
from dna_dht.testing.agenda import Agenda
from dna_dht.testing.faults import DELAYS, Faults
from dna_dht.testing.sim_node import Endpoint, SimNode
from dna_dht.wire.address import Address

_MASK = DELAYS - 1
_NOBODY = 0xFFFF_FFFF  # index of a receiver that does not exist, in the trace
_HEADER = Struct("<dIII")  # of a datagram in the trace: time, sender, receiver, bytes


class Internet:
    """Carries datagrams from node to node.

    Attributes:
        faults: what goes wrong; see :meth:`set_faults`.
        sent, sent_bytes, delivered, lost: datagrams so far.
    """

    def __init__(self, faults: Faults, chance: Random, agenda: Agenda) -> None:
        self.sent = self.sent_bytes = self.delivered = self.lost = 0
        self._chance, self._agenda = chance, agenda
        self._endpoints: dict[Address, Endpoint] = {}
        self._blocked: list[tuple[frozenset[SimNode], frozenset[SimNode]]] = []
        self._trace = hashlib.blake2b(digest_size=20)
        self.set_faults(faults)

    @property
    def digest(self) -> str:
        """Hash over everything sent so far."""
        return self._trace.hexdigest()

    def set_faults(self, faults: Faults) -> None:
        """Change the weather; nodes keep their NAT and their clock."""
        self.faults, self._delays = faults, faults.delay.table()

    def attach(self, node: SimNode) -> None:
        """From now on datagrams to the addresses of *node* are for it."""
        for endpoint in node.endpoints:
            self._endpoints[endpoint.address] = endpoint

    def detach(self, node: SimNode) -> None:
        """From now on nobody is at the addresses of *node*."""
        for endpoint in node.endpoints:
            self._endpoints.pop(endpoint.address, None)

    def block(self, senders: Iterable[SimNode], receivers: Iterable[SimNode]) -> None:
        """From now on nothing of *senders* reaches *receivers*; the other direction stays as it is."""
        self._blocked.append((frozenset(senders), frozenset(receivers)))

    def heal(self) -> None:
        """Undo every :meth:`block`."""
        self._blocked.clear()

    def send(self, node: SimNode, transmits: list[Transmit], now: float) -> None:
        """Take what *node* sends at once; it stays together on the way, apart from reordering."""
        faults, chance, arrive = self.faults, self._chance.random, self._agenda.datagram
        endpoints, delays, update, header = self._endpoints, self._delays, self._trace.update, _HEADER.pack
        salt, index = node.salt, node.index
        stretch = 1 + faults.jitter * chance()
        for destination, payload in transmits:
            self.sent += 1
            self.sent_bytes += len(payload)
            endpoint = endpoints.get(destination)
            receiver = endpoint.node if endpoint is not None else None
            update(header(now, index, receiver.index if receiver is not None else _NOBODY, len(payload)))
            update(payload)
            sender = node.v4 if endpoint is None or endpoint.family == 4 else node.v6
            if node.contacts is not None:
                node.contacts[destination] = now
            if (
                receiver is None
                or sender is None
                or (self._blocked and self._is_blocked(node, receiver))
                or (faults.loss and chance() < faults.loss)
            ):
                self.lost += 1
                continue
            delay = delays[(salt ^ receiver.salt) & _MASK] * stretch
            if faults.reorder and chance() < faults.reorder:
                delay += faults.reorder_delay * chance()
            arrive(now + delay, receiver, payload, sender.address)
            if faults.duplicate and chance() < faults.duplicate:
                delay += faults.reorder_delay * chance()
                arrive(now + delay, receiver, payload, sender.address)

    def admits(self, node: SimNode, payload: bytes, source: Address, now: float) -> bool:
        """Whether a datagram that has arrived gets past the NAT and into the receive buffer of *node*."""
        faults = self.faults
        if node.contacts is not None and now - node.contacts.get(source, -inf) > faults.nat_memory:
            self.lost += 1
            return False
        if faults.receive_buffer is not None:
            waiting = max(0.0, node.backlog - (now - node.drained) * faults.receive_rate) + len(payload)
            if waiting > faults.receive_buffer:
                self.lost += 1
                return False
            node.backlog, node.drained = waiting, now
        self.delivered += 1
        return True

    def _is_blocked(self, sender: SimNode, receiver: SimNode) -> bool:
        return any(sender in senders and receiver in receivers for senders, receivers in self._blocked)
