"""What a node answers to each request: checks in order, contents, both families."""

from dataclasses import replace

import pytest

from dna_dht.core.config import CoreConfig, Limits
from dna_dht.wire.address import Address, pack_ip
from dna_dht.wire.compact_nodes import unpack_nodes
from dna_dht.wire.infohash import ZERO, InfoHash
from dna_dht.wire.messages import (
    WANT_IPV4,
    WANT_IPV6,
    ErrorReply,
    Find,
    Get,
    Listen,
    Message,
    Ping,
    Put,
    Refresh,
    Reply,
    Update,
)
from dna_dht.wire.query import Query, where_id

from ..stage import ALICE, BOB, CAROL, KEY, SIX, Stage, error_codes, id_of, updates, value

UNLIMITED = CoreConfig(
    exempt_loopback=False,
    limits=Limits(unproved_per_source=-1, requests_per_source=-1, requests_per_second=-1),
)


def befriend(stage: Stage, addresses: list[Address], ids: list[InfoHash]) -> None:
    """Make each of them a good node: it pings, is pinged back, and answers."""
    for address, node_id in zip(addresses, ids, strict=True):
        stage.receive(Ping(tid=1, sender=node_id), address)
        stage.core.ping(address, stage.now)
        stage.pump()
        for message in stage.take(address):
            if isinstance(message, Ping):
                stage.pong(address, message.tid, node_id)


def replies(messages: list[Message]) -> list[Reply]:
    return [message for message in messages if isinstance(message, Reply)]


def one_reply(messages: list[Message]) -> Reply:
    (reply,) = replies(messages)
    return reply


def test_ping_is_answered_with_the_address_it_came_from() -> None:
    stage = Stage()
    reply = one_reply(stage.ping(ALICE))
    assert reply.sender == stage.core.node_id and reply.seen_ip == pack_ip(ALICE[0])
    assert reply.token == b"" and reply.nodes4 == b""


def test_find_names_the_closest_of_the_senders_family() -> None:
    stage = Stage(UNLIMITED)
    many = [(f"192.{number}.2.1", 4000) for number in range(10, 22)]
    befriend(stage, many, [id_of(each) for each in many])
    six = [(f"2a01:{number:x}::1", 4000) for number in range(10, 22)]
    befriend(stage, six, [id_of(each) for each in six])

    def nearest(addresses: list[Address]) -> list[Address]:
        number = int.from_bytes(KEY, "big")
        return sorted(addresses, key=lambda each: int.from_bytes(id_of(each), "big") ^ number)[:8]

    def named(source: Address, want: int | None) -> tuple[list[Address], list[Address]]:
        reply = one_reply(stage.ask(Find(tid=1, sender=id_of(source), target=KEY, want=want), source))
        assert len(reply.token) == 32
        return (
            [node.address for node in unpack_nodes(reply.nodes4, 4)],
            [node.address for node in unpack_nodes(reply.nodes6, 6)],
        )

    assert named(ALICE, None) == (nearest(many), [])
    assert named(SIX, None) == ([], nearest(six))
    assert named(ALICE, WANT_IPV6) == ([], nearest(six))
    assert named(SIX, WANT_IPV4 | WANT_IPV6) == (nearest(many), nearest(six))
    assert named(ALICE, 0) == ([], [])


def test_get_without_values_has_nodes_and_token_only() -> None:
    stage = Stage()
    reply = one_reply(stage.get(ALICE))
    assert len(reply.token) == 32 and reply.values == () and reply.fields is None


def test_get_returns_values_fields_and_filtered_values() -> None:
    stage = Stage()
    stage.put(ALICE, value(b"one", id=1), value(b"two", id=2, seq=7))
    assert {each.data for each in one_reply(stage.get(ALICE)).values} == {b"one", b"two"}
    assert [each.data for each in one_reply(stage.get(ALICE, where_id(2))).values] == [b"two"]
    fields = one_reply(stage.get(ALICE, Query(select=(1, 4)))).fields
    assert fields is not None and sorted(fields.rows) == [(1, 0), (2, 7)]
    assert one_reply(stage.get(ALICE, where_id(9, (1,)))).fields is None


def test_get_reply_ends_at_its_limits_and_the_rest_is_reachable_by_id() -> None:
    stage = Stage(reply_values=3)
    stage.put(ALICE, *[value(b"%d" % number, id=number) for number in range(1, 6)])
    assert len(one_reply(stage.get(ALICE)).values) == 3
    assert [each.id for each in one_reply(stage.get(ALICE, where_id(5))).values] == [5]
    stage = Stage(reply_value_bytes=20_000)
    stage.put(ALICE, *[value(b"%d" % number, id=number) for number in range(1, 6)])
    assert len(one_reply(stage.get(ALICE)).values) == 2
    stage = Stage(reply_value_bytes=1)
    stage.put(ALICE, value())
    assert len(one_reply(stage.get(ALICE)).values) == 1, "one value always goes"


@pytest.mark.parametrize("kind", [Get, Put, Listen])
def test_zero_key_is_an_error_before_the_token_is_looked_at(kind: type) -> None:
    stage = Stage()
    answers = stage.ask(kind(tid=9, sender=id_of(ALICE), key=ZERO, client=True), ALICE)
    assert error_codes(answers) == [203] and len(answers) == 1


@pytest.mark.parametrize("token", [b"", b"x", bytes(32), bytes(64)])
def test_wrong_token_is_refused(token: bytes) -> None:
    stage = Stage()
    stage.token(ALICE)
    mine = {"tid": 9, "sender": id_of(ALICE), "key": KEY, "token": token, "client": True}
    assert error_codes(stage.ask(Put(**mine), ALICE)) == [401]
    assert error_codes(stage.ask(Refresh(**mine, value_id=1), ALICE)) == [401]
    assert error_codes(stage.ask(Listen(**mine, socket_id=1), ALICE)) == [401]
    assert stage.core.counters.events["error 401 answered"] == 3


def test_token_counts_for_its_address_and_port_only() -> None:
    stage = Stage()
    token = stage.token(ALICE)
    for other in ((ALICE[0], ALICE[1] + 1), BOB, SIX):
        assert error_codes(stage.put(other, value(), token=token)) == [401]
    assert stage.stored() == []


def test_refresh_of_what_is_not_stored_is_not_found() -> None:
    """Also under a known key (S-8)."""
    stage = Stage()
    assert error_codes(stage.refresh(ALICE, 1)) == [404]
    stage.put(ALICE, value(id=1))
    assert error_codes(stage.refresh(ALICE, 2)) == [404]
    assert one_reply(stage.refresh(ALICE, 1)).value_id == 1


def test_refresh_starts_the_life_again() -> None:
    stage = Stage()
    stage.put(ALICE, value(id=1, type=0))
    for _ in range(4):
        stage.wait(400)
        assert one_reply(stage.refresh(ALICE, 1)).value_id == 1
    stage.wait(601)
    assert stage.stored() == []


def test_update_is_always_confirmed() -> None:
    stage = Stage()
    answers = stage.ask(
        Update(tid=7, sender=id_of(ALICE), socket_id=12345, refreshed=(1,), client=True), ALICE
    )
    assert one_reply(answers).tid == 7
    assert stage.core.counters.events["update for a closed socket"] == 1


def test_stored_values_come_before_the_confirmation_of_a_listen() -> None:
    stage = Stage()
    stage.put(ALICE, value(id=1), value(id=2))
    answers = stage.listen(BOB, query=where_id(2))
    assert updates(answers) == [([2], [], [])]
    assert isinstance(answers[-1], Reply)


def test_too_many_listeners_are_told_so() -> None:
    """Silence would make us look dead to whoever wants one listen too many."""
    stage = Stage(remote_listeners_per_source=2)
    assert replies(stage.listen(ALICE, 1)) and replies(stage.listen(ALICE, 2))
    (refusal,) = stage.listen(ALICE, 3)
    assert isinstance(refusal, ErrorReply) and refusal.code == 203
    assert replies(stage.listen(ALICE, 2)), "a known one may renew"
    assert stage.core.stats()["remote_listeners"] == 2


def test_far_from_the_key_a_put_is_answered_but_not_stored() -> None:
    """Eight good nodes, all closer to the key than we are (S-33)."""
    stage = Stage(UNLIMITED)
    far = InfoHash(bytes(byte ^ 0xFF for byte in stage.core.node_id))
    around = [(f"192.{number}.2.1", 4000) for number in range(10, 26)]
    ids = [InfoHash(far[:-1] + bytes([number])) for number in range(1, 17)]
    befriend(stage, around[:7], ids[:7])
    assert one_reply(stage.put(ALICE, value(id=1), key=far)).value_id == 1
    assert stage.stored(far) == [(1, 0)], "seven closer nodes are too few to refuse"
    befriend(stage, around, ids)
    assert one_reply(stage.put(ALICE, value(id=2), key=far)).value_id == 2
    assert stage.stored(far) == [(1, 0)]
    assert one_reply(stage.put(ALICE, value(id=3), key=stage.core.node_id)).value_id == 3
    assert stage.stored(stage.core.node_id) == [(3, 0)], "near ourselves we store"


@pytest.mark.parametrize("config", [CoreConfig(ipv6=False), CoreConfig(ipv4=False)])
def test_a_family_that_does_not_run_is_not_served(config: CoreConfig) -> None:
    stage = Stage(replace(config, exempt_loopback=False))
    served, other = (ALICE, SIX) if config.ipv4 else (SIX, ALICE)
    assert stage.ping(other) == []
    assert stage.dropped["family not running"] == 1
    assert len(stage.ping(served)) == 1
    find = Find(tid=1, sender=id_of(served), target=KEY, want=WANT_IPV4 | WANT_IPV6, client=True)
    assert len(stage.ask(find, served)) == 1


def test_both_families_share_one_store() -> None:
    stage = Stage()
    stage.put(SIX, value(b"six"))
    stage.prove(ALICE)
    assert [each.data for each in one_reply(stage.get(ALICE)).values] == [b"six"]
    stage.put(SIX, value(b"six again", seq=1))
    assert stage.stored() == [(1, 1)]


def test_clients_never_enter_the_table_nor_the_answers() -> None:
    stage = Stage(UNLIMITED)
    stage.receive(Ping(tid=1, sender=id_of(CAROL), client=True), CAROL)
    stage.wait(1)
    stage.confirm(CAROL, stage.take(CAROL))
    assert stage.core.stats()["nodes"][4] == 0
    assert one_reply(stage.ask(Find(tid=1, sender=id_of(BOB), target=id_of(CAROL)), BOB)).nodes4 == b""


def test_a_client_says_so_in_everything_it_sends() -> None:
    stage = Stage(CoreConfig(client_mode=True, exempt_loopback=False))
    stage.core.ping(BOB, stage.now)
    stage.pump()
    sent: list[Message] = [*stage.take(BOB), *stage.ping(ALICE), *stage.get(ALICE)]
    sent += stage.ask(Put(tid=3, sender=id_of(ALICE), key=KEY), ALICE)
    assert len(sent) >= 4 and all(message.client for message in sent)
    assert isinstance(sent[-1], ErrorReply)
