"""Messages whose values travel as parts: kept until the last part is there, or given up.

A header names the packed sizes of the values to come; the parts name (index, offset). Both are keyed by
(source address, transaction id) and may come in any order:

    closed ──header──► open ──last part──► complete, closed
       │                 ▲
       └──part──► early ─┘ header          parts before their header wait for it
    open ──the same header again──► open   a retransmission: its parts fill the gaps
    open ──a whole value does not decode──► closed, the message is lost
    open, early ──3 s without a new part, or 10 s in all──► gone

A key that was just closed (complete, lost or refused) is remembered for 3 s, so that late copies of its
parts are not taken for early ones. A header opens it again: the sender missed our answer.

Bounds (``Limits``; reliability, section 6): a request may announce ``reassembly_request_bytes``, a reply
``reassembly_reply_bytes`` (the caller passes expected replies only). Requests and early parts of one source:
64 states and 2 MiB *arrived* bytes; loopback is exempt if so configured. All: 1,024 states and 32 MiB.
Beyond the bounds of a source its newest state is refused. Beyond those of all, the newest state of the
source that has most goes, until a sixteenth of the bound is free again; among equal sources the one whose
newest state received least. Tiny parts cost more memory than they carry: a message may come in at most one
part per 128 bytes, plus a margin.

Invariant: ``arrived_bytes`` is the sum of the pieces held, and likewise for each source.
Sources: spec 01, 11.3 and 17 #2; reliability T11.
"""

import heapq
from collections import OrderedDict
from collections.abc import Callable
from enum import Enum

from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.pieces import Fit, Pieces
from dna_dht.core.timers import Timer
from dna_dht.errors import DecodeError
from dna_dht.wire.address import Address, is_loopback, source_group
from dna_dht.wire.limits import PACKED_VALUE
from dna_dht.wire.messages import Carrier, Part, Put, Reply, Sizes, Update, with_values
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import unpack

IDLE = 3.0  # seconds without a new part; spec 01, 11.3
TOTAL = 10.0  # seconds from the header or the first early part; same
EARLY_BYTES = 122_912  # of one key; spec 01, 17 #2
EARLY_PARTS = 98  # of one key; same
CLOSED_LIFE = 3.0  # seconds; as long as parts of a message may be apart
CLOSED = 1024  # closed keys remembered
PART_BYTES = 128  # bytes a part must carry on average; honest ones carry 1,280
PART_MARGIN = 64  # parts beyond that average
SPARE = 16  # what is freed on overflow, as the fraction 1/SPARE of the bound

Key = tuple[Address, int]


class PartResult(Enum):
    """A part that completed nothing. (None: it was taken, or was a copy of one that was.)"""

    EARLY = "early"
    """The first part of an unknown message: kept, but the caller counts it against the rate of requests."""
    LATE = "late"
    """A copy for a message that is already complete."""
    DROPPED = "dropped"
    """Nothing of it was taken."""


DROPPED, EARLY, LATE = PartResult.DROPPED, PartResult.EARLY, PartResult.LATE


class Reassembly:
    """All unfinished messages of one node.

    Attributes:
        arrived_bytes: bytes of parts held.
    """

    __slots__ = (
        "_closed",
        "_ctx",
        "_exempt_loopback",
        "_limits",
        "_most",
        "_most_of_source",
        "_states",
        "_sweep",
        "_users",
        "arrived_bytes",
    )

    def __init__(self, ctx: CoreContext) -> None:
        self.arrived_bytes = 0
        self._ctx = ctx
        self._limits = ctx.config.limits
        self._most = ctx.config.limits.reassembly_bytes
        self._most_of_source = ctx.config.limits.reassembly_bytes_per_source
        self._exempt_loopback = ctx.config.exempt_loopback
        self._states: OrderedDict[Key, _State] = OrderedDict()  # longest silent first
        self._users: dict[str, _User] = {}
        self._closed: OrderedDict[Key, tuple[float, PartResult]] = OrderedDict()
        self._sweep: Timer | None = None

    def expect(self, message: Carrier, source: Address) -> Carrier | None:
        """Take a header with sizes; the whole message if early parts complete it, else None."""
        key = (source, message.tid)
        self._closed.pop(key, None)
        state = self._live(key)
        if state is not None and state.header is not None:
            if state.sizes == message.sizes and type(state.header) is type(message):
                return None
            if state.arrived:
                self._count("header: differs from the first")
                return None
            self._drop(state)
            state = None
        sizes = tuple((index, size) for index, size in message.sizes if size <= PACKED_VALUE)
        if not sizes:
            if state is not None:
                self._drop(state)
            return _joined(message, [])
        refusal = self._refusal(message, sizes)
        if state is None and not refusal:
            state = self._open(key, is_request=not isinstance(message, Reply))
        if state is None or refusal:
            self._count(refusal or "header: too many unfinished messages")
            if state is not None:
                self._drop(state)
            self._close(key, DROPPED)
            return None
        early = self._announce(state, message, sizes)
        for (index, offset), data in early.items():
            self._take(state, index, offset, data)
            if state.gone:
                return None
        return self._finished(state)

    def add(self, part: Part, source: Address) -> Carrier | PartResult | None:
        """Take a part; the whole message if it was the last one missing."""
        key = (source, part.tid)
        state = self._live(key)
        if state is None:
            return self._stray(key, part)
        if state.header is None:
            return self._keep_early(state, part)
        taken = progressed = False
        for index, offset, data in part.pieces:
            fit = self._take(state, index, offset, data)
            if fit is Fit.TAKEN:
                progressed = True
            elif fit is Fit.DUPLICATE:
                taken = True
            if state.gone:
                return DROPPED
        if progressed:
            state.progressed = self._ctx.now.mono
            self._states.move_to_end(key)
            return None if state.missing else self._finished(state)
        return None if taken else DROPPED

    def holes(self, source: Address, tid: int) -> tuple[int, int] | None:
        """(bytes arrived, bytes announced) of an unfinished message; None if its header did not come."""
        state = self._states.get((source, tid))
        if state is None or state.header is None:
            return None
        return state.arrived, state.announced

    def last_progress(self, source: Address, tid: int) -> float | None:
        """Monotonic seconds of the last new part of an unfinished message, or of its header."""
        state = self._states.get((source, tid))
        return None if state is None else state.progressed

    def has_early(self, source: Address, tid: int) -> bool:
        """Whether parts wait for this header: the first of them was counted, so the header is not."""
        state = self._states.get((source, tid))
        return state is not None and state.header is None

    def forget(self, source: Address, tid: int) -> None:
        """Give up a message: its request is over, or its first part came too fast. Its parts are late from
        now on.
        """
        state = self._states.get((source, tid))
        if state is not None:
            self._drop(state)
            self._close((source, tid), LATE)

    def __len__(self) -> int:
        return len(self._states)

    def _refusal(self, message: Carrier, sizes: Sizes) -> str:
        limits = self._limits
        announced = sum(size for _, size in sizes)
        allowed = (
            limits.reassembly_reply_bytes if isinstance(message, Reply) else limits.reassembly_request_bytes
        )
        if announced > allowed:
            return "header: announces too much"
        if not all(size for _, size in sizes):
            return "header: a value without bytes"
        return ""

    def _live(self, key: Key) -> "_State | None":
        state = self._states.get(key)
        if state is None:
            return None
        now = self._ctx.now.mono
        if now < state.started + TOTAL and now < state.progressed + IDLE:
            return state
        self._time_out(state)
        return None

    def _open(self, key: Key, *, is_request: bool) -> "_State | None":
        """A new state; None if its source, or all together, have too many."""
        host = key[0][0]
        name = source_group(host)
        user = self._users.get(name)
        if is_request and user is not None and not (self._exempt_loopback and is_loopback(host)):
            limits = self._limits
            if user.requests >= limits.reassembly_states_per_source:
                return None
        if len(self._states) >= self._limits.reassembly_states:
            mine = 0 if user is None else len(user.states)
            if mine >= max((len(other.states) for other in self._users.values()), default=0):
                return None
            self._shed(
                lambda: len(self._states) < self._limits.reassembly_states * (SPARE - 1) // SPARE + 1, _states
            )
            user = self._users.get(name)
        if user is None:
            user = self._users[name] = _User(name, self._exempt_loopback and is_loopback(host))
        state = _State(key, user, is_request, self._ctx.now.mono)
        user.states[key] = state
        user.requests += is_request
        self._states[key] = state
        if self._sweep is None:
            self._sweep = self._ctx.timers.at(state.progressed + IDLE, self._on_sweep)
        return state

    def _announce(self, state: "_State", message: Carrier, sizes: Sizes) -> dict[tuple[int, int], bytes]:
        """Give *state* its header; returns the early parts, which are to be taken again."""
        early, state.early = state.early, {}
        self._charge(state, -state.arrived)
        if state.is_request and isinstance(message, Reply):
            state.is_request = False
            state.user.requests -= 1
        state.header, state.sizes = message, message.sizes
        state.values = {index: Pieces(size) for index, size in sizes}
        state.missing = len(state.values)
        state.announced = sum(size for _, size in sizes)
        state.parts_left = state.announced // PART_BYTES + len(sizes) + PART_MARGIN
        state.progressed = self._ctx.now.mono
        self._states.move_to_end(state.key)
        return early

    def _take(self, state: "_State", index: int, offset: int, data: bytes) -> Fit:
        pieces = state.values.get(index)
        if pieces is None:
            self._count("part: not announced")
            return Fit.REFUSED
        if not state.parts_left:
            self._count("part: too many")
            return Fit.REFUSED
        fit = pieces.add(offset, data)
        if fit is Fit.TAKEN:
            state.parts_left -= 1
            if pieces.arrived == pieces.size:
                state.missing -= 1
            self._charge(state, len(data))
            if self.arrived_bytes > self._most or state.user.request_bytes > self._most_of_source:
                self._make_room(state)
        elif fit is Fit.REFUSED:
            self._count("part: does not fit")
        return fit

    def _finished(self, state: "_State") -> Carrier | None:
        """The whole message if nothing is missing and every value decodes."""
        if state.missing or state.header is None:
            return None
        self._drop(state)
        self._close(state.key, LATE)
        try:
            values = [unpack(state.values[index].join()) for index in sorted(state.values)]
        except DecodeError:
            self._count("value: does not decode")
            return None
        return _joined(state.header, values)

    def _stray(self, key: Key, part: Part) -> PartResult:
        closed = self._closed.get(key)
        if closed is not None and closed[0] > self._ctx.now.mono:
            self._count("part: late")
            return closed[1]
        state = self._open(key, is_request=True) if any(map(_plausible, part.pieces)) else None
        if state is None:
            self._count("part: unexpected")
            return DROPPED
        return DROPPED if self._keep_early(state, part) is DROPPED else EARLY

    def _keep_early(self, state: "_State", part: Part) -> PartResult | None:
        taken = False
        for piece in part.pieces:
            index, offset, data = piece
            if (index, offset) in state.early:
                taken = True
            elif (
                not _plausible(piece)
                or len(state.early) >= EARLY_PARTS
                or state.arrived + len(data) > EARLY_BYTES
            ):
                self._count("part: too many before their header")
            else:
                taken = True
                state.early[index, offset] = data
                state.progressed = self._ctx.now.mono
                self._states.move_to_end(state.key)
                self._charge(state, len(data))
                self._make_room(state)
                if state.gone:
                    return DROPPED
        return None if taken else DROPPED

    def _charge(self, state: "_State", size: int) -> None:
        state.arrived += size
        state.user.arrived += size
        if state.is_request:
            state.user.request_bytes += size
        self.arrived_bytes += size

    def _make_room(self, state: "_State") -> None:
        """Enforce the bounds on arrived bytes; *state*, which just grew, may be dropped for it."""
        user, limits = state.user, self._limits
        while (
            state.is_request and user.request_bytes > limits.reassembly_bytes_per_source and not user.exempt
        ):
            newest = next(other for other in reversed(user.states.values()) if other.is_request)
            self._count("message: too many bytes of one source")
            self._drop(newest)
            self._close(newest.key, DROPPED)
        if self.arrived_bytes > limits.reassembly_bytes:
            enough = limits.reassembly_bytes * (SPARE - 1) // SPARE
            self._shed(lambda: self.arrived_bytes <= enough, _bytes)

    def _shed(self, enough: Callable[[], bool], weight: "Callable[[_User], int]") -> None:
        """Drop the newest state of the heaviest source until *enough*."""
        heap = [_rank(user, weight) for user in self._users.values()]
        heapq.heapify(heap)
        while heap and not enough():
            user = heapq.heappop(heap)[-1]
            newest = next(reversed(user.states.values()))
            self._count("message: too many unfinished ones")
            self._drop(newest)
            self._close(newest.key, DROPPED)
            if user.states:
                heapq.heappush(heap, _rank(user, weight))

    def _drop(self, state: "_State") -> None:
        state.gone = True
        del self._states[state.key]
        user = state.user
        self._charge(state, -state.arrived)
        del user.states[state.key]
        user.requests -= state.is_request
        if not user.states:
            del self._users[user.name]

    def _close(self, key: Key, result: PartResult) -> None:
        closed, now = self._closed, self._ctx.now.mono
        closed.pop(key, None)
        while closed and (len(closed) >= CLOSED or next(iter(closed.values()))[0] <= now):
            closed.popitem(last=False)
        closed[key] = (now + CLOSED_LIFE, result)

    def _time_out(self, state: "_State") -> None:
        self._count("message: parts missing")
        self._drop(state)

    def _on_sweep(self) -> None:
        self._sweep = None
        states, now = self._states, self._ctx.now.mono
        while states:
            state = next(iter(states.values()))
            if now < state.progressed + IDLE:
                self._sweep = self._ctx.timers.at(state.progressed + IDLE, self._on_sweep)
                return
            self._time_out(state)

    def _count(self, reason: str) -> None:
        self._ctx.counters.dropped[reason] += 1


class _User:
    """What one source has unfinished."""

    __slots__ = ("arrived", "exempt", "name", "request_bytes", "requests", "states")

    def __init__(self, name: str, exempt: bool) -> None:
        self.name, self.exempt = name, exempt
        self.states: dict[Key, _State] = {}  # oldest first
        self.requests = 0
        self.request_bytes = 0
        self.arrived = 0


class _State:
    """One unfinished message; without header while only early parts came."""

    __slots__ = (
        "announced",
        "arrived",
        "early",
        "gone",
        "header",
        "is_request",
        "key",
        "missing",
        "parts_left",
        "progressed",
        "sizes",
        "started",
        "user",
        "values",
    )

    def __init__(self, key: Key, user: _User, is_request: bool, now: float) -> None:
        self.key, self.user, self.is_request = key, user, is_request
        self.started = self.progressed = now
        self.header: Carrier | None = None
        self.sizes: Sizes = ()
        self.values: dict[int, Pieces] = {}
        self.early: dict[tuple[int, int], bytes] = {}
        self.missing = self.announced = self.arrived = self.parts_left = 0
        self.gone = False


def _joined(header: Carrier, values: list[Value]) -> Carrier:
    match header:
        case Put():
            return with_values(header, values)
        case Update():
            return with_values(header, values)
        case Reply():
            return with_values(header, values)


def _plausible(piece: tuple[int, int, bytes]) -> bool:
    _, offset, data = piece
    return bool(data) and 0 <= offset <= PACKED_VALUE - len(data)


def _states(user: _User) -> int:
    return len(user.states)


def _bytes(user: _User) -> int:
    return user.arrived


def _rank(user: _User, weight: Callable[[_User], int]) -> tuple[int, int, float, str, _User]:
    """Sorts the source that has to give way first to the front."""
    newest = next(reversed(user.states.values()))
    return -weight(user), newest.arrived, newest.started, user.name, user
