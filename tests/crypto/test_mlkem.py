import copy
import hashlib
import pickle
import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kyber_py.ml_kem import ML_KEM_1024

from dna_dht.crypto import mlkem
from dna_dht.crypto.mlkem import (
    CIPHERTEXT_SIZE,
    PUBLIC_KEY_SIZE,
    SECRET_SIZE,
    SEED_SIZE,
    MlKemKey,
    encapsulate,
)
from dna_dht.errors import CryptoError

SEED = bytes(range(64))
KEY = MlKemKey(SEED)
SECRET, CIPHERTEXT = encapsulate(KEY.public_key)


def test_who_holds_the_key_gets_the_secret() -> None:
    assert len(SECRET) == SECRET_SIZE and len(CIPHERTEXT) == CIPHERTEXT_SIZE
    assert len(KEY.public_key) == PUBLIC_KEY_SIZE
    assert KEY.decapsulate(CIPHERTEXT) == SECRET


def test_each_encapsulation_is_new() -> None:
    secret, ciphertext = encapsulate(KEY.public_key)

    assert secret != SECRET and ciphertext != CIPHERTEXT


def test_the_key_of_a_user_has_the_hash_of_its_seed_for_rejections() -> None:
    encryption_seed = b"\x33" * 32
    key = MlKemKey.from_encryption_seed(encryption_seed)

    assert key.secret_key == encryption_seed + hashlib.sha3_256(encryption_seed).digest()
    assert key == MlKemKey(key.secret_key)


@settings(deadline=None, max_examples=10)
@given(st.binary(min_size=64, max_size=64))
def test_another_implementation_agrees_both_ways(seed: bytes) -> None:
    key = MlKemKey(seed)
    public_key, expanded = ML_KEM_1024.key_derive(seed)
    assert key.public_key == public_key

    secret, ciphertext = encapsulate(public_key)
    assert ML_KEM_1024.decaps(expanded, ciphertext) == secret
    secret, ciphertext = ML_KEM_1024.encaps(key.public_key)
    assert key.decapsulate(ciphertext) == secret


@settings(deadline=None, max_examples=30)
@given(st.integers(0, CIPHERTEXT_SIZE * 8 - 1))
def test_a_changed_ciphertext_gives_another_secret_that_does_not_tell(bit: int) -> None:
    changed = bytearray(CIPHERTEXT)
    changed[bit // 8] ^= 1 << bit % 8

    rejected = KEY.decapsulate(bytes(changed))
    assert rejected == hashlib.shake_256(SEED[32:] + changed).digest(32)  # J(z || c), FIPS 203
    assert rejected != SECRET


def test_the_key_of_somebody_else_gives_another_secret() -> None:
    assert MlKemKey(bytes(64)).decapsulate(CIPHERTEXT) != SECRET


@pytest.mark.parametrize("filler", [b"\x00", b"\xff"])
def test_constant_bytes_are_decapsulated_without_an_error(filler: bytes) -> None:
    assert len(KEY.decapsulate(filler * CIPHERTEXT_SIZE)) == SECRET_SIZE


@pytest.mark.parametrize("length", [0, 1, CIPHERTEXT_SIZE - 1, CIPHERTEXT_SIZE + 1, 100_000])
def test_a_ciphertext_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError):
        KEY.decapsulate(bytes(length))


@pytest.mark.parametrize(
    "public_key",
    [
        b"",
        KEY.public_key[:-1],
        KEY.public_key + b"\0",
        b"\xff" * PUBLIC_KEY_SIZE,
        b"\x01" + bytes([KEY.public_key[1] & 0xF0 | 0x0D]) + KEY.public_key[2:],  # it is 3329, the modulus
        KEY.public_key[:1533] + b"\xff\xff\xff" + KEY.public_key[1536:],
    ],
    ids=["empty", "cut", "long", "ones", "first coefficient", "last coefficients"],
)
def test_what_is_no_public_key_is_refused(public_key: bytes) -> None:
    with pytest.raises(CryptoError, match="the encryption key is damaged: ask its owner") as refused:
        encapsulate(public_key)
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("length", [0, 32, 63, 65, 3168])
def test_a_seed_of_another_length_is_refused_and_not_shown(length: int) -> None:
    with pytest.raises(ValueError, match=f"{SEED_SIZE} bytes, got {length}") as refused:
        MlKemKey(b"\x5a" * length)
    assert "ZZZZ" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_an_encryption_seed_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"32 bytes, got {length}"):
        MlKemKey.from_encryption_seed(bytes(length))


def test_keys_are_equal_when_their_seeds_are() -> None:
    assert MlKemKey(SEED) == KEY and hash(MlKemKey(SEED)) == hash(KEY)
    assert MlKemKey(bytes(64)) != KEY
    assert MlKemKey(SEED[:32] + bytes(32)) != KEY  # same public key, other rejections
    assert SEED != KEY
    assert bytes(bytearray(SEED)) == KEY.secret_key


def test_the_seed_does_not_leak_through_texts_or_copies() -> None:
    for text in (repr(KEY), str(KEY), f"{KEY}"):
        assert text == f"<MlKemKey of {KEY.public_key[:8].hex()}...>"
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            leak(KEY)


def test_a_library_built_without_the_algorithm_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        @staticmethod
        def from_seed_bytes(seed: bytes) -> None:
            raise mlkem.UnsupportedAlgorithm("no")

        from_public_bytes = from_seed_bytes

    monkeypatch.setattr(mlkem, "MLKEM1024PrivateKey", Missing)
    monkeypatch.setattr(mlkem, "MLKEM1024PublicKey", Missing)

    for use in (lambda: MlKemKey(SEED), lambda: encapsulate(KEY.public_key)):
        with pytest.raises(CryptoError, match="built without ML-KEM-1024: install its wheel"):
            use()
