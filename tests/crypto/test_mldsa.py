import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_dht.crypto.mldsa import PUBLIC_KEY_SIZE, SIGNATURE_SIZE, SigningKey, verify

KEY = SigningKey(b"\x07" * 32)
SIGNATURE = KEY.sign(b"message")


def test_signatures_have_one_size_differ_each_time_and_verify() -> None:
    again = KEY.sign(b"message")

    assert len(SIGNATURE) == len(again) == SIGNATURE_SIZE
    assert again != SIGNATURE  # hedged
    assert verify(KEY.public_key, SIGNATURE, b"message")
    assert verify(KEY.public_key, again, b"message")


def test_an_empty_message_can_be_signed() -> None:
    assert verify(KEY.public_key, KEY.sign(b""), b"")


def test_one_seed_makes_one_key() -> None:
    assert SigningKey(b"\x07" * 32) == KEY
    assert hash(SigningKey(b"\x07" * 32)) == hash(KEY)
    assert SigningKey(b"\x08" * 32) != KEY
    assert KEY != "a key"
    assert KEY.seed == b"\x07" * 32


def test_generated_keys_differ() -> None:
    assert SigningKey.generate() != SigningKey.generate()


@pytest.mark.parametrize("length", [0, 31, 33, 4896])
def test_a_seed_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        SigningKey(bytes(length))


def test_another_message_or_owner_does_not_verify() -> None:
    assert not verify(KEY.public_key, SIGNATURE, b"messagE")
    assert not verify(SigningKey(b"\x08" * 32).public_key, SIGNATURE, b"message")


@given(st.integers(0, SIGNATURE_SIZE * 8 - 1))
def test_one_flipped_bit_of_the_signature_does_not_verify(bit: int) -> None:
    forged = bytearray(SIGNATURE)
    forged[bit // 8] ^= 1 << bit % 8
    assert not verify(KEY.public_key, bytes(forged), b"message")


@given(st.integers(0, PUBLIC_KEY_SIZE * 8 - 1))
def test_one_flipped_bit_of_the_owner_does_not_verify(bit: int) -> None:
    owner = bytearray(KEY.public_key)
    owner[bit // 8] ^= 1 << bit % 8
    assert not verify(bytes(owner), SIGNATURE, b"message")


@pytest.mark.parametrize("filler", [b"\x00", b"\xff"])
def test_constant_bytes_do_not_verify(filler: bytes) -> None:
    assert not verify(filler * PUBLIC_KEY_SIZE, filler * SIGNATURE_SIZE, b"")


@pytest.mark.parametrize(
    ("owner", "signature"),
    [
        (b"", b""),
        (KEY.public_key[:-1], SIGNATURE),
        (KEY.public_key + b"\0", SIGNATURE),
        (KEY.public_key, SIGNATURE[:-1]),
        (KEY.public_key, SIGNATURE + b"\0"),
    ],
)
def test_wrong_sizes_do_not_verify(owner: bytes, signature: bytes) -> None:
    assert not verify(owner, signature, b"message")


def test_the_seed_does_not_leak_through_texts_or_copies() -> None:
    secret = KEY.seed.hex()

    assert secret not in f"{KEY!r} {KEY}" and "\\x07" not in repr(KEY)
    for leak in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError, match="not pickled"):
            leak(KEY)
