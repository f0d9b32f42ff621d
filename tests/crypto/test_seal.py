import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fuzz import fuzz_sealed
from fuzz.mutator import Mutator
from hypothesis import given
from hypothesis import strategies as st

from dna_dht.crypto import aead, kem
from dna_dht.crypto import seal as module
from dna_dht.crypto.aead import Encrypted
from dna_dht.crypto.expanded_key import ExpandedSigningKey, expand
from dna_dht.crypto.identity import Identity, PublicIdentity
from dna_dht.crypto.mldsa import verify
from dna_dht.crypto.mnemonic import Mnemonic
from dna_dht.crypto.seal import Opened, open_sealed, seal
from dna_dht.crypto.sealed import Entry, Sealed, header_of
from dna_dht.dialect import Dialect
from dna_dht.errors import CryptoError, DecodeError, DecryptionError, SignatureError

VECTORS = Path(__file__).parents[1] / "vectors"
CASES: list[dict[str, Any]] = json.loads((VECTORS / "crypto-containers.json").read_text())["cases"]
DERIVED = json.loads((VECTORS / "crypto-derivation.json").read_text())["cases"]["identities"]
RECORDED = {
    case["name"]: Identity.from_mnemonic(Mnemonic(case["mnemonic"]), Dialect.DEPLOYED) for case in DERIVED
}
SEALED = [case for case in CASES if "recipients" in case]
A_TO_B = bytes.fromhex(SEALED[0]["container"])
RESULTS: dict[str, int] = SEALED[0]["reference_decrypt_results"]

PEOPLE = {
    dialect: [Identity.from_master_seed(bytes([number]) * 64, dialect) for number in range(4)]
    for dialect in Dialect
}
ALICE, BOB, CAROL, EVE = PEOPLE[Dialect.DOCUMENTED]
NOW = 1_769_126_400
WORDS = b"words"
SEALED_WORDS = seal(WORDS, ALICE, [BOB.public], timestamp=NOW)
FOR_TWO = seal(WORDS, ALICE, [BOB.public, CAROL.public], timestamp=NOW)
REFUSALS = (DecodeError, DecryptionError, SignatureError)
BOTH_DIALECTS = pytest.mark.parametrize("dialect", Dialect, ids=lambda dialect: dialect.value)


def keys_of(*people: Identity) -> Callable[[str], bytes | None]:
    return {person.fingerprint: person.public.signing_public_key for person in people}.get


def flipped(data: bytes, place: int, mask: int = 1) -> bytes:
    place %= len(data)
    return data[:place] + bytes([data[place] ^ mask]) + data[place + 1 :]


def payload_of(sender: Identity, timestamp: int, plaintext: bytes) -> bytes:
    return bytes.fromhex(sender.fingerprint) + struct.pack(">Q", timestamp) + plaintext


def sealed_by_hand(payload: bytes, signature: bytes, reader: PublicIdentity) -> bytes:
    """What somebody makes who knows the format and *reader*'s public key, and keeps no rule."""
    key, header = bytes(range(32)), header_of(1, len(payload))
    secret, ciphertext = kem.encapsulate(reader.encryption_public_key, Dialect.DOCUMENTED)
    entry = Entry(ciphertext, aead.wrap(secret, key))
    return Sealed(header, (entry,), aead.encrypt(key, payload, header), signature).encode()


# What release 0.6.27 wrote


@pytest.mark.parametrize(
    ("case", "index", "name"),
    [(case, index, name) for case in SEALED for index, name in enumerate(case["recipients"])],
    ids=lambda each: str(each) if not isinstance(each, dict) else each["name"][:12],
)
def test_each_recipient_opens_the_recorded_container(case: dict[str, Any], index: int, name: str) -> None:
    sender = RECORDED[case["sender"]]

    opened = open_sealed(bytes.fromhex(case["container"]), RECORDED[name], sender=sender.public)

    assert opened == Opened(
        plaintext=bytes.fromhex(case["plaintext"]),
        sender=sender.fingerprint,
        verified=True,
        timestamp=case["timestamp"],
        recipient=index,
        recipients=len(case["recipients"]),
        signature=opened.signature,
    )
    assert verify(sender.public.signing_public_key, opened.signature, opened.plaintext)


@pytest.mark.parametrize(
    ("result", "container"),
    [
        ("recipient_B", A_TO_B),
        ("ten_bytes_appended", A_TO_B + bytes(10)),
        ("last_padding_byte_flipped", flipped(A_TO_B, -1)),
    ],
)
def test_what_the_reference_opens_is_opened(result: str, container: bytes) -> None:
    assert RESULTS[result] == 0
    assert open_sealed(container, RECORDED["B"], sender=RECORDED["A"].public).verified


@pytest.mark.parametrize(
    ("result", "reader", "container", "error"),
    [
        ("not_a_recipient", "A", A_TO_B, DecryptionError),
        ("one_byte_short", "B", A_TO_B[:-1], DecodeError),
        ("header_byte_9_changed_to_7", "B", A_TO_B[:9] + b"\7" + A_TO_B[10:], DecodeError),
    ],
)
def test_what_the_reference_refuses_is_refused(
    result: str, reader: str, container: bytes, error: type[Exception]
) -> None:
    assert RESULTS[result] == -7
    with pytest.raises(error):
        open_sealed(container, RECORDED[reader], sender=RECORDED["A"].public)


def test_all_recorded_results_are_tested() -> None:
    assert len(RESULTS) == 6 and len(SEALED) == 3


def test_padded_we_write_the_length_of_the_recorded_containers() -> None:
    for case in SEALED:
        ours = seal(
            bytes.fromhex(case["plaintext"]),
            RECORDED[case["sender"]],
            [RECORDED[name].public for name in case["recipients"]],
            timestamp=case["timestamp"],
            pad_signature_block=True,
        )
        assert len(ours) * 2 == len(case["container"])
        assert ours[:20].hex() == case["container"][:40]


# Sealing and opening


@pytest.mark.parametrize("writes", Dialect, ids=lambda dialect: f"written {dialect.value}")
@pytest.mark.parametrize("reads", Dialect, ids=lambda dialect: f"read {dialect.value}")
@pytest.mark.parametrize("padded", [False, True], ids=["short", "padded"])
def test_whoever_seals_in_either_dialect_is_read_in_either(
    writes: Dialect, reads: Dialect, padded: bool
) -> None:
    sender, recipients = PEOPLE[writes][0], PEOPLE[reads][1:3]

    container = seal(
        WORDS, sender, [each.public for each in recipients], timestamp=NOW, pad_signature_block=padded
    )

    for index, recipient in enumerate(recipients):
        opened = open_sealed(container, recipient, find_key=keys_of(sender))
        assert (opened.plaintext, opened.sender, opened.verified) == (WORDS, sender.fingerprint, True)
        assert (opened.timestamp, opened.recipient, opened.recipients) == (NOW, index, 2)


@BOTH_DIALECTS
def test_the_secret_that_wraps_the_key_is_that_of_the_senders_dialect(dialect: Dialect) -> None:
    """Readers of one form only, as the reference is, open what their own dialect wrote."""
    reader = PEOPLE[dialect][1]
    sealed = Sealed.decode(seal(WORDS, PEOPLE[dialect][0], [reader.public], timestamp=NOW))
    own, other = kem.shared_secrets(reader.encryption, sealed.entries[0].kem_ciphertext)

    key = aead.unwrap(own, sealed.entries[0].wrapped)

    assert key is not None and aead.unwrap(other, sealed.entries[0].wrapped) is None
    assert aead.decrypt(key, sealed.encrypted, sealed.header) == payload_of(ALICE, NOW, WORDS)


def test_recipients_of_both_dialects_read_one_message() -> None:
    recipients = [people[1] for people in PEOPLE.values()]

    container = seal(WORDS, ALICE, [each.public for each in recipients], timestamp=NOW)

    assert [open_sealed(container, each).recipient for each in recipients] == [0, 1]


@given(st.binary(max_size=3000), st.integers(0, 2**64 - 1), st.booleans())
def test_any_plaintext_and_time_come_back(plaintext: bytes, timestamp: int, padded: bool) -> None:
    container = seal(plaintext, ALICE, [BOB.public], timestamp=timestamp, pad_signature_block=padded)
    opened = open_sealed(container, BOB, sender=ALICE.public)

    assert len(container) == len(plaintext) + 6358 + 2594 * padded
    assert (opened.plaintext, opened.timestamp, opened.verified) == (plaintext, timestamp, True)


def test_an_empty_and_a_large_message() -> None:
    for plaintext in (b"", bytes(524_288)):
        opened = open_sealed(seal(plaintext, ALICE, [BOB.public], timestamp=NOW), BOB, sender=ALICE.public)
        assert opened.plaintext == plaintext


def test_255_recipients() -> None:
    recipients = [*[CAROL.public] * 254, BOB.public]

    container = seal(WORDS, ALICE, recipients, timestamp=NOW)
    opened = open_sealed(container, BOB, sender=ALICE.public)

    assert len(container) == len(WORDS) + 6358 + 254 * 1608
    assert (opened.recipient, opened.recipients) == (254, 255)
    with pytest.raises(DecryptionError):
        open_sealed(container, EVE)


@pytest.mark.parametrize("count", [0, 256, 65_535])
def test_another_number_of_recipients_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"1 to 255 recipients, not {count:,}$"):
        seal(WORDS, ALICE, [BOB.public] * count, timestamp=NOW)


@pytest.mark.parametrize("timestamp", [0, 1, 2**63, 2**64 - 1])
def test_times_at_the_bounds(timestamp: int) -> None:
    assert open_sealed(seal(b"", ALICE, [BOB.public], timestamp=timestamp), BOB).timestamp == timestamp


@pytest.mark.parametrize("timestamp", [-1, 2**64])
def test_times_beyond_the_bounds(timestamp: int) -> None:
    with pytest.raises(ValueError, match=f"time {timestamp} is not within"):
        seal(WORDS, ALICE, [BOB.public], timestamp=timestamp)


def test_a_message_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PLAINTEXT", 4)

    assert seal(b"four", ALICE, [BOB.public], timestamp=NOW)
    with pytest.raises(ValueError, match="at most 4 bytes, got 5"):
        seal(b"fives", ALICE, [BOB.public], timestamp=NOW)


@BOTH_DIALECTS
def test_the_recipient_whose_key_is_damaged_is_named(dialect: Dialect) -> None:
    damaged = PublicIdentity(CAROL.public.signing_public_key, b"\xff" * 1568)

    with pytest.raises(CryptoError, match=re.escape(repr(damaged)) + ".*damaged"):
        seal(WORDS, PEOPLE[dialect][0], [BOB.public, damaged], timestamp=NOW)


def test_a_sender_that_is_no_recipient_cannot_open_it() -> None:
    with pytest.raises(DecryptionError):
        open_sealed(SEALED_WORDS, ALICE)


def test_two_seals_of_the_same_share_no_secret_part() -> None:
    one, two = (Sealed.decode(seal(WORDS, ALICE, [BOB.public] * 2, timestamp=NOW)) for _ in range(2))
    entries = [*one.entries, *two.entries]

    assert len({entry.kem_ciphertext for entry in entries}) == len({entry.wrapped for entry in entries}) == 4
    assert one.encrypted.nonce != two.encrypted.nonce
    assert one.encrypted.ciphertext != two.encrypted.ciphertext


def test_the_sender_and_the_words_cannot_be_read_from_outside() -> None:
    plaintext = b"the keys are under the mat"

    container = seal(plaintext, ALICE, [BOB.public], timestamp=NOW)

    assert plaintext not in container and bytes.fromhex(ALICE.fingerprint) not in container
    assert struct.pack(">Q", NOW) not in container


def test_an_expanded_signing_key_seals_too() -> None:
    secret = expand(ALICE.signing.seed or b"")
    assert secret is not None
    signing = ExpandedSigningKey(secret, ALICE.public.signing_public_key)
    sender = Identity(signing, ALICE.encryption, ALICE.node)

    container = seal(WORDS, sender, [BOB.public], timestamp=NOW)

    assert open_sealed(container, BOB, sender=ALICE.public).verified


# Who it was


def test_an_unknown_sender_is_not_verified() -> None:
    for find_key in (None, keys_of(), keys_of(CAROL)):
        opened = open_sealed(SEALED_WORDS, BOB, find_key=find_key)
        assert (opened.plaintext, opened.sender, opened.verified) == (WORDS, ALICE.fingerprint, False)


def test_a_forgery_is_noticed_when_the_key_is_found_later() -> None:
    opened = open_sealed(flipped(SEALED_WORDS, -1), BOB)

    assert not opened.verified
    with pytest.raises(SignatureError, match="forged"):
        opened.verified_with(ALICE.public.signing_public_key)


def test_find_key_is_not_asked_for_what_is_known_or_refused() -> None:
    own = seal(WORDS, BOB, [BOB.public], timestamp=NOW)
    asked: list[str] = []

    assert open_sealed(SEALED_WORDS, BOB, sender=ALICE.public, find_key=asked.append).verified  # type: ignore[arg-type]
    assert open_sealed(own, BOB, find_key=asked.append).verified  # type: ignore[arg-type]
    with pytest.raises(SignatureError):
        open_sealed(SEALED_WORDS, BOB, sender=CAROL.public, find_key=asked.append)  # type: ignore[arg-type]
    assert asked == []


def test_find_key_is_asked_for_the_claimed_fingerprint_once() -> None:
    asked: list[str] = []

    open_sealed(SEALED_WORDS, BOB, find_key=asked.append)  # type: ignore[arg-type]

    assert asked == [ALICE.fingerprint]


def test_our_own_key_is_always_known() -> None:
    container = seal(WORDS, BOB, [BOB.public], timestamp=NOW)

    assert open_sealed(container, BOB).verified
    assert open_sealed(container, BOB, find_key=keys_of()).verified
    with pytest.raises(SignatureError, match="forged"):
        open_sealed(flipped(container, -1), BOB)


def test_another_than_the_expected_sender_is_refused() -> None:
    for find_key in (None, keys_of(ALICE)):
        with pytest.raises(SignatureError, match="signed by somebody else than the expected sender"):
            open_sealed(SEALED_WORDS, BOB, sender=CAROL.public, find_key=find_key)


def test_a_sender_is_recognised_by_the_signing_key_alone() -> None:
    again = PEOPLE[Dialect.DEPLOYED][0].public

    assert again != ALICE.public
    assert open_sealed(SEALED_WORDS, BOB, sender=again).verified


@pytest.mark.parametrize("found", [CAROL.public.signing_public_key, b"", bytes(2592), bytes(2591)], ids=len)
def test_a_key_of_another_fingerprint_is_refused(found: bytes) -> None:
    with pytest.raises(SignatureError, match="another fingerprint"):
        open_sealed(SEALED_WORDS, BOB, find_key=lambda fingerprint: found)


def test_who_claims_to_be_somebody_else_is_refused() -> None:
    container = sealed_by_hand(payload_of(ALICE, NOW, WORDS), EVE.signing.sign(WORDS), BOB.public)

    for known in ({"sender": ALICE.public}, {"find_key": keys_of(ALICE, EVE)}):
        with pytest.raises(SignatureError, match="forged"):
            open_sealed(container, BOB, **known)  # type: ignore[arg-type]
    assert not open_sealed(container, BOB).verified


def test_who_claims_to_be_the_reader_is_refused() -> None:
    container = sealed_by_hand(payload_of(BOB, NOW, WORDS), EVE.signing.sign(WORDS), BOB.public)

    with pytest.raises(SignatureError, match="forged"):
        open_sealed(container, BOB)


def test_a_signature_of_other_words_is_refused() -> None:
    container = sealed_by_hand(payload_of(ALICE, NOW, b"other"), ALICE.signing.sign(WORDS), BOB.public)

    with pytest.raises(SignatureError, match="forged"):
        open_sealed(container, BOB, sender=ALICE.public)


def test_a_recipient_can_hand_the_signed_words_on() -> None:
    """Documented: the signature covers neither time nor recipients, so it survives sealing anew."""
    opened = open_sealed(SEALED_WORDS, BOB, sender=ALICE.public)

    resealed = sealed_by_hand(payload_of(ALICE, NOW + 1, opened.plaintext), opened.signature, CAROL.public)
    again = open_sealed(resealed, CAROL, sender=ALICE.public)

    assert (again.plaintext, again.verified, again.timestamp) == (WORDS, True, NOW + 1)


# Hostile bytes


def test_every_changed_byte_is_noticed() -> None:
    for place in range(len(SEALED_WORDS)):
        with pytest.raises(REFUSALS):
            open_sealed(flipped(SEALED_WORDS, place, 1 << place % 8), BOB, sender=ALICE.public)


@BOTH_DIALECTS
@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_every_changed_byte_outside_the_large_fields_is_noticed(dialect: Dialect, mask: int) -> None:
    sender, reader = PEOPLE[dialect][:2]
    container = seal(b"", sender, [reader.public], timestamp=NOW)
    entry_end, block = 20 + 1608, len(container) - 4630
    for place in (*range(40), *range(entry_end - 50, block + 20), len(container) - 1):
        with pytest.raises(REFUSALS):
            open_sealed(flipped(container, place, mask), reader, sender=sender.public)


def test_the_changed_part_decides_the_error() -> None:
    block = len(SEALED_WORDS) - 4630
    for place, error in (
        (0, DecodeError),
        (20, DecryptionError),
        (20 + 1568, DecryptionError),
        (20 + 1608, DecryptionError),
        (block - 1, DecryptionError),
        (block, DecodeError),
        (block + 3, SignatureError),
    ):
        with pytest.raises(error):
            open_sealed(flipped(SEALED_WORDS, place), BOB, sender=ALICE.public)


def test_a_message_that_is_cut_off_is_refused_at_every_length() -> None:
    for length in range(len(SEALED_WORDS)):
        with pytest.raises(DecodeError):
            open_sealed(SEALED_WORDS[:length], BOB, sender=ALICE.public)


@given(st.binary(min_size=1, max_size=50))
def test_what_follows_the_message_is_ignored(behind: bytes) -> None:
    opened = open_sealed(SEALED_WORDS, BOB, sender=ALICE.public)

    assert open_sealed(SEALED_WORDS + behind, BOB, sender=ALICE.public) == opened


def test_a_changed_entry_of_another_recipient_goes_unnoticed() -> None:
    """Documented: each reader authenticates only its own entry. The other one notices."""
    for place in (20 + 1608, 20 + 2 * 1608 - 1):
        changed = flipped(FOR_TWO, place)
        assert open_sealed(changed, BOB, sender=ALICE.public).plaintext == WORDS
        with pytest.raises(DecryptionError):
            open_sealed(changed, CAROL, sender=ALICE.public)


def test_entries_in_another_order_name_another_index_and_nothing_else() -> None:
    first, second = FOR_TWO[20 : 20 + 1608], FOR_TWO[20 + 1608 : 20 + 2 * 1608]
    swapped = FOR_TWO[:20] + second + first + FOR_TWO[20 + 2 * 1608 :]

    assert open_sealed(swapped, BOB, sender=ALICE.public).recipient == 1


def test_the_number_of_recipients_is_authenticated() -> None:
    one_taken_out = FOR_TWO[:10] + b"\1" + FOR_TWO[11 : 20 + 1608] + FOR_TWO[20 + 2 * 1608 :]

    with pytest.raises(DecryptionError, match="changed"):
        open_sealed(one_taken_out, BOB, sender=ALICE.public)


def test_parts_of_two_messages_do_not_fit_together() -> None:
    one, two = (Sealed.decode(seal(WORDS, ALICE, [BOB.public], timestamp=NOW)) for _ in range(2))
    mixed = Sealed(one.header, one.entries, two.encrypted, one.signature)

    with pytest.raises(DecryptionError):
        open_sealed(mixed.encode(), BOB)


def test_a_signature_of_the_same_words_may_be_exchanged() -> None:
    """It is no part of what is authenticated, and as good: only ever compare by verifying."""
    one, two = (Sealed.decode(seal(WORDS, ALICE, [BOB.public], timestamp=NOW)) for _ in range(2))
    mixed = Sealed(one.header, one.entries, one.encrypted, two.signature)

    assert open_sealed(mixed.encode(), BOB, sender=ALICE.public).signature == two.signature


@BOTH_DIALECTS
def test_who_is_no_recipient_is_refused(dialect: Dialect) -> None:
    for reader in PEOPLE[dialect]:
        if reader not in (BOB, CAROL):
            with pytest.raises(DecryptionError, match="not for this identity"):
                open_sealed(FOR_TWO, reader, sender=ALICE.public)


def test_a_wrapped_key_of_a_stranger_does_not_help() -> None:
    """An entry that unwraps to another key: the message is refused, later entries are not tried."""
    sealed = Sealed.decode(FOR_TWO)
    secret, ciphertext = kem.encapsulate(BOB.public.encryption_public_key, Dialect.DOCUMENTED)
    decoy = Entry(ciphertext, aead.wrap(secret, bytes(32)))
    changed = Sealed(sealed.header, (decoy, sealed.entries[0]), sealed.encrypted, sealed.signature)

    with pytest.raises(DecryptionError):
        open_sealed(changed.encode(), BOB)


def test_an_empty_payload_of_a_stranger_is_refused() -> None:
    for size in (0, 1, 64, 71):
        with pytest.raises(DecodeError, match="too short"):
            open_sealed(sealed_by_hand(bytes(size), bytes(4627), BOB.public), BOB)


# What is shown


def test_neither_words_nor_signature_are_shown() -> None:
    opened = open_sealed(SEALED_WORDS, BOB)

    assert "words" not in repr(opened) and "signature" not in repr(opened)
    assert ALICE.fingerprint in repr(opened)


def test_no_error_shows_the_words_or_a_key() -> None:
    for changed in (flipped(SEALED_WORDS, 20), flipped(SEALED_WORDS, -1), SEALED_WORDS[:-1]):
        with pytest.raises(REFUSALS) as caught:
            open_sealed(changed, BOB, sender=ALICE.public)
        assert "words" not in str(caught.value) and len(str(caught.value)) < 120


def test_the_age_of_a_message() -> None:
    opened = open_sealed(SEALED_WORDS, BOB)

    assert [opened.age(NOW + shift) for shift in (0, 2.5, -60)] == [0, 2.5, -60]


# The fuzz target


def test_hostile_messages() -> None:
    mutator = Mutator(Random("sealed"), fuzz_sealed.seeds())
    for data in (*fuzz_sealed.seeds(), *(mutator.next() for _ in range(5000))):
        fuzz_sealed.one_input(data)


def test_the_mutator_reaches_every_outcome() -> None:
    mutator = Mutator(Random("outcomes"), fuzz_sealed.seeds())
    author, reader = fuzz_sealed.people()
    outcomes = set()
    for _ in range(2000):
        try:
            open_sealed(mutator.next(), reader, sender=author.public)
            outcomes.add("opened")
        except REFUSALS as error:
            outcomes.add(type(error).__name__)
    assert outcomes == {"opened", "DecodeError", "DecryptionError", "SignatureError"}


def test_the_target_notices_a_reader_that_verifies_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    forged = flipped(fuzz_sealed.seeds()[0], -1)
    fuzz_sealed.one_input(forged)
    monkeypatch.setattr(module, "verify", lambda *arguments: True)

    with pytest.raises(AssertionError):
        fuzz_sealed.one_input(forged)


def test_the_target_notices_a_reader_that_authenticates_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    seed = fuzz_sealed.seeds()[0]
    changed = flipped(seed, 20 + 1608 + 12 + 72)
    payload = payload_of(fuzz_sealed.people()[0], fuzz_sealed.TIMESTAMP, fuzz_sealed.PLAINTEXT)
    fuzz_sealed.one_input(changed)

    def decrypt(key: bytes, encrypted: Encrypted, associated: bytes = b"") -> bytes:
        return payload

    monkeypatch.setattr(aead, "decrypt", decrypt)
    with pytest.raises(AssertionError):
        fuzz_sealed.one_input(changed)
