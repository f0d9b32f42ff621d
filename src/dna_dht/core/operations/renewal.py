"""Renewal: keep eight copies of every stored value alive while holders come and go. Source: reliability T31;
spec 02, 12.8.

Every stored key is looked at once per maintenance period (10 min ± 25 %). The look costs nothing: it compares
the eight closest good nodes of our table with those of the look before. Who is new among them is asked for
its ids and seqs and gets what it lacks, with the original creation date, so that a life is never prolonged by
copying. Whoever turns out to hold a higher seq is asked for that value, and we take it over (S-35, T6). A key
that came back from disk is looked at early, and everybody is new to it.

Who does the work: the holder closest to the key at once, the others after a random delay of up to RANK_DELAY,
by which time their probes find that there is nothing left to do.

A node that is not among the closest any more hands over like everybody else and keeps its copy; only when
more than KEEP_RANK closer nodes are known, in every family in use, and a quorum of the closest has
acknowledged the values does it let go of them.

Probes wait in a queue, and what they show to be missing in another; both leave at one low, even rate
(reliability G9), so that neither a restart nor a change of neighbours causes a storm. Puts go first: else,
with more keys than the rate suffices for, everybody would be asked and nobody given anything. Whoever finds
no place in a queue, or does not answer, counts as new at the next look. When the node stops, the rate is as
high as the answers allow, for HAND_OVER_TIME at most.

The `reference` policy, for comparison: act only when displaced from the eight closest, put to those eight
without asking, and forget at once. Own permanent values (announces) are looked after under every policy, by
clients too.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from heapq import heappop, heappush
from math import inf

from dna_dht.core.exchange.remote_node import RemoteNode
from dna_dht.core.operations.lookup import TARGET_NODES
from dna_dht.core.operations.services import Services
from dna_dht.core.routing.overlay import Overlay
from dna_dht.core.timers import Timer
from dna_dht.core.values.stored_value import StoredValue
from dna_dht.core.values.value_types import type_of
from dna_dht.wire.address import Address
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import Reply
from dna_dht.wire.query import ANY, PROBE, where_id
from dna_dht.wire.value import Value

JITTER = 0.25
RANK_DELAY = 150.0  # seconds, at most, before a holder that is not the closest acts; reliability T31
KEEP_RANK = 14  # nodes closer than us from which on a copy may be let go; spec 02, SEARCH_NODES
QUORUM = 5  # of the closest that must hold the values before that
MIN_LIFE = 600.0  # seconds of remaining life below which a value is not copied; spec 02, section 1
MAX_QUEUE = 4096  # probes that wait, and as many puts
MAX_UNDER_WAY = 64  # probes and puts at once
PROBE_PACE = 0.02  # seconds from a probe to what follows; reliability G9
PUT_PACE = 0.05  # the same from a put; reliability T27
MAX_FETCHES = 8  # newer values asked for after one probe
HAND_OVER_TIME = 5.0  # seconds of handing over when the node stops

Adopt = Callable[[InfoHash, Value, float, Address], None]
Probe = tuple[InfoHash, RemoteNode]  # ask the node what it holds under the key
Gift = tuple[InfoHash, RemoteNode, StoredValue]  # put the value to the node


class _Watch:
    """One stored key.

    Attributes:
        due: when it is looked at next, monotonic seconds.
        closest: family -> the closest nodes that need nothing.
        holders: nodes known to hold all of it.
    """

    __slots__ = ("closest", "due", "holders")

    def __init__(self, closest: dict[int, tuple[InfoHash, ...]]) -> None:
        self.due = inf
        self.closest = closest
        self.holders: frozenset[InfoHash] = frozenset()


class Renewal:
    """Looks after every stored key.

    Attributes:
        adopt: gets a newer value found at another node, with the monotonic creation date of ours and the
            node's address; decides, verifies and stores. Set by the owner.
    """

    def __init__(self, services: Services) -> None:
        self.adopt: Adopt = lambda key, value, created, source: None
        self._services = services
        self._ctx = services.ctx
        self._policy = services.ctx.config.maintenance
        self._only_own = self._policy == "off" or services.ctx.config.client_mode
        self._watches: dict[InfoHash, _Watch] = {}
        self._looks: list[tuple[float, InfoHash]] = []  # heap; an entry counts if its watch is due then
        self._next_look: Timer | None = None
        self._probes: deque[Probe] = deque()
        self._gifts: deque[Gift] = deque()
        self._under_way = 0
        self._free_at = services.ctx.now.mono
        self._pause: Timer | None = None
        self._stopping = self._stopped = False

    # -- being told

    def on_stored(self, key: InfoHash) -> None:
        """A value came under *key*: see that looks are scheduled."""
        if key not in self._watches:
            self._watches[key] = _Watch(self._neighbourhoods(key))
            self._schedule(key, self._ctx.jittered(self._ctx.config.maintenance_period, JITTER))

    def on_restored(self, key: InfoHash) -> None:
        """A value came back from disk under *key*: others may have a newer one, or none."""
        self._forget(key)
        self._watches[key] = _Watch({})
        self._schedule(key, self._ctx.rng.uniform(0, self._ctx.config.maintenance_period))

    def on_removed(self, key: InfoHash) -> None:
        """A value under *key* is gone; with the last one ends the watch."""
        if not self._services.storage.has(key):
            self._forget(key)

    def hand_over(self) -> int:
        """We are about to stop: give every key's values to those of the closest that lack them; number of
        keys.
        """
        self._stopping = True
        keys = self._services.storage.keys()
        later: list[Probe] = []
        self._probes.clear()
        self._gifts.clear()
        for key in keys:
            watch = self._watches.get(key)
            for overlay in self._services.overlays:
                known = watch.closest.get(overlay.family, ()) if watch is not None else ()
                for node in overlay.table.closest(key, TARGET_NODES):
                    (later if node.id in known else self._probes).append((key, node))
        self._probes.extend(later)
        self._ctx.timers.at(self._ctx.now.mono + HAND_OVER_TIME, self._give_up)
        self._work()
        return len(keys)

    @property
    def under_way(self) -> int:
        """Probes and puts that wait or are not answered yet; 0 when handing over has taken long enough."""
        return 0 if self._stopped else len(self._probes) + len(self._gifts) + self._under_way

    def __len__(self) -> int:
        """Keys that are looked after."""
        return len(self._watches)

    # -- looking

    def _schedule(self, key: InfoHash, delay: float) -> None:
        due = self._ctx.now.mono + delay
        self._watches[key].due = due
        heappush(self._looks, (due, key))
        if self._next_look is None or due < self._next_look.deadline:
            self._arm()

    def _arm(self) -> None:
        if self._next_look is not None:
            self._next_look.cancel()
        self._next_look = self._ctx.timers.at(self._looks[0][0], self._on_due) if self._looks else None

    def _on_due(self) -> None:
        looks, now = self._looks, self._ctx.now.mono
        while looks and looks[0][0] <= now:
            due, key = heappop(looks)
            watch = self._watches.get(key)
            if watch is not None and watch.due == due:
                self._look(key, watch)
        self._arm()

    def _look(self, key: InfoHash, watch: _Watch) -> None:
        self._schedule(key, self._ctx.jittered(self._ctx.config.maintenance_period, JITTER))
        if self._stopping or (self._only_own and not self._values(key)):
            return
        if self._policy == "reference":
            self._reference_rule(key)
            return
        before, watch.closest = watch.closest, self._neighbourhoods(key)
        watch.holders &= {node for closest in watch.closest.values() for node in closest}
        for overlay in self._services.overlays:
            known = before.get(overlay.family, ())
            nodes = overlay.table.closest(key, TARGET_NODES)
            new = [node for node in nodes if node.id not in known]
            if new and self._rank(key, overlay):
                delay = self._ctx.rng.uniform(0, RANK_DELAY)
                self._ctx.timers.at(self._ctx.now.mono + delay, partial(self._renew, key, new))
            elif new:
                self._renew(key, new)
        if not self._only_own:
            self._let_go_if_far(key, watch)

    def _neighbourhoods(self, key: InfoHash) -> dict[int, tuple[InfoHash, ...]]:
        return {
            overlay.family: tuple([node.id for node in overlay.table.closest(key, TARGET_NODES)])
            for overlay in self._services.overlays
        }

    def _rank(self, key: InfoHash, overlay: Overlay) -> int:
        """How many good nodes are closer to *key* than we are, as far as it matters here.

        All of them share a bucket, which holds eight, so the cache is asked, not the table.
        """
        now, number = self._ctx.now.mono, int.from_bytes(key, "big")
        own = int.from_bytes(self._ctx.node_id, "big") ^ number
        nodes = overlay.closest(key, 2 * KEEP_RANK)
        return sum(node.number ^ number < own and node.is_good(now) for node in nodes)

    def _forget(self, key: InfoHash) -> None:
        self._watches.pop(key, None)

    # -- copying

    def _renew(self, key: InfoHash, nodes: Iterable[RemoteNode]) -> None:
        """Let *nodes* be asked what they hold under *key*."""
        for node in nodes:
            if len(self._probes) < MAX_QUEUE or self._stopping:
                self._probes.append((key, node))
            else:
                self._counts_as_new(key, node)
        self._work()

    def _give(self, key: InfoHash, node: RemoteNode, values: Iterable[StoredValue]) -> None:
        """Let *node* be given *values*."""
        for value in values:
            if len(self._gifts) < MAX_QUEUE or self._stopping:
                self._gifts.append((key, node, value))
            else:
                self._counts_as_new(key, node)
        self._work()

    def _work(self) -> None:
        """Do what is next, at the permitted rate."""
        probes, gifts, now = self._probes, self._gifts, self._ctx.now.mono
        while (gifts or probes) and self._under_way < MAX_UNDER_WAY:
            if self._free_at > now and not self._stopping:
                if self._pause is None or not self._pause.pending:
                    self._pause = self._ctx.timers.at(self._free_at, self._work)
                return
            if gifts:
                key, node, value = gifts.popleft()
                if node.expired or not node.has_token(now):
                    self._counts_as_new(key, node)
                else:
                    self._take_time(PUT_PACE)
                    self._put(key, node, value)
                continue
            key, node = probes.popleft()
            if node.expired:
                self._counts_as_new(key, node)
            elif key in self._watches:
                self._take_time(PROBE_PACE)
                self._probe(key, node)

    def _take_time(self, pace: float) -> None:
        self._free_at = max(self._free_at, self._ctx.now.mono) + pace

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
        values = self._values(key)
        newer = [value for value in values if held.get(value.id, -1) > value.seq]
        missing = [value for value in values if held.get(value.id, -1) < value.seq]
        for value in newer[:MAX_FETCHES]:
            self._fetch(key, node, value)
        if missing:
            self._give(key, node, missing)
        else:
            self._note_holder(key, node)
            self._work()

    def _values(self, key: InfoHash) -> list[StoredValue]:
        """What we look after under *key*: what lives long enough to be copied."""
        soon = self._ctx.now.mono + MIN_LIFE
        return [
            value
            for value in self._services.storage.find(key, ANY)
            if value.permanent or (not self._only_own and value.created + type_of(value.type).lifetime > soon)
        ]

    def _put(self, key: InfoHash, node: RemoteNode, value: StoredValue) -> None:
        composer = self._services.composer
        now = self._ctx.now
        created = None if value.permanent else max(0, int(now.unix - (now.mono - value.created)))
        self._begin("renewal put")
        self._services.requests.send(
            node,
            "put",
            lambda tid: composer.put(tid, key, node.token, (value.packed,), created),
            on_reply=partial(self._on_given, key, node),
            on_failed=partial(self._on_failed, key, node),
        )

    def _fetch(self, key: InfoHash, node: RemoteNode, ours: StoredValue) -> None:
        composer = self._services.composer
        self._begin("renewal fetch")
        self._services.requests.send(
            node,
            "get",
            lambda tid: composer.get(tid, key, where_id(ours.id)),
            on_reply=partial(self._on_fetched, key, node, ours),
            on_failed=partial(self._on_failed, key, node),
        )

    def _on_fetched(self, key: InfoHash, node: RemoteNode, ours: StoredValue, reply: Reply) -> None:
        self._under_way -= 1
        for value in reply.values:
            if value.id == ours.id and value.seq > ours.seq and not ours.gone:
                self.adopt(key, value, ours.created, node.address)
        self._work()

    def _begin(self, event: str) -> None:
        self._under_way += 1
        self._ctx.counters.events[event] += 1

    def _on_given(self, key: InfoHash, node: RemoteNode, reply: Reply) -> None:
        self._under_way -= 1
        self._note_holder(key, node)
        self._work()

    def _on_failed(self, key: InfoHash, node: RemoteNode, code: int) -> None:
        self._under_way -= 1
        self._counts_as_new(key, node)
        self._work()

    def _note_holder(self, key: InfoHash, node: RemoteNode) -> None:
        watch = self._watches.get(key)
        if watch is not None:
            watch.holders |= {node.id}

    def _counts_as_new(self, key: InfoHash, node: RemoteNode) -> None:
        """It was not given what it may lack: at the next look it is asked again."""
        watch = self._watches.get(key)
        if watch is not None:
            watch.holders -= {node.id}
            known = watch.closest.get(node.family, ())
            watch.closest[node.family] = tuple([other for other in known if other != node.id])

    def _give_up(self) -> None:
        """Handing over has taken long enough."""
        self._probes.clear()
        self._gifts.clear()
        self._stopped = True

    # -- letting go

    def _let_go_if_far(self, key: InfoHash, watch: _Watch) -> None:
        """Too far away to be asked by anybody: drop what the closest are known to hold."""
        overlays = [overlay for overlay in self._services.overlays if overlay.table.has_good()]
        if not overlays or any(self._rank(key, overlay) < KEEP_RANK for overlay in overlays):
            return
        held = True
        for overlay in overlays:
            closest = overlay.table.closest(key, TARGET_NODES)
            unknown = [node for node in closest if node.id not in watch.holders]
            if len(closest) - len(unknown) < QUORUM:
                held = False
                self._renew(key, unknown)
        if held:
            self._let_go(key)

    def _let_go(self, key: InfoHash) -> None:
        for value in self._services.storage.find(key, ANY):
            if not value.permanent and value.source:
                self._services.storage.remove(key, value.id)
                self._ctx.counters.events["copy let go"] += 1

    def _reference_rule(self, key: InfoHash) -> None:
        number = int.from_bytes(key, "big")
        own = int.from_bytes(self._ctx.node_id, "big") ^ number
        values = self._values(key)
        handed = 0
        for overlay in self._services.overlays:
            closest = overlay.table.closest(key, TARGET_NODES)
            if not closest or closest[-1].number ^ number >= own:
                continue
            handed += 1
            for node in closest:
                if node.has_token(self._ctx.now.mono):
                    self._give(key, node, values)
                else:
                    self._ask_token(key, node, values)
        if handed and handed == sum(overlay.table.has_good() for overlay in self._services.overlays):
            for value in self._services.storage.find(key, ANY):
                if not value.permanent:
                    self._services.storage.remove(key, value.id)

    def _ask_token(self, key: InfoHash, node: RemoteNode, values: Sequence[StoredValue]) -> None:
        def answered(reply: Reply) -> None:
            self._under_way -= 1
            self._give(key, node, values)

        self._begin("renewal probe")
        self._services.requests.send(
            node,
            "find",
            lambda tid: self._services.composer.find(tid, key),
            on_reply=answered,
            on_failed=partial(self._on_failed, key, node),
        )


def _seqs(reply: Reply) -> dict[int, int]:
    """Value id -> seq a node holds, from the answer to a probe."""
    held = {value.id: value.seq for value in reply.values}
    if reply.fields is not None:
        held.update(reply.fields.revisions())
    return held
