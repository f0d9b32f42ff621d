import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from dna_dht.crypto.expanded_key import EXPANDED_SIZE, belongs_to, expand
from dna_dht.crypto.mldsa import SigningKey

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
