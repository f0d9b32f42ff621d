"""Accounts per source are exact, and the largest is always found."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from dna_dht.core.values.quotas import Quotas
from dna_dht.core.values.stored_value import StoredValue
from dna_dht.wire.infohash import ZERO


def stored(number: int, source: str, size: int, expires: float) -> StoredValue:
    return StoredValue(
        key=ZERO,
        id=number,
        type=0,
        seq=0,
        owner_id=ZERO,
        user_type=b"",
        is_signed=False,
        packed=b"",
        size=size,
        signature_start=b"",
        created=0.0,
        expires=expires,
        first_stored=0.0,
        source=source,
        number=number,
    )


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "add", "remove", "victim"]),
            st.sampled_from(["", "a", "b", "c", "d"]),
            st.integers(0, 9),
        ),
        max_size=200,
    )
)
def test_accounts_and_victims_agree_with_a_plain_sum(steps: list[tuple[str, str, int]]) -> None:
    quotas = Quotas()
    live: list[StoredValue] = []

    def remove(value: StoredValue) -> None:
        live.remove(value)
        value.gone = True
        quotas.remove(value)

    for number, (step, source, amount) in enumerate(steps):
        sums = Counter[str]()
        for value in live:
            sums[value.source] += value.size
        if step == "add":
            live.append(stored(number, source, amount, expires=float(amount * 7 % 5)))
            quotas.add(live[-1])
        elif step == "remove" and live:
            remove(live[amount % len(live)])
        elif step == "victim":
            strangers = [value for value in live if value.source]
            victim = quotas.next_victim()
            if victim is None:
                assert not strangers
                continue
            assert sums[victim.source] == max(sums[value.source] for value in strangers)
            mine = [value for value in strangers if value.source == victim.source]
            assert victim is min(mine, key=lambda value: (value.expires, value.number))
            remove(victim)
        assert quotas.local == sum(value.size for value in live if not value.source)
        assert quotas.total == sum(quotas.by_source().values())
        assert quotas.total == sum(value.size for value in live if value.source)
        assert quotas.by_source().keys() == {value.source for value in live if value.source}


def test_history_does_not_pile_up() -> None:
    quotas = Quotas()
    for number in range(10_000):
        value = stored(number, f"source {number % 3000}", number % 50, 1.0)
        quotas.add(value)
        value.gone = True
        quotas.remove(value)
    assert len(quotas._largest) < 100
    assert quotas.by_source() == {}
    assert quotas.next_victim() is None
