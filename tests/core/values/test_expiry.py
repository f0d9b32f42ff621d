"""The queue by expiry agrees with a plain minimum, and does not grow with history."""

from hypothesis import given
from hypothesis import strategies as st

from dna_dht.core.values.expiry import ExpiryQueue
from dna_dht.core.values.stored_value import StoredValue
from dna_dht.wire.infohash import ZERO


def stored(number: int, expires: float) -> StoredValue:
    return StoredValue(
        key=ZERO,
        id=number,
        type=0,
        seq=0,
        owner_id=ZERO,
        user_type=b"",
        is_signed=False,
        packed=b"",
        size=0,
        signature_start=b"",
        created=0.0,
        expires=expires,
        first_stored=0.0,
        source="",
        number=number,
    )


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["push", "prolong", "drop", "first"]), st.integers(0, 20), st.integers(0, 9)
        )
    )
)
def test_first_is_the_minimum(steps: list[tuple[str, int, int]]) -> None:
    queue = ExpiryQueue()
    live: list[StoredValue] = []
    for number, (step, expires, which) in enumerate(steps):
        if step == "push":
            live.append(stored(number, expires))
            queue.push(live[-1])
        elif step == "prolong" and live:
            live[which % len(live)].expires += expires
        elif step == "drop" and live:
            value = live.pop(which % len(live))
            value.gone = True
            queue.dropped()
        elif step == "first":
            first = queue.first()
            assert first is min(live, key=lambda value: (value.expires, value.number), default=None)
        assert len(queue) == len(live)


def test_dropped_values_do_not_pile_up() -> None:
    """The same id edited a million times: every revision is pushed, one is live."""
    queue = ExpiryQueue()
    queue.push(previous := stored(0, 1e6))
    for number in range(1, 10_000):
        queue.push(value := stored(number, 1e6))
        previous.gone = True
        queue.dropped()
        previous = value
        assert len(queue) == 1
    assert len(queue._heap) < 200
    assert queue.first() is previous
