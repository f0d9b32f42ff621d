import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_dht.crypto import aead
from dna_dht.crypto.aead import Encrypted
from dna_dht.errors import DecryptionError

PATH = Path(__file__).parents[1] / "vectors" / "crypto-containers.json"
WRAP: dict[str, Any] = json.loads(PATH.read_text())["cases"][0]
KEY, OTHER = bytes(range(32)), bytes(32)


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def test_the_recorded_key_wrap() -> None:
    kek, key, wrapped = (bytes.fromhex(WRAP[name]) for name in ("kek", "key", "wrapped"))

    assert aead.wrap(kek, key) == wrapped
    assert aead.unwrap(kek, wrapped) == key


def test_the_example_of_rfc_3394() -> None:
    """Section 4.6: 256 bits of key data under a 256-bit key."""
    key = bytes.fromhex("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F")
    wrapped = "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"

    assert aead.wrap(KEY, key) == bytes.fromhex(wrapped)


@pytest.mark.parametrize("place", range(aead.WRAPPED_SIZE))
def test_every_changed_byte_of_a_wrapped_key_is_noticed(place: int) -> None:
    assert aead.unwrap(KEY, flipped(aead.wrap(KEY, OTHER), place)) is None


def test_a_key_wrapped_under_another_key_is_none() -> None:
    assert aead.unwrap(OTHER, aead.wrap(KEY, KEY)) is None


@pytest.mark.parametrize("length", [*range(40), 41, 48, 1000])
def test_a_wrapped_key_of_another_length_is_none(length: int) -> None:
    assert aead.unwrap(KEY, bytes(length)) is None


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_wrapping_key_of_another_length_is_misuse(length: int) -> None:
    with pytest.raises(ValueError):
        aead.wrap(bytes(length), KEY)
    with pytest.raises(ValueError):
        aead.unwrap(bytes(length), bytes(40))


@pytest.mark.parametrize("length", [0, 16, 24, 31, 33])
def test_a_key_of_another_cipher_is_misuse(length: int) -> None:
    """AES-128 and AES-192 would do as they are told."""
    encrypted = aead.encrypt(KEY, b"words")
    with pytest.raises(ValueError, match=f"32 bytes, got {length}"):
        aead.encrypt(bytes(length), b"words")
    with pytest.raises(ValueError, match=f"32 bytes, got {length}"):
        aead.decrypt(bytes(length), encrypted)


def test_case_16_of_the_specification_of_gcm() -> None:
    """AES-256, 60 bytes, 20 associated bytes: only reading it, since writing draws the nonce."""
    key = bytes.fromhex("feffe9928665731c6d6a8f9467308308" * 2)
    encrypted = Encrypted(
        nonce=bytes.fromhex("cafebabefacedbaddecaf888"),
        ciphertext=bytes.fromhex(
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
            "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
        ),
        tag=bytes.fromhex("76fc6ece0f4e1768cddf8853bb2d551b"),
    )

    plaintext = aead.decrypt(key, encrypted, bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2"))

    assert plaintext.hex() == (
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
    )


@given(st.binary(max_size=300), st.binary(max_size=50))
def test_what_is_encrypted_is_decrypted(plaintext: bytes, associated: bytes) -> None:
    encrypted = aead.encrypt(KEY, plaintext, associated)

    assert aead.decrypt(KEY, encrypted, associated) == plaintext
    assert (len(encrypted.nonce), len(encrypted.ciphertext), len(encrypted.tag)) == (12, len(plaintext), 16)


def test_no_nonce_is_drawn_twice() -> None:
    assert len({aead.encrypt(KEY, b"").nonce for _ in range(1000)}) == 1000


@pytest.mark.parametrize("part", ["nonce", "ciphertext", "tag"])
def test_every_changed_byte_is_noticed(part: str) -> None:
    encrypted = aead.encrypt(KEY, b"words", b"header")
    parts = {name: getattr(encrypted, name) for name in ("nonce", "ciphertext", "tag")}
    for place in range(len(parts[part])):
        changed = Encrypted(**{**parts, part: flipped(parts[part], place)})
        with pytest.raises(DecryptionError, match=r"changed, or .* another key"):
            aead.decrypt(KEY, changed, b"header")


@pytest.mark.parametrize(("key", "associated"), [(OTHER, b"header"), (KEY, b"headeR"), (KEY, b"")])
def test_another_key_or_header_is_noticed(key: bytes, associated: bytes) -> None:
    encrypted = aead.encrypt(KEY, b"words", b"header")

    with pytest.raises(DecryptionError) as caught:
        aead.decrypt(key, encrypted, associated)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "cut",
    [Encrypted(b"", b"", b""), Encrypted(bytes(7), b"", bytes(16)), Encrypted(bytes(12), bytes(16), b"")],
)
def test_parts_of_impossible_sizes_are_refused(cut: Encrypted) -> None:
    with pytest.raises(DecryptionError):
        aead.decrypt(KEY, cut)


@pytest.mark.parametrize("shift", [-1, 1])
def test_a_tag_of_another_size_is_refused(shift: int) -> None:
    """The same bytes, divided elsewhere: fields are checked, not what they add up to."""
    encrypted = aead.encrypt(KEY, b"words")
    whole, at = encrypted.ciphertext + encrypted.tag, 5 + shift

    with pytest.raises(DecryptionError, match="cut off"):
        aead.decrypt(KEY, Encrypted(encrypted.nonce, whole[:at], whole[at:]))
