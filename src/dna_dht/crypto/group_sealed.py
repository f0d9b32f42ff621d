"""A message sealed under a group key. Source: spec 03, section 7.1.

======  ======  ============================================================================
Offset  Bytes   Field (all integers big-endian)
======  ======  ============================================================================
0       4       8, 0, 0, 1: version, key type, recipients, message type
4       4       size E of the ciphertext
8       4       size of the signature, 4627
12      37      group id, 36 characters and a zero byte                      )
49      4       version of the group key                                     ) signed
53      12      nonce                                                        )
65      E       ciphertext of fingerprint (64) || time (8) || plaintext      )
..      16      tag                                                          )
..      4630    23 (u8) || 4627 (u16) || signature
======  ======  ============================================================================

Nothing in what is signed tells it from other things a user signs, so a member who gets another to sign bytes
of its choice, by sealing them in a letter, has a message of that one: never sign bytes that others chose.

The header, bytes 0 to 11, is authenticated by nothing; all it says is checked against the rest. Release
0.6.27 defines the format and sends none.
"""

import operator
import re
import struct
from dataclasses import dataclass, field

from dna_dht.crypto import aead, hashes
from dna_dht.crypto.aead import KEY_SIZE, NONCE_SIZE, TAG_SIZE, Encrypted
from dna_dht.crypto.identity import Identity
from dna_dht.crypto.mldsa import SIGNATURE_SIZE, verify
from dna_dht.crypto.payload import Payload, check_time, pack, unpack
from dna_dht.crypto.sealed import MAX_PLAINTEXT, PAYLOAD_HEADER
from dna_dht.errors import DecodeError, SignatureError

_HEADER = struct.Struct(">BBBBII")
_KIND = (8, 0, 0, 1)
_GROUP = struct.Struct(">36sxI")
_BLOCK = struct.Struct(">BH")
_SIGNATURE_TYPE = 23
_SIGNED_AT = _HEADER.size
_NONCE_AT = _SIGNED_AT + _GROUP.size
_CIPHERTEXT_AT = _NONCE_AT + NONCE_SIZE
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class GroupOpened:
    """A message of a group. *sender* is a fingerprint; the signature was verified with the key given."""

    plaintext: bytes = field(repr=False)
    sender: str
    timestamp: int
    group: str
    key_version: int


def seal_for_group(
    plaintext: bytes, sender: Identity, group: str, key: bytes, key_version: int, *, timestamp: int
) -> bytes:
    """*plaintext*, signed by *sender*, for whoever holds the *key* (32 bytes) of the *group*.

    Args:
        plaintext: 0 to 2,147,483,559 bytes.
        group: its id, a UUID in lower case, 36 characters.
        key_version: 0 to 2**32 - 1.
        timestamp: now, Unix seconds, 0 to 2**64 - 1.

    Raises ValueError for arguments out of range, TypeError for a version or time that is not whole.
    """
    if _UUID.fullmatch(group) is None:
        raise ValueError(f"{group!r:.60} is no UUID in lower case")
    if len(key) != KEY_SIZE or not 0 <= operator.index(key_version) < 2**32:
        raise ValueError("a group key has 32 bytes, and its version 32 bits")
    check_time(timestamp)
    if len(plaintext) > MAX_PLAINTEXT:
        raise ValueError(f"a message has at most {MAX_PLAINTEXT:,} bytes, got {len(plaintext):,}")
    encrypted = aead.encrypt(key, pack(Payload(sender.fingerprint, timestamp, plaintext)))
    header = _HEADER.pack(*_KIND, len(encrypted.ciphertext), SIGNATURE_SIZE)
    signed = _GROUP.pack(group.encode(), key_version) + encrypted.nonce + encrypted.ciphertext + encrypted.tag
    signature = sender.signing.sign(signed)
    return header + signed + _BLOCK.pack(_SIGNATURE_TYPE, len(signature)) + signature


def group_of(container: bytes) -> tuple[str, int]:
    """(group id, version of its key) that a container claims, to find the key it opens with.

    Raises DecodeError if it is no such container.
    """
    _ciphertext_size(container)
    group, key_version = _GROUP.unpack_from(container, _SIGNED_AT)
    text = group.decode("ascii", "replace")
    if _UUID.fullmatch(text) is None or container[_SIGNED_AT + 36] != 0:
        raise DecodeError("group message: the group id is no UUID")
    return text, key_version


def open_group_sealed(container: bytes, key: bytes, signing_public_key: bytes) -> GroupOpened:
    """Verify that *signing_public_key* (2592 bytes) signed *container*, then open it with the group *key*.

    Raises:
        DecodeError: it is no such container, or is cut off. What follows it is ignored.
        SignatureError: somebody else signed it, or claims another's fingerprint, or a byte was changed.
        DecryptionError: *key* is not the key of the group.
        ValueError: *key* has not 32 bytes.
    """
    group, key_version = group_of(container)
    size = _ciphertext_size(container)
    tag_at = _CIPHERTEXT_AT + size
    block_at = tag_at + TAG_SIZE
    signature = container[block_at + _BLOCK.size : block_at + _BLOCK.size + SIGNATURE_SIZE]
    if not verify(signing_public_key, signature, container[_SIGNED_AT:block_at]):
        raise SignatureError("the signature of the group message is forged: do not trust it")
    decrypted = aead.decrypt(
        key,
        Encrypted(
            container[_NONCE_AT:_CIPHERTEXT_AT],
            container[_CIPHERTEXT_AT:tag_at],
            container[tag_at:block_at],
        ),
    )
    payload = unpack(decrypted)
    if payload.sender != hashes.fingerprint(signing_public_key):
        raise SignatureError("the group message names another sender than the one who signed it")
    return GroupOpened(payload.plaintext, payload.sender, payload.timestamp, group, key_version)


def _ciphertext_size(container: bytes) -> int:
    """The size of the ciphertext, after everything the header says was found to be so."""
    if len(container) < _CIPHERTEXT_AT:
        raise DecodeError(f"group message: {len(container)} bytes are too few")
    *kind, size, signature_size = _HEADER.unpack_from(container)
    if tuple(kind) != _KIND:
        raise DecodeError(f"group message: version and types {tuple(kind)} are not {_KIND}")
    if size < PAYLOAD_HEADER:
        raise DecodeError(f"group message: a ciphertext of {size} bytes is too short")
    if size > PAYLOAD_HEADER + MAX_PLAINTEXT:
        raise DecodeError(f"group message: a ciphertext of {size:,} bytes is too long")
    block_at: int = _CIPHERTEXT_AT + size + TAG_SIZE
    announced = block_at + _BLOCK.size + SIGNATURE_SIZE
    if len(container) < announced:
        raise DecodeError(f"group message: {announced:,} bytes announced, {len(container):,} are there")
    signature_type, length = _BLOCK.unpack_from(container, block_at)
    if (signature_type, length, signature_size) != (_SIGNATURE_TYPE, SIGNATURE_SIZE, SIGNATURE_SIZE):
        raise DecodeError(f"group message: signature type {signature_type}, length {length} are unknown")
    return block_at - TAG_SIZE - _CIPHERTEXT_AT
