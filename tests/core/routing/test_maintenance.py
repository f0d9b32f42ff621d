"""Who is asked, when: every trigger, every limit, and the traffic of a quiet network."""

from collections.abc import Sequence
from itertools import pairwise
from math import inf
from random import Random

import pytest

from dna_dht.core.config import CoreConfig
from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.remote_node import RemoteNode
from dna_dht.core.instant import Instant
from dna_dht.core.routing.bucket import Bucket
from dna_dht.core.routing.maintenance import Maintenance, SendFind, SendPing, StartLookup, Work
from dna_dht.core.routing.node_cache import NodeCache
from dna_dht.core.routing.routing_table import HEARD_OF, REPLIED, SENT, RoutingTable
from dna_dht.wire.address import Family
from dna_dht.wire.infohash import LENGTH, InfoHash, common_bits

START = 1000.0
OWN = InfoHash(bytes(LENGTH - 1) + b"\x01")


class Bench:
    """Tables with their maintenance, on a clock of our own."""

    def __init__(self, *families: Family, seed: int = 1, client_mode: bool = False) -> None:
        config = CoreConfig(client_mode=client_mode)
        self.ctx = CoreContext(config, OWN, Random(seed), Instant(START, 0.0))
        self.tables = {family: RoutingTable(self.ctx, family) for family in families or (4,)}
        self.caches = [NodeCache(self.ctx, family) for family in self.tables]
        self.maintenance = Maintenance(self.ctx, list(self.tables.values()), self.caches)

    @property
    def now(self) -> float:
        return self.ctx.now.mono

    @property
    def table(self) -> RoutingTable:
        return next(iter(self.tables.values()))

    def wait(self, seconds: float) -> None:
        self.ctx.now = Instant(self.now + seconds, 0.0)

    def until_due(self) -> list[Work]:
        self.ctx.now = Instant(max(self.now, self.maintenance.next_due), 0.0)
        return self.maintenance.run()

    def meet(self, node: RemoteNode, confirm: int) -> Sequence[Work]:
        if confirm == REPLIED:
            node.replied(self.now)
        elif confirm == SENT:
            node.heard(self.now)
        table = self.tables[node.family]
        return self.maintenance.on_seen(table, node, table.on_node(node, confirm), confirm)

    def answer(self, work: Sequence[Work]) -> None:
        """Everybody asked answers at once."""
        for item in work:
            if isinstance(item, SendFind | SendPing):
                self.meet(item.node, REPLIED)

    def run_for(self, seconds: float) -> list[Work]:
        """Run whatever is due for so long; all answer at once."""
        done: list[Work] = []
        end = self.now + seconds
        while self.maintenance.next_due <= end:
            work = self.until_due()
            self.answer(work)
            done += work
        self.ctx.now = Instant(end, 0.0)
        return done


def make_node(first_byte: int, rest: int = 0, host: str = "127.0.0.1") -> RemoteNode:
    return RemoteNode(InfoHash(bytes([first_byte]) + rest.to_bytes(LENGTH - 1, "big")), (host, 4000))


def lookups(work: Sequence[Work]) -> list[InfoHash]:
    return [item.target for item in work if isinstance(item, StartLookup)]


def pings(work: Sequence[Work]) -> list[RemoteNode]:
    return [item.node for item in work if isinstance(item, SendPing)]


def finds(work: Sequence[Work]) -> list[SendFind]:
    return [item for item in work if isinstance(item, SendFind)]


# -- joining


def test_the_first_good_node_starts_three_lookups() -> None:
    bench = Bench()

    targets = lookups(bench.meet(make_node(0x80), REPLIED))

    assert targets[0] == OWN and len(set(targets)) == 3
    assert lookups(bench.meet(make_node(0x81), REPLIED)) == []


def test_a_node_that_only_spoke_starts_no_lookup() -> None:
    bench = Bench()
    node = make_node(0x80)

    assert lookups(bench.meet(node, SENT)) == []
    assert len(lookups(bench.meet(node, REPLIED))) == 3


def test_each_family_joins_for_itself() -> None:
    bench = Bench(4, 6)
    bench.meet(make_node(0x80), REPLIED)

    work = bench.meet(make_node(0x80, host="::1"), REPLIED)

    assert [item.family for item in work if isinstance(item, StartLookup)] == [6, 6, 6]


def test_after_all_nodes_were_lost_the_first_answer_joins_again() -> None:
    bench = Bench()
    node = make_node(0x80)
    bench.meet(node, REPLIED)
    node.timed_out()
    bench.until_due()

    assert len(lookups(bench.meet(node, REPLIED))) == 3


def test_after_a_network_change_everything_is_checked_at_once() -> None:
    bench = Bench()
    node = make_node(0x80)
    bench.meet(node, REPLIED)
    bench.run_for(50)
    bench.table.reset()
    bench.maintenance.network_changed(4)

    assert bench.maintenance.next_due == bench.now
    assert [item.node for item in finds(bench.maintenance.run())] == [node]
    assert len(lookups(bench.meet(node, REPLIED))) == 3


def test_growth_of_a_quiet_neighbourhood_starts_a_lookup_of_our_own_id() -> None:
    bench = Bench()
    bench.meet(make_node(0x80), REPLIED)
    bench.wait(300)
    assert lookups(bench.meet(make_node(0x01), SENT)) == []
    bench.wait(300.1)

    assert lookups(bench.meet(make_node(0x02), SENT)) == [OWN]
    assert lookups(bench.meet(make_node(0x03), SENT)) == []


# -- newcomers


def test_a_newcomer_that_spoke_is_pinged_at_once() -> None:
    bench = Bench()
    node = make_node(0x80)

    assert pings(bench.meet(node, SENT)) == [node]
    assert pings(bench.meet(node, SENT)) == []


def test_a_newcomer_that_answered_or_is_being_asked_is_not_pinged() -> None:
    bench = Bench()
    busy = make_node(0x81)
    busy.pending = 1

    assert pings(bench.meet(make_node(0x80), REPLIED)) == []
    assert pings(bench.meet(busy, SENT)) == []


def test_a_node_heard_of_is_pinged_a_little_later_unless_a_lookup_asked_it() -> None:
    bench = Bench()
    silent, asked, answered = make_node(0x80), make_node(0x81), make_node(0x82)
    for node in (silent, asked, answered):
        assert bench.meet(node, HEARD_OF) == []
    asked.pending = 1
    answered.replied(bench.now)

    assert bench.maintenance.next_due == pytest.approx(bench.now + 0.2)
    assert pings(bench.until_due()) == [silent]
    assert bench.maintenance.next_due > bench.now + 1


def test_a_newcomer_without_a_place_is_not_pinged() -> None:
    bench = Bench()
    for i in range(8):
        bench.meet(make_node(0x80, i), REPLIED)
    bench.meet(make_node(0x01), REPLIED)

    assert pings(bench.meet(make_node(0x90), SENT)) == []


def test_newcomers_are_pinged_at_no_more_than_ten_a_second() -> None:
    bench = Bench()
    places = [(first, i) for first in (0x80, 0x40, 0x20, 0x01) for i in range(8)]
    for first, i in places:
        bench.meet(make_node(first, i), REPLIED)
    for node in bench.table:
        node.timed_out()
    bench.table.expire()
    pinged: list[tuple[float, RemoteNode]] = []
    for first, i in places:
        confirm = SENT if i % 2 else HEARD_OF
        pinged += ((bench.now, ping) for ping in pings(bench.meet(make_node(first, 100 + i), confirm)))
    assert len(pinged) == 10 and len(bench.table) == 32
    while bench.maintenance.next_due < START + 2.5:
        work = bench.until_due()
        pinged += ((bench.now, ping) for ping in pings(work))
        for ping in pings(work):
            ping.pending = 1

    times = [time for time, _ in pinged]
    assert len({node for _, node in pinged}) == len(times) == 32
    assert all(later - earlier > 0.99 for earlier, later in zip(times, times[20:], strict=False))


def test_a_dubious_node_that_blocks_a_place_is_pinged_once() -> None:
    bench = Bench()
    for i in range(8):
        bench.meet(make_node(0x80, i), REPLIED)
    bench.meet(make_node(0x01), REPLIED)
    blocking = next(node for node in bench.table if node.id[0] == 0x80)
    blocking.last_reply = -inf

    assert pings(bench.meet(make_node(0x90), SENT)) == [blocking]
    blocking.pending = 1
    assert pings(bench.meet(make_node(0x91), SENT)) == []


# -- regular runs


def test_the_first_run_comes_three_to_five_seconds_after_start() -> None:
    dues = [Bench(seed=seed).maintenance.next_due - START for seed in range(200)]

    assert 3 <= min(dues) < 3.2 and 4.8 < max(dues) <= 5


def test_an_empty_table_asks_nobody() -> None:
    bench = Bench()

    assert bench.run_for(3600) == []


def bucket_with(bench: Bench, first_byte: int) -> Bucket:
    return bench.table.bucket_of(first_byte << 152)


def fill_two_buckets(bench: Bench) -> None:
    for i in range(8):
        bench.meet(make_node(0x80, i), REPLIED)
        bench.meet(make_node(0x01, i), REPLIED)
    for bucket in bench.table.buckets():
        bucket.asked = bench.now


def test_a_bucket_without_answers_for_ten_minutes_is_asked_for_a_random_id_of_it() -> None:
    bench = Bench()
    fill_two_buckets(bench)
    bench.wait(600)
    for node in bench.table:
        node.replied(bench.now)
    assert finds(bench.maintenance.run()) == []
    bucket_with(bench, 0x01).time = bench.now

    asked = finds(bench.until_due())

    assert [common_bits(find.target, b"\x80" + bytes(19)) >= 1 for find in asked] == [True]
    assert bucket_with(bench, 0x80).covers(int.from_bytes(asked[0].target, "big"))


def settled() -> Bench:
    """Two full buckets, everybody just answered, nothing to do but what a test changes; a run is due."""
    bench = Bench()
    fill_two_buckets(bench)
    bench.wait(630)
    for node in bench.table:
        node.replied(bench.now)
    for bucket in bench.table.buckets():
        bucket.time = bucket.asked = bench.now
    return bench


def test_a_settled_table_needs_nothing() -> None:
    assert settled().maintenance.run() == []


def test_mostly_a_node_of_the_bucket_itself_is_asked() -> None:
    own = 0
    for seed in range(400):
        bench = Bench(seed=seed)
        fill_two_buckets(bench)
        bench.wait(630)
        for node in bench.table:
            node.replied(bench.now)
        bucket_with(bench, 0x01).time = bench.now
        (find,) = finds(bench.maintenance.run())
        own += find.node.id[0] == 0x80

    assert 400 * 0.82 < own < 400 * 0.93


def test_a_silent_bucket_is_asked_ever_less_often() -> None:
    bench = Bench()
    bench.meet(make_node(0x80), REPLIED)
    times = []
    while bench.now < START + 7200:
        for item in bench.until_due():
            item_node = item.node if isinstance(item, SendFind | SendPing) else None
            if item_node is not None:
                item_node.heard(bench.now)
            if isinstance(item, SendFind) and bench.now > START + 600:
                times.append(bench.now)
    gaps = [later - earlier for earlier, later in pairwise(times)]

    assert min(gaps) >= 60
    assert all(gap >= 600 for gap in gaps[5:]) and len(gaps) > 8


def test_after_a_total_loss_the_expired_nodes_are_tried_a_few_at_a_time() -> None:
    bench = Bench()
    fill_two_buckets(bench)
    for node in bench.table:
        node.timed_out()
    tried: set[RemoteNode] = set()
    while bench.now < START + 600:
        work = pings(bench.until_due())
        assert len(work) <= 4
        tried.update(work)

    assert len(tried) == len(bench.table) == 16
    assert len(lookups(bench.meet(tried.pop(), REPLIED))) == 3


def test_expired_and_busy_nodes_are_not_asked() -> None:
    bench = Bench()
    for i, state in enumerate(("expired", "busy")):
        node = make_node(0x80, i)
        bench.meet(node, REPLIED)
        node.expired, node.pending = state == "expired", int(state == "busy")

    assert bench.until_due() == []


def test_a_bucket_whose_find_stays_unanswered_is_asked_again_a_second_later() -> None:
    bench = settled()
    bucket_with(bench, 0x80).time = bucket_with(bench, 0x80).asked = START
    (find,) = finds(bench.maintenance.run())
    find.node.timed_out()
    bench.maintenance.find_expired(find.node, find.target)
    bench.wait(1)

    (again,) = finds(bench.maintenance.run())
    assert again.node is not find.node
    assert bucket_with(bench, 0x80).covers(int.from_bytes(again.target, "big"))


def test_an_empty_bucket_is_refreshed_through_the_others() -> None:
    bench = settled()
    for node in list(bench.table):
        if node.id[0] == 0x80:
            node.timed_out()
    bench.table.expire()
    bucket_with(bench, 0x80).asked = bench.now - 60

    (find,) = finds(bench.maintenance.run())

    assert find.node.id[0] == 0x01 and find.target[0] >= 0x80


@pytest.mark.parametrize(("silent_for", "nodes", "asked"), [(899, 7, 0), (901, 7, 1), (901, 8, 0)])
def test_a_bucket_with_room_is_refreshed_now_and_then_though_it_answers(
    silent_for: float, nodes: int, asked: int
) -> None:
    bench = settled()
    if nodes == 7:
        next(node for node in bench.table if node.id[0] == 0x80).timed_out()
        bench.table.expire()
    bucket_with(bench, 0x80).asked = bench.now - silent_for

    assert len(finds(bench.maintenance.run())) == asked


def test_an_unanswered_find_is_tried_with_somebody_else_a_second_later() -> None:
    bench = Bench()
    first, second = make_node(0x80), make_node(0x81)
    bench.meet(first, REPLIED)
    bench.meet(second, REPLIED)
    (find,) = finds(bench.until_due())
    find.node.timed_out()
    bench.maintenance.find_expired(find.node, find.target)

    assert bench.maintenance.next_due <= bench.now + 1
    (again,) = finds(bench.until_due())
    assert {find.node, again.node} == {first, second}


def test_both_families_are_asked_for_while_the_other_one_is_thin() -> None:
    bench = Bench(4, 6)
    bench.meet(make_node(0x80), REPLIED)
    (find,) = finds(bench.until_due())
    assert find.want == 3

    alone = Bench(4)
    alone.meet(make_node(0x80), REPLIED)
    (find,) = finds(alone.until_due())
    assert find.want is None


def test_rarely_both_families_are_asked_for_though_both_are_full() -> None:
    bench = Bench(4, 6)
    for host in ("127.0.0.1", "::1"):
        for i in range(8):
            bench.meet(make_node(0x80, i, host), REPLIED)

    both = sum(bench.maintenance._want(bench.table, OWN) == 3 for _ in range(3800))

    assert 50 < both < 160


def test_a_growing_neighbourhood_is_asked_next_to_our_own_id() -> None:
    bench = Bench()
    fill_two_buckets(bench)
    bench.wait(5)

    (find,) = finds(bench.maintenance.run())

    assert find.target[:-1] == OWN[:-1]
    assert bench.now + 5 <= bench.maintenance.next_due <= bench.now + 25


def test_an_idle_node_waits_for_a_minute_or_more() -> None:
    bench = Bench()
    fill_two_buckets(bench)
    bench.wait(200)
    for node in bench.table:
        node.replied(bench.now)

    assert [item for item in bench.maintenance.run() if not isinstance(item, SendPing)] == []
    assert bench.maintenance._run_due >= bench.now + 60


# -- signs of life


def test_nodes_of_a_quiet_table_stay_good() -> None:
    bench = Bench()
    fill_two_buckets(bench)
    for _ in range(720):
        bench.run_for(10)
        assert bench.table.good_count() == 16


def test_a_run_comes_in_time_for_the_next_node_to_turn_silent() -> None:
    bench = settled()
    for node in bench.table:
        node.last_heard = bench.now - 400

    assert bench.maintenance.run() == []
    assert bench.maintenance._run_due <= bench.now + 25


def test_a_node_that_speaks_but_has_not_answered_for_long_is_asked() -> None:
    bench = settled()
    (node, *_) = bench.table
    node.last_reply = bench.now - 6600.1

    assert bench.maintenance.run() == [SendPing(node)]


def test_nodes_that_speak_are_left_alone() -> None:
    bench = Bench()
    fill_two_buckets(bench)
    work: list[Work] = []
    for _ in range(36):
        work += bench.run_for(100)
        for node in bench.table:
            node.heard(bench.now)

    assert pings(work) == []


def test_a_quiet_network_costs_little() -> None:
    """80 nodes that never ask us: the dearest case. Mutual neighbours halve it."""
    bench = Bench()
    for depth in range(10):
        for i in range(8):
            bench.meet(make_node(0x80 >> depth, i) if depth < 8 else make_node(0, (1 << 140) + i), REPLIED)
    size = len(bench.table)
    bench.run_for(3600)

    assert size > 60
    assert len(bench.run_for(36_000)) < 36_000 / 4


def test_a_client_node_pings_one_at_a_time() -> None:
    bench = Bench(client_mode=True)
    fill_two_buckets(bench)
    bench.wait(450)
    longest = list(bench.table)[5]
    longest.last_heard -= 10

    assert pings(bench.maintenance.run()) == [longest]


# -- expiry


def test_expired_nodes_leave_and_their_spare_is_pinged() -> None:
    bench = Bench()
    fill_two_buckets(bench)
    spare = make_node(0x90)
    bench.meet(spare, SENT)
    gone = next(node for node in bench.table if node.id[0] == 0x80)
    gone.timed_out()
    work: list[Work] = []
    while bench.now < START + 360:
        work += bench.until_due()

    assert spare in pings(work) and not gone.in_table


def test_a_spare_that_is_being_asked_is_not_pinged_again() -> None:
    bench = Bench()
    fill_two_buckets(bench)
    spare = make_node(0x90)
    bench.meet(spare, SENT)
    spare.pending = 1
    next(node for node in bench.table if node.id[0] == 0x80).timed_out()
    bench.wait(360)

    assert spare not in pings(bench.maintenance.run())


def test_the_expire_cycle_purges_the_node_cache() -> None:
    bench = Bench()
    node = bench.caches[0].seen(InfoHash(b"\x80" * 20), ("127.0.0.1", 1), confirmed=True)
    node.timed_out()
    bench.run_for(360)

    assert len(bench.caches[0]) == 0


def test_the_same_seed_decides_the_same() -> None:
    def history(seed: int) -> list[tuple[str, ...]]:
        bench = Bench(seed=seed)
        fill_two_buckets(bench)
        return [tuple(map(repr, item)) for item in bench.run_for(7200)]

    assert history(5) == history(5)
    assert history(5) != history(6)
