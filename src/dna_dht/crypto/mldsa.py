"""ML-DSA-87 (FIPS 204, pure mode, empty context): keys, signing, verifying. Source: spec 03, section 3.

Two things follow from measurements (performance, section 2.1). A verification loads the public key,
verifies and drops it: a loaded key costs 11 kB of memory and saves 4 % of the time. And the library
releases the interpreter lock while it signs and verifies, so both may run in worker threads; nothing
here is shared between calls.
"""

import secrets
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA87PrivateKey, MLDSA87PublicKey

from dna_dht.errors import CryptoError

PUBLIC_KEY_SIZE = 2592  # bytes; spec 03, section 1
SIGNATURE_SIZE = 4627  # bytes, always exactly; spec 03, section 1
SEED_SIZE = 32  # bytes; FIPS 204, algorithm 1


class SigningKey:
    """A secret key, held as its 32-byte seed. Immutable; equal when the seeds are; its text hides them."""

    __slots__ = ("_key", "_public", "_seed")

    def __init__(self, seed: bytes) -> None:
        """The key that FIPS 204 derives from *seed*: 32 secret bytes; ValueError for another length.

        Raises CryptoError if the installed ``cryptography`` was built without ML-DSA.
        """
        if len(seed) != SEED_SIZE:
            raise ValueError(f"an ML-DSA-87 seed has {SEED_SIZE} bytes, got {len(seed)}")
        self._seed = bytes(seed)
        try:
            self._key = MLDSA87PrivateKey.from_seed_bytes(self._seed)
        except UnsupportedAlgorithm:
            raise CryptoError(
                "the installed package cryptography was built without ML-DSA-87: install its wheel from PyPI"
            ) from None
        self._public = self._key.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> Self:
        """A new key from the operating system's generator."""
        return cls(secrets.token_bytes(SEED_SIZE))

    @property
    def seed(self) -> bytes:
        """The 32 secret bytes the key is made from. Handle with care."""
        return self._seed

    @property
    def public_key(self) -> bytes:
        """The 2592 bytes others verify with."""
        return self._public

    def sign(self, message: bytes) -> bytes:
        """Sign *message*; 4627 bytes. Hedged: two signatures of one message differ and both verify."""
        return self._key.sign(message)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SigningKey):
            return NotImplemented
        return secrets.compare_digest(self._seed, other._seed)

    def __hash__(self) -> int:
        return hash(self._public)

    def __repr__(self) -> str:
        return f"<SigningKey of {self._public[:8].hex()}...>"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a SigningKey is not pickled: its seed would leave the process unnoticed")


def verify(owner: bytes, signature: bytes, message: bytes) -> bool:
    """Whether *signature* over *message* was made with the secret key of *owner*.

    *owner* is a public key. All three come from strangers: any bytes are answered with True or False,
    never with an exception. Costs about 0.25 ms, the same for a forgery.
    """
    if len(owner) != PUBLIC_KEY_SIZE or len(signature) != SIGNATURE_SIZE:
        return False
    try:
        MLDSA87PublicKey.from_public_bytes(owner).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
