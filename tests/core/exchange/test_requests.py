"""Open requests: when they are repeated and given up, what answers them, sockets, pace, streams."""

from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any, ClassVar

import pytest

from dna_dht.core.config import CoreConfig
from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.reassembly import Reassembly
from dna_dht.core.exchange.remote_node import RemoteNode
from dna_dht.core.exchange.requests import EXPIRED, MAX_RESUMES, Kind, Request, Requests
from dna_dht.core.instant import Instant
from dna_dht.wire.address import Address
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import ErrorReply, Part, Reply, Update

ADDRESS = ("31.0.0.1", 4000)
ELSEWHERE = ("31.0.0.2", 4000)
NODE_ID = InfoHash.of(b"node")
START = 1000.0


class Bench:
    """Requests alone, with a clock to turn."""

    def __init__(self) -> None:
        self.ctx = CoreContext(CoreConfig(), InfoHash.of(b"us"), Random(5), Instant(START, 1_700_000_000.0))
        self.reassembly = Reassembly(self.ctx)
        self.requests = Requests(self.ctx, self.reassembly)
        self.node = RemoteNode(NODE_ID, ADDRESS)
        self.times: list[float] = []  # of everything sent, in seconds from the start
        self.replies: list[Reply] = []
        self.failures: list[tuple[float, int]] = []
        self.slow: list[float] = []
        self.expired: list[RemoteNode] = []
        self.requests.on_node_expired = self.expired.append

    @property
    def time(self) -> float:
        return round(self.ctx.now.mono - START, 6)

    def send(self, kind: Kind = "get", **options: Any) -> Request:
        options = {"on_slow": lambda: self.slow.append(self.time)} | options
        request = self.requests.send(
            options.pop("node", self.node),
            kind,
            options.pop("build", lambda tid: [b"%d" % tid]),
            on_reply=self.replies.append,
            on_failed=lambda code: self.failures.append((self.time, code)),
            **options,
        )
        self._note()
        return request

    def wait(self, seconds: float) -> None:
        end = self.ctx.now.mono + seconds
        while (due := self.ctx.timers.next_wakeup()) is not None and due <= end:
            self.ctx.now = Instant(max(due, self.ctx.now.mono), self.ctx.now.unix)
            self.ctx.timers.run_due(due)
            self._note()
        self.ctx.now = Instant(end, self.ctx.now.unix)

    def answer(self, request: Request, **fields: Any) -> None:
        self.requests.on_reply(request, Reply(tid=request.tid, sender=NODE_ID, **fields))

    def part(self, request: Request, offset: int, data: bytes = b"x" * 1000) -> None:
        self.reassembly.add(Part(tid=request.tid, pieces=((0, offset, data),)), ADDRESS)

    def header(self, request: Request, size: int = 10_000) -> None:
        self.reassembly.expect(Reply(tid=request.tid, sender=NODE_ID, sizes=((0, size),)), ADDRESS)

    def leftovers(self) -> tuple[int, int, float | None]:
        return len(self.requests), self.node.pending, self.ctx.timers.next_wakeup()

    def _note(self) -> None:
        self.times += [self.time] * len(self.ctx.outbox.take_transmits())


# -- waiting


def test_node_of_unknown_round_trip_is_asked_until_three_seconds_are_over() -> None:
    bench = Bench()
    bench.send()
    bench.wait(30)

    assert bench.times == pytest.approx([0, 0.3, 0.9, 2.1])
    assert bench.failures == [(4.5, EXPIRED)]
    assert bench.node.expired
    assert bench.leftovers() == (0, 0, None)


def test_first_wait_follows_the_round_trip_and_doubles() -> None:
    bench = Bench()
    bench.node.replied(bench.ctx.now.mono, 0.1)  # 3 * 0.1 + 4 * 0.05 = 0.5
    bench.send()
    bench.wait(30)

    assert bench.times == pytest.approx([0, 0.5, 1.5])
    assert bench.failures == [(pytest.approx(3.5), EXPIRED)]


def test_fast_node_gets_more_attempts_but_no_less_patience() -> None:
    bench = Bench()
    bench.node.replied(bench.ctx.now.mono, 0.0002)
    bench.send()
    bench.wait(30)

    assert bench.times == pytest.approx([0, 0.06, 0.18, 0.42, 0.9, 1.86])
    assert bench.failures[0][0] >= 3.0


def test_slow_node_gets_three_attempts() -> None:
    bench = Bench()
    bench.node.replied(bench.ctx.now.mono, 5.0)
    bench.send()
    bench.wait(30)

    assert bench.times == pytest.approx([0, 1, 3])
    assert bench.failures == [(7, EXPIRED)]


def test_put_waits_for_the_check_at_the_other_end() -> None:
    bench = Bench()
    bench.node.replied(bench.ctx.now.mono, 0.001)
    bench.answer(bench.send("put", build=lambda tid: [b"put"]))
    bench.times.clear()
    bench.send("put")
    bench.wait(0.5)

    assert bench.times == pytest.approx([0, 0.3])


def test_put_learns_how_long_checks_take_even_if_all_are_repeated() -> None:
    bench = Bench()
    for _ in range(40):
        put = bench.send("put")
        bench.wait(0.9)
        bench.answer(put)
    bench.times.clear()
    start = bench.time
    bench.send("put")
    bench.wait(2)

    assert bench.times[1] - start == pytest.approx(1.0)  # the most that is ever waited


def test_slow_is_told_once_and_a_late_answer_counts() -> None:
    bench = Bench()
    request = bench.send()
    bench.wait(2.5)
    bench.answer(request)
    bench.wait(30)

    assert bench.slow == [0.3]
    assert len(bench.replies) == 1
    assert bench.failures == []
    assert not bench.node.slow
    assert bench.leftovers() == (0, 0, None)


def test_request_cancelled_because_it_is_slow_is_not_repeated() -> None:
    bench = Bench()
    request = bench.send(on_slow=lambda: bench.requests.cancel(request))
    bench.wait(30)

    assert bench.times == [0]
    assert bench.failures == []
    assert bench.leftovers() == (0, 0, None)


def test_silent_node_expires_once_for_all_its_requests() -> None:
    bench = Bench()
    for _ in range(8):
        bench.send()
    bench.wait(30)

    assert len(bench.failures) == 8
    assert bench.node.failures == 1
    assert bench.expired == [bench.node]


# -- matching


def test_answer_needs_source_and_id_and_transaction() -> None:
    bench = Bench()
    request = bench.send()
    reply = Reply(tid=request.tid, sender=NODE_ID)
    stranger = InfoHash.of(b"stranger")

    def matched(message: Reply | ErrorReply, source: Address = ADDRESS) -> bool:
        return bench.requests.expects(message, source) is request

    assert matched(reply)
    assert matched(ErrorReply(tid=request.tid, sender=NODE_ID, code=203))
    assert not matched(reply, ELSEWHERE)
    assert not matched(reply, (ADDRESS[0], 4001))
    assert not matched(Reply(tid=request.tid, sender=stranger))
    assert not matched(Reply(tid=request.tid + 1, sender=NODE_ID))


def test_ping_to_an_address_takes_any_id_from_there() -> None:
    bench = Bench()
    request = bench.requests.ping_address(
        ADDRESS, lambda tid: [b"ping"], on_reply=bench.replies.append, on_failed=lambda code: None
    )
    reply = Reply(tid=request.tid, sender=InfoHash.of(b"anybody"))

    assert bench.requests.expects(reply, ELSEWHERE) is None
    assert bench.requests.expects(reply, ADDRESS) is request
    bench.requests.on_reply(request, reply)
    assert bench.replies == [reply]


def test_no_forged_answer_from_elsewhere_is_ever_accepted() -> None:
    bench = Bench()
    for tid in [bench.send().tid for _ in range(50)]:
        assert bench.requests.expects(Reply(tid=tid, sender=NODE_ID), ELSEWHERE) is None


def test_transaction_ids_are_unique_and_do_not_tell_the_next() -> None:
    bench = Bench()
    tids = [bench.send().tid for _ in range(50)]
    tids += [bench.requests.open_socket(bench.node, lambda update: None) for _ in range(50)]

    steps = [after - before for before, after in pairwise(tids)]
    assert len(set(tids)) == 100 and all(0 < tid < 2**32 for tid in tids)
    assert min(map(abs, steps)) > 1000


def test_transaction_ids_pass_over_zero_and_over_what_is_open() -> None:
    bench = Bench()

    class Chance(Random):
        drawn: ClassVar = iter((5, 0, 5, 6, 6, 5, 7))

        def getrandbits(self, k: int) -> int:
            return next(self.drawn)

    bench.ctx.rng = Chance()
    assert bench.send().tid == 5
    assert bench.requests.open_socket(bench.node, lambda update: None) == 6
    assert bench.send().tid == 7


# -- what an answer tells


def test_round_trip_is_measured_by_answers_to_the_first_attempt_only() -> None:
    bench = Bench()
    request = bench.send()
    bench.wait(0.2)
    bench.answer(request)
    assert bench.node.srtt == pytest.approx(0.2)

    request = bench.send()
    bench.wait(1.5)
    bench.answer(request)
    assert bench.node.srtt == pytest.approx(0.2)


def test_delay_of_a_put_says_nothing_about_the_way() -> None:
    bench = Bench()
    put = bench.send("put")
    bench.wait(0.1)
    bench.answer(put)

    assert bench.node.srtt is None
    assert bench.node.last_reply == bench.ctx.now.mono


def test_error_ends_the_request_and_proves_the_node_alive() -> None:
    bench = Bench()
    request = bench.send()
    bench.requests.on_error(request, 401)
    bench.wait(30)

    assert bench.failures == [(0, 401)]
    assert bench.times == [0]
    assert bench.node.last_reply == START
    assert bench.leftovers() == (0, 0, None)


def test_cancelled_request_is_over_without_a_word() -> None:
    bench = Bench()
    request = bench.send()
    bench.requests.cancel(request)
    bench.requests.cancel(request)
    bench.wait(30)

    assert bench.requests.expects(Reply(tid=request.tid, sender=NODE_ID), ADDRESS) is None
    assert (bench.times, bench.failures, bench.replies, bench.slow) == ([0], [], [], [])
    assert bench.leftovers() == (0, 0, None)


def test_unreachable_address_fails_all_that_is_open_there() -> None:
    bench = Bench()
    other = RemoteNode(InfoHash.of(b"other"), ELSEWHERE)
    bench.send()
    bench.send()
    kept = bench.send(node=other)
    bench.requests.unreachable(ADDRESS)

    assert bench.failures == [(0, EXPIRED)] * 2
    assert bench.node.expired and bench.node.failures == 1
    assert kept.open and not other.expired
    assert bench.node.pending == 0


def test_failure_that_cancels_others_is_no_trouble_when_an_address_is_unreachable() -> None:
    bench = Bench()
    second: list[Request] = []
    bench.requests.send(
        bench.node,
        "get",
        lambda tid: [b""],
        on_reply=bench.replies.append,
        on_failed=lambda code: bench.requests.cancel(second[0]),
    )
    second.append(bench.send())
    bench.requests.unreachable(ADDRESS)

    assert bench.failures == []
    assert bench.leftovers()[:2] == (0, 0)


def test_request_that_cannot_be_built_leaves_nothing_open() -> None:
    bench = Bench()

    def build(tid: int) -> list[bytes]:
        raise ValueError

    with pytest.raises(ValueError):
        bench.send(build=build)
    assert bench.leftovers() == (0, 0, None)


# -- pace


def test_requests_to_one_node_are_paced_below_its_limit() -> None:
    bench = Bench()
    for _ in range(2000):
        bench.send()
    bench.wait(0.29)  # before the first is repeated

    assert bench.times.count(0) == pytest.approx(226, abs=2)
    assert len(bench.times) == pytest.approx(226 + 900 * 0.29, abs=5)


def test_waiting_for_the_pace_is_not_silence() -> None:
    bench = Bench()
    requests = [bench.send() for _ in range(1000)]
    bench.wait(0.87)
    last = requests[-1]

    assert last.attempts == 1
    assert last.first_sent == pytest.approx(START + 1000 / 900 - 0.25, abs=0.01)


def test_request_cancelled_before_its_turn_is_never_sent() -> None:
    bench = Bench()
    requests = [bench.send() for _ in range(300)]
    sent = len(bench.times)
    for request in requests:
        bench.requests.cancel(request)
    bench.wait(30)

    assert len(bench.times) == sent
    assert bench.leftovers() == (0, 0, None)


def test_other_nodes_are_not_paced_along() -> None:
    bench = Bench()
    for number in range(1000):
        bench.send(node=RemoteNode(InfoHash.of(b"%d" % number), ("31.0.0.1", 1 + number)))

    assert bench.times == [0] * 1000


# -- answers in parts


def test_stream_that_flows_is_only_watched() -> None:
    bench = Bench()
    request = bench.send()
    bench.wait(0.29)
    bench.header(request)
    for at in range(8):
        bench.part(request, 1000 * at)
        bench.wait(0.02)
    bench.answer(request)

    assert bench.times == [0]
    assert bench.slow == []


def test_stream_with_holes_is_asked_for_again_after_a_pause() -> None:
    bench = Bench()
    bench.node.replied(START, 0.02)
    request = bench.send()
    bench.wait(0.02)
    bench.header(request)
    bench.part(request, 0)
    bench.wait(0.1)

    assert bench.times[:2] == [0, pytest.approx(0.1)]  # the first wait; the pause is longer already
    assert request.open
    assert bench.ctx.counters.events["answer resumed"] == 1


def test_pause_that_goes_on_makes_repetitions_rarer() -> None:
    bench = Bench()
    request = bench.send()
    bench.header(request)
    bench.part(request, 0)
    bench.wait(2.9)  # the reassembly still waits

    gaps = [after - before for before, after in zip(bench.times, bench.times[1:], strict=False)]
    assert len(bench.times) <= 8
    assert gaps[1:] == sorted(gaps[1:])
    assert request.open


def test_node_silent_in_the_middle_of_an_answer_has_as_much_time_as_any_other() -> None:
    bench = Bench()
    request = bench.send()
    bench.header(request)
    bench.part(request, 0)
    bench.wait(30)

    assert bench.failures and 3.0 <= bench.failures[0][0] < 10.0
    assert bench.leftovers()[:2] == (0, 0)


def test_trickle_counts_as_slow_but_may_go_on_until_parts_are_forgotten() -> None:
    bench = Bench()
    request = bench.send()
    bench.header(request, 60_000)
    for at in range(2500):
        bench.part(request, 20 * at, b"x" * 20)
        bench.wait(0.01)

    assert bench.slow == [pytest.approx(1.0, abs=0.1)]
    assert not request.open
    assert len(bench.times) <= 3 + MAX_RESUMES + 6


def test_stranger_at_a_pinged_address_cannot_make_us_repeat_without_pause() -> None:
    bench = Bench()
    request = bench.requests.ping_address(
        ADDRESS, lambda tid: [b"ping"], on_reply=bench.replies.append, on_failed=lambda code: None
    )
    bench._note()
    bench.header(request)
    bench.wait(1.0)

    assert len(bench.times) <= 6


# -- sockets


def test_socket_serves_updates_of_its_node_only() -> None:
    bench = Bench()
    served: list[Update] = []
    socket_id = bench.requests.open_socket(bench.node, served.append)
    update = Update(tid=1, sender=NODE_ID, socket_id=socket_id)

    assert not bench.requests.serve_socket(update, ELSEWHERE)
    assert not bench.requests.serve_socket(Update(tid=1, sender=NODE_ID, socket_id=socket_id + 1), ADDRESS)
    assert served == []
    assert bench.requests.serve_socket(update, ADDRESS)
    assert served == [update]


def test_socket_follows_its_node_and_closes() -> None:
    bench = Bench()
    served: list[Update] = []
    socket_id = bench.requests.open_socket(bench.node, served.append)
    update = Update(tid=1, sender=NODE_ID, socket_id=socket_id)
    bench.node.moved(ELSEWHERE)
    assert bench.requests.serve_socket(update, ELSEWHERE)

    bench.requests.close_socket(socket_id)
    bench.requests.close_socket(socket_id)
    assert not bench.requests.serve_socket(update, ELSEWHERE)


@pytest.mark.parametrize("end", ["reply", "error", "silence", "cancel", "unreachable"])
def test_every_end_leaves_nothing_behind(end: str) -> None:
    bench = Bench()
    request = bench.send(build=lambda tid: [b"part"] * 40)
    ends: dict[str, Callable[[], None]] = {
        "reply": lambda: bench.answer(request),
        "error": lambda: bench.requests.on_error(request, 203),
        "silence": lambda: None,
        "cancel": lambda: bench.requests.cancel(request),
        "unreachable": lambda: bench.requests.unreachable(ADDRESS),
    }
    ends[end]()
    bench.wait(30)

    assert not request.open
    assert bench.leftovers() == (0, 0, None)
