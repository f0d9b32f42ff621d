"""The type table is the one of the specification, and lifetimes map to types at their exact borders."""

import pytest

from dna_dht.core.values.value_types import (
    DNA_7_DAYS,
    DNA_30_DAYS,
    DNA_365_DAYS,
    persisted,
    type_for_ttl,
    type_of,
)

# id: (lifetime in seconds, editable, store rule); spec 01, 9.7
TABLE = {
    0: (600, True, "size"),
    1: (300, True, "size"),
    2: (900, False, "never"),
    3: (300, True, "size"),
    4: (604_800, True, "size"),
    5: (60, True, "size"),
    8: (604_800, False, "never"),
    0x1001: (604_800, True, "any"),
    0x1002: (31_536_000, True, "any"),
    0x1003: (2_592_000, True, "any"),
}


def test_every_type_number_follows_the_table() -> None:
    for number in range(65_536):
        known = type_of(number)
        assert known.id == number
        assert (known.lifetime, known.editable, known.store_rule) == TABLE.get(number, (600, False, "size"))


@pytest.mark.parametrize(
    ("ttl", "type_id"),
    [
        (0, DNA_7_DAYS),
        (1, DNA_7_DAYS),
        (604_800, DNA_7_DAYS),
        (2_591_999, DNA_7_DAYS),
        (2_592_000, DNA_30_DAYS),
        (31_535_999, DNA_30_DAYS),
        (31_536_000, DNA_365_DAYS),
        (2**32 - 1, DNA_365_DAYS),
    ],
)
def test_ttl_is_rounded_to_a_type(ttl: int, type_id: int) -> None:
    assert type_for_ttl(ttl) == type_id


def test_only_30_and_365_days_go_to_disk() -> None:
    assert [number for number in range(65_536) if persisted(number)] == [DNA_365_DAYS, DNA_30_DAYS]
