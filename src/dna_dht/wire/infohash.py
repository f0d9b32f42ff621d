"""InfoHash: a point in the 160-bit space that node ids and keys share. Source: spec 01, section 1.

A subclass of bytes: hashing, equality and big-endian order run at C speed in the tables of the core.
"""

import hashlib
from typing import Self

from dna_dht.errors import DecodeError

LENGTH = 20  # bytes; HASH_LEN
_HEX = frozenset("0123456789abcdefABCDEF")


class InfoHash(bytes):
    """A node id, or the key a value is stored under. Ordered as a big-endian integer."""

    __slots__ = ()

    def __new__(cls, raw: bytes) -> Self:
        if len(raw) != LENGTH:
            raise ValueError(f"InfoHash needs {LENGTH} bytes, got {len(raw)}")
        return super().__new__(cls, raw)

    @classmethod
    def of(cls, data: bytes) -> Self:
        """The hash of *data* of any length: SHA-1."""
        return cls(hashlib.sha1(data, usedforsecurity=False).digest())

    @classmethod
    def from_hex(cls, text: str) -> Self:
        """Parse exactly 40 hex digits; ValueError otherwise."""
        if len(text) != 2 * LENGTH:
            raise ValueError(f"an id has {2 * LENGTH} hex digits, got {len(text)}")
        return cls(bytes.fromhex(text))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Parse like the reference: 40 hex digits, more is ignored; anything else is ZERO (spec 01, 1.1)."""
        digits = text[: 2 * LENGTH]
        if len(digits) < 2 * LENGTH or not _HEX.issuperset(digits):
            return cls(bytes(LENGTH))
        return cls(bytes.fromhex(digits))

    @classmethod
    def from_wire(cls, field: object) -> Self:
        """Parse an untrusted msgpack field; DecodeError if it is anything but 20 bytes."""
        if not isinstance(field, bytes) or len(field) != LENGTH:
            raise DecodeError(f"id: expected {LENGTH} bytes, got {field!r:.40}")
        return cls(field)

    def distance(self, other: bytes) -> int:
        """XOR distance, 0 to 2**160 - 1 (Maymounkov and Mazieres 2002, section 2.1)."""
        return int.from_bytes(self, "big") ^ int.from_bytes(other, "big")

    def __repr__(self) -> str:
        return f"InfoHash({self.hex()})"

    def __str__(self) -> str:
        return self.hex()


ZERO = InfoHash(bytes(LENGTH))
"""Means "none"; never a valid node id or key."""


def node_id_of(public_key: bytes) -> InfoHash:
    """The node id of an identity (spec 01, 1.2); nothing on the wire proves it."""
    return InfoHash.of(b"node:" + InfoHash.of(public_key).hex().encode())


def long_id_of(public_key: bytes) -> bytes:
    """The 32-byte id of a public key: two keys are the same owner when it is equal (spec 01, 1.2)."""
    return hashlib.sha256(public_key).digest()


def common_bits(a: bytes, b: bytes) -> int:
    """Length of the common prefix of two ids, 0 to 160."""
    return 8 * LENGTH - (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).bit_length()


def lowbit(raw: bytes) -> int:
    """Index of the last 1-bit, counted from the most significant bit (0); -1 for zero."""
    number = int.from_bytes(raw, "big")
    return 8 * LENGTH - (number & -number).bit_length() if number else -1
