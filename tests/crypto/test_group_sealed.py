import json
import struct
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fuzz import fuzz_group_sealed
from fuzz.mutator import Mutator
from hypothesis import given
from hypothesis import strategies as st

from dna_dht.crypto import aead
from dna_dht.crypto import group_sealed as module
from dna_dht.crypto.group_sealed import GroupOpened, group_of, open_group_sealed, seal_for_group
from dna_dht.crypto.identity import Identity
from dna_dht.crypto.mnemonic import Mnemonic
from dna_dht.dialect import Dialect
from dna_dht.errors import DecodeError, DecryptionError, SignatureError

VECTORS = Path(__file__).parents[1] / "vectors"
CASE: dict[str, Any] = json.loads((VECTORS / "crypto-containers.json").read_text())["cases"][4]
WORDS_OF_A: str = json.loads((VECTORS / "crypto-derivation.json").read_text())["cases"]["identities"][0][
    "mnemonic"
]
RECORDED_SENDER = Identity.from_mnemonic(Mnemonic(WORDS_OF_A))
RECORDED = bytes.fromhex(CASE["container"])

ALICE, EVE = Identity.from_master_seed(b"\1" * 64), Identity.from_master_seed(b"\2" * 64)
SIGNING_KEY = ALICE.public.signing_public_key
GROUP, KEY, NOW = "00000000-0000-4000-8000-00000000000f", bytes(range(32)), 1_769_126_400
CONTAINER = seal_for_group(b"hello", ALICE, GROUP, KEY, 7, timestamp=NOW)
SIGNED = range(12, len(CONTAINER) - 4630)
UUIDS = st.uuids().map(str)


def with_bytes(at: int, replacement: bytes, container: bytes = CONTAINER) -> bytes:
    at %= len(container)
    return container[:at] + replacement + container[at + len(replacement) :]


def flipped(place: int, mask: int = 1) -> bytes:
    return with_bytes(place, bytes([CONTAINER[place] ^ mask]))


def payload_of(claimed: Identity) -> bytes:
    return bytes.fromhex(claimed.fingerprint) + struct.pack(">Q", NOW) + b"hello"


def by_hand(payload: bytes, signer: Identity, group: bytes = GROUP.encode() + b"\0") -> bytes:
    """What a member makes who keeps no rule."""
    encrypted = aead.encrypt(KEY, payload)
    signed = group + struct.pack(">I", 7) + encrypted.nonce + encrypted.ciphertext + encrypted.tag
    header = struct.pack(">4B2I", 8, 0, 0, 1, len(payload), 4627)
    return header + signed + b"\x17\x12\x13" + signer.signing.sign(signed)


def test_the_recorded_container_is_opened() -> None:
    opened = open_group_sealed(
        RECORDED, bytes.fromhex(CASE["gek"]), RECORDED_SENDER.public.signing_public_key
    )

    assert group_of(RECORDED) == (CASE["group_uuid"], CASE["gek_version"])
    assert opened == GroupOpened(
        plaintext=bytes.fromhex(CASE["plaintext"]),
        sender=RECORDED_SENDER.fingerprint,
        timestamp=CASE["timestamp"],
        group=CASE["group_uuid"],
        key_version=CASE["gek_version"],
    )


def test_we_write_what_was_recorded_but_for_nonce_and_signature() -> None:
    gek = bytes.fromhex(CASE["gek"])
    plaintext = bytes.fromhex(CASE["plaintext"])

    ours = seal_for_group(
        plaintext, RECORDED_SENDER, CASE["group_uuid"], gek, CASE["gek_version"], timestamp=CASE["timestamp"]
    )

    size, block = len(RECORDED), len(RECORDED) - 4630
    assert len(ours) == size == 12 + 41 + 12 + 72 + len(plaintext) + 16 + 4630
    assert ours[:53] == RECORDED[:53]
    assert ours[block : block + 3] == RECORDED[block : block + 3] == b"\x17\x12\x13"


def test_every_field_is_where_the_layout_says() -> None:
    assert CONTAINER[:12] == struct.pack(">4B2I", 8, 0, 0, 1, 77, 4627)
    assert CONTAINER[12:53] == GROUP.encode() + b"\0" + struct.pack(">I", 7)


@given(st.binary(max_size=2000), UUIDS, st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))
def test_what_is_sealed_is_opened(plaintext: bytes, group: str, key_version: int, timestamp: int) -> None:
    container = seal_for_group(plaintext, ALICE, group, KEY, key_version, timestamp=timestamp)

    assert group_of(container) == (group, key_version)
    assert open_group_sealed(container, KEY, SIGNING_KEY) == GroupOpened(
        plaintext, ALICE.fingerprint, timestamp, group, key_version
    )


def test_the_dialect_makes_no_difference() -> None:
    deployed = Identity.from_master_seed(b"\1" * 64, Dialect.DEPLOYED)

    container = seal_for_group(b"hello", deployed, GROUP, KEY, 7, timestamp=NOW)

    assert open_group_sealed(container, KEY, SIGNING_KEY).sender == ALICE.fingerprint


@pytest.mark.parametrize("place", SIGNED)
def test_every_changed_signed_byte_is_noticed(place: int) -> None:
    with pytest.raises((SignatureError, DecodeError)) as caught:
        open_group_sealed(flipped(place), KEY, SIGNING_KEY)
    assert type(caught.value) is SignatureError or place < 12 + 37  # a group id that is no UUID any more


@pytest.mark.parametrize("place", range(12))
@pytest.mark.parametrize("mask", [0x01, 0x80])
def test_every_changed_byte_of_the_header_is_noticed(place: int, mask: int) -> None:
    """Nothing authenticates it, so each of its statements is checked."""
    with pytest.raises(DecodeError):
        open_group_sealed(flipped(place, mask), KEY, SIGNING_KEY)


def test_every_changed_byte_of_the_signature_is_noticed() -> None:
    block = len(CONTAINER) - 4630
    for place in range(block, len(CONTAINER), 7):
        with pytest.raises((SignatureError, DecodeError)):
            open_group_sealed(flipped(place), KEY, SIGNING_KEY)


def test_a_message_that_is_cut_off_is_refused_at_every_length() -> None:
    for length in range(len(CONTAINER)):
        for reader in (group_of, lambda cut: open_group_sealed(cut, KEY, SIGNING_KEY)):
            with pytest.raises(DecodeError, match=r"too few|announced"):
                reader(CONTAINER[:length])


def test_what_follows_the_message_is_ignored() -> None:
    assert open_group_sealed(CONTAINER + b"more", KEY, SIGNING_KEY).plaintext == b"hello"


@pytest.mark.parametrize(("at", "wrong"), [(0, 7), (0, 9), (1, 2), (2, 1), (2, 255), (3, 0), (3, 2)])
def test_another_version_or_type_is_refused(at: int, wrong: int) -> None:
    with pytest.raises(DecodeError, match="version and types"):
        group_of(with_bytes(at, bytes([wrong])))


@pytest.mark.parametrize("size", [0, 71])
def test_a_ciphertext_that_is_too_short_is_refused(size: int) -> None:
    with pytest.raises(DecodeError, match=f"ciphertext of {size} bytes is too short"):
        group_of(with_bytes(4, struct.pack(">I", size)))


@pytest.mark.parametrize("size", [78, 65_536, 2**31 - 17])
def test_a_ciphertext_larger_than_the_message_is_refused(size: int) -> None:
    with pytest.raises(DecodeError, match=f"{len(CONTAINER) - 77 + size:,} bytes announced"):
        group_of(with_bytes(4, struct.pack(">I", size)))


@pytest.mark.parametrize("size", [2**31 - 16, 2**32 - 1])
def test_a_ciphertext_longer_than_one_call_of_the_cipher_takes_is_refused(size: int) -> None:
    with pytest.raises(DecodeError, match=f"ciphertext of {size:,} bytes is too long"):
        group_of(with_bytes(4, struct.pack(">I", size)))


@pytest.mark.parametrize("size", [72, 76])
def test_a_smaller_ciphertext_moves_the_signature_and_is_refused(size: int) -> None:
    with pytest.raises(DecodeError, match="signature type"):
        group_of(with_bytes(4, struct.pack(">I", size)))


@pytest.mark.parametrize("size", [0, 4626, 4628, 2**32 - 1])
def test_another_size_of_the_signature_is_refused(size: int) -> None:
    with pytest.raises(DecodeError, match="signature type 23, length 4627 are unknown"):
        group_of(with_bytes(8, struct.pack(">I", size)))


@pytest.mark.parametrize("block", [b"\x01\x12\x13", b"\x16\x12\x13", b"\x17\x12\x12", b"\x17\0\0"])
def test_another_type_or_length_of_the_signature_is_refused(block: bytes) -> None:
    with pytest.raises(DecodeError, match="signature type"):
        group_of(with_bytes(-4630, block))


@pytest.mark.parametrize(
    "group",
    [
        GROUP.upper().encode() + b"\0",
        b"\xff" * 36 + b"\0",
        bytes(37),
        GROUP.encode() + b"x",
        GROUP.replace("-", "0").encode() + b"\0",
    ],
    ids=["upper case", "not ASCII", "zeros", "no end", "no hyphens"],
)
def test_a_group_id_that_is_no_uuid_is_refused_even_when_signed(group: bytes) -> None:
    container = by_hand(payload_of(ALICE), ALICE, group)

    for reader in (group_of, lambda container: open_group_sealed(container, KEY, SIGNING_KEY)):
        with pytest.raises(DecodeError, match="no UUID"):
            reader(container)


def test_a_container_by_hand_is_opened_when_it_keeps_the_rules() -> None:
    assert open_group_sealed(by_hand(payload_of(ALICE), ALICE), KEY, SIGNING_KEY).plaintext == b"hello"


def test_who_claims_to_be_another_member_is_refused() -> None:
    with pytest.raises(SignatureError, match="another sender than the one who signed"):
        open_group_sealed(by_hand(payload_of(ALICE), EVE), KEY, EVE.public.signing_public_key)


def test_another_signer_is_refused() -> None:
    with pytest.raises(SignatureError, match="forged"):
        open_group_sealed(CONTAINER, KEY, EVE.public.signing_public_key)


@pytest.mark.parametrize("key", [bytes(32), KEY[:31] + b"\0"], ids=["zeros", "last byte"])
def test_another_group_key_is_refused(key: bytes) -> None:
    with pytest.raises(DecryptionError):
        open_group_sealed(CONTAINER, key, SIGNING_KEY)


@pytest.mark.parametrize("length", [0, 16, 24, 31, 33])
def test_a_group_key_of_another_length_is_misuse(length: int) -> None:
    with pytest.raises(ValueError, match=f"32 bytes, got {length}"):
        open_group_sealed(CONTAINER, bytes(length), SIGNING_KEY)


def test_the_signature_is_verified_before_anything_is_decrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aead, "decrypt", None)

    with pytest.raises(SignatureError):
        open_group_sealed(flipped(53), KEY, SIGNING_KEY)


def test_a_payload_without_room_for_the_sender_is_refused() -> None:
    for size in (0, 71):
        with pytest.raises(DecodeError, match="too short"):
            open_group_sealed(by_hand(bytes(size), ALICE), KEY, SIGNING_KEY)


@pytest.mark.parametrize("group", ["", GROUP.upper(), GROUP + "0", GROUP[:-1] + "g", GROUP + "\n"])
def test_sealing_refuses_a_group_id_that_is_no_uuid(group: str) -> None:
    with pytest.raises(ValueError, match="no UUID in lower case"):
        seal_for_group(b"", ALICE, group, KEY, 7, timestamp=NOW)


@pytest.mark.parametrize(
    ("key", "key_version", "timestamp", "sentence"),
    [
        (bytes(31), 0, 0, "32 bytes"),
        (bytes(33), 0, 0, "32 bytes"),
        (KEY, -1, 0, "version 32 bits"),
        (KEY, 2**32, 0, "version 32 bits"),
        (KEY, 0, -1, "time -1 is not within"),
        (KEY, 0, 2**64, f"time {2**64} is not within"),
    ],
    ids=range(6),
)
def test_sealing_refuses_arguments_out_of_range(
    key: bytes, key_version: int, timestamp: int, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        seal_for_group(b"", ALICE, GROUP, key, key_version, timestamp=timestamp)
    assert repr(key) not in str(caught.value)


def test_a_message_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PLAINTEXT", 4)

    assert seal_for_group(b"four", ALICE, GROUP, KEY, 0, timestamp=NOW)
    with pytest.raises(ValueError, match="at most 4 bytes, got 5"):
        seal_for_group(b"fives", ALICE, GROUP, KEY, 0, timestamp=NOW)


def test_the_words_are_not_shown() -> None:
    assert "hello" not in repr(open_group_sealed(CONTAINER, KEY, SIGNING_KEY))


def test_hostile_messages() -> None:
    mutator = Mutator(Random("group sealed"), fuzz_group_sealed.seeds())
    for data in (*fuzz_group_sealed.seeds(), *(mutator.next() for _ in range(3000))):
        fuzz_group_sealed.one_input(data)


def test_the_target_notices_a_reader_that_verifies_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    seed = fuzz_group_sealed.seeds()[1]
    forged = with_bytes(-1, bytes([seed[-1] ^ 1]), seed)
    fuzz_group_sealed.one_input(forged)
    monkeypatch.setattr(module, "verify", lambda *arguments: True)

    with pytest.raises(AssertionError):
        fuzz_group_sealed.one_input(forged)
