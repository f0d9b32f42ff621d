import json
from pathlib import Path
from typing import Any

import pytest

from dna_dht.store.rules import is_stale, should_persist
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack

PATH = Path(__file__).parents[1] / "vectors" / "context-storage.json"
DECISIONS: list[dict[str, Any]] = json.loads(PATH.read_text())["cases"]["should_persist"]
NOW = 1_769_126_400


@pytest.mark.parametrize("case", DECISIONS, ids=lambda case: f"{case['type']} {case['expires_in_seconds']}")
def test_the_recorded_decisions(case: dict[str, Any]) -> None:
    left = case["expires_in_seconds"]
    expires = None if left is None else NOW + left

    assert should_persist(int(case["type"], 16), expires, NOW) is case["persist"]


def packed(seq: int, owner: bytes = b"o") -> bytes:
    return pack(Value(id=1, data=b"data", seq=seq, owner=owner * 2592, signature=b"s" * 4627))


def test_only_a_lower_seq_of_the_same_owner_is_stale() -> None:
    stored = packed(5)

    assert is_stale(packed(4), 4, stored)
    assert not is_stale(packed(5), 5, stored)
    assert not is_stale(packed(6), 6, stored)
    assert not is_stale(packed(4, owner=b"p"), 4, stored)


def test_what_cannot_be_read_protects_nothing() -> None:
    assert not is_stale(packed(4), 4, b"not msgpack")
    assert not is_stale(b"not msgpack", 4, packed(5))
