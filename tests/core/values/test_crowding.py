"""The one that goes is of the largest source, then owner, then nearest expiry; groups stay exact."""

from hypothesis import given
from hypothesis import strategies as st

from dna_dht.core.config import Limits
from dna_dht.core.values.crowding import Crowd, crowded_from
from dna_dht.core.values.stored_value import StoredValue
from dna_dht.wire.infohash import ZERO, InfoHash

TIGHT = Limits(values_per_key=6, values_per_key_and_owner=5, values_per_key_and_source=5)


def stored(number: int, source: str, owner: int, expires: float = 1.0, signature: int = -1) -> StoredValue:
    return StoredValue(
        key=ZERO,
        id=number,
        type=0,
        seq=0,
        owner_id=InfoHash.of(b"%d" % owner) if owner else ZERO,
        user_type=b"",
        is_signed=bool(owner),
        packed=b"",
        size=0,
        signature_start=b"%d" % (number if signature < 0 else signature),
        created=0.0,
        expires=expires,
        first_stored=0.0,
        source=source,
        number=number,
    )


def test_no_limit_can_be_exceeded_below_the_smallest() -> None:
    assert crowded_from(Limits()) == 4
    assert crowded_from(Limits(values_per_key=2)) == 2
    assert crowded_from(TIGHT) == 4


def test_order_of_the_rule() -> None:
    values = [
        stored(1, "a", 1, expires=1.0),  # the nearest expiry, but of a small source
        stored(2, "b", 2, expires=5.0),  # of the largest source, but of its smaller owner
        stored(3, "b", 3, expires=9.0),
        stored(4, "b", 3, expires=7.0),
        stored(5, "", 3, expires=0.0),  # ours
        stored(6, "c", 4, expires=8.0),
        stored(7, "c", 5, expires=8.0),
    ]
    crowd = Crowd(values)
    newcomer = stored(8, "d", 6, expires=0.5)
    crowd.add(newcomer)
    assert crowd.surplus(newcomer, TIGHT) is values[3]


def test_of_equal_expiries_the_older_goes() -> None:
    values = [stored(number, "a", number) for number in (3, 1, 2, 4, 5, 6)]
    crowd = Crowd(values)
    assert crowd.surplus(values[0], TIGHT) is values[1]


def test_our_own_values_never_count() -> None:
    values = [stored(number, "", 1) for number in range(1, 100)]
    assert Crowd(values).surplus(values[0], TIGHT) is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "a", "b", "c"]), st.integers(0, 2), st.integers(0, 5), st.integers(0, 3)
        ),
        max_size=60,
    )
)
def test_no_group_ever_exceeds_its_limit(steps: list[tuple[str, int, int, int]]) -> None:
    crowd = Crowd([])
    held: list[StoredValue] = []
    for number, (source, owner, expires, signature) in enumerate(steps, 1):
        newcomer = stored(number, source, owner, float(expires), signature)
        held.append(newcomer)
        crowd.add(newcomer)
        while newcomer in held and (victim := crowd.surplus(newcomer, TIGHT)) is not None:
            assert victim.source != ""
            held.remove(victim)
            crowd.remove(victim)
        remote = [value for value in held if value.source]
        assert len(remote) <= 6
        for value in remote:
            assert sum(other.source == value.source for other in remote) <= 5
            if value.is_signed:
                assert sum(other.owner_id == value.owner_id for other in remote if other.is_signed) <= 5
                copies = [v for v in remote if v.is_signed and v.signature_start == value.signature_start]
                assert len(copies) <= 4
