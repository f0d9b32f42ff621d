"""Open requests: transaction ids, retransmission, matching of answers, expiry of silent nodes.

A transaction id is unique among all open requests and listener sockets, so an answer finds its request by the
id alone; it counts only if it comes from the address the request went to and carries the id of the node that
was asked (spec 01, 12.3 and 17 #1). Ids are random: else whoever is asked something could tell what others
are asked, and answer in the name of an address that never saw the question (reliability T9, T10).

Waiting. The first wait follows the node's measured round trip (spec 02, 25.1 item 7) and doubles with each
attempt. A node is given up after at least MIN_ATTEMPTS attempts and MIN_PATIENCE seconds; the reference's
fixed 1 s is never exceeded by the first wait. Puts wait longer, for their answer comes after a signature
check at the other end, which takes its time under load: the measured delay of recent puts is the floor. A
silent node expires once, however many of its requests stay unanswered.

Answers in parts. While parts keep arriving the request only watches. When the stream pauses with holes left,
the request is sent again under the same id; the answers merge in the reassembly (spec 02, 25.1 item 8). A
pause that goes on makes the repetitions rarer; when the reassembly gives the message up, the rules of a
silent node apply. An answer that takes longer than STREAM_PATIENCE to arrive counts as slow: whoever waits
may ask another node, so that nobody is held up by a trickle.

Requests to one node are paced below the rate limit of the reference (1,024 a second and source), and a burst
of parts is spread so that it fits into the receiver's buffer.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.bursts import send_burst
from dna_dht.core.exchange.reassembly import Reassembly
from dna_dht.core.exchange.remote_node import UNKNOWN_RETRY, RemoteNode
from dna_dht.core.timers import Timer
from dna_dht.wire.address import Address
from dna_dht.wire.messages import ErrorReply, Reply, Update

Kind = Literal["ping", "find", "get", "put", "refresh", "listen", "update"]

MIN_ATTEMPTS = 3  # spec 02, section 1, MAX_ATTEMPT_COUNT
MIN_PATIENCE = 3.0  # seconds before a silent node is given up; spec 02, 25.1 item 7
PUT_FLOOR = 0.3  # seconds; first wait of a put at least: a signature check and a commit lie in between
MAX_FIRST_WAIT = 1.0  # seconds; spec 02, section 1, MAX_RESPONSE_TIME
QUIET_FLOOR = 0.03  # seconds of silence in a stream of parts that count as a pause
MAX_RESUMES = 10  # requests repeated because of holes in their answer
MAX_STREAM_TIME = 9.5  # seconds; the receiver of parts forgets them after 10 (spec 01, 11.3)
STREAM_PATIENCE = 1.0  # seconds until an answer whose parts still arrive counts as slow; as MAX_FIRST_WAIT
PACE = 1 / 900  # seconds between requests to one node, on average; spec 02, S-5
PACE_BURST = 0.25  # seconds of PACE that may be used at once
EXPIRED = 0  # the "code" of a request that got no answer at all


class Request:
    """One open request. ``open`` turns False when it is answered, refused, cancelled or given up."""

    __slots__ = (
        "address",
        "attempts",
        "datagrams",
        "first_sent",
        "kind",
        "node",
        "on_failed",
        "on_reply",
        "on_slow",
        "open",
        "resumes",
        "sent_at",
        "tid",
        "timer",
        "wait",
    )

    def __init__(
        self,
        kind: Kind,
        tid: int,
        node: RemoteNode | None,
        address: Address,
        datagrams: list[bytes],
        on_reply: Callable[[Reply], None],
        on_failed: Callable[[int], None],
        on_slow: Callable[[], None] | None,
    ) -> None:
        self.kind = kind
        self.tid = tid
        self.node = node
        self.address = address
        self.datagrams = datagrams
        self.on_reply = on_reply
        self.on_failed = on_failed
        self.on_slow = on_slow
        self.open = True
        self.attempts = 0
        self.resumes = 0
        self.wait = 0.0
        self.first_sent = self.sent_at = 0.0
        self.timer: Timer | None = None


class Requests:
    """All open requests of one node.

    Attributes:
        on_node_expired: told about a node whose requests stay unanswered; set once by the owner.
    """

    def __init__(self, ctx: CoreContext, reassembly: Reassembly) -> None:
        self.on_node_expired: Callable[[RemoteNode], None] = lambda node: None
        self._ctx = ctx
        self._reassembly = reassembly
        self._open: dict[int, Request] = {}
        self._sockets: dict[int, tuple[RemoteNode, Callable[[Update], None]]] = {}
        self._put_delay = PUT_FLOOR / 3  # smoothed seconds from put to answer

    # -- asking

    def send(
        self,
        node: RemoteNode,
        kind: Kind,
        build: Callable[[int], list[bytes]],
        *,
        on_reply: Callable[[Reply], None],
        on_failed: Callable[[int], None],
        on_slow: Callable[[], None] | None = None,
    ) -> Request:
        """Open a request to *node* and send it.

        Args:
            build: makes the datagrams from the transaction id.
            on_reply: gets the answer, complete with its values.
            on_failed: gets the error code of the answer, or EXPIRED.
            on_slow: told once, when the first wait is over without an answer, or the answer takes long.
        """
        tid = self._new_id()
        request = Request(kind, tid, node, node.address, build(tid), on_reply, on_failed, on_slow)
        self._open[tid] = request
        node.pending += 1
        request.wait = self._first_wait(node, kind)
        self._start(request, node)
        return request

    def ping_address(
        self,
        address: Address,
        build: Callable[[int], list[bytes]],
        *,
        on_reply: Callable[[Reply], None],
        on_failed: Callable[[int], None],
    ) -> Request:
        """Ping an address whose node id is unknown."""
        tid = self._new_id()
        request = Request("ping", tid, None, address, build(tid), on_reply, on_failed, None)
        self._open[tid] = request
        request.wait = UNKNOWN_RETRY
        self._attempt(request)
        return request

    def cancel(self, request: Request) -> None:
        """Forget a request; a late answer still proves its node alive."""
        if request.open:
            self._close(request)

    def open_socket(self, node: RemoteNode, serve: Callable[[Update], None]) -> int:
        """A socket id for a listener at *node*, unique among open requests and sockets.

        *serve* gets the updates from *node* that carry it.
        """
        socket_id = self._new_id()
        self._sockets[socket_id] = (node, serve)
        return socket_id

    def close_socket(self, socket_id: int) -> None:
        self._sockets.pop(socket_id, None)

    def has_socket(self, socket_id: int, source: Address) -> bool:
        """Whether *socket_id* is open for the node at *source*."""
        socket = self._sockets.get(socket_id)
        return socket is not None and socket[0].address == source

    def serve_socket(self, update: Update, source: Address) -> bool:
        """Hand an update to the socket it is for; False if there is none or the source is wrong."""
        if not self.has_socket(update.socket_id, source):
            return False
        self._sockets[update.socket_id][1](update)
        return True

    # -- being told

    def expects(self, message: Reply | ErrorReply, source: Address) -> Request | None:
        """The open request that *message* from *source* answers, if any."""
        request = self._open.get(message.tid)
        if request is None or request.address != source:
            return None
        node = request.node
        return request if node is None or node.id == message.sender else None

    def on_reply(self, request: Request, reply: Reply) -> None:
        """Close *request* with its complete answer."""
        now = self._ctx.now.mono
        node = request.node
        if node is not None:
            measured = request.attempts == 1 and not request.resumes and not reply.values
            if request.kind == "put":
                self._put_delay += (now - request.first_sent - self._put_delay) / 8
                measured = False
            node.replied(now, now - request.sent_at if measured else None)
        on_reply = request.on_reply
        self._close(request)
        on_reply(reply)

    def on_error(self, request: Request, code: int) -> None:
        """Close *request* with an error answer: the node is alive, the request failed (spec 01, 17 #13)."""
        if request.node is not None:
            request.node.replied(self._ctx.now.mono)
        on_failed = request.on_failed
        self._close(request)
        on_failed(code)

    def unreachable(self, address: Address) -> None:
        """The system says that nothing can be sent to *address*: give up what is open there."""
        for request in [request for request in self._open.values() if request.address == address]:
            if request.open:
                self._give_up(request)

    def __len__(self) -> int:
        return len(self._open)

    # -- inside

    def _new_id(self) -> int:
        rng = self._ctx.rng
        while True:
            new = rng.getrandbits(32)
            if new and new not in self._open and new not in self._sockets:
                return new

    def _first_wait(self, node: RemoteNode, kind: Kind) -> float:
        wait = node.retry_after()
        if kind == "put":
            wait = max(wait, min(max(PUT_FLOOR, 3 * self._put_delay), MAX_FIRST_WAIT))
        return wait

    def _start(self, request: Request, node: RemoteNode) -> None:
        now = self._ctx.now.mono
        node.pace_until = max(node.pace_until, now) + PACE
        delay = node.pace_until - now - PACE_BURST
        if delay <= 0:
            self._attempt(request)
        else:
            request.timer = self._ctx.timers.at(now + delay, partial(self._attempt, request))

    def _attempt(self, request: Request) -> None:
        now = self._ctx.now.mono
        request.sent_at = now
        if not request.attempts:
            request.first_sent = now
        request.attempts += 1
        if request.node is not None:
            request.node.last_sent = now
        self._ctx.counters.sent[request.kind] += 1
        send_burst(self._ctx, request.address, request.datagrams)
        request.timer = self._ctx.timers.at(now + request.wait, partial(self._on_timer, request))

    def _on_timer(self, request: Request) -> None:
        now = self._ctx.now.mono
        progress = self._reassembly.last_progress(request.address, request.tid)
        streams = progress is not None and now - request.first_sent < MAX_STREAM_TIME
        if request.on_slow is not None and not (streams and now - request.first_sent < STREAM_PATIENCE):
            self._tell_slow(request, request.on_slow)
            if not request.open:
                return
        if progress is not None and streams:
            self._watch_stream(request, progress)
        elif request.attempts >= MIN_ATTEMPTS and now - request.first_sent >= MIN_PATIENCE:
            self._give_up(request)
        else:
            request.wait *= 2
            self._attempt(request)

    def _tell_slow(self, request: Request, on_slow: Callable[[], None]) -> None:
        request.on_slow = None
        if request.node is not None:
            request.node.slow = True
        on_slow()

    def _watch_stream(self, request: Request, progress: float) -> None:
        """Parts of the answer have arrived: wait for more, or ask for the missing ones."""
        now = self._ctx.now.mono
        srtt = request.node.srtt if request.node is not None else None
        quiet = max(QUIET_FLOOR, 2 * (srtt or 0.0))
        moving = progress >= request.sent_at
        due = progress + quiet if moving else request.sent_at + request.wait
        if now < due:
            request.timer = self._ctx.timers.at(due, partial(self._on_timer, request))
            return
        request.wait = 2 * (quiet if moving else request.wait)
        if request.resumes < MAX_RESUMES:
            request.resumes += 1
            self._ctx.counters.events["answer resumed"] += 1
            self._attempt(request)
        else:
            request.timer = self._ctx.timers.at(now + request.wait, partial(self._on_timer, request))

    def _give_up(self, request: Request) -> None:
        node, on_failed = request.node, request.on_failed
        self._close(request)
        if node is not None and not node.expired:
            node.timed_out()
            self._ctx.counters.events["node expired"] += 1
            self.on_node_expired(node)
        on_failed(EXPIRED)

    def _close(self, request: Request) -> None:
        """Forget *request*, and let go of what it refers to: that refers to it in turn."""
        request.open = False
        request.on_reply = request.on_failed = _ignore
        request.on_slow = None
        del self._open[request.tid]
        if request.node is not None:
            request.node.pending -= 1
        if request.timer is not None:
            request.timer.cancel()
            request.timer = None


def _ignore(answer: object) -> None:
    """The callback of a closed request."""
