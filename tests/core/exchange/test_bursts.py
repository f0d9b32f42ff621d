"""Long bursts are spread; short ones leave at once; the order stays."""

from random import Random

from dna_dht.core.config import CoreConfig
from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.bursts import BURST, PAUSE, send_burst
from dna_dht.core.instant import Instant
from dna_dht.wire.infohash import InfoHash

TO = ("31.0.0.1", 4000)


def _sent(count: int) -> list[list[bytes]]:
    """What leaves at once, then with each timer."""
    ctx = CoreContext(CoreConfig(), InfoHash.of(b"us"), Random(1), Instant(1000.0, 0.0))
    send_burst(ctx, TO, [b"%d" % number for number in range(count)])
    batches = [[transmit.payload for transmit in ctx.outbox.take_transmits()]]
    while (due := ctx.timers.next_wakeup()) is not None:
        assert due - ctx.now.mono <= PAUSE + 1e-9
        ctx.now = Instant(due, 0.0)
        ctx.timers.run_due(due)
        batches.append([transmit.payload for transmit in ctx.outbox.take_transmits()])
    return batches


def test_short_burst_leaves_at_once() -> None:
    assert [len(batch) for batch in _sent(BURST)] == [BURST]
    assert _sent(0) == [[]]


def test_long_burst_is_spread_in_order() -> None:
    batches = _sent(2 * BURST + 5)

    assert [len(batch) for batch in batches] == [BURST, BURST, 5]
    expected = [b"%d" % number for number in range(2 * BURST + 5)]
    assert [datagram for batch in batches for datagram in batch] == expected


def test_multiple_of_a_batch_leaves_no_timer_behind() -> None:
    assert [len(batch) for batch in _sent(2 * BURST)] == [BURST, BURST]
