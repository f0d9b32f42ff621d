"""Gets: one round trip, bodies moved once, the three strengths, lying nodes, ends without leftovers."""

from typing import Any

import pytest

from dna_dht.core.config import CoreConfig, Limits
from dna_dht.core.effects import OperationDone, ValuesFound
from dna_dht.core.operations.get import FULL_REPLY, MAX_FETCHES, MAX_VALUES
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import Get, Put
from dna_dht.wire.query import Field, FieldAnswer, Query, where_id
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack

from ..peers import KEY, RTT, Peer, World, crypto, forged, value


def whole(world: World) -> list[Peer]:
    """Who was asked for whole values, fetches by id included."""
    return [
        entry.peer
        for entry in world.sent(Get)
        if entry.message.query is None or not entry.message.query.select
    ]


def scouts(world: World) -> list[Peer]:
    return [entry.peer for entry in world.sent(Get) if entry.message.query and entry.message.query.select]


def assert_clean(world: World) -> None:
    """Some time after the end nothing is left of it."""
    world.run(20)
    assert world.open_requests == 0
    assert world.core.stats()["operations"] == 0
    assert all(peer.node.pending == 0 for peer in world.peers)
    assert all(world.held(peer) == 0 for peer in world.peers)


# -- whom it asks


def test_fastest_is_asked_for_values_and_the_others_for_ids() -> None:
    world = World(peers=10, known=False)
    for rank, peer in enumerate(world.peers):
        peer.rtt = 0.01 if rank == 5 else 0.05
        peer.hold(value())
    world.know(*world.peers)
    outcome = world.got()

    assert whole(world) == [world.peers[5]]
    assert sorted(peer.id for peer in scouts(world)) == sorted(
        peer.id for peer in world.peers[:8] if peer is not world.peers[5]
    )
    assert outcome.values == (value(),)


def test_hit_costs_one_round_trip() -> None:
    world = World(peers=10)
    for peer in world.peers:
        peer.hold(value())
    start = world.now.mono
    operation = world.get()
    world.run(RTT * 1.5)

    assert world.done(operation) is not None
    assert world.now.mono - start < 2 * RTT


def test_value_that_only_others_have_is_fetched_once_by_id() -> None:
    world = World(peers=10)
    for peer in world.peers[1:]:
        peer.hold(value(b"body", id=9))
    outcome = world.got()

    assert outcome.values == (value(b"body", id=9),)
    fetches = [entry for entry in world.sent(Get) if entry.message.query == where_id(9)]
    assert len(fetches) == 1


def test_filters_go_to_every_node_and_hold_for_what_comes_back() -> None:
    world = World(peers=10)
    mine, other = value(b"mine", id=1), value(b"other", id=2, owner="other")
    for peer in world.peers:
        peer.hold(mine, other)
    owner_id = mine.owner_id
    outcome = world.got(owner_id=owner_id)

    assert outcome.values == (mine,)
    assert all((Field.OWNER, owner_id) in entry.message.query.where for entry in world.sent(Get))


def test_own_store_is_looked_at_first() -> None:
    world = World()
    world.stored(value())
    operation = world.get("first")

    assert world.found(operation) == [value()]
    assert world.done(operation) is not None
    assert world.sent(Get) == []


def test_first_from_the_own_store_delivers_one_value_and_nothing_after_the_end() -> None:
    world = World()
    world.stored(value(id=1))
    world.stored(value(id=2))
    operation = world.get("first")

    told = [event for event in world.events if getattr(event, "operation", None) == operation]
    assert [type(event) for event in told] == [ValuesFound, OperationDone]


def test_newer_copy_of_our_own_store_is_not_replaced_by_an_older_one() -> None:
    world = World(peers=10)
    world.stored(value(b"new", seq=7))
    for peer in world.peers:
        peer.hold(value(b"old", seq=3))
    outcome = world.got()

    assert outcome.values == (value(b"new", seq=7),)


# -- strengths


def test_first_ends_with_the_first_value() -> None:
    world = World(peers=10)
    world.peers[0].hold(value())
    for peer in world.peers[1:]:
        peer.rtt = 0.5
    operation = world.get("first")
    world.run(0.05)

    assert world.done(operation) is not None
    assert world.found(operation) == [value()]


def test_fresh_ends_with_a_majority_and_the_highest_they_claim() -> None:
    world = World(peers=10)
    for peer in world.peers[:4]:
        peer.hold(value(b"old", seq=1))
    for peer in world.peers[4:6]:
        peer.hold(value(b"new", seq=2))
    world.peers[6].silent = world.peers[7].silent = True
    operation = world.get("fresh")
    world.run(2.5 * RTT)

    assert world.done(operation) is not None
    assert world.found(operation)[-1] == value(b"new", seq=2)


def test_fresh_delivers_only_the_highest_at_the_end() -> None:
    world = World(peers=10)
    for peer in world.peers[:4]:
        peer.hold(value(b"old", seq=1))
    for peer in world.peers[4:8]:
        peer.hold(value(b"new", seq=2))
    outcome = world.got("fresh")

    assert outcome.values == (value(b"new", seq=2),)


def test_all_waits_for_those_that_answer_late_but_not_for_the_slow() -> None:
    world = World(peers=8)
    for peer in world.peers[:7]:
        peer.hold(value(id=1))
    late = world.peers[7]
    late.rtt = 0.1
    late.node.replied(world.now.mono, 0.1)
    late.node.srtt = 0.1
    late.hold(value(id=2))
    outcome = world.got("all")
    assert {each.id for each in outcome.values} == {1, 2}

    late.silent = True
    start = world.now.mono
    assert {each.id for each in world.got("all").values} == {1}
    assert world.now.mono - start < 1


def test_miss_waits_for_all_targets() -> None:
    world = World(peers=10)
    outcome = world.got("fresh")

    assert outcome.values == ()
    assert outcome.conclusive
    assert (outcome.asked, outcome.answered) == (8, 8)


def test_first_does_not_wait_for_the_slow_when_nothing_is_found() -> None:
    """The replacements of slow nodes are slow as well: a majority is enough for it."""
    world = World(peers=14)
    for peer in world.peers[5:]:
        peer.silent = True
    start = world.now.mono
    outcome = world.got("first")

    assert outcome.values == ()
    assert world.now.mono - start < 0.2


def test_fresh_looks_behind_slow_nodes_when_nothing_is_found() -> None:
    world = World(peers=14)
    for peer in world.peers[5:11]:
        peer.silent = True
    world.peers[12].hold(value())

    assert world.got("fresh").values == (value(),)


# -- conclusive or not


def test_no_node_known_is_not_connected() -> None:
    world = World()
    operation = world.get()
    outcome: Any = world.done(operation)

    assert outcome is not None
    assert not outcome.connected and not outcome.conclusive and outcome.asked == 0


def test_silence_is_not_conclusive() -> None:
    world = World(peers=8)
    for peer in world.peers:
        peer.silent = True
    outcome = world.got()

    assert outcome.connected and not outcome.conclusive
    assert (outcome.asked, outcome.answered) == (8, 0)


def test_timeout_ends_it_with_what_it_has() -> None:
    world = World(peers=8)
    for peer in world.peers:
        peer.silent = True
    start = world.now.mono
    operation = world.get(timeout=0.5)
    world.run(0.49)
    assert world.done(operation) is None
    world.run(0.02)

    assert world.done(operation) is not None
    assert world.now.mono - start < 0.6
    assert_clean(world)


def test_value_that_is_claimed_but_did_not_come_leaves_it_open() -> None:
    """Time is over while the body is on its way: "there is nothing" would be wrong."""
    world = World(peers=8)
    for peer in world.peers[1:]:
        peer.hold(value())

    def no_bodies(peer: Peer, message: Any) -> list[bytes] | None:
        return [] if isinstance(message, Get) and not (message.query and message.query.select) else None

    for peer in world.peers[1:]:
        peer.script = no_bodies
    outcome: Any = world.outcome(world.get(timeout=0.5))

    assert outcome.values == ()
    assert not outcome.conclusive


def test_value_that_could_not_be_checked_leaves_it_open() -> None:
    world = World(CoreConfig(ipv6=False, limits=Limits(verifications_pending=1)), peers=2)
    world.verify_delay = 1.0
    for peer in world.peers:
        peer.hold(*[value(b"%d" % number, id=number) for number in range(1, 10)])
    outcome = world.got()

    assert len(outcome.values) < 9
    assert not outcome.conclusive


def test_evidence_tells_who_holds_what() -> None:
    world = World(peers=8)
    world.peers[2].hold(value(seq=4))
    outcome = world.got()

    holds = {entry.node_id: entry.holds for entry in outcome.evidence}
    assert holds[world.peers[2].id] == ((1, 4),)
    assert [entry.node_id for entry in outcome.evidence] == [peer.id for peer in world.peers]


# -- slow and dead nodes


def test_dead_body_node_costs_one_adaptive_timeout() -> None:
    world = World(peers=10)
    for peer in world.peers:
        peer.hold(value())
    world.peers[0].silent = True
    world.peers[0].node.srtt = 0.001
    start = world.now.mono
    outcome = world.got()

    assert outcome.values == (value(),)
    assert world.now.mono - start < 0.06 + 3 * RTT


def test_lost_answer_is_asked_for_again() -> None:
    world = World(peers=1)
    world.peers[0].hold(value())
    world.peers[0].lose = 1

    assert world.got().values == (value(),)
    assert len(world.sent(Get)) == 2


def test_slow_fetch_is_hedged_and_its_end_does_not_end_the_other() -> None:
    """The first holder dies after it claimed; the second needs longer than the first is waited for."""
    world = World(peers=3)
    first, second = world.peers[1], world.peers[2]
    for peer in (first, second):
        peer.hold(value())
    first.node.srtt = 0.001

    def dies(peer: Peer, message: Any) -> list[bytes] | None:
        return [] if isinstance(message, Get) and message.query == where_id(1) else None

    def late(peer: Peer, message: Any) -> list[bytes] | None:
        if not isinstance(message, Get) or message.query != where_id(1):
            return None
        for datagram in peer.answer(message):
            peer.send(datagram, 3.2)
        return []

    first.script, second.script = dies, late
    world.peers[0].node.srtt = 0.0005  # asked for the body
    outcome = world.got("all")

    assert outcome.values == (value(),)


def test_late_answer_after_the_end_is_taken_in_and_tells_nothing() -> None:
    world = World(peers=10)
    for peer in world.peers:
        peer.hold(value())
    world.peers[7].rtt = 0.4
    operation = world.get()
    world.run(0.2)
    assert world.done(operation) is not None
    told = len(world.events)
    world.run(1)

    assert [event for event in world.events[told:] if isinstance(event, ValuesFound)] == []
    assert world.peers[7].node.token == world.peers[7].token
    assert_clean(world)


# -- lying nodes


def lying(claims: tuple[tuple[int, int], ...], *, bodies: list[Value] | None = None) -> Any:
    """Claims what it does not have; answers fetches with *bodies* or not at all (None)."""

    def script(peer: Peer, message: Any) -> list[bytes] | None:
        if not isinstance(message, Get):
            return None
        if message.query is not None and message.query.select:
            return peer.claim(message.tid, *claims)
        return [] if bodies is None else peer.nodes_reply(message.tid, values=bodies)

    return script


def test_claims_without_values_cost_one_question() -> None:
    world = World(peers=8)
    for peer in world.peers:
        peer.hold(value(b"honest", seq=3))
    liar = world.peers[4]
    liar.script = lying(tuple((number, 65_535) for number in range(1, 800)), bodies=[])
    start = world.now.mono
    outcome = world.got("all")

    assert outcome.values == (value(b"honest", seq=3),)
    assert len([peer for peer in whole(world) if peer is liar]) <= MAX_FETCHES
    assert world.now.mono - start < 5 * RTT


def test_liar_that_keeps_silent_when_asked_delays_but_does_not_win() -> None:
    world = World(peers=8)
    for peer in world.peers:
        peer.hold(value(b"honest", seq=3))
    world.peers[4].script = lying(((1, 65_535),))
    outcome = world.got("fresh")

    assert outcome.values == (value(b"honest", seq=3),)
    assert outcome.conclusive


def test_bad_signatures_are_never_delivered() -> None:
    world = World(peers=8)
    good = value(b"honest", seq=3)
    bad = forged(value(b"forged", seq=9), data=b"worse")
    for peer in world.peers:
        peer.hold(good)
    liar = world.peers[0]
    liar.hold(bad)
    operation = world.get("all")
    outcome: Any = world.outcome(operation)

    assert outcome.values == (good,)
    assert world.found(operation) == [good]
    assert world.core.counters.values["read: bad signature"] >= 1


def test_unsigned_and_encrypted_values_are_not_delivered() -> None:
    world = World(peers=3)
    world.peers[0].hold(Value(id=5, data=b"unsigned"), Value(id=6, cypher=b"secret"))
    outcome = world.got("all")

    assert outcome.values == ()
    assert world.core.counters.values["read: unsigned"] >= 1


def test_unsigned_values_are_delivered_where_they_are_accepted() -> None:
    world = World(CoreConfig(ipv6=False, accept_unsigned=True), peers=3)
    plain = Value(id=5, data=b"unsigned")
    for peer in world.peers:
        peer.hold(plain)

    assert world.got("all").values == (plain,)


def test_values_of_other_ids_and_owners_are_not_delivered() -> None:
    world = World(peers=3)
    wrong_id, wrong_owner = value(id=2), value(id=1, owner="other")
    query = Query((), ((Field.ID, 1),))

    def anything(peer: Peer, message: Any) -> list[bytes] | None:
        if not isinstance(message, Get):
            return None
        if message.query is not None and message.query.select:
            return peer.claim(message.tid, (2, 5), (3, 5))
        return peer.nodes_reply(message.tid, values=[wrong_id, wrong_owner])

    for peer in world.peers:
        peer.script = anything
    outcome = world.got("all", query=query, owner_id=value().owner_id)

    assert outcome.values == ()
    assert world.core.counters.values["read: not asked for"] >= 2
    assert not any(entry.message.query == where_id(2) for entry in world.sent(Get))


def test_squatter_with_a_high_seq_does_not_hide_what_the_others_hold() -> None:
    world = World(peers=8)
    squatter = value(b"squat", seq=60_000, owner="squatter")
    honest = value(b"honest", seq=3)
    for peer in world.peers:
        peer.hold(honest)
    world.peers[0].hold(squatter)
    world.peers[0].node.srtt = 0.001
    outcome = world.got("fresh")

    assert honest in outcome.values


def test_owner_filter_finds_the_owner_behind_a_squatter() -> None:
    world = World(peers=8)
    honest = value(b"honest", seq=3)
    for peer in world.peers:
        peer.hold(honest)
    for peer in world.peers[:3]:
        peer.script = lying(((1, 60_000),), bodies=[value(b"squat", seq=60_000, owner="squatter")])
    outcome = world.got("fresh", owner_id=honest.owner_id)

    assert outcome.values == (honest,)


def test_node_cannot_make_us_keep_or_check_more_than_so_many_values() -> None:
    world = World(peers=2)
    flood = [value(b"x", id=number) for number in range(1, 1100)]

    def floods(peer: Peer, message: Any) -> list[bytes] | None:
        return peer.nodes_reply(message.tid, values=flood) if isinstance(message, Get) else None

    world.peers[0].script = floods
    outcome = world.got("all")

    assert len(outcome.values) <= MAX_VALUES


def test_reply_that_may_be_cut_off_is_followed_by_a_question_for_ids() -> None:
    world = World(peers=1)
    many = [value(b"%d" % number, id=number) for number in range(1, FULL_REPLY + 10)]
    peer = world.peers[0]
    peer.hold(*many)

    def cuts(peer: Peer, message: Any) -> list[bytes] | None:
        if isinstance(message, Get) and message.query is None:
            return peer.nodes_reply(message.tid, values=many[:FULL_REPLY])
        return None

    peer.script = cuts
    outcome = world.got("all")

    assert {each.id for each in outcome.values} == {each.id for each in many}


def test_many_values_are_fetched_a_few_at_a_time() -> None:
    world = World(peers=2)
    holder = world.peers[1]
    holder.hold(*[value(b"%d" % number, id=number) for number in range(1, 40)])
    world.peers[0].node.srtt = 0.001
    outcome = world.got("all")

    assert len(outcome.values) == 39
    times = [entry.time for entry in world.sent(Get, to=holder) if not entry.message.query.select]
    assert max(times.count(time) for time in times) <= MAX_FETCHES


def test_old_peer_that_answers_a_selection_with_values_is_understood() -> None:
    world = World(peers=2)

    def old(peer: Peer, message: Any) -> list[bytes] | None:
        return peer.nodes_reply(message.tid, values=[value()]) if isinstance(message, Get) else None

    world.peers[1].script = old
    world.peers[0].node.srtt = 0.001

    assert world.got("all").values == (value(),)


def test_rows_without_seq_are_ignored() -> None:
    world = World(peers=1)

    def ids_only(peer: Peer, message: Any) -> list[bytes] | None:
        if isinstance(message, Get) and message.query is None:
            return peer.nodes_reply(message.tid, fields=FieldAnswer((1,), ((7,),)))
        return None

    world.peers[0].script = ids_only

    assert world.got("all").values == ()


def test_reply_without_token_fails_the_node() -> None:
    world = World(peers=2)
    world.peers[1].hold(value())
    world.peers[0].token = b""
    outcome = world.got("all")

    assert outcome.values == (value(),)
    assert [entry.answered for entry in outcome.evidence] == [False, True]


# -- the end


def test_cancel_leaves_nothing_open_and_says_nothing() -> None:
    world = World(peers=10)
    for peer in world.peers:
        peer.hold(value())
    operation = world.get()
    assert world.open_requests == 8
    world.cancel(operation)
    assert world.open_requests == 0
    world.run(20)

    assert world.found(operation) == []
    assert world.done(operation) is None
    assert_clean(world)


def test_cancel_during_a_check_says_nothing() -> None:
    world = World(peers=1)
    world.peers[0].hold(value())
    world.verify_delay = 1.0
    operation = world.get()
    world.run(0.5)
    world.cancel(operation)
    world.run(5)

    assert world.found(operation) == []
    assert world.done(operation) is None


def test_cancel_before_the_disk_has_answered_starts_nothing() -> None:
    world = World(peers=8)
    world.verify_delay = 0.5
    stored = value(b"from disk")
    world.core.restore(KEY, pack(stored), None, None, world.now)
    operation = world.get()
    assert world.sent(Get) == []
    world.cancel(operation)
    world.run(5)

    assert world.found(operation) == []
    assert world.sent(Get) == []


def test_end_during_a_fetch_cancels_the_fetch() -> None:
    world = World(peers=2)
    world.peers[1].hold(value())

    def no_bodies(peer: Peer, message: Any) -> list[bytes] | None:
        return [] if isinstance(message, Get) and message.query == where_id(1) else None

    world.peers[1].script = no_bodies
    world.peers[0].node.srtt = 0.001
    world.outcome(world.get(timeout=0.3))

    assert world.open_requests == 0


def test_zero_key_is_refused() -> None:
    world = World(peers=1)
    with pytest.raises(ValueError, match="zero key"):
        world.core.get(InfoHash(bytes(20)), world.now)
    assert world.core.stats()["operations"] == 0


def test_filter_that_cannot_be_sent_is_refused_and_leaves_nothing() -> None:
    world = World(peers=3)
    with pytest.raises(ValueError, match="seq filter"):
        world.get(query=Query((), ((Field.SEQ, 1),)))
    assert world.core.stats()["operations"] == 0
    assert_clean(world)


# -- read repair


def test_one_stale_target_gets_the_newest_revision_as_it_is() -> None:
    world = World(peers=8)
    new, old = value(b"new", seq=2), value(b"old", seq=1)
    for peer in world.peers[:5]:
        peer.hold(new)
    for peer in world.peers[5:]:
        peer.hold(old)
    outcome = world.got("all")
    world.run(1)

    assert outcome.values == (new,)
    puts = {entry.peer.id for entry in world.sent(Put)}
    assert len(puts) == 1
    repaired = next(peer for peer in world.peers if peer.id in puts)
    assert repaired in world.peers[5:]
    assert repaired.values[KEY][1] == new
    assert_clean(world)


def test_node_that_keeps_an_older_revision_is_not_offered_the_newest_with_every_read() -> None:
    world = World(peers=8)
    new, old = value(b"new", seq=2), value(b"old", seq=1)
    for peer in world.peers:
        peer.hold(new)
    stubborn = world.peers[6]
    stubborn.hold(old)
    stubborn.script = lambda peer, message: (
        [peer.put_reply(message.tid, 1)] if isinstance(message, Put) else None
    )
    for _ in range(5):
        world.got("all")
        world.run(10)
    assert len({entry.message.tid for entry in world.sent(Put)}) == 1
    world.run(700)
    world.got("all")
    world.run(1)

    assert len({entry.message.tid for entry in world.sent(Put)}) == 2


def test_repair_keeps_the_creation_date_if_it_is_known() -> None:
    world = World(peers=8)
    world.stored(value(b"new", seq=2), created=world.now.unix - 1000)
    world.run(10)
    world.peers[3].hold(value(b"old", seq=1))
    since = world.now.mono
    world.got("all")
    world.run(1)

    repairs = world.sent(Put, since=since)
    assert {entry.peer.id for entry in repairs} == {world.peers[3].id}
    assert repairs[0].message.created == 1_700_000_000 - 1000


@pytest.mark.parametrize("policy", ["reference", "off"])
def test_other_policies_do_not_repair(policy: Any) -> None:
    world = World(CoreConfig(ipv6=False, maintenance=policy), peers=8)
    for rank, peer in enumerate(world.peers):
        peer.hold(value(b"new", seq=2) if rank else value(b"old", seq=1))
    world.got("all")
    world.run(1)

    assert world.sent(Put) == []


@pytest.mark.parametrize("strength", ["first", "fresh"])
def test_nothing_is_repaired_without_need_or_by_first(strength: Any) -> None:
    world = World(peers=8)
    new, old = value(b"new", seq=2), value(b"old", seq=1)
    for peer in world.peers:
        peer.hold(old if strength == "first" and peer is world.peers[3] else new)
    world.got(strength)
    world.run(1)

    assert world.sent(Put) == []


def test_identities_of_these_tests_are_sound() -> None:
    assert crypto.verify(value().owner, value().signature, b"something else") is False
