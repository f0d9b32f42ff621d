"""Get: read the values of a key. Source: spec 02, 14 and 25.1; spec 00, section 4.

One node, the fastest of those probably closest, is asked for whole values; all others are asked only which
ids and seqs they hold (*scouts*). What the scouts claim and we do not have is fetched by id, from one node at
a time. So a hit costs one round trip, and a body is moved once.

When it is done:

    first   with the first valid value
    fresh   when a majority of the targets has answered and the highest seq any of them claimed is here
    all     when all targets have answered (the slow ones excepted) and everything claimed is here

Without any value, *first* and *fresh* also wait for all targets: an empty answer must mean something. Only
values that verify are delivered; per (owner, id) only the highest seq. After the end the lookup still takes
in late answers, so that the next operation on the key knows its closest nodes.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

from dna_dht.core.effects import GetOutcome, NodeEvidence, OperationId, ValuesFound
from dna_dht.core.lookup import ANSWERED, FAILED, NEW, TARGET_NODES, Candidate, Lookup
from dna_dht.core.requests import Request
from dna_dht.core.services import Services
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import Reply
from dna_dht.wire.query import Field, Query
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import unpack

Strength = Literal["first", "fresh", "all"]

FULL_REPLY = 16  # values in a reply that may be cut off: ask that node for its ids too; Limits.reply_values
MAX_VALUES = 1024  # values one get collects; reliability, section 6, values per key
MAX_FETCHES = 8  # bodies under way at once


class GetOperation:
    """One running get; ``on_done`` is called once, unless it is cancelled."""

    def __init__(
        self,
        services: Services,
        operation: OperationId,
        key: InfoHash,
        where: tuple[tuple[int, int | bytes], ...],
        strength: Strength,
        timeout: float,
        on_done: Callable[[GetOutcome], None],
    ) -> None:
        self._services = services
        self._operation = operation
        self._key = key
        self._strength = strength
        self._on_done = on_done
        self._where = where
        self._scout = Query((Field.ID, Field.SEQ), where)
        self._whole = Query((), where)
        self._lookups: list[Lookup] = []
        self._claims: dict[int, dict[Candidate, int]] = {}
        self._best: dict[tuple[InfoHash, int], Value] = {}
        self._seqs: dict[int, int] = {}  # value id -> highest seq here
        self._tried: set[tuple[Candidate, int, int]] = set()
        self._fetches: dict[int, Candidate] = {}  # value id -> who was asked for it
        self._body: Candidate | None = None  # the one asked for whole values
        self._body_open = False
        self._checking = 0  # values at the verifier
        self._requests: set[Request] = set()
        self._done = False
        ctx = services.ctx
        self._timer = ctx.timers.at(ctx.now.mono + timeout, self._finish)

    def start(self) -> None:
        """Look at our own store, then ask the network."""
        services = self._services
        for stored in services.storage.find(self._key, self._whole):
            self._accept(unpack(stored.packed))
        if self._done:
            return
        for overlay in services.active_overlays():
            lookup = Lookup(services.ctx, overlay, self._key, self._ask)
            if lookup.candidates:
                self._lookups.append(lookup)
        for lookup in self._lookups:
            if self._body is None and lookup.wide:
                self._body = _fastest(lookup.targets())
        for lookup in self._lookups:
            lookup.step()
        self._check()

    def cancel(self) -> None:
        """Stop; nothing more is delivered."""
        self._done = True
        self._timer.cancel()
        for request in self._requests:
            self._services.requests.cancel(request)

    # -- asking

    def _ask(self, lookup: Lookup, candidate: Candidate) -> None:
        whole = candidate is self._body and not self._done
        self._body_open |= whole
        query = self._whole if whole else self._scout
        self._send(
            candidate,
            query,
            on_reply=partial(self._on_answer, lookup, candidate, whole),
            on_failed=partial(self._on_failed, lookup, candidate, whole),
            on_slow=partial(self._on_slow, lookup, candidate, whole),
        )

    def _send(
        self,
        candidate: Candidate,
        query: Query,
        on_reply: Callable[[Reply], None],
        on_failed: Callable[[int], None],
        on_slow: Callable[[], None],
    ) -> None:
        request: Request

        def reply(message: Reply) -> None:
            self._requests.discard(request)
            on_reply(message)

        def failed(code: int) -> None:
            self._requests.discard(request)
            on_failed(code)

        composer = self._services.composer
        request = self._services.requests.send(
            candidate.node,
            "get",
            lambda tid: composer.get(tid, self._key, query),
            on_reply=reply,
            on_failed=failed,
            on_slow=on_slow,
        )
        self._requests.add(request)

    def _on_answer(self, lookup: Lookup, candidate: Candidate, whole: bool, reply: Reply) -> None:
        lookup.answered(candidate, reply)
        if whole:
            self._body_open = False
        if self._done:
            return
        self._take(candidate, reply)
        if whole and len(reply.values) >= FULL_REPLY:
            self._ask_ids(lookup, candidate)
        lookup.step()
        self._check()

    def _on_failed(self, lookup: Lookup, candidate: Candidate, whole: bool, code: int) -> None:
        lookup.failed(candidate)
        if whole:
            self._body_open = False
        if not self._done:
            lookup.step()
            self._check()

    def _on_slow(self, lookup: Lookup, candidate: Candidate, whole: bool) -> None:
        lookup.slow(candidate)
        if whole:
            self._body_open = False
        if not self._done:
            lookup.step()
            self._check()

    def _ask_ids(self, lookup: Lookup, candidate: Candidate) -> None:
        """Its reply may have been cut off: learn what else it has."""
        key = -1 - len(self._fetches)  # no value id: only marks that an answer is awaited
        self._fetches[key] = candidate
        self._send(
            candidate,
            self._scout,
            on_reply=partial(self._on_fetched, candidate, key),
            on_failed=lambda code: self._on_not_fetched(key),
            on_slow=lambda: None,
        )

    # -- what came

    def _take(self, candidate: Candidate, reply: Reply) -> None:
        for value in reply.values:
            if self._wanted(value):
                self._claim(candidate, value.id, value.seq)
                self._tried.add((candidate, value.id, value.seq))
                self._check_signature(value)
        if reply.fields is not None:
            fields = reply.fields.fields
            if Field.ID in fields and Field.SEQ in fields:
                id_at, seq_at = fields.index(Field.ID), fields.index(Field.SEQ)
                for row in reply.fields.rows:
                    value_id, seq = row[id_at], row[seq_at]
                    if isinstance(value_id, int) and isinstance(seq, int) and value_id:
                        self._claim(candidate, value_id, seq)

    def _wanted(self, value: Value) -> bool:
        if not self._whole.matches(value):
            self._services.ctx.counters.values["read: not asked for"] += 1
            return False
        if value.is_encrypted or not (value.is_signed or self._services.ctx.config.accept_unsigned):
            self._services.ctx.counters.values["read: unsigned"] += 1
            return False
        return value.id != 0

    def _claim(self, candidate: Candidate, value_id: int, seq: int) -> None:
        if value_id in self._claims or len(self._claims) < MAX_VALUES:
            self._claims.setdefault(value_id, {})[candidate] = seq

    def _check_signature(self, value: Value) -> None:
        known = self._best.get((value.owner_id, value.id))
        if known is not None and known.seq >= value.seq:
            return
        if not value.is_signed:
            self._accept(value)
            return
        self._checking += 1
        if not self._services.verification.check(value, None, partial(self._on_checked, value)):
            self._checking -= 1

    def _on_checked(self, value: Value, valid: bool) -> None:
        self._checking -= 1
        if self._done:
            return
        if valid:
            self._accept(value)
        else:
            self._services.ctx.counters.values["read: bad signature"] += 1
        self._check()

    def _accept(self, value: Value) -> None:
        key = (value.owner_id, value.id)
        known = self._best.get(key)
        if known is not None and known.seq >= value.seq:
            return
        self._best[key] = value
        self._seqs[value.id] = max(value.seq, self._seqs.get(value.id, -1))
        self._services.ctx.outbox.emit(ValuesFound(self._operation, (value,)))
        if self._strength == "first":
            self._finish()

    # -- what is missing

    def _fetch_missing(self) -> bool:
        """Ask for claimed values that are not here; whether anything is still missing or on its way."""
        missing = bool(self._fetches) or self._body_open or self._checking > 0
        if self._body_open:
            return True
        for value_id, claims in self._claims.items():
            if value_id in self._fetches:
                continue
            have = self._seqs.get(value_id, -1)
            best: Candidate | None = None
            best_seq = have
            for candidate, seq in claims.items():
                if seq < best_seq or seq <= have or (candidate, value_id, seq) in self._tried:
                    continue
                if best is None or seq > best_seq or _round_trip(candidate) < _round_trip(best):
                    best, best_seq = candidate, seq
            if best is None:
                continue
            missing = True
            if len(self._fetches) >= MAX_FETCHES or self._checking:
                continue
            self._fetch(best, value_id, best_seq)
        return missing

    def _fetch(self, candidate: Candidate, value_id: int, seq: int) -> None:
        self._tried.add((candidate, value_id, seq))
        self._fetches[value_id] = candidate
        where = self._where
        if (Field.ID, value_id) not in where:
            where = ((Field.ID, value_id), *where)
        self._send(
            candidate,
            Query((), where),
            on_reply=partial(self._on_fetched, candidate, value_id),
            on_failed=lambda code: self._on_not_fetched(value_id),
            on_slow=lambda: self._on_not_fetched(value_id),
        )

    def _on_fetched(self, candidate: Candidate, value_id: int, reply: Reply) -> None:
        self._fetches.pop(value_id, None)
        if not self._done:
            self._take(candidate, reply)
            self._check()

    def _on_not_fetched(self, value_id: int) -> None:
        self._fetches.pop(value_id, None)
        if not self._done:
            self._check()

    # -- the end

    def _check(self) -> None:
        if self._done:
            return
        if self._fetch_missing():
            return
        if not self._lookups:
            self._finish()
            return
        for lookup in self._lookups:
            if not (lookup.settled or lookup.stuck or self._majority(lookup)):
                return
        self._finish()

    def _majority(self, lookup: Lookup) -> bool:
        """Enough of the closest have answered for a fresh result."""
        if self._strength == "all" or not self._best:
            return False
        targets = lookup.targets()
        answered = sum(candidate.state == ANSWERED for candidate in targets)
        return 2 * answered > max(len(targets), min(TARGET_NODES, len(lookup.candidates)))

    def _finish(self) -> None:
        if self._done:
            return
        self._done = True
        self._timer.cancel()
        evidence = [entry for lookup in self._lookups for entry in evidence_of(lookup, self._claims)]
        self._on_done(
            GetOutcome(
                values=tuple(self._best.values()),
                conclusive=any(conclusive(lookup) for lookup in self._lookups),
                asked=len(evidence),
                answered=sum(entry.answered for entry in evidence),
                connected=bool(self._lookups),
                evidence=tuple(evidence),
            )
        )


def conclusive(lookup: Lookup) -> bool:
    """A majority of the eight closest candidates that did not fail has answered."""
    closest = [candidate for candidate in lookup.candidates if candidate.state != FAILED][:TARGET_NODES]
    answered = sum(candidate.state == ANSWERED for candidate in closest)
    return 2 * answered > len(closest)


def evidence_of(lookup: Lookup, claims: dict[int, dict[Candidate, int]]) -> list[NodeEvidence]:
    """What the asked candidates of a lookup said, closest first."""
    return [
        NodeEvidence(
            node_id=candidate.node.id,
            address=candidate.node.address,
            answered=candidate.state == ANSWERED,
            round_trip=candidate.node.srtt,
            holds=tuple(
                (value_id, holders[candidate]) for value_id, holders in claims.items() if candidate in holders
            ),
        )
        for candidate in lookup.candidates
        if candidate.state != NEW
    ]


def _round_trip(candidate: Candidate) -> float:
    srtt = candidate.node.srtt
    return 1.0 if srtt is None else srtt


def _fastest(candidates: list[Candidate]) -> Candidate | None:
    """The one with the shortest round trip; the nearest if none was measured."""
    return min(candidates, key=_round_trip, default=None)
