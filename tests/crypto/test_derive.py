import hashlib
import json
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_dht.crypto import derive

PATH = Path(__file__).parents[1] / "vectors" / "crypto-derivation.json"
IDENTITIES: list[dict[str, Any]] = json.loads(PATH.read_text())["cases"]["identities"]
DERIVATIONS = [derive.signing_seed, derive.encryption_seed, derive.dht_identity_seed]


@pytest.mark.parametrize("case", IDENTITIES, ids=lambda case: case["name"])
@pytest.mark.parametrize("derivation", DERIVATIONS, ids=lambda derivation: derivation.__name__)
def test_recorded_seeds_come_out(case: dict[str, Any], derivation: Callable[[bytes], bytes]) -> None:
    assert derivation(bytes.fromhex(case["master_seed"])).hex() == case[derivation.__name__]


@given(st.binary(min_size=64, max_size=64))
def test_the_three_seeds_follow_the_formulas_and_differ(master_seed: bytes) -> None:
    seeds = [derivation(master_seed) for derivation in DERIVATIONS]

    assert seeds == [
        hashlib.shake_256(master_seed + b"qgp-signing-v1").digest(32),
        hashlib.shake_256(master_seed + b"qgp-encryption-v1").digest(32),
        hashlib.sha3_512(master_seed + b"dht_identity").digest()[:32],
    ]
    assert len(set(seeds)) == 3


@pytest.mark.parametrize("length", [0, 32, 63, 65])
@pytest.mark.parametrize("derivation", DERIVATIONS, ids=lambda derivation: derivation.__name__)
def test_a_master_seed_of_another_length_is_refused_and_not_shown(
    derivation: Callable[[bytes], bytes], length: int
) -> None:
    with pytest.raises(ValueError, match=f"64 bytes, got {length}") as refused:
        derivation(b"\x5a" * length)
    assert "ZZZZ" not in "".join(traceback.format_exception(refused.value))
