"""Sealing: only the recipients can read it, and they see who signed it. Source: spec 03, section 6.

What is protected how, which the format decides and no reader can mend:

* the signature covers the plaintext alone and nothing that says what it is for. Whoever has these bytes with
  their signature, from another message or from anything else the author signed, can seal them for anybody,
  with any time. So give plaintexts a type of their own, and never sign or seal bytes that others chose;
* the signature is not encrypted: whoever guesses the whole plaintext can confirm the guess and its author;
* the time, the author's fingerprint and the number of recipients cannot be changed by outsiders; a recipient
  can change them, for it has the key of the message;
* a changed entry of *another* recipient goes unnoticed by us.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from dna_dht.crypto import aead, hashes, kem
from dna_dht.crypto.identity import Identity, PublicIdentity, is_fingerprint
from dna_dht.crypto.mldsa import verify
from dna_dht.crypto.payload import Payload, check_time, pack, unpack
from dna_dht.crypto.sealed import MAX_PLAINTEXT, MAX_RECIPIENTS, Entry, Sealed, header_of
from dna_dht.errors import CryptoError, DecryptionError, SignatureError


@dataclass(frozen=True, slots=True)
class Opened:
    """What was sealed, and what is known about it.

    Attributes:
        plaintext: what the sender wrote.
        sender: fingerprint of the signer, 128 hex digits; a mere claim unless *verified*.
        verified: the sender's key was known, and it signed exactly this plaintext, for some purpose.
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

    def is_fresh(self, now: float, *, within: float) -> bool:
        """Whether it says that it was sealed *within* so many seconds of *now*, before or after."""
        return abs(self.age(now)) <= within

    def verified_with(self, signing_public_key: bytes) -> Self:
        """The same, verified, when the sender's key (2592 bytes) was found later.

        Raises SignatureError if it has another fingerprint, or did not sign the plaintext: drop the message.
        """
        if hashes.fingerprint(signing_public_key) != self.sender:
            raise SignatureError(
                "the key found for the sender has another fingerprint: do not trust the message"
            )
        if not verify(signing_public_key, self.signature, self.plaintext):
            raise SignatureError("the signature of the sealed message is forged: do not trust it")
        return replace(self, verified=True)


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
        ValueError, TypeError: an argument is out of its range or of another kind; nothing was computed.
        CryptoError: the encryption key of a recipient is damaged; the message says of which.
    """
    if not 1 <= len(recipients) <= MAX_RECIPIENTS:
        raise ValueError(f"a message is sealed for 1 to {MAX_RECIPIENTS} recipients, not {len(recipients):,}")
    if not all(isinstance(each, PublicIdentity) for each in recipients):
        raise TypeError(
            "recipients are PublicIdentity objects: of an Identity or PublicBundle take its .public"
        )
    if len(plaintext) > MAX_PLAINTEXT:
        raise ValueError(f"a message has at most {MAX_PLAINTEXT:,} bytes, got {len(plaintext):,}")
    check_time(timestamp)
    signature = sender.signing.sign(plaintext)
    payload = pack(Payload(sender.fingerprint, timestamp, plaintext))
    header = header_of(len(recipients), len(payload), pad_signature_block=pad_signature_block)
    key = secrets.token_bytes(aead.KEY_SIZE)
    entries = tuple(_entry(key, recipient, sender) for recipient in recipients)
    sealed = Sealed(header, entries, aead.encrypt(key, payload, header), signature)
    return sealed.encode()


def open_sealed(
    container: bytes,
    recipient: Identity,
    *,
    sender: PublicIdentity | str | None = None,
    find_key: Callable[[str], bytes | None] | None = None,
) -> Opened:
    """Open a *container* of either dialect and verify who sealed it.

    Args:
        sender: the only one it may come from. A fingerprint alone is compared with the claim, which anybody
            can make: look at ``verified``. None: anybody.
        find_key: gives the signing public key (2592 bytes) of a fingerprint, or None if it is not known;
            what it raises passes through. Our own key is always known.

    Returns:
        The plaintext; ``verified`` is False if the sender's key is not known: anybody may have sealed it. See
        :meth:`Opened.verified_with`.

    Raises:
        ValueError: *sender* is a text and no fingerprint.
        DecodeError: it is no container, or is cut off.
        DecryptionError: it is not sealed for *recipient*, or was changed.
        SignatureError: the signature is forged, or the sender is not the one expected: drop it.
    """
    known, expected = _expectation(sender)
    sealed = Sealed.decode(bytes(memoryview(container)))
    index, key = _unlock(sealed, recipient)
    payload = unpack(aead.decrypt(key, sealed.encrypted, sealed.header))
    claimed = payload.sender
    opened = Opened(
        plaintext=payload.plaintext,
        sender=claimed,
        verified=False,
        timestamp=payload.timestamp,
        recipient=index,
        recipients=len(sealed.entries),
        signature=sealed.signature,
    )
    if expected not in (None, claimed):
        raise SignatureError(
            "the message was signed by somebody else than the expected sender: do not trust it"
        )
    for person in (known, recipient.public):
        if person is not None and person.fingerprint == claimed:
            return opened.verified_with(person.signing_public_key)
    found = find_key(claimed) if find_key is not None else None
    return opened if found is None else opened.verified_with(found)


def _expectation(sender: PublicIdentity | str | None) -> tuple[PublicIdentity | None, str | None]:
    """(the expected sender if its key is known, its fingerprint)."""
    if not isinstance(sender, str):
        return sender, None if sender is None else sender.fingerprint
    if not is_fingerprint(sender):
        raise ValueError(f"{sender!r:.40} is no fingerprint: it has 128 hex digits")
    return None, sender.lower()


def _entry(key: bytes, recipient: PublicIdentity, sender: Identity) -> Entry:
    try:
        secret, ciphertext = kem.encapsulate(recipient.encryption_public_key, sender.dialect)
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
