"""Get: read the values of a key. Source: spec 02, 14 and 25.1; spec 00, section 4.

One node, the fastest of those probably closest, is asked for whole values; all others are asked only which
ids and seqs they hold (*scouts*). What the scouts claim and we do not have is fetched by id, from one node at
a time (:mod:`~dna_dht.core.operations.claims`). So a hit costs one round trip, and a body is moved once.

When it is done:

    first   with the first valid value
    fresh   when a majority of the targets has answered and what they claim is here
    all     when all targets have answered (the slow ones excepted) and everything claimed is here

Without any value, *fresh* also waits for all targets: an empty answer must mean something; *first* waits for
them only until one is slow. Only values that verify are delivered; per (owner, id) only the highest seq.
After the end the lookup still takes in late answers, so that the next operation on the key knows its closest
nodes.

After *fresh* and *all*, one of the targets that claimed an older revision gets the newest
(:mod:`~dna_dht.core.operations.read_repair`).
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

from dna_dht.core.effects import GetOutcome, NodeEvidence, OperationId, ValuesFound
from dna_dht.core.exchange.request_group import RequestGroup
from dna_dht.core.exchange.requests import Request
from dna_dht.core.operations.claims import UNKNOWN_ROUND_TRIP, Claims, Fetch
from dna_dht.core.operations.lookup import ANSWERED, FAILED, NEW, Candidate, Lookup
from dna_dht.core.operations.services import Services
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import Reply
from dna_dht.wire.query import Field, Query
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import unpack

Strength = Literal["first", "fresh", "all"]

FULL_REPLY = 15  # values in a reply that may be cut off: 16, or as many of the largest as fit into 1 MiB
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
        self._only_id = next((wanted for field, wanted in where if field == Field.ID), None)
        self._claims = Claims()
        self._best: dict[tuple[InfoHash, int], Value] = {}
        self._body: Candidate | None = None  # the one asked for whole values
        self._body_open = False
        self._listing = False  # it is asked for its ids too
        self._checking = 0  # values at the verifier
        self._unchecked = False  # it had no room for some
        self._requests = RequestGroup(services.requests)
        self._fetching: set[Request] = set()
        self._done = False
        ctx = services.ctx
        self._timer = ctx.timers.at(ctx.now.mono + timeout, self._finish)

    def start(self) -> None:
        """Look at our own store, then ask the network. Does nothing if it is over already."""
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
        self._requests.cancel_all()
        self._let_go()

    # -- asking

    def _ask(self, lookup: Lookup, candidate: Candidate) -> None:
        whole = candidate is self._body and not self._done
        self._body_open |= whole
        self._send(
            candidate,
            self._whole if whole else self._scout,
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
        on_slow: Callable[[], None] | None,
    ) -> Request:
        composer = self._services.composer
        return self._requests.send(
            candidate.node,
            "get",
            lambda tid: composer.get(tid, self._key, query),
            on_reply=on_reply,
            on_failed=on_failed,
            on_slow=on_slow,
            then=self._let_go,
        )

    def _on_answer(self, lookup: Lookup, candidate: Candidate, whole: bool, reply: Reply) -> None:
        lookup.answered(candidate, reply)
        if whole:
            self._body_open = False
        if self._done:
            return
        self._take(candidate, reply, self._whole)
        if whole and len(reply.values) >= FULL_REPLY:
            self._ask_ids(candidate)
        self._go_on(lookup)

    def _on_failed(self, lookup: Lookup, candidate: Candidate, whole: bool, code: int) -> None:
        lookup.failed(candidate)
        if whole:
            self._body_open = False
        self._go_on(lookup)

    def _on_slow(self, lookup: Lookup, candidate: Candidate, whole: bool) -> None:
        lookup.slow(candidate)
        if whole:
            self._body_open = False
        self._go_on(lookup)

    def _go_on(self, lookup: Lookup) -> None:
        if not self._done:
            lookup.step()
            self._check()

    def _ask_ids(self, candidate: Candidate) -> None:
        """Its reply may have been cut off: learn what else it has."""
        self._listing = True

        def listed(reply: Reply | None) -> None:
            self._listing = False
            if not self._done:
                if reply is not None:
                    self._take(candidate, reply, self._whole)
                self._check()

        self._send(
            candidate,
            self._scout,
            on_reply=listed,
            on_failed=lambda code: listed(None),
            on_slow=lambda: listed(None),
        )

    def _fetch(self, fetch: Fetch) -> None:
        candidate, value_id, seq = fetch
        self._claims.begun(fetch)
        where = self._where
        if (Field.ID, value_id) not in where:
            where = ((Field.ID, value_id), *where)
        query = Query((), where)
        request: Request

        def ended(reply: Reply | None) -> None:
            self._fetching.discard(request)
            self._claims.ended(fetch)
            if self._done:
                return
            if reply is not None:
                self._take(candidate, reply, query)
            if reply is None or not any(v.id == value_id and v.seq >= seq for v in reply.values):
                self._claims.disbelieve(candidate)
            self._check()

        def slow() -> None:
            self._claims.slow(fetch)
            self._check()

        request = self._send(
            candidate, query, on_reply=ended, on_failed=lambda code: ended(None), on_slow=slow
        )
        self._fetching.add(request)

    # -- what came

    def _take(self, candidate: Candidate, reply: Reply, query: Query) -> None:
        """Note what *candidate* sent in answer to *query* or to its selection of ids."""
        for value in reply.values:
            if self._wanted(value, query):
                self._claims.delivered(candidate, value.id, value.seq)
                self._check_signature(candidate, value)
            else:
                self._claims.withdraw(candidate, value.id)
        if reply.fields is not None:
            for value_id, seq in reply.fields.revisions():
                if self._may_claim(value_id):
                    self._claims.claim(candidate, value_id, seq)

    def _may_claim(self, value_id: int) -> bool:
        return value_id == self._only_id if self._only_id is not None else value_id != 0

    def _wanted(self, value: Value, query: Query) -> bool:
        if not query.matches(value):
            self._services.ctx.counters.values["read: not asked for"] += 1
            return False
        if value.is_encrypted or not (value.is_signed or self._services.ctx.config.accept_unsigned):
            self._services.ctx.counters.values["read: unsigned"] += 1
            return False
        return value.id != 0

    def _check_signature(self, candidate: Candidate, value: Value) -> None:
        known = self._best.get((value.owner_id, value.id))
        if known is None:
            if len(self._best) + self._checking >= MAX_VALUES:
                self._services.ctx.counters.values["read: too many values"] += 1
                return
        elif known.seq >= value.seq and self._claims.has(value.id, value.seq):
            return
        if not value.is_signed:
            self._accept(value)
            return
        self._checking += 1
        then = partial(self._on_checked, candidate, value)
        if not self._services.verification.check(value, None, then):
            self._checking -= 1
            self._unchecked = True

    def _on_checked(self, candidate: Candidate, value: Value, valid: bool) -> None:
        self._checking -= 1
        if self._done:
            return
        if valid:
            self._accept(value)
        else:
            self._services.ctx.counters.values["read: bad signature"] += 1
            self._claims.disbelieve(candidate)
        self._check()

    def _accept(self, value: Value) -> None:
        if self._done:
            return
        self._claims.came(value.id, value.seq)
        key = (value.owner_id, value.id)
        known = self._best.get(key)
        if known is not None and known.seq >= value.seq:
            return
        self._best[key] = value
        self._services.ctx.outbox.emit(ValuesFound(self._operation, (value,)))
        if self._strength == "first":
            self._finish()

    def _fetch_missing(self) -> bool:
        """Ask for claimed values that are not here; whether anything is still missing or on its way."""
        if self._body_open or self._checking:
            return True
        if len(self._best) >= MAX_VALUES:
            return False
        missing, fetches = self._claims.plan(MAX_FETCHES)
        for fetch in fetches:
            self._fetch(fetch)
        return missing or self._listing

    # -- the end

    def _check(self) -> None:
        if self._done or self._fetch_missing():
            return
        if all(self._enough(lookup) for lookup in self._lookups):
            self._finish()

    def _enough(self, lookup: Lookup) -> bool:
        """As many of the closest have answered as the strength demands, or nobody is left to ask."""
        if lookup.settled or lookup.stuck:
            return True
        if self._strength == "all":
            return False
        targets = lookup.targets()
        answered = sum(candidate.state == ANSWERED for candidate in targets)
        if 2 * answered <= max(len(targets), min(lookup.width, len(lookup.candidates))):
            return False
        return bool(self._best) or (
            self._strength == "first" and any(candidate.slow for candidate in lookup.candidates)
        )

    def _finish(self) -> None:
        if self._done:
            return
        self._done = True
        self._timer.cancel()
        for request in self._fetching:
            self._requests.cancel(request)
        claims = self._claims.by_id
        evidence = [entry for lookup in self._lookups for entry in evidence_of(lookup, claims)]
        under_way = self._body_open or self._checking or self._listing
        complete = not (under_way or self._unchecked or self._claims.plan(0)[0])
        self._on_done(
            GetOutcome(
                values=tuple(self._best.values()),
                conclusive=complete and any(conclusive(lookup) for lookup in self._lookups),
                asked=len(evidence),
                answered=sum(entry.answered for entry in evidence),
                connected=bool(self._lookups),
                evidence=tuple(evidence),
            )
        )
        if self._strength != "first":
            self._repair()
        self._let_go()

    def _let_go(self) -> None:
        """It is over, and nothing is under way: nothing needs to be known any more."""
        if self._done and not self._requests:
            for lookup in self._lookups:
                lookup.close()

    def _repair(self) -> None:
        """Let one of the targets that claim an older revision have the newest."""
        targets = {candidate for lookup in self._lookups for candidate in lookup.targets()}
        for value in self._best.values():
            holders = self._claims.holders(value.id).items()
            stale = [holder.node for holder, seq in holders if seq < value.seq and holder in targets]
            if stale and self._services.repair.offer(self._key, value, stale):
                return


def conclusive(lookup: Lookup) -> bool:
    """A majority of the closest candidates that did not fail has answered."""
    closest = [candidate for candidate in lookup.candidates if candidate.state != FAILED][: lookup.width]
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
    return UNKNOWN_ROUND_TRIP if srtt is None else srtt


def _fastest(candidates: list[Candidate]) -> Candidate | None:
    """The one with the shortest round trip; the nearest if none was measured."""
    return min(candidates, key=_round_trip, default=None)
