"""A whole node under mutated datagrams: no exception, all tables within limits, and afterwards it works.

The number of inputs is a share of DNA_DHT_FUZZ_CASES (default 200,000: 50,000 of them here).
"""

import os
from random import Random

import pytest
from fuzz import fuzz_core
from fuzz.fuzz_core import Siege
from fuzz.mutator import Mutator

CASES = int(os.environ.get("DNA_DHT_FUZZ_CASES", "200000"))
SHARE = 0.25
PROCESSES = 4  # independent sieges, so that they can run side by side


@pytest.mark.parametrize("piece", range(PROCESSES))
def test_siege(piece: int) -> None:
    seed = f"siege/{piece}"
    mutator = Mutator(Random(seed), fuzz_core.seeds())
    siege = Siege(piece)
    for count in range(round(CASES * SHARE / PROCESSES)):
        data = mutator.next()
        try:
            siege.strike(data)
        except Exception as error:
            raise AssertionError(f"seed {seed!r}, input {count}: {data.hex()}") from error
    siege.survives()


def test_the_samples_themselves() -> None:
    siege = Siege()
    for data in fuzz_core.seeds():
        siege.strike(data)
    siege.survives()


def test_the_siege_reaches_what_it_aims_at() -> None:
    """Without this, inputs that are all dropped at the gate could pass for a campaign."""
    mutator, siege = Mutator(Random(3), fuzz_core.seeds()), Siege()
    for _ in range(3000):
        siege.strike(mutator.next())
    stats = siege.core.stats()
    received = {"ping", "find", "get", "put", "refresh", "listen", "update", "reply", "error 401"}
    assert received <= set(stats["received"])
    assert {"malformed", "no sender", "martian address", "reply: unexpected", "blacklisted"} <= set(
        stats["dropped"]
    )
    assert {"stored", "edited", "refreshed", "expired", "signature: invalid"} <= set(stats["values"])
    assert {"reply held for proof", "persisted", "disk refused", "node expired", "error 203 answered"} <= set(
        stats["events"]
    )
    assert len(siege.done) > 50
