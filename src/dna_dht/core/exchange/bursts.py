"""Long bursts of datagrams, spread so that they fit into the receiver's buffer. Source: spec 02, 25.1 item
8.
"""

from collections.abc import Sequence
from functools import partial

from dna_dht.core.context import CoreContext
from dna_dht.wire.address import Address

BURST = 32  # datagrams sent at once to one address
PAUSE = 0.001  # seconds between bursts; parts may pause up to 1 ms (spec 01, 17 #20)


def send_burst(ctx: CoreContext, to: Address, datagrams: Sequence[bytes], start: int = 0) -> None:
    """Send *datagrams* from *start* on to one address, in order, BURST at a time."""
    send = ctx.outbox.send
    if len(datagrams) <= BURST:
        for datagram in datagrams:
            send(to, datagram)
        return
    end = start + BURST
    for datagram in datagrams[start:end]:
        send(to, datagram)
    if end < len(datagrams):
        ctx.timers.at(ctx.now.mono + PAUSE, partial(send_burst, ctx, to, datagrams, end))
