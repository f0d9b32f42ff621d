"""Signatures for simulations: a keyed hash where ML-DSA-87 would stand.

Keys and signatures have the real lengths, so every datagram has its real size, and the engine asks for
verification the way it always does. A signature costs some microseconds instead of 900, a check as little
instead of 250. They are sound inside one process: whoever does not hold the :class:`FakeIdentity` cannot sign
for it, since the secret is in the registry only.
"""

import hashlib

import msgspec

from dna_dht.core.values.value_types import DNA_7_DAYS
from dna_dht.wire.limits import PUBLIC_KEY, SIGNATURE
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import signed_bytes

_DIGEST = 64  # bytes of a keyed BLAKE2b digest, the part of a signature that is not padding
_PADDING = bytes(SIGNATURE - _DIGEST)


class FakeIdentity:
    """A signer. All values it signs share one key object: a million of them cost one key of memory."""

    __slots__ = ("_secret", "public_key")

    def __init__(self, public_key: bytes, secret: bytes) -> None:
        self.public_key, self._secret = public_key, secret

    def sign(self, message: bytes) -> bytes:
        """4,627 bytes; the same for the same message."""
        return hashlib.blake2b(message, key=self._secret).digest() + _PADDING

    def value(
        self,
        data: bytes,
        *,
        value_id: int,
        value_type: int = DNA_7_DAYS,
        seq: int = 0,
        user_type: bytes = b"",
    ) -> Value:
        """A signed value of this owner; ValueError for fields out of range."""
        unsigned = Value(
            id=value_id, type=value_type, data=data, user_type=user_type, seq=seq, owner=self.public_key
        )
        return msgspec.structs.replace(unsigned, signature=self.sign(signed_bytes(unsigned)))


class FakeCrypto:
    """Makes identities from names, and checks what they signed."""

    def __init__(self) -> None:
        self._identities: dict[str, FakeIdentity] = {}
        self._secrets: dict[bytes, bytes] = {}

    def identity(self, name: str) -> FakeIdentity:
        """The identity called *name*: the same keys for the same name, in every process."""
        known = self._identities.get(name)
        if known is None:
            public_key = hashlib.shake_256(b"public " + name.encode()).digest(PUBLIC_KEY)
            secret = hashlib.shake_256(b"secret " + name.encode()).digest(_DIGEST)
            known = self._identities[name] = FakeIdentity(public_key, secret)
            self._secrets[public_key] = secret
        return known

    def verify(self, owner: bytes, signature: bytes, message: bytes) -> bool:
        """Whether *signature* was made by the identity with the key *owner*; never raises."""
        secret = self._secrets.get(owner)
        return secret is not None and signature == hashlib.blake2b(message, key=secret).digest() + _PADDING
