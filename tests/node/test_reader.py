import pytest

from dna_dht.core.effects import GetOutcome, NodeEvidence
from dna_dht.errors import NotConnectedError, OperationTimeoutError
from dna_dht.node import reader
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.query import Field
from dna_dht.wire.value import Value

OWNERS = [bytes([number]) * 2592 for number in range(3)]


def outcome(
    *values: Value, holds: list[tuple[tuple[int, int], ...]] | None = None, **changes: bool | int
) -> GetOutcome:
    evidence = tuple(
        NodeEvidence(InfoHash.of(bytes([number])), ("192.0.2.1", number + 1), True, 0.1, held)
        for number, held in enumerate(holds or [])
    )
    settings = {"conclusive": True, "asked": 8, "answered": 8, "connected": True, **changes}
    return GetOutcome(values=values, evidence=evidence, **settings)  # type: ignore[arg-type]


def test_filters_name_what_is_given() -> None:
    owner = InfoHash.of(b"owner")

    assert reader.query_for(None, None).where == ()
    assert reader.query_for(owner, 7).where == ((Field.ID, 7), (Field.OWNER, owner))
    assert reader.query_for(None, 7).select == ()


def test_what_most_nodes_hold_comes_first_then_the_highest_seq_then_the_owner() -> None:
    rare, late, early = (Value(id=number, seq=seq) for number, seq in ((1, 9), (2, 5), (3, 4)))
    lonely = sorted((Value(id=4, owner=owner) for owner in OWNERS), key=lambda value: value.owner_id)
    found = outcome(
        *reversed(lonely),
        early,
        rare,
        late,
        holds=[((1, 9), (2, 5), (3, 4)), ((2, 5), (3, 4)), ((1, 8),)],
    )

    assert reader.ranked(found) == (late, early, rare, *lonely)


def test_nothing_is_an_answer_if_enough_nodes_said_so() -> None:
    reader.require_conclusive(outcome())


def test_nothing_from_too_few_is_none() -> None:
    with pytest.raises(OperationTimeoutError) as raised:
        reader.require_conclusive(outcome(conclusive=False, answered=3))
    assert (raised.value.asked, raised.value.answered) == (8, 3)


def test_nothing_from_nobody_is_no_connection() -> None:
    with pytest.raises(NotConnectedError):
        reader.require_conclusive(outcome(conclusive=False, connected=False))
