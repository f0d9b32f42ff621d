"""ML-KEM-1024 (FIPS 203): keys from a seed, encapsulation, decapsulation. Source: spec 03, section 4."""

import hashlib
import secrets
from typing import Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM1024PrivateKey, MLKEM1024PublicKey

from dna_dht.errors import CryptoError

PUBLIC_KEY_SIZE = 1568  # bytes; FIPS 203, table 3
CIPHERTEXT_SIZE = 1568  # bytes; FIPS 203, table 3
SECRET_SIZE = 32  # bytes of a shared secret; FIPS 203, table 3
SEED_SIZE = 64  # bytes, d || z; FIPS 203, section 7.1

_UNSUPPORTED = "the installed package cryptography was built without ML-KEM-1024: install its wheel from PyPI"


class MlKemKey:
    """A decapsulation key, held as its 64-byte seed d || z. Immutable; its text hides the seed."""

    __slots__ = ("_key", "_public", "_seed")

    def __init__(self, seed: bytes) -> None:
        """The key that FIPS 203 derives from *seed*: 64 secret bytes; ValueError for another length.

        Raises CryptoError if the installed ``cryptography`` was built without ML-KEM.
        """
        if len(seed) != SEED_SIZE:
            raise ValueError(f"an ML-KEM-1024 seed has {SEED_SIZE} bytes, got {len(seed)}")
        self._seed = bytes(seed)
        try:
            self._key = MLKEM1024PrivateKey.from_seed_bytes(self._seed)
        except UnsupportedAlgorithm:
            raise CryptoError(_UNSUPPORTED) from None
        self._public = self._key.public_key().public_bytes_raw()

    @classmethod
    def from_encryption_seed(cls, encryption_seed: bytes) -> Self:
        """The key of a user: d = the 32-byte *encryption_seed*, z = SHA3-256 of it (spec 00, section 2)."""
        if len(encryption_seed) != 32:
            raise ValueError(f"an encryption seed has 32 bytes, got {len(encryption_seed)}")
        return cls(encryption_seed + hashlib.sha3_256(encryption_seed).digest())

    @property
    def secret_key(self) -> bytes:
        """The 64 secret bytes d || z the key is made from, as key files hold them. Handle with care."""
        return self._seed

    @property
    def public_key(self) -> bytes:
        """The 1568 bytes others encapsulate to."""
        return self._public

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """The 32-byte secret in *ciphertext*; another, pseudorandom one if it was not made for this key.

        Raises ValueError unless *ciphertext* has 1568 bytes.
        """
        return self._key.decapsulate(ciphertext)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MlKemKey):
            return NotImplemented
        return secrets.compare_digest(self._seed, other._seed)

    def __hash__(self) -> int:
        return hash(self._public)

    def __repr__(self) -> str:
        return f"<MlKemKey of {self._public[:8].hex()}...>"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("an MlKemKey is not pickled: its seed would leave the process unnoticed")


def encapsulate(public_key: bytes) -> tuple[bytes, bytes]:
    """A new (shared secret, ciphertext) for the holder of *public_key*: 32 and 1568 bytes.

    Raises CryptoError if *public_key* is no ML-KEM-1024 key (1568 bytes, coefficients below 3329).
    """
    try:
        return MLKEM1024PublicKey.from_public_bytes(public_key).encapsulate()
    except ValueError:
        raise CryptoError("the encryption key is damaged: ask its owner for it again") from None
    except UnsupportedAlgorithm:
        raise CryptoError(_UNSUPPORTED) from None
