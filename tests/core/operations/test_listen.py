"""Listens: whom they subscribe to, how they keep and move subscriptions, what they tell, what they leave."""

from functools import partial
from typing import Any

import pytest

from dna_dht.core.config import CoreConfig, Limits
from dna_dht.wire import encode
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import Find, Listen, Reply
from dna_dht.wire.query import Field, Query
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack

from ..peers import KEY, Peer, World, forged, near, value


def serving(world: World) -> list[int]:
    """Ranks of the peers that think they serve us."""
    return [rank for rank, peer in enumerate(world.peers, 1) if peer.listeners]


def active(world: World) -> list[int]:
    """Ranks of the peers whose pushes would be taken."""
    requests = world.services.requests
    return [
        rank
        for rank, peer in enumerate(world.peers, 1)
        if any(requests.has_socket(socket_id, peer.address) for socket_id in peer.listeners)
    ]


def listens(world: World, peer: Peer, since: float = 0.0) -> int:
    return len(world.sent(Listen, to=peer, since=since))


def settled(peers: int = 8, **options: Any) -> tuple[World, int]:
    """A world with a listen that has subscribed."""
    world = World(peers=peers, **options)
    operation = world.listen()
    world.run(1)
    return world, operation


# -- subscribing


def test_four_closest_are_subscribed_to() -> None:
    world, _ = settled()

    assert active(world) == [1, 2, 3, 4]


def test_warm_listen_costs_one_round_trip() -> None:
    world = World(peers=8, known=False)
    world.know(*world.peers, tokens=True)
    world.settle()
    world.listen()

    assert [entry.peer for entry in world.sent(Listen)] == world.peers[:4]
    assert world.sent(Find) == []


def test_nobody_is_subscribed_to_before_everybody_closer_has_answered() -> None:
    world = World(peers=6)
    world.peers[0].rtt = 0.04
    world.listen()
    world.run(0.03)

    assert world.sent(Listen) == []


def test_filter_travels_without_selection() -> None:
    world = World(peers=4)
    where = ((Field.ID, 7),)
    world.listen(query=Query((Field.ID,), where))
    world.run(1)

    assert {entry.message.query for entry in world.sent(Listen)} == {Query((), where)}
    world.peers[0].tell(value(b"other", id=8))
    world.peers[0].tell(value(b"mine", id=7))
    world.run(1)
    assert [data for _, data in world.changes(1)] == [b"mine"]


def test_stored_values_come_first_and_once() -> None:
    world = World(peers=8)
    for peer in world.peers:
        peer.hold(value(b"one", id=1), value(b"two", id=2))
    operation = world.listen()
    world.run(1)

    assert sorted(world.changes(operation)) == [("added", b"one"), ("added", b"two")]


def test_own_store_is_told_at_once_and_its_changes_as_they_happen() -> None:
    world = World()
    world.stored(value(b"one", seq=1))
    operation = world.listen()
    assert world.changes(operation) == [("added", b"one")]
    world.stored(value(b"two", seq=2))
    world.call(lambda now: world.core.cancel_put(KEY, 1, now))

    assert world.changes(operation) == [("added", b"one"), ("updated", b"two"), ("expired", b"two")]


# -- changes


def test_change_reported_by_all_is_told_once_and_expiry_by_the_last() -> None:
    world, operation = settled()
    for seq, data in enumerate((b"a", b"b", b"c")):
        for peer in world.peers[:4]:
            peer.tell(value(data, seq=seq))
        world.run(0.1)
    for peer in world.peers[:3]:
        peer.tell(expired=[1])
    world.run(0.1)
    assert world.changes(operation) == [("added", b"a"), ("updated", b"b"), ("updated", b"c")]
    world.peers[3].tell(expired=[1])
    world.run(0.1)

    assert world.changes(operation)[3:] == [("expired", b"c")]


def test_updates_are_confirmed_also_when_nobody_listens() -> None:
    world, operation = settled()
    told: list[int] = []
    socket_id = next(iter(world.peers[0].listeners))
    world.cancel(operation)
    for datagram in world.peers[0].push(socket_id, value(), tid=55):
        world.peers[0].send(datagram)
    world.run(0.1)
    told += [entry.message.tid for entry in world.sent(Reply, to=world.peers[0])]

    assert 55 in told
    assert world.changes(operation) == []


def test_update_from_another_address_is_not_believed() -> None:
    world, operation = settled()
    socket_id = next(iter(world.peers[0].listeners))
    for datagram in world.peers[5].push(socket_id, value()):
        world.peers[5].send(datagram)
    world.run(0.1)

    assert world.changes(operation) == []


def test_unsigned_and_encrypted_values_are_not_told() -> None:
    world, operation = settled()
    world.peers[0].tell(Value(id=5, data=b"unsigned"), Value(id=6, cypher=b"secret"))
    world.run(0.1)
    assert world.changes(operation) == []

    world = World(CoreConfig(ipv6=False, accept_unsigned=True), peers=4)
    operation = world.listen()
    world.run(1)
    world.peers[0].tell(Value(id=5, data=b"unsigned"))
    world.run(0.1)
    assert world.changes(operation) == [("added", b"unsigned")]


def test_push_before_the_confirmation_is_taken() -> None:
    world = World(peers=1)

    def pushes_only(peer: Peer, message: Any) -> list[bytes] | None:
        return peer.push(message.socket_id, value()) if isinstance(message, Listen) else None

    world.peers[0].script = pushes_only
    operation = world.listen()
    world.run(0.2)

    assert world.changes(operation) == [("added", b"data")]


@pytest.mark.parametrize("data", [b"small", b"x" * 5000])
def test_pushes_of_very_old_nodes_are_taken(data: bytes) -> None:
    """A nodes reply under the socket id; signed values always come in parts."""
    world, operation = settled()
    peer = world.peers[0]
    (socket_id,) = peer.listeners
    for datagram in encode.nodes_reply(
        socket_id, peer.id, b"\x7f\0\0\1", b"", b"", peer.token, packed=[pack(value(data))]
    ):
        peer.send(datagram)
    world.run(0.1)
    assert world.changes(operation) == [("added", data)]

    peer.notice(socket_id, expired=(1,))
    world.run(0.1)
    assert world.changes(operation)[1:] == [("expired", data)]


def test_such_pushes_from_elsewhere_or_for_closed_sockets_are_not() -> None:
    world, operation = settled()
    (socket_id,) = world.peers[0].listeners
    stranger = world.peers[6]
    for each in (socket_id, 12345):
        for datagram in encode.nodes_reply(
            each, stranger.id, b"\x7f\0\0\1", b"", b"", b"t", packed=[pack(value())]
        ):
            stranger.send(datagram)
    world.run(0.1)

    assert world.changes(operation) == []
    world.run(5)
    assert world.core.stats()["reassembly_bytes"] == 0


# -- keeping


def test_subscription_is_renewed_with_the_same_socket_every_few_minutes() -> None:
    world, _ = settled()
    world.run(1200)
    for peer in world.peers[:4]:
        assert 4 <= listens(world, peer) <= 7
        assert len(peer.listeners) == 1


def test_serving_nodes_are_asked_for_a_sign_of_life() -> None:
    world, _ = settled()
    start = world.now.mono
    world.run(200)

    for peer in world.peers[:4]:
        assert 7 <= len(world.sent(Find, to=peer, since=start)) <= 14
        assert listens(world, peer, start) == 0


def test_listens_share_the_signs_of_life_of_a_node() -> None:
    world = World(peers=4)
    for number in range(50):
        world.listen(InfoHash.of(b"key %d" % number))
    world.run(60)
    since = world.now.mono
    world.run(100)
    finds = [entry for entry in world.log if isinstance(entry.message, Find) and entry.time >= since]

    assert len(finds) <= 4 * 100 / 10 + 20


def test_restarted_node_is_known_by_its_token_and_subscribed_to_again() -> None:
    world, operation = settled()
    peer = world.peers[1]
    peer.listeners.clear()
    peer.token = b"after the restart"
    peer.hold(value(b"later"))
    world.run(30)

    assert active(world) == [1, 2, 3, 4]
    assert ("added", b"later") in world.changes(operation)
    assert listens(world, peer) == 2


def test_silent_node_is_replaced_and_its_values_stay() -> None:
    world = World(peers=8)
    for peer in world.peers:
        peer.hold(value())
    operation = world.listen()
    world.run(1)
    world.peers[0].silent = True
    world.run(40)

    assert active(world) == [2, 3, 4, 5]
    assert world.changes(operation) == [("added", b"data")]
    for peer in world.peers[1:5]:
        peer.tell(expired=[1])
    world.run(1)
    assert world.changes(operation)[1:] == [("expired", b"data")]


def test_node_that_comes_back_serves_again() -> None:
    world, _ = settled()
    world.peers[0].silent = True
    world.run(40)
    world.peers[0].silent = False
    world.peers[0].listeners.clear()
    for peer in world.peers:
        peer.neighbours = world.peers[:1]
    world.run(700)

    assert active(world) == [1, 2, 3, 4]


def test_closer_node_that_joins_takes_over() -> None:
    world = World()
    for rank in range(11, 19):
        world.add(near(KEY, rank))
    world.know(*world.peers)
    world.listen()
    world.run(1)
    assert active(world) == [1, 2, 3, 4]

    newcomers = [world.add(near(KEY, rank)) for rank in range(1, 5)]
    for peer in world.peers:
        peer.neighbours = newcomers
    world.run(200)

    assert active(world) == [9, 10, 11, 12]
    assert sum(world.held(peer) for peer in world.peers) == 4


def test_refused_token_is_renewed() -> None:
    world = World(peers=4, known=False)
    world.know(*world.peers, tokens=True)
    world.settle()
    for peer in world.peers:
        peer.token = b"another secret"
    world.listen()
    world.run(1)

    assert active(world) == [1, 2, 3, 4]


@pytest.mark.parametrize("code", [203, 401, 500])
def test_node_that_always_refuses_is_left_alone_for_a_while(code: int) -> None:
    world = World(peers=6)
    world.peers[0].script = lambda peer, message: (
        [peer.error(message.tid, code)] if isinstance(message, Listen) else None
    )
    world.listen()
    world.run(60)

    assert active(world) == [2, 3, 4, 5]
    assert listens(world, world.peers[0]) <= 4


def test_node_that_answers_everything_but_listens_does_not_keep_us_busy() -> None:
    world = World(peers=6)
    bad = world.peers[0]
    bad.script = lambda peer, message: [] if isinstance(message, Listen) else None
    world.listen()
    for second in range(60):
        world.at(float(second), partial(bad.send, encode.ping(second, bad.id)))
    world.run(60)

    assert active(world) == [2, 3, 4, 5]
    assert listens(world, bad) <= 10


def test_node_that_reports_bad_signatures_is_replaced() -> None:
    world, operation = settled()
    bad = forged(value(b"forged"), data=b"worse")
    world.peers[0].tell(bad)
    world.run(1)

    assert world.changes(operation) == []
    assert active(world) == [2, 3, 4, 5]


def test_loss_of_all_and_return() -> None:
    world, operation = settled()
    for peer in world.peers:
        peer.silent = True
        peer.listeners.clear()
    world.run(60)
    for peer in world.peers:
        peer.silent = False
    world.run(90)
    assert active(world)
    for peer in world.peers:
        peer.tell(value(b"after"))
    world.run(1)

    assert world.changes(operation) == [("added", b"after")]


def test_listen_without_any_node_subscribes_when_there_are_some() -> None:
    world = World()
    operation = world.listen()
    world.run(10)
    for rank in range(1, 5):
        world.add(near(KEY, rank))
    world.know(*world.peers)
    world.run(10)
    world.peers[0].tell(value())
    world.run(1)

    assert world.changes(operation) == [("added", b"data")]


def test_change_of_our_network_subscribes_anew() -> None:
    world, operation = settled()
    for peer in world.peers:
        peer.hold(value())
    before = {peer.id: set(peer.listeners) for peer in world.peers[:4]}
    world.call(world.core.connectivity_changed)
    world.run(5)

    assert len(active(world)) == 4
    assert all(set(peer.listeners) - before[peer.id] for peer in world.peers[:4])
    for peer in world.peers:
        peer.tell(expired=[1])
    world.run(1)
    assert world.changes(operation) == [("added", b"data"), ("expired", b"data")]


def test_node_that_expired_for_others_keeps_its_socket() -> None:
    """S-19: the socket belongs to the subscription."""
    world, operation = settled()
    world.peers[0].node.timed_out()
    world.peers[0].tell(value())
    world.run(0.1)

    assert world.changes(operation) == [("added", b"data")]


# -- the end


def test_cancel_leaves_nothing() -> None:
    world = World(peers=8)
    before = world.open_requests
    operation = world.listen()
    world.run(1)
    assert sum(world.held(peer) for peer in world.peers) == 4
    world.cancel(operation)
    since = world.now.mono
    world.run(400)

    assert sum(world.held(peer) for peer in world.peers) == 0
    assert active(world) == []
    assert world.sent(Listen, since=since) == []
    assert world.core.stats()["operations"] == world.core.stats()["listens"] == 0
    assert world.open_requests == before == 0


@pytest.mark.parametrize("after", [0.0, 0.01, 0.03, 0.05, 3.0, 21.0])
def test_cancel_at_any_moment_is_silent(after: float) -> None:
    world = World(peers=8)
    for peer in world.peers:
        peer.hold(value())
    world.peers[2].silent = True
    operation = world.listen()
    world.run(after)
    world.cancel(operation)
    told = world.changes(operation)
    for peer in world.peers:
        peer.tell(value(b"later", seq=1))
    since = world.now.mono
    world.run(60)

    assert world.changes(operation) == told
    assert world.sent(Listen, since=since) == []
    assert sum(world.held(peer) for peer in world.peers) == 0


def test_cancel_during_a_check_is_silent() -> None:
    world = World(peers=4)
    for peer in world.peers:
        peer.hold(value())
    world.verify_delay = 1.0
    operation = world.listen()
    world.run(0.5)
    world.cancel(operation)
    world.run(5)

    assert world.changes(operation) == []


def test_number_of_listens_is_limited() -> None:
    world = World(CoreConfig(ipv6=False, limits=Limits(listens=2)), peers=4)
    first = world.listen()
    world.listen()
    with pytest.raises(ValueError, match="too many listens"):
        world.listen()
    world.cancel(first)
    world.listen()


def test_number_of_values_is_limited() -> None:
    world = World(CoreConfig(ipv6=False, limits=Limits(listen_values=3)), peers=4)
    operation = world.listen()
    world.run(1)
    for number in range(1, 6):
        world.peers[0].tell(value(b"%d" % number, id=number))
        world.run(0.1)

    changes = world.changes(operation)
    assert [change for change, _ in changes].count("added") == 5
    assert [data for change, data in changes if change == "expired"] == [b"1", b"2"]


def test_values_that_find_no_room_at_the_verifier_are_told_later() -> None:
    world = World(CoreConfig(ipv6=False, limits=Limits(verifications_pending=1)), peers=4)
    world.verify_delay = 0.1
    for peer in world.peers:
        peer.hold(*[value(b"%d" % number, id=number) for number in range(1, 21)])
    operation = world.listen()
    world.run(10)

    assert len(world.changes(operation)) == 20


def test_value_that_nobody_confirms_ends_with_its_type() -> None:
    world, operation = settled()
    world.peers[0].tell(value(b"short", type=0))
    world.run(1)
    world.run(700)

    assert world.changes(operation) == [("added", b"short"), ("expired", b"short")]


def test_filter_that_cannot_be_sent_is_refused_and_leaves_nothing() -> None:
    world = World(peers=3)
    with pytest.raises(ValueError, match="seq filter"):
        world.listen(query=Query((), ((Field.SEQ, 1),)))
    assert world.core.stats()["operations"] == 0
    world.run(30)


def test_zero_key_is_refused() -> None:
    world = World(peers=1)
    with pytest.raises(ValueError, match="zero key"):
        world.listen(InfoHash(bytes(20)))
    assert world.core.stats()["operations"] == 0
