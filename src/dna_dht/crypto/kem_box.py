"""A few bytes that only the holder of one encryption key opens. Source: spec 03, sections 7.2 and 10.3.

Layout: ciphertext of the KEM (1568) || nonce (12) || tag (16) || encrypted bytes. The AES-256-GCM key is the
shared secret; nothing else is authenticated, and nothing says who made the box. A box holds a group key (32
bytes), a recovery phrase (256 bytes, zero-padded) or a master seed (64 bytes).
"""

from dna_dht.crypto import aead, kem
from dna_dht.crypto.aead import NONCE_SIZE, TAG_SIZE, Encrypted
from dna_dht.crypto.mlkem import CIPHERTEXT_SIZE
from dna_dht.dialect import Dialect
from dna_dht.errors import DecodeError, DecryptionError

OVERHEAD = CIPHERTEXT_SIZE + NONCE_SIZE + TAG_SIZE  # bytes, 1596
MAX_CONTENT = 65_536  # bytes; our bound, the largest content the system boxes has 256


def close_box(content: bytes, public_key: bytes, dialect: Dialect) -> bytes:
    """*content* (1 to 65,536 bytes) for the holder of *public_key*; 1596 bytes longer.

    Raises ValueError for another size, CryptoError if *public_key* is no key.
    """
    if not 1 <= len(content) <= MAX_CONTENT:
        raise ValueError(f"a box holds 1 to {MAX_CONTENT:,} bytes, got {len(content):,}")
    secret, ciphertext = kem.encapsulate(public_key, dialect)
    encrypted = aead.encrypt(secret, content)
    return ciphertext + encrypted.nonce + encrypted.tag + encrypted.ciphertext


def open_box(box: bytes, key: kem.DecryptionKey) -> bytes:
    """What is in *box*, of either dialect.

    Raises:
        DecodeError: *box* is too short or too long to be one.
        DecryptionError: it is for another key, or was changed.
    """
    if not 1 <= len(box) - OVERHEAD <= MAX_CONTENT:
        raise DecodeError(f"a box has {OVERHEAD + 1:,} to {OVERHEAD + MAX_CONTENT:,} bytes, got {len(box):,}")
    ciphertext, rest = box[:CIPHERTEXT_SIZE], box[CIPHERTEXT_SIZE:]
    nonce, rest = rest[:NONCE_SIZE], rest[NONCE_SIZE:]
    encrypted = Encrypted(nonce, rest[TAG_SIZE:], rest[:TAG_SIZE])
    own, other = kem.shared_secrets(key, ciphertext)
    try:
        return aead.decrypt(own, encrypted)
    except DecryptionError:
        return aead.decrypt(other, encrypted)
