"""Sealing: only the recipients can read it, and they see who sealed it. Source: spec 03, section 6.

What is protected how, which the format decides and no reader can mend:

* the signature covers the plaintext alone. Whoever can open a message may seal the same plaintext, with the
  signature of its author, for other recipients and with another time;
* the time and the author's fingerprint are encrypted and cannot be changed by outsiders;
* a changed entry of *another* recipient goes unnoticed by us.
"""

import secrets
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dna_dht.crypto import aead, hashes, kem
from dna_dht.crypto.identity import Identity, PublicIdentity
from dna_dht.crypto.mldsa import verify
from dna_dht.crypto.sealed import MAX_PLAINTEXT, MAX_RECIPIENTS, PAYLOAD_HEADER, Entry, Sealed, header_of
from dna_dht.errors import CryptoError, DecryptionError, SignatureError

_FINGERPRINT_SIZE = 64  # bytes; SHA3-512
_TIME = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class Opened:
    """What was sealed, and what is known about it.

    Attributes:
        plaintext: what the sender wrote.
        sender: fingerprint of the signer, 128 hex digits; a mere claim unless *verified*.
        verified: the sender's key was known and the signature over the plaintext is genuine.
        timestamp: when it was sealed, Unix seconds, as whoever sealed it says.
        recipient: which of the *recipients* entries we opened, from 0.
        signature: the sender's, 4627 bytes, to verify later if the key was not known.
    """

    plaintext: bytes = field(repr=False)
    sender: str
    verified: bool
    timestamp: int
    recipient: int
    recipients: int
    signature: bytes = field(repr=False)

    def age(self, now: float) -> float:
        """Seconds since it was sealed, at *now*, Unix seconds; negative if its time is in the future."""
        return now - self.timestamp


def seal(
    plaintext: bytes,
    sender: Identity,
    recipients: Sequence[PublicIdentity],
    *,
    timestamp: int,
    pad_signature_block: bool = False,
) -> bytes:
    """*plaintext*, signed by *sender*, for the *recipients* and nobody else.

    The sender cannot open it unless it is among the recipients. The dialect is that of the sender.

    Args:
        plaintext: 0 to 2,147,483,559 bytes. A chat message has at most 524,288.
        recipients: 1 to 255.
        timestamp: now, Unix seconds, 0 to 2**64 - 1.
        pad_signature_block: write 2594 zero bytes more, for the length that release 0.6.27 writes.

    Returns:
        6,358 bytes more than the plaintext for one recipient, 1,608 more for each further one.

    Raises:
        ValueError: an argument is out of its range; nothing was computed.
        CryptoError: the encryption key of a recipient is damaged; the message says of which.
    """
    if not 1 <= len(recipients) <= MAX_RECIPIENTS:
        raise ValueError(f"a message is sealed for 1 to {MAX_RECIPIENTS} recipients, not {len(recipients):,}")
    if len(plaintext) > MAX_PLAINTEXT:
        raise ValueError(f"a message has at most {MAX_PLAINTEXT:,} bytes, got {len(plaintext):,}")
    if not 0 <= timestamp < 2**64:
        raise ValueError(f"the time {timestamp} is not within 0 and 2**64 - 1")
    signature = sender.signing.sign(plaintext)
    payload = bytes.fromhex(sender.fingerprint) + _TIME.pack(timestamp) + plaintext
    header = header_of(len(recipients), len(payload), pad_signature_block=pad_signature_block)
    key = secrets.token_bytes(aead.KEY_SIZE)
    entries = tuple(_entry(key, recipient, sender) for recipient in recipients)
    sealed = Sealed(header, entries, aead.encrypt(key, payload, header), signature)
    return sealed.encode(pad_signature_block=pad_signature_block)


def open_sealed(
    container: bytes,
    recipient: Identity,
    *,
    sender: PublicIdentity | None = None,
    find_key: Callable[[str], bytes | None] | None = None,
) -> Opened:
    """Open a *container* of either dialect and verify who sealed it.

    Args:
        sender: the only one it may come from. Without, the claimed fingerprint is looked up.
        find_key: gives the signing key (2592 bytes) of a fingerprint, or None if it is not known. Our own key
            is always known.

    Returns:
        The plaintext; ``verified`` is False if the sender's key is not known: anybody may have sealed it.

    Raises:
        DecodeError: it is no container, or is cut off.
        DecryptionError: it is not sealed for *recipient*, or was changed.
        SignatureError: the signature is forged, or the sender is not the one expected: drop it.
    """
    sealed = Sealed.decode(container)
    index, key = _unlock(sealed, recipient)
    payload = aead.decrypt(key, sealed.encrypted, sealed.header)
    claimed = payload[:_FINGERPRINT_SIZE].hex()
    (timestamp,) = _TIME.unpack_from(payload, _FINGERPRINT_SIZE)
    plaintext = payload[PAYLOAD_HEADER:]
    if sender is not None and sender.fingerprint != claimed:
        raise SignatureError(
            "the message was sealed by somebody else than the expected sender: do not trust it"
        )
    signing_key = _key_of(claimed, recipient, sender, find_key)
    if signing_key is not None and not verify(signing_key, sealed.signature, plaintext):
        raise SignatureError("the signature of the sealed message is forged: do not trust it")
    return Opened(
        plaintext,
        claimed,
        signing_key is not None,
        timestamp,
        index,
        len(sealed.entries),
        sealed.signature,
    )


def _entry(key: bytes, recipient: PublicIdentity, sender: Identity) -> Entry:
    try:
        secret, ciphertext = kem.encapsulate(recipient.encryption_key, sender.dialect)
    except CryptoError as error:
        raise CryptoError(f"{recipient!r}: {error}") from None
    return Entry(ciphertext, aead.wrap(secret, key))


def _unlock(sealed: Sealed, recipient: Identity) -> tuple[int, bytes]:
    """(index of the entry that is for *recipient*, the key of the message): one decapsulation an entry."""
    for index, entry in enumerate(sealed.entries):
        for secret in kem.shared_secrets(recipient.encryption, entry.kem_ciphertext):
            if (key := aead.unwrap(secret, entry.wrapped)) is not None:
                return index, key
    raise DecryptionError("the sealed message is not for this identity, or it was changed")


def _key_of(
    claimed: str,
    recipient: Identity,
    sender: PublicIdentity | None,
    find_key: Callable[[str], bytes | None] | None,
) -> bytes | None:
    """The signing key of the *claimed* fingerprint, if it is known and really has it."""
    for known in (sender, recipient.public):
        if known is not None and known.fingerprint == claimed:
            return known.signing_key
    found = find_key(claimed) if find_key is not None else None
    if found is not None and hashes.fingerprint(found) != claimed:
        raise SignatureError("the key found for the sender has another fingerprint: do not trust the message")
    return found
