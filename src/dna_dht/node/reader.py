"""Order and meaning of what a get returns. Source: spec 04, section 7."""

from dna_dht.core.effects import GetOutcome
from dna_dht.errors import NotConnectedError, OperationTimeoutError
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.query import Field, Query
from dna_dht.wire.value import Value


def query_for(owner: InfoHash | None, value_id: int | None) -> Query:
    """Whole values of *owner* with *value_id*; None: any."""
    where: list[tuple[int, int | bytes]] = []
    if value_id is not None:
        where.append((Field.ID, value_id))
    if owner is not None:
        where.append((Field.OWNER, owner))
    return Query((), tuple(where))


def ranked(outcome: GetOutcome) -> tuple[Value, ...]:
    """The values of *outcome*: held by most nodes first, then the highest seq, then the owner id."""
    holders: dict[tuple[int, int], int] = {}
    for entry in outcome.evidence:
        for held in entry.holds:
            holders[held] = holders.get(held, 0) + 1
    return tuple(
        sorted(
            outcome.values,
            key=lambda value: (-holders.get((value.id, value.seq), 0), -value.seq, value.owner_id, value.id),
        )
    )


def require_conclusive(outcome: GetOutcome) -> None:
    """Raise the NetworkError of an *outcome* that does not prove that there is nothing."""
    if not outcome.connected:
        raise NotConnectedError("the connection to the network was lost: no node could be asked")
    if not outcome.conclusive:
        raise OperationTimeoutError(asked=outcome.asked, answered=outcome.answered)
