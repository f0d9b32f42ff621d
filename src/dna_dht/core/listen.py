"""Listen: be told of every change under a key, without asking again and again. Source: spec 01, 14; spec 02,
16, 17, 25.1.

A listen subscribes to the LISTEN_NODES closest nodes and keeps, per value, the set of nodes that have it
(*sources*): so a change that four nodes report is told once, and a value is reported as expired only when the
last source says so, or when nobody confirmed it for the life of its type (S-15). A source that falls silent
says nothing about its values.

A storing node keeps a subscription for 10 minutes. It is renewed every RENEWAL seconds; in between each
serving node is asked for its token now and then (a find, KEEP_ALIVE): silence moves the subscription to the
next node, another token than before may mean that it restarted and forgot us, so it is subscribed again (spec
02, 25.1 item 15).

The socket id of a subscription is opened for the subscription, not for the node: it survives the node's
    expiry (S-19).
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

from dna_dht.core.effects import ListenChanged, OperationId
from dna_dht.core.lookup import ANSWERED, FAILED, Candidate, Lookup
from dna_dht.core.remote_node import RemoteNode
from dna_dht.core.requests import Request
from dna_dht.core.services import Services
from dna_dht.core.stored_value import Change, Refreshed, Stored
from dna_dht.core.timers import Timer
from dna_dht.core.value_types import type_of
from dna_dht.wire.infohash import ZERO, InfoHash
from dna_dht.wire.messages import Reply, Update
from dna_dht.wire.query import Query
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import unpack

LISTEN_NODES = 4  # closest nodes subscribed to; spec 02, section 1
RENEWAL = (210.0, 270.0)  # seconds, uniform; spec 02, 25.1 item 15
KEEP_ALIVE = 20.0  # seconds between signs of life of a serving node; same
RETRY = 5.0  # seconds before subscribing again after all closest nodes failed
EXPIRY_SWEEP = 30.0  # seconds between looks for values nobody confirmed
LOCAL = ZERO  # the source "our own store"
UNAUTHORIZED = 401


class _Entry:
    """A value that was reported, who has it, and until when it lives without confirmation (monotonic
    seconds).
    """

    __slots__ = ("expires", "sources", "value")

    def __init__(self, value: Value, expires: float) -> None:
        self.value = value
        self.sources: set[InfoHash] = set()
        self.expires = expires


class _Subscription:
    """One serving node of one listen."""

    __slots__ = ("confirmed", "lookup", "node", "refusals", "request", "socket_id", "timer", "token")

    def __init__(self, lookup: Lookup, node: RemoteNode, socket_id: int) -> None:
        self.lookup = lookup
        self.node = node
        self.socket_id = socket_id
        self.token = b""  # with which we subscribed
        self.confirmed = -1.0  # monotonic seconds of the last confirmation
        self.refusals = 0
        self.request: Request | None = None
        self.timer: Timer | None = None


class ListenOperation:
    """One running listen; it ends only by :meth:`cancel`."""

    def __init__(self, services: Services, operation: OperationId, key: InfoHash, query: Query) -> None:
        self.key = key
        self._services = services
        self._operation = operation
        self._query = Query((), query.where)
        self._lookups: list[Lookup] = []
        self._subscriptions: dict[int, _Subscription] = {}
        self._entries: dict[tuple[InfoHash, int], _Entry] = {}
        self._requests: set[Request] = set()
        self._stopped = False
        ctx = services.ctx
        self._restart: Timer | None = None
        self._sweep = ctx.timers.at(ctx.now.mono + EXPIRY_SWEEP, self._on_sweep)

    def start(self) -> None:
        """Report what our own store has, then subscribe."""
        for stored in self._services.storage.find(self.key, self._query):
            self._report(unpack(stored.packed), LOCAL)
        self._look_up()

    def cancel(self) -> None:
        """Stop; storing nodes forget us within 10 minutes, their updates until then are confirmed and
        ignored.
        """
        self._stopped = True
        self._sweep.cancel()
        if self._restart is not None:
            self._restart.cancel()
        self._drop_subscriptions()

    def resubscribe(self) -> None:
        """Our network changed or came back: find the closest nodes again and subscribe."""
        self._drop_subscriptions()
        self._look_up()

    def on_connected(self) -> None:
        """The node has company again."""
        if not self._subscriptions:
            self._look_up()

    # -- subscribing

    def _look_up(self) -> None:
        services = self._services
        if self._restart is not None:
            self._restart.cancel()
        self._lookups = []
        for overlay in services.active_overlays():
            lookup = Lookup(services.ctx, overlay, self.key, self._ask)
            if lookup.candidates:
                self._lookups.append(lookup)
        for lookup in self._lookups:
            lookup.step()
            self._subscribe(lookup)
        self._ensure()

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
        on_slow: Callable[[], None],
        then: Callable[[], None],
    ) -> Request:
        request: Request

        def reply(message: Reply) -> None:
            self._requests.discard(request)
            on_reply(message)
            then()

        def failed(code: int) -> None:
            self._requests.discard(request)
            on_failed(code)
            then()

        def slow() -> None:
            on_slow()
            then()

        request = self._services.requests.send(
            node, kind, build, on_reply=reply, on_failed=failed, on_slow=slow
        )
        self._requests.add(request)
        return request

    def _go_on(self, lookup: Lookup) -> None:
        if not self._stopped and lookup in self._lookups:
            lookup.step()
            self._subscribe(lookup)
            self._ensure()

    def _subscribe(self, lookup: Lookup) -> None:
        """Subscribe to the closest nodes that answered; who is no longer among them is let go at its next
        renewal.
        """
        now = self._services.ctx.now.mono
        wanted = LISTEN_NODES
        served = {subscription.node for subscription in self._subscriptions.values()}
        for candidate in lookup.candidates:
            node = candidate.node
            if candidate.state == FAILED or candidate.slow or node.expired:
                continue
            if candidate.state != ANSWERED:
                return
            if node not in served:
                if not node.has_token(now):
                    continue
                socket_id = self._services.requests.open_socket(node, self.on_update)
                subscription = _Subscription(lookup, node, socket_id)
                self._subscriptions[socket_id] = subscription
                node.held += 1
                self._send_listen(subscription)
            wanted -= 1
            if not wanted:
                return

    def _send_listen(self, subscription: _Subscription) -> None:
        composer, node = self._services.composer, subscription.node
        subscription.token = node.token
        subscription.request = self._send(
            node,
            "listen",
            lambda tid: composer.listen(tid, self.key, node.token, subscription.socket_id, self._query),
            on_reply=lambda reply: self._on_confirmed(subscription, reply),
            on_failed=lambda code: self._on_refused(subscription, code),
            on_slow=lambda: None,
            then=lambda: None,
        )

    def _on_confirmed(self, subscription: _Subscription, reply: Reply) -> None:
        ctx = self._services.ctx
        subscription.confirmed = ctx.now.mono
        subscription.refusals = 0
        subscription.node.accepted_token()
        if reply.token:
            subscription.token = reply.token
        self._arm(subscription, KEEP_ALIVE, self._keep_alive)

    def _on_refused(self, subscription: _Subscription, code: int) -> None:
        if code == UNAUTHORIZED and subscription.refusals < 3:
            subscription.refusals += 1
            subscription.node.refused_token()
            self._ask_token(subscription, renew=True)
        else:
            self._lose(subscription)

    # -- keeping

    def _arm(
        self, subscription: _Subscription, delay: float, action: Callable[[_Subscription], None]
    ) -> None:
        ctx = self._services.ctx
        if subscription.timer is not None:
            subscription.timer.cancel()
        subscription.timer = ctx.timers.at(
            ctx.now.mono + ctx.jittered(delay, 0.2), partial(action, subscription)
        )

    def _keep_alive(self, subscription: _Subscription) -> None:
        ctx = self._services.ctx
        due = subscription.confirmed + ctx.rng.uniform(*RENEWAL)
        self._ask_token(subscription, renew=ctx.now.mono >= due)

    def _ask_token(self, subscription: _Subscription, *, renew: bool) -> None:
        """A find to the serving node: proves it alive, brings its token and its view of the closest nodes."""
        composer = self._services.composer
        lookup = subscription.lookup

        def answered(reply: Reply) -> None:
            nodes = reply.nodes4 if lookup.overlay.family == 4 else reply.nodes6
            if nodes:
                lookup.overlay.on_nodes(nodes, subscription.node)
            if subscription.socket_id not in self._subscriptions:
                return
            if renew or subscription.node.token != subscription.token:
                self._send_listen(subscription)
            else:
                self._arm(subscription, KEEP_ALIVE, self._keep_alive)

        self._send(
            subscription.node,
            "find",
            lambda tid: composer.find(tid, self.key),
            on_reply=answered,
            on_failed=lambda code: self._lose(subscription),
            on_slow=lambda: None,
            then=lambda: None,
        )

    def _lose(self, subscription: _Subscription) -> None:
        """A serving node is gone: serve ourselves from the next one. Its values keep their other sources."""
        if self._subscriptions.pop(subscription.socket_id, None) is None:
            return
        self._close(subscription)
        for entry in self._entries.values():
            entry.sources.discard(subscription.node.id)
        if not self._stopped:
            self._services.ctx.counters.events["listen moved"] += 1
            self._look_up()

    def _ensure(self) -> None:
        """While nobody serves us and nobody is asked, try again soon."""
        if self._subscriptions or self._requests or self._stopped:
            return
        ctx = self._services.ctx
        if self._restart is None or not self._restart.pending:
            self._restart = ctx.timers.at(ctx.now.mono + ctx.jittered(RETRY, 0.5), self._look_up)

    def _drop_subscriptions(self) -> None:
        for request in self._requests:
            self._services.requests.cancel(request)
        self._requests.clear()
        for subscription in self._subscriptions.values():
            self._close(subscription)
        self._subscriptions.clear()

    def _close(self, subscription: _Subscription) -> None:
        self._services.requests.close_socket(subscription.socket_id)
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
            self._on_value(value, node.id)
        for value_id in update.refreshed:
            self._on_refreshed(value_id, node.id)
        for value_id in update.expired:
            self._on_expired(value_id, node.id)

    def on_local_change(self, change: Change) -> None:
        """Our own store changed under the key."""
        if isinstance(change, Stored):
            if self._query.matches(change.value):
                self._report(unpack(change.value.packed), LOCAL)
        elif isinstance(change, Refreshed):
            for value_id in change.ids:
                self._on_refreshed(value_id, LOCAL)
        else:
            for stored in change.values:
                self._on_expired(stored.id, LOCAL)

    def _on_value(self, value: Value, source: InfoHash) -> None:
        if value.is_encrypted or not self._query.matches(value):
            return
        entry = self._entries.get((value.owner_id, value.id))
        if entry is not None and entry.value.seq >= value.seq:
            if entry.value.seq == value.seq:
                self._renew(entry, source)
            return
        if not value.is_signed:
            if self._services.ctx.config.accept_unsigned:
                self._report(value, source)
            return
        self._services.verification.check(value, None, partial(self._on_checked, value, source))

    def _on_checked(self, value: Value, source: InfoHash, valid: bool) -> None:
        if valid and not self._stopped:
            self._report(value, source)

    def _report(self, value: Value, source: InfoHash) -> None:
        key = (value.owner_id, value.id)
        entry = self._entries.get(key)
        if entry is not None and (entry.value.seq > value.seq or entry.value == value):
            if entry.value.seq == value.seq:
                self._renew(entry, source)
            return
        change: Literal["added", "updated"] = "added"
        if entry is None:
            if len(self._entries) >= self._services.ctx.config.limits.listen_values:
                self._tell_expired(min(self._entries, key=lambda other: self._entries[other].expires))
            entry = self._entries[key] = _Entry(value, 0.0)
        else:
            only_resigned = entry.value.seq == value.seq
            entry.value = value
            if only_resigned:
                self._renew(entry, source)
                return
            change = "updated"
            entry.sources.clear()
        self._renew(entry, source)
        self._services.ctx.outbox.emit(ListenChanged(self._operation, change, value))

    def _renew(self, entry: _Entry, source: InfoHash) -> None:
        entry.sources.add(source)
        entry.expires = self._services.ctx.now.mono + type_of(entry.value.type).lifetime

    def _on_refreshed(self, value_id: int, source: InfoHash) -> None:
        for (_, known_id), entry in self._entries.items():
            if known_id == value_id and source in entry.sources:
                self._renew(entry, source)

    def _on_expired(self, value_id: int, source: InfoHash) -> None:
        for key, entry in list(self._entries.items()):
            if key[1] == value_id and source in entry.sources:
                entry.sources.discard(source)
                if not entry.sources:
                    self._tell_expired(key)

    def _on_sweep(self) -> None:
        ctx = self._services.ctx
        for key in [key for key, entry in self._entries.items() if entry.expires <= ctx.now.mono]:
            self._tell_expired(key)
        self._sweep = ctx.timers.at(ctx.now.mono + EXPIRY_SWEEP, self._on_sweep)

    def _tell_expired(self, key: tuple[InfoHash, int]) -> None:
        entry = self._entries.pop(key)
        self._services.ctx.outbox.emit(ListenChanged(self._operation, "expired", entry.value))
