"""Listen: be told of every change under a key, without asking again and again. Source: spec 01, 14; spec 02,
16, 17, 25.1.

A listen subscribes to the LISTEN_NODES closest nodes; what they report is merged by
:mod:`~dna_dht.core.listened`.

A storing node keeps a subscription for 10 minutes; it is renewed every RENEWAL seconds. In between each
serving node is asked for its token now and then (a find, KEEP_ALIVE), unless it gave us one for another
reason meanwhile. Silence moves the subscription to the next node. Another token than before may mean that the
node restarted and forgot us, so it is subscribed again (spec 02, 25.1 item 15).

The closest nodes change. Every RENEWAL, and when a serving node names somebody closer, they are looked for
again; whoever is not among the closest any more is let go as soon as LISTEN_NODES closer ones have confirmed.

A node that refuses, or that reports a value with a bad signature, is left alone for SHUN seconds, one that
does not answer for REST: otherwise it would be found, asked and lost again without end.

The socket id of a subscription is opened for the subscription, not for the node: it survives the node's
expiry (S-19).
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

from dna_dht.core.effects import ListenChanged, OperationId
from dna_dht.core.listened import Listened
from dna_dht.core.lookup import ANSWERED, FAILED, NEW, Candidate, Lookup
from dna_dht.core.overlay import Overlay
from dna_dht.core.remote_node import RemoteNode
from dna_dht.core.requests import EXPIRED, Request
from dna_dht.core.services import Services
from dna_dht.core.stored_value import Change, Refreshed, Stored
from dna_dht.core.timers import Timer
from dna_dht.wire.infohash import ZERO, InfoHash
from dna_dht.wire.messages import Reply, Update
from dna_dht.wire.query import Query
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import unpack

LISTEN_NODES = 4  # closest nodes subscribed to, per family; spec 02, section 1
RENEWAL = (210.0, 270.0)  # seconds, uniform; spec 02, 25.1 item 15
KEEP_ALIVE = 20.0  # seconds between signs of life of a serving node; same
RETRY = 5.0  # seconds before subscribing again after all closest nodes failed
EXPIRY_SWEEP = 30.0  # seconds between looks for values nobody confirmed
LOOK_PERIOD = 60.0  # seconds between lookups that closer nodes give rise to, at least
SHUN = 600.0  # seconds for which a node that refused or lied is not subscribed to; as the blacklist
REST = 60.0  # the same for one that was silent
MAX_REFUSALS = 3  # tokens a serving node may refuse in a row
LOCAL = ZERO  # the source "our own store"
UNAUTHORIZED = 401


class _Subscription:
    """One serving node of one listen.

    Attributes:
        token: with which we subscribed.
        confirmed: it has been, at least once. renewal: when it is due again, monotonic seconds.
        refusals: of our token, in a row.
    """

    __slots__ = ("confirmed", "node", "overlay", "refusals", "renewal", "socket_id", "timer", "token")

    def __init__(self, overlay: Overlay, node: RemoteNode, socket_id: int) -> None:
        self.overlay = overlay
        self.node = node
        self.socket_id = socket_id
        self.token = b""
        self.confirmed = False
        self.renewal = 0.0
        self.refusals = 0
        self.timer: Timer | None = None


class ListenOperation:
    """One running listen; it ends only by :meth:`cancel`."""

    def __init__(self, services: Services, operation: OperationId, key: InfoHash, query: Query) -> None:
        self.key = key
        self._number = int.from_bytes(key, "big")
        self._services = services
        self._operation = operation
        self._query = Query((), query.where)
        self._lookups: list[Lookup] = []
        self._subscriptions: dict[int, _Subscription] = {}
        self._values = Listened(services.ctx, self._tell)
        self._shunned: dict[InfoHash, float] = {}  # until, monotonic seconds
        self._requests: set[Request] = set()
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
        self._send(
            node,
            "find",
            lambda tid: composer.find(tid, self.key),
            on_reply=lambda reply: lookup.answered(candidate, reply),
            on_failed=lambda code: lookup.failed(candidate),
            on_slow=lambda: lookup.slow(candidate),
            then=partial(self._go_on, lookup),
        )

    def _send(
        self,
        node: RemoteNode,
        kind: Literal["find", "listen"],
        build: Callable[[int], list[bytes]],
        on_reply: Callable[[Reply], None],
        on_failed: Callable[[int], None],
        on_slow: Callable[[], None] | None = None,
        then: Callable[[], None] | None = None,
    ) -> None:
        request: Request

        def reply(message: Reply) -> None:
            self._requests.discard(request)
            on_reply(message)
            if then is not None:
                then()

        def failed(code: int) -> None:
            self._requests.discard(request)
            on_failed(code)
            if then is not None:
                then()

        def slow() -> None:
            if on_slow is not None:
                on_slow()
            if then is not None:
                then()

        request = self._services.requests.send(
            node, kind, build, on_reply=reply, on_failed=failed, on_slow=slow
        )
        self._requests.add(request)

    def _go_on(self, lookup: Lookup) -> None:
        if not self._stopped and lookup in self._lookups:
            lookup.step()
            self._subscribe(lookup)
            if not (self._subscriptions or self._requests):
                self._schedule()

    def _subscribe(self, lookup: Lookup) -> None:
        """Subscribe to the closest nodes that answered."""
        now = self._services.ctx.now.mono
        wanted = LISTEN_NODES
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
                socket_id = self._services.requests.open_socket(node, self.on_update)
                subscription = _Subscription(lookup.overlay, node, socket_id)
                self._subscriptions[socket_id] = subscription
                node.held += 1
                self._send_listen(subscription)
            wanted -= 1
            if not wanted:
                return

    def _served(self) -> set[RemoteNode]:
        return {subscription.node for subscription in self._subscriptions.values()}

    # -- one subscription

    def _send_listen(self, subscription: _Subscription) -> None:
        composer, node = self._services.composer, subscription.node
        subscription.token = node.token
        self._send(
            node,
            "listen",
            lambda tid: composer.listen(tid, self.key, node.token, subscription.socket_id, self._query),
            on_reply=lambda reply: self._on_confirmed(subscription),
            on_failed=lambda code: self._on_refused(subscription, code),
        )

    def _on_confirmed(self, subscription: _Subscription) -> None:
        if subscription.socket_id not in self._subscriptions:
            return
        ctx = self._services.ctx
        subscription.confirmed = True
        subscription.renewal = ctx.now.mono + ctx.rng.uniform(*RENEWAL)
        subscription.refusals = 0
        subscription.node.accepted_token()
        self._arm(subscription)
        self._let_go(subscription.overlay)

    def _let_go(self, overlay: Overlay) -> None:
        """Drop whoever has LISTEN_NODES closer ones that have confirmed."""
        confirmed = [
            subscription
            for subscription in self._subscriptions.values()
            if subscription.confirmed and subscription.overlay is overlay
        ]
        if len(confirmed) > LISTEN_NODES:
            confirmed.sort(key=lambda subscription: subscription.node.distance(self._number))
            for surplus in confirmed[LISTEN_NODES:]:
                self._close(surplus)

    def _on_refused(self, subscription: _Subscription, code: int) -> None:
        if code == UNAUTHORIZED and subscription.refusals < MAX_REFUSALS:
            subscription.refusals += 1
            subscription.node.refused_token()
            self._ask_token(subscription, renew=True)
        else:
            self._lose(subscription, REST if code == EXPIRED else SHUN)

    def _arm(self, subscription: _Subscription) -> None:
        ctx = self._services.ctx
        if subscription.timer is not None:
            subscription.timer.cancel()
        subscription.timer = ctx.timers.at(
            ctx.now.mono + ctx.jittered(KEEP_ALIVE, 0.2), partial(self._keep_alive, subscription)
        )

    def _keep_alive(self, subscription: _Subscription) -> None:
        now, node = self._services.ctx.now.mono, subscription.node
        due = now >= subscription.renewal
        if due and node.has_token(now):
            self._send_listen(subscription)
        elif not due and node.token_time > now - KEEP_ALIVE / 2:
            self._compare_token(subscription)
        else:
            self._ask_token(subscription, renew=due)

    def _ask_token(self, subscription: _Subscription, *, renew: bool) -> None:
        """A find to the serving node: proves it alive, brings its token and its view of the closest nodes."""
        composer, overlay = self._services.composer, subscription.overlay

        def answered(reply: Reply) -> None:
            nodes = reply.nodes4 if overlay.family == 4 else reply.nodes6
            if nodes:
                overlay.on_nodes(nodes, subscription.node)
            if subscription.socket_id in self._subscriptions:
                if renew:
                    self._send_listen(subscription)
                else:
                    self._compare_token(subscription)
                self._look_for_closer(overlay)

        self._send(
            subscription.node,
            "find",
            lambda tid: composer.find(tid, self.key),
            on_reply=answered,
            on_failed=lambda code: self._lose(subscription, REST if code == EXPIRED else SHUN),
        )

    def _compare_token(self, subscription: _Subscription) -> None:
        """Another token than before: it may have restarted and forgotten us."""
        if subscription.node.token != subscription.token:
            self._send_listen(subscription)
        else:
            self._arm(subscription)

    def _look_for_closer(self, overlay: Overlay) -> None:
        """See whether somebody who should serve us does not."""
        if self._services.ctx.now.mono >= self._looked_up + LOOK_PERIOD:
            served = self._served()
            for node in overlay.closest(self.key, LISTEN_NODES):
                if node not in served and node.id not in self._shunned:
                    self._look_up_again()
                    return

    def _lose(self, subscription: _Subscription, rest: float) -> None:
        """A serving node is gone, or of no use for *rest* seconds: be served by the next one."""
        if subscription.socket_id not in self._subscriptions:
            return
        ctx = self._services.ctx
        self._shunned[subscription.node.id] = ctx.now.mono + rest
        self._close(subscription)
        ctx.counters.events["listen moved"] += 1
        self._look_up_again()

    def _drop_subscriptions(self) -> None:
        for request in self._requests:
            self._services.requests.cancel(request)
        self._requests.clear()
        for subscription in list(self._subscriptions.values()):
            self._close(subscription)

    def _close(self, subscription: _Subscription) -> None:
        """Its values keep their other sources."""
        del self._subscriptions[subscription.socket_id]
        self._services.requests.close_socket(subscription.socket_id)
        self._values.forget(subscription.node.id)
        subscription.node.held -= 1
        if subscription.timer is not None:
            subscription.timer.cancel()

    # -- being told

    def on_update(self, update: Update) -> None:
        """A serving node reports a change."""
        subscription = self._subscriptions[update.socket_id]
        node = subscription.node
        if update.token:
            node.got_token(update.token, self._services.ctx.now.mono)
            subscription.token = update.token
        for value in update.values:
            self._on_value(value, subscription)
        for value_id in update.refreshed:
            self._values.refreshed(value_id, node.id)
        for value_id in update.expired:
            self._values.expired(value_id, node.id)

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

    def _on_value(self, value: Value, subscription: _Subscription) -> None:
        if value.is_encrypted or not self._query.matches(value):
            return
        source = subscription.node.id
        if self._values.knows(value, source):
            return
        if value.is_signed:
            then = partial(self._on_checked, value, subscription)
            self._services.verification.check(value, None, then)
        elif self._services.ctx.config.accept_unsigned:
            self._values.report(value, source)

    def _on_checked(self, value: Value, subscription: _Subscription, valid: bool) -> None:
        if self._stopped:
            return
        if valid:
            serves = subscription.socket_id in self._subscriptions
            self._values.report(value, subscription.node.id if serves else None)
        else:
            self._services.ctx.counters.values["listen: bad signature"] += 1
            self._lose(subscription, SHUN)

    def _tell(self, change: Literal["added", "updated", "expired"], value: Value) -> None:
        self._services.ctx.outbox.emit(ListenChanged(self._operation, change, value))

    def _on_sweep(self) -> None:
        ctx = self._services.ctx
        self._values.sweep()
        self._sweep = ctx.timers.at(ctx.now.mono + EXPIRY_SWEEP, self._on_sweep)
