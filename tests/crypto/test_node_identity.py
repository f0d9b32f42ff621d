import copy
import json
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from dna_dht.crypto.expanded_key import ExpandedSigningKey
from dna_dht.crypto.mldsa import verify
from dna_dht.crypto.node_identity import NodeIdentity
from dna_dht.dialect import Dialect

VECTORS = Path(__file__).parents[1] / "vectors"
CASE = json.loads((VECTORS / "wire-ids.json").read_text())["identities"][0]
NODES: list[dict[str, Any]] = json.loads((VECTORS / "crypto-node-identity.json").read_text())["cases"]


def test_an_identity_from_a_recorded_seed_has_the_recorded_ids() -> None:
    identity = NodeIdentity.from_seed(bytes.fromhex(CASE["seed"]))

    assert identity.public_key.hex() == CASE["public_key"]
    assert identity.owner_id.hex() == CASE["id"]
    assert identity.node_id.hex() == CASE["node_id"]
    assert identity.long_id.hex() == CASE["long_id"]
    assert identity.owner_value_id == int(CASE["long_id"][:16], 16)
    assert identity.node_id_text(Dialect.DEPLOYED) == CASE["long_id"]
    assert len(identity.node_id_text()) == 128


def test_what_it_signs_verifies_with_its_public_key() -> None:
    identity = NodeIdentity.generate()

    assert verify(identity.public_key, identity.sign(b"value"), b"value")
    assert not verify(identity.public_key, identity.sign(b"value"), b"other")


def test_identities_are_equal_when_their_keys_are() -> None:
    identity = NodeIdentity.from_seed(b"\7" * 32)
    expanded_key = identity.expanded_key()
    assert expanded_key is not None
    from_expanded = NodeIdentity(ExpandedSigningKey(expanded_key, identity.public_key))

    for same in (NodeIdentity.from_seed(b"\7" * 32), from_expanded):
        assert same == identity and hash(same) == hash(identity)
        assert same.expanded_key() == expanded_key
    assert identity.seed == b"\7" * 32 and from_expanded.seed is None
    assert NodeIdentity.generate() != NodeIdentity.generate()
    assert identity != identity.public_key


def test_a_seed_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        NodeIdentity.from_seed(bytes(31))


def test_its_text_names_the_node_and_hides_the_seed() -> None:
    identity = NodeIdentity.from_seed(b"\x5a" * 32)

    assert identity.node_id.hex() in repr(identity)
    assert "5a5a5a5a" not in f"{identity!r} {identity}" and "ZZZZ" not in repr(identity)


@pytest.mark.parametrize("case", NODES, ids=lambda case: case["name"])
def test_recorded_nodes_have_the_recorded_ids_with_and_without_a_seed(case: dict[str, Any]) -> None:
    seeded = NodeIdentity.from_seed(bytes.fromhex(case["dht_identity_seed"]))
    expanded_key = seeded.expanded_key()
    assert expanded_key is not None

    for identity in (seeded, NodeIdentity(ExpandedSigningKey(expanded_key, seeded.public_key))):
        assert identity.public_key.hex() == case["public_key"]
        assert identity.owner_id.hex() == case["short_id"]
        assert identity.long_id.hex() == case["long_id"]
        assert identity.node_id_text(Dialect.DEPLOYED) == case["node_id_string"]
        assert identity.owner_value_id == int(case["owner_value_id"])


def test_without_the_package_that_expands_there_is_only_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dilithium_py.ml_dsa", None)

    assert NodeIdentity.from_seed(bytes(32)).expanded_key() is None


def test_it_is_not_pickled() -> None:
    for leak in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            leak(NodeIdentity.from_seed(bytes(32)))


def test_an_unknown_dialect_is_misuse() -> None:
    with pytest.raises(TypeError, match=r"Dialect\.DOCUMENTED"):
        NodeIdentity.from_seed(bytes(32)).node_id_text("deployed")  # type: ignore[arg-type]
