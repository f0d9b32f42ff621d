"""The expanded form of a secret key, which the reference keeps in its files. Source: spec 03, 3 and 9.4.

Layout, 4896 bytes: rho (32) || K (32) || tr (64) || s1 (672) || s2 (768) || t0 (3328). The seed is not
in it, and the library we sign with cannot load it. What to do with the two forms needs optional packages:

* ``dilithium-py`` expands a seed, so that the reference can read our files; without it ``.dsa`` files are
  left out, and nothing else changes;
* ``pqcrypto`` signs with an expanded key that has no seed. A signature takes 11 to 13 ms, ten times as
  long, and it keeps the interpreter lock: all threads of the process wait meanwhile.
"""

import hashlib
import hmac
import importlib
from types import ModuleType

from dna_dht.crypto.extras import extra
from dna_dht.crypto.mldsa import PUBLIC_KEY_SIZE, SigningKey, verify
from dna_dht.errors import CryptoError

EXPANDED_SIZE = 4896  # bytes; FIPS 204, table 2
_ATTEMPTS = 3  # signatures made until one verifies; of a sound key the first does
_RHO = slice(0, 32)  # also the first bytes of the public key
_TR = slice(64, 128)  # SHAKE256(public key, 64)


class ExpandedSigningKey:
    """A secret key in its expanded form. Immutable; equal when the bytes are; its text hides them.

    Attributes:
        seed: None. It exists, but cannot be told from the expanded key.
    """

    __slots__ = ("_key", "_public", "_secret")

    seed: None = None

    def __init__(self, secret_key: bytes, public_key: bytes) -> None:
        """The key of 4896 secret bytes and the 2592 bytes others verify with; makes one signature, 13 ms.

        Raises CryptoError if the two do not belong together, or ``pqcrypto`` is not installed.
        """
        if not belongs_to(secret_key, public_key):
            raise CryptoError("the expanded secret key is damaged or does not belong to the public key")
        self._secret, self._public = bytes(secret_key), bytes(public_key)
        self._key = _signer().SecretKey(self._secret)
        self.sign(b"self-test")

    @property
    def secret_key(self) -> bytes:
        """The 4896 secret bytes, as key files of the reference hold them. Handle with care."""
        return self._secret

    @property
    def public_key(self) -> bytes:
        """The 2592 bytes others verify with."""
        return self._public

    def sign(self, message: bytes) -> bytes:
        """Sign *message*; 4627 bytes. Hedged: two signatures of one message differ and both verify.

        Each is verified before it leaves (0.25 ms), for a damaged key makes some that do not verify. Raises
        CryptoError if none does.
        """
        for _ in range(_ATTEMPTS):
            signature = bytes(self._key.sign(bytes(message)))
            if verify(self._public, signature, message):
                return signature
        raise CryptoError("the expanded secret key is damaged: restore it from a backup")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ExpandedSigningKey):
            return NotImplemented
        return hmac.compare_digest(self._secret, other._secret)

    def __hash__(self) -> int:
        return hash(self._public)

    def __repr__(self) -> str:
        return f"<ExpandedSigningKey of {self._public[:8].hex()}...>"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("an ExpandedSigningKey is not pickled: its secret would leave the process unnoticed")


SecretSigningKey = SigningKey | ExpandedSigningKey
"""What signs. Made from a seed it is fast and can be written in every form."""


def can_sign() -> bool:
    """Whether the package that signs with an expanded key is installed."""
    try:
        _signer()
    except CryptoError:
        return False
    return True


def expanded(key: SecretSigningKey) -> bytes | None:
    """The 4896 bytes of *key*; None if they have to be made of a seed without ``dilithium-py``."""
    return key.secret_key if isinstance(key, ExpandedSigningKey) else expand(key.seed)


def may_be_of(secret_key: bytes, key: SecretSigningKey) -> bool:
    """Whether *secret_key* is the expanded form of *key*; True if that cannot be told here."""
    return expanded(key) in (secret_key, None)


def expand(seed: bytes) -> bytes | None:
    """The expanded secret key of a 32-byte *seed* (15 ms); None if ``dilithium-py`` is not installed."""
    try:
        library = importlib.import_module("dilithium_py.ml_dsa")
    except ImportError:
        return None
    secret_key: bytes = library.ML_DSA_87.key_derive(seed)[1]
    return secret_key


def belongs_to(secret_key: bytes, public_key: bytes) -> bool:
    """Whether an expanded key has the right size and, as far as its hashes tell, this *public_key*.

    They do not cover s1, s2 and t0: :class:`ExpandedSigningKey` checks what these make.
    """
    return (
        len(secret_key) == EXPANDED_SIZE
        and len(public_key) == PUBLIC_KEY_SIZE
        and hmac.compare_digest(secret_key[_RHO], public_key[:32])
        and hmac.compare_digest(secret_key[_TR], hashlib.shake_256(public_key).digest(64))
    )


def _signer() -> ModuleType:
    return extra("pqcrypto.sign.ml_dsa_87", "pqcrypto")
