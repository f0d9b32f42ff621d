"""Recorded behaviour of a storing node, scenario by scenario (wire-behaviour.json)."""

import json
from pathlib import Path
from typing import Any

import pytest

from dna_dht.wire.infohash import InfoHash

from .scripted import Scripted

VECTORS = Path(__file__).parents[1] / "vectors"
CASES = json.loads((VECTORS / "wire-behaviour.json").read_text())["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_recorded_scenario(case: dict[str, Any]) -> None:
    world = Scripted()
    key = InfoHash.of(case["name"].encode())
    for peer in (1, 2, 3, 9):
        world.token(peer)

    told = []
    for step in case["steps"]:
        answer = getattr(world, step["op"])(step, key)
        if answer is not None:
            told.append(answer)

    expected = case.get("required", case["recorded"])
    assert [_normal(each) for each in told] == [_normal(each) for each in expected]


def _normal(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The order of first updates and listen confirmation does not bind; that of the rest does."""
    updates = [message for message in messages if "update" in message]
    return [message for message in messages if "update" not in message] + updates
