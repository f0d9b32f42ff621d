"""Rows from disk are verified before anybody sees them, on demand first, in the background bounded."""

from collections.abc import Callable
from random import Random

from dna_dht.core.config import CoreConfig, Limits
from dna_dht.core.context import CoreContext
from dna_dht.core.effects import Event, RestoreRefused, VerifyRequested
from dna_dht.core.instant import Instant
from dna_dht.core.values.restoring import IN_BACKGROUND, MAX_DEMANDS, ON_DEMAND, Restoring, Row
from dna_dht.core.values.storage import Storage
from dna_dht.core.values.value_types import DNA_30_DAYS, DNA_365_DAYS
from dna_dht.core.values.verification import OWNER_LENGTH, Verification
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.query import ANY
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack

DAY = 86_400.0
NOW = Instant(1000.0, 1.7e9)


def key(number: int) -> InfoHash:
    return InfoHash.of(b"key %d" % number)


def value(number: int, *, owner: int = 1, signature: bytes = b"", type: int = DNA_30_DAYS) -> Value:
    return Value(
        id=number,
        type=type,
        data=b"value %d" % number,
        owner=bytes([owner]) * OWNER_LENGTH,
        signature=signature or b"%d is signed" % number,
    )


class Bench:
    """A store, rows, and a verifier that answers when it is told to."""

    def __init__(self, *, accept_unsigned: bool = False, **limits: int) -> None:
        config = CoreConfig(limits=Limits(**limits), accept_unsigned=accept_unsigned)
        self.ctx = CoreContext(config, InfoHash.of(b"us"), Random(1), NOW)
        self.storage = Storage(self.ctx)
        self.verification = Verification(self.ctx, signature_length=None)
        self.restoring = Restoring(self.ctx, self.storage, self.verification)
        self.jobs: list[VerifyRequested] = []
        self.events: list[Event] = []
        self.told: list[object] = []

    def add(self, number: int, one: Value, *, created: float | None = NOW.unix, **row: object) -> None:
        packed = pack(one)
        fields: dict[str, object] = {"expires": None, "permanent": False, **row}
        self.restoring.add(key(number), Row(packed, created, **fields))  # type: ignore[arg-type]

    def take(self) -> list[VerifyRequested]:
        self.events += self.ctx.outbox.take_events()
        self.jobs += [event for event in self.events if isinstance(event, VerifyRequested)]
        self.events = [event for event in self.events if not isinstance(event, VerifyRequested)]
        return self.jobs

    def refused(self) -> list[RestoreRefused]:
        return [event for event in self.events if isinstance(event, RestoreRefused)]

    def answer(self, job: VerifyRequested, valid: bool = True) -> None:
        self.jobs.remove(job)
        self.verification.verified(job.job, valid)

    def finish(self, judge: Callable[[VerifyRequested], bool] = lambda job: True) -> None:
        """Answer everything, with time passing, until nothing is left."""
        for _ in range(100_000):
            while self.take():
                self.answer(self.jobs[0], judge(self.jobs[0]))
            due = self.ctx.timers.next_wakeup()
            if due is None or not len(self.restoring):
                return
            self.ctx.now = Instant(due, NOW.unix + due - NOW.mono)
            self.ctx.timers.run_due(due)

    def data(self, number: int) -> list[int]:
        return [stored.id for stored in self.storage.find(key(number), ANY)]


def test_a_row_is_served_after_its_check_only() -> None:
    bench = Bench()
    bench.add(1, value(7))
    bench.restoring.go_on()
    (job,) = bench.take()
    assert bench.data(1) == [] and bench.restoring.concerns(key(1))
    assert job.signature == b"7 is signed"
    bench.answer(job)
    assert bench.data(1) == [7] and not bench.restoring.concerns(key(1)) and len(bench.restoring) == 0


def test_a_bad_signature_is_never_served() -> None:
    bench = Bench()
    bench.add(1, value(7))
    bench.add(1, value(8))
    bench.restoring.go_on()
    bench.finish(lambda job: job.signature != b"7 is signed")
    assert bench.data(1) == [8]
    assert bench.ctx.counters.values["restored: bad signature"] == 1
    assert bench.refused() == [RestoreRefused(key(1), 7, pack(value(7)))]


def test_unreadable_and_unsigned_rows_are_dropped() -> None:
    bench = Bench()
    bench.restoring.add(key(1), Row(b"\xff garbage", None, None, False))
    bench.add(1, Value(id=3, data=b"unsigned"))
    bench.add(1, value(4))
    bench.restoring.go_on()
    bench.finish()
    assert bench.data(1) == [4]
    counts = bench.ctx.counters.values
    assert counts["restored: unreadable"] == counts["restored: unsigned"] == 1
    assert [(each.key, each.value_id) for each in bench.refused()] == [(key(1), 3)]


def test_unsigned_rows_return_where_unsigned_values_are_stored() -> None:
    bench = Bench(accept_unsigned=True)
    bench.add(1, Value(id=3, data=b"unsigned"))
    bench.restoring.go_on()
    assert bench.data(1) == [3]


def test_key_of_unreadable_rows_only_is_forgotten() -> None:
    bench = Bench()
    bench.restoring.add(key(1), Row(b"\xff", None, None, False))
    bench.restoring.demand(key(1), lambda: bench.told.append("answered"))
    assert bench.told == ["answered"] and not bench.restoring.concerns(key(1))


def test_the_background_is_bounded() -> None:
    bench = Bench()
    for number in range(10 * IN_BACKGROUND):
        bench.add(number, value(number + 1))
    bench.restoring.go_on()
    assert len(bench.take()) == IN_BACKGROUND
    bench.answer(bench.jobs[0])
    assert len(bench.take()) == IN_BACKGROUND
    bench.finish()
    assert all(bench.data(number) == [number + 1] for number in range(10 * IN_BACKGROUND))


def test_whoever_asks_is_served_first() -> None:
    """A demand goes past the bound of the background, and is answered when its rows are through."""
    bench = Bench()
    for number in range(100):
        bench.add(number, value(number + 1))
    for number in range(2):
        bench.add(99, value(1000 + number))
    bench.restoring.go_on()
    background = list(bench.take())
    bench.restoring.demand(key(99), lambda: bench.told.append(bench.data(99)))
    asked = [job for job in bench.take() if job not in background]
    assert {job.signature for job in asked} == {b"%d is signed" % number for number in (100, 1000, 1001)}
    for job in asked[:2]:
        bench.answer(job)
    assert bench.told == [], "a key is answered when all its rows are through"
    bench.answer(asked[2], valid=False)
    assert bench.told == [[100, 1000]]


def test_a_demand_for_a_key_without_rows_is_answered_at_once() -> None:
    bench = Bench()
    assert bench.restoring.demand(key(5), lambda: bench.told.append("answered"))
    assert bench.told == ["answered"]


def test_demands_are_bounded() -> None:
    bench = Bench()
    bench.add(1, value(1))
    for number in range(MAX_DEMANDS):
        assert bench.restoring.demand(key(1), lambda number=number: bench.told.append(number))
    assert not bench.restoring.demand(key(1), lambda: bench.told.append("too many"))
    assert bench.ctx.counters.dropped["request: too many wait for the disk"] == 1
    bench.finish()
    assert bench.told == list(range(MAX_DEMANDS))
    assert bench.restoring.demand(key(1), lambda: bench.told.append("room again"))


def test_a_storm_of_demands_loses_no_row() -> None:
    """Strangers ask for everything right after a restart, more than the verifier takes: rows wait."""
    bench = Bench(verifications_pending=16)
    for number in range(MAX_DEMANDS):
        for row in range(2):
            bench.add(number, value(2 * number + row + 1, owner=number % 250))
    for number in range(MAX_DEMANDS):
        bench.restoring.demand(key(number), lambda number=number: bench.told.append(number))
    assert len(bench.take()) <= ON_DEMAND
    bench.finish()
    assert sorted(bench.told) == list(range(MAX_DEMANDS))
    assert all(len(bench.data(number)) == 2 for number in range(MAX_DEMANDS))


def test_many_copies_of_one_value_all_return() -> None:
    """A signature does not cover the key: one value can lie under thousands of keys. It is checked once; the
    others follow without recursion.
    """
    bench = Bench()
    for number in range(3000):
        bench.add(number, value(7))
    bench.restoring.go_on()
    bench.finish()
    assert all(bench.data(number) == [7] for number in range(3000))


def test_thousands_of_rows_that_fail_at_once() -> None:
    """A damaged database: signatures of a wrong length are refused without a check."""
    bench = Bench()
    bench.verification = Verification(bench.ctx, signature_length=4627)
    bench.restoring = Restoring(bench.ctx, bench.storage, bench.verification)
    for number in range(3000):
        bench.add(number, value(number + 1))
    bench.restoring.go_on()
    assert len(bench.restoring) == 0
    assert bench.ctx.counters.values["restored: bad signature"] == 3000


def test_a_key_is_not_answered_between_two_rows_that_fail_at_once() -> None:
    bench = Bench()
    bench.verification = Verification(bench.ctx, signature_length=len(b"8 is signed"))
    bench.restoring = Restoring(bench.ctx, bench.storage, bench.verification)
    bench.add(1, value(123_456))
    bench.add(1, value(8))
    bench.restoring.demand(key(1), lambda: bench.told.append(bench.data(1)))
    assert bench.told == []
    bench.answer(bench.take()[0])
    assert bench.told == [[8]]


def test_many_keys_and_many_values_at_one_key_all_return() -> None:
    """What was stored within the limits comes back, however many in the first minute."""
    bench = Bench()
    for number in range(1500):
        bench.add(number, value(number + 1, owner=number % 250))
    for number in range(600):
        bench.add(5000, value(10_000 + number, owner=number % 250))
    bench.restoring.go_on()
    bench.finish()
    assert all(bench.data(number) == [number + 1] for number in range(1500))
    assert len(bench.data(5000)) == 600


def test_times_come_back() -> None:
    """Creation and end as they were saved; what has ended meanwhile stays away."""
    bench = Bench()
    bench.add(1, value(1), created=NOW.unix - 3 * DAY, expires=NOW.unix + 5 * DAY)
    bench.add(2, value(2), created=NOW.unix - 3 * DAY)
    bench.add(3, value(3), created=None)
    bench.add(4, value(4), created=NOW.unix - 40 * DAY)
    bench.add(5, value(5), created=NOW.unix - DAY, expires=NOW.unix - 1)
    bench.add(6, value(6), created=NOW.unix + DAY)
    bench.add(7, value(7, type=DNA_365_DAYS), permanent=True)
    bench.restoring.go_on()
    bench.finish()
    ends = {
        number: round((bench.storage.find(key(number), ANY)[0].expires - NOW.mono) / DAY)
        for number in (1, 2, 3, 6)
    }
    assert ends == {1: 5, 2: 27, 3: 30, 6: 30}
    assert bench.data(4) == bench.data(5) == []
    assert bench.storage.find(key(7), ANY)[0].permanent
    assert bench.ctx.counters.values["restored: refused"] == 2


def test_a_newer_value_that_came_first_stays() -> None:
    """Somebody put seq 5 before the old row was through: the row does not win."""
    bench = Bench()
    old, new = value(1, type=DNA_365_DAYS), value(1, type=DNA_365_DAYS)
    new = Value(id=1, type=new.type, data=b"new", seq=5, owner=new.owner, signature=b"newer")
    bench.add(1, old)
    bench.storage.store(key(1), new, pack(new), created=NOW.mono, source="192.0.2.1")
    bench.restoring.go_on()
    bench.finish()
    assert [stored.seq for stored in bench.storage.find(key(1), ANY)] == [5]


def test_the_owner_is_told_of_each_restored_value() -> None:
    bench = Bench()
    bench.restoring.on_restored = bench.told.append
    bench.add(1, value(1))
    bench.add(2, value(2))
    bench.restoring.go_on()
    bench.finish(lambda job: job.signature == b"1 is signed")
    assert [stored.id for stored in bench.told] == [1]  # type: ignore[attr-defined]
