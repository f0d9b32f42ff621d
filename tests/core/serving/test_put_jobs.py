"""Puts of others: what is stored, what is answered, in which order, and what a flood of bad ones costs."""

import pytest

from dna_dht.core.config import CoreConfig, Limits
from dna_dht.core.values.value_types import DNA_7_DAYS, DNA_30_DAYS, DNA_365_DAYS
from dna_dht.wire.encode import encode
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import ErrorReply, Message, Put, Reply
from dna_dht.wire.query import ANY
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack

from ..stage import ALICE, BOB, KEY, START, Stage, error_codes, forged, id_of, updates, value

DAY = 86_400


def answered(messages: list[Message]) -> list[int]:
    """Value ids of the put replies, in order."""
    return [message.value_id for message in messages if isinstance(message, Reply) and message.value_id]


def test_each_value_gets_its_own_answer() -> None:
    stage = Stage()
    assert answered(stage.put(ALICE, *[value(id=number) for number in (3, 1, 2)])) == [3, 1, 2]
    assert sorted(stage.stored()) == [(1, 0), (2, 0), (3, 0)]


def test_answers_leave_in_the_order_of_the_values() -> None:
    """Whatever order their signature checks and commits end in."""
    stage = Stage(CoreConfig(persist=True, exempt_loopback=False))
    stage.token(ALICE)
    stage.hold_checks = stage.hold_commits = True
    types = (DNA_365_DAYS, DNA_7_DAYS, DNA_30_DAYS)
    values = [value(b"%d" % number, id=number + 1, type=types[number]) for number in range(3)]
    assert answered(stage.put(ALICE, *values)) == []
    stage.check(1)
    assert answered(stage.take(ALICE)) == []
    stage.check(1)
    stage.check(0)
    assert [commit.value_id for commit in stage.commits] == [3, 1]
    stage.commit(0)
    assert answered(stage.take(ALICE)) == []
    stage.commit(0)
    assert answered(stage.take(ALICE)) == [1, 2, 3]


def test_nothing_is_answered_or_served_before_the_check() -> None:
    stage = Stage()
    stage.token(ALICE)
    stage.hold_checks = True
    assert stage.put(ALICE, value()) == [] and stage.stored() == []
    stage.check()
    assert answered(stage.take(ALICE)) == [1] and stage.stored() == [(1, 0)]


@pytest.mark.parametrize(
    "refused",
    [
        forged(id=7),
        Value(id=7, type=3, data=b"unsigned"),
        value(id=7, seq=1, owner="somebody else"),
        value(b"another content", id=7, seq=5),
        value(id=7, seq=4),
    ],
    ids=["bad signature", "unsigned", "other owner", "same seq", "lower seq"],
)
def test_what_is_refused_is_answered_as_if_stored(refused: Value) -> None:
    """Spec 01, 17 #16; the unsigned one over a signed one crashed the reference (S-1)."""
    stage = Stage()
    kept = value(b"kept", id=7, seq=5)
    stage.put(BOB, kept)
    stage.listen(BOB)
    assert answered(stage.put(ALICE, refused)) == [7]
    assert [each.packed for each in stage.core.storage.find(KEY, ANY)] == [pack(kept)]
    stage.wait(0.5)
    assert updates(stage.take(BOB)) == [], "a refused value is no news"


def test_an_edit_by_its_owner() -> None:
    stage = Stage()
    stage.put(ALICE, value(b"old", id=7, seq=5))
    assert answered(stage.put(BOB, value(b"new", id=7, seq=6))) == [7]
    assert stage.stored() == [(7, 6)]


def test_the_same_value_again_is_never_checked_again() -> None:
    """It starts its life again, costs no signature check, and listeners are told so."""
    stage = Stage()
    stage.put(ALICE, value(id=7))
    stage.listen(BOB)
    stage.wait(1)
    stage.take(BOB)
    stage.hold_checks = True
    assert answered(stage.put(ALICE, value(id=7))) == [7]
    assert stage.checks == []
    assert updates(stage.take(BOB)) == [([], [7], [])]


def test_two_edits_in_flight_end_with_the_higher() -> None:
    stage = Stage()
    stage.token(ALICE)
    stage.token(BOB)
    stage.hold_checks = True
    stage.put(ALICE, value(b"two", id=7, seq=2))
    stage.put(BOB, value(b"one", id=7, seq=1))
    stage.check(0)
    stage.check(0)
    assert stage.stored() == [(7, 2)]
    assert answered(stage.take(ALICE)) == [7] and answered(stage.take(BOB)) == [7]


def test_value_id_zero_is_an_error_and_ends_the_put() -> None:
    stage = Stage()
    answers = stage.put(ALICE, value(id=1), Value(id=0, type=3, data=b"x"), value(id=2))
    assert answered(answers) == [1] and error_codes(answers) == [203]
    assert isinstance(answers[-1], ErrorReply)
    assert stage.stored() == [(1, 0)]


@pytest.mark.parametrize(
    ("created", "lives"),
    [
        (None, 7 * DAY),
        (int(START.unix) - 2 * DAY, 5 * DAY),
        (int(START.unix) + 99 * DAY, 7 * DAY),
        (2**63 - 1, 7 * DAY),
        (int(START.unix) - 7 * DAY - 1, 0),
        (0, 0),
        (-1, 0),
        (-(2**63), 0),
    ],
)
def test_creation_time_is_clamped(created: int | None, lives: int) -> None:
    stage = Stage()
    assert answered(stage.put(ALICE, value(id=7), created=created)) == [7]
    ends = [stored.expires - START.mono for stored in stage.core.storage.find(KEY, ANY)]
    assert ends == ([lives] if lives else [])


def test_listeners_are_told_before_the_put_is_answered() -> None:
    stage = Stage()
    stage.listen(BOB)
    put = Put(tid=9, sender=id_of(ALICE), key=KEY, token=stage.token(ALICE), client=True)
    stage.sent.clear()
    for datagram in encode(put, [pack(value(id=7))]):
        stage.core.receive(datagram, ALICE, stage.now)
    stage.pump()
    receivers = list(dict.fromkeys(to for to, _ in stage.sent))
    assert receivers == [BOB, ALICE]


def test_an_honest_put_succeeds_while_bad_signatures_flood() -> None:
    """T12: 8 addresses put 256 bad values a second each; an honest put gets through within three attempts."""
    limits = Limits(verifications_per_second=400, verifications_per_source=50, requests_per_source=-1)
    stage = Stage(CoreConfig(exempt_loopback=False, limits=limits))
    flooders = [(f"192.0.{number}.9", 4000) for number in range(8)]
    for flooder in flooders:
        stage.token(flooder)
    stage.token(ALICE)
    bad = [forged(b"bad %d" % number, id=number + 1) for number in range(400)]
    good, sent = 0, 0
    for second in range(5):
        for turn in range(16):
            for index, flooder in enumerate(flooders):
                for number in range(16):
                    victim = bad[(second * 251 + turn * 17 + index * 53 + number) % len(bad)]
                    stage.put(flooder, victim, key=InfoHash.of(b"flooded %d" % (turn % 7)))
            stage.wait(1 / 16)
        attempts = 0
        one = value(b"honest", id=1000 + second)
        while attempts < 3 and not answered(stage.put(ALICE, one)):
            attempts += 1
            stage.wait(0.4)
        sent += 1
        good += (1000 + second, 0) in stage.stored()
    assert good == sent
    assert stage.dropped["verification: budget"] > 100, "the flood was one"
    checked = stage.core.counters.values["signature: invalid"]
    assert checked <= 8 * (2 * 50 + 5.5 * 50), "a source is not checked beyond its budget"
