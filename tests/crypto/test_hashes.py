import json
from pathlib import Path
from typing import Any

import pytest

from dna_dht.crypto import hashes
from dna_dht.crypto.mldsa import SigningKey

VECTORS = Path(__file__).parents[1] / "vectors"
NODES: list[dict[str, Any]] = json.loads((VECTORS / "crypto-node-identity.json").read_text())["cases"]
WIRE_IDENTITIES: list[dict[str, Any]] = json.loads((VECTORS / "wire-ids.json").read_text())["identities"]


@pytest.mark.parametrize("case", NODES, ids=lambda case: case["name"])
def test_ids_of_recorded_nodes(case: dict[str, Any]) -> None:
    public_key = SigningKey(bytes.fromhex(case["dht_identity_seed"])).public_key

    assert public_key.hex() == case["public_key"]
    assert hashes.owner_id(public_key).hex() == case["short_id"]
    assert hashes.long_id(public_key).hex() == case["long_id"]
    assert hashes.long_id_text(public_key) == case["node_id_string"]
    assert hashes.owner_value_id(public_key) == int(case["owner_value_id"])
    assert hashes.fingerprint(public_key) == case["file_sha3_512"]["pub"]


@pytest.mark.parametrize("case", WIRE_IDENTITIES, ids=lambda case: case["seed"][:2])
def test_ids_recorded_from_the_wire(case: dict[str, Any]) -> None:
    public_key = SigningKey(bytes.fromhex(case["seed"])).public_key

    assert public_key.hex() == case["public_key"]
    assert hashes.owner_id(public_key).hex() == case["id"]
    assert hashes.long_id(public_key).hex() == case["long_id"]
    assert hashes.node_id(public_key).hex() == case["node_id"]


def test_a_fingerprint_has_128_hex_digits() -> None:
    assert len(hashes.fingerprint(b"key")) == hashes.FINGERPRINT_LENGTH
