"""Which values are persisted, and which may replace which. Source: spec 04, 13.2 and 13.4."""

from dna_dht.crypto.verifiers import Verifier
from dna_dht.errors import DecodeError
from dna_dht.wire import value_codec

_ALWAYS = frozenset((0x1002, 0x1003))  # the types of 365 and 30 days
_NEVER = 0x1001  # the type of 7 days
_LONG = 604_800  # seconds, 7 days: other types are kept if they live at least so long


def should_persist(value_type: int, expires: float | None, now: float) -> bool:
    """Whether a bootstrap node keeps a value on disk. Times in Unix seconds; *expires* None: never."""
    if expires is None or value_type in _ALWAYS:
        return True
    return value_type != _NEVER and expires - now >= _LONG


def is_stale(packed: bytes, seq: int, stored: bytes) -> bool:
    """Whether *packed*, of revision *seq*, is older than *stored*, which has the same key, id and owner.

    A stored value that cannot be read is not worth protecting.
    """
    try:
        old = value_codec.unpack(stored)
        return seq < old.seq and value_codec.unpack(packed).owner == old.owner
    except DecodeError:
        return False


def is_genuine(packed: bytes, verifier: Verifier) -> bool:
    """Whether *packed* is a value that its owner signed, about 0.25 ms: a flipped bit may say any seq."""
    try:
        value = value_codec.unpack(packed)
    except DecodeError:
        return False
    return verifier(value.owner, value.signature, value_codec.signed_bytes(value))
