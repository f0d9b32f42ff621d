"""The certificate of a node: a key, a name and two dates, unsigned. Source: spec 03, section 9.1."""

import operator
from typing import Self

import msgspec

from dna_dht.crypto.mldsa import PUBLIC_KEY_SIZE
from dna_dht.errors import DecodeError

LIFETIME = 31_536_000  # seconds, 365 days; spec 03, section 9.1


class Certificate(msgspec.Struct, frozen=True, rename={"public_key": "pubkey"}):
    """Says that *name* has this key. Nobody signs it and nobody enforces its dates; keep nothing on its word.

    Attributes:
        public_key: 2592 bytes.
        not_before, not_after: Unix seconds.
    """

    public_key: bytes
    name: str = ""
    issuer: str = ""
    not_before: int = 0
    not_after: int = 0

    def __post_init__(self) -> None:
        if len(self.public_key) != PUBLIC_KEY_SIZE:
            raise ValueError(f"a public key has {PUBLIC_KEY_SIZE} bytes, got {len(self.public_key)}")

    @classmethod
    def of_node(cls, public_key: bytes, now: int) -> Self:
        """The certificate a node writes for itself at *now*, Unix seconds; TypeError unless it is whole."""
        now = operator.index(now)
        return cls(public_key, "dht_node", "self-signed", now, now + LIFETIME)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Parse a certificate: any key order, unknown keys ignored, all but the public key optional.

        Raises DecodeError for anything else, a public key of another size and trailing bytes included.
        """
        try:
            return msgspec.msgpack.decode(data, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DecodeError(f"certificate: {error}") from None

    def encode(self) -> bytes:
        """The msgpack map, 2667 bytes while the dates need 32 bits."""
        return msgspec.msgpack.encode(self)
