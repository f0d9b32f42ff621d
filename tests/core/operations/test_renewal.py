"""Copies are looked after: who acts, what is asked and given, what is let go, and how fast."""

from dataclasses import replace
from typing import Any

import pytest

from dna_dht.core.config import CoreConfig
from dna_dht.core.operations import renewal
from dna_dht.core.operations.renewal import HAND_OVER_TIME, JITTER, KEEP_RANK, PROBE_PACE, RANK_DELAY
from dna_dht.core.values.value_types import DNA_7_DAYS
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import Get, Put
from dna_dht.wire.query import ANY, PROBE, where_id
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack

from ..peers import KEY, OWN_ID, START, Peer, World, forged, near, value

CONFIG = CoreConfig(ipv6=False, check_bucket_period=1e9)
PERIOD = CONFIG.maintenance_period
LOOK = PERIOD * (1 + JITTER)
NEARBY = OWN_ID  # the node itself is the closest to this key


def key_ranked(rank: int) -> InfoHash:
    return near(NEARBY, rank)


def world(count: int = 8, config: CoreConfig = CONFIG, *, key: InfoHash = NEARBY) -> World:
    """A node that knows *count* peers, ranked by their distance to *key*."""
    made = World(config)
    for rank in range(1, count + 1):
        made.add(near(key, rank))
    made.know(*made.peers)
    return made


def keep(
    made: World, what: Value, *, key: InfoHash = NEARBY, created: float = 0.0, source: str = "192.0.2.9"
) -> None:
    """The node stores *what*, as if a stranger had put it *created* seconds ago."""
    made.call(
        lambda now: made.core.storage.store(key, what, pack(what), created=now.mono - created, source=source)
    )


def stay_known(made: World, seconds: float) -> None:
    """Let time pass; every known peer says something now and then, as in a living network."""
    left = seconds
    while left > 0:
        made.run(min(left, 200.0))
        left -= 200.0
        made.know(*[peer for peer in made.peers if not peer.silent])


def probes(made: World, *, key: InfoHash = NEARBY) -> list[Peer]:
    return [
        entry.peer
        for entry in made.log
        if isinstance(entry.message, Get) and entry.message.key == key and entry.message.query == PROBE
    ]


def puts(made: World, *, key: InfoHash = NEARBY) -> list[tuple[Peer, Put]]:
    return [
        (entry.peer, entry.message)
        for entry in made.log
        if isinstance(entry.message, Put) and entry.message.key == key
    ]


def seqs(made: World, key: InfoHash = NEARBY) -> list[int]:
    return [stored.seq for stored in made.core.storage.find(key, ANY)]


def test_a_look_at_unchanged_neighbours_costs_nothing() -> None:
    made = world()
    keep(made, value())
    stay_known(made, 5 * LOOK)
    assert probes(made) == [] and puts(made) == []


def test_a_newcomer_is_probed_and_given_what_it_lacks_with_the_original_date() -> None:
    made = world(7)
    keep(made, value(b"one", id=1), created=1000.0)
    keep(made, value(b"two", id=2, seq=3), created=2000.0)
    newcomer = made.add(near(NEARBY, 50))
    newcomer.hold(value(b"one", id=1), key=NEARBY)
    made.know(newcomer)
    stay_known(made, LOOK)
    assert probes(made) == [newcomer]
    ((peer, put),) = puts(made)
    assert peer is newcomer and put.created == int(START.unix) - 2000
    assert newcomer.values[NEARBY][2].seq == 3
    stay_known(made, 3 * LOOK)
    assert probes(made) == [newcomer], "once is enough"


def test_an_older_revision_is_replaced() -> None:
    made = world(7)
    keep(made, value(b"new", seq=5))
    newcomer = made.add(near(NEARBY, 50))
    newcomer.hold(value(b"old", seq=4), key=NEARBY)
    made.know(newcomer)
    stay_known(made, LOOK)
    assert newcomer.values[NEARBY][1].seq == 5


def test_a_newer_revision_elsewhere_is_taken_over() -> None:
    """S-35, T6: it is fetched, verified, and keeps the creation date of ours."""
    made = world(7)
    keep(made, value(b"old", seq=4), created=1000.0)
    newcomer = made.add(near(NEARBY, 50))
    newcomer.hold(value(b"new", seq=5), key=NEARBY)
    made.know(newcomer)
    stay_known(made, LOOK)
    assert seqs(made) == [5] and puts(made) == []
    fetched = [entry.message.query for entry in made.log if isinstance(entry.message, Get)]
    assert where_id(1) in fetched
    (stored,) = made.core.storage.find(NEARBY, ANY)
    assert stored.created == pytest.approx(START.mono - 1000.0)


@pytest.mark.parametrize(
    "lie",
    [
        forged(value(b"new", seq=4), seq=9),
        value(b"other owner", seq=9, owner="somebody else"),
        value(b"older", seq=3),
        value(b"another id", id=2, seq=9),
    ],
    ids=["bad signature", "other owner", "not newer", "another id"],
)
def test_a_liar_about_a_newer_revision_gains_nothing(lie: Value) -> None:
    made = world(7)
    keep(made, value(b"ours", seq=4))
    liar = made.add(near(NEARBY, 50))

    def answer(peer: Peer, message: Any) -> list[bytes] | None:
        if not isinstance(message, Get) or message.key != NEARBY:
            return None
        if message.query == PROBE:
            return peer.claim(message.tid, (1, 9))
        return peer.nodes_reply(message.tid, values=[lie])

    liar.script = answer
    made.know(liar)
    stay_known(made, LOOK)
    assert probes(made) == [liar]
    assert [(stored.id, stored.seq) for stored in made.core.storage.find(NEARBY, ANY)] == [(1, 4)]
    assert made.core.handing_over == 0


def test_the_closest_holder_acts_at_once_and_the_others_later() -> None:
    def delay(key: InfoHash) -> float:
        made = world(7, key=NEARBY)
        keep(made, value(), key=key)
        newcomer = made.add(near(key, 70))
        made.know(newcomer)
        look = made.core._renewal._watches[key].due
        stay_known(made, LOOK + RANK_DELAY)
        (probed,) = [
            entry.time for entry in made.log if entry.message.__class__ is Get and entry.peer is newcomer
        ]
        return probed - look

    assert delay(NEARBY) < 1.0
    assert 1.0 < delay(key_ranked(1)) <= RANK_DELAY + 1.0


def test_a_silent_newcomer_counts_as_new_at_the_next_look() -> None:
    made = world(7)
    keep(made, value())
    newcomer = made.add(near(NEARBY, 50))
    newcomer.script = lambda peer, message: [] if getattr(message, "query", None) == PROBE else None
    made.know(newcomer)
    stay_known(made, LOOK)
    assert set(probes(made)) == {newcomer} and puts(made) == []
    newcomer.script = None
    made.know(newcomer)
    stay_known(made, LOOK + 1)
    assert [peer for peer, _ in puts(made)] == [newcomer]


def test_values_near_their_end_are_not_copied() -> None:
    made = world(7)
    keep(made, value(type=0))
    keep(made, value(id=2), created=7 * 86_400 - 900.0)
    made.know(made.add(near(NEARBY, 50)))
    stay_known(made, LOOK)
    assert puts(made) == []


def test_far_from_the_key_copies_are_let_go_after_a_quorum_holds_them() -> None:
    made = world(KEEP_RANK + 2, key=KEY)
    for peer in made.peers[:4]:
        peer.hold(value(), key=KEY)
    keep(made, value(), key=KEY)
    stay_known(made, 1.1 * PERIOD * (1 - JITTER))
    stay_known(made, 2 * LOOK + RANK_DELAY)
    assert seqs(made, KEY) == []
    holders = [peer for peer in made.peers if KEY in peer.values]
    assert len(holders) >= 8 and made.core.counters.events["copy let go"] == 1
    assert len(made.core._renewal) == 0


def test_copies_stay_while_too_few_hold_them() -> None:
    made = world(KEEP_RANK + 2, key=KEY)
    for peer in made.peers:
        peer.script = lambda peer, message: (
            [peer.error(message.tid, 401)] if isinstance(message, Put) else None
        )
    keep(made, value(), key=KEY)
    stay_known(made, 6 * LOOK)
    assert seqs(made, KEY) == [0]


def test_nearer_than_that_copies_stay() -> None:
    made = world(KEEP_RANK - 1, key=KEY)
    for peer in made.peers:
        peer.hold(value(), key=KEY)
    keep(made, value(), key=KEY)
    stay_known(made, 6 * LOOK)
    assert seqs(made, KEY) == [0]


def test_close_in_one_family_copies_stay() -> None:
    """Far away among the IPv4 nodes, alone among the IPv6 nodes."""
    made = world(KEEP_RANK + 2, replace(CONFIG, ipv6=True), key=KEY)
    six = made.add(near(NEARBY, 99), ("2a01:4f8::1", 4000))
    made.know(six)
    for peer in made.peers:
        peer.hold(value(), key=KEY)
    keep(made, value(), key=KEY)
    stay_known(made, 6 * LOOK)
    assert seqs(made, KEY) == [0]


def test_the_reference_policy_gives_without_asking_and_forgets() -> None:
    made = world(9, replace(CONFIG, maintenance="reference"), key=KEY)
    keep(made, value(), key=KEY)
    stay_known(made, LOOK + 30)
    assert probes(made, key=KEY) == [] and seqs(made, KEY) == []
    assert sum(KEY in peer.values for peer in made.peers) == 8
    near_key = world(9, replace(CONFIG, maintenance="reference"))
    keep(near_key, value())
    stay_known(near_key, 3 * LOOK)
    assert seqs(near_key) == [0] and puts(near_key) == [], "only who is displaced acts"


@pytest.mark.parametrize("config", [replace(CONFIG, maintenance="off"), replace(CONFIG, client_mode=True)])
def test_who_renews_nothing_looks_after_own_permanent_values_all_the_same(config: CoreConfig) -> None:
    made = world(7, config)
    keep(made, value(b"of others", id=1), key=key_ranked(3))
    made.call(lambda now: made.core.put(NEARBY, value(b"own", id=2), now, permanent=True))
    keep(made, value(b"of others", id=3))
    made.run(20)
    made.log.clear()
    newcomer = made.add(near(NEARBY, 50))
    made.know(newcomer)
    stay_known(made, LOOK + RANK_DELAY)
    given = {each.id for key in newcomer.values for each in newcomer.values[key].values()}
    assert given == {2}
    assert probes(made, key=key_ranked(3)) == []


def test_a_permanent_value_is_given_without_a_creation_date() -> None:
    made = world(7)
    made.call(lambda now: made.core.put(NEARBY, value(id=2), now, permanent=True))
    made.run(20)
    made.log.clear()
    made.know(made.add(near(NEARBY, 50)))
    stay_known(made, LOOK + RANK_DELAY)
    assert [put.created for _, put in puts(made)] == [None]


def test_a_restored_key_is_looked_at_early_and_everybody_is_new_to_it() -> None:
    """So a newer revision that came while we were down is learnt within one period."""
    made = world(8)
    for peer in made.peers:
        peer.hold(value(b"new", seq=7), key=NEARBY)
    packed = pack(value(b"old", seq=6))
    made.call(lambda now: made.core.restore(NEARBY, packed, now.unix - 100, None, now))
    assert seqs(made) == [6]
    stay_known(made, PERIOD + RANK_DELAY)
    assert seqs(made) == [7]
    assert set(probes(made)) == set(made.peers)


def test_probes_leave_at_an_even_rate_however_many_keys_return() -> None:
    """G9: 300 keys restored at once, eight neighbours each."""
    made = world(8, replace(CONFIG, maintenance_period=10.0))
    for number in range(300):
        key, packed = InfoHash.of(b"%d" % number), pack(value(id=number + 1))
        made.call(lambda now, key=key, packed=packed: made.core.restore(key, packed, None, None, now))
    stay_known(made, 100)
    times = [entry.time for entry in made.log if isinstance(entry.message, Get)]
    assert len(times) > 1000
    busiest = max(sum(start <= time < start + 1 for time in times) for start in times[::20])
    assert busiest <= 1 / PROBE_PACE + 1


def test_nothing_is_remembered_of_keys_that_are_gone() -> None:
    made = world(8)
    timers = made.core.stats()["timers"]
    for number in range(2000):
        key = InfoHash.of(b"%d" % number)
        keep(made, value(id=7), key=key, source=f"192.0.{number % 200}.9")
        assert made.core.cancel_put(key, 7, made.now)
    assert len(made.core._renewal) == 0
    assert made.core.stats()["timers"] <= timers + 600


def test_holders_do_not_pile_up_while_neighbours_come_and_go() -> None:
    made = world(8)
    keep(made, value())
    present = list(made.peers)
    for generation in range(8):
        for peer in present:
            peer.silent = True
            peer.node.timed_out()
        present = [made.add(near(NEARBY, 100 + 8 * generation + number)) for number in range(8)]
        made.know(*present)
        stay_known(made, LOOK)
        assert all(NEARBY in peer.values for peer in present)
    assert len(made.core._renewal._watches[NEARBY].holders) <= 8


def test_who_stops_gives_everything_to_those_that_lack_it() -> None:
    made = world(8)
    for number in range(40):
        keep(made, value(b"%d" % number, id=number + 1), key=near(NEARBY, number))
    made.call(made.core.shutdown)
    assert made.core.handing_over > 0
    made.run(HAND_OVER_TIME)
    assert made.core.handing_over == 0
    assert all(len(peer.values) == 40 for peer in made.peers)


def test_handing_over_to_silent_nodes_is_over_in_a_few_seconds() -> None:
    made = world(8)
    for number in range(200):
        keep(made, value(id=number + 1), key=InfoHash.of(b"%d" % number))
    for peer in made.peers:
        peer.silent = True
    made.call(made.core.shutdown)
    assert made.core.handing_over > 0
    made.run(HAND_OVER_TIME)
    assert made.core.handing_over == 0
    made.run(30)
    assert made.core.handing_over == 0


@pytest.mark.parametrize(
    "config",
    [replace(CONFIG, maintenance="off"), replace(CONFIG, client_mode=True), replace(CONFIG, persist=True)],
    ids=["off", "client", "on disk"],
)
def test_who_does_not_hand_over(config: CoreConfig) -> None:
    made = world(8, config)
    keep(made, value(type=DNA_7_DAYS))
    made.call(made.core.shutdown)
    made.run(1)
    assert made.core.handing_over == 0 and probes(made) == []


def test_copies_are_made_although_there_are_more_keys_than_the_rate_suffices_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Looks fill the queue of probes again and again; what they show to be missing is given all the same."""
    monkeypatch.setattr(renewal, "MAX_QUEUE", 40)
    made = world(8, replace(CONFIG, maintenance_period=5.0))
    for number in range(400):
        key, packed = InfoHash.of(b"%d" % number), pack(value(id=number + 1))
        made.call(lambda now, key=key, packed=packed: made.core.restore(key, packed, None, None, now))
    stay_known(made, 100)
    given = [entry for entry in made.log if isinstance(entry.message, Put)]
    asked = [entry for entry in made.log if isinstance(entry.message, Get)]
    assert len(given) > 1000 and len(given) > len(asked) - 100
