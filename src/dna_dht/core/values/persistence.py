"""Persistence as an effect with a completion: a put of a persisted type is answered after its commit.

The core knows no disk. It emits :class:`PersistRequested` with a ticket and goes on; the continuation runs in
:meth:`Persistence.persisted`. If the disk refuses, it never runs: the put stays unanswered and its sender
tries again (reliability T22). What is persisted: types of 30 and 365 days (spec 04, 13.2), received or put by
this node.

A refresh prolongs the row at most once a day (spec 04, 13.4).
"""

from collections.abc import Callable

from dna_dht.core.context import CoreContext
from dna_dht.core.effects import PersistRequested
from dna_dht.core.values.storage import Storage
from dna_dht.core.values.stored_value import StoredValue
from dna_dht.core.values.value_types import persisted
from dna_dht.wire.infohash import InfoHash

PROLONG_PERIOD = 86_400.0  # seconds between two writes because of refreshes; spec 04, 13.4
MAX_WAITING = 256  # answers that wait for one commit


class _Ticket:
    """One value on its way to the disk, and what to do when it is there."""

    __slots__ = ("packed", "slot", "waiting")

    def __init__(self, slot: "Slot", packed: bytes) -> None:
        self.slot = slot
        self.packed = packed
        self.waiting: list[Callable[[], None]] = []


Slot = tuple[InfoHash, int]


class Persistence:
    """Tickets of values on their way to the disk.

    A value that is stored but not committed (its ticket is open, or the disk refused it) is *unsafe*: putting
    it again is not answered before a commit either.
    """

    __slots__ = ("_ctx", "_last_ticket", "_storage", "_tickets", "_unsafe", "_written")

    def __init__(self, ctx: CoreContext, storage: Storage) -> None:
        self._ctx = ctx
        self._storage = storage
        self._tickets: dict[int, _Ticket] = {}
        self._unsafe: dict[Slot, int] = {}  # the last ticket of each value that is not committed
        self._last_ticket = 0
        self._written: dict[Slot, float] = {}

    def commit(self, stored: StoredValue, then: Callable[[], None]) -> None:
        """Run *then* when *stored* is safe: at once for types that are not persisted."""
        if not self._concerns(stored):
            then()
            return
        slot = (stored.key, stored.id)
        ticket = self._tickets.get(self._unsafe.get(slot, 0))
        if ticket is None or ticket.packed is not stored.packed:
            ticket = self._issue(stored)
        if ticket is not None and len(ticket.waiting) < MAX_WAITING:
            ticket.waiting.append(then)

    def commit_refreshed(self, stored: StoredValue, then: Callable[[], None]) -> None:
        """The life of *stored* started again: prolong its row, at most once a day; *then* as in
        :meth:`commit`.
        """
        if (stored.key, stored.id) in self._unsafe:
            self.commit(stored, then)
            return
        then()
        if self._concerns(stored):
            last = self._written.get((stored.key, stored.id), stored.first_stored)
            if self._ctx.now.mono - last >= PROLONG_PERIOD:
                self._issue(stored)

    def persisted(self, ticket: int, ok: bool) -> None:
        """The commit of *ticket* succeeded, or the disk refused it. An unknown ticket is ignored."""
        done = self._tickets.pop(ticket, None)
        if done is None:
            return
        self._ctx.counters.events["persisted" if ok else "disk refused"] += 1
        if not ok:
            return
        if self._unsafe.get(done.slot) == ticket:
            del self._unsafe[done.slot]
        for then in done.waiting:
            then()

    def forget(self, key: InfoHash, value_id: int) -> None:
        """The value is no longer stored."""
        self._unsafe.pop((key, value_id), None)
        self._written.pop((key, value_id), None)

    def __len__(self) -> int:
        return len(self._tickets)

    def _concerns(self, stored: StoredValue) -> bool:
        return self._ctx.config.persist and stored.is_signed and persisted(stored.type)

    def _issue(self, stored: StoredValue) -> _Ticket | None:
        slot = (stored.key, stored.id)
        self._unsafe[slot] = 0
        if len(self._tickets) >= self._ctx.config.limits.pending_persists:
            self._ctx.counters.dropped["put: the disk is behind"] += 1
            return None
        now = self._ctx.now
        self._last_ticket += 1
        ticket = self._tickets[self._last_ticket] = _Ticket(slot, stored.packed)
        self._unsafe[slot] = self._last_ticket
        self._written[slot] = now.mono
        self._ctx.outbox.emit(
            PersistRequested(
                ticket=self._last_ticket,
                key=stored.key,
                value_id=stored.id,
                value_type=stored.type,
                seq=stored.seq,
                packed=stored.packed,
                created=now.unix - (now.mono - stored.created),
                expires=None if stored.permanent else now.unix + (stored.expires - now.mono),
            )
        )
        return ticket
