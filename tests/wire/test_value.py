"""What a value is: signed, encrypted, its size, its owner, and when two are the same."""

from typing import Any

import msgspec
import pytest

from dna_dht.wire.infohash import ZERO, InfoHash
from dna_dht.wire.value import Value

OWNER = b"k" * 2592
SIGNED = Value(id=7, type=3, data=b"data", user_type=b"ut", seq=1, owner=OWNER, signature=b"s" * 4627)


def test_signed_needs_owner_and_signature() -> None:
    assert SIGNED.is_signed
    assert not Value(id=7, owner=OWNER).is_signed and not Value(id=7, signature=b"s").is_signed


def test_encrypted() -> None:
    assert Value(id=7, cypher=b"c").is_encrypted and not SIGNED.is_encrypted


def test_size_leaves_the_owner_out() -> None:
    assert SIGNED.size == 4 + 2 + 4627
    assert Value(id=7, cypher=b"abc").size == 3


def test_owner_id() -> None:
    assert SIGNED.owner_id == InfoHash.of(OWNER) and Value(id=7).owner_id == ZERO


@pytest.mark.parametrize("change", [{"seq": 2}, {"priority": 1}, {"recipient": b"r" * 20}])
def test_same_content_ignores(change: dict[str, Any]) -> None:
    assert SIGNED.same_content(msgspec.structs.replace(SIGNED, **change))


@pytest.mark.parametrize(
    "change",
    [
        {"id": 8},
        {"type": 4},
        {"data": b"other"},
        {"user_type": b""},
        {"owner": b"o" * 2592},
        {"signature": b"S" * 4627},
        {"cypher": b"c"},
    ],
)
def test_same_content_sees(change: dict[str, Any]) -> None:
    other = msgspec.structs.replace(SIGNED, **change)
    assert not SIGNED.same_content(other) and not other.same_content(SIGNED)


def test_of_encrypted_values_only_the_cypher_counts() -> None:
    assert Value(id=7, cypher=b"c").same_content(Value(id=7, cypher=b"c", type=5))
    assert not Value(id=7, cypher=b"c").same_content(Value(id=7, cypher=b"d"))


def test_values_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        SIGNED.seq = 5  # type: ignore[misc]
