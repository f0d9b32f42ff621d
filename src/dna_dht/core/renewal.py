"""Renewal: keep eight copies of every stored value alive while holders come and go. Source: reliability T31;
spec 02, 12.8.

Every stored key is looked at once per maintenance period (10 min ± 25 %). The look costs nothing: it compares
the eight closest good nodes of our table with those of the look before. Who is new among them is asked for
its ids and seqs and gets what it lacks, with the original creation date, so that a life is never prolonged by
copying.

Who does the work: the holder closest to the key at once, the others after a random delay of up to RANK_DELAY,
by which time their probes find that there is nothing left to do.

A node that is not among the closest any more hands over like everybody else and keeps its copy; only when
more than KEEP_RANK closer nodes are known and a quorum of the closest has acknowledged the values does it let
go of them.

The `reference` policy, for comparison: act only when displaced from the eight closest, put to those eight
without asking, and forget at once. Own permanent values (announces) are looked after under every policy, by
clients too.
"""

from collections.abc import Sequence
from functools import partial

from dna_dht.core.lookup import TARGET_NODES
from dna_dht.core.overlay import Overlay
from dna_dht.core.remote_node import RemoteNode
from dna_dht.core.services import Services
from dna_dht.core.stored_value import StoredValue
from dna_dht.core.timers import Timer
from dna_dht.core.value_types import type_of
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import Reply
from dna_dht.wire.query import ANY, PROBE, Field

JITTER = 0.25
RANK_DELAY = 150.0  # seconds, at most, before a holder that is not the closest acts; reliability T31
KEEP_RANK = 14  # nodes closer than us from which on a copy may be let go; spec 02, SEARCH_NODES
QUORUM = 5  # of the closest that must hold the values before that
MIN_LIFE = 600.0  # seconds of remaining life below which a value is not copied; spec 02, section 1
MAX_UNDER_WAY = 64  # probes and puts of renewal at once; the rest waits for the next look
RETRY = 60.0  # seconds until the next look after an incomplete one


class Renewal:
    """Looks after every stored key."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._ctx = services.ctx
        self._policy = services.ctx.config.maintenance
        self._looks: dict[InfoHash, Timer] = {}
        self._closest: dict[InfoHash, dict[int, frozenset[InfoHash]]] = {}
        self._holders: dict[InfoHash, set[InfoHash]] = {}
        self._under_way = 0

    def on_stored(self, key: InfoHash) -> None:
        """A value came under *key*: see that looks are scheduled."""
        if key not in self._looks:
            self._schedule(key, self._ctx.jittered(self._ctx.config.maintenance_period, JITTER))
            if self._policy == "renew":
                self._closest[key] = self._neighbourhoods(key)

    def hand_over(self) -> int:
        """We are about to stop: give every key's values to those of the closest that lack them; number of
        keys.
        """
        keys = self._services.storage.keys()
        for key in keys:
            for overlay in self._services.overlays:
                self._renew(key, overlay, overlay.table.closest(key, TARGET_NODES))
        return len(keys)

    @property
    def under_way(self) -> int:
        """Probes and puts that are not answered yet."""
        return self._under_way

    # -- looking

    def _schedule(self, key: InfoHash, delay: float) -> None:
        self._looks[key] = self._ctx.timers.at(self._ctx.now.mono + delay, partial(self._look, key))

    def _look(self, key: InfoHash) -> None:
        if not self._services.storage.has(key):
            self._forget(key)
            return
        self._schedule(key, self._ctx.jittered(self._ctx.config.maintenance_period, JITTER))
        if self._policy == "reference":
            self._reference_rule(key)
            return
        only_own = self._policy == "off" or self._ctx.config.client_mode
        if only_own and not any(value.permanent for value in self._services.storage.find(key, ANY)):
            return
        now_closest = self._neighbourhoods(key)
        before = self._closest.get(key, {})
        self._closest[key] = now_closest
        for overlay in self._services.overlays:
            family = overlay.family
            nodes = overlay.table.closest(key, TARGET_NODES)
            new = [node for node in nodes if node.id not in before.get(family, frozenset())]
            rank = self._rank(key, overlay)
            if new:
                if rank == 0:
                    self._renew(key, overlay, new)
                else:
                    delay = self._ctx.rng.uniform(0, RANK_DELAY)
                    self._ctx.timers.at(self._ctx.now.mono + delay, partial(self._renew, key, overlay, new))
            if rank >= KEEP_RANK:
                self._let_go(key, overlay, nodes)

    def _neighbourhoods(self, key: InfoHash) -> dict[int, frozenset[InfoHash]]:
        return {
            overlay.family: frozenset(node.id for node in overlay.table.closest(key, TARGET_NODES))
            for overlay in self._services.overlays
        }

    def _rank(self, key: InfoHash, overlay: Overlay) -> int:
        """How many good nodes are closer to *key* than we are, KEEP_RANK at most."""
        number = int.from_bytes(key, "big")
        own = int.from_bytes(self._ctx.node_id, "big") ^ number
        return sum(node.number ^ number < own for node in overlay.table.closest(key, KEEP_RANK))

    def _forget(self, key: InfoHash) -> None:
        self._looks.pop(key, None)
        self._closest.pop(key, None)
        self._holders.pop(key, None)

    # -- copying

    def _renew(self, key: InfoHash, overlay: Overlay, nodes: Sequence[RemoteNode]) -> None:
        """Ask *nodes* what they hold under *key* and give them what they lack."""
        if not self._services.storage.has(key):
            return
        for node in nodes:
            if node.expired:
                continue
            if self._under_way >= MAX_UNDER_WAY:
                self._postpone(key, overlay, node)
                continue
            self._probe(key, node)

    def _probe(self, key: InfoHash, node: RemoteNode) -> None:
        composer = self._services.composer
        self._begin("renewal probe")
        self._services.requests.send(
            node,
            "get",
            lambda tid: composer.get(tid, key, PROBE),
            on_reply=partial(self._on_probed, key, node),
            on_failed=partial(self._on_failed, key, node),
        )

    def _on_probed(self, key: InfoHash, node: RemoteNode, reply: Reply) -> None:
        self._under_way -= 1
        held = _seqs(reply)
        now = self._ctx.now.mono
        missing = [
            value
            for value in self._services.storage.find(key, ANY)
            if held.get(value.id, -1) < value.seq and self._worth_copying(value, now)
        ]
        if not missing:
            self._holders.setdefault(key, set()).add(node.id)
        elif node.has_token(now):
            for value in missing:
                self._put(key, node, value)

    def _worth_copying(self, value: StoredValue, now: float) -> bool:
        return value.permanent or value.created + type_of(value.type).lifetime > now + MIN_LIFE

    def _put(self, key: InfoHash, node: RemoteNode, value: StoredValue) -> None:
        composer = self._services.composer
        created = None if value.permanent else int(self._ctx.now.unix - (self._ctx.now.mono - value.created))
        self._begin("renewal put")
        self._services.requests.send(
            node,
            "put",
            lambda tid: composer.put(tid, key, node.token, (value.packed,), created),
            on_reply=partial(self._on_given, key, node),
            on_failed=partial(self._on_failed, key, node),
        )

    def _begin(self, event: str) -> None:
        self._under_way += 1
        self._ctx.counters.events[event] += 1

    def _on_given(self, key: InfoHash, node: RemoteNode, reply: Reply) -> None:
        self._under_way -= 1
        self._holders.setdefault(key, set()).add(node.id)

    def _on_failed(self, key: InfoHash, node: RemoteNode, code: int) -> None:
        """Not given: at the next look the node counts as new again."""
        self._under_way -= 1
        known = self._closest.get(key)
        if known is not None and node.family in known:
            known[node.family] -= {node.id}

    def _postpone(self, key: InfoHash, overlay: Overlay, node: RemoteNode) -> None:
        self._ctx.timers.at(
            self._ctx.now.mono + self._ctx.jittered(RETRY, 0.5), partial(self._renew, key, overlay, [node])
        )

    # -- letting go

    def _let_go(self, key: InfoHash, overlay: Overlay, closest: Sequence[RemoteNode]) -> None:
        """Too far away to be asked by anybody: drop what the closest are known to hold."""
        holders = self._holders.get(key, set())
        unknown = [node for node in closest if node.id not in holders]
        if len(closest) - len(unknown) < QUORUM:
            self._renew(key, overlay, unknown)
            return
        for value in self._services.storage.find(key, ANY):
            if not value.permanent and value.source:
                self._services.storage.remove(key, value.id)
                self._ctx.counters.events["copy let go"] += 1

    def _reference_rule(self, key: InfoHash) -> None:
        now = self._ctx.now.mono
        number = int.from_bytes(key, "big")
        own = int.from_bytes(self._ctx.node_id, "big") ^ number
        handed = 0
        for overlay in self._services.overlays:
            closest = overlay.table.closest(key, TARGET_NODES)
            if not closest or closest[-1].number ^ number >= own:
                continue
            handed += 1
            for value in self._services.storage.find(key, ANY):
                if self._worth_copying(value, now):
                    for node in closest:
                        if node.has_token(now):
                            self._put(key, node, value)
                        else:
                            self._probe(key, node)
        if handed and handed == sum(len(overlay.table) > 0 for overlay in self._services.overlays):
            for value in self._services.storage.find(key, ANY):
                if not value.permanent:
                    self._services.storage.remove(key, value.id)


def _seqs(reply: Reply) -> dict[int, int]:
    """Value id -> seq a node holds, from the answer to a probe."""
    held = {value.id: value.seq for value in reply.values}
    if reply.fields is not None and Field.ID in reply.fields.fields and Field.SEQ in reply.fields.fields:
        id_at, seq_at = (reply.fields.fields.index(field) for field in (Field.ID, Field.SEQ))
        for row in reply.fields.rows:
            value_id, seq = row[id_at], row[seq_at]
            if isinstance(value_id, int) and isinstance(seq, int):
                held[value_id] = seq
    return held
