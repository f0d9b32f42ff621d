"""The highest revision of values that are gone, so that an older one cannot take their place.

Signatures of old revisions stay valid for ever: without memory any stranger could put seq 3 back once seq 7
has expired. Remembered is, per (key, id, owner), the seq at the time of removal, for 30 days; the same seq
may come back, for that is how a value is renewed. Revision 0 needs no memory: nothing is older. The oldest
entry makes room. Source: reliability T6.
"""

import hashlib
from collections import OrderedDict

from dna_dht.core.context import CoreContext

LIFE = 30 * 86_400.0  # seconds; reliability T6
DIGEST_BYTES = 16


class Tombstones:
    """At most ``Limits.tombstones`` remembered revisions."""

    __slots__ = ("_ctx", "_seqs")

    def __init__(self, ctx: CoreContext) -> None:
        self._ctx = ctx
        self._seqs: OrderedDict[bytes, tuple[int, float]] = OrderedDict()

    def bury(self, key: bytes, value_id: int, owner_id: bytes, seq: int) -> None:
        """Remember that *seq* of a signed value was stored here; never lowers what is remembered."""
        limit = self._ctx.config.limits.tombstones
        if seq == 0 or limit == 0:
            return
        seqs, now = self._seqs, self._ctx.now.mono
        digest = _digest(key, value_id, owner_id)
        known = seqs.pop(digest, None)
        if known is not None and known[1] > now:
            seq = max(seq, known[0])
        while seqs and (len(seqs) >= limit or next(iter(seqs.values()))[1] <= now):
            seqs.popitem(last=False)
        seqs[digest] = (seq, now + LIFE)

    def newest(self, key: bytes, value_id: int, owner_id: bytes) -> int:
        """The highest seq remembered; 0 if none."""
        if not self._seqs:
            return 0
        seq, until = self._seqs.get(_digest(key, value_id, owner_id), (0, 0.0))
        return seq if until > self._ctx.now.mono else 0

    def __len__(self) -> int:
        return len(self._seqs)


def _digest(key: bytes, value_id: int, owner_id: bytes) -> bytes:
    return hashlib.sha256(b"".join((key, value_id.to_bytes(8, "big"), owner_id))).digest()[:DIGEST_BYTES]
