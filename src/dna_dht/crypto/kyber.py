"""Round-3 Kyber1024 as release 0.6.27 uses it, on top of ML-KEM libraries. Source: spec 03, section 4.

Public keys, expanded secret keys and ciphertexts have the bytes of ML-KEM-1024. Two things differ: how a
seed becomes a key pair (``kyber-py``, once per identity), and the last step of the shared secret
(:func:`bridge`). Decapsulation with an expanded key is done by ``pqcrypto``, in constant time.

Both packages come with the extra ``deployed``.
"""

import hashlib
import secrets
from typing import Self

from dna_dht.crypto.extras import extra
from dna_dht.crypto.mlkem import CIPHERTEXT_SIZE, encapsulate
from dna_dht.errors import CryptoError

SECRET_KEY_SIZE = 3168  # bytes: s (1536) || public key || SHA3-256(public key) || z; spec 03, section 4.1
_RHO_SIZE = 32  # bytes at the end of a public key; spec 03, section 4.1
_PUBLIC_IN_SECRET = slice(1536, 3104)
_HASH_IN_SECRET = slice(3104, 3136)


class KyberKey:
    """An expanded decapsulation key with its public key. Immutable; its text hides the secret."""

    __slots__ = ("_key", "_secret")

    def __init__(self, secret_key: bytes) -> None:
        """The key of 3168 expanded bytes.

        Raises:
            ValueError: another length, or a part of it does not belong to the others.
            MissingPackageError: the package ``pqcrypto`` is not installed.
        """
        if not is_expanded_key(secret_key):
            raise ValueError(
                "an expanded Kyber1024 key has 3168 bytes and carries the hash of its public key"
            )
        self._secret = bytes(secret_key)
        self._key = extra("pqcrypto.kem.ml_kem_1024", "pqcrypto").SecretKey(self._secret)
        if not self._opens_what_is_made_for_it():
            raise ValueError("the secret part of the expanded Kyber1024 key is damaged")

    @classmethod
    def from_encryption_seed(cls, encryption_seed: bytes) -> Self:
        """The round-3 key of a user from its 32-byte *encryption_seed*: d = seed, z = SHA3-256(seed).

        Takes about 5 ms of pure Python, not in constant time. Raises MissingPackageError without
        ``kyber-py``, CryptoError if the one installed makes other keys.
        """
        if len(encryption_seed) != 32:
            raise ValueError(f"an encryption seed has 32 bytes, got {len(encryption_seed)}")
        rejection = hashlib.sha3_256(encryption_seed).digest()
        draws = iter((bytes(encryption_seed), rejection))
        parameters = extra("kyber_py.kyber.default_parameters", "kyber-py").DEFAULT_PARAMETERS
        kyber = extra("kyber_py.kyber.kyber", "kyber-py").Kyber(parameters["kyber_1024"])
        kyber.random_bytes = lambda count: next(draws)
        public_key, secret_key = kyber.keygen()
        rho = hashlib.sha3_512(encryption_seed).digest()[:_RHO_SIZE]
        if not public_key.endswith(rho) or not secret_key.endswith(rejection):  # drawn in another order
            raise CryptoError("the package kyber-py makes other keys than expected: install another version")
        return cls(secret_key)

    @property
    def secret_key(self) -> bytes:
        """The 3168 secret bytes, as key files hold them. Handle with care."""
        return self._secret

    @property
    def public_key(self) -> bytes:
        """The 1568 bytes others encapsulate to."""
        return public_part(self._secret)

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """What ML-KEM-1024 makes of *ciphertext*, 32 bytes: :func:`bridge` turns it into the round-3 secret.

        Another, pseudorandom secret if it was not made for this key. Raises ValueError unless *ciphertext*
        has 1568 bytes.
        """
        if len(ciphertext) != CIPHERTEXT_SIZE:
            raise ValueError(f"a ciphertext has {CIPHERTEXT_SIZE} bytes, got {len(ciphertext)}")
        secret: bytes = self._key.decaps(bytes(ciphertext))
        return secret

    def _opens_what_is_made_for_it(self) -> bool:
        """Whether one encapsulation comes back; no hash in the key covers its secret part (0.2 ms)."""
        try:
            secret, ciphertext = encapsulate(self.public_key)
        except CryptoError:
            return False
        return secrets.compare_digest(self.decapsulate(ciphertext), secret)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, KyberKey):
            return NotImplemented
        return secrets.compare_digest(self._secret, other._secret)

    def __hash__(self) -> int:
        return hash(self.public_key)

    def __repr__(self) -> str:
        return f"<KyberKey of {self.public_key[:8].hex()}...>"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a KyberKey is not pickled: its secret would leave the process unnoticed")


def is_expanded_key(secret_key: bytes) -> bool:
    """Whether *secret_key* has 3168 bytes and the public key in it has the hash beside it."""
    if len(secret_key) != SECRET_KEY_SIZE:
        return False
    return hashlib.sha3_256(public_part(secret_key)).digest() == secret_key[_HASH_IN_SECRET]


def public_part(secret_key: bytes) -> bytes:
    """The public key that an expanded *secret_key* carries."""
    return secret_key[_PUBLIC_IN_SECRET]


def bridge(mlkem_secret: bytes, ciphertext: bytes) -> bytes:
    """The round-3 secret of *ciphertext* from what ML-KEM-1024 gives for it; 32 bytes (spec 03, 4.5)."""
    return hashlib.shake_256(mlkem_secret + hashlib.sha3_256(ciphertext).digest()).digest(32)
