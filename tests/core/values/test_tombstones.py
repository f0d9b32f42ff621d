"""Revisions that are gone stay known for 30 days, in bounded memory."""

from random import Random

from dna_dht.core.config import CoreConfig, Limits
from dna_dht.core.context import CoreContext
from dna_dht.core.instant import Instant
from dna_dht.core.values.tombstones import Tombstones
from dna_dht.wire.infohash import InfoHash

DAY = 86_400.0
KEY, OTHER = InfoHash.of(b"key"), InfoHash.of(b"other")
OWNER = InfoHash.of(b"owner")


def make_ctx(**limits: int) -> CoreContext:
    config = CoreConfig(limits=Limits(**limits))
    return CoreContext(config, InfoHash.of(b"us"), Random(1), Instant(1000.0, 1.7e9))


def advance(ctx: CoreContext, seconds: float) -> None:
    ctx.now = Instant(ctx.now.mono + seconds, ctx.now.unix + seconds)
    ctx.timers.run_due(ctx.now.mono)


def test_highest_seq_is_remembered_per_key_id_and_owner() -> None:
    tombstones = Tombstones(make_ctx())
    assert tombstones.newest(KEY, 1, OWNER) == 0
    for seq in (3, 7, 5):
        tombstones.bury(KEY, 1, OWNER, seq)
    assert tombstones.newest(KEY, 1, OWNER) == 7
    assert tombstones.newest(OTHER, 1, OWNER) == 0
    assert tombstones.newest(KEY, 2, OWNER) == 0
    assert tombstones.newest(KEY, 1, InfoHash.of(b"somebody")) == 0


def test_revision_zero_needs_no_memory() -> None:
    tombstones = Tombstones(make_ctx())
    tombstones.bury(KEY, 1, OWNER, 0)
    assert len(tombstones) == 0


def test_thirty_days() -> None:
    ctx = make_ctx()
    tombstones = Tombstones(ctx)
    tombstones.bury(KEY, 1, OWNER, 7)
    advance(ctx, 30 * DAY - 1)
    assert tombstones.newest(KEY, 1, OWNER) == 7
    advance(ctx, 1)
    assert tombstones.newest(KEY, 1, OWNER) == 0
    tombstones.bury(KEY, 1, OWNER, 2)
    assert tombstones.newest(KEY, 1, OWNER) == 2


def test_bounded_and_the_oldest_makes_room() -> None:
    tombstones = Tombstones(make_ctx(tombstones=3))
    for value_id in (1, 2, 3, 1, 4):
        tombstones.bury(KEY, value_id, OWNER, 9)
        assert len(tombstones) <= 3
    assert [tombstones.newest(KEY, value_id, OWNER) for value_id in (1, 2, 3, 4)] == [9, 0, 9, 9]


def test_limit_zero_remembers_nothing() -> None:
    tombstones = Tombstones(make_ctx(tombstones=0))
    tombstones.bury(KEY, 1, OWNER, 9)
    assert tombstones.newest(KEY, 1, OWNER) == 0
