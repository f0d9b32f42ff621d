"""Answers cannot be aimed at a victim: one small datagram for each request of an unproved address."""

from random import Random

from dna_dht.core.config import Limits
from dna_dht.core.exchange.replies import HOLD
from dna_dht.wire import encode
from dna_dht.wire.address import Address
from dna_dht.wire.decode import decode
from dna_dht.wire.infohash import ZERO, InfoHash
from dna_dht.wire.messages import WANT_IPV4, WANT_IPV6, ErrorReply, Find, Get, Message, Ping, Reply
from dna_dht.wire.query import IDS, Query

from ..stage import ALICE, BOB, CAROL, KEY, Stage, id_of, value

SMALL = 700


def with_values(count: int = 3, **limits: int) -> Stage:
    """A node that holds some values, put by somebody else."""
    stage = Stage(**limits)
    stage.put(CAROL, *[value(b"%d" % number * 200, id=number) for number in range(1, count + 1)])
    return stage


def pings(messages: list[Message]) -> list[Ping]:
    return [message for message in messages if isinstance(message, Ping)]


def got(messages: list[Message]) -> list[int]:
    return [each.id for message in messages if isinstance(message, Reply) for each in message.values]


def test_a_small_answer_goes_at_once() -> None:
    stage = with_values()
    (reply,) = stage.get(ALICE, IDS)
    assert isinstance(reply, Reply) and reply.fields is not None and len(reply.fields.rows) == 3


def test_a_large_answer_waits_for_a_pong() -> None:
    stage = with_values()
    (ping,) = stage.get(ALICE)
    assert isinstance(ping, Ping)
    stage.wait(0.1)
    stage.pong(ALICE, ping.tid)
    assert got(stage.take(ALICE)) == [1, 2, 3]
    assert got(stage.get(ALICE)) == [1, 2, 3], "proved for a while: no further ping"


def test_a_pong_that_comes_late_releases_nothing() -> None:
    stage = with_values()
    (ping,) = pings(stage.get(ALICE))
    stage.wait(HOLD + 0.01)
    assert stage.dropped["reply: address not proved"] == 1
    stage.take(ALICE)
    stage.pong(ALICE, ping.tid)
    assert stage.take(ALICE) == []


def test_a_pong_from_elsewhere_releases_nothing() -> None:
    """Neither from another port, nor with another transaction id."""
    stage = with_values()
    (ping,) = pings(stage.get(ALICE))
    stage.pong((ALICE[0], ALICE[1] + 1), ping.tid)
    stage.pong(BOB, ping.tid)
    stage.pong(ALICE, ping.tid + 1)
    assert got([*stage.take(ALICE), *stage.take(BOB)]) == []


def test_transaction_ids_cannot_be_guessed_from_earlier_ones() -> None:
    """Else whoever is pinged himself could answer the ping that went to his victim."""
    stage = with_values()
    (mine,) = pings(stage.get(BOB))
    stage.get(ALICE)
    for step in range(-100, 101):
        stage.pong(ALICE, (mine.tid + step) % 2**32)
    assert got(stage.take(ALICE)) == []


def test_several_requests_are_held_and_answered_together() -> None:
    stage = with_values()
    first, second = stage.get(ALICE), stage.get(ALICE)
    assert len(pings(first)) == 1 and second == []
    stage.confirm(ALICE, first)
    assert got(stage.take(ALICE)) == [1, 2, 3, 1, 2, 3]


def test_one_address_cannot_take_the_places_of_all() -> None:
    stage = with_values()
    for _ in range(500):
        stage.get(ALICE)
    assert stage.dropped["reply: too many held"] == 500 - Limits().held_replies_per_address
    answers = stage.get(BOB)
    stage.confirm(BOB, answers)
    assert got(stage.take(BOB)) == [1, 2, 3]


def test_held_requests_are_bounded_and_their_places_return() -> None:
    stage = with_values(held_replies=20)
    for number in range(50):
        stage.get((f"198.51.{number}.1", 4000))
    assert stage.dropped["reply: too many held"] == 30
    stage.wait(HOLD + 0.01)
    assert stage.dropped["reply: address not proved"] == 20
    (ping,) = pings(stage.get(ALICE))
    stage.pong(ALICE, ping.tid)
    assert got(stage.take(ALICE)) == [1, 2, 3]


def test_what_is_held_is_small() -> None:
    """The request, not the answer: ten times 100 kB would be waiting here."""
    stage = with_values(count=14)
    for number in range(10):
        stage.get((f"198.51.{number}.1", 4000))
    assert sum(len(payload) for _, payload in stage.sent) < 10 * SMALL


def test_the_budget_of_an_unproved_source() -> None:
    stage = Stage(unproved_per_source=100)
    answered = sum(len(stage.ping((ALICE[0], 5000 + number))) for number in range(300))
    assert answered == 100
    stage.wait(1.01)
    assert len(stage.ping(ALICE)) == 1
    stage.prove(BOB)
    assert sum(len(stage.ping(BOB)) for _ in range(300)) == 300


def test_a_valid_token_proves_an_address_and_a_wrong_one_does_not() -> None:
    stage = with_values()
    stage.put(ALICE, value(id=9), token=bytes(32))
    assert pings(stage.get(ALICE))
    stage.put(BOB, value(id=9))
    assert 9 in got(stage.get(BOB))


def test_proof_ends_after_ten_minutes() -> None:
    stage = with_values()
    stage.prove(ALICE)
    stage.wait(599)
    assert got(stage.get(ALICE))
    stage.wait(2)
    assert pings(stage.get(ALICE)) and not got(stage.take(ALICE))


def test_an_honest_newcomer_loses_one_round_trip() -> None:
    """A get, its ping, its pong, the answer: nothing is sent twice."""
    stage = with_values()
    answers = stage.get(ALICE)
    stage.confirm(ALICE, answers)
    (reply,) = stage.take(ALICE)
    assert isinstance(reply, Reply) and len(reply.values) == 3
    stage.wait(5)
    assert got(stage.take(ALICE)) == []


def test_ten_thousand_spoofed_requests_reflect_at_most_elevenfold() -> None:
    """Gets and finds of every shape, with the addresses of victims: bytes out against bytes in, and never
    more than one small answer per request.
    """
    rng = Random(5)
    stage = with_values(count=16)
    around = [(f"192.{number}.2.1", 4000) for number in range(10, 60)]
    for address in [*around, *((f"2a01:{number:x}::1", 4000) for number in range(10, 60))]:
        stage.receive(Ping(tid=1, sender=id_of(address)), address)
        stage.core.ping(address, stage.now)
        stage.pump()
        stage.confirm(address, stage.take(address))
        stage.wait(0.05)
    stage.wait(30)
    for address in around:
        stage.confirm(address, stage.take(address))
    stage.wait(10)
    stage.sent.clear()
    victims: list[Address] = [(f"198.18.{number}.7", 4000 + number) for number in range(200)]
    victims += [(f"2a02:{number:x}::7", 4000) for number in range(1, 50)]
    bytes_in = bytes_out = 0
    largest = 0
    requests = 10_000
    for number in range(requests):
        victim = rng.choice(victims)
        sender = InfoHash(rng.randbytes(20))
        message: Message = rng.choice(
            (
                Get(tid=number, sender=sender, key=KEY),
                Get(tid=number, sender=sender, key=KEY, query=IDS),
                Get(tid=number, sender=sender, key=KEY, query=Query(select=(1, 2, 3, 4, 5))),
                Get(tid=number, sender=sender, key=InfoHash(rng.randbytes(20)), want=WANT_IPV4 | WANT_IPV6),
                Find(tid=number, sender=sender, target=KEY, want=WANT_IPV4 | WANT_IPV6),
                Find(tid=0, sender=sender, target=ZERO, want=WANT_IPV4 | WANT_IPV6),
                Get(tid=number, sender=sender),
                Ping(tid=0, sender=sender),
            )
        )
        datagram = encode.encode(message)[0]
        if isinstance(message, Find) and message.target == ZERO:  # without any target it is shorter still
            datagram = datagram.replace(b"\x82\xa2id", b"\x81\xa2id").replace(
                b"\xa6target\xc4\x14" + bytes(20), b""
            )
        before = len(stage.sent)
        stage.receive(datagram, victim)
        bytes_in += len(datagram)
        aimed = [payload for to, payload in stage.sent[before:] if to == victim]
        assert sum(isinstance(decode(payload), Reply | ErrorReply) for payload in aimed) <= 1
        largest = max(largest, *map(len, aimed), 0)
        stage.wait(0.002)
        bytes_out += sum(len(payload) for to, payload in stage.sent if to in set(victims))
        stage.sent.clear()
    assert largest <= SMALL
    assert bytes_out <= 11 * bytes_in
    assert bytes_out > bytes_in / 2, "the node did answer"


def test_one_victim_gets_at_most_a_hundred_answers_a_second() -> None:
    stage = with_values()
    for number in range(1000):
        stage.receive(Get(tid=number, sender=id_of(ALICE), key=KEY, query=IDS, client=True), ALICE)
        other = InfoHash.of(b"%d" % number)
        stage.receive(Get(tid=number, sender=other, key=KEY, client=True), (ALICE[0], 6000 + number))
    assert len([1 for to, _ in stage.sent if to[0] == ALICE[0]]) <= 100


def test_a_proved_address_gets_values_at_a_bounded_rate() -> None:
    """A thousand gets a second for a megabyte each would be a gigabyte a second."""
    stage = Stage(requests_per_source=-1)
    for number in range(16):
        stage.put(CAROL, value(bytes([number]) * 40_000, id=number + 1, owner=f"owner {number}"))
    stage.prove(ALICE)
    begun = stage.now.mono
    sent = 0
    for _ in range(40):
        for _ in range(10):
            stage.receive(Get(tid=stage.tid(), sender=id_of(ALICE), key=KEY, client=True), ALICE)
        stage.wait(0.05)
        sent += sum(len(payload) for to, payload in stage.sent if to == ALICE)
        stage.sent.clear()
    seconds = stage.now.mono - begun
    rate = Limits().value_bytes_per_source
    assert 0.8 * seconds * rate < sent < 1.1 * (seconds + 1.1) * rate
    assert stage.dropped["reply: too many bytes for one source"] > 0
    stage.prove(BOB)
    assert len(got(stage.get(BOB))) == 16, "others are not concerned"


def test_bytes_of_values_are_unlimited_if_so_configured() -> None:
    stage = with_values(value_bytes_per_source=-1)
    stage.prove(ALICE)
    for _ in range(100):
        assert got(stage.get(ALICE)) == [1, 2, 3]
    stage = with_values(value_bytes_per_source=1)
    stage.prove(ALICE)
    assert got(stage.get(ALICE)) == [1, 2, 3] and stage.get(ALICE) == []
    assert stage.dropped["reply: too many bytes for one source"] == 1


def test_what_is_remembered_of_readers_is_bounded() -> None:
    stage = Stage(rate_sources=8)
    stage.put(CAROL, value())
    for number in range(50):
        reader = (f"31.{number}.1.1", 4000)
        stage.prove(reader)
        assert got(stage.get(reader)) == [1]
    assert len(stage.core._replies._paid_until) <= 8
