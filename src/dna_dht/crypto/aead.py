"""AES-256-GCM and the AES key wrap of RFC 3394. Source: spec 03, section 5.

Formats store nonce, tag and ciphertext as separate fields in different orders, so they are separate here.
"""

import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from dna_dht.errors import DecryptionError

KEY_SIZE = 32  # bytes; spec 03, section 1
NONCE_SIZE = 12  # bytes; spec 03, section 1
TAG_SIZE = 16  # bytes; spec 03, section 1
WRAPPED_SIZE = 40  # bytes of a wrapped 32-byte key; RFC 3394


@dataclass(frozen=True, slots=True)
class Encrypted:
    """The three parts of an encryption. *ciphertext* is as long as the plaintext."""

    nonce: bytes
    ciphertext: bytes
    tag: bytes


def encrypt(key: bytes, plaintext: bytes, associated: bytes = b"") -> Encrypted:
    """Encrypt under a 32-byte *key* with a random nonce; *associated* is authenticated, not encrypted.

    Raises ValueError for a key of another size.
    """
    _check(key)
    nonce = secrets.token_bytes(NONCE_SIZE)
    sealed = AESGCM(key).encrypt(nonce, plaintext, associated)
    return Encrypted(nonce, sealed[:-TAG_SIZE], sealed[-TAG_SIZE:])


def decrypt(key: bytes, encrypted: Encrypted, associated: bytes = b"") -> bytes:
    """The plaintext; DecryptionError if key, *associated* or any byte of *encrypted* is not the original.

    Raises ValueError for a *key* that has not 32 bytes.
    """
    _check(key)
    if len(encrypted.nonce) != NONCE_SIZE or len(encrypted.tag) != TAG_SIZE:
        raise DecryptionError("the nonce or the tag is cut off")
    try:
        return AESGCM(key).decrypt(encrypted.nonce, encrypted.ciphertext + encrypted.tag, associated)
    except InvalidTag:
        raise DecryptionError("the data was changed, or it was encrypted under another key") from None


def wrap(wrapping_key: bytes, key: bytes) -> bytes:
    """*key* (32 bytes) wrapped under *wrapping_key* (32 bytes): 40 bytes."""
    return aes_key_wrap(wrapping_key, key)


def unwrap(wrapping_key: bytes, wrapped: bytes) -> bytes | None:
    """The key in *wrapped* (40 bytes), or None: it was not wrapped under this key (32 bytes)."""
    try:
        return aes_key_unwrap(wrapping_key, wrapped)
    except InvalidUnwrap:
        return None


def _check(key: bytes) -> None:
    if len(key) != KEY_SIZE:  # 16 bytes would silently be another cipher
        raise ValueError(f"an AES-256 key has {KEY_SIZE} bytes, got {len(key)}")
