"""Counters are copies by reason, for statistics."""

from dna_dht.core.counters import Counters


def test_a_snapshot_is_a_copy() -> None:
    counters = Counters()
    counters.dropped["malformed"] += 2
    counters.received["ping"] += 1
    before = counters.snapshot()
    counters.dropped["malformed"] += 1
    assert before == {
        "dropped": {"malformed": 2},
        "received": {"ping": 1},
        "sent": {},
        "values": {},
        "events": {},
    }
    assert counters.snapshot()["dropped"] == {"malformed": 3}
