"""The values this node stores: what may come in, how long it stays, what goes when there is too much.

A put passes twice. :meth:`Storage.judge` looks at what costs nothing and says whether a signature check is
worth it; :meth:`Storage.store` follows when the signature was found valid, and decides again, since other
puts may have come between.

    same content      REFRESH: its life starts again. One comparison if the packed bytes are the same.
    same id, other    The type of the OLD value decides. If it is editable, the same owner with a higher seq,
                      or with the same seq and the same signed bytes (a re-signed copy), replaces it:
                      VERIFY. All else: REFUSE.
    new id            The store rule of its type, the revision the tombstones remember, and for a new key
                      the limits on keys. VERIFY if signed; unsigned: REFUSE, or STORE where accepted.

There is one value per (key, id): the first owner keeps it, as the reference does. Unsigned values are never
edited, and never replace a signed one (S-1). A value of 7 days ends 14 days after its revision came here,
however often strangers prolong it (T33), except our own. What goes leaves a tombstone (T6). Our own value
keeps its signature: a re-signed copy of a stranger only prolongs it.

Limits: bytes of strangers with eviction from the largest source (quotas.py), bytes of our own without,
groups of values at one key (crowding.py), keys in all, new keys per source and minute.

Invariants, after every call: the accounts are exact (S-7); bytes of strangers <= ``store_bytes``; no group
at a key exceeds its limit; a key exists only while it holds a value. Every change is told once, through
``on_change``, after it happened.
Sources: spec 01, 15.4-15.5; spec 02, 11-13; reliability, section 6.
"""

from collections import Counter
from collections.abc import Callable
from enum import Enum
from math import inf

from dna_dht.core.context import CoreContext
from dna_dht.core.rate_window import RateWindows
from dna_dht.core.sources import LOCAL, is_loopback_source, is_restored_source
from dna_dht.core.values.crowding import Crowd, crowded_from
from dna_dht.core.values.expiry import ExpiryQueue
from dna_dht.core.values.quotas import Quotas
from dna_dht.core.values.stored_value import Change, Refreshed, RemovalReason, Removed, Stored, StoredValue
from dna_dht.core.values.tombstones import Tombstones
from dna_dht.core.values.value_types import DAY, DNA_7_DAYS, MAX_VALUE_SIZE, type_of
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.query import Field, Query
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import signed_bytes, unpack

NEW_KEYS_PERIOD = 60.0  # seconds; reliability, section 6
SEVEN_DAY_END = 14 * DAY  # seconds a 7-day value of a stranger can be prolonged to; reliability T33
SIGNATURE_START = 16  # bytes; enough to tell signatures apart: ML-DSA's begin with a hash


class Verdict(Enum):
    """What to do with a value that was offered."""

    REFUSE = "refuse"
    """Store nothing; answer as if stored."""
    REFRESH = "refresh"
    """It is stored already: call :meth:`Storage.refresh`."""
    VERIFY = "verify"
    """Check the signature, then call :meth:`Storage.store`."""
    STORE = "store"
    """Nothing to check: call :meth:`Storage.store`."""


class _Shelf:
    """The values at one key, in order of arrival; their groups once there are enough to be limited."""

    __slots__ = ("crowd", "values")

    def __init__(self) -> None:
        self.values: dict[int, StoredValue] = {}
        self.crowd: Crowd | None = None


class Storage:
    """All stored values.

    Attributes:
        on_change: called after each change with the key; replace it before the first store.
    """

    def __init__(self, ctx: CoreContext) -> None:
        limits = ctx.config.limits
        self.on_change: Callable[[InfoHash, Change], None] = _ignore
        self._ctx = ctx
        self._limits = limits
        self._shelves: dict[InfoHash, _Shelf] = {}
        self._queue = ExpiryQueue()
        self._quotas = Quotas()
        self._tombstones = Tombstones(ctx)
        self._new_keys = RateWindows(limits.new_keys_per_source, NEW_KEYS_PERIOD, limits.rate_sources)
        self._crowded_from = crowded_from(limits)
        self._types: Counter[int] = Counter()
        self._stored = 0

    def judge(
        self, key: InfoHash, value: Value, source: str, *, packed: bytes, created: float | None = None
    ) -> tuple[Verdict, str]:
        """Decide on an offered value without checking its signature.

        Args:
            value: its id is not 0 (the caller answers that with an error).
            packed: its canonical bytes.
            created: monotonic seconds; None: now.
        Returns:
            The verdict and, for a refusal, why: one of a few constant texts, counted in ``counters.values``.
        """
        old = self.get(key, value.id)
        if old is not None:
            if old.packed == packed:
                return Verdict.REFRESH, ""
            reason = _edit_refusal(old, value, source)
            if reason == _SAME:
                return Verdict.REFRESH, ""
        else:
            reason = self._entry_refusal(key, value, source)
        now = self._ctx.now.mono
        if not reason and created is not None and created + type_of(value.type).lifetime <= now:
            reason = "refused: expired"
        if reason:
            self._ctx.counters.values[reason] += 1
            return Verdict.REFUSE, reason
        return (Verdict.VERIFY if value.is_signed else Verdict.STORE), ""

    def store(
        self,
        key: InfoHash,
        value: Value,
        packed: bytes,
        *,
        created: float,
        source: str,
        permanent: bool = False,
        expires: float | None = None,
        force_local: bool = False,
    ) -> StoredValue | None:
        """Store a verified value, after deciding again with what is stored now.

        Args:
            packed: its canonical bytes; kept as they are.
            created: monotonic seconds, clamped to now.
            source: rate-limit group of the sender; "" for our own.
            permanent: it never expires; for our own values.
            expires: monotonic seconds; None: by its type. Given when a value comes back from disk.
            force_local: our own decision, which needs no permission: replaces whatever has this id.
        Returns:
            What is now stored of it, or None if it was refused or did not find room.
        """
        now, life = self._ctx.now.mono, type_of(value.type).lifetime
        restored = expires is not None
        created = min(created, now)
        expires = inf if permanent else created + life if expires is None else expires
        old = self._find(key, value.id)
        if old is not None and old.expires <= now:
            self._remove([old], "expired")
            old = None
        reason = ""
        if not force_local:
            reason = (
                self._entry_refusal(key, value, source) if old is None else _edit_refusal(old, value, source)
            )
        if old is not None and (old.packed == packed or reason == _SAME):
            ours = source == LOCAL and (old.source != LOCAL or permanent != old.permanent)
            if restored or not ours:
                if not restored:
                    self.refresh(key, value.id)
                return old
            reason = ""
        if not reason and expires <= now:
            reason = "refused: expired"
        size = value.size
        if not reason and source == LOCAL:
            free = self._limits.local_bytes - self._quotas.local
            if old is not None and old.source == LOCAL:
                free += old.size
            if self._limits.local_bytes >= 0 and size > free:
                reason = "refused: own values take too much"
        if reason:
            self._ctx.counters.values[reason] += 1
            return None
        owner_id = value.owner_id
        resigned = old is not None and old.seq == value.seq and old.owner_id == owner_id
        self._stored += 1
        stored = StoredValue(
            key=key,
            id=value.id,
            type=value.type,
            seq=value.seq,
            owner_id=owner_id,
            user_type=value.user_type,
            is_signed=value.is_signed,
            packed=packed,
            size=size,
            signature_start=value.signature[:SIGNATURE_START] if value.is_signed else b"",
            created=created,
            expires=expires,
            first_stored=old.first_stored if old is not None and resigned else created if restored else now,
            source=source,
            number=self._stored,
        )
        stored.expires = min(expires, _last_end(stored))
        self._insert(stored, old)
        return self._settle(stored, old)

    def refresh(self, key: InfoHash, value_id: int) -> bool:
        """Start the life of a value again, never shortening it; False if it is not stored."""
        value = self.get(key, value_id)
        if value is None:
            return False
        now = self._ctx.now.mono
        value.created = now
        value.expires = max(value.expires, min(now + type_of(value.type).lifetime, _last_end(value)))
        self._ctx.counters.values["refreshed"] += 1
        self.on_change(key, Refreshed((value_id,)))
        return True

    def get(self, key: InfoHash, value_id: int) -> StoredValue | None:
        """The live value with this id."""
        shelf = self._shelves.get(key)
        if shelf is None:
            return None
        value = shelf.values.get(value_id)
        return value if value is not None and value.expires > self._ctx.now.mono else None

    def find(self, key: InfoHash, query: Query) -> list[StoredValue]:
        """The live values that match *query*, in order of arrival."""
        shelf = self._shelves.get(key)
        if shelf is None:
            return []
        now = self._ctx.now.mono
        where = query.where
        if not where:
            return [value for value in shelf.values.values() if value.expires > now]
        if where[0][0] == Field.ID:
            wanted = where[0][1]
            value = shelf.values.get(wanted) if isinstance(wanted, int) else None
            return [value] if value is not None and value.expires > now and query.matches(value) else []
        return [value for value in shelf.values.values() if value.expires > now and query.matches(value)]

    def keys(self) -> list[InfoHash]:
        """Keys with values."""
        return list(self._shelves)

    def has(self, key: InfoHash) -> bool:
        """Whether anything is stored under *key*."""
        return key in self._shelves

    def remove(self, key: InfoHash, value_id: int) -> bool:
        """Drop a value, because we no longer want it; False if it is not stored."""
        value = self._find(key, value_id)
        if value is None:
            return False
        self._remove([value], "removed")
        return True

    def expire(self) -> None:
        """Drop what has reached its end; one change per key."""
        now = self._ctx.now.mono
        ended: dict[InfoHash, list[StoredValue]] = {}
        while (value := self._queue.first()) is not None and value.expires <= now:
            self._take_out(value)
            ended.setdefault(value.key, []).append(value)
        for key, values in ended.items():
            self._ctx.counters.values["expired"] += len(values)
            self.on_change(key, Removed(tuple(values), "expired"))

    def next_expiry(self) -> float | None:
        """When :meth:`expire` is next due, in monotonic seconds; None if nothing ever expires."""
        value = self._queue.first()
        return None if value is None or value.expires == inf else value.expires

    def values_by_type(self) -> dict[int, int]:
        """Number of stored values per type."""
        return dict(self._types)

    def bytes_by_source(self) -> dict[str, int]:
        """Bytes stored per source, our own apart."""
        return self._quotas.by_source()

    @property
    def values(self) -> int:
        """Number of stored values."""
        return self._types.total()

    @property
    def remote_bytes(self) -> int:
        """Bytes of values received from others."""
        return self._quotas.total

    @property
    def local_bytes(self) -> int:
        """Bytes of our own values."""
        return self._quotas.local

    def __len__(self) -> int:
        return len(self._shelves)

    def _find(self, key: InfoHash, value_id: int) -> StoredValue | None:
        """The value with this id, live or just expired."""
        shelf = self._shelves.get(key)
        return None if shelf is None else shelf.values.get(value_id)

    def _entry_refusal(self, key: InfoHash, value: Value, source: str) -> str:
        """Why a value with a new id may not come in; "" if it may."""
        if not value.is_signed and not self._ctx.config.accept_unsigned:
            return "refused: unsigned"
        rule = type_of(value.type).store_rule
        if rule == "never":
            return "refused: type is never stored"
        if rule == "size" and value.size > MAX_VALUE_SIZE:
            return "refused: too large"
        if (
            value.is_signed
            and len(self._tombstones)
            and self._tombstones.newest(key, value.id, value.owner_id) > value.seq
        ):
            return "refused: older than a value we had"
        if source != LOCAL and key not in self._shelves:
            if len(self._shelves) >= self._limits.keys:
                return "refused: too many keys"
            if not self._exempt(source) and self._new_keys.full(source, self._ctx.now.mono):
                return "refused: too many new keys of one source"
        return ""

    def _exempt(self, source: str) -> bool:
        """Whether a source may bring any number of new keys: this machine, and its disk."""
        return (self._ctx.config.exempt_loopback and is_loopback_source(source)) or is_restored_source(source)

    def _insert(self, value: StoredValue, old: StoredValue | None) -> None:
        shelf = self._shelves.get(value.key)
        if shelf is None:
            shelf = self._shelves[value.key] = _Shelf()
            if value.source != LOCAL and not self._exempt(value.source):
                self._new_keys.allow(value.source, self._ctx.now.mono)
        if old is not None:
            self._account_out(shelf, old)
        elif shelf.crowd is None and len(shelf.values) >= self._crowded_from:
            shelf.crowd = Crowd(shelf.values.values())
        shelf.values[value.id] = value
        if shelf.crowd is not None:
            shelf.crowd.add(value)
        self._types[value.type] += 1
        self._queue.push(value)
        self._quotas.add(value)

    def _settle(self, value: StoredValue, old: StoredValue | None) -> StoredValue | None:
        """Evict what is now too much, then tell what happened; None if *value* itself had to go."""
        evicted: dict[InfoHash, list[StoredValue]] = {}
        crowd, limit = self._shelves[value.key].crowd, self._limits.store_bytes
        while (
            not value.gone
            and crowd is not None
            and (victim := crowd.surplus(value, self._limits)) is not None
        ):
            self._take_out(victim)
            evicted.setdefault(victim.key, []).append(victim)
        while 0 <= limit < self._quotas.total and (victim := self._quotas.next_victim()) is not None:
            self._take_out(victim)
            evicted.setdefault(victim.key, []).append(victim)
        counts = self._ctx.counters.values
        if not value.gone:
            counts["stored" if old is None else "edited"] += 1
            self.on_change(value.key, Stored(value, old is not None))
        for key, victims in evicted.items():
            counts["evicted"] += len(victims)
            if value.gone and old is None and key == value.key:
                victims.remove(value)  # nobody was told of it
            if victims:
                self.on_change(key, Removed(tuple(victims), "evicted"))
        return None if value.gone else value

    def _remove(self, values: list[StoredValue], reason: RemovalReason) -> None:
        for value in values:
            self._take_out(value)
        self._ctx.counters.values[reason] += len(values)
        self.on_change(values[0].key, Removed(tuple(values), reason))

    def _take_out(self, value: StoredValue) -> None:
        shelf = self._shelves[value.key]
        self._account_out(shelf, value)
        del shelf.values[value.id]
        if not shelf.values:
            del self._shelves[value.key]
        elif len(shelf.values) < self._crowded_from // 2:
            shelf.crowd = None
        if value.is_signed:
            self._tombstones.bury(value.key, value.id, value.owner_id, value.seq)

    def _account_out(self, shelf: _Shelf, value: StoredValue) -> None:
        value.gone = True
        if shelf.crowd is not None:
            shelf.crowd.remove(value)
        self._types[value.type] -= 1
        if not self._types[value.type]:
            del self._types[value.type]
        self._queue.dropped()
        self._quotas.remove(value)


_SAME = "same content"


def _edit_refusal(old: StoredValue, new: Value, source: str) -> str:
    """Why *new* may not take the place of *old*; "" if it may, _SAME if it has the same content."""
    if not old.is_signed:
        return _SAME if unpack(old.packed).same_content(new) else "refused: value cannot be edited"
    if not new.is_signed:
        return "refused: unsigned"
    if new.owner_id != old.owner_id:
        return "refused: other owner"
    if new.seq <= old.seq or not type_of(old.type).editable:
        stored = unpack(old.packed)
        if stored.same_content(new):
            return _SAME
        if not type_of(old.type).editable:
            return "refused: value cannot be edited"
        if new.seq < old.seq:
            return "refused: lower seq"
        if signed_bytes(stored) != signed_bytes(new):
            return "refused: same seq, other content"
        if old.source == LOCAL != source:
            return _SAME  # a stranger's copy with another signature does not take the place of our own
    return ""


def _last_end(value: StoredValue) -> float:
    """The latest expiry a value can be prolonged to."""
    if value.type != DNA_7_DAYS or value.source == LOCAL or value.expires == inf:
        return inf
    return value.first_stored + SEVEN_DAY_END


def _ignore(key: InfoHash, change: Change) -> None:
    """Until somebody wants to know."""
