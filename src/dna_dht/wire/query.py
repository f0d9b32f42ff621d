"""Queries: which values, and which of their fields, a get or listen asks for. Source: spec 01, section 10."""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from functools import lru_cache
from typing import Protocol

import msgspec

from dna_dht.errors import DecodeError
from dna_dht.wire import leaves
from dna_dht.wire.infohash import LENGTH, ZERO, InfoHash
from dna_dht.wire.leaves import uint_of
from dna_dht.wire.limits import CELL_CHARGE, MAX_SEQ, MAX_TYPE, MAX_UINT64, PUBLIC_KEY, QUERY_ITEMS
from dna_dht.wire.packing import array_header, binary, text, uint
from dna_dht.wire.scanner import Scanner, bytes_of, text_of


class Field(IntEnum):
    """Fields of a value that can be selected or filtered, by their number on the wire."""

    ID = 1
    TYPE = 2
    OWNER = 3  # the owner's id, 20 bytes
    SEQ = 4  # may be selected, not filtered
    USER_TYPE = 5


class ValueLike(Protocol):
    """What a query looks at: a Value, or what a storage remembers of one."""

    @property
    def id(self) -> int: ...
    @property
    def type(self) -> int: ...
    @property
    def seq(self) -> int: ...
    @property
    def user_type(self) -> bytes: ...
    @property
    def owner_id(self) -> InfoHash: ...
    @property
    def is_signed(self) -> bool: ...


class Query(msgspec.Struct, frozen=True, gc=False):
    """A selection of fields (none: whole values) and a conjunction of filters.

    Attributes:
        select: field numbers in the order chosen; unknown numbers are kept, and answered by nothing.
        where: (field, value) pairs; integers for ID and TYPE, bytes for OWNER (20) and USER_TYPE.
    """

    select: tuple[int, ...] = ()
    where: tuple[tuple[int, int | bytes], ...] = ()

    def matches(self, value: ValueLike) -> bool:
        """Whether *value* passes all filters (spec 01, 10.2)."""
        return all(_passes(value, field, wanted) for field, wanted in self.where)

    def is_satisfied_by(self, other: "Query") -> bool:
        """Whether an answer to *other* contains everything this query asks for (spec 02, 11.4)."""
        if not set(other.where) <= set(self.where):
            return False
        if not self.select:
            return not other.select
        return set(self.select) <= set(other.select)


ANY = Query()
"""Whole values, all of them."""
IDS = Query(select=(Field.ID,))
"""The ids of all values."""
PROBE = Query(select=(Field.ID, Field.SEQ))
"""What a publisher asks before a permanent put (spec 01, section 16)."""


def where_id(value_id: int, select: tuple[int, ...] = ()) -> Query:
    """The query for one value."""
    return Query(select=select, where=((Field.ID, value_id),))


class FieldAnswer(msgspec.Struct, frozen=True, gc=False):
    """The answer to a selecting query.

    Attributes:
        fields: selected field numbers; ascending and without duplicates when we write it.
        rows: for each matching value its fields in that order: bytes for OWNER (an id of 20) and USER_TYPE,
            integers for the others.
    """

    fields: tuple[int, ...]
    rows: tuple[tuple[int | bytes, ...], ...]

    def revisions(self) -> Iterator[tuple[int, int]]:
        """(value id, seq) of every row; nothing if one of the two was not selected."""
        if Field.ID in self.fields and Field.SEQ in self.fields:
            id_at, seq_at = self.fields.index(Field.ID), self.fields.index(Field.SEQ)
            for row in self.rows:
                value_id, seq = row[id_at], row[seq_at]
                if isinstance(value_id, int) and isinstance(seq, int):
                    yield value_id, seq


def answer_fields(query: Query, values: Iterable[ValueLike]) -> FieldAnswer | None:
    """The selected fields of the *values* that match; None if no field or no value is left."""
    fields = tuple(sorted(_KNOWN.intersection(query.select)))
    if not fields:
        return None
    rows = tuple(
        tuple(_field_of(value, field) for field in fields) for value in values if query.matches(value)
    )
    return FieldAnswer(fields, rows) if rows else None


@lru_cache(256)
def pack_query(query: Query) -> bytes:
    """The map a get or listen carries; ValueError for a SEQ filter, which nobody reads (spec 01, 17 #8)."""
    pieces = [b"\x82\xa1s", array_header(len(query.select)), *map(uint, query.select)]
    pieces += (b"\xa1w", array_header(len(query.where)))
    for field, wanted in query.where:
        if field == Field.SEQ:
            raise ValueError("a seq filter cannot be sent")
        pieces += (
            b"\x82\xa1f",
            uint(field),
            b"\xa1v",
            uint(wanted) if isinstance(wanted, int) else binary(wanted),
        )
    return b"".join(pieces)


def unpack_query(packed: bytes, scanner: Scanner | None = None) -> Query:
    """Read a query; DecodeError (spec 01, 10.1)."""
    query = unpack_query_canonical(packed)
    return query if query is not None else unpack_query_tolerant(packed, scanner or Scanner())


def unpack_query_canonical(packed: bytes) -> Query | None:
    """Read a query in exactly the form we write; None for anything else."""
    if packed.startswith(_WHERE_ID):
        value_id = leaves.canonical(_uint_decoder, packed[len(_WHERE_ID) :])
        return None if value_id is None else Query((), ((1, value_id),))
    return _unpack_cached(packed) if len(packed) <= _CACHED_LENGTH else None


def unpack_query_tolerant(packed: bytes, scanner: Scanner) -> Query:
    """Read a query in any form spec 01, 10.1 accepts; DecodeError."""
    outer = scanner.fields(packed, first_wins=True)
    if b"s" not in outer or b"w" not in outer:
        raise DecodeError("a query needs s and w")
    select = leaves.integers(outer[b"s"])
    filters = leaves.items(outer[b"w"])
    if len(select) > QUERY_ITEMS or len(filters) > QUERY_ITEMS:
        raise DecodeError("too many fields in a query")
    return Query(tuple(select), tuple(_unpack_filter(each, scanner) for each in filters))


def pack_fields(answer: FieldAnswer) -> bytes:
    """The `fileds` map of a nodes reply; ValueError for unknown fields."""
    pieces = [b"\x82\xa1f", array_header(len(answer.fields)), *map(uint, answer.fields)]
    pieces += (b"\xa1v", array_header(len(answer.fields) * len(answer.rows)))
    for row in answer.rows:
        for field, content in zip(answer.fields, row, strict=True):
            if isinstance(content, int):
                pieces.append(uint(content))
            else:
                pieces.append(binary(content) if field == Field.OWNER else text(content))
    return b"".join(pieces)


def unpack_fields(packed: bytes, scanner: Scanner | None = None) -> FieldAnswer:
    """Read a field answer; rows that cannot be read are left out. DecodeError (spec 01, 10.3)."""
    answer = unpack_fields_canonical(packed)
    return answer if answer is not None else unpack_fields_tolerant(packed, scanner or Scanner())


def unpack_fields_canonical(packed: bytes) -> FieldAnswer | None:
    """Read an answer of id, type or seq in exactly the form we write; None for anything else."""
    prefix, fields = next((known for known in _NUMERIC_ANSWERS if packed.startswith(known[0])), (b"", ()))
    if not fields:
        return None
    numbers = leaves.canonical(_uints_decoder, packed[len(prefix) :])
    width = len(fields)
    if not numbers or len(numbers) % width:
        return None
    rows = tuple(zip(*[iter(numbers)] * width, strict=True))
    if width > 1 and any(number > MAX_SEQ for row in rows for number in row[1:]):
        return None
    return FieldAnswer(fields, rows)


def unpack_fields_tolerant(packed: bytes, scanner: Scanner) -> FieldAnswer:
    """Read a field answer in any form spec 01, 10.3 accepts; DecodeError."""
    outer = scanner.fields(packed, first_wins=True)
    if b"f" not in outer or b"v" not in outer:
        raise DecodeError("a field answer needs f and v")
    fields = tuple(leaves.integers(outer[b"f"]))
    if not 0 < len(fields) <= QUERY_ITEMS:
        raise DecodeError(f"field answer with {len(fields)} fields")
    cells = leaves.items(outer[b"v"])
    scanner.charge(CELL_CHARGE * len(cells))
    rows = []
    for at in range(0, len(cells) - len(fields) + 1, len(fields)):
        row = _unpack_row(fields, cells[at : at + len(fields)])
        if row is not None:
            rows.append(row)
    return FieldAnswer(fields, tuple(rows))


def _passes(value: ValueLike, field: int, wanted: int | bytes) -> bool:
    if field == Field.ID:
        return value.id == wanted
    if field == Field.TYPE:
        return isinstance(wanted, int) and value.type == wanted & MAX_TYPE
    if field == Field.OWNER:
        return value.is_signed and value.owner_id == wanted
    if field == Field.SEQ:
        return value.seq == wanted
    return field == Field.USER_TYPE and value.user_type == wanted


def _field_of(value: ValueLike, field: int) -> int | bytes:
    if field == Field.ID:
        return value.id
    if field == Field.TYPE:
        return value.type
    if field == Field.OWNER:
        return value.owner_id if value.is_signed else ZERO
    return value.seq if field == Field.SEQ else value.user_type


def _unpack_filter(packed: bytes, scanner: Scanner) -> tuple[int, int | bytes]:
    entry = scanner.fields(packed, first_wins=True)
    if b"f" not in entry or b"v" not in entry:
        raise DecodeError("a filter needs f and v")
    field = leaves.integer(entry[b"f"])
    if field in (Field.ID, Field.TYPE):
        return field, leaves.uint(entry[b"v"], MAX_UINT64)
    if field == Field.OWNER:
        return field, leaves.info_hash(entry[b"v"])
    if field == Field.USER_TYPE:
        return field, leaves.blob(entry[b"v"])
    raise DecodeError(f"field {field} cannot be filtered")


def _unpack_row(fields: tuple[int, ...], cells: list[bytes]) -> tuple[int | bytes, ...] | None:
    row = []
    for field, cell in zip(fields, cells, strict=True):
        content = _unpack_cell(field, cell)
        if content is None:
            return None
        row.append(content)
    return tuple(row)


def _unpack_cell(field: int, cell: bytes) -> int | bytes | None:
    if field == Field.OWNER:
        raw = bytes_of(cell)
        if raw is not None and len(raw) == PUBLIC_KEY:  # the reference writes the whole key
            return InfoHash.of(raw)
        return InfoHash(raw) if raw is not None and len(raw) == LENGTH else None
    if field == Field.USER_TYPE:
        raw = text_of(cell)
        return bytes_of(cell) if raw is None else raw
    number = uint_of(cell)
    return number if number is not None and number <= _MAXIMUM.get(field, -1) else None


@lru_cache(512)
def _unpack_cached(packed: bytes) -> Query | None:
    """The query if *packed* is canonical: strangers repeat the same few."""
    try:
        query = unpack_query_tolerant(packed, Scanner())
        return query if pack_query(query) == packed else None
    except (DecodeError, ValueError):
        return None


_CACHED_LENGTH = 128  # bytes; longer queries are not cached, which bounds the cache to 64 kB
_MAXIMUM: dict[int, int] = {Field.ID: MAX_UINT64, Field.TYPE: MAX_TYPE, Field.SEQ: MAX_SEQ}
_KNOWN = frozenset(int(field) for field in Field)
_WHERE_ID = b"\x82\xa1s\x90\xa1w\x91\x82\xa1f\x01\xa1v"
_NUMERIC_ANSWERS = tuple(
    (b"\x82\xa1f" + array_header(len(fields)) + bytes(fields) + b"\xa1v", fields)
    for fields in ((1,), (1, 4), (1, 2), (1, 2, 4))
)
_uint_decoder = msgspec.msgpack.Decoder(leaves.UInt64)
_uints_decoder = msgspec.msgpack.Decoder(list[leaves.UInt64])
