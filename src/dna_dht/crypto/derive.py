"""The seeds of a user's keys, from the master seed. Source: spec 03, section 2.2."""

import hashlib

MASTER_SEED_SIZE = 64  # bytes; spec 03, section 1
SEED_SIZE = 32  # bytes of each derived seed


def signing_seed(master_seed: bytes) -> bytes:
    """The ML-DSA-87 seed of the user's signing key, 32 bytes."""
    return hashlib.shake_256(_checked(master_seed) + b"qgp-signing-v1").digest(SEED_SIZE)


def encryption_seed(master_seed: bytes) -> bytes:
    """The seed of the user's encryption key, 32 bytes."""
    return hashlib.shake_256(_checked(master_seed) + b"qgp-encryption-v1").digest(SEED_SIZE)


def dht_identity_seed(master_seed: bytes) -> bytes:
    """The ML-DSA-87 seed of the node identity, which signs what the user puts into the DHT; 32 bytes."""
    return hashlib.sha3_512(_checked(master_seed) + b"dht_identity").digest()[:SEED_SIZE]


def _checked(master_seed: bytes) -> bytes:
    if len(master_seed) != MASTER_SEED_SIZE:
        raise ValueError(f"a master seed has {MASTER_SEED_SIZE} bytes, got {len(master_seed)}")
    return master_seed
