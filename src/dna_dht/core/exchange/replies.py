"""Replies: how an answer leaves, so that it cannot be aimed at a victim. Source: reliability T9.

To an address that proved to receive what we send, an answer goes as it is. To any other: one small datagram
per request, within a budget; if the answer is larger, the address is pinged, and the request is worked on
again when it has answered, within HOLD seconds. Reference readers first ask for ids (a small answer) and
answer pings, so an honest newcomer loses one round trip in ten minutes.

What is held is the request, never the answer, which can be a thousand times larger.

A proved address, too, gets values at a bounded rate only: a get of 70 bytes can ask for a megabyte.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.address_proof import AddressProof
from dna_dht.core.exchange.bursts import send_burst
from dna_dht.core.exchange.compose import Composer
from dna_dht.core.exchange.requests import Request, Requests
from dna_dht.wire.address import Address, is_loopback, source_group
from dna_dht.wire.messages import Reply

HOLD = 2.0  # seconds; reliability T9
VALUE_BURST = 1.0  # seconds of ``value_bytes_per_source`` that may leave at once; reliability G6


class Replies:
    """Sends answers to requests."""

    __slots__ = ("_composer", "_ctx", "_held", "_held_count", "_paid_until", "_proof", "_requests")

    def __init__(self, ctx: CoreContext, proof: AddressProof, requests: Requests, composer: Composer) -> None:
        self._ctx = ctx
        self._proof = proof
        self._requests = requests
        self._composer = composer
        self._held: dict[Address, list[Callable[[], None]]] = {}
        self._held_count = 0
        self._paid_until: OrderedDict[str, float] = OrderedDict()  # per source; longest silent first

    def send_one(self, to: Address, datagram: bytes) -> None:
        """Send a small answer: pong, confirmation, error."""
        if self._proof.proved(to) or self._proof.reply_budget(to):
            self._ctx.outbox.send(to, datagram)
        else:
            self._ctx.counters.dropped["reply: budget of unproved address"] += 1

    def must_hold(self, to: Address, size: int) -> bool:
        """Whether an answer of *size* bytes or more may not go to *to* now: then call :meth:`hold`."""
        return size > self._ctx.config.limits.unproved_reply_bytes and not self._proof.proved(to)

    def may_carry(self, to: Address, size: int) -> bool:
        """Whether *size* bytes of values may go to *to* now, and count them. Loopback is exempt if so
        configured.
        """
        host, config, now = to[0], self._ctx.config, self._ctx.now.mono
        rate = config.limits.value_bytes_per_source
        if rate < 0 or (config.exempt_loopback and is_loopback(host)):
            return True
        paid, source = self._paid_until, source_group(host)
        until = max(paid.get(source, now), now)
        if until > now + VALUE_BURST:
            self._ctx.counters.dropped["reply: too many bytes for one source"] += 1
            return False
        paid[source] = until + size / rate
        paid.move_to_end(source)
        if len(paid) > config.limits.rate_sources:
            paid.popitem(last=False)
        return True

    def send(self, to: Address, datagrams: Sequence[bytes], again: Callable[[], None]) -> None:
        """Send an answer of any size, or do *again* what led to it when *to* has proved itself."""
        if self._proof.proved(to):
            send_burst(self._ctx, to, datagrams)
        elif len(datagrams) == 1 and len(datagrams[0]) <= self._ctx.config.limits.unproved_reply_bytes:
            self.send_one(to, datagrams[0])
        else:
            self.hold(to, again)

    def hold(self, to: Address, again: Callable[[], None]) -> None:
        """Ping *to*; do *again* when it answers, nothing if it does not."""
        counters, limits = self._ctx.counters, self._ctx.config.limits
        held = self._held.get(to)
        if self._held_count >= limits.held_replies or (
            held is not None and len(held) >= limits.held_replies_per_address
        ):
            counters.dropped["reply: too many held"] += 1
            return
        if held is not None:
            held.append(again)
            self._held_count += 1
            return
        if not self._proof.reply_budget(to):
            counters.dropped["reply: budget of unproved address"] += 1
            return
        self._held[to] = [again]
        self._held_count += 1
        counters.events["reply held for proof"] += 1
        ping = self._requests.ping_address(
            to,
            self._composer.ping,
            on_reply=partial(self._release, to),
            on_failed=lambda code: self._drop(to),
        )
        self._ctx.timers.at(self._ctx.now.mono + HOLD, partial(self._time_out, to, ping))

    def __len__(self) -> int:
        """Requests held."""
        return self._held_count

    def _release(self, to: Address, pong: Reply) -> None:
        held = self._held.pop(to, [])
        self._held_count -= len(held)
        for again in held:
            again()

    def _time_out(self, to: Address, ping: Request) -> None:
        if ping.open:
            self._requests.cancel(ping)
            self._drop(to)

    def _drop(self, to: Address) -> None:
        held = self._held.pop(to, [])
        self._held_count -= len(held)
        self._ctx.counters.dropped["reply: address not proved"] += len(held)
