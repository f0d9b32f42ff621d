"""Queries and field answers: recorded bytes, tolerance, matching."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_dht.errors import DecodeError
from dna_dht.wire.infohash import ZERO, InfoHash
from dna_dht.wire.limits import QUERY_ITEMS
from dna_dht.wire.query import (
    ANY,
    IDS,
    PROBE,
    Field,
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
    where_id,
)
from dna_dht.wire.scanner import Scanner
from dna_dht.wire.value import Value

VECTORS: Any = json.loads((Path(__file__).parent.parent / "vectors" / "wire-queries.json").read_text())
UNPACKED = VECTORS["query_unpack"]
OWNER = b"k" * 2592
OWNER_ID = InfoHash.of(OWNER)
UINT64 = st.integers(0, 2**64 - 1)
IDS_OF_20 = st.binary(min_size=20, max_size=20).map(InfoHash)
FILTERS = (
    st.tuples(st.just(1), UINT64)
    | st.tuples(st.just(2), UINT64)
    | st.tuples(st.just(3), IDS_OF_20)
    | st.tuples(st.just(5), st.binary(max_size=300))
)
QUERIES = st.builds(
    Query,
    select=st.lists(st.integers(-(2**63), 2**64 - 1), max_size=QUERY_ITEMS).map(tuple),
    where=st.lists(FILTERS, max_size=QUERY_ITEMS).map(tuple),
)
CELLS: dict[int, st.SearchStrategy[Any]] = {
    1: UINT64,
    2: st.integers(0, 65_535),
    3: IDS_OF_20,
    4: st.integers(0, 65_535),
    5: st.binary(max_size=40),
}
ANSWERS = (
    st.sets(st.sampled_from(sorted(CELLS)), min_size=1)
    .map(lambda fields: tuple(sorted(fields)))
    .flatmap(
        lambda fields: st.builds(
            FieldAnswer,
            st.just(fields),
            st.lists(st.tuples(*(CELLS[field] for field in fields)), max_size=20).map(tuple),
        )
    )
)

WRITTEN = {
    "empty": ANY,
    "select id": IDS,
    "probe: select id, seq": PROBE,
    "selection order is kept (utype, id)": Query(select=(5, 1)),
    "select all five fields": Query(select=tuple(Field)),
    "where id=7": where_id(7),
    "where id=0xfedcba9876543210": where_id(0xFEDCBA9876543210),
    "where type=0x1001": Query(where=((Field.TYPE, 0x1001),)),
    "where owner": Query(where=((3, InfoHash.from_hex("daf2430f8b0a9f92b71b0e19de957025b13fe3ee")),)),
    "where utype=text/plain": Query(where=((Field.USER_TYPE, b"text/plain"),)),
    "where seq=3 cannot be serialised": Query(where=((Field.SEQ, 3),)),
    "select id where id=7 and type=3": Query(select=(1,), where=((1, 7), (2, 3))),
}


@pytest.mark.parametrize("case", VECTORS["queries"], ids=lambda case: case["name"])
def test_recorded_queries(case: dict[str, str]) -> None:
    query = WRITTEN[case["name"]]
    if "error" in case:
        with pytest.raises(ValueError):
            pack_query(query)
        return
    packed = bytes.fromhex(case["packed"])
    assert pack_query(query) == packed
    assert unpack_query(packed) == unpack_query_canonical(packed) == query


@pytest.mark.parametrize("case", [c for c in UNPACKED if c["accepted"]], ids=lambda case: case["name"])
def test_accepted(case: dict[str, str]) -> None:
    packed = bytes.fromhex(case["input"])
    query = unpack_query(packed)
    assert pack_query(query).hex() == case["repacked"]
    assert unpack_query_tolerant(packed, Scanner()) == query
    assert unpack_query_canonical(packed) in (None, query)


@pytest.mark.parametrize("case", [c for c in UNPACKED if not c["accepted"]], ids=lambda case: case["name"])
def test_refused(case: dict[str, str]) -> None:
    with pytest.raises(DecodeError):
        unpack_query(bytes.fromhex(case["input"]))


@pytest.mark.parametrize("count", [QUERY_ITEMS + 1, 60, 5000])
def test_long_queries_are_refused(count: int) -> None:
    with pytest.raises(DecodeError):
        unpack_query(pack_query(Query(select=(1,) * count)))
    with pytest.raises(DecodeError):
        unpack_query(pack_query(Query(where=((1, 7),) * count)))


@given(QUERIES)
def test_queries_round_trip(query: Query) -> None:
    packed = pack_query(query)
    assert unpack_query(packed) == unpack_query_tolerant(packed, Scanner()) == query


def test_the_first_of_repeated_keys_counts() -> None:
    assert unpack_query(b"\x83\xa1s\x91\x01\xa1w\x90\xa1s\x91\x02") == IDS
    filters = b"\x83\xa1f\x01\xa1v\x07\xa1v\x08"
    assert unpack_query(b"\x82\xa1s\x90\xa1w\x91" + filters) == where_id(7)


@pytest.mark.parametrize("case", VECTORS["fields"], ids=lambda case: case["name"])
def test_recorded_field_answers(case: dict[str, Any]) -> None:
    packed = bytes.fromhex(case["packed"])
    answer = unpack_fields(packed)
    assert unpack_fields_tolerant(packed, Scanner()) == answer
    assert unpack_fields_canonical(packed) in (None, answer)
    if case["unpacked"] == ["rejected"]:  # the reference cannot read its own whole key; we hash it
        assert answer == FieldAnswer((3,), ((InfoHash.of(packed[-2592:]),),))
        return
    assert [as_text(answer.fields, row) for row in answer.rows] == case["unpacked"]
    assert pack_fields(answer) == packed


def as_text(fields: tuple[int, ...], row: tuple[int | bytes, ...]) -> str:
    names = {1: "Id", 2: "ValueType", 3: "Owner", 4: "Seq", 5: "UserType"}
    cells = []
    for field, cell in zip(fields, row, strict=True):
        shown = cell if isinstance(cell, int) else cell.hex() if field == Field.OWNER else cell.decode()
        cells.append(f"{names[field]}:{shown}")
    return f"Index[{','.join(cells)}]"


@given(ANSWERS)
def test_field_answers_round_trip(answer: FieldAnswer) -> None:
    packed = pack_fields(answer)
    assert unpack_fields(packed) == unpack_fields_tolerant(packed, Scanner()) == answer


def test_odd_field_answers() -> None:
    assert unpack_fields(b"\x82\xa1f\x91\x01\xa1v\x93\x07\xa1x\x09").rows == ((7,), (9,))  # one bad row
    assert unpack_fields(b"\x82\xa1f\x92\x01\x04\xa1v\x93\x07\x00\x08").rows == ((7, 0),)  # one short row
    assert unpack_fields(b"\x82\xa1f\x92\x04\x01\xa1v\x92\x03\x07") == FieldAnswer((4, 1), ((3, 7),))
    assert unpack_fields(b"\x82\xa1f\x91\x09\xa1v\x91\x07") == FieldAnswer((9,), ())


@pytest.mark.parametrize(
    "hexed", ["81a17690", "81a16691", "82a16690a17690", "82a16601a17690", "82a16691a131a17690"]
)
def test_broken_field_answers(hexed: str) -> None:
    with pytest.raises(DecodeError):
        unpack_fields(bytes.fromhex(hexed))


PLAIN = Value(id=7, type=3, user_type=b"ut")
OWNED = Value(id=8, type=0x1001, seq=2, owner=OWNER, signature=b"s")


@pytest.mark.parametrize(
    ("where", "matching"),
    [
        ((), [PLAIN, OWNED]),
        (((1, 7),), [PLAIN]),
        (((2, 0x1001),), [OWNED]),
        (((2, 0x11001),), [OWNED]),  # only the low 16 bits count
        (((3, OWNER_ID),), [OWNED]),
        (((3, ZERO),), []),  # unsigned values have no owner at all
        (((4, 2),), [OWNED]),
        (((5, b"ut"),), [PLAIN]),
        (((1, 7), (2, 0x1001)), []),
        (((9, 1),), []),
    ],
)
def test_matching(where: tuple[tuple[int, int | bytes], ...], matching: list[Value]) -> None:
    assert [value for value in (PLAIN, OWNED) if Query(where=where).matches(value)] == matching


def test_answering_fields() -> None:
    assert answer_fields(IDS, (PLAIN, OWNED)) == FieldAnswer((1,), ((7,), (8,)))
    everything = answer_fields(Query(select=(5, 4, 3, 2, 1, 1, 9)), (PLAIN, OWNED))
    assert everything == FieldAnswer((1, 2, 3, 4, 5), ((7, 3, ZERO, 0, b"ut"), (8, 0x1001, OWNER_ID, 2, b"")))
    assert answer_fields(Query(select=(9,)), (PLAIN,)) is None
    assert answer_fields(where_id(9, select=(1,)), (PLAIN,)) is None
    assert answer_fields(ANY, (PLAIN,)) is None


def test_satisfaction() -> None:
    assert ANY.is_satisfied_by(ANY) and IDS.is_satisfied_by(IDS)
    assert IDS.is_satisfied_by(PROBE) and not PROBE.is_satisfied_by(IDS)
    assert where_id(7).is_satisfied_by(ANY) and not ANY.is_satisfied_by(where_id(7))
    assert not ANY.is_satisfied_by(IDS)
    assert where_id(7, select=(1,)).is_satisfied_by(IDS) and not IDS.is_satisfied_by(where_id(7, select=(1,)))


@pytest.mark.parametrize("query", [IDS, PROBE])
def test_whole_values_answer_a_selection_only_if_it_is_part_of_theirs(query: Query) -> None:
    """Spec 02, 11.4: every selected field must be in the other's selection."""
    assert not query.is_satisfied_by(ANY)
