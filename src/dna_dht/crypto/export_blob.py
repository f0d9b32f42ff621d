"""The export form of a node identity, also the content of ``dht_identity.bin``. Source: spec 03, section 9.3.

Three fields, each a u32 length (big-endian) and that many bytes: expanded secret key, public key,
certificate. The seed is not in it, so the identity it becomes again signs slowly: keep the seed beside it
(spec 03, section 9.4).
"""

from dataclasses import dataclass, field
from typing import Self

from dna_dht.crypto.certificate import Certificate
from dna_dht.crypto.expanded_key import EXPANDED_SIZE, ExpandedSigningKey, belongs_to
from dna_dht.crypto.mldsa import PUBLIC_KEY_SIZE
from dna_dht.crypto.node_identity import NodeIdentity
from dna_dht.errors import DecodeError, MissingPackageError


@dataclass(frozen=True, slots=True)
class ExportBlob:
    """An identity as the reference moves it between machines. *secret_key* is expanded, 4896 bytes."""

    secret_key: bytes = field(repr=False)
    public_key: bytes
    certificate: Certificate

    @classmethod
    def of(cls, identity: NodeIdentity, now: int) -> Self:
        """The blob of *identity* with a certificate dated *now*, Unix seconds.

        Raises MissingPackageError if ``dilithium-py``, which makes the expanded key, is not installed.
        """
        secret_key = identity.expanded_key()
        if secret_key is None:
            raise MissingPackageError(
                "exporting an identity needs the package dilithium-py:"
                " run \"pip install 'dna-dht[deployed]'\""
            )
        return cls(secret_key, identity.public_key, Certificate.of_node(identity.public_key, now))

    @classmethod
    def decode(cls, blob: bytes) -> Self:
        """Parse a blob; DecodeError unless the fields fit exactly, have their sizes and belong together."""
        secret_key, rest = _take(blob, "secret key", EXPANDED_SIZE)
        public_key, rest = _take(rest, "public key", PUBLIC_KEY_SIZE)
        encoded, rest = _take(rest, "certificate", None)
        if rest:
            raise DecodeError(f"identity: {len(rest)} bytes too many")
        certificate = Certificate.decode(encoded)
        if certificate.public_key != public_key or not belongs_to(secret_key, public_key):
            raise DecodeError("identity: secret key, public key and certificate do not belong together")
        return cls(secret_key, public_key, certificate)

    def encode(self) -> bytes:
        """The bytes: 10,167 while the dates need 32 bits."""
        fields = (self.secret_key, self.public_key, self.certificate.encode())
        return b"".join(len(data).to_bytes(4, "big") + data for data in fields)

    def identity(self) -> NodeIdentity:
        """The identity in the blob; it has no seed.

        Raises CryptoError if the secret key is damaged, or ``pqcrypto``, which signs with it, is missing.
        """
        return NodeIdentity(ExpandedSigningKey(self.secret_key, self.public_key))

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("an ExportBlob is not pickled: its secret would leave the process unnoticed")


def _take(blob: bytes, name: str, size: int | None) -> tuple[bytes, bytes]:
    """(the field at the start of *blob*, what follows); *size* is what its length must be."""
    length = int.from_bytes(blob[:4], "big")
    if len(blob) < 4 or len(blob) - 4 < length:
        raise DecodeError(f"identity: {name} is cut off")
    if size is not None and length != size:
        raise DecodeError(f"identity: {name} needs {size} bytes, got {length}")
    return blob[4 : 4 + length], blob[4 + length :]
