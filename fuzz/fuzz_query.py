"""Queries and field answers: read or refused alike by both readers, and the same again after packing."""

from dna_dht.errors import DecodeError
from dna_dht.wire.query import (
    FieldAnswer,
    Query,
    answer_fields,
    pack_fields,
    pack_query,
    unpack_fields,
    unpack_fields_canonical,
    unpack_fields_tolerant,
    unpack_query,
    unpack_query_canonical,
    unpack_query_tolerant,
)
from dna_dht.wire.scanner import Scanner
from dna_dht.wire.value import Value
from fuzz.checks import check_shortest
from fuzz.samples import queries as seeds

__all__ = ["one_input", "seeds"]

_STORED = (Value(id=7, type=3, user_type=b"abc"), Value(id=8, owner=b"k" * 2592, signature=b"s", seq=9))


def one_input(data: bytes) -> None:
    """Check one query, which may be a field answer."""
    query, answer = _query(data), _answer(data)
    assert unpack_query_canonical(data) in (None, query)
    assert unpack_fields_canonical(data) in (None, answer)
    if query is not None:
        assert unpack_query(data) == query and unpack_query(pack_query(query)) == query
        assert query.is_satisfied_by(query)
        check_shortest(pack_query(query))
        found = answer_fields(query, _STORED)
        if found is not None:
            assert unpack_fields(pack_fields(found)) == found
    if answer is not None:
        assert unpack_fields(data) == answer and unpack_fields(pack_fields(answer)) == answer
        check_shortest(pack_fields(answer))


def _query(data: bytes) -> Query | None:
    try:
        return unpack_query_tolerant(data, Scanner())
    except DecodeError:
        return None


def _answer(data: bytes) -> FieldAnswer | None:
    try:
        return unpack_fields_tolerant(data, Scanner())
    except DecodeError:
        return None


if __name__ == "__main__":
    from fuzz.guided import run

    run(one_input, seeds())
