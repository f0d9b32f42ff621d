import copy
import hashlib
import json
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dna_dht.crypto.expanded_key import (
    EXPANDED_SIZE,
    ExpandedSigningKey,
    belongs_to,
    can_sign,
    expand,
)
from dna_dht.crypto.mldsa import SIGNATURE_SIZE, SigningKey, verify
from dna_dht.errors import CryptoError

VECTORS = Path(__file__).parents[1] / "vectors"
NODES: list[dict[str, Any]] = json.loads((VECTORS / "crypto-node-identity.json").read_text())["cases"]
WIRE_IDENTITIES: list[dict[str, Any]] = json.loads((VECTORS / "wire-ids.json").read_text())["identities"]


def expanded(seed: bytes) -> bytes:
    secret_key = expand(seed)
    assert secret_key is not None
    return secret_key


@pytest.mark.parametrize("case", NODES, ids=lambda case: case["name"])
def test_a_seed_expands_to_the_recorded_secret_key(case: dict[str, Any]) -> None:
    secret_key = expanded(bytes.fromhex(case["dht_identity_seed"]))

    assert len(secret_key) == EXPANDED_SIZE == case["file_lengths"]["dsa"]
    assert hashlib.sha3_512(secret_key).hexdigest() == case["secret_key_sha3_512"]
    assert belongs_to(secret_key, bytes.fromhex(case["public_key"]))


@pytest.mark.parametrize("case", WIRE_IDENTITIES, ids=lambda case: case["seed"][:2])
def test_the_secret_keys_recorded_with_the_wire(case: dict[str, Any]) -> None:
    secret_key = expanded(bytes.fromhex(case["seed"]))

    assert hashlib.sha1(secret_key).hexdigest() == case["secret_key_sha1"]


@pytest.mark.parametrize("position", [0, 31, 64, 127])
def test_a_changed_hash_shows_that_keys_do_not_belong_together(position: int) -> None:
    seed = bytes(32)
    secret_key = bytearray(expanded(seed))
    secret_key[position] ^= 1

    assert not belongs_to(bytes(secret_key), SigningKey(seed).public_key)


def test_another_size_or_public_key_does_not_belong() -> None:
    secret_key = expanded(bytes(32))

    assert not belongs_to(secret_key[:-1], SigningKey(bytes(32)).public_key)
    assert not belongs_to(secret_key, SigningKey(b"\1" * 32).public_key)


def test_without_the_optional_package_there_is_no_expanded_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dilithium_py.ml_dsa", None)

    assert expand(bytes(32)) is None


SEEDED = SigningKey(b"\x21" * 32)
KEY = ExpandedSigningKey(expanded(SEEDED.seed), SEEDED.public_key)


def test_signatures_of_an_expanded_key_differ_each_time_and_verify() -> None:
    first, second = KEY.sign(b"message"), KEY.sign(b"message")

    assert type(first) is bytes and len(first) == SIGNATURE_SIZE
    assert first != second  # hedged
    for signature in (first, second):
        assert verify(SEEDED.public_key, signature, b"message")
        assert not verify(SEEDED.public_key, signature, b"messagE")
    assert verify(SEEDED.public_key, KEY.sign(b""), b"")
    assert verify(SEEDED.public_key, KEY.sign(bytes(100_000)), bytes(100_000))


def test_expanded_keys_are_equal_when_their_bytes_are() -> None:
    again = ExpandedSigningKey(bytes(KEY.secret_key), KEY.public_key)
    other = SigningKey(b"\x22" * 32)

    assert again == KEY and hash(KEY) == hash(again)
    assert ExpandedSigningKey(expanded(other.seed), other.public_key) != KEY
    assert KEY.secret_key != KEY and SEEDED != KEY
    assert KEY.seed is None


@pytest.mark.parametrize(
    ("secret_key", "public_key"),
    [
        (b"", KEY.public_key),
        (KEY.secret_key[:-1], KEY.public_key),
        (KEY.secret_key + b"\0", KEY.public_key),
        (KEY.secret_key, b""),
        (KEY.secret_key, KEY.public_key[:-1]),
        (KEY.secret_key, KEY.public_key + b"\0"),
        (KEY.secret_key, SigningKey(bytes(32)).public_key),
        (SEEDED.seed, KEY.public_key),
    ],
    ids=range(8),
)
def test_keys_that_do_not_belong_together_are_refused(secret_key: bytes, public_key: bytes) -> None:
    with pytest.raises(CryptoError, match="damaged or does not belong to the public key"):
        ExpandedSigningKey(secret_key, public_key)


@pytest.mark.parametrize(
    ("start", "end", "filler"),
    [(128, 800, b"\0"), (128, 800, b"\xff"), (1568, 1632, b"\0"), (128, 4896, b"\0")],
    ids=["s1 zero", "s1 ones", "t0 zero", "cut file"],
)
def test_a_damaged_part_that_no_hash_covers_is_noticed(start: int, end: int, filler: bytes) -> None:
    damaged = KEY.secret_key[:start] + filler * (end - start) + KEY.secret_key[end:]

    with pytest.raises(CryptoError, match="damaged"):
        ExpandedSigningKey(damaged, KEY.public_key)


def test_no_signature_leaves_that_does_not_verify(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a key with damage in t0 does: some of its signatures are good."""
    good = KEY.sign(b"message")
    answers = [good, bytes(SIGNATURE_SIZE), bytes(SIGNATURE_SIZE), good, *(3 * [bytes(SIGNATURE_SIZE)])]

    class Moody:
        def SecretKey(self, secret_key: bytes) -> "Moody":
            return self

        def sign(self, message: bytes) -> bytes:
            return KEY.sign(message) if message == b"self-test" else answers.pop(0)

    monkeypatch.setitem(sys.modules, "pqcrypto.sign.ml_dsa_87", Moody())
    key = ExpandedSigningKey(KEY.secret_key, KEY.public_key)

    assert [key.sign(b"message"), key.sign(b"message")] == [good, good]
    with pytest.raises(CryptoError, match="damaged: restore it from a backup"):
        key.sign(b"message")
    assert answers == []


def test_a_flipped_bit_of_the_part_for_randomness_does_not_matter() -> None:
    changed = bytearray(KEY.secret_key)
    changed[40] ^= 1
    key = ExpandedSigningKey(bytes(changed), KEY.public_key)

    assert verify(KEY.public_key, key.sign(b"message"), b"message")
    assert key != KEY


@settings(deadline=None, max_examples=20)
@given(st.binary(min_size=32, max_size=32))
def test_every_pair_of_keys_belongs_together_and_no_other(seed: bytes) -> None:
    secret_key, public_key = expanded(seed), SigningKey(seed).public_key
    stranger = expanded(hashlib.sha256(seed).digest())

    assert belongs_to(secret_key, public_key)
    assert not belongs_to(stranger, public_key)
    assert not belongs_to(stranger[:64] + secret_key[64:], public_key)


def test_a_key_whose_signatures_do_not_verify_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def SecretKey(self, secret_key: bytes) -> "Broken":
            return self

        def sign(self, message: bytes) -> bytes:
            return bytes(SIGNATURE_SIZE)

    monkeypatch.setitem(sys.modules, "pqcrypto.sign.ml_dsa_87", Broken())

    with pytest.raises(CryptoError, match="secret key is damaged"):
        ExpandedSigningKey(KEY.secret_key, KEY.public_key)


def test_without_the_package_that_signs_the_sentence_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert can_sign()
    monkeypatch.setitem(sys.modules, "pqcrypto.sign.ml_dsa_87", None)

    assert not can_sign()
    with pytest.raises(CryptoError, match=r"package pqcrypto: run .*dna-dht\[deployed\]"):
        ExpandedSigningKey(KEY.secret_key, KEY.public_key)


def test_the_secret_does_not_leak_through_texts_or_copies() -> None:
    for text in (repr(KEY), str(KEY), f"{KEY}"):
        assert text == f"<ExpandedSigningKey of {KEY.public_key[:8].hex()}...>"
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            leak(KEY)
