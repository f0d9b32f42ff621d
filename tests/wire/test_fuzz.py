"""The fuzz targets, driven by the seeded mutator: DNA_DHT_FUZZ_CASES inputs in all (default 200,000)."""

import os
from collections.abc import Callable
from random import Random
from types import ModuleType

import pytest
from fuzz import fuzz_envelope, fuzz_query, fuzz_value
from fuzz.mutator import Mutator

from dna_dht.errors import DecodeError
from dna_dht.wire.decode import decode, decode_canonical

CASES = int(os.environ.get("DNA_DHT_FUZZ_CASES", "200000"))
TARGETS = {fuzz_envelope: 0.6, fuzz_value: 0.25, fuzz_query: 0.15}  # shares of CASES
PROCESSES = 4  # independent pieces of each share, so that they can run side by side


@pytest.mark.parametrize("piece", range(PROCESSES))
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__)
def test_hostile_input(target: ModuleType, piece: int) -> None:
    seed = f"{target.__name__}/{piece}"
    mutator = Mutator(Random(seed), target.seeds())
    one_input: Callable[[bytes], None] = target.one_input
    for count in range(round(CASES * TARGETS[target] / PROCESSES)):
        data = mutator.next()
        try:
            one_input(data)
        except Exception as error:
            raise AssertionError(f"seed {seed!r}, input {count}: {data.hex()}") from error


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__)
def test_the_samples_themselves(target: ModuleType) -> None:
    for data in target.seeds():
        target.one_input(data)


def test_the_mutator_reaches_both_paths_and_every_message() -> None:
    """Without this, mutations that nothing accepts could pass for a campaign."""
    mutator = Mutator(Random(1), fuzz_envelope.seeds())
    kinds: dict[str, set[bool]] = {}
    refused = 0
    for _ in range(4000):
        data = mutator.next()
        try:
            kind = type(decode(data)).__name__
        except DecodeError:
            refused += 1
        else:
            kinds.setdefault(kind, set()).add(decode_canonical(data) is not None)
    assert 1000 < refused < 3000
    names = [
        "Ping",
        "Find",
        "Get",
        "Put",
        "Refresh",
        "Listen",
        "Update",
        "Reply",
        "ErrorReply",
        "Part",
        "Notice",
    ]
    assert kinds == {name: {True, False} for name in names}


def test_a_target_notices_a_wrong_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    ping, find = fuzz_envelope.seeds()[0], fuzz_envelope.seeds()[2]
    message = decode(find)
    fuzz_envelope.one_input(ping)
    monkeypatch.setattr(fuzz_envelope, "decode_tolerant", lambda data: message)
    with pytest.raises(AssertionError):
        fuzz_envelope.one_input(ping)
