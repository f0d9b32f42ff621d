"""The ids that follow from an ML-DSA-87 public key. Source: spec 03, section 8; spec 01, section 1.2.

================  ========================================  ========================================
owner id          SHA-1(public key)                         short name of the owner of a value
long id           SHA-256(public key)                       tells two owners apart
node id           SHA-1("node:" + hex of the owner id)      place of a node in the id space
owner value id    first 8 bytes of the long id, big-endian  slot of an owner under a shared key
fingerprint       SHA3-512(public key), 128 hex digits      node id text, name of a user
long id text      SHA-256(public key), 64 hex digits        node id text of release 0.6.27
================  ========================================  ========================================
"""

import hashlib

from dna_dht.wire.infohash import InfoHash

FINGERPRINT_LENGTH = 128  # hex digits; spec 03, section 1


def owner_id(public_key: bytes) -> InfoHash:
    """The 20-byte id that queries and tables know an owner by."""
    return InfoHash.of(public_key)


def long_id(public_key: bytes) -> bytes:
    """32 bytes. Two public keys are the same owner when their long ids are equal."""
    return hashlib.sha256(public_key).digest()


def node_id(public_key: bytes) -> InfoHash:
    """The id a node with this key takes in the routing tables of others. No peer checks it."""
    return InfoHash.of(b"node:" + owner_id(public_key).hex().encode())


def owner_value_id(public_key: bytes) -> int:
    """The value id an owner uses under a key that many owners share, 0 to 2**64 - 1."""
    return int.from_bytes(long_id(public_key)[:8], "big")


def fingerprint(public_key: bytes) -> str:
    """SHA3-512 of the key, 128 hex digits: the documented node id text, the fingerprint of a user."""
    return hashlib.sha3_512(public_key).hexdigest()


def long_id_text(public_key: bytes) -> str:
    """SHA-256 of the key, 64 hex digits: the node id text of release 0.6.27 in registry and logs."""
    return long_id(public_key).hex()
