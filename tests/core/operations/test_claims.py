"""Claims: what is worth fetching, from whom, and who is not believed any more."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from dna_dht.core.exchange.remote_node import RemoteNode
from dna_dht.core.operations.claims import MAX_IDS, Claims, Fetch
from dna_dht.core.operations.lookup import Candidate
from dna_dht.wire.infohash import InfoHash


def candidate(number: int, rtt: float | None = None) -> Candidate:
    node = RemoteNode(InfoHash.of(b"%d" % number), ("31.0.0.1", 4000 + number))
    if rtt is not None:
        node.replied(0.0, rtt)
    return Candidate(node, number, "")


A, B, C, D = (candidate(number) for number in range(4))


def test_nothing_claimed_nothing_missing() -> None:
    assert Claims().plan(8) == (False, [])


def test_highest_revision_is_fetched_once() -> None:
    claims = Claims()
    claims.claim(A, 1, 5)
    claims.claim(B, 1, 5)
    missing, fetches = claims.plan(8)
    assert missing and len(fetches) == 1

    claims.begun(fetches[0])
    assert claims.plan(8) == (True, [])
    claims.ended(fetches[0])
    claims.came(1, 5)
    assert claims.plan(8) == (False, [])


def test_quickest_claimant_is_asked_first() -> None:
    claims = Claims()
    slow, quick, unknown = candidate(1, 0.3), candidate(2, 0.01), candidate(3)
    for each in (unknown, slow, quick):
        claims.claim(each, 1, 5)

    assert claims.plan(8)[1] == [Fetch(quick, 1, 5)]


def test_slow_fetch_is_hedged_and_still_waited_for() -> None:
    claims = Claims()
    claims.claim(A, 1, 5)
    claims.claim(B, 1, 5)
    first = Fetch(A, 1, 5)
    claims.begun(first)
    claims.slow(first)
    assert claims.plan(8) == (True, [Fetch(B, 1, 5)])

    second = Fetch(B, 1, 5)
    claims.begun(second)
    claims.slow(second)
    assert claims.plan(8) == (True, [])
    claims.ended(second)
    claims.disbelieve(B)
    assert claims.plan(8) == (True, [])  # A may still answer
    claims.ended(first)
    claims.disbelieve(A)
    assert claims.plan(8) == (False, [])


def test_what_most_claim_is_fetched_besides_the_highest() -> None:
    claims = Claims()
    claims.claim(A, 1, 9)
    for honest in (B, C, D):
        claims.claim(honest, 1, 5)
    claims.came(1, 9)

    missing, fetches = claims.plan(8)
    assert missing
    assert [fetch.seq for fetch in fetches] == [5]


def test_old_copies_of_a_few_are_left_where_they_are() -> None:
    claims = Claims()
    claims.claim(A, 1, 4)
    for current in (B, C, D):
        claims.claim(current, 1, 5)
    claims.came(1, 5)

    assert claims.plan(8) == (False, [])


def test_claims_of_a_liar_are_void() -> None:
    claims = Claims()
    for value_id in range(1, 1000):
        claims.claim(A, value_id, 65_535)
    claims.claim(B, 7, 3)
    claims.disbelieve(A)
    claims.claim(A, 2000, 1)

    assert claims.plan(8) == (True, [Fetch(B, 7, 3)])
    assert list(claims.by_id) == [7]


def test_withdrawn_claim_is_not_fetched_but_others_of_the_node_are() -> None:
    claims = Claims()
    claims.claim(A, 1, 5)
    claims.claim(A, 2, 5)
    claims.withdraw(A, 1)
    claims.withdraw(A, 99)

    assert claims.plan(8) == (True, [Fetch(A, 2, 5)])


def test_delivered_value_under_check_is_not_asked_for_again() -> None:
    claims = Claims()
    claims.delivered(A, 1, 5)
    assert claims.plan(8) == (False, [])

    claims.claim(B, 1, 5)  # A's was bad, B may have a good one
    assert claims.plan(8) == (True, [Fetch(B, 1, 5)])


def test_no_more_fetches_at_once_than_allowed() -> None:
    claims = Claims()
    for value_id in range(1, 21):
        claims.claim(A, value_id, 0)
    missing, fetches = claims.plan(8)
    assert missing and len(fetches) == 8
    for fetch in fetches:
        claims.begun(fetch)

    assert claims.plan(8) == (True, [])
    claims.slow(fetches[0])
    assert len(claims.plan(8)[1]) == 1  # of another value: nobody else has the first


def test_memory_is_bounded() -> None:
    claims = Claims()
    for value_id in range(1, MAX_IDS + 100):
        claims.claim(A, value_id, 0)

    assert len(claims.by_id) == MAX_IDS


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_fetching_ends_and_the_highest_honest_revision_comes(seed: int) -> None:
    """Some holders lie, some are slow, some die: whatever honest nodes claim as highest or usual arrives."""
    rng = Random(seed)
    holders = [candidate(number, rng.random()) for number in range(rng.randint(1, 8))]
    liars = {each for each in holders if rng.random() < 0.3}
    claims = Claims()
    for holder in holders:
        for value_id in range(1, 4):
            if rng.random() < 0.8:
                claims.claim(holder, value_id, rng.randint(10, 99) if holder in liars else rng.randint(1, 3))
    honest = {
        value_id: max((seq for holder, seq in held.items() if holder not in liars), default=None)
        for value_id, held in claims.by_id.items()
    }
    under_way: list[Fetch] = []
    came: set[tuple[int, int]] = set()
    for _ in range(1000):
        missing, fetches = claims.plan(2)
        for fetch in fetches:
            claims.begun(fetch)
        under_way += fetches
        if not missing:
            break
        assert under_way
        fetch = rng.choice(under_way)
        if rng.random() < 0.3:
            claims.slow(fetch)
            continue
        under_way.remove(fetch)
        claims.ended(fetch)
        if fetch.candidate in liars:
            claims.disbelieve(fetch.candidate)
        else:
            claims.came(fetch.value_id, fetch.seq)
            came.add((fetch.value_id, fetch.seq))

    assert not claims.plan(2)[0]
    for value_id, seq in honest.items():
        if seq is not None:
            assert (value_id, seq) in came
