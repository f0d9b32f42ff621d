"""Pushes: tell the listeners of other nodes what changed in our store. Source: spec 01, 14.2; spec 02, 12.4.

An edit goes out at once, also right after the values that a new listener gets first. What follows within
COALESCE seconds for the same listener is collected and sent together (reliability T17), values by their last
version. Pushes are ordinary requests: repeated until confirmed; a node that confirms none of them counts as
silent. They go only to addresses that have proved to receive what we send; a listener has, by the token it
subscribed with.

One channel per listener that was told something lately:

    none ──change: sent──► pause ──COALESCE over──► nothing waits and all confirmed ──► none
                           │    ▲                   else: what fits is sent, pause again
                           └────┘ change: waits

Values wait as references to the store and become datagrams when their turn comes: at most WINDOW updates are
under way to one listener and ``push_bytes`` of values to all, so that neither a key with many values nor one
with many listeners makes us hold copies of everything at once. What found no room goes as soon as updates of
the same listener are confirmed or given up, and is tried again with every pause.
"""

from collections.abc import Callable, Iterable
from functools import partial

from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.compose import Composer
from dna_dht.core.exchange.requests import Requests
from dna_dht.core.exchange.tokens import Tokens
from dna_dht.core.serving.remote_listeners import LIFE, RemoteListener, RemoteListeners
from dna_dht.core.values.stored_value import Change, Refreshed, Stored, StoredValue
from dna_dht.wire.infohash import InfoHash

COALESCE = 0.2  # seconds; reliability T17
MAX_UPDATE_SIZE = 57_344  # bytes of values after which an update is sent; spec 01, 14.2
MAX_IDS = 1024  # ids in one update
MAX_WAITING_IDS = 4096  # ids of one kind that wait for one listener; further ones are not told
WINDOW = 4  # updates with values under way to one listener


class _Channel:
    """What waits for one listener, and how many updates are under way to it. *short_of_room*: what waits does
    so for want of room, not of time. *changed*: a change was told in this pause, not only what a new listener
    gets first.
    """

    __slots__ = ("changed", "expired", "refreshed", "short_of_room", "under_way", "values")

    def __init__(self) -> None:
        self.changed = False
        self.under_way = 0
        self.short_of_room = False
        self.values: dict[int, StoredValue] = {}
        self.refreshed: dict[int, None] = {}
        self.expired: dict[int, None] = {}

    @property
    def waits(self) -> bool:
        return bool(self.values or self.refreshed or self.expired)

    def forget(self) -> None:
        """The subscription has ended."""
        self.values.clear()
        self.refreshed.clear()
        self.expired.clear()

    def collect(self, change: Change) -> None:
        """Let *change* wait, in place of what it makes obsolete."""
        if isinstance(change, Stored):
            self.values[change.value.id] = change.value
            self.refreshed.pop(change.value.id, None)
            self.expired.pop(change.value.id, None)
        elif isinstance(change, Refreshed):
            for value_id in change.ids:
                if value_id not in self.values and len(self.refreshed) < MAX_WAITING_IDS:
                    self.refreshed[value_id] = None
        else:
            for value in change.values:
                self.values.pop(value.id, None)
                self.refreshed.pop(value.id, None)
                if len(self.expired) < MAX_WAITING_IDS:
                    self.expired[value.id] = None


Slot = tuple[RemoteListener, InfoHash]


class Pushes:
    """Sends updates to remote listeners.

    Attributes:
        bytes_under_way: packed values in updates that are not confirmed yet.
    """

    __slots__ = ("_channels", "_composer", "_ctx", "_listeners", "_requests", "_tokens", "bytes_under_way")

    def __init__(
        self,
        ctx: CoreContext,
        listeners: RemoteListeners,
        requests: Requests,
        composer: Composer,
        tokens: Tokens,
    ) -> None:
        self.bytes_under_way = 0
        self._ctx = ctx
        self._listeners = listeners
        self._requests = requests
        self._composer = composer
        self._tokens = tokens
        self._channels: dict[Slot, _Channel] = {}

    def on_change(self, key: InfoHash, change: Change) -> None:
        """Our store changed: tell whoever listens to *key*."""
        for listener in self._listeners.of(key):
            if isinstance(change, Stored) and not listener.query.matches(change.value):
                continue
            slot = (listener, key)
            channel = self._channels.get(slot) or self._open(slot)
            at_once = not (channel.changed or channel.waits)
            channel.changed = True
            channel.collect(change)
            if at_once:
                self._send_waiting(slot, channel)

    def send_stored(self, listener: RemoteListener, key: InfoHash, values: Iterable[StoredValue]) -> None:
        """What a new listener gets first: all stored values that match, in as few updates as their size
        permits.
        """
        slot = (listener, key)
        channel = self._channels.get(slot)
        for value in values:
            channel = channel or self._open(slot)
            channel.values[value.id] = value
        if channel is not None:
            self._send_waiting(slot, channel)

    def __len__(self) -> int:
        """Listeners that were told something lately."""
        return len(self._channels)

    # -- inside

    def _open(self, slot: Slot) -> _Channel:
        channel = self._channels[slot] = _Channel()
        self._pause(slot)
        return channel

    def _pause(self, slot: Slot) -> None:
        self._ctx.timers.at(self._ctx.now.mono + COALESCE, partial(self._on_pause_over, slot))

    def _on_pause_over(self, slot: Slot) -> None:
        channel = self._channels[slot]
        if slot[0].renewed < self._ctx.now.mono - LIFE:
            channel.forget()
        if not (channel.waits or channel.under_way):
            del self._channels[slot]
            return
        channel.changed = channel.waits
        self._send_waiting(slot, channel)
        self._pause(slot)

    def _send_waiting(self, slot: Slot, channel: _Channel) -> None:
        """Send what waits, as far as there is room."""
        listener, key = slot
        most = self._ctx.config.limits.push_bytes
        while channel.values and channel.under_way < WINDOW and self.bytes_under_way < most:
            batch: list[bytes] = []
            size = 0
            while channel.values and size < MAX_UPDATE_SIZE:
                value = channel.values.pop(next(iter(channel.values)))
                batch.append(value.packed)
                size += value.size
            token = self._tokens.issue(listener.address)
            build = partial(
                self._composer.update_values,
                key=key,
                socket_id=listener.socket_id,
                token=token,
                packed=batch,
            )
            self._request(slot, channel, sum(map(len, batch)), build)
        channel.short_of_room = bool(channel.values)
        if channel.under_way < WINDOW:
            self._send_ids(slot, channel)

    def _send_ids(self, slot: Slot, channel: _Channel) -> None:
        listener, composer = slot[0], self._composer
        if channel.refreshed:
            ids, token = _take_out(channel.refreshed), self._tokens.issue(listener.address)
            build = partial(composer.update_ids, socket_id=listener.socket_id, token=token, refreshed=ids)
            self._request(slot, channel, 0, build)
        if channel.expired:
            ids, token = _take_out(channel.expired), self._tokens.issue(listener.address)
            build = partial(composer.update_ids, socket_id=listener.socket_id, token=token, expired=ids)
            self._request(slot, channel, 0, build)

    def _request(self, slot: Slot, channel: _Channel, size: int, build: Callable[[int], list[bytes]]) -> None:
        channel.under_way += 1
        self.bytes_under_way += size
        over = partial(self._on_over, slot, channel, size)
        self._requests.send(slot[0].endpoint(), "update", build, on_reply=over, on_failed=over)

    def _on_over(self, slot: Slot, channel: _Channel, size: int, answer: object) -> None:
        """Confirmed or given up. Which of them matters to the state of the node only."""
        channel.under_way -= 1
        self.bytes_under_way -= size
        if channel.short_of_room:
            self._send_waiting(slot, channel)


def _take_out(waiting: dict[int, None]) -> list[int]:
    """As many ids as fit into one update."""
    ids = list(waiting)[:MAX_IDS]
    for value_id in ids:
        del waiting[value_id]
    return ids
