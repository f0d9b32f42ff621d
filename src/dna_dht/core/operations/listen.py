"""Listen: be told of every change under a key, without asking again and again. Source: spec 01, 14; spec 02,
16, 17, 25.1.

A listen subscribes to the LISTEN_NODES closest nodes (:mod:`~dna_dht.core.operations.subscription`); what
they report is merged by :mod:`~dna_dht.core.operations.listened`.

The closest nodes change. Every RENEWAL seconds, and when a serving node names somebody closer, they are
looked for again; whoever is not among the closest any more is let go as soon as LISTEN_NODES closer ones have
confirmed. Silence moves a subscription to the next node.

A node that refuses, or that reports a value with a bad signature, is left alone for SHUN seconds, one that
does not answer for REST: otherwise it would be found, asked and lost again without end.
"""

from functools import partial
from typing import Literal

from dna_dht.core.effects import ListenChanged, OperationId
from dna_dht.core.exchange.remote_node import RemoteNode
from dna_dht.core.exchange.request_group import RequestGroup
from dna_dht.core.operations.listened import Listened
from dna_dht.core.operations.lookup import ANSWERED, FAILED, NEW, TARGET_NODES, Candidate, Lookup
from dna_dht.core.operations.services import Services
from dna_dht.core.operations.subscription import RENEWAL, SHUN, Subscription
from dna_dht.core.routing.overlay import Overlay
from dna_dht.core.timers import Timer
from dna_dht.core.values.stored_value import Change, Refreshed, Stored
from dna_dht.wire.infohash import ZERO, InfoHash
from dna_dht.wire.messages import Update
from dna_dht.wire.query import Query
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import unpack

LISTEN_NODES = 4  # closest nodes subscribed to, per family; spec 02, section 1
RETRY = 5.0  # seconds before subscribing again after all closest nodes failed
EXPIRY_SWEEP = 30.0  # seconds between looks for values nobody confirmed
LOOK_PERIOD = 60.0  # seconds between lookups that closer nodes give rise to, at least
WAIT = 0.25  # seconds until a value that found no room at the verifier is offered again
MAX_WAITING = 1024  # such values
LOCAL = ZERO  # the source "our own store"


class ListenOperation:
    """One running listen; it ends only by :meth:`cancel`."""

    def __init__(self, services: Services, operation: OperationId, key: InfoHash, query: Query) -> None:
        self.key = key
        self._number = int.from_bytes(key, "big")
        self._services = services
        self._operation = operation
        self._query = Query((), query.where)
        self._lookups: list[Lookup] = []
        self._subscriptions: list[Subscription] = []
        self._values = Listened(services.ctx, self._tell)
        self._shunned: dict[InfoHash, float] = {}  # until, monotonic seconds
        self._requests = RequestGroup(services.requests)
        self._waiting = 0  # values that found no room at the verifier
        self._stopped = False
        ctx = services.ctx
        self._looked_up = ctx.now.mono
        self._next_look: Timer | None = None
        self._sweep = ctx.timers.at(ctx.now.mono + EXPIRY_SWEEP, self._on_sweep)

    def start(self) -> None:
        """Report what our own store has, then subscribe."""
        for stored in self._services.storage.find(self.key, self._query):
            self._values.report(unpack(stored.packed), LOCAL)
        self._look_up()

    def cancel(self) -> None:
        """Stop; storing nodes forget us within 10 minutes, their updates until then are confirmed and
        ignored.
        """
        self._stopped = True
        self._sweep.cancel()
        if self._next_look is not None:
            self._next_look.cancel()
        self._drop_subscriptions()

    def resubscribe(self) -> None:
        """Our network changed or came back: find the closest nodes again and subscribe."""
        self._drop_subscriptions()
        self._shunned.clear()
        self._look_up()

    def on_connected(self) -> None:
        """The node has company again."""
        if not self._subscriptions:
            self._shunned.clear()
            self._look_up()

    # -- finding whom to subscribe to

    def _look_up(self) -> None:
        services, now = self._services, self._services.ctx.now.mono
        self._looked_up = now
        self._shunned = {node_id: until for node_id, until in self._shunned.items() if until > now}
        for old in self._lookups:
            old.close()
        self._lookups = []
        for overlay in services.active_overlays():
            lookup = Lookup(services.ctx, overlay, self.key, self._ask)
            if lookup.candidates:
                self._lookups.append(lookup)
        for lookup in self._lookups:
            lookup.step()
            self._subscribe(lookup)
        self._schedule()

    def _look_up_again(self) -> None:
        """Find others, unless that is being done."""
        if all(lookup.settled or lookup.stuck for lookup in self._lookups):
            self._look_up()

    def _schedule(self) -> None:
        """The next look: soon while nobody serves us and nobody is asked."""
        ctx = self._services.ctx
        if self._subscriptions or self._requests:
            delay = ctx.rng.uniform(*RENEWAL)
        else:
            delay = ctx.jittered(RETRY, 0.5)
        if self._next_look is not None:
            self._next_look.cancel()
        self._next_look = ctx.timers.at(ctx.now.mono + delay, self._look_up)

    def _ask(self, lookup: Lookup, candidate: Candidate) -> None:
        node = candidate.node
        if lookup.confident and node.has_token(self._services.ctx.now.mono):
            candidate.state = ANSWERED
            return
        composer = self._services.composer
        self._requests.send(
            node,
            "find",
            lambda tid: composer.find(tid, self.key),
            on_reply=partial(lookup.answered, candidate),
            on_failed=lambda code: lookup.failed(candidate),
            on_slow=partial(lookup.slow, candidate),
            then=partial(self._go_on, lookup),
        )

    def _go_on(self, lookup: Lookup) -> None:
        if not self._stopped and lookup in self._lookups:
            lookup.step()
            self._subscribe(lookup)
            if not (self._subscriptions or self._requests):
                self._schedule()

    def _subscribe(self, lookup: Lookup) -> None:
        """Subscribe to the closest nodes that answered."""
        now = self._services.ctx.now.mono
        wanted = LISTEN_NODES + lookup.width - TARGET_NODES
        served = self._served()
        for candidate in lookup.candidates:
            node = candidate.node
            if candidate.state == FAILED or candidate.slow or node.expired or node.id in self._shunned:
                continue
            if candidate.state != ANSWERED:
                if candidate.state == NEW and lookup.exhausted:
                    continue
                return
            if node not in served:
                if not node.has_token(now):
                    continue
                self._begin(lookup.overlay, node)
            wanted -= 1
            if not wanted:
                return

    def _served(self) -> set[RemoteNode]:
        return {subscription.node for subscription in self._subscriptions}

    # -- subscriptions

    def _begin(self, overlay: Overlay, node: RemoteNode) -> None:
        subscription = Subscription(self._services, overlay, node, self.key, self._query, self._on_update)
        subscription.on_confirmed = self._let_go
        subscription.on_lost = self._lose
        subscription.on_named = self._look_for_closer
        self._subscriptions.append(subscription)
        subscription.start()

    def _let_go(self, confirmed: Subscription) -> None:
        """Drop whoever has LISTEN_NODES closer ones that have confirmed."""
        serving = [
            other for other in self._subscriptions if other.confirmed and other.overlay is confirmed.overlay
        ]
        width = max((look.width for look in self._lookups if look.overlay is confirmed.overlay), default=0)
        wanted = LISTEN_NODES + max(width - TARGET_NODES, 0)
        if len(serving) > wanted:
            serving.sort(key=lambda other: other.node.distance(self._number))
            for surplus in serving[wanted:]:
                self._close(surplus)

    def _look_for_closer(self, subscription: Subscription) -> None:
        """See whether somebody who should serve us does not."""
        if self._services.ctx.now.mono >= self._looked_up + LOOK_PERIOD:
            served = self._served()
            for node in subscription.overlay.closest(self.key, LISTEN_NODES):
                if node not in served and node.id not in self._shunned:
                    self._look_up_again()
                    return

    def _lose(self, subscription: Subscription, rest: float) -> None:
        """A serving node is gone, or of no use for *rest* seconds: be served by the next one."""
        if subscription.open:
            ctx = self._services.ctx
            self._shunned[subscription.node.id] = ctx.now.mono + rest
            self._close(subscription)
            ctx.counters.events["listen moved"] += 1
            self._look_up_again()

    def _drop_subscriptions(self) -> None:
        self._requests.cancel_all()
        for lookup in self._lookups:
            lookup.close()
        for subscription in list(self._subscriptions):
            self._close(subscription)

    def _close(self, subscription: Subscription) -> None:
        """Its values keep their other sources."""
        subscription.close()
        self._subscriptions.remove(subscription)
        self._values.forget(subscription.node.id)

    # -- being told

    def _on_update(self, subscription: Subscription, update: Update) -> None:
        """A serving node reports a change."""
        source = subscription.node.id
        if update.token:
            subscription.got_token(update.token)
        for value in update.values:
            if subscription.open:
                self._on_value(value, subscription)
        for value_id in update.refreshed:
            self._values.refreshed(value_id, source)
        for value_id in update.expired:
            self._values.expired(value_id, source)

    def on_local_change(self, change: Change) -> None:
        """Our own store changed under the key."""
        if isinstance(change, Stored):
            if self._query.matches(change.value):
                self._values.report(unpack(change.value.packed), LOCAL)
        elif isinstance(change, Refreshed):
            for value_id in change.ids:
                self._values.refreshed(value_id, LOCAL)
        else:
            for stored in change.values:
                self._values.expired(stored.id, LOCAL)

    def _on_value(self, value: Value, subscription: Subscription) -> None:
        if value.is_encrypted or not self._query.matches(value):
            return
        source = subscription.node.id
        if self._values.knows(value, source):
            return
        if value.is_signed:
            self._check(value, subscription)
        elif self._services.ctx.config.accept_unsigned:
            self._values.report(value, source)

    def _check(self, value: Value, subscription: Subscription) -> None:
        """Have the signature checked, later if there is no room: a value that was confirmed is not sent
        again.
        """
        services = self._services
        then = partial(self._on_checked, value, subscription)
        if not services.verification.check(value, None, then) and self._waiting < MAX_WAITING:
            self._waiting += 1
            services.ctx.timers.at(
                services.ctx.now.mono + WAIT, partial(self._try_again, value, subscription)
            )

    def _try_again(self, value: Value, subscription: Subscription) -> None:
        self._waiting -= 1
        if subscription.open:
            self._on_value(value, subscription)

    def _on_checked(self, value: Value, subscription: Subscription, valid: bool) -> None:
        if self._stopped:
            return
        if valid:
            self._values.report(value, subscription.node.id if subscription.open else None)
        else:
            self._services.ctx.counters.values["listen: bad signature"] += 1
            self._lose(subscription, SHUN)

    def _tell(self, change: Literal["added", "updated", "expired"], value: Value) -> None:
        self._services.ctx.outbox.emit(ListenChanged(self._operation, change, value))

    def _on_sweep(self) -> None:
        ctx = self._services.ctx
        self._values.sweep()
        self._sweep = ctx.timers.at(ctx.now.mono + EXPIRY_SWEEP, self._on_sweep)
