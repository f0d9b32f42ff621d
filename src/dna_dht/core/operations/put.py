"""Put: bring a value to the nodes closest to its key. Source: spec 02, 15 and 25.1; spec 00, section 4.

Three ways, chosen by `mode`:

    first    probe and put at the same time where a token is at hand and the closest nodes are known, else the
             put follows the probe's answer: one round trip warm, two cold. The probe (ids and seqs) shows
             what was there before, since a storing node acknowledges also what it refuses (spec 02, S-22).
    update   the caller knows its last seq: nodes with a fresh token get the put without a probe.
    refresh  upkeep of a value that should be there: whoever has this seq gets a small refresh, whoever lacks
             it the put.

A node that holds a higher seq is left alone (SKIPPED). One that refuses our token is probed for a new one
(RENEWING) and asked again, MAX_TOKEN_RETRIES times.

A put goes to a candidate once everyone closer has answered (or is slow), so that it goes to the right eight.
Done at a quorum: QUORUM of the eight closest acknowledged, or all live ones if there are fewer; those that
refused count as live, and those behind them are written instead. The rest goes on in the background until
everyone has answered or given up; a node that is slow to acknowledge is replaced by the next one behind it,
up to SEARCH_NODES copies: nodes farther away would not keep it.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

from dna_dht.core.effects import NodeEvidence, PutOutcome
from dna_dht.core.exchange.remote_node import RemoteNode
from dna_dht.core.exchange.request_group import RequestGroup
from dna_dht.core.exchange.requests import EXPIRED, Request
from dna_dht.core.operations.get import evidence_of
from dna_dht.core.operations.lookup import ANSWERED, FAILED, NEW, SEARCH_NODES, Candidate, Lookup
from dna_dht.core.operations.services import Services
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import Reply
from dna_dht.wire.query import Field, where_id

Mode = Literal["first", "update", "refresh"]

QUORUM = 5  # acknowledgements of the 8 closest; spec 00, section 4
MAX_TOKEN_RETRIES = 2  # times a node may refuse a token before it counts as refusing the put
UNAUTHORIZED, NOT_FOUND = 401, 404  # error codes; spec 01, section 13
SENT, ACKNOWLEDGED, REFUSED, SILENT, SKIPPED, RENEWING = range(6)
COPIES = (SENT, ACKNOWLEDGED)
TAKEN = (SENT, ACKNOWLEDGED, SKIPPED, RENEWING)


class PutOperation:
    """One running put of *value_id* under *key*; ``on_done`` is called once, at the quorum or the end;
    ``on_over`` when nothing is under way.
    """

    def __init__(
        self,
        services: Services,
        key: InfoHash,
        value_id: int,
        seq: int,
        packed: bytes,
        created: int | None,
        mode: Mode,
        timeout: float,
        on_done: Callable[[PutOutcome], None],
        on_over: Callable[["PutOperation"], None],
    ) -> None:
        self._services = services
        self.key = key
        self.value_id = value_id
        self._seq = seq
        self._packed = packed
        self._created = created
        self._mode = mode
        self._on_done = on_done
        self._on_over = on_over
        self._probe = where_id(value_id, (Field.ID, Field.SEQ))
        self._lookups: list[Lookup] = []
        self._states: dict[Candidate, int] = {}
        self._refusals: dict[Candidate, int] = {}
        self._found: dict[int, dict[Candidate, int]] = {value_id: {}}  # what probes saw under our id
        self._probes: dict[Candidate, Request] = {}
        self._requests = RequestGroup(services.requests)
        self._done = self._over = False
        ctx = services.ctx
        self._timer = ctx.timers.at(ctx.now.mono + timeout, self._end)

    def start(self) -> None:
        """Look for the closest nodes and write to them."""
        services = self._services
        for overlay in services.active_overlays():
            lookup = Lookup(services.ctx, overlay, self.key, self._ask)
            if lookup.candidates:
                self._lookups.append(lookup)
        self._go_on()

    def cancel(self) -> None:
        """Stop; nodes already written keep the value."""
        self._done = self._over = True
        self._let_go()

    @property
    def done(self) -> bool:
        """The outcome has been told."""
        return self._done

    @property
    def under_way(self) -> int:
        """Requests that are not answered yet."""
        return len(self._requests)

    # -- asking

    def _ask(self, lookup: Lookup, candidate: Candidate) -> None:
        node = candidate.node
        ready = lookup.confident and node.has_token(self._services.ctx.now.mono)
        if ready and self._mode == "update":
            candidate.state = ANSWERED
            self._send_put(lookup, candidate)
            return
        self._send_probe(lookup, candidate)
        if ready and self._mode == "first":
            self._send_put(lookup, candidate)

    def _send_probe(self, lookup: Lookup, candidate: Candidate) -> None:
        composer = self._services.composer
        self._probes[candidate] = self._send(
            candidate.node,
            "get",
            lambda tid: composer.get(tid, self.key, self._probe),
            on_reply=partial(self._on_probed, lookup, candidate),
            on_failed=partial(self._on_probe_failed, lookup, candidate),
            on_slow=partial(lookup.pass_over, candidate),
        )

    def _send_put(self, lookup: Lookup, candidate: Candidate) -> None:
        composer, node = self._services.composer, candidate.node
        self._states[candidate] = SENT
        self._send(
            node,
            "put",
            lambda tid: composer.put(tid, self.key, node.token, (self._packed,), self._created),
            on_reply=partial(self._on_put_answered, lookup, candidate),
            on_failed=partial(self._on_put_failed, lookup, candidate),
            on_slow=partial(lookup.pass_over, candidate),
        )

    def _send_refresh(self, lookup: Lookup, candidate: Candidate) -> None:
        composer, node = self._services.composer, candidate.node
        self._states[candidate] = SENT
        self._send(
            node,
            "refresh",
            lambda tid: composer.refresh(tid, self.key, self.value_id, node.token),
            on_reply=partial(self._on_put_answered, lookup, candidate),
            on_failed=partial(self._on_put_failed, lookup, candidate),
            on_slow=partial(lookup.pass_over, candidate),
        )

    def _send(
        self,
        node: RemoteNode,
        kind: Literal["get", "put", "refresh"],
        build: Callable[[int], list[bytes]],
        on_reply: Callable[[Reply], None],
        on_failed: Callable[[int], None],
        on_slow: Callable[[], None],
    ) -> Request:
        return self._requests.send(
            node, kind, build, on_reply=on_reply, on_failed=on_failed, on_slow=on_slow, then=self._go_on
        )

    # -- being told

    def _on_probed(self, lookup: Lookup, candidate: Candidate, reply: Reply) -> None:
        lookup.answered(candidate, reply)
        probe = self._probes.pop(candidate)
        state = self._states.get(candidate)
        if state == RENEWING:
            del self._states[candidate]
            state = None
        seq = self._seq_held(reply)
        if seq is None or seq < self._seq:
            return
        if seq > self._seq:
            self._found[self.value_id][candidate] = seq
            if state is None:
                self._states[candidate] = SKIPPED
        elif self._mode == "refresh":
            if state is None and candidate.node.token:
                self._send_refresh(lookup, candidate)
        elif state is None or (state == SENT and probe.attempts == 1):
            # a probe that was repeated behind our put may have seen our own value
            self._found[self.value_id][candidate] = seq

    def _seq_held(self, reply: Reply) -> int | None:
        """The seq of our value id at a node that answered the probe."""
        if reply.fields is not None:
            for value_id, seq in reply.fields.revisions():
                if value_id == self.value_id:
                    return seq
        for value in reply.values:
            if value.id == self.value_id:
                return value.seq
        return None

    def _on_probe_failed(self, lookup: Lookup, candidate: Candidate, code: int) -> None:
        lookup.failed(candidate)
        self._probes.pop(candidate)
        if self._states.get(candidate, RENEWING) == RENEWING:
            self._states[candidate] = SILENT if code == EXPIRED else REFUSED

    def _on_put_answered(self, lookup: Lookup, candidate: Candidate, reply: Reply) -> None:
        candidate.node.accepted_token()
        if reply.value_id == self.value_id:
            self._states[candidate] = ACKNOWLEDGED
            lookup.count_again(candidate)
        else:
            self._refused(lookup, candidate)

    def _on_put_failed(self, lookup: Lookup, candidate: Candidate, code: int) -> None:
        if code == NOT_FOUND and self._mode == "refresh" and candidate.node.token:
            lookup.count_again(candidate)
            self._send_put(lookup, candidate)
        elif code == UNAUTHORIZED and self._refusals.get(candidate, 0) < MAX_TOKEN_RETRIES:
            self._refusals[candidate] = self._refusals.get(candidate, 0) + 1
            candidate.node.refused_token()
            self._states[candidate] = RENEWING
            if candidate not in self._probes:
                self._send_probe(lookup, candidate)
        elif code == EXPIRED:
            self._states[candidate] = SILENT
            lookup.pass_over(candidate)
        else:
            self._refused(lookup, candidate)

    def _refused(self, lookup: Lookup, candidate: Candidate) -> None:
        self._states[candidate] = REFUSED
        lookup.pass_over(candidate)

    # -- going on

    def _go_on(self) -> None:
        if self._over:
            return
        for lookup in self._lookups:
            lookup.step()
            self._write(lookup)
        if not self._done and all(self._has_quorum(lookup) for lookup in self._lookups):
            self._finish(quorum=bool(self._lookups))
        if not self._requests:
            self._end()

    def _write(self, lookup: Lookup) -> None:
        """Put to the closest candidates, as far as nobody closer may still turn up."""
        now = self._services.ctx.now.mono
        places = lookup.width
        copies = sum(self._states.get(candidate) in COPIES for candidate in lookup.candidates)
        for candidate in lookup.candidates:
            if candidate.state == FAILED or candidate.slow:
                continue
            if candidate.state != ANSWERED:
                if candidate.node.expired or (candidate.state == NEW and lookup.exhausted):
                    continue
                return
            state = self._states.get(candidate)
            if state is None:
                if copies >= SEARCH_NODES:
                    return
                if candidate.node.has_token(now):
                    self._send_put(lookup, candidate)
                    state = SENT
                    copies += 1
                else:
                    self._states[candidate] = state = REFUSED
            if state in TAKEN:
                places -= 1
                if not places:
                    return

    def _has_quorum(self, lookup: Lookup) -> bool:
        if not (lookup.settled or lookup.wide or lookup.stuck):
            return False
        live = acknowledged = 0
        places = lookup.width
        for candidate in lookup.candidates:
            state = self._states.get(candidate)
            live += candidate.live or state == REFUSED
            if not candidate.live or state == REFUSED:
                continue
            acknowledged += state in (ACKNOWLEDGED, SKIPPED) and candidate.state == ANSWERED
            places -= 1
            if not places:
                break
        return 0 < min(QUORUM, live) <= acknowledged

    # -- the end

    def _end(self) -> None:
        """Nothing is under way any more, or the time is over."""
        if self._over:
            return
        self._over = True
        if not self._done:
            self._finish(quorum=False)
        self._let_go()
        self._on_over(self)

    def _let_go(self) -> None:
        self._timer.cancel()
        self._requests.cancel_all()
        for lookup in self._lookups:
            lookup.close()

    def _finish(self, *, quorum: bool) -> None:
        self._done = True
        evidence: list[NodeEvidence] = []
        for lookup in self._lookups:
            evidence += evidence_of(lookup, self._found)
        states = list(self._states.values())
        seqs = list(self._found[self.value_id].values())
        self._on_done(
            PutOutcome(
                accepted=states.count(ACKNOWLEDGED),
                refused=states.count(REFUSED),
                silent=states.count(SILENT) + states.count(SENT),
                quorum=quorum and ACKNOWLEDGED in states,
                connected=bool(self._lookups),
                conflicts=tuple((seq, seqs.count(seq)) for seq in sorted(set(seqs), reverse=True)),
                evidence=tuple(evidence),
            )
        )
