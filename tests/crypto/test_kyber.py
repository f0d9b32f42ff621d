import copy
import hashlib
import json
import pickle
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kyber_py.kyber import Kyber1024

from dna_dht.crypto.kyber import SECRET_KEY_SIZE, KyberKey, bridge, is_expanded_key
from dna_dht.crypto.mlkem import CIPHERTEXT_SIZE, encapsulate
from dna_dht.errors import CryptoError, MissingPackageError

PATH = Path(__file__).parents[1] / "vectors" / "crypto-kem.json"
CASES: dict[str, dict[str, Any]] = {case["name"]: case for case in json.loads(PATH.read_text())["cases"]}
A, B = (KyberKey.from_encryption_seed(bytes.fromhex(CASES[f"keygen {name}"]["seed"])) for name in "AB")
SEALED = CASES["encapsulate to A"]
CIPHERTEXT = bytes.fromhex(SEALED["ciphertext"])


def test_recorded_seeds_give_the_recorded_keys() -> None:
    assert A.public_key.hex() == CASES["keygen A"]["public_key"]
    assert A.secret_key.hex() == CASES["keygen A"]["secret_key"]
    assert B.public_key.hex() == CASES["keygen B"]["public_key"]
    assert hashlib.sha3_512(B.secret_key).hexdigest() == CASES["keygen B"]["secret_key_sha3_512"]


def test_the_recorded_ciphertext_gives_the_recorded_secrets() -> None:
    secret = A.decapsulate(CIPHERTEXT)

    assert secret.hex() == SEALED["mlkem_shared_secret"]
    assert bridge(secret, CIPHERTEXT).hex() == SEALED["shared_secret"]
    assert SEALED["shared_secret"] == CASES["decapsulate with A"]["shared_secret"]


def test_the_recorded_encapsulation_comes_out_of_a_round_3_implementation() -> None:
    """The recorded values are genuine round 3, so the bridge agrees with more than itself."""
    public_key = bytes.fromhex(CASES["keygen A"]["public_key"])
    ciphertext, secret = Kyber1024.encaps(public_key)[::-1]

    assert bridge(A.decapsulate(ciphertext), ciphertext) == secret
    assert Kyber1024.decaps(A.secret_key, CIPHERTEXT).hex() == SEALED["shared_secret"]


def test_our_encapsulation_is_read_by_a_round_3_implementation() -> None:
    secret, ciphertext = encapsulate(A.public_key)

    assert Kyber1024.decaps(A.secret_key, ciphertext) == bridge(secret, ciphertext)


def test_a_damaged_or_foreign_ciphertext_gives_another_secret() -> None:
    """Not the recorded ones: round 3 rejects by another formula (spec 03, 4.5), which nothing depends on."""
    damaged = bytes([CIPHERTEXT[0] ^ 1]) + CIPHERTEXT[1:]
    z = A.secret_key[-32:]
    recorded = CASES["decapsulate, first ciphertext byte xor 1, key A"]["shared_secret"]
    formula = hashlib.shake_256(z + hashlib.sha3_256(damaged).digest()).hexdigest(32)

    assert recorded == formula == Kyber1024.decaps(A.secret_key, damaged).hex()
    assert A.decapsulate(damaged) == hashlib.shake_256(z + damaged).digest(32)
    foreign = B.decapsulate(CIPHERTEXT)
    assert foreign == hashlib.shake_256(B.secret_key[-32:] + CIPHERTEXT).digest(32)
    assert (
        Kyber1024.decaps(B.secret_key, CIPHERTEXT).hex()
        == (CASES["decapsulate with key B (not the recipient)"]["shared_secret"])
    )
    assert SEALED["mlkem_shared_secret"] not in (A.decapsulate(damaged).hex(), foreign.hex())


@settings(deadline=None, max_examples=10)
@given(st.binary(min_size=32, max_size=32))
def test_every_seed_makes_a_key_that_opens_what_is_sealed_for_it(seed: bytes) -> None:
    key = KyberKey.from_encryption_seed(seed)
    secret, ciphertext = encapsulate(key.public_key)

    assert key.decapsulate(ciphertext) == secret
    assert key == KyberKey(key.secret_key)
    assert key.secret_key[-32:] == hashlib.sha3_256(seed).digest()


def test_making_a_key_leaves_the_library_random() -> None:
    """Its generator is replaced for our keys only, not for others in the process."""
    KyberKey.from_encryption_seed(bytes(32))

    assert Kyber1024.keygen() != Kyber1024.keygen()


@pytest.mark.parametrize("length", [0, 1, CIPHERTEXT_SIZE - 1, CIPHERTEXT_SIZE + 1, 100_000])
def test_a_ciphertext_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"1568 bytes, got {length}"):
        A.decapsulate(bytes(length))


@pytest.mark.parametrize("filler", [b"\x00", b"\xff"])
def test_constant_bytes_are_decapsulated_without_an_error(filler: bytes) -> None:
    assert len(A.decapsulate(filler * CIPHERTEXT_SIZE)) == 32


@pytest.mark.parametrize(
    "secret_key",
    [
        b"",
        b"\x5a" * SECRET_KEY_SIZE,
        A.secret_key[:-1],
        A.secret_key + b"\0",
        A.secret_key[:1600] + bytes([A.secret_key[1600] ^ 1]) + A.secret_key[1601:],
        A.secret_key[:3104] + bytes([A.secret_key[3104] ^ 1]) + A.secret_key[3105:],
    ],
    ids=["empty", "constant", "cut", "long", "public key", "hash"],
)
def test_what_is_no_expanded_key_is_refused_and_not_shown(secret_key: bytes) -> None:
    assert not is_expanded_key(secret_key)
    with pytest.raises(ValueError, match="3168 bytes and carries the hash") as refused:
        KyberKey(secret_key)
    shown = "".join(traceback.format_exception(refused.value))
    assert "ZZZZ" not in shown and A.secret_key.hex()[:16] not in shown


@pytest.mark.parametrize("place", [0, 5, 383, 384, 767, 1000, 1200, 1535])
def test_a_changed_bit_of_the_secret_part_is_noticed(place: int) -> None:
    damaged = bytearray(A.secret_key)
    damaged[place] ^= 1

    with pytest.raises(ValueError, match="secret part of the expanded Kyber1024 key is damaged"):
        KyberKey(bytes(damaged))


@pytest.mark.parametrize("filler", [b"\x00", b"\xff"])
def test_a_secret_part_of_something_else_is_noticed(filler: bytes) -> None:
    with pytest.raises(ValueError, match="secret part of the expanded Kyber1024 key is damaged"):
        KyberKey(filler * 1536 + A.secret_key[1536:])


def test_a_public_key_out_of_range_is_refused_though_its_hash_fits() -> None:
    public_key = b"\xff" * 1568
    hashed = hashlib.sha3_256(public_key).digest()

    with pytest.raises(ValueError, match="is damaged"):
        KyberKey(A.secret_key[:1536] + public_key + hashed + bytes(32))


def test_a_library_that_draws_in_another_order_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    from kyber_py.kyber.kyber import Kyber

    keygen = Kyber.keygen

    def swapped(self: Any) -> Any:
        draws = [self.random_bytes(32), self.random_bytes(32)]
        self.random_bytes = lambda count: draws.pop()
        return keygen(self)

    monkeypatch.setattr(Kyber, "keygen", swapped)

    with pytest.raises(CryptoError, match="kyber-py makes other keys"):
        KyberKey.from_encryption_seed(bytes(range(32)))


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_an_encryption_seed_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"32 bytes, got {length}"):
        KyberKey.from_encryption_seed(bytes(length))


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("kyber_py.kyber.default_parameters", "kyber-py"),
        ("kyber_py.kyber.kyber", "kyber-py"),
        ("pqcrypto.kem.ml_kem_1024", "pqcrypto"),
    ],
)
def test_a_missing_package_is_named_with_what_to_run(
    module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(CryptoError) as refused:
        KyberKey.from_encryption_seed(bytes(32))
    assert str(refused.value) == (
        f"keys of release 0.6.27 need the package {package}: run \"pip install 'dna-dht[deployed]'\""
    )


def test_an_expanded_key_needs_no_package_to_make_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kyber_py.kyber.kyber", None)

    assert KyberKey(A.secret_key) == A


def test_keys_are_equal_when_their_bytes_are() -> None:
    again = KyberKey(bytes(bytearray(A.secret_key)))

    assert again == A and hash(again) == hash(A)
    assert B != A
    assert A.secret_key != A


def test_the_secret_does_not_leak_through_texts_or_copies() -> None:
    for text in (repr(A), str(A), f"{A}"):
        assert text == f"<KyberKey of {A.public_key[:8].hex()}...>"
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            leak(A)


def test_a_package_that_is_there_and_cannot_be_loaded_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise ImportError("version GLIBC_9.9 not found")

    monkeypatch.setattr("dna_dht.crypto.extras.importlib.import_module", broken)

    with pytest.raises(
        MissingPackageError, match=r"pqcrypto is installed but cannot be loaded \(version GLIBC"
    ):
        KyberKey(A.secret_key)
