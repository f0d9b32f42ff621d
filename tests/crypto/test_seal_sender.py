"""Who signed a sealed message: keys found later, expected senders, and what a signature does not prove."""

import pytest

from dna_dht.crypto import aead, kem
from dna_dht.crypto.group_sealed import open_group_sealed, seal_for_group
from dna_dht.crypto.identity import Identity
from dna_dht.crypto.seal import open_sealed, seal
from dna_dht.crypto.sealed import Entry, Sealed, header_of
from dna_dht.errors import SignatureError

ALICE, BOB, MALLORY = (Identity.from_master_seed(bytes([each]) * 64) for each in (1, 2, 3))
NOW = 1_769_126_400
GROUP = "123e4567-e89b-42d3-a456-426614174000"
SEALED = seal(b"hello", ALICE, [BOB.public], timestamp=NOW)


def test_a_key_that_is_found_later_verifies() -> None:
    opened = open_sealed(SEALED, BOB)

    assert not opened.verified
    later = opened.verified_with(ALICE.public.signing_public_key)
    assert later.verified
    assert later == open_sealed(SEALED, BOB, sender=ALICE.public)


def test_a_later_key_of_another_fingerprint_is_refused() -> None:
    with pytest.raises(SignatureError, match="another fingerprint"):
        open_sealed(SEALED, BOB).verified_with(MALLORY.public.signing_public_key)


def test_the_expected_sender_may_be_a_fingerprint() -> None:
    opened = open_sealed(SEALED, BOB, sender=ALICE.fingerprint.upper())

    assert opened.sender == ALICE.fingerprint and not opened.verified
    known = {ALICE.fingerprint: ALICE.public.signing_public_key}
    assert open_sealed(SEALED, BOB, sender=ALICE.fingerprint, find_key=known.get).verified
    with pytest.raises(SignatureError, match="somebody else"):
        open_sealed(SEALED, BOB, sender=MALLORY.fingerprint, find_key=known.get)


@pytest.mark.parametrize("text", ["", "alice", ALICE.fingerprint[:-1], ALICE.fingerprint + "0"])
def test_a_sender_that_is_no_fingerprint_is_misuse(text: str) -> None:
    with pytest.raises(ValueError, match="no fingerprint"):
        open_sealed(SEALED, BOB, sender=text)


def test_what_finding_a_key_raises_passes_through() -> None:
    with pytest.raises(KeyError):
        open_sealed(SEALED, BOB, find_key={}.__getitem__)


@pytest.mark.parametrize(("offset", "fresh"), [(-61, False), (-60, True), (0, True), (60, True), (61, False)])
def test_fresh_means_neither_too_old_nor_from_the_future(offset: int, fresh: bool) -> None:
    assert open_sealed(SEALED, BOB).is_fresh(NOW + offset, within=60) is fresh


def test_the_last_time_of_all_is_not_fresh() -> None:
    opened = open_sealed(seal(b"", ALICE, [BOB.public], timestamp=2**64 - 1), BOB)

    assert not opened.is_fresh(NOW, within=86_400)


def test_a_time_that_is_not_whole_is_refused_before_anything_is_signed() -> None:
    with pytest.raises(TypeError):
        seal(b"", ALICE, [BOB.public], timestamp=NOW + 0.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        seal_for_group(b"", ALICE, GROUP, bytes(32), 7, timestamp=NOW + 0.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        seal_for_group(b"", ALICE, GROUP, bytes(32), 7.0, timestamp=NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_containers_may_be_other_bytes(kind: type[bytearray] | type[memoryview]) -> None:
    assert open_sealed(kind(bytearray(SEALED)), BOB).plaintext == b"hello"  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [BOB, "bob", None, BOB.public.encryption_public_key])
def test_recipients_of_another_kind_are_refused_before_anything_is_signed(wrong: object) -> None:
    with pytest.raises(TypeError, match="recipients are PublicIdentity"):
        seal(b"", ALICE, [BOB.public, wrong], timestamp=NOW)  # type: ignore[list-item]


class TestKnownLimits:
    """The formats are given: a signature says that these bytes were signed, not for what."""

    def test_anything_somebody_signed_can_be_sealed_as_its_letter(self) -> None:
        profile = b"a profile that everybody can read"
        payload = bytes.fromhex(ALICE.fingerprint) + NOW.to_bytes(8, "big") + profile
        header, key = header_of(1, len(payload)), bytes(32)
        secret, ciphertext = kem.encapsulate(BOB.public.encryption_public_key, BOB.dialect)
        entry = Entry(ciphertext, aead.wrap(secret, key))
        letter = Sealed(header, (entry,), aead.encrypt(key, payload, header), ALICE.signing.sign(profile))

        assert open_sealed(letter.encode(), BOB, sender=ALICE.public).verified

    def test_a_letter_of_chosen_bytes_is_a_message_to_a_group(self) -> None:
        key = bytes(range(32))
        payload = bytes.fromhex(ALICE.fingerprint) + NOW.to_bytes(8, "big") + b"I owe Mallory 1000"
        encrypted = aead.encrypt(key, payload)
        chosen = GROUP.encode() + b"\0" + (7).to_bytes(4, "big")
        chosen += encrypted.nonce + encrypted.ciphertext + encrypted.tag

        letter = open_sealed(seal(chosen, ALICE, [MALLORY.public], timestamp=NOW), MALLORY)
        head = b"\x08\0\0\x01" + len(payload).to_bytes(4, "big") + (4627).to_bytes(4, "big")
        message = head + chosen + b"\x17" + (4627).to_bytes(2, "big") + letter.signature

        opened = open_group_sealed(message, key, ALICE.public.signing_public_key)
        assert opened.sender == ALICE.fingerprint and opened.plaintext == b"I owe Mallory 1000"
