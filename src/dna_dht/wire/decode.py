"""Datagram -> Message. Total: any bytes give a message or DecodeError. Source: spec 01, sections 3 and 4.

Two readers with one result. The fast one (canonical) is tried on datagrams of at most FAST_DATAGRAM bytes,
which cannot reach the limits of the tolerant one; what it does not take is read again, from the start, by
that (docs/decisions/0004).
"""

from dna_dht.wire.canonical import decode_canonical
from dna_dht.wire.limits import FAST_DATAGRAM
from dna_dht.wire.messages import Message
from dna_dht.wire.tolerant import decode_tolerant

__all__ = ["decode", "decode_canonical", "decode_tolerant"]


def decode(datagram: bytes) -> Message:
    """Read one datagram; DecodeError if it is to be dropped."""
    if len(datagram) <= FAST_DATAGRAM:
        message = decode_canonical(datagram)
        if message is not None:
            return message
    return decode_tolerant(datagram)
