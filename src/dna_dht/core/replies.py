"""Replies: how an answer leaves, so that it cannot be aimed at a victim. Source: reliability T9.

To an address that proved to receive what we send, an answer goes as it is. To any other: one small datagram
per request, within a budget; a larger answer is held until the address has answered a ping, at most HOLD
seconds. Reference readers first ask for ids (a small answer) and answer pings, so an honest newcomer loses
one round trip in ten minutes.
"""

from collections.abc import Sequence
from functools import partial

from dna_dht.core.address_proof import AddressProof
from dna_dht.core.bursts import send_burst
from dna_dht.core.compose import Composer
from dna_dht.core.context import CoreContext
from dna_dht.core.requests import Request, Requests
from dna_dht.wire.address import Address
from dna_dht.wire.messages import Reply

HOLD = 2.0  # seconds; reliability T9


class Replies:
    """Sends answers to requests."""

    __slots__ = ("_composer", "_ctx", "_held", "_held_count", "_proof", "_requests")

    def __init__(self, ctx: CoreContext, proof: AddressProof, requests: Requests, composer: Composer) -> None:
        self._ctx = ctx
        self._proof = proof
        self._requests = requests
        self._composer = composer
        self._held: dict[Address, list[Sequence[bytes]]] = {}
        self._held_count = 0

    def send_one(self, to: Address, datagram: bytes) -> None:
        """Send a small answer: pong, confirmation, error."""
        if self._proof.proved(to) or self._proof.reply_budget(to):
            self._ctx.outbox.send(to, datagram)
        else:
            self._ctx.counters.dropped["reply: budget of unproved address"] += 1

    def send(self, to: Address, datagrams: Sequence[bytes]) -> None:
        """Send an answer of any size, at once or after *to* has proved itself."""
        if self._proof.proved(to):
            send_burst(self._ctx, to, datagrams)
        elif len(datagrams) == 1 and len(datagrams[0]) <= self._ctx.config.limits.unproved_reply_bytes:
            self.send_one(to, datagrams[0])
        else:
            self._hold(to, datagrams)

    def _hold(self, to: Address, datagrams: Sequence[bytes]) -> None:
        counters = self._ctx.counters
        held = self._held.get(to)
        if self._held_count >= self._ctx.config.limits.held_replies:
            counters.dropped["reply: too many held"] += 1
            return
        if held is not None:
            held.append(datagrams)
            self._held_count += 1
            return
        if not self._proof.reply_budget(to):
            counters.dropped["reply: budget of unproved address"] += 1
            return
        self._held[to] = [datagrams]
        self._held_count += 1
        counters.events["reply held for proof"] += 1
        ping = self._requests.ping_address(
            to,
            self._composer.ping,
            on_reply=partial(self._release, to),
            on_failed=lambda code: self._drop(to),
        )
        self._ctx.timers.at(self._ctx.now.mono + HOLD, partial(self._time_out, to, ping))

    def _release(self, to: Address, pong: Reply) -> None:
        held = self._held.pop(to, [])
        self._held_count -= len(held)
        for datagrams in held:
            send_burst(self._ctx, to, datagrams)

    def _time_out(self, to: Address, ping: Request) -> None:
        if ping.open:
            self._requests.cancel(ping)
            self._drop(to)

    def _drop(self, to: Address) -> None:
        held = self._held.pop(to, [])
        self._held_count -= len(held)
        self._ctx.counters.dropped["reply: address not proved"] += len(held)
