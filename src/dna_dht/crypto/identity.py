"""Identity: the keys of a user; PublicIdentity: what others know of them. Source: spec 03, section 2.2."""

import re
from dataclasses import dataclass, field
from typing import Self

from dna_dht.crypto import derive, hashes, kem, mldsa, mlkem
from dna_dht.crypto.expanded_key import SecretSigningKey
from dna_dht.crypto.kem import DecryptionKey
from dna_dht.crypto.mldsa import SigningKey
from dna_dht.crypto.mnemonic import Mnemonic
from dna_dht.crypto.node_identity import NodeIdentity
from dna_dht.dialect import Dialect

_FINGERPRINT = re.compile(r"[0-9a-fA-F]{128}")


def is_fingerprint(text: str) -> bool:
    """Whether *text* is a fingerprint: 128 hex digits of either case. We write them lower case."""
    return _FINGERPRINT.fullmatch(text) is not None


def short_fingerprint(fingerprint: str) -> str:
    """For people to see: the first ten digits, ``...``, the last ten. Never compare by it."""
    return f"{fingerprint[:10]}...{fingerprint[-10:]}"


@dataclass(frozen=True, slots=True)
class PublicIdentity:
    """The two public keys of a user, 2592 bytes to verify with and 1568 to encrypt to.

    Nothing ties them together: whoever hands both over vouches for the second. ValueError for other lengths.
    """

    signing_public_key: bytes
    encryption_public_key: bytes
    fingerprint: str = field(init=False, compare=False)
    """SHA3-512 of the signing public key, 128 hex digits: the name of the user."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "signing_public_key", bytes(memoryview(self.signing_public_key)))
        object.__setattr__(self, "encryption_public_key", bytes(memoryview(self.encryption_public_key)))
        if len(self.signing_public_key) != mldsa.PUBLIC_KEY_SIZE:
            raise ValueError(
                f"a signing public key has {mldsa.PUBLIC_KEY_SIZE} bytes, got {len(self.signing_public_key)}"
            )
        if len(self.encryption_public_key) != mlkem.PUBLIC_KEY_SIZE:
            raise ValueError(
                f"an encryption public key has {mlkem.PUBLIC_KEY_SIZE} bytes,"
                f" got {len(self.encryption_public_key)}"
            )
        object.__setattr__(self, "fingerprint", hashes.fingerprint(self.signing_public_key))

    def __repr__(self) -> str:
        return f"<PublicIdentity {short_fingerprint(self.fingerprint)}>"


class Identity:
    """A user: three secret keys that follow from the recovery words. Immutable; its text shows no secret."""

    __slots__ = ("_encryption", "_node", "_public", "_signing")

    def __init__(self, signing: SecretSigningKey, encryption: DecryptionKey, node: NodeIdentity) -> None:
        self._signing = signing
        self._encryption = encryption
        self._node = node
        self._public = PublicIdentity(signing.public_key, encryption.public_key)

    @classmethod
    def from_mnemonic(cls, mnemonic: Mnemonic, dialect: Dialect = Dialect.DOCUMENTED) -> Self:
        """The identity of the recovery words. Signing key and node are the same in both dialects.

        Raises CryptoError in DEPLOYED if the extra ``deployed`` is not installed.
        """
        return cls.from_master_seed(mnemonic.master_seed(), dialect)

    @classmethod
    def from_master_seed(cls, master_seed: bytes, dialect: Dialect = Dialect.DOCUMENTED) -> Self:
        """The identity of a 64-byte secret *master_seed*; ValueError for another length."""
        return cls(
            SigningKey(derive.signing_seed(master_seed)),
            kem.decryption_key(derive.encryption_seed(master_seed), dialect),
            NodeIdentity.from_seed(derive.dht_identity_seed(master_seed)),
        )

    @property
    def signing(self) -> SecretSigningKey:
        """Signs profiles, messages and lists."""
        return self._signing

    @property
    def encryption(self) -> DecryptionKey:
        """Opens what is sealed for the user; its class follows from the dialect."""
        return self._encryption

    @property
    def node(self) -> NodeIdentity:
        """Signs the user's values in the DHT. Nothing on the network links it to the other two."""
        return self._node

    @property
    def public(self) -> PublicIdentity:
        """What others need."""
        return self._public

    @property
    def dialect(self) -> Dialect:
        """The dialect the encryption key was made in, and what we seal is written in."""
        return kem.dialect_of(self.encryption)

    @property
    def fingerprint(self) -> str:
        """SHA3-512 of the signing public key, 128 hex digits."""
        return self.public.fingerprint

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Identity):
            return NotImplemented
        return (self.public, self.encryption, self.node) == (other.public, other.encryption, other.node)

    def __hash__(self) -> int:
        return hash(self.public)

    def __repr__(self) -> str:
        return f"<Identity {short_fingerprint(self.fingerprint)} {self.dialect.value}>"
