"""The KEM of user keys in both dialects. Source: spec 00, section 2; spec 03, section 4.7.

No byte on the wire tells the dialects apart, so a sender writes the secret of its own dialect and a reader
tries its own first, then the other: one decapsulation gives both.
"""

from dna_dht.crypto import mlkem
from dna_dht.crypto.kyber import KyberKey, bridge
from dna_dht.crypto.mlkem import MlKemKey
from dna_dht.dialect import NO_DIALECT, Dialect

DecryptionKey = MlKemKey | KyberKey
"""What opens what others encrypt to a user. Its class follows from the dialect it was made in."""


def decryption_key(encryption_seed: bytes, dialect: Dialect) -> DecryptionKey:
    """The decryption key of a user from its 32-byte *encryption_seed*.

    Raises CryptoError in DEPLOYED if the extra ``deployed`` is not installed.
    """
    match dialect:
        case Dialect.DOCUMENTED:
            return MlKemKey.from_encryption_seed(encryption_seed)
        case Dialect.DEPLOYED:
            return KyberKey.from_encryption_seed(encryption_seed)
        case _:
            raise TypeError(NO_DIALECT)


def dialect_of(key: DecryptionKey) -> Dialect:
    """The dialect a key belongs to."""
    return Dialect.DEPLOYED if isinstance(key, KyberKey) else Dialect.DOCUMENTED


def encapsulate(public_key: bytes, dialect: Dialect) -> tuple[bytes, bytes]:
    """A new (shared secret, ciphertext) for the holder of *public_key*: 32 and 1568 bytes.

    Needs no extra in either dialect. Raises CryptoError if *public_key* is no key.
    """
    secret, ciphertext = mlkem.encapsulate(public_key)
    match dialect:
        case Dialect.DOCUMENTED:
            return secret, ciphertext
        case Dialect.DEPLOYED:
            return bridge(secret, ciphertext), ciphertext
        case _:
            raise TypeError(NO_DIALECT)


def shared_secrets(key: DecryptionKey, ciphertext: bytes) -> tuple[bytes, bytes]:
    """Both secrets *ciphertext* may stand for, that of the key's own dialect first.

    They are wrong, and nothing tells, if it was not made for *key*: what is encrypted under them decides.
    Raises ValueError unless *ciphertext* has 1568 bytes.
    """
    secret = key.decapsulate(ciphertext)
    bridged = bridge(secret, ciphertext)
    return (bridged, secret) if dialect_of(key) is Dialect.DEPLOYED else (secret, bridged)
