"""The surface of the core: calls in any order, states that travel, timers that sleep, figures that add up."""

from dataclasses import replace
from random import Random

import pytest

from dna_dht.core.config import CoreConfig, Limits
from dna_dht.core.dht import DhtCore
from dna_dht.core.effects import GetOutcome, OperationDone, PersistRequested, PutOutcome
from dna_dht.core.instant import Instant
from dna_dht.core.values.value_types import DNA_365_DAYS
from dna_dht.testing import SimNetwork
from dna_dht.wire.infohash import ZERO, InfoHash
from dna_dht.wire.query import ANY, where_id
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack

from .peers import KEY, START, World, value
from .stage import ALICE, BOB, Stage
from .stage import KEY as STAGE_KEY
from .stage import START as STAGE_START
from .stage import forged as badly_signed
from .stage import value as signed

HOUR = 3600.0


def test_zero_key_and_zero_id_are_refused_at_once() -> None:
    core = World().core
    with pytest.raises(ValueError, match="zero key"):
        core.get(ZERO, START)
    with pytest.raises(ValueError, match="zero key"):
        core.listen(ZERO, START)
    with pytest.raises(ValueError, match="zero key"):
        core.put(ZERO, value(), START)
    with pytest.raises(ValueError, match="needs an id"):
        core.put(KEY, Value(id=0, type=3, data=b""), START)
    assert core.stats()["operations"] == 0 and core.take_events() == []


def test_operations_without_company_end_and_say_so() -> None:
    world = World()
    got, put = world.got(), world.stored(value())
    assert isinstance(got, GetOutcome) and not got.connected and not got.conclusive
    assert isinstance(put, PutOutcome) and not put.connected and put.accepted == 0
    assert world.core.stats()["operations"] == 0


def test_an_own_value_is_readable_without_company() -> None:
    world = World()
    world.stored(value(b"mine"))
    assert [each.data for each in world.got().values] == [b"mine"]


def test_an_older_own_value_does_not_replace_a_newer_one() -> None:
    world = World(peers=8)
    world.stored(value(b"new", seq=5))
    outcome = world.stored(value(b"old", seq=4))
    assert outcome.conflicts == ((5, 1),) and not outcome.quorum
    assert [each.seq for each in world.core.storage.find(KEY, ANY)] == [5]


def test_too_many_listens_are_refused() -> None:
    world = World(CoreConfig(ipv6=False, limits=Limits(listens=2)))
    first = world.listen()
    world.listen()
    with pytest.raises(ValueError, match="too many listens"):
        world.listen()
    world.cancel(first)
    world.listen()


def test_unknown_completions_are_ignored() -> None:
    stage = Stage()
    stage.core.verified(12345, True, stage.now)
    stage.core.persisted(12345, True, stage.now)
    stage.core.cancel(12345, stage.now)
    stage.core.send_failed(ALICE, stage.now)
    assert not stage.core.cancel_put(STAGE_KEY, 1, stage.now)
    stage.pump()
    assert stage.sent == [] and stage.events == []


def test_a_failed_send_gives_up_what_is_open_there() -> None:
    stage = Stage()
    operation = stage.core.ping(ALICE, stage.now)
    stage.core.ping(BOB, stage.now)
    stage.core.send_failed(ALICE, stage.now)
    stage.pump()
    assert [event.operation for event in stage.events if isinstance(event, OperationDone)] == [operation]
    assert stage.core.stats()["open_requests"] == 1


def test_a_late_timer_run_does_all_that_was_missed_once() -> None:
    """The process slept for a day."""
    world = World(peers=8)
    world.call(lambda now: world.core.put(KEY, value(type=0), now, permanent=True))
    listening = world.listen()
    world.run(30)
    sleepy = Instant(world.now.mono + 24 * HOUR, world.now.unix + 24 * HOUR)
    world.now = sleepy
    world.call(world.core.on_timer)
    due = world.core.next_wakeup()
    assert due is not None and world.core.stats()["timers"] < 200
    world.run(120)
    assert world.core.connected
    world.cancel(listening)


def test_an_idle_node_sleeps() -> None:
    """A node alone, without anybody to ask, wakes a few times a minute at most."""
    world = World()
    wakeups = 0
    while world.now.mono < START.mono + HOUR:
        due = world.core.next_wakeup()
        assert due is not None
        world.now = Instant(max(due, world.now.mono), world.now.unix)
        world.call(world.core.on_timer)
        wakeups += 1
    assert wakeups < 600


def test_expired_values_go_by_themselves() -> None:
    stage = Stage()
    for number in range(1, 6):
        stage.put(ALICE, signed(b"%d" % number, id=number, type=0))
        stage.wait(60)
    assert stage.core.stats()["stored_values"] == 5
    stage.wait(301)
    assert stage.core.stats()["stored_values"] == 4
    stage.wait(600)
    stats = stage.core.stats()
    assert stats["stored_values"] == stats["stored_bytes"] == stats["keys"] == 0


def test_a_state_carries_id_nodes_and_values_over_a_restart() -> None:
    world = World(peers=8)
    world.call(lambda now: world.core.put(KEY, value(b"kept", id=1), now))
    world.call(lambda now: world.core.put(KEY, value(b"for ever", id=2), now, permanent=True))
    world.call(lambda now: world.core.put(KEY, value(b"short", id=3, type=0), now))
    world.run(10)
    state = world.core.export_state(world.now)
    assert state.node_id == world.core.node_id and len(state.nodes) == 8
    later = World()
    for peer in world.peers:
        later.add(peer.id, peer.address)
    later.now = Instant(50.0, world.now.unix + HOUR)
    later.core = DhtCore(CoreConfig(ipv6=False), state.node_id, rng=Random(1), now=later.now)
    later.call(lambda now: later.core.import_state(state, now))
    ends = {stored.id: stored.expires for stored in later.core.storage.find(KEY, ANY)}
    assert set(ends) == {1, 2} and ends[2] == float("inf")
    assert ends[1] == pytest.approx(50.0 + 7 * 24 * HOUR - HOUR - 10)
    later.run(5)
    assert later.core.connected


def test_a_permanent_value_is_announced_again_after_a_restart() -> None:
    world = World(peers=8)
    world.call(lambda now: world.core.put(KEY, value(b"for ever", id=2), now, permanent=True))
    world.run(10)
    state = world.core.export_state(world.now)
    later = World(peers=8)
    later.call(lambda now: later.core.import_state(state, now))
    later.run(10)
    assert later.core.stats()["announces"] == 1
    assert all(2 in peer.values[KEY] for peer in later.peers)


def test_what_the_database_keeps_is_not_in_the_state() -> None:
    stage = Stage(CoreConfig(persist=True, exempt_loopback=False))
    stage.put(ALICE, signed(id=1))
    stage.put(ALICE, signed(b"long", id=2, type=DNA_365_DAYS))
    state = stage.core.export_state(stage.now)
    assert len(state.values) == 1
    assert not any(isinstance(event, PersistRequested) for event in stage.events)


def test_restored_rows_are_served_on_demand_after_their_check() -> None:
    """A get for a key whose rows are not checked yet waits for them; a bad one is never served."""
    stage = Stage()
    stage.prove(BOB)
    stage.hold_checks = True
    for number in range(100):
        key = InfoHash.of(b"%d" % number)
        stage.core.restore(key, pack(signed(b"%d" % number, id=1)), STAGE_START.unix, None, stage.now)
        stage.core.restore(key, pack(badly_signed(id=2)), STAGE_START.unix, None, stage.now)
    stage.pump()
    wanted = InfoHash.of(b"99")
    assert stage.get(BOB, key=wanted) == []
    owned = len(stage.checks)
    assert owned < 100, "the rest is in the background, bounded"
    while stage.checks:
        stage.check(len(stage.checks) - 1)
        answers = stage.take(BOB)
        if answers:
            assert [each.data for each in answers[0].values] == [b"99"]  # type: ignore[union-attr]
            break
    else:
        raise AssertionError("the get was never answered")
    stage.hold_checks = False
    while stage.checks:
        stage.check()
    stage.wait(1)
    assert stage.core.stats()["restoring"] == 0 and stage.core.stats()["stored_values"] == 100 + 1


def test_an_own_get_is_answered_also_when_too_many_wait_for_the_disk() -> None:
    stage = Stage(unproved_per_source=-1, requests_per_source=-1)
    stage.hold_checks = True
    stage.core.restore(STAGE_KEY, pack(signed(id=1)), STAGE_START.unix, None, stage.now)
    for _ in range(1100):
        stage.get(ALICE)
    assert stage.dropped["request: too many wait for the disk"] > 0
    operation = stage.core.get(STAGE_KEY, stage.now, query=where_id(1))
    stage.pump()
    stage.wait(1)
    assert any(isinstance(event, OperationDone) and event.operation == operation for event in stage.events)


def test_after_a_change_of_network_everything_is_found_again() -> None:
    net = SimNetwork(4)
    nodes = net.grow(12)
    key = net.random_key()
    listener = net.listen(nodes[3], key)
    net.run(5)
    core = nodes[3].running
    core.connectivity_changed(Instant(net.now, net.now))
    assert not core.connected
    net.run(30)
    assert core.connected
    net.put(nodes[7], key, b"news")
    net.run(5)
    assert [change.value.data for change in listener.changes] == [b"news"]


def test_figures_of_an_empty_node() -> None:
    stats = Stage().core.stats()
    assert stats["nodes"] == stats["good_nodes"] == {4: 0, 6: 0}
    zero = ("stored_values", "operations", "listens", "open_requests", "restoring", "held_requests")
    assert [stats[name] for name in zero] == [0] * len(zero)


def test_no_counter_is_named_by_a_stranger() -> None:
    """Names are constants of the code, however wild the input: here through errors of every code."""
    world = World(peers=8)
    for code in range(600):
        for peer in world.peers:
            peer.script = lambda peer, message, code=code: [peer.error(message.tid, code)]
            world.know(peer)
        world.core.ping(world.peers[code % 8].address, world.now)
        world.run(0.1)
    names = [name for table in world.core.counters.snapshot().values() for name in table]
    assert len(names) < 60


@pytest.mark.parametrize("family", [4, 6])
def test_one_family_alone_works(family: int) -> None:
    config = CoreConfig(ipv4=family == 4, ipv6=family == 6)
    world = World(replace(config))
    address = ("31.0.0.1", 4000) if family == 4 else ("2a01:4f8::1", 4000)
    peer = world.add(InfoHash.of(b"peer"), address)
    world.call(lambda now: world.core.bootstrap([address], now))
    world.run(1)
    assert world.core.connected
    outcome = world.stored(value(b"data"))
    assert outcome.accepted == 1 and KEY in peer.values
