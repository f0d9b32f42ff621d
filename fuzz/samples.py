"""Samples the targets start from: the recorded datagrams, values and queries of tests/vectors."""

import json
from functools import cache
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parent.parent / "tests" / "vectors"


@cache
def load(name: str) -> Any:
    """The vector file *name*."""
    return json.loads((VECTORS / name).read_text())


def datagrams() -> list[bytes]:
    """Recorded and hand-made datagrams."""
    recorded = [raw for case in load("wire-packets.json")["cases"] for raw in case["datagrams"]]
    odd = [case["packet"] for case in load("wire-parse.json")["cases"]]
    return [bytes.fromhex(raw) for raw in dict.fromkeys([*recorded, *odd])]


def values() -> list[bytes]:
    """Packed values, right and wrong ones."""
    recorded = [value["packed"] for value in load("wire-values.json")["values"]]
    odd = [case["input"] for case in load("wire-value-unpack.json")["cases"]]
    return [raw for raw in map(bytes.fromhex, [*recorded, *odd]) if len(raw) < 10_000]


def queries() -> list[bytes]:
    """Queries and field answers, right and wrong ones."""
    vectors = load("wire-queries.json")
    found = [query["packed"] for query in vectors["queries"] if "packed" in query]
    found += [case["input"] for case in vectors["query_unpack"]]
    found += [case["packed"] for case in vectors["fields"]]
    return [bytes.fromhex(raw) for raw in found]
