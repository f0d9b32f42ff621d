"""What is encrypted in sealed and group messages. Source: spec 03, sections 6.2 and 7.1.

Layout: fingerprint of the sender (64) || time (u64, big-endian, Unix seconds) || plaintext.
"""

import operator
import struct
from dataclasses import dataclass, field

_HEAD = struct.Struct(">64sQ")


@dataclass(frozen=True, slots=True)
class Payload:
    """*sender* is a fingerprint, 128 hex digits, as whoever sealed the message claims."""

    sender: str
    timestamp: int
    plaintext: bytes = field(repr=False)


def check_time(timestamp: int) -> None:
    """Raise TypeError unless *timestamp* is whole, ValueError unless it is 0 to 2**64 - 1."""
    if not 0 <= operator.index(timestamp) < 2**64:
        raise ValueError(f"the time {timestamp} is not within 0 and 2**64 - 1")


def pack(payload: Payload) -> bytes:
    """The bytes, 72 more than the plaintext."""
    return _HEAD.pack(bytes.fromhex(payload.sender), payload.timestamp) + payload.plaintext


def unpack(data: bytes) -> Payload:
    """The parts of *data*, which the reader of the container made sure has at least 72 bytes."""
    sender, timestamp = _HEAD.unpack_from(data)
    return Payload(sender.hex(), timestamp, data[_HEAD.size :])
