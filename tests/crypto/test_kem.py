import json
import sys
from pathlib import Path
from typing import Any

import pytest

from dna_dht.crypto import kem
from dna_dht.crypto.kyber import KyberKey
from dna_dht.crypto.mlkem import MlKemKey
from dna_dht.dialect import Dialect
from dna_dht.errors import CryptoError

PATH = Path(__file__).parents[1] / "vectors" / "crypto-kem.json"
CASES: dict[str, dict[str, Any]] = {case["name"]: case for case in json.loads(PATH.read_text())["cases"]}
SEED = bytes.fromhex(CASES["keygen A"]["seed"])
KEYS = {dialect: kem.decryption_key(SEED, dialect) for dialect in Dialect}
DIALECTS = pytest.mark.parametrize("dialect", Dialect, ids=lambda dialect: dialect.value)


def test_the_class_of_a_key_follows_from_the_dialect_and_back() -> None:
    assert isinstance(KEYS[Dialect.DOCUMENTED], MlKemKey)
    assert isinstance(KEYS[Dialect.DEPLOYED], KyberKey)
    assert {dialect: kem.dialect_of(key) for dialect, key in KEYS.items()} == {each: each for each in Dialect}


@DIALECTS
def test_what_is_written_in_a_dialect_is_first_among_its_secrets(dialect: Dialect) -> None:
    secret, ciphertext = kem.encapsulate(KEYS[dialect].public_key, dialect)
    own, other = kem.shared_secrets(KEYS[dialect], ciphertext)

    assert own == secret != other
    assert len(own) == len(other) == 32


@DIALECTS
def test_what_is_written_in_the_other_dialect_is_second(dialect: Dialect) -> None:
    """A sender that speaks the other dialect, to the key we made in ours."""
    other = next(each for each in Dialect if each is not dialect)
    secret, ciphertext = kem.encapsulate(KEYS[dialect].public_key, other)

    assert kem.shared_secrets(KEYS[dialect], ciphertext)[1] == secret


def test_the_recorded_ciphertext_gives_both_recorded_secrets() -> None:
    case = CASES["encapsulate to A"]
    bridged, plain = kem.shared_secrets(KEYS[Dialect.DEPLOYED], bytes.fromhex(case["ciphertext"]))

    assert (bridged.hex(), plain.hex()) == (case["shared_secret"], case["mlkem_shared_secret"])


@DIALECTS
def test_a_ciphertext_for_another_key_gives_wrong_secrets_and_no_error(dialect: Dialect) -> None:
    secret, ciphertext = kem.encapsulate(kem.decryption_key(bytes(32), dialect).public_key, dialect)

    assert secret not in kem.shared_secrets(KEYS[dialect], ciphertext)


@DIALECTS
@pytest.mark.parametrize("length", [0, 1567, 1569])
def test_a_ciphertext_of_another_length_is_refused(dialect: Dialect, length: int) -> None:
    with pytest.raises(ValueError):
        kem.shared_secrets(KEYS[dialect], bytes(length))


@DIALECTS
def test_what_is_no_public_key_is_refused(dialect: Dialect) -> None:
    with pytest.raises(CryptoError, match="the encryption key is damaged"):
        kem.encapsulate(b"\xff" * 1568, dialect)


def test_writing_for_users_of_the_other_dialect_needs_no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pqcrypto.kem.ml_kem_1024", "kyber_py.kyber.kyber"):
        monkeypatch.setitem(sys.modules, module, None)

    secret, ciphertext = kem.encapsulate(KEYS[Dialect.DEPLOYED].public_key, Dialect.DEPLOYED)

    assert kem.shared_secrets(KEYS[Dialect.DEPLOYED], ciphertext)[0] == secret
    with pytest.raises(CryptoError, match=r"dna-dht\[deployed\]"):
        kem.decryption_key(SEED, Dialect.DEPLOYED)
