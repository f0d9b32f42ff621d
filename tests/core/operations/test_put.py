"""Puts: the three modes, whom they write to, quorum, conflicts, refused tokens, slow nodes, clean ends."""

from typing import Any

import pytest

from dna_dht.core.config import CoreConfig
from dna_dht.core.effects import PutOutcome
from dna_dht.core.operations.put import MAX_TOKEN_RETRIES, QUORUM, Mode, PutOperation
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import Get, Put, Refresh
from dna_dht.wire.value_codec import pack

from ..peers import KEY, RTT, Peer, World, near, value

SETTLED = 20.0  # seconds after which everybody has answered or was given up


def refresh(world: World, seq: int = 0) -> PutOutcome:
    """Carry out a put in refresh mode, as an announce does."""
    return run(world, "refresh", seq)


def run(world: World, mode: Mode, seq: int = 0) -> PutOutcome:
    outcomes: list[PutOutcome] = []
    over: list[PutOperation] = []
    what = value(seq=seq)
    operation = PutOperation(
        world.services,
        KEY,
        what.id,
        what.seq,
        pack(what),
        None,
        mode,
        15.0,
        outcomes.append,
        over.append,
    )
    world.call(lambda now: operation.start())
    world.run(SETTLED)
    assert len(outcomes) == 1 and len(over) == 1
    assert operation.done and not operation.under_way
    return outcomes[0]


def holders(world: World) -> list[int]:
    """Ranks of the peers that hold something."""
    return [rank for rank, peer in enumerate(world.peers, 1) if peer.values.get(KEY)]


def assert_clean(world: World) -> None:
    world.run(SETTLED)
    assert world.open_requests == 0
    assert world.core.stats()["operations"] == 0
    assert world.core.writing == 0
    assert all(peer.node.pending == 0 for peer in world.peers)


def probes(world: World) -> int:
    return len(world.sent(Get))


# -- modes


def test_cold_put_probes_then_writes_to_the_eight_closest() -> None:
    world = World(peers=12)
    outcome = world.stored(value())
    world.run(1)

    assert outcome.quorum and outcome.accepted >= QUORUM
    assert holders(world) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert probes(world) == 8
    assert_clean(world)


def test_warm_put_costs_one_round_trip() -> None:
    world = World(peers=12, known=False)
    world.know(*world.peers, tokens=True)
    world.settle()
    start = world.now.mono
    operation = world.put(value())
    assert len(world.sent(Put)) == 8 and probes(world) == 8
    world.run(1.5 * RTT)

    assert world.done(operation) is not None
    assert world.now.mono - start < 2 * RTT


def test_update_with_tokens_at_hand_does_not_probe() -> None:
    world = World(peers=12, known=False)
    world.know(*world.peers, tokens=True)
    world.settle()
    outcome = world.stored(value(seq=5), probe=False)
    world.run(1)

    assert outcome.quorum
    assert probes(world) == 0
    assert holders(world) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_update_without_tokens_asks_for_them() -> None:
    world = World(peers=12)
    outcome = world.stored(value(seq=5), probe=False)
    world.run(1)

    assert outcome.quorum
    assert holders(world) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_refresh_gives_small_refreshes_to_those_that_have_it_and_puts_to_the_others() -> None:
    world = World(peers=10)
    for peer in world.peers[:5]:
        peer.hold(value())
    outcome = refresh(world)

    assert sorted(peer.id for peer in world.asked(Refresh)) == sorted(peer.id for peer in world.peers[:5])
    assert {peer.id for peer in world.asked(Put)} == {peer.id for peer in world.peers[5:8]}
    assert outcome.accepted >= QUORUM and outcome.quorum and outcome.conflicts == ()


def test_value_that_is_gone_when_refreshed_is_put() -> None:
    world = World(peers=8)
    for peer in world.peers:
        peer.hold(value())
        peer.script = lambda peer, message: (
            [peer.error(message.tid, 404)] if isinstance(message, Refresh) else None
        )
    outcome = refresh(world)

    assert outcome.quorum
    assert len({peer.id for peer in world.asked(Put)}) == 8


def test_refresh_replaces_older_and_leaves_newer_revisions() -> None:
    world = World(peers=8)
    for peer in world.peers[:3]:
        peer.hold(value(b"old", seq=1))
    for peer in world.peers[3:]:
        peer.hold(value(b"newer", seq=9))
    outcome = refresh(world, seq=5)

    assert {peer.id for peer in world.asked(Put)} == {peer.id for peer in world.peers[:3]}
    assert outcome.conflicts == ((9, 5),)


# -- whom it writes to


def test_nobody_is_written_to_before_everybody_closer_has_answered() -> None:
    world = World(peers=1)
    far = world.add(near(KEY, 1000))
    far.neighbours = [world.add(near(KEY, rank)) for rank in range(11, 19)]
    world.know(far)
    world.stored(value())
    world.run(1)

    assert not far.values
    assert world.peers[0].values and all(peer.values for peer in far.neighbours[:7])


def test_dead_node_is_replaced_by_the_next() -> None:
    world = World(peers=12)
    world.peers[2].silent = True
    outcome = world.stored(value())
    world.run(SETTLED)

    assert outcome.quorum
    assert holders(world) == [1, 2, 4, 5, 6, 7, 8, 9]


def test_node_that_is_slow_to_acknowledge_is_replaced() -> None:
    world = World(peers=12)
    world.peers[2].script = lambda peer, message: [] if isinstance(message, Put) else None
    operation = world.put(value())
    world.run(0.5)
    outcome: Any = world.done(operation)

    assert outcome is not None and outcome.quorum
    assert 9 in holders(world)
    assert_clean(world)


def test_slow_nodes_are_not_replaced_without_end() -> None:
    world = World(peers=30)
    for peer in world.peers:
        peer.script = lambda peer, message: [] if isinstance(message, Put) else None
    world.put(value())
    world.run(2.9)

    assert len({peer.id for peer in world.asked(Put)}) == 14


def test_slow_node_does_not_hold_up_the_quorum_of_a_small_network() -> None:
    world = World(peers=3)
    world.peers[1].script = lambda peer, message: [] if isinstance(message, Put) else None
    operation = world.put(value())
    world.run(0.5)
    outcome: Any = world.done(operation)

    assert outcome is not None and outcome.quorum and outcome.accepted == 2


def test_large_value_arrives_in_spite_of_losses() -> None:
    world = World(peers=3)
    large = value(bytes(range(256)) * 150)
    for rank, peer in enumerate(world.peers):
        peer.lose = rank
    outcome = world.stored(large)

    assert outcome.quorum
    world.run(5)
    assert all(peer.values[KEY][1] == large for peer in world.peers)


def test_creation_date_travels_with_values_that_are_not_permanent() -> None:
    world = World(peers=1)
    created = int(world.now.unix) - 50
    world.stored(value(), created=float(created))
    assert [entry.message.created for entry in world.sent(Put)] == [created]

    world = World(peers=1)
    world.stored(value(), permanent=True, created=float(created))
    assert [entry.message.created for entry in world.sent(Put)] == [None]


@pytest.mark.parametrize(("created", "sent"), [(-5.0, 0), (1e30, 1_700_000_000)])
def test_creation_dates_out_of_range_are_clamped(created: float, sent: int) -> None:
    world = World(peers=1)
    world.stored(value(type=0x1002), created=created)

    assert [entry.message.created for entry in world.sent(Put)] == [sent]


def test_liars_cannot_keep_a_put_from_the_nodes_that_answered() -> None:
    """Everybody names somebody nearer without end."""
    world = World(peers=1)
    next_rank = [2**40]

    def names_nearer(peer: Peer, message: Any) -> list[bytes] | None:
        if isinstance(message, Get) and not peer.neighbours:
            for _ in range(8):
                next_rank[0] -= 1
                fake = world.add(near(KEY, next_rank[0]))
                fake.script = names_nearer
                peer.neighbours.append(fake)
        return None

    first = world.add(near(KEY, 2**40 + 1))
    first.script = names_nearer
    world.peers[0].silent = True
    world.know(first)
    outcome = world.stored(value())
    world.run(1)

    assert outcome.accepted > 0
    assert_clean(world)


# -- quorum


@pytest.mark.parametrize(("peers", "needed"), [(1, 1), (3, 3), (5, 5), (8, 5), (12, 5)])
def test_quorum_is_five_or_everybody(peers: int, needed: int) -> None:
    world = World(peers=peers)
    for rank, peer in enumerate(world.peers):
        peer.rtt = 0.01 * (rank + 1)
        peer.node.srtt = 0.2
    outcome = world.stored(value())

    assert outcome.quorum
    assert outcome.accepted == needed


def test_no_quorum_without_enough_acknowledgements() -> None:
    world = World(peers=8)
    for peer in world.peers[1:]:
        peer.script = lambda peer, message: (
            [peer.error(message.tid, 203)] if isinstance(message, Put) else None
        )
    outcome = world.stored(value())

    assert (outcome.accepted, outcome.refused, outcome.quorum) == (1, 7, False)
    assert_clean(world)


def test_nodes_behind_those_that_refuse_count_for_the_quorum() -> None:
    world = World(peers=14)
    for peer in world.peers[:6]:
        peer.script = lambda peer, message: (
            [peer.error(message.tid, 203)] if isinstance(message, Put) else None
        )
    outcome = world.stored(value())
    world.run(1)

    assert outcome.quorum
    assert holders(world) == [7, 8, 9, 10, 11, 12, 13, 14]


def test_acknowledgement_of_another_value_is_none() -> None:
    world = World(peers=3)
    for peer in world.peers:
        peer.script = lambda peer, message: (
            [peer.put_reply(message.tid, 4711)] if isinstance(message, Put) else None
        )
    outcome = world.stored(value())

    assert (outcome.accepted, outcome.refused, outcome.quorum) == (0, 3, False)


def test_without_any_node_it_fails_at_once() -> None:
    world = World()
    operation = world.put(value())
    outcome: Any = world.done(operation)

    assert outcome is not None
    assert not outcome.connected and not outcome.quorum and outcome.accepted == 0
    assert_clean(world)


def test_silence_of_all_ends_without_quorum() -> None:
    world = World(peers=3)
    for peer in world.peers:
        peer.silent = True
    start = world.now.mono
    outcome = world.stored(value())

    assert (outcome.accepted, outcome.silent, outcome.quorum) == (0, 3, False)
    assert world.now.mono - start < 10
    assert_clean(world)


def test_rest_goes_on_behind_the_quorum() -> None:
    world = World(peers=8)
    world.peers[7].rtt = 0.3
    world.peers[7].node.srtt = 0.3
    operation = world.put(value())
    world.run(0.2)
    assert world.done(operation) is not None
    assert world.core.writing > 0
    world.run(2)

    assert holders(world) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert world.core.writing == 0


# -- conflicts


def test_higher_revision_is_reported_and_left_alone() -> None:
    world = World(peers=8)
    for peer in world.peers[:2]:
        peer.hold(value(b"newer", seq=9))
    outcome = world.stored(value(seq=3))
    world.run(1)

    assert outcome.conflicts == ((9, 2),)
    assert outcome.quorum
    assert not {peer.id for peer in world.asked(Put)} & {peer.id for peer in world.peers[:2]}


def test_only_higher_revisions_is_no_success() -> None:
    world = World(peers=8)
    for peer in world.peers:
        peer.hold(value(b"newer", seq=9))
    outcome = world.stored(value(seq=3))

    assert outcome.conflicts and outcome.conflicts[0][0] == 9
    assert not outcome.quorum and outcome.accepted == 0


def test_same_value_put_again_succeeds_cold_and_warm() -> None:
    for tokens in (False, True):
        world = World(peers=8, known=False)
        world.know(*world.peers, tokens=tokens)
        world.settle()
        for peer in world.peers:
            peer.hold(value())
        outcome = world.stored(value())

        assert outcome.quorum and outcome.accepted >= QUORUM
        assert outcome.conflicts and outcome.conflicts[0][0] == 0


def test_own_value_seen_by_a_repeated_probe_is_no_conflict() -> None:
    """The first probe is lost, the put arrives, the second probe sees what was put."""
    world = World(peers=8, known=False)
    world.know(*world.peers, tokens=True)
    world.settle()
    for peer in world.peers:
        peer.lose = 1  # the probe leaves first

        def late(peer: Peer, message: Any) -> list[bytes] | None:
            if not isinstance(message, Put):
                return None
            for datagram in peer.answer(message):
                peer.send(datagram, 0.25)  # the answer to the second probe is earlier
            return []

        peer.script = late
    outcome = world.stored(value())

    assert outcome.conflicts == ()
    assert outcome.quorum


def test_later_revision_of_our_own_store_refuses_an_older_one() -> None:
    world = World()
    world.stored(value(seq=5))
    outcome = world.stored(value(seq=4))

    assert outcome.conflicts == ((5, 1),)
    assert not outcome.quorum


# -- tokens


def test_refused_token_is_renewed_and_the_put_repeated() -> None:
    world = World(peers=8, known=False)
    world.know(*world.peers, tokens=True)
    world.settle()
    for peer in world.peers:
        peer.token = b"another secret"
    outcome = world.stored(value(), probe=False)
    world.run(1)

    assert outcome.quorum and outcome.refused == 0
    assert holders(world) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert_clean(world)


def test_refused_token_beside_a_probe_is_renewed_by_that_probe() -> None:
    world = World(peers=8, known=False)
    world.know(*world.peers, tokens=True)
    world.settle()
    for peer in world.peers:
        peer.token = b"another secret"
    outcome = world.stored(value())
    world.run(1)

    assert outcome.quorum
    assert holders(world) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert probes(world) <= 16


def test_node_that_refuses_every_token_is_given_up_and_replaced() -> None:
    world = World(peers=9)
    world.peers[0].script = lambda peer, message: (
        [peer.error(message.tid, 401)] if isinstance(message, Put) else None
    )
    outcome = world.stored(value())
    world.run(5)

    assert outcome.quorum
    assert holders(world) == [2, 3, 4, 5, 6, 7, 8, 9]
    assert len(world.sent(Put, to=world.peers[0])) <= (1 + MAX_TOKEN_RETRIES) * 8  # datagrams
    assert_clean(world)


def test_refresh_with_a_refused_token_is_repeated() -> None:
    world = World(peers=3)
    refused: set[InfoHash] = set()

    def once(peer: Peer, message: Any) -> list[bytes] | None:
        if isinstance(message, Refresh) and peer.id not in refused:
            refused.add(peer.id)
            return [peer.error(message.tid, 401)]
        return None

    for peer in world.peers:
        peer.hold(value())
        peer.script = once
    outcome = refresh(world)

    assert outcome.quorum and outcome.accepted == 3


# -- the end


def test_cancel_leaves_nothing_open_and_says_nothing() -> None:
    world = World(peers=8)
    operation = world.put(value())
    assert world.open_requests == 8
    world.cancel(operation)

    assert world.open_requests == 0
    assert world.core.writing == 0
    assert_clean(world)
    assert world.done(operation) is None


def test_time_limit_ends_everything() -> None:
    world = World(CoreConfig(ipv6=False, operation_timeout=0.4), peers=8)
    for peer in world.peers:
        peer.silent = True
    operation = world.put(value())
    world.run(0.41)

    assert world.done(operation) is not None
    assert world.core.writing == 0
    for peer in world.peers:
        peer.silent = False
    assert_clean(world)


def test_nonsense_is_refused_and_leaves_nothing() -> None:
    world = World(peers=1)
    with pytest.raises(ValueError, match="zero key"):
        world.core.put(InfoHash(bytes(20)), value(), world.now)
    with pytest.raises(ValueError, match="id"):
        world.core.put(KEY, value(id=0), world.now)
    assert world.core.stats()["operations"] == 0


def test_permanent_value_is_kept_alive_although_its_put_was_cancelled() -> None:
    world = World(peers=8)
    operation = world.put(value(), permanent=True)
    world.cancel(operation)
    world.run(60)

    assert world.done(operation) is None
    assert len(world.asked(Put)) == 8, "taken up again"
    world.call(lambda now: world.core.cancel_put(KEY, 1, now))


def test_cancelled_permanent_value_is_left_alone() -> None:
    world = World(peers=8)
    operation = world.put(value(), permanent=True)
    world.call(lambda now: world.core.cancel_put(KEY, 1, now))
    world.cancel(operation)
    world.run(60)

    assert world.asked(Put) == []
