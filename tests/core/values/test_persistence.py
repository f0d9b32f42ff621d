"""No answer before the commit; a disk that refuses leaves puts unanswered; refreshes cost one write a day."""

from itertools import pairwise

from dna_dht.core.config import CoreConfig, Limits
from dna_dht.core.effects import PersistRequested
from dna_dht.core.values.persistence import MAX_WAITING, PROLONG_PERIOD
from dna_dht.core.values.value_types import DNA_7_DAYS, DNA_30_DAYS, DNA_365_DAYS
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import Message, Reply
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack

from ..stage import ALICE, BOB, KEY, START, Stage, value

HOUR = 3600.0
KEPT = DNA_365_DAYS


def server(*, persist: bool = True, **limits: int) -> Stage:
    """A node with a disk that answers when told to."""
    stage = Stage(CoreConfig(persist=persist, exempt_loopback=False, limits=Limits(**limits)))
    stage.token(ALICE)
    stage.token(BOB)
    stage.hold_commits = True
    return stage


def answered(messages: list[Message]) -> list[int]:
    return [message.value_id for message in messages if isinstance(message, Reply) and message.value_id]


def test_a_put_is_answered_after_its_commit() -> None:
    stage = server()
    one = value(id=7, seq=3, type=KEPT)
    assert answered(stage.put(ALICE, one, created=int(START.unix) - 100)) == []
    (commit,) = stage.commits
    assert commit == PersistRequested(
        ticket=commit.ticket,
        key=KEY,
        value_id=7,
        value_type=KEPT,
        seq=3,
        packed=pack(one),
        created=START.unix - 100,
        expires=START.unix - 100 + 365 * 24 * HOUR,
    )
    assert stage.stored() == [(7, 3)], "it is served meanwhile"
    stage.commit()
    assert answered(stage.take(ALICE)) == [7]


def test_only_types_of_30_and_365_days_go_to_the_disk() -> None:
    stage = server()
    for number, kind in enumerate((0, 3, DNA_7_DAYS)):
        assert answered(stage.put(ALICE, value(id=number + 1, type=kind))) == [number + 1]
    assert stage.commits == []
    assert answered(stage.put(ALICE, value(id=8, type=DNA_30_DAYS))) == [] and len(stage.commits) == 1


def test_a_node_without_a_disk_answers_at_once() -> None:
    stage = server(persist=False)
    assert answered(stage.put(ALICE, value(id=1, type=KEPT))) == [1] and stage.commits == []


def test_a_refused_disk_leaves_the_put_unanswered_and_the_next_one_waits_again() -> None:
    """T22: the same put again is not answered from memory; it waits for a commit of its own."""
    stage = server()
    stage.put(ALICE, value(id=7, type=KEPT))
    stage.commit(ok=False)
    assert answered(stage.take(ALICE)) == []
    assert stage.core.counters.events["disk refused"] == 1
    for _ in range(3):
        assert answered(stage.put(ALICE, value(id=7, type=KEPT))) == []
        stage.commit(ok=False)
    assert answered(stage.put(BOB, value(id=7, type=KEPT))) == []
    stage.commit()
    assert answered(stage.take(BOB)) == [7] and answered(stage.take(ALICE)) == []
    assert answered(stage.put(ALICE, value(id=7, type=KEPT))) == [7], "now it is safe"


def test_a_refresh_of_an_uncommitted_value_waits_too() -> None:
    stage = server()
    stage.put(ALICE, value(id=7, type=KEPT))
    stage.commit(ok=False)
    assert answered(stage.refresh(ALICE, 7)) == []
    stage.commit()
    assert answered(stage.take(ALICE)) == [7]


def test_identical_puts_share_one_commit() -> None:
    stage = server()
    stage.put(ALICE, value(id=7, type=KEPT))
    stage.put(BOB, value(id=7, type=KEPT))
    stage.put(ALICE, value(id=7, type=KEPT))
    assert len(stage.commits) == 1
    stage.commit()
    assert answered(stage.take(BOB)) == [7]


def test_an_edit_waits_for_its_own_commit() -> None:
    stage = server()
    stage.put(ALICE, value(id=7, seq=1, type=KEPT))
    stage.put(BOB, value(id=7, seq=2, type=KEPT))
    assert [commit.seq for commit in stage.commits] == [1, 2]
    stage.commit(0)
    assert answered(stage.take(ALICE)) == [7] and answered(stage.take(BOB)) == []
    stage.commit(0, ok=False)
    assert answered(stage.put(BOB, value(id=7, seq=2, type=KEPT))) == []
    stage.commit()
    assert answered(stage.take(BOB)) == [7]


def test_a_disk_that_is_behind_refuses_more_and_recovers() -> None:
    stage = server(pending_persists=4)
    for number in range(1, 11):
        stage.put(ALICE, value(id=number, type=KEPT))
    assert len(stage.commits) == 4 == stage.core.stats()["persists_pending"]
    assert stage.dropped["put: the disk is behind"] == 6
    while stage.commits:
        stage.commit()
    stage.take(ALICE)
    assert answered(stage.put(ALICE, value(id=9, type=KEPT))) == []
    stage.commit()
    assert answered(stage.take(ALICE)) == [9]


def test_who_waits_for_one_commit_is_bounded() -> None:
    stage = server()
    for _ in range(MAX_WAITING + 50):
        stage.put(ALICE, value(id=7, type=KEPT))
    stage.commit()
    assert len(answered(stage.take(ALICE))) == MAX_WAITING


def test_unknown_and_repeated_tickets_are_ignored() -> None:
    stage = server()
    stage.put(ALICE, value(id=7, type=KEPT))
    ticket = stage.commits[0].ticket
    stage.core.persisted(ticket + 1, True, stage.now)
    stage.commit()
    stage.core.persisted(ticket, True, stage.now)
    stage.pump()
    assert answered(stage.take(ALICE)) == [7]


def test_refreshes_are_written_once_a_day() -> None:
    stage = server()
    stage.hold_commits = False
    stage.put(ALICE, value(id=7, type=DNA_30_DAYS))
    written = [START.mono]
    for _ in range(100):
        stage.wait(HOUR / 1.4)
        before = len(stage.commits)
        assert answered(_fresh(stage)) == [7], "a refresh does not wait for the disk"
        if len(stage.commits) > before:
            written.append(stage.now.mono)
            last = stage.commits[-1]
            assert last.expires is not None
            assert round(last.expires - stage.now.unix) == 30 * 24 * HOUR
    assert len(written) == 1 + int(100 / 1.4 / 24)
    assert all(later - earlier >= PROLONG_PERIOD for earlier, later in pairwise(written))


def test_own_values_go_to_the_disk_as_well() -> None:
    stage = server()
    stage.core.put(KEY, value(id=7, type=KEPT), stage.now, permanent=True)
    stage.pump()
    assert [commit.expires for commit in stage.commits] == [None]


def test_nothing_is_remembered_of_values_that_are_gone() -> None:
    """Ids chosen by strangers must not pile up."""
    stage = server()
    for number in range(300):
        stage.put(ALICE, value(id=number + 1, type=KEPT), key=InfoHash.of(b"%d" % number))
        stage.commit(ok=number % 2 == 0)
        stage.core.cancel_put(InfoHash.of(b"%d" % number), number + 1, stage.now)
    assert stage.core.stats()["stored_values"] == 0
    persistence = stage.core._persistence
    assert not persistence._unsafe and not persistence._written and len(persistence) == 0


def test_a_value_that_comes_again_after_it_went_waits_for_its_own_commit() -> None:
    """The commit of its first life does not answer the put of the second."""
    stage = server()
    stage.put(ALICE, value(id=7, type=KEPT))
    stage.core.cancel_put(KEY, 7, stage.now)
    stage.put(BOB, value(id=7, type=KEPT))
    assert len(stage.commits) == 2
    stage.commit(0)
    assert answered(stage.take(BOB)) == []
    stage.commit(0)
    assert answered(stage.take(BOB)) == [7]


def test_unsigned_values_never_go_to_the_disk() -> None:
    stage = Stage(CoreConfig(persist=True, accept_unsigned=True, exempt_loopback=False))
    stage.hold_commits = True
    assert answered(stage.put(ALICE, Value(id=5, type=KEPT, data=b"x"))) == [5]
    assert stage.commits == []


def _fresh(stage: Stage) -> list[Message]:
    """Refresh with a token that is still valid."""
    stage._tokens.clear()
    return stage.refresh(ALICE, 7)
