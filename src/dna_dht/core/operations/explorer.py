"""Explorer: lookups for their side effects alone; they fill the tables (spec 02, 7.1 and 25.1 item 12)."""

from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.compose import Composer
from dna_dht.core.exchange.requests import Requests
from dna_dht.core.operations.lookup import Candidate, Lookup
from dna_dht.core.routing.overlay import Overlay
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import Reply


def explore(
    ctx: CoreContext, requests: Requests, composer: Composer, overlay: Overlay, target: InfoHash
) -> None:
    """Find the closest nodes to *target* in one family."""

    def ask(lookup: Lookup, candidate: Candidate) -> None:
        def answered(reply: Reply) -> None:
            lookup.answered(candidate, reply)
            lookup.step()

        def failed(code: int) -> None:
            lookup.failed(candidate)
            lookup.step()

        def slow() -> None:
            lookup.slow(candidate)
            lookup.step()

        requests.send(
            candidate.node,
            "find",
            lambda tid: composer.find(tid, target),
            on_reply=answered,
            on_failed=failed,
            on_slow=slow,
        )

    Lookup(ctx, overlay, target, ask).step()
