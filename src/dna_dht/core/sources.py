"""Sources: who a stored value, a check or a datagram is charged to, as the text that rate limits use.

A source is what ``wire.address.source_group`` gives: an IPv4 address, or the first 64 bits of an IPv6
address. The empty text stands for this node itself. Who sent a value is not saved with it: what comes back
from disk is charged to its owner.
"""

from dna_dht.wire.address import source_group
from dna_dht.wire.infohash import InfoHash

LOCAL = ""
"""The source of what this node put itself; no limit of strangers applies to it."""

_RESTORED = "disk "
_LOOPBACK6 = source_group("::1")


def is_loopback_source(source: str) -> bool:
    """Whether *source* is this machine."""
    return source.startswith("127.") or source == _LOOPBACK6


def restored_source(owner_id: InfoHash) -> str:
    """Whom a value that comes back from disk is charged to."""
    return f"{_RESTORED}{owner_id.hex()}"


def is_restored_source(source: str) -> bool:
    """Whether *source* is an owner of values that came back from disk."""
    return source.startswith(_RESTORED)
