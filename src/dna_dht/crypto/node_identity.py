"""NodeIdentity: the key a node signs its own values with, and its ids. Source: spec 03, sections 8 and 9."""

from typing import Self

from dna_dht.crypto import expanded_key, hashes
from dna_dht.crypto.expanded_key import SecretSigningKey
from dna_dht.crypto.mldsa import SigningKey
from dna_dht.dialect import NO_DIALECT, Dialect
from dna_dht.wire.infohash import InfoHash


class NodeIdentity:
    """Who a node is. Immutable; equal when the public keys are. Its text shows the node id and no secret."""

    __slots__ = ("_key", "_node_id", "_owner_id", "_owner_value_id")

    def __init__(self, key: SecretSigningKey) -> None:
        """The identity of *key*; an expanded one signs slowly (:mod:`dna_dht.crypto.expanded_key`)."""
        self._key = key
        self._owner_id = hashes.owner_id(key.public_key)
        self._node_id = hashes.node_id(key.public_key)
        self._owner_value_id = hashes.owner_value_id(key.public_key)

    @classmethod
    def generate(cls) -> Self:
        """A new random identity."""
        return cls(SigningKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """The identity of a 32-byte secret *seed*, always the same; ValueError for another length."""
        return cls(SigningKey(seed))

    @property
    def owner_id(self) -> InfoHash:
        """SHA-1 of the public key: how others name the owner of our values."""
        return self._owner_id

    @property
    def node_id(self) -> InfoHash:
        """Our place in the id space."""
        return self._node_id

    @property
    def owner_value_id(self) -> int:
        """The value id of this owner under keys that many owners share."""
        return self._owner_value_id

    @property
    def seed(self) -> bytes | None:
        """The 32 secret bytes that are the whole identity; None if only the expanded key is known."""
        return self._key.seed

    def expanded_key(self) -> bytes | None:
        """The expanded secret key, 4896 bytes, as the reference keeps it. Handle with care.

        None if it has to be made of the seed (15 ms) and ``dilithium-py`` is not installed.
        """
        return expanded_key.expanded(self._key)

    def may_have(self, secret_key: bytes) -> bool:
        """Whether *secret_key* is our expanded secret key; True if that cannot be told here."""
        return expanded_key.may_be_of(secret_key, self._key)

    @property
    def public_key(self) -> bytes:
        """2592 bytes; the ``owner`` of the values this identity signs."""
        return self._key.public_key

    @property
    def long_id(self) -> bytes:
        """SHA-256 of the public key, 32 bytes."""
        return hashes.long_id(self.public_key)

    def node_id_text(self, dialect: Dialect = Dialect.DOCUMENTED) -> str:
        """The node id as registry and statistics write it: 128 hex digits, in DEPLOYED 64."""
        match dialect:
            case Dialect.DOCUMENTED:
                return hashes.fingerprint(self.public_key)
            case Dialect.DEPLOYED:
                return hashes.long_id_text(self.public_key)
            case _:
                raise TypeError(NO_DIALECT)

    def sign(self, message: bytes) -> bytes:
        """Sign *message*; 4627 bytes, different each time."""
        return self._key.sign(message)

    def __eq__(self, other: object) -> bool:
        return self.public_key == other.public_key if isinstance(other, NodeIdentity) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.public_key)

    def __repr__(self) -> str:
        return f"<NodeIdentity node_id={self.node_id}>"
