"""Maintenance: whom to ask, and when, to keep the routing tables full, fresh and near. Source: spec 02, 7.

Pure decisions. The engine feeds in what it saw, calls :meth:`Maintenance.run` when
:attr:`Maintenance.next_due` has come, and carries out the :data:`Work` it gets; nothing is sent from here.
What triggers what:

* **first good node**: look up our own id and two random ones at once (spec 02, 25.1 item 12). Armed again
  when no node is good any more or the network changed.
* **our own bucket grows after five quiet minutes**: look up our own id again (7.1).
* **a newcomer gets a place**: ping it, so that it becomes good and can be named to others. At once if it
  spoke to us; a little later if we only heard of it, since a running lookup mostly asks it anyway. At most 10
  a second.
* **a dubious node blocks a place in a full bucket**: ping it (6.3 step 6), once at a time.
* **a bucket without answers for ``check_bucket_period``, or empty**: a find for a random id of it (7.2). A
  bucket that stays silent is asked ever less often, not every few seconds.
* **our own bucket grew within 150 s**: a find next to our own id (7.3).
* **a node of the table about to turn dubious**: ping it. The reference lets quiet tables rot: after ten
  minutes without traffic it has nobody left to name. The other side counts our ping as a sign of life too, so
  that mutual neighbours share the work. Late ones first, a quarter of those due per run: bursts spread out by
  themselves.
* **no live node left**: ping a few of the expired ones every run, until one answers.
* **every 2 to 6 min**: expired nodes leave the table, spares are pinged in their place (7.4).

In a quiet network this comes to about one small request per node and 10 s.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from math import inf
from random import Random
from typing import NamedTuple

from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.remote_node import NODE_EXPIRE_TIME, NODE_GOOD_TIME, RemoteNode
from dna_dht.core.routing.bucket import TARGET_NODES, Bucket
from dna_dht.core.routing.node_cache import NodeCache
from dna_dht.core.routing.routing_table import HEARD_OF, REPLIED, RoutingTable, Seen
from dna_dht.wire.address import Family
from dna_dht.wire.infohash import InfoHash

FIRST_RUN = (3.0, 5.0)  # seconds after start; spec 02, section 1 "first node confirmation"
BUSY_RUN = (5.0, 25.0)  # seconds to the next run when this one sent something; same
IDLE_RUN = (60.0, 180.0)  # seconds to the next run otherwise; same
AFTER_LOSS = 1.0  # seconds to the next run when a find of ours was never answered; spec 02, 7.2 step 6
EXPIRE_CYCLE = (120.0, 360.0)  # seconds; spec 02, 7.4
GROWTH_WINDOW = 150.0  # seconds our neighbourhood counts as growing; spec 02, section 1
QUIET_TIME = (
    300.0  # seconds without growth after which growth starts a lookup; same, "table was empty" window
)
NEIGHBOUR_ODDS = 1 / 8  # chance to ask a neighbour bucket instead; spec 02, 7.2
BOTH_ODDS = 1 / 38  # chance to ask for nodes of both families although the other is well filled; same
RETRY_BUCKET = 60.0  # seconds before a silent bucket is asked again; doubled each time up to the check period
DISCOVERY_PERIODS = 1.5  # check periods after which a bucket with room is refreshed although it answers
WANT_BOTH = 3  # IPv4 and IPv6 nodes; spec 01, 5.2
NEWCOMER_RATE = 10.0  # pings per second, and their burst; spec 02, 25.1 item 12
NEWCOMER_DELAY = 0.2  # seconds a node we only heard of waits for a lookup to ask it first
MAX_NEWCOMERS = 256  # waiting newcomers; further ones wait for the regular runs
KEEP_ALIVE_AGE = 420.0  # seconds of silence after which a node of the table is pinged; dubious comes at 600
KEEP_ALIVE_SHARE = 4  # one in so many of the due nodes is pinged per run
KEEP_ALIVE_MIN = 2  # pings per run at least, if so many are due
REVIVALS = 4  # pings per run to expired nodes while no other is left
RANDOM_LOOKUPS = 2  # at the first good node, beside our own id; spec 02, 25.1 item 12


class SendFind(NamedTuple):
    """Ask *node* for the nodes near *target*; *want*: 3 for both families, None for its own."""

    node: RemoteNode
    target: InfoHash
    want: int | None


class SendPing(NamedTuple):
    """Ping *node*."""

    node: RemoteNode


class StartLookup(NamedTuple):
    """Look up the closest nodes to *target* in one family; only its side effects matter."""

    family: Family
    target: InfoHash


Work = SendFind | SendPing | StartLookup


class Maintenance:
    """Keeps the tables of the running families in shape. Random choices come from the context."""

    def __init__(
        self, ctx: CoreContext, tables: Sequence[RoutingTable], caches: Sequence[NodeCache] = ()
    ) -> None:
        self._ctx = ctx
        self._tables: dict[Family, RoutingTable] = {table.family: table for table in tables}
        self._caches = tuple(caches)
        self._joined: dict[Family, bool] = dict.fromkeys(self._tables, False)
        self._grown: dict[Family, float] = dict.fromkeys(self._tables, -inf)
        self._newcomers: deque[RemoteNode] = deque()
        self._newcomers_due = inf
        self._credit = NEWCOMER_RATE
        self._credit_time = ctx.now.mono
        self._run_due = ctx.now.mono + ctx.rng.uniform(*FIRST_RUN)
        self._expire_due = ctx.now.mono + ctx.rng.uniform(*EXPIRE_CYCLE)

    @property
    def next_due(self) -> float:
        """When :meth:`run` has something to decide, monotonic seconds."""
        return min(self._run_due, self._expire_due, self._newcomers_due)

    # -- what happened

    def on_seen(self, table: RoutingTable, node: RemoteNode, seen: Seen, confirm: int) -> Sequence[Work]:
        """What follows at once from ``seen = table.on_node(node, confirm)``."""
        first = confirm == REPLIED and not self._joined[table.family] and node.in_table
        if not seen.changed and not first:
            return ()
        work: list[Work] = [SendPing(blocking) for blocking in seen.pings]
        if first:
            work += self._join(table)
        elif seen.entered and seen.own_bucket and not node.expired:
            work += self._grew(table)
        if seen.entered and not node.is_good(self._ctx.now.mono):
            work += self._greet(node, at_once=confirm != HEARD_OF)
        return work

    def find_expired(self, node: RemoteNode, target: InfoHash) -> None:
        """A :class:`SendFind` was never answered: ask somebody else in a second."""
        table = self._tables[node.family]
        table.bucket_of(int.from_bytes(target, "big")).asked = -inf
        self._run_due = min(self._run_due, self._ctx.now.mono + AFTER_LOSS)

    def network_changed(self, family: Family) -> None:
        """The table of *family* was reset (spec 02, 8.3): check all now, join anew at the first answer."""
        self._joined[family] = False
        self._run_due = self._ctx.now.mono

    # -- what is due

    def run(self) -> list[Work]:
        """Everything due now; cheap if nothing is."""
        now = self._ctx.now.mono
        work: list[Work] = []
        if now >= self._newcomers_due:
            work += self._greet_waiting()
        if now >= self._expire_due:
            self._expire_due = now + self._ctx.rng.uniform(*EXPIRE_CYCLE)
            for cache in self._caches:
                cache.purge()
            for table in self._tables.values():
                work += (SendPing(spare) for spare in table.expire() if not spare.pending)
        if now >= self._run_due:
            work += self._regular(now)
        return work

    def _regular(self, now: float) -> list[Work]:
        """Bucket and neighbourhood maintenance, and signs of life; sets the next time."""
        work: list[Work] = []
        asked: set[RemoteNode] = set()  # of this run: they have no open request yet
        for table in self._tables.values():
            if self._joined[table.family] and not table.has_good():
                self._joined[table.family] = False
            if not table.has_live():
                work += self._revive(table, asked)
            else:
                work += self._refresh_buckets(table, asked, now)
        if not work:
            for table in self._tables.values():
                if table.has_live() and table.grow_time >= now - GROWTH_WINDOW:
                    work += self._ask_neighbourhood(table, asked)
        next_silent = inf
        for table in self._tables.values():
            pings, silent_at = self._keep_alive(table, asked, now)
            work += pings
            next_silent = min(next_silent, silent_at)
        idle = now + self._ctx.rng.uniform(*IDLE_RUN)
        busy = now + self._ctx.rng.uniform(*BUSY_RUN)
        self._run_due = busy if work else max(busy, min(idle, next_silent))
        return work

    def _refresh_buckets(self, table: RoutingTable, asked: set[RemoteNode], now: float) -> list[Work]:
        period = self._ctx.config.check_bucket_period
        work: list[Work] = []
        for bucket in table.buckets():
            stale = bucket.time < now - period or not bucket.nodes
            roomy = not bucket.is_full() and bucket.asked < now - DISCOVERY_PERIODS * period
            wait = min(period, RETRY_BUCKET * 2.0**bucket.tries) if bucket.asked > -inf else 0.0
            if not (stale or roomy) or bucket.asked > now - wait:
                continue
            target = bucket.random_id(self._ctx.rng)
            node = self._choose(table, bucket, target, asked)
            if node is None:
                continue
            bucket.tries = 0 if bucket.time >= bucket.asked else min(bucket.tries + 1, 16)
            bucket.asked = now
            work.append(SendFind(node, target, self._want(table, target)))
        return work

    def _ask_neighbourhood(self, table: RoutingTable, asked: set[RemoteNode]) -> list[Work]:
        own = self._ctx.node_id
        target = InfoHash(own[:-1] + self._ctx.rng.randbytes(1))
        node = self._choose(table, table.own_bucket, target, asked)
        if node is None:
            return []
        return [SendFind(node, target, WANT_BOTH if len(self._tables) > 1 else None)]

    def _choose(
        self, table: RoutingTable, bucket: Bucket, target: InfoHash, asked: set[RemoteNode]
    ) -> RemoteNode | None:
        """A random free node of the bucket or, by chance or need, of a neighbour; else one close by."""
        rng = self._ctx.rng
        before, after = table.neighbours(bucket)
        source = bucket
        if after is not None and (not source.nodes or rng.random() < NEIGHBOUR_ODDS):
            source = after
        if before is not None and before.nodes and (not source.nodes or rng.random() < NEIGHBOUR_ODDS):
            source = before
        free = _free(source.nodes, asked) or _free(
            table.closest(target, TARGET_NODES, good_only=False), asked
        )
        return _pick(free, asked, rng)

    def _want(self, table: RoutingTable, target: InfoHash) -> int | None:
        number = int.from_bytes(target, "big")
        for other in self._tables.values():
            if other is not table:
                thin = len(other.bucket_of(number).nodes) < TARGET_NODES
                return WANT_BOTH if thin or self._ctx.rng.random() < BOTH_ODDS else None
        return None

    def _revive(self, table: RoutingTable, asked: set[RemoteNode]) -> list[Work]:
        """Everybody is gone, so perhaps only our line was: ping some of them, others the next time."""
        gone = [node for node in table if not node.pending]
        chosen = self._ctx.rng.sample(gone, min(REVIVALS, len(gone)))
        asked.update(chosen)
        return [SendPing(node) for node in chosen]

    def _keep_alive(
        self, table: RoutingTable, asked: set[RemoteNode], now: float
    ) -> tuple[list[Work], float]:
        """Pings to the nodes that are or soon turn dubious, and when the next one will be due."""
        proof_due = now - (NODE_GOOD_TIME - NODE_EXPIRE_TIME)
        due: list[RemoteNode] = []
        next_silent = inf
        for node in table:
            if node.expired or node.pending or node in asked:
                continue
            if node.last_heard < now - KEEP_ALIVE_AGE or node.last_reply < proof_due:
                due.append(node)
            else:
                next_silent = min(next_silent, node.last_heard + KEEP_ALIVE_AGE)
        due.sort(key=lambda node: node.last_heard)
        share = 1 if self._ctx.config.client_mode else max(KEEP_ALIVE_MIN, -(-len(due) // KEEP_ALIVE_SHARE))
        return [SendPing(node) for node in due[:share]], next_silent

    # -- joining and newcomers

    def _join(self, table: RoutingTable) -> list[Work]:
        self._joined[table.family] = True
        self._grown[table.family] = self._ctx.now.mono
        targets = [self._ctx.node_id]
        targets += (InfoHash(self._ctx.rng.randbytes(20)) for _ in range(RANDOM_LOOKUPS))
        return [StartLookup(table.family, target) for target in targets]

    def _grew(self, table: RoutingTable) -> list[Work]:
        now = self._ctx.now.mono
        was_quiet = self._grown[table.family] < now - QUIET_TIME
        self._grown[table.family] = now
        if was_quiet and self._joined[table.family]:
            return [StartLookup(table.family, self._ctx.node_id)]
        return []

    def _greet(self, node: RemoteNode, *, at_once: bool) -> list[Work]:
        if node.pending:
            return []
        if at_once and self._take_credit():
            return [SendPing(node)]
        if len(self._newcomers) < MAX_NEWCOMERS:
            self._newcomers.append(node)
            self._newcomers_due = min(self._newcomers_due, self._ctx.now.mono + NEWCOMER_DELAY)
        return []

    def _greet_waiting(self) -> list[Work]:
        now = self._ctx.now.mono
        work: list[Work] = []
        newcomers = self._newcomers
        while newcomers:
            node = newcomers[0]
            if node.in_table and not (node.pending or node.expired or node.is_good(now)):
                if not self._take_credit():
                    break
                work.append(SendPing(node))
            newcomers.popleft()
        self._newcomers_due = now + 1 / NEWCOMER_RATE if newcomers else inf
        return work

    def _take_credit(self) -> bool:
        now = self._ctx.now.mono
        self._credit = min(NEWCOMER_RATE, self._credit + (now - self._credit_time) * NEWCOMER_RATE)
        self._credit_time = now
        if self._credit < 1:
            return False
        self._credit -= 1
        return True


def _free(nodes: Iterable[RemoteNode], asked: set[RemoteNode]) -> list[RemoteNode]:
    return [node for node in nodes if not (node.expired or node.pending or node in asked)]


def _pick(nodes: list[RemoteNode], asked: set[RemoteNode], rng: Random) -> RemoteNode | None:
    if not nodes:
        return None
    node = rng.choice(nodes)
    asked.add(node)
    return node
