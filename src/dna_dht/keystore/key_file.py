"""Private key files, ``keys/identity.dsa`` and ``keys/identity.kem``. Source: spec 03, section 10.1.

======  ======  ===================================================================
offset  length  field
======  ======  ===================================================================
0       8       ASCII ``PQSIGNUM``
8       1       version: 1 or 2
9       1       key type: 1 = ML-DSA-87, 2 = Kyber1024 or ML-KEM-1024
10      1       purpose: 1 = signing, 2 = encryption
11      1       0; not looked at
12      4       size of the public key, u32 little-endian
16      4       size of the secret key, u32 little-endian
20      256     name, NUL-padded; we write none and do not look at it
276             public key, then secret key
======  ======  ===================================================================

Version 1 is that of the reference: the secret keys are expanded ones, 4896 and 3168 bytes. Version 2 is ours,
for keys the reference cannot use anyway: the secret keys are seeds, 32 bytes, and 64 (d || z of FIPS 203).
The reference refuses it for its version.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Self

from dna_dht.crypto import expanded_key, mldsa, mlkem
from dna_dht.crypto.expanded_key import EXPANDED_SIZE, ExpandedSigningKey, SecretSigningKey, belongs_to
from dna_dht.crypto.kem import DecryptionKey
from dna_dht.crypto.kyber import SECRET_KEY_SIZE, KyberKey, is_expanded_key, public_part
from dna_dht.crypto.mldsa import SigningKey
from dna_dht.crypto.mlkem import MlKemKey
from dna_dht.dialect import Dialect
from dna_dht.errors import DecodeError, MissingPackageError
from dna_dht.keystore.file_kind import kind_of

MAGIC = b"PQSIGNUM"
EXPANDED, SEEDS = 1, 2  # the versions
HEADER_SIZE = 276  # bytes
_NAME_SIZE = 256  # bytes


class KeyKind(Enum):
    """What the key is for; the value is both key type and purpose."""

    SIGNING = 1
    ENCRYPTION = 2


_PUBLIC_SIZES = {KeyKind.SIGNING: mldsa.PUBLIC_KEY_SIZE, KeyKind.ENCRYPTION: mlkem.PUBLIC_KEY_SIZE}
_SECRET_SIZES = {
    (EXPANDED, KeyKind.SIGNING): EXPANDED_SIZE,
    (EXPANDED, KeyKind.ENCRYPTION): SECRET_KEY_SIZE,
    (SEEDS, KeyKind.SIGNING): mldsa.SEED_SIZE,
    (SEEDS, KeyKind.ENCRYPTION): mlkem.SEED_SIZE,
}


@dataclass(frozen=True, slots=True)
class KeyFile:
    """One key pair as a file holds it, without password. Its text shows no secret."""

    kind: KeyKind
    version: int
    public_key: bytes = field(repr=False)
    secret_key: bytes = field(repr=False)

    @classmethod
    def of_signing(cls, key: SecretSigningKey, dialect: Dialect) -> Self:
        """The file of a signing key; in DEPLOYED, or if it has no seed, with the expanded key.

        Raises MissingPackageError if ``dilithium-py``, which makes that of a seed, is not installed.
        """
        if dialect is Dialect.DOCUMENTED and key.seed is not None:
            return cls(KeyKind.SIGNING, SEEDS, key.public_key, key.seed)
        secret_key = expanded_key.expanded(key)
        if secret_key is None:
            raise MissingPackageError(
                "key files of release 0.6.27 need the package dilithium-py:"
                " run \"pip install 'dna-dht[deployed]'\""
            )
        return cls(KeyKind.SIGNING, EXPANDED, key.public_key, secret_key)

    @classmethod
    def of_encryption(cls, key: DecryptionKey) -> Self:
        """The file of an encryption key; its version follows from the dialect the key belongs to."""
        version = EXPANDED if isinstance(key, KyberKey) else SEEDS
        return cls(KeyKind.ENCRYPTION, version, key.public_key, key.secret_key)

    @classmethod
    def decode(cls, data: bytes, kind: KeyKind) -> Self:
        """Parse a file that has to hold a key of this *kind*.

        Raises DecodeError, which says what is wrong, if it is another kind of file, of a newer version,
        has another size than its header says, or its two keys do not belong together.
        """
        if not data.startswith(MAGIC):
            raise DecodeError(f"this is {kind_of(data)}, not a private key file")
        if len(data) < HEADER_SIZE:
            raise DecodeError(f"the private key file is cut off after {len(data)} bytes")
        version = data[8]
        if is_newer(data):
            raise DecodeError(
                f"the private key file has version {version}, which a newer release wrote: update this one"
            )
        expected = kind.value, kind.value, _PUBLIC_SIZES[kind], _SECRET_SIZES.get((version, kind), -1)
        if (data[9], data[10], _u32(data[12:16]), _u32(data[16:20])) != expected:
            raise DecodeError(
                f"the private key file does not hold the {kind.name.lower()} key of an identity"
                f" (version {version}, type {data[9]}, purpose {data[10]})"
            )
        middle, end = HEADER_SIZE + expected[2], HEADER_SIZE + expected[2] + expected[3]
        if len(data) != end:
            raise DecodeError(f"the private key file needs {end:,} bytes, got {len(data):,}")
        found = cls(kind, version, data[HEADER_SIZE:middle], data[middle:end])
        if not found._is_consistent():
            raise DecodeError("secret and public key in the private key file do not belong together")
        return found

    def encode(self) -> bytes:
        """The bytes: 7764 and 5012 in version 1, 2900 and 1908 in version 2."""
        sizes = len(self.public_key).to_bytes(4, "little") + len(self.secret_key).to_bytes(4, "little")
        head = MAGIC + bytes((self.version, self.kind.value, self.kind.value, 0)) + sizes + bytes(_NAME_SIZE)
        return head + self.public_key + self.secret_key

    def signing_key(self) -> SecretSigningKey:
        """The key in the file.

        Raises CryptoError if ``pqcrypto`` is missing, which an expanded key needs, or the key does not sign.
        """
        if self.version == EXPANDED:
            return ExpandedSigningKey(self.secret_key, self.public_key)
        return SigningKey(self.secret_key)

    def decryption_key(self) -> DecryptionKey:
        """The key in the file.

        Raises DecodeError if its secret part is damaged, MissingPackageError without ``pqcrypto``, which an
        expanded key needs.
        """
        if self.version == SEEDS:
            return MlKemKey(self.secret_key)
        try:
            return KyberKey(self.secret_key)
        except ValueError:
            raise DecodeError("the secret key in the private key file is damaged") from None

    def _is_consistent(self) -> bool:
        secret, public = self.secret_key, self.public_key
        if self.version == SEEDS:
            made = SigningKey(secret) if self.kind is KeyKind.SIGNING else MlKemKey(secret)
            return made.public_key == public
        if self.kind is KeyKind.SIGNING:
            return belongs_to(secret, public)
        return is_expanded_key(secret) and public_part(secret) == public

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a KeyFile is not pickled: its secret would leave the process unnoticed")


def is_newer(data: bytes) -> bool:
    """Whether *data* is a private key file of a version that is not known here yet."""
    return data.startswith(MAGIC) and len(data) > 8 and data[8] > SEEDS


def _u32(data: bytes) -> int:
    return int.from_bytes(data, "little")
