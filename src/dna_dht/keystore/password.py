"""The envelope of a password around a key file. Source: spec 03, section 10.2.

Layout: ASCII ``DNAK`` || version (1) || salt (32) || nonce (12) || tag (16) || ciphertext, as long as the
file in it. The AES-256-GCM key is PBKDF2-HMAC-SHA-256 of the password with 210,000 rounds (less than 0.1 s);
nothing else is authenticated.

A password is the UTF-8 of what was typed, byte for byte: no Unicode normalisation, no trimming, for the
reference does neither, and a password it set must open here.
"""

import hashlib
import secrets

from dna_dht.crypto import aead
from dna_dht.crypto.aead import KEY_SIZE, NONCE_SIZE, TAG_SIZE, Encrypted
from dna_dht.errors import DecodeError, DecryptionError, PasswordRequiredError, WrongPasswordError

MAGIC = b"DNAK"
VERSION = 1
ROUNDS = 210_000  # spec 03, section 1
SALT_SIZE = 32  # bytes
OVERHEAD = len(MAGIC) + 1 + SALT_SIZE + NONCE_SIZE + TAG_SIZE  # bytes, 65
MAX_SIZE = 100_000  # bytes of a file the reference reads


def is_protected(data: bytes) -> bool:
    """Whether *data* is a key file under a password."""
    return data.startswith(MAGIC) and len(data) >= OVERHEAD


def is_newer(data: bytes) -> bool:
    """Whether *data* is under a password in a version that is not known here yet."""
    return data.startswith(MAGIC) and len(data) > len(MAGIC) and data[len(MAGIC)] > VERSION


def protect(content: bytes, password: str) -> bytes:
    """*content* (1 to 99,935 bytes) under a *password*; 65 bytes longer, different each time.

    ValueError for another size, or a password that is empty or holds a NUL, where the reference would stop.
    """
    if not 1 <= len(content) <= MAX_SIZE - OVERHEAD:
        raise ValueError(f"a key file has 1 to {MAX_SIZE - OVERHEAD:,} bytes, got {len(content):,}")
    if not password:
        raise ValueError("a password has at least one character")
    salt = secrets.token_bytes(SALT_SIZE)
    encrypted = aead.encrypt(_key(password, salt), content)
    return MAGIC + bytes((VERSION,)) + salt + encrypted.nonce + encrypted.tag + encrypted.ciphertext


def protected_if(content: bytes, password: str | None) -> bytes:
    """*content* under *password*, or as it is if there is none."""
    return protect(content, password) if password else content


def unprotect(data: bytes, password: str | None) -> bytes:
    """The key file in *data*; *data* itself, whatever the *password*, if it is not protected.

    Raises:
        DecodeError: *data* has no bytes or over 100,000, is cut off, or of a newer version.
        PasswordRequiredError: it is protected, and *password* is None or empty.
        WrongPasswordError: the password is another one, or the file is damaged: nothing tells these apart.
        ValueError: *password* holds a NUL.
    """
    if not 1 <= len(data) <= MAX_SIZE:
        raise DecodeError(f"a key file has 1 to {MAX_SIZE:,} bytes, got {len(data):,}")
    if not data.startswith(MAGIC):
        return data
    if is_newer(data):
        raise DecodeError("a newer release protected the key file: update this one")
    if len(data) <= OVERHEAD or data[len(MAGIC)] != VERSION:
        raise DecodeError("the password-protected key file is damaged")
    if not password:
        raise PasswordRequiredError("the identity is protected by a password: give it")
    rest = data[len(MAGIC) + 1 :]
    salt, rest = rest[:SALT_SIZE], rest[SALT_SIZE:]
    nonce, rest = rest[:NONCE_SIZE], rest[NONCE_SIZE:]
    encrypted = Encrypted(nonce, rest[TAG_SIZE:], rest[:TAG_SIZE])
    try:
        return aead.decrypt(_key(password, salt), encrypted)
    except DecryptionError:
        raise WrongPasswordError("the password is wrong (or the key file is damaged): try again") from None


def _key(password: str, salt: bytes) -> bytes:
    if "\0" in password:
        raise ValueError("a password cannot hold a NUL character")
    # bytes a terminal gave that are no UTF-8 stay as they are
    try:
        typed = password.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # whose text would show the password
        raise ValueError("a password cannot hold half of a character") from None
    return hashlib.pbkdf2_hmac("sha256", typed, salt, ROUNDS, KEY_SIZE)
