"""The sealed container, byte by byte. Source: spec 03, section 6.1 and 6.3.

======  ======  ============================================================================
Offset  Bytes   Field
======  ======  ============================================================================
0       8       ``PQSIGENC``
8       1       version, 8
9       1       type of the encryption key, 2
10      1       number of recipients n, 1 to 255
11      1       message type, 0 = direct
12      4       size E of the ciphertext, little-endian
16      4       size S of the signature block, little-endian
20      1608 n  for each recipient: ciphertext of the KEM (1568) || wrapped key (40)
..      12      nonce
..      E       ciphertext
..      16      tag
..      S       signature block: 1 (u8) || 4627 (u16, big-endian) || signature || padding
======  ======  ============================================================================

What follows the container, and the padding, is ignored.
"""

import struct
from dataclasses import dataclass
from typing import Self

from dna_dht.crypto.aead import NONCE_SIZE, TAG_SIZE, WRAPPED_SIZE, Encrypted
from dna_dht.crypto.mldsa import SIGNATURE_SIZE
from dna_dht.crypto.mlkem import CIPHERTEXT_SIZE
from dna_dht.errors import DecodeError

MAX_RECIPIENTS = 255  # the count is one byte
ENTRY_SIZE = CIPHERTEXT_SIZE + WRAPPED_SIZE  # bytes of one recipient, 1608
MAX_PLAINTEXT = 2**31 - 1 - 72 - TAG_SIZE  # bytes; the most that one call of AES-GCM takes, our bound
PAYLOAD_HEADER = 72  # bytes before the plaintext: fingerprint (64) and timestamp (8); spec 03, 6.2

_HEADER = struct.Struct("<8sBBBBII")
_MAGIC, _VERSION, _KEY_TYPE, _DIRECT = b"PQSIGENC", 8, 2, 0
_BLOCK = struct.Struct(">BH")  # type and length of a signature
_SIGNATURE_TYPE = 1
_PADDED_BLOCK = 7224  # bytes; what release 0.6.27 writes


@dataclass(frozen=True, slots=True)
class Entry:
    """What one recipient needs: *kem_ciphertext* (1568 bytes) gives the key that unwraps *wrapped* (40)."""

    kem_ciphertext: bytes
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class Sealed:
    """A container taken apart. *header* is the 20 bytes that are authenticated with the ciphertext."""

    header: bytes
    entries: tuple[Entry, ...]
    encrypted: Encrypted
    signature: bytes

    @classmethod
    def decode(cls, container: bytes) -> Self:
        """Take *container* apart; DecodeError, which says what is wrong, if it is none.

        The number of recipients and all sizes are checked against the length before anything is copied.
        """
        if len(container) < _HEADER.size:
            raise DecodeError(f"sealed message: {len(container)} bytes are too few")
        magic, version, key_type, count, message_type, size, block_size = _HEADER.unpack_from(container)
        if magic != _MAGIC:
            raise DecodeError("sealed message: it does not start with PQSIGENC")
        if version != _VERSION:
            raise DecodeError(f"sealed message: version {version} is not {_VERSION}")
        if key_type != _KEY_TYPE or message_type != _DIRECT:
            raise DecodeError(f"sealed message: key type {key_type}, message type {message_type} are unknown")
        if count == 0:
            raise DecodeError("sealed message: it has no recipient")
        if size < PAYLOAD_HEADER:
            raise DecodeError(f"sealed message: a ciphertext of {size} bytes is too short")
        if size > PAYLOAD_HEADER + MAX_PLAINTEXT:
            raise DecodeError(f"sealed message: a ciphertext of {size:,} bytes is too long")
        nonce_at = _HEADER.size + count * ENTRY_SIZE
        block_at = nonce_at + NONCE_SIZE + size + TAG_SIZE
        if len(container) < block_at + block_size:
            raise DecodeError(
                f"sealed message: {block_at + block_size:,} bytes announced, {len(container):,} are there"
            )
        entries = tuple(
            Entry(container[at : at + CIPHERTEXT_SIZE], container[at + CIPHERTEXT_SIZE : at + ENTRY_SIZE])
            for at in range(_HEADER.size, nonce_at, ENTRY_SIZE)
        )
        ciphertext_at = nonce_at + NONCE_SIZE
        encrypted = Encrypted(
            nonce=container[nonce_at:ciphertext_at],
            ciphertext=container[ciphertext_at : ciphertext_at + size],
            tag=container[ciphertext_at + size : block_at],
        )
        block = container[block_at : block_at + block_size]
        return cls(container[: _HEADER.size], entries, encrypted, _signature_in(block))

    def encode(self) -> bytes:
        """The container. The signature block is padded with zeros to the size that the header announces."""
        *_, block_size = _HEADER.unpack(self.header)
        block = _BLOCK.pack(_SIGNATURE_TYPE, len(self.signature)) + self.signature
        return b"".join(
            (
                self.header,
                *(part for entry in self.entries for part in (entry.kem_ciphertext, entry.wrapped)),
                self.encrypted.nonce,
                self.encrypted.ciphertext,
                self.encrypted.tag,
                block.ljust(block_size, b"\0"),
            )
        )


def header_of(recipients: int, payload: int, *, pad_signature_block: bool = False) -> bytes:
    """The 20 header bytes for 1 to 255 *recipients* and a *payload* of that many bytes."""
    block = _PADDED_BLOCK if pad_signature_block else _BLOCK.size + SIGNATURE_SIZE
    return _HEADER.pack(_MAGIC, _VERSION, _KEY_TYPE, recipients, _DIRECT, payload, block)


def _signature_in(block: bytes) -> bytes:
    """The signature in a signature block; the padding behind it is whatever the writer had in memory."""
    if len(block) < _BLOCK.size + SIGNATURE_SIZE:
        raise DecodeError(f"sealed message: a signature block of {len(block)} bytes is too short")
    kind, length = _BLOCK.unpack_from(block)
    if kind != _SIGNATURE_TYPE or length != SIGNATURE_SIZE:
        raise DecodeError(f"sealed message: signature type {kind}, length {length} are unknown")
    return block[_BLOCK.size : _BLOCK.size + SIGNATURE_SIZE]
