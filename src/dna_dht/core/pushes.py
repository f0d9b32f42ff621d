"""Pushes: tell the listeners of other nodes what changed in our store. Source: spec 01, 14.2; spec 02, 12.4.

An edit goes out at once. What follows within COALESCE seconds for the same listener is collected and sent
together (reliability T17), values by their last version. Pushes are ordinary requests: repeated until
confirmed; a node that confirms none of them counts as silent. They go only to addresses that have proved to
receive what we send; a listener has, by the token it subscribed with.
"""

from collections.abc import Callable, Iterable
from functools import partial

from dna_dht.core.compose import Composer
from dna_dht.core.context import CoreContext
from dna_dht.core.remote_listeners import RemoteListener, RemoteListeners
from dna_dht.core.requests import Requests
from dna_dht.core.stored_value import Change, Refreshed, Stored, StoredValue
from dna_dht.core.timers import Timer
from dna_dht.core.tokens import Tokens
from dna_dht.wire.infohash import InfoHash

COALESCE = 0.2  # seconds; reliability T17
MAX_UPDATE_SIZE = 57_344  # bytes of values after which an update is sent; spec 01, 14.2
MAX_IDS = 1024  # ids in one update


class _Pending:
    """What waits for one listener until its pause is over."""

    __slots__ = ("expired", "refreshed", "timer", "values")

    def __init__(self, timer: Timer) -> None:
        self.timer = timer
        self.values: dict[int, StoredValue] = {}
        self.refreshed: dict[int, None] = {}
        self.expired: dict[int, None] = {}


class Pushes:
    """Sends updates to remote listeners."""

    __slots__ = ("_composer", "_ctx", "_listeners", "_pending", "_requests", "_tokens")

    def __init__(
        self,
        ctx: CoreContext,
        listeners: RemoteListeners,
        requests: Requests,
        composer: Composer,
        tokens: Tokens,
    ) -> None:
        self._ctx = ctx
        self._listeners = listeners
        self._requests = requests
        self._composer = composer
        self._tokens = tokens
        self._pending: dict[tuple[RemoteListener, InfoHash], _Pending] = {}

    def on_change(self, key: InfoHash, change: Change) -> None:
        """Our store changed: tell whoever listens to *key*."""
        for listener in self._listeners.of(key):
            if isinstance(change, Stored) and not listener.query.matches(change.value):
                continue
            slot = (listener, key)
            pending = self._pending.get(slot)
            if pending is None:
                timer = self._ctx.timers.at(self._ctx.now.mono + COALESCE, partial(self._flush, slot))
                self._pending[slot] = _Pending(timer)
                self._send_change(listener, key, change)
            else:
                _collect(pending, change)

    def send_stored(self, listener: RemoteListener, key: InfoHash, values: Iterable[StoredValue]) -> None:
        """What a new listener gets first: all stored values that match, in as few updates as their size
        permits.
        """
        batch: list[bytes] = []
        size = 0
        for value in values:
            batch.append(value.packed)
            size += value.size
            if size >= MAX_UPDATE_SIZE:
                self._send_values(listener, key, batch)
                batch, size = [], 0
        if batch:
            self._send_values(listener, key, batch)

    # -- inside

    def _flush(self, slot: tuple[RemoteListener, InfoHash]) -> None:
        pending = self._pending.pop(slot)
        listener, key = slot
        if not (pending.values or pending.refreshed or pending.expired):
            return
        timer = self._ctx.timers.at(self._ctx.now.mono + COALESCE, partial(self._flush, slot))
        self._pending[slot] = _Pending(timer)
        self.send_stored(listener, key, pending.values.values())
        self._send_ids(listener, list(pending.refreshed), list(pending.expired))

    def _send_change(self, listener: RemoteListener, key: InfoHash, change: Change) -> None:
        if isinstance(change, Stored):
            self._send_values(listener, key, [change.value.packed])
        elif isinstance(change, Refreshed):
            self._send_ids(listener, list(change.ids), [])
        else:
            self._send_ids(listener, [], [value.id for value in change.values])

    def _send_values(self, listener: RemoteListener, key: InfoHash, packed: list[bytes]) -> None:
        token = self._tokens.issue(listener.address)
        self._request(
            listener,
            lambda tid: self._composer.update_values(tid, key, listener.socket_id, token, packed),
        )

    def _send_ids(self, listener: RemoteListener, refreshed: list[int], expired: list[int]) -> None:
        token = self._tokens.issue(listener.address)
        for start in range(0, len(refreshed), MAX_IDS):
            some = refreshed[start : start + MAX_IDS]
            self._request(
                listener,
                partial(self._composer.update_ids, socket_id=listener.socket_id, token=token, refreshed=some),
            )
        for start in range(0, len(expired), MAX_IDS):
            some = expired[start : start + MAX_IDS]
            self._request(
                listener,
                partial(self._composer.update_ids, socket_id=listener.socket_id, token=token, expired=some),
            )

    def _request(self, listener: RemoteListener, build: Callable[[int], list[bytes]]) -> None:
        self._requests.send(listener.node, "update", build, on_reply=_ignore, on_failed=_ignore)


def _collect(pending: _Pending, change: Change) -> None:
    if isinstance(change, Stored):
        pending.values[change.value.id] = change.value
        pending.expired.pop(change.value.id, None)
    elif isinstance(change, Refreshed):
        for value_id in change.ids:
            if value_id not in pending.values:
                pending.refreshed[value_id] = None
    else:
        for value in change.values:
            pending.values.pop(value.id, None)
            pending.refreshed.pop(value.id, None)
            pending.expired[value.id] = None


def _ignore(answer: object) -> None:
    """Whether a push was confirmed matters to the state of the node only."""
