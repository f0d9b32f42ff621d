"""Listened: what a listen knows of the values at its key, and which nodes have them (spec 02, 17.1).

Per (owner, id) there is one entry: the latest revision reported and the set of nodes that have it, its
*sources*. So a change that four nodes report is told once, and a value is reported as expired only when no
source is left (S-15), or when nobody confirmed it for the life of its type. A node that falls silent says
nothing about its values: they only lose it as a source. An update makes those that still hold the revision
before no sources any more.

At most `listen_values` are remembered; the one confirmed least recently makes room and is told as expired.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

from dna_dht.core.context import CoreContext
from dna_dht.core.values.value_types import type_of
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.value import Value

Tell = Callable[[Literal["added", "updated", "expired"], Value], None]
Key = tuple[int, InfoHash]  # value id, owner id


class _Entry:
    """A value that was told, who has it, and until when it lives without confirmation (monotonic seconds)."""

    __slots__ = ("expires", "sources", "value")

    def __init__(self, value: Value) -> None:
        self.value = value
        self.sources: set[InfoHash] = set()
        self.expires = 0.0


class Listened:
    """The values of one listen. *tell* is called for each change, once."""

    __slots__ = ("_ctx", "_entries", "_owners", "_tell")

    def __init__(self, ctx: CoreContext, tell: Tell) -> None:
        self._ctx = ctx
        self._tell = tell
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()  # confirmed least recently first
        self._owners: dict[int, list[InfoHash]] = {}

    def knows(self, value: Value, source: InfoHash) -> bool:
        """Whether *value* is nothing new, so that its signature need not be checked; notes its *source*."""
        entry = self._entries.get((value.id, value.owner_id))
        if entry is None or entry.value.seq < value.seq:
            return False
        if entry.value.seq == value.seq:
            self._confirm(entry, source)
        return True

    def report(self, value: Value, source: InfoHash | None) -> None:
        """*source* has *value*, which is valid; None: a node that serves us no more had it."""
        key = value.id, value.owner_id
        entry = self._entries.get(key)
        if entry is None:
            if len(self._entries) >= self._ctx.config.limits.listen_values:
                self._expire(next(iter(self._entries)))
            entry = self._entries[key] = _Entry(value)
            self._owners.setdefault(value.id, []).append(value.owner_id)
            self._confirm(entry, source)
            self._tell("added", value)
        elif entry.value.seq < value.seq:
            entry.value = value
            entry.sources.clear()
            self._confirm(entry, source)
            self._tell("updated", value)
        elif entry.value.seq == value.seq:
            self._confirm(entry, source)

    def refreshed(self, value_id: int, source: InfoHash) -> None:
        """The life of a value starts again at *source*; of no interest if it does not have our revision."""
        for key in self._keys(value_id):
            entry = self._entries[key]
            if source in entry.sources:
                self._confirm(entry, source)

    def expired(self, value_id: int, source: InfoHash) -> None:
        """*source* does not have a value any more."""
        for key in self._keys(value_id):
            sources = self._entries[key].sources
            sources.discard(source)
            if not sources:
                self._expire(key)

    def forget(self, source: InfoHash) -> None:
        """*source* tells us nothing any more; its values stay."""
        for entry in self._entries.values():
            entry.sources.discard(source)

    def sweep(self) -> None:
        """Drop what nobody confirmed for the life of its type."""
        now = self._ctx.now.mono
        for key in [key for key, entry in self._entries.items() if entry.expires <= now]:
            self._expire(key)

    def __len__(self) -> int:
        return len(self._entries)

    def _keys(self, value_id: int) -> list[Key]:
        return [(value_id, owner) for owner in self._owners.get(value_id, ())]

    def _confirm(self, entry: _Entry, source: InfoHash | None) -> None:
        if source is not None:
            entry.sources.add(source)
        entry.expires = self._ctx.now.mono + type_of(entry.value.type).lifetime
        self._entries.move_to_end((entry.value.id, entry.value.owner_id))

    def _expire(self, key: Key) -> None:
        entry = self._entries.pop(key)
        owners = self._owners[key[0]]
        owners.remove(key[1])
        if not owners:
            del self._owners[key[0]]
        self._tell("expired", entry.value)
