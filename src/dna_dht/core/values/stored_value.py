"""StoredValue: what the store keeps of a value, and the events that tell what happened to it.

The decoded value is not kept: its packed bytes are sent as they are, and the few fields that queries and
rules need stand beside them. A signed value is 7.3 kB packed; the fields add about 200 bytes.
"""

from math import inf
from typing import Literal

import msgspec

from dna_dht.wire.infohash import InfoHash


class StoredValue(msgspec.Struct, gc=False, kw_only=True, eq=False):
    """One value at one key.

    Attributes:
        key, id: where it is stored.
        type, seq, owner_id, user_type, is_signed: as in the value; owner_id is ZERO if unsigned.
        packed: the value's canonical bytes.
        size: bytes that count against quotas (spec 01, 9.5: data, signature, user type, cypher).
        signature_start: first 16 bytes of the signature; b"" if unsigned.
        created: monotonic seconds of its creation, or of the last refresh.
        expires: monotonic seconds; inf: permanent.
        first_stored: monotonic seconds at which this revision came here; a re-signed copy keeps it.
        source: who is charged for it; "" is this node.
        number: order of arrival, unique; breaks ties between equal expiries.
        gone: it was removed or replaced; queues skip it.
    """

    key: InfoHash
    id: int
    type: int
    seq: int
    owner_id: InfoHash
    user_type: bytes
    is_signed: bool
    packed: bytes
    size: int
    signature_start: bytes
    created: float
    expires: float
    first_stored: float
    source: str
    number: int
    gone: bool = False

    @property
    def permanent(self) -> bool:
        """Whether it stays until it is removed by name."""
        return self.expires == inf


RemovalReason = Literal["expired", "evicted", "removed"]


class Stored(msgspec.Struct, frozen=True, gc=False):
    """A value was added, or (*edited*) took the place of another revision."""

    value: StoredValue
    edited: bool


class Refreshed(msgspec.Struct, frozen=True, gc=False):
    """The life of these values started again; their content did not change."""

    ids: tuple[int, ...]


class Removed(msgspec.Struct, frozen=True, gc=False):
    """These values are no longer stored."""

    values: tuple[StoredValue, ...]
    reason: RemovalReason


Change = Stored | Refreshed | Removed
