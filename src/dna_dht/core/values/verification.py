"""Signature checks: never twice for the same bytes, never more than strangers are allowed to cost.

The core checks nothing itself. It emits :class:`VerifyRequested` and is told the result later; what depended
on it goes on inside :meth:`Verification.verified`. A check is known by its digest, SHA-256 over
signature and signed bytes (which contain the owner):

    cached     known to be valid: the continuation runs at once
    open       asked for, or waiting for its turn: further callers join it, up to MAX_JOINERS
    new        a stranger's check takes a token of its source and one of the total; ours takes none

Budgets are rate limits with a burst, kept as one number each: the time at which the bucket will be full
again (the generic cell rate algorithm, ITU-T I.371). So it is known at once when a check may start. If that
is within MAX_DELAY it gets a timer, otherwise it is refused without having taken anything: a flooder cannot
delay others beyond the total.

Limits: open checks of strangers ``verifications_pending`` (ours: four times as many), cached digests
``verified_digests``, sources ``rate_sources``. Sources: spec 02, 25.1 item 16; reliability, section 6 and
T12.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from math import inf

from dna_dht.core.context import CoreContext
from dna_dht.core.effects import VerifyRequested
from dna_dht.core.sources import is_loopback_source
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import signed_bytes

SIGNATURE_LENGTH = 4627  # bytes; ML-DSA-87, FIPS 204
OWNER_LENGTH = 2592  # bytes; same
MAX_DELAY = 0.25  # seconds; reliability, section 6
MAX_JOINERS = 64  # continuations per open check: more than nodes that answer one get
BURST = 2.0  # seconds of the rate of a source that may come at once; reliability, section 6
TOTAL_BURST = 1.0  # the same for all sources together
CLOCK_STEP = 1e-6  # seconds; delays below it are rounding
PIECE = 2000  # bytes hashed at once; hashlib releases the interpreter lock from 2,048 on
OWN_FACTOR = 4  # our own checks may have this many times more open

Continuation = Callable[[bool], None]


class Verification:
    """Turns signed values into verdicts, through the driver."""

    __slots__ = (
        "_budget",
        "_ctx",
        "_exempt_loopback",
        "_jobs",
        "_last_job",
        "_open",
        "_signature_length",
        "_sources",
        "_total",
        "_valid",
    )

    def __init__(self, ctx: CoreContext, *, signature_length: int | None = SIGNATURE_LENGTH) -> None:
        """*signature_length*: bytes every signature must have; None: any, for cheap ones in simulations."""
        limits = ctx.config.limits
        self._ctx = ctx
        self._signature_length = signature_length
        self._exempt_loopback = ctx.config.exempt_loopback
        self._valid: OrderedDict[bytes, None] = OrderedDict()
        self._open: dict[bytes, _Check] = {}
        self._jobs: dict[int, bytes] = {}
        self._last_job = 0
        self._total = _Bucket(limits.verifications_per_second, TOTAL_BURST)
        self._sources: OrderedDict[str, _Bucket] = OrderedDict()

    def check(self, value: Value, source: str | None, then: Continuation) -> bool:
        """Find out whether *value* is validly signed; *then* gets the answer, at once or later.

        Args:
            value: an unsigned one, or one with keys of a wrong length, is invalid at once.
            source: rate-limit group of the sender; None: our own operation, without budget.
        Returns:
            False if the check was refused: *then* is never called, and the loss is counted.
        """
        if len(value.owner) != OWNER_LENGTH or not self._plausible(value.signature):
            self._ctx.counters.values["signature: wrong length"] += 1
            then(False)
            return True
        message = signed_bytes(value)
        digest = _digest(value.signature, message)
        valid = self._valid
        if digest in valid:
            valid.move_to_end(digest)
            then(True)
            return True
        check = self._open.get(digest)
        if check is not None:
            if len(check.waiting) >= MAX_JOINERS:
                return self._refuse("verification: too many wait for one")
            check.waiting.append(then)
            return True
        return self._open_check(
            digest, VerifyRequested(0, value.owner, value.signature, message), source, then
        )

    def verified(self, job: int, valid: bool) -> None:
        """Continue what waited for *job*; an unknown job is ignored."""
        digest = self._jobs.pop(job, None)
        if digest is None:
            return
        check = self._open.pop(digest)
        if valid:
            self._valid[digest] = None
            if len(self._valid) > self._ctx.config.limits.verified_digests:
                self._valid.popitem(last=False)
        else:
            self._ctx.counters.values["signature: invalid"] += 1
        for then in check.waiting:
            then(valid)

    def pending(self) -> int:
        """Checks that have no result yet."""
        return len(self._open)

    def _plausible(self, signature: bytes) -> bool:
        length = self._signature_length
        return bool(signature) if length is None else len(signature) == length

    def _open_check(
        self, digest: bytes, request: VerifyRequested, source: str | None, then: Continuation
    ) -> bool:
        allowed = self._ctx.config.limits.verifications_pending
        if len(self._open) >= (allowed if source is not None else OWN_FACTOR * allowed):
            return self._refuse("verification: backlog")
        now = self._ctx.now.mono
        start = now if source is None else self._reserve(source, now)
        if start is None:
            return self._refuse("verification: budget")
        self._open[digest] = _Check(request, [then])
        if start <= now + CLOCK_STEP:
            self._start(digest)
        else:
            self._ctx.counters.events["verification delayed"] += 1
            self._ctx.timers.at(start, partial(self._start, digest))
        return True

    def _start(self, digest: bytes) -> None:
        self._last_job += 1
        self._jobs[self._last_job] = digest
        self._ctx.outbox.emit(self._open[digest].request._replace(job=self._last_job))

    def _reserve(self, source: str, now: float) -> float | None:
        """When a check of *source* may start; None: not within MAX_DELAY, and nothing was taken."""
        start = self._total.start(now)
        bucket = None
        if not (self._exempt_loopback and is_loopback_source(source)):
            bucket = self._bucket(source, now)
            start = max(start, bucket.start(now))
        if start > now + MAX_DELAY:
            return None
        self._total.take(now)
        if bucket is not None:
            bucket.take(now)
        return start

    def _bucket(self, source: str, now: float) -> "_Bucket":
        sources = self._sources
        bucket = sources.get(source)
        if bucket is None:
            limits = self._ctx.config.limits
            while sources and (
                len(sources) >= limits.rate_sources or next(iter(sources.values())).full_at <= now
            ):
                sources.popitem(last=False)
            bucket = sources[source] = _Bucket(limits.verifications_per_source, BURST)
        else:
            sources.move_to_end(source)
        return bucket

    def _refuse(self, reason: str) -> bool:
        self._ctx.counters.dropped[reason] += 1
        return False


class _Check:
    """An open check and who waits for it."""

    __slots__ = ("request", "waiting")

    def __init__(self, request: VerifyRequested, waiting: list[Continuation]) -> None:
        self.request, self.waiting = request, waiting


class _Bucket:
    """A token bucket as the time at which it is full again."""

    __slots__ = ("_interval", "_tolerance", "full_at")

    def __init__(self, rate: int, burst: float) -> None:
        """*rate*: tokens per second, -1: unlimited; *burst*: seconds of the rate the bucket holds."""
        self._interval = 0.0 if rate < 0 else (1 / rate if rate else inf)
        self._tolerance = max(burst - self._interval, 0.0)
        self.full_at = -inf

    def start(self, now: float) -> float:
        """When the next token may be used; inf: never."""
        return max(now, self.full_at - self._tolerance) if self._interval < inf else inf

    def take(self, now: float) -> None:
        self.full_at = max(self.full_at, now) + self._interval


def _digest(signature: bytes, message: bytes) -> bytes:
    """SHA-256 over both; the signed bytes contain the owner.

    Fed in small pieces: longer ones make hashlib give up the interpreter lock, which costs more than they
    take.
    """
    content = memoryview(b"".join((len(signature).to_bytes(4, "big"), signature, message)))
    digest = hashlib.sha256()
    for start in range(0, len(content), PIECE):
        digest.update(content[start : start + PIECE])
    return digest.digest()
