import copy
import hashlib
import json
import pickle
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fuzz import fuzz_export_blob
from fuzz.mutator import Mutator
from hypothesis import given
from hypothesis import strategies as st

from dna_dht.crypto.certificate import Certificate
from dna_dht.crypto.export_blob import ExportBlob
from dna_dht.crypto.mldsa import verify
from dna_dht.crypto.node_identity import NodeIdentity
from dna_dht.errors import CryptoError, DecodeError

PATH = Path(__file__).parents[1] / "vectors" / "crypto-node-identity.json"
NODES: list[dict[str, Any]] = json.loads(PATH.read_text())["cases"]
ALICE, BOB = NodeIdentity.from_seed(b"\1" * 32), NodeIdentity.from_seed(b"\2" * 32)
BLOB = ExportBlob.of(ALICE, 1_769_126_400)
ENCODED = BLOB.encode()


@pytest.mark.parametrize("case", NODES, ids=lambda case: case["name"])
def test_the_recorded_blob_is_made_byte_for_byte_and_read(case: dict[str, Any]) -> None:
    identity = NodeIdentity.from_seed(bytes.fromhex(case["dht_identity_seed"]))
    dated = Certificate.decode(bytes.fromhex(case["certificate"])).not_before

    blob = ExportBlob.of(identity, dated)
    encoded = blob.encode()

    assert len(encoded) == case["export_blob_length"] == 10_167
    assert hashlib.sha3_512(encoded).hexdigest() == case["export_blob_sha3_512"]
    assert case["dht_identity_bin_sha3_512"] == case["export_blob_sha3_512"]
    assert ExportBlob.decode(encoded) == blob
    assert case["import_results"] == {"whole": 0, "last_byte_missing": -1, "first_7_bytes_only": -1}
    for cut in (encoded[:-1], encoded[:7]):
        with pytest.raises(DecodeError):
            ExportBlob.decode(cut)


@pytest.mark.parametrize("length", range(13))
def test_short_blobs_are_refused(length: int) -> None:
    with pytest.raises(DecodeError, match="cut off"):
        ExportBlob.decode(ENCODED[:length])


@given(st.integers(0, len(ENCODED) - 1))
def test_a_cut_blob_is_refused(length: int) -> None:
    with pytest.raises(DecodeError):
        ExportBlob.decode(ENCODED[:length])


def test_bytes_behind_the_certificate_are_refused() -> None:
    with pytest.raises(DecodeError, match="1 bytes too many"):
        ExportBlob.decode(ENCODED + b"\0")


@pytest.mark.parametrize(
    "blob",
    [
        ExportBlob(BLOB.secret_key[:-1], BLOB.public_key, BLOB.certificate),
        ExportBlob(BLOB.secret_key, BLOB.public_key + b"\0", BLOB.certificate),
    ],
    ids=["secret key", "public key"],
)
def test_a_key_of_another_size_is_refused(blob: ExportBlob) -> None:
    with pytest.raises(DecodeError, match="needs"):
        ExportBlob.decode(blob.encode())


@pytest.mark.parametrize(
    "blob",
    [
        ExportBlob(BLOB.secret_key, BOB.public_key, Certificate.of_node(BOB.public_key, 0)),
        ExportBlob(BLOB.secret_key, ALICE.public_key, Certificate.of_node(BOB.public_key, 0)),
    ],
    ids=["public key", "certificate"],
)
def test_parts_of_two_identities_are_refused(blob: ExportBlob) -> None:
    with pytest.raises(DecodeError, match="do not belong together"):
        ExportBlob.decode(blob.encode())


@pytest.mark.parametrize("field", [0, 4900, 7496], ids=["secret key", "public key", "certificate"])
@pytest.mark.parametrize("length", [0, 1, 2**31 - 1, 2**31, 2**32 - 4, 2**32 - 1])
def test_lengths_that_do_not_fit_are_refused(field: int, length: int) -> None:
    blob = ENCODED[:field] + length.to_bytes(4, "big") + ENCODED[field + 4 :]

    with pytest.raises(DecodeError, match=r"cut off|needs \d+ bytes|bytes too many|certificate"):
        ExportBlob.decode(blob)


@pytest.mark.parametrize(
    "certificate", [b"", b"\xc0", b"\x80", b"\xdf\xff\xff\xff\xff", b"\x91" * 100_000], ids=range(5)
)
def test_something_else_in_place_of_the_certificate_is_refused(certificate: bytes) -> None:
    with pytest.raises(DecodeError, match="certificate"):
        ExportBlob.decode(ENCODED[:7496] + len(certificate).to_bytes(4, "big") + certificate)


def test_without_the_optional_package_exporting_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dilithium_py.ml_dsa", None)

    with pytest.raises(CryptoError, match="dilithium-py"):
        ExportBlob.of(ALICE, 0)


def test_its_text_hides_the_secret_key() -> None:
    assert repr(BLOB.secret_key[32:])[2:40] not in repr(BLOB) and "secret" not in repr(BLOB)


def test_a_blob_becomes_an_identity_without_a_seed_and_a_blob_again() -> None:
    identity = ExportBlob.decode(ENCODED).identity()

    assert identity == ALICE and identity.seed is None
    assert identity.node_id == ALICE.node_id
    assert verify(ALICE.public_key, identity.sign(b"value"), b"value")
    assert ExportBlob.of(identity, 1_769_126_400).encode() == ENCODED


def test_a_blob_of_an_identity_without_a_seed_needs_no_package_to_expand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    identity = BLOB.identity()
    monkeypatch.setitem(sys.modules, "dilithium_py.ml_dsa", None)

    assert ExportBlob.of(identity, 1_769_126_400) == BLOB


@pytest.mark.parametrize("place", [0, 64, 127], ids=["rho", "tr", "end of tr"])
def test_a_damaged_secret_key_is_refused(place: int) -> None:
    damaged = bytearray(ENCODED)
    damaged[4 + place] ^= 1

    with pytest.raises(DecodeError, match="do not belong together"):
        ExportBlob.decode(bytes(damaged))


def test_damage_that_no_hash_covers_is_noticed_when_the_key_is_used() -> None:
    damaged = ENCODED[: 4 + 128] + bytes(672) + ENCODED[4 + 800 :]

    with pytest.raises(CryptoError, match="damaged: restore it"):
        ExportBlob.decode(damaged).identity()


def test_without_the_package_that_signs_the_sentence_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pqcrypto.sign.ml_dsa_87", None)

    with pytest.raises(CryptoError, match=r"package pqcrypto: run .*dna-dht\[deployed\]"):
        BLOB.identity()


def test_a_blob_is_not_pickled() -> None:
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            leak(BLOB)


def test_hostile_input() -> None:
    mutator = Mutator(Random("export_blob"), fuzz_export_blob.seeds())
    for data in (*fuzz_export_blob.seeds(), *(mutator.next() for _ in range(3000))):
        fuzz_export_blob.one_input(data)
