"""Value: what a DHT stores under a key. Source: spec 01, section 9; spec 02, 11.1.

States: *encrypted* (a cypher and nothing else), *signed* (owner and signature), or plain. Only the value's
bytes, never id, priority or key, are covered by the signature (spec 01, 9.2): anybody may republish a signed
value under another id or key.
"""

from functools import lru_cache

import msgspec

from dna_dht.wire.infohash import ZERO, InfoHash

OWNERS = 512  # owners whose ids are remembered: 1.5 MB


class Value(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One value.

    Attributes:
        id: 1 to 2**64 - 1, unique per key; 0 means "not chosen yet".
        type: 0 to 65,535; decides life and edit rule at the storing node.
        user_type: free text, as bytes (it need not be UTF-8).
        seq: 0 to 65,535; revision of a signed value, 0 for others.
        owner: raw ML-DSA-87 public key, 2,592 bytes, or empty.
        recipient: 20 bytes, or empty; not used by this application.
        signature: 4,627 bytes if it is to be valid, or empty.
        cypher: the opaque content of an encrypted value, or empty.
        priority: 0 to 2**32 - 1.
    """

    id: int
    type: int = 0
    data: bytes = b""
    user_type: bytes = b""
    seq: int = 0
    owner: bytes = b""
    recipient: bytes = b""
    signature: bytes = b""
    cypher: bytes = b""
    priority: int = 0

    @property
    def is_signed(self) -> bool:
        """Whether it names an owner and carries a signature, valid or not."""
        return bool(self.owner and self.signature)

    @property
    def is_encrypted(self) -> bool:
        """Whether the content is opaque; such values are never stored in this network."""
        return bool(self.cypher)

    @property
    def size(self) -> int:
        """Bytes counted by quotas, the store rule and the splitting of updates; the owner is free (9.5)."""
        return len(self.data) + len(self.signature) + len(self.user_type) + len(self.cypher)

    @property
    def owner_id(self) -> InfoHash:
        """The id of the owner's key, ZERO without owner."""
        return _id_of(self.owner) if self.owner else ZERO

    def same_content(self, other: "Value") -> bool:
        """Whether both are the same value apart from seq, recipient and priority (spec 02, 11.1)."""
        if self.id != other.id or self.cypher != other.cypher:
            return False
        return bool(self.cypher) or (
            self.owner == other.owner
            and self.type == other.type
            and self.data == other.data
            and self.user_type == other.user_type
            and self.signature == other.signature
        )


@lru_cache(OWNERS)
def _id_of(owner: bytes) -> InfoHash:
    return InfoHash.of(owner)
