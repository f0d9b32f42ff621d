"""Messages in parts: any order, copies, hostile ones; bounds in bytes, messages and time."""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dna_dht.core.config import CoreConfig, Limits
from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.reassembly import DROPPED, EARLY, LATE, Reassembly
from dna_dht.core.instant import Instant
from dna_dht.wire.address import Address
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import Carrier, Part, Put, Reply, Update
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack

SENDER, KEY = InfoHash.of(b"sender"), InfoHash.of(b"key")
ALICE: Address = ("192.0.2.1", 4000)
BOB: Address = ("198.51.100.1", 4000)
PART = 1280


def make_ctx(**limits: int) -> CoreContext:
    config = CoreConfig(limits=Limits(**limits))
    return CoreContext(config, InfoHash.of(b"us"), Random(1), Instant(1000.0, 1.7e9))


def advance(ctx: CoreContext, seconds: float) -> None:
    ctx.now = Instant(ctx.now.mono + seconds, ctx.now.unix + seconds)
    ctx.timers.run_due(ctx.now.mono)


def value(value_id: int, size: int = 3000) -> Value:
    return Value(id=value_id, data=bytes([value_id % 251]) * size)


def put(values: Sequence[Value], tid: int = 7) -> Put:
    sizes = tuple((index, len(pack(one))) for index, one in enumerate(values))
    return Put(tid=tid, sender=SENDER, key=KEY, token=b"t", sizes=sizes)


def reply(values: Sequence[Value], tid: int = 7) -> Reply:
    return Reply(tid=tid, sender=SENDER, sizes=put(values).sizes)


def parts(values: Sequence[Value], tid: int = 7, size: int = PART) -> list[Part]:
    return [
        Part(tid=tid, pieces=((index, offset, packed[offset : offset + size]),))
        for index, one in enumerate(values)
        for packed in [pack(one)]
        for offset in range(0, len(packed), size)
    ]


VALUES = [value(1), value(2)]


def test_parts_in_order() -> None:
    reassembly, message = Reassembly(make_ctx()), put(VALUES)
    assert reassembly.expect(message, ALICE) is None
    *most, last = parts(VALUES)
    assert [reassembly.add(part, ALICE) for part in most] == [None] * len(most)
    assert reassembly.holes(ALICE, 7) == (
        sum(len(p.pieces[0][2]) for p in most),
        sum(size for _, size in message.sizes),
    )
    whole = reassembly.add(last, ALICE)
    assert isinstance(whole, Put)
    assert whole.values == tuple(VALUES)
    assert whole.sizes == ()
    assert (whole.token, whole.key, whole.tid) == (b"t", KEY, 7)
    assert (len(reassembly), reassembly.arrived_bytes) == (0, 0)


@given(st.data())
def test_any_order_with_copies_and_the_header_anywhere(data: st.DataObject) -> None:
    """As long as the header comes before the last part it is complete exactly once."""
    values = [value(n + 1, data.draw(st.integers(0, 4000))) for n in range(data.draw(st.integers(1, 3)))]
    size = data.draw(st.sampled_from([500, 1280, 9000]))
    message = put(values)
    stream: list[Part | Put] = [message, *parts(values, size=size)]
    stream += data.draw(st.lists(st.sampled_from(stream[1:]), max_size=4))
    stream = list(data.draw(st.permutations(stream)))
    reassembly = Reassembly(make_ctx())
    results = [
        reassembly.expect(item, ALICE) if isinstance(item, Put) else reassembly.add(item, ALICE)
        for item in stream
    ]
    whole = [result for result in results if isinstance(result, Put)]
    assert [one.values for one in whole] == [tuple(values)]
    assert DROPPED not in results
    assert (len(reassembly), reassembly.arrived_bytes) == (0, 0)


@pytest.mark.parametrize("kind", [Put, Update, Reply])
def test_inline_values_come_first_and_parts_by_index(kind: type[Carrier]) -> None:
    inline = value(9, 10)
    sizes = ((2, len(pack(VALUES[1]))), (1, len(pack(VALUES[0]))))
    message = kind(tid=7, sender=SENDER, values=(inline,), sizes=sizes)
    reassembly = Reassembly(make_ctx())
    reassembly.expect(message, ALICE)
    result: object = None
    for part in parts([inline, *VALUES])[1:]:
        result = reassembly.add(part, ALICE)
    assert isinstance(result, kind)
    assert result.values == (inline, *VALUES)


def test_two_sources_with_one_tid_do_not_mix() -> None:
    reassembly = Reassembly(make_ctx())
    mine, others = [value(1)], [value(2)]
    reassembly.expect(put(mine), ALICE)
    reassembly.expect(put(others), BOB)
    results = []
    for a, b in zip(parts(mine), parts(others), strict=True):
        results += [reassembly.add(a, ALICE), reassembly.add(b, BOB)]
    assert [one.values for one in results if isinstance(one, Put)] == [tuple(mine), tuple(others)]


def test_parts_from_another_port_do_not_count() -> None:
    reassembly = Reassembly(make_ctx())
    reassembly.expect(put(VALUES), ALICE)
    stranger = (ALICE[0], 4001)
    first, *rest = [reassembly.add(part, stranger) for part in parts(VALUES)]
    assert first is EARLY
    assert set(rest) == {None}
    assert reassembly.holes(ALICE, 7) == (0, sum(size for _, size in put(VALUES).sizes))


def test_retransmission_fills_the_holes() -> None:
    reassembly = Reassembly(make_ctx())
    stream = parts(VALUES)
    reassembly.expect(put(VALUES), ALICE)
    for part in stream[:1] + stream[2:]:
        assert reassembly.add(part, ALICE) is None
    assert reassembly.expect(put(VALUES), ALICE) is None
    results = [reassembly.add(part, ALICE) for part in stream]
    assert isinstance(results[1], Put)
    assert results[2:] == [LATE] * (len(stream) - 2)


def test_the_same_message_again_is_assembled_again() -> None:
    """Its sender missed the answer."""
    reassembly = Reassembly(make_ctx())
    for _ in range(2):
        reassembly.expect(put(VALUES), ALICE)
        results = [reassembly.add(part, ALICE) for part in parts(VALUES)]
        assert isinstance(results[-1], Put)


def test_other_sizes_replace_a_header_only_while_nothing_arrived() -> None:
    ctx = make_ctx()
    reassembly, other = Reassembly(ctx), [value(3, 2000)]
    reassembly.expect(put(VALUES), ALICE)
    assert reassembly.expect(put(other), ALICE) is None
    first, last = parts(other)
    assert reassembly.add(first, ALICE) is None
    assert reassembly.expect(put(VALUES), ALICE) is None
    assert ctx.counters.dropped["header: differs from the first"] == 1
    whole = reassembly.add(last, ALICE)
    assert isinstance(whole, Put)
    assert whole.values == tuple(other)


def test_header_without_sizes_is_complete_at_once() -> None:
    message = Put(tid=7, sender=SENDER, values=(value(1, 1),))
    reassembly = Reassembly(make_ctx())
    assert reassembly.expect(message, ALICE) == message
    assert len(reassembly) == 0


def test_values_above_the_wire_limit_are_not_waited_for() -> None:
    reassembly = Reassembly(make_ctx())
    whole = reassembly.expect(Put(tid=7, sender=SENDER, sizes=((0, 65_569),)), ALICE)
    assert whole == Put(tid=7, sender=SENDER)
    assert reassembly.expect(Put(tid=8, sender=SENDER, sizes=((0, 65_568),)), ALICE) is None
    assert len(reassembly) == 1


@pytest.mark.parametrize("change", [-1, 1])
def test_wrong_announcement_never_completes(change: int) -> None:
    ctx = make_ctx()
    reassembly = Reassembly(ctx)
    message = Put(tid=7, sender=SENDER, sizes=((0, len(pack(VALUES[0])) + change),))
    reassembly.expect(message, ALICE)
    assert not any(isinstance(reassembly.add(part, ALICE), Put) for part in parts(VALUES[:1]))
    assert ctx.counters.dropped["part: does not fit"] == (1 if change < 0 else 0)


def test_a_value_of_size_zero_loses_the_message() -> None:
    ctx = make_ctx()
    reassembly = Reassembly(ctx)
    assert reassembly.expect(Put(tid=7, sender=SENDER, sizes=((0, 0),)), ALICE) is None
    assert len(reassembly) == 0
    assert ctx.counters.dropped["header: a value without bytes"] == 1
    assert reassembly.add(parts(VALUES)[0], ALICE) is DROPPED


@pytest.mark.parametrize(
    "piece",
    [(5, 0, b"x"), (0, 0, b""), (0, 3000, bytes(100)), (0, 2**40, b"x"), (0, -1, b"x"), (0, 1279, b"xx")],
)
def test_parts_that_do_not_fit_are_dropped_and_counted(piece: tuple[int, int, bytes]) -> None:
    ctx = make_ctx()
    reassembly = Reassembly(ctx)
    reassembly.expect(put(VALUES), ALICE)
    reassembly.add(parts(VALUES)[0], ALICE)
    before = reassembly.arrived_bytes
    assert reassembly.add(Part(tid=7, pieces=(piece,)), ALICE) is DROPPED
    assert sum(ctx.counters.dropped.values()) == 1
    assert reassembly.arrived_bytes == before


def test_part_without_pieces_opens_nothing() -> None:
    reassembly = Reassembly(make_ctx())
    assert reassembly.add(Part(tid=7), ALICE) is DROPPED
    assert reassembly.add(Part(tid=7, pieces=((0, 0, b""),)), ALICE) is DROPPED
    assert len(reassembly) == 0


def test_a_malformed_value_loses_the_message_and_the_next_one_works() -> None:
    ctx = make_ctx()
    reassembly = Reassembly(ctx)
    reassembly.expect(Put(tid=7, sender=SENDER, sizes=((0, 20), (1, 20))), ALICE)
    assert reassembly.add(Part(tid=7, pieces=((0, 0, b"\xc1" * 20), (1, 0, b"\xc1" * 20))), ALICE) is None
    assert ctx.counters.dropped["value: does not decode"] == 1
    assert (len(reassembly), reassembly.arrived_bytes) == (0, 0)
    reassembly.expect(put(VALUES), ALICE)
    assert isinstance([reassembly.add(part, ALICE) for part in parts(VALUES)][-1], Put)


def test_three_seconds_of_silence() -> None:
    ctx = make_ctx()
    reassembly, stream = Reassembly(ctx), parts(VALUES)
    reassembly.expect(put(VALUES), ALICE)
    advance(ctx, 2.9)
    assert reassembly.add(stream[0], ALICE) is None
    assert reassembly.last_progress(ALICE, 7) == 1002.9
    advance(ctx, 2.9)
    assert len(reassembly) == 1
    reassembly.add(stream[0], ALICE)  # a copy is no progress
    advance(ctx, 0.1)
    assert (len(reassembly), reassembly.arrived_bytes) == (0, 0)
    assert reassembly.last_progress(ALICE, 7) is None
    assert reassembly.holes(ALICE, 7) is None
    assert ctx.counters.dropped["message: parts missing"] == 1
    assert ctx.timers.next_wakeup() is None


def test_ten_seconds_in_all() -> None:
    ctx = make_ctx()
    values = [value(1, 12_000)]
    reassembly, stream = Reassembly(ctx), parts(values)
    reassembly.expect(put(values), ALICE)
    for part in stream[:3]:
        advance(ctx, 2.5)
        assert reassembly.add(part, ALICE) is None
    advance(ctx, 2.5)
    assert reassembly.add(stream[3], ALICE) is EARLY
    assert reassembly.holes(ALICE, 7) is None


def test_one_timer_for_all_states() -> None:
    ctx = make_ctx()
    reassembly = Reassembly(ctx)
    for tid in range(1, 60):
        reassembly.expect(put(VALUES, tid), ALICE)
        advance(ctx, 0.01)
    assert len(ctx.timers) == 1
    while (wakeup := ctx.timers.next_wakeup()) is not None:
        advance(ctx, wakeup - ctx.now.mono)
    assert len(reassembly) == 0


def test_early_parts_wait_at_most_three_seconds() -> None:
    ctx = make_ctx()
    reassembly, stream = Reassembly(ctx), parts(VALUES)
    assert reassembly.add(stream[1], ALICE) is EARLY
    assert reassembly.add(stream[0], ALICE) is None
    assert reassembly.has_early(ALICE, 7)
    assert not reassembly.has_early(ALICE, 8)
    advance(ctx, 3.0)
    assert (len(reassembly), reassembly.arrived_bytes) == (0, 0)


def test_early_parts_at_the_bound_of_98_and_one_past_it() -> None:
    reassembly = Reassembly(make_ctx())
    results = [reassembly.add(Part(tid=7, pieces=((0, n, b"x"),)), ALICE) for n in range(99)]
    assert results == [EARLY] + [None] * 97 + [DROPPED]
    assert reassembly.arrived_bytes == 98


def test_early_bytes_at_the_bound_and_one_past_it() -> None:
    reassembly = Reassembly(make_ctx())
    assert reassembly.add(Part(tid=7, pieces=((0, 0, bytes(60_000)),)), ALICE) is EARLY
    assert reassembly.add(Part(tid=7, pieces=((1, 0, bytes(62_912)),)), ALICE) is None
    assert reassembly.add(Part(tid=7, pieces=((2, 0, b"x"),)), ALICE) is DROPPED
    assert reassembly.arrived_bytes == 122_912


def test_early_parts_that_do_not_fit_their_header_are_let_go() -> None:
    ctx = make_ctx()
    reassembly = Reassembly(ctx)
    reassembly.add(Part(tid=7, pieces=((0, 60_000, bytes(100)), (9, 0, b"x"))), ALICE)
    assert reassembly.expect(put(VALUES), ALICE) is None
    assert reassembly.arrived_bytes == 0
    assert isinstance([reassembly.add(part, ALICE) for part in parts(VALUES)][-1], Put)


def test_header_of_a_reply_takes_over_early_parts() -> None:
    reassembly, stream = Reassembly(make_ctx(reassembly_states_per_source=1)), parts(VALUES)
    for part in stream[:-1]:
        reassembly.add(part, ALICE)
    reassembly.expect(reply(VALUES), ALICE)
    assert reassembly.expect(put(VALUES, tid=8), ALICE) is None  # the reply does not count as a request
    assert reassembly.holes(ALICE, 8) is not None
    assert isinstance(reassembly.add(stream[-1], ALICE), Reply)


def test_forgotten_messages_stay_forgotten() -> None:
    reassembly = Reassembly(make_ctx())
    reassembly.forget(ALICE, 7)
    reassembly.expect(reply(VALUES), ALICE)
    reassembly.forget(ALICE, 7)
    assert {reassembly.add(part, ALICE) for part in parts(VALUES)} == {LATE}
    assert len(reassembly) == 0


def test_closed_keys_are_remembered_for_three_seconds() -> None:
    ctx = make_ctx()
    reassembly = Reassembly(ctx)
    reassembly.expect(reply(VALUES), ALICE)
    reassembly.forget(ALICE, 7)
    advance(ctx, 3.0)
    assert reassembly.add(parts(VALUES)[0], ALICE) is EARLY


def announcing(kind: type[Carrier], total: int, tid: int = 7) -> Carrier:
    sizes, index = [], 0
    while total:
        sizes.append((index, min(total, 65_536)))
        total -= sizes[-1][1]
        index += 1
    return kind(tid=tid, sender=SENDER, sizes=tuple(sizes))


@pytest.mark.parametrize(
    ("kind", "bound"), [(Put, 256 * 1024), (Update, 256 * 1024), (Reply, 8 * 1024 * 1024)]
)
def test_announced_bytes_at_the_bound_and_one_past_it(kind: type[Carrier], bound: int) -> None:
    ctx = make_ctx()
    reassembly = Reassembly(ctx)
    reassembly.expect(announcing(kind, bound), ALICE)
    assert len(reassembly) == 1
    reassembly.expect(announcing(kind, bound + 1, tid=8), ALICE)
    assert len(reassembly) == 1
    assert ctx.counters.dropped["header: announces too much"] == 1
    assert reassembly.add(Part(tid=8, pieces=((0, 0, b"x"),)), ALICE) is DROPPED


def test_requests_per_source_at_the_bound_and_one_past_it() -> None:
    ctx = make_ctx()
    reassembly = Reassembly(ctx)
    for tid in range(1, 66):
        reassembly.expect(put(VALUES, tid), (ALICE[0], tid))
    assert len(reassembly) == 64
    assert ctx.counters.dropped["header: too many unfinished messages"] == 1
    reassembly.expect(put(VALUES, 1), BOB)
    reassembly.expect(reply(VALUES, 100), ALICE)
    assert len(reassembly) == 66


def test_arrived_bytes_per_source_at_the_bound_and_one_past_it() -> None:
    ctx = make_ctx(reassembly_bytes_per_source=2560)
    reassembly = Reassembly(ctx)
    reassembly.expect(put(VALUES, 1), ALICE)
    reassembly.expect(put(VALUES, 2), ALICE)
    assert reassembly.add(parts(VALUES, 1)[0], ALICE) is None
    assert reassembly.add(parts(VALUES, 2)[0], ALICE) is None
    assert reassembly.arrived_bytes == 2560
    assert reassembly.add(Part(tid=1, pieces=((0, 1280, b"x"),)), ALICE) is None  # the newest had to go
    assert reassembly.holes(ALICE, 1) is not None
    assert reassembly.holes(ALICE, 2) is None
    assert reassembly.add(parts(VALUES, 2)[1], ALICE) is DROPPED


def test_loopback_is_exempt_from_the_bounds_of_a_source_only() -> None:
    reassembly, here = Reassembly(make_ctx(reassembly_states=100)), ("127.0.0.1", 4000)
    for tid in range(1, 200):
        reassembly.expect(put(VALUES, tid), here)
    assert len(reassembly) == 100


def test_overflow_refuses_the_newest_of_the_largest_source() -> None:
    """1,000 hosts announce and send nothing; an honest put still completes."""
    ctx = make_ctx(reassembly_states=64)
    reassembly = Reassembly(ctx)
    reassembly.expect(put(VALUES), ALICE)
    for part in parts(VALUES)[:2]:
        reassembly.add(part, ALICE)
    for number in range(1000):
        reassembly.expect(put(VALUES), (f"10.0.{number // 250}.{number % 250}", 1))
        assert len(reassembly) <= 64
    results = [reassembly.add(part, ALICE) for part in parts(VALUES)[2:]]
    assert isinstance(results[-1], Put)


def test_a_new_source_displaces_the_largest() -> None:
    reassembly = Reassembly(make_ctx(reassembly_states=16))
    for tid in range(1, 20):
        reassembly.expect(put(VALUES, tid), ALICE)
    assert len(reassembly) == 16
    reassembly.expect(put(VALUES, 1), BOB)
    assert reassembly.holes(BOB, 1) is not None
    assert reassembly.holes(ALICE, 16) is None
    assert reassembly.holes(ALICE, 1) is not None


def test_overflow_of_bytes_frees_those_who_hold_most() -> None:
    ctx = make_ctx(reassembly_bytes=16_000)
    reassembly = Reassembly(ctx)
    large = [value(1, 20_000)]
    reassembly.expect(put(VALUES), BOB)
    reassembly.add(parts(VALUES)[0], BOB)
    reassembly.expect(put(large), ALICE)
    results = [reassembly.add(part, ALICE) for part in parts(large)]
    assert DROPPED in results
    assert reassembly.arrived_bytes == 1280
    assert isinstance([reassembly.add(part, BOB) for part in parts(VALUES)[1:]][-1], Put)


def test_tiny_parts_are_limited() -> None:
    """A part costs more memory than one byte."""
    ctx = make_ctx()
    reassembly = Reassembly(ctx)
    reassembly.expect(Put(tid=7, sender=SENDER, sizes=((0, 65_536),)), ALICE)
    taken = sum(
        reassembly.add(Part(tid=7, pieces=((0, offset, b"x"),)), ALICE) is None for offset in range(5000)
    )
    assert taken == 65_536 // 128 + 1 + 64
    assert ctx.counters.dropped["part: too many"] == 5000 - taken


class Machine(RuleBasedStateMachine):
    """Anything from three hosts: bounds and accounts hold after every call."""

    def __init__(self) -> None:
        super().__init__()
        self.ctx = make_ctx(
            reassembly_states=6,
            reassembly_states_per_source=3,
            reassembly_bytes=9000,
            reassembly_bytes_per_source=5000,
            reassembly_request_bytes=7000,
        )
        self.reassembly = Reassembly(self.ctx)

    sources = st.sampled_from([("192.0.2.1", 1), ("192.0.2.1", 2), ("192.0.2.2", 1), ("127.0.0.1", 1)])
    tids = st.integers(1, 3)

    @rule(
        source=sources,
        tid=tids,
        kind=st.sampled_from([Put, Update, Reply]),
        sizes=st.lists(st.sampled_from([0, 20, 1500, 3000, 4000, 70_000]), max_size=3),
    )
    def header(self, source: Address, tid: int, kind: type[Carrier], sizes: list[int]) -> None:
        self.reassembly.expect(kind(tid=tid, sender=SENDER, sizes=tuple(enumerate(sizes))), source)

    @rule(
        source=sources,
        tid=tids,
        pieces=st.lists(
            st.tuples(
                st.integers(0, 3), st.sampled_from([0, 10, 1000, 1280, 2560]), st.sampled_from([0, 10, 1280])
            ),
            max_size=3,
        ),
    )
    def part(self, source: Address, tid: int, pieces: list[tuple[int, int, int]]) -> None:
        offered = tuple((index, offset, bytes(length)) for index, offset, length in pieces)
        self.reassembly.add(Part(tid=tid, pieces=offered), source)

    @rule(source=sources, tid=tids)
    def forget(self, source: Address, tid: int) -> None:
        self.reassembly.forget(source, tid)

    @rule(seconds=st.sampled_from([0.1, 1.0, 3.0]))
    def wait(self, seconds: float) -> None:
        advance(self.ctx, seconds)

    @invariant()
    def bounded(self) -> None:
        assert len(self.reassembly) <= 6
        assert 0 <= self.reassembly.arrived_bytes <= 9000
        held = [
            self.reassembly.holes((host, port), tid)
            for host, port in [("192.0.2.1", 1), ("192.0.2.1", 2), ("192.0.2.2", 1), ("127.0.0.1", 1)]
            for tid in (1, 2, 3)
        ]
        assert sum(one[0] for one in held if one) <= self.reassembly.arrived_bytes

    def teardown(self) -> None:
        for _ in range(5):
            advance(self.ctx, 3.0)
        assert len(self.reassembly) == 0
        assert self.reassembly.arrived_bytes == 0
        assert self.ctx.timers.next_wakeup() is None


TestMachine = Machine.TestCase
