"""Who has how many of the values at one key, and which of them goes when a group has too many.

Limits at a key: values in all, per source, per owner, and copies of one signature under several ids (the id
is not signed, so anybody can multiply a signed value). Values of this node count in none of them and are
never evicted.

Rule for the one that goes, the newcomer included: of the group that is too large take the values of the
source that has most of them, of these the values of the owner that has most, of these the one with the
nearest expiry (the older one if equal). There is no rule for newcomers or first comers, for both can be
gamed; whoever floods a key displaces himself first. Source: reliability, section 6 and T3.

Most keys hold one or two values, so the groups of a key are built only when it has enough values to exceed a
limit.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import TypeVar

from dna_dht.core.config import Limits
from dna_dht.core.sources import LOCAL
from dna_dht.core.values.stored_value import StoredValue

MAX_COPIES = 4  # of one signature at one key; reliability T3

Group = dict[int, StoredValue]
_Name = TypeVar("_Name", str, bytes)


class Crowd:
    """The strangers' values at one key, grouped; kept exact by :meth:`add` and :meth:`remove`."""

    __slots__ = ("_all", "_owners", "_signatures", "_sources")

    def __init__(self, values: Iterable[StoredValue]) -> None:
        self._all: Group = {}
        self._sources: dict[str, Group] = {}
        self._owners: dict[bytes, Group] = {}
        self._signatures: dict[bytes, Group] = {}
        for value in values:
            self.add(value)

    def add(self, value: StoredValue) -> None:
        if value.source == LOCAL:
            return
        self._all[value.id] = value
        self._sources.setdefault(value.source, {})[value.id] = value
        if value.is_signed:
            self._owners.setdefault(value.owner_id, {})[value.id] = value
            self._signatures.setdefault(value.signature_start, {})[value.id] = value

    def remove(self, value: StoredValue) -> None:
        if value.source == LOCAL:
            return
        del self._all[value.id]
        _leave(self._sources, value.source, value.id)
        if value.is_signed:
            _leave(self._owners, value.owner_id, value.id)
            _leave(self._signatures, value.signature_start, value.id)

    def surplus(self, newcomer: StoredValue, limits: Limits) -> StoredValue | None:
        """The value that must go now that *newcomer* was added; None if no limit is exceeded."""
        if newcomer.source == LOCAL:
            return None
        if newcomer.is_signed:
            copies = self._signatures.get(newcomer.signature_start, {})
            if len(copies) > MAX_COPIES:
                return _victim(copies.values())
            owned = self._owners.get(newcomer.owner_id, {})
            if len(owned) > limits.values_per_key_and_owner:
                return _victim(owned.values())
        sent = self._sources.get(newcomer.source, {})
        if len(sent) > limits.values_per_key_and_source:
            return _victim(sent.values())
        if len(self._all) > limits.values_per_key:
            return _victim(self._all.values())
        return None


def crowded_from(limits: Limits) -> int:
    """Number of values at a key below which no limit can be exceeded."""
    return min(
        MAX_COPIES, limits.values_per_key, limits.values_per_key_and_owner, limits.values_per_key_and_source
    )


def _victim(values: Collection[StoredValue]) -> StoredValue:
    sources = Counter(value.source for value in values)
    most = max(sources.values())
    largest = [value for value in values if sources[value.source] == most]
    owners = Counter((value.source, value.owner_id) for value in largest)
    most = max(owners.values())
    return min(
        (value for value in largest if owners[value.source, value.owner_id] == most),
        key=lambda value: (value.expires, value.number),
    )


def _leave(groups: dict[_Name, Group], name: _Name, value_id: int) -> None:
    group = groups[name]
    del group[value_id]
    if not group:
        del groups[name]
