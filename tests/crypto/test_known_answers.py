"""FIPS 203 and FIPS 204 from seeds, which the library we use does not test for us; see `how` in the file."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pqcrypto.kem
import pqcrypto.sign
import pytest
from dilithium_py.ml_dsa import ML_DSA_87
from kyber_py.ml_kem import ML_KEM_1024

from dna_dht.crypto import kem
from dna_dht.crypto.expanded_key import ExpandedSigningKey, expand
from dna_dht.crypto.identity import Identity
from dna_dht.crypto.mldsa import SigningKey, verify
from dna_dht.crypto.mlkem import MlKemKey, encapsulate
from dna_dht.crypto.mnemonic import Mnemonic
from dna_dht.dialect import Dialect

PATH = Path(__file__).parents[1] / "vectors" / "documented-crypto.json"
GOLDEN: dict[str, Any] = json.loads(PATH.read_text())
IDENTITIES: list[dict[str, Any]] = GOLDEN["identities"]
KEMS: list[dict[str, Any]] = GOLDEN["mlkem_1024"]
SIGNERS: list[dict[str, Any]] = GOLDEN["mldsa_87"]
KEM, SIGN = pqcrypto.kem.ml_kem_1024, pqcrypto.sign.ml_dsa_87


def name_of(case: dict[str, Any]) -> str:
    return str(case["name"])


def sha3(data: bytes) -> str:
    return hashlib.sha3_512(data).hexdigest()


def labelled(text: str, size: int) -> bytes:
    return hashlib.shake_256(f"dna-dht known answer: {text}".encode()).digest(size)


def flipped(data: bytes, place: int, mask: int) -> bytes:
    return data[:place] + bytes([data[place] ^ mask]) + data[place + 1 :]


def message_of(signature: dict[str, Any]) -> bytes:
    text: str = signature["message"]
    return labelled("message", 1000) if text.startswith("label") else bytes.fromhex(text)


@pytest.mark.parametrize("case", IDENTITIES, ids=name_of)
def test_words_give_the_documented_identity(case: dict[str, Any]) -> None:
    identity = Identity.from_mnemonic(Mnemonic(case["mnemonic"]))

    assert Mnemonic(case["mnemonic"]).master_seed().hex() == case["master_seed"]
    assert identity.dialect is Dialect.DOCUMENTED
    assert identity.fingerprint == case["fingerprint"]
    assert sha3(identity.signing.public_key) == case["signing_public_key_sha3_512"]
    assert identity.encryption.secret_key.hex() == case["mlkem_seed"]
    assert sha3(identity.public.encryption_public_key) == case["mlkem_public_key_sha3_512"]
    assert identity.public.encryption_public_key.hex() == case.get(
        "mlkem_public_key", identity.public.encryption_public_key.hex()
    )
    assert identity.node.node_id_text() == case["node_id_text"] and len(case["node_id_text"]) == 128
    assert sha3(identity.node.public_key) == case["dht_public_key_sha3_512"]
    assert identity.node.owner_id.hex() == case["owner_id"]


@pytest.mark.parametrize("case", IDENTITIES, ids=name_of)
def test_the_documented_identity_opens_the_known_ciphertext(case: dict[str, Any]) -> None:
    identity = Identity.from_mnemonic(Mnemonic(case["mnemonic"]))
    m = labelled(f"m for {case['name']}", 32)
    secret, ciphertext = ML_KEM_1024._encaps_internal(identity.public.encryption_public_key, m)

    assert m.hex() == case["m"]
    assert sha3(ciphertext) == case["ciphertext_sha3_512"]
    assert ciphertext.hex() == case.get("ciphertext", ciphertext.hex())
    assert secret.hex() == case["shared_secret"]
    assert kem.shared_secrets(identity.encryption, ciphertext)[0] == secret
    rejected = identity.encryption.decapsulate(flipped(ciphertext, 0, 1))
    assert rejected.hex() == case["rejected_first_byte_xor_1"]


def test_seeds_called_labels_are_what_the_file_says() -> None:
    for number in range(5):
        assert KEMS[3 + number]["seed"] == labelled(f"ML-KEM seed {number}", 64).hex()
        assert SIGNERS[3 + number]["seed"] == labelled(f"ML-DSA seed {number}", 32).hex()


@pytest.mark.parametrize("case", KEMS, ids=name_of)
def test_mlkem_keys_from_seeds(case: dict[str, Any]) -> None:
    seed = bytes.fromhex(case["seed"])
    key = MlKemKey(seed)
    public_key, expanded = ML_KEM_1024._keygen_internal(seed[:32], seed[32:])

    assert key.public_key == public_key
    assert sha3(public_key) == case["public_key_sha3_512"]
    assert public_key.hex() == case.get("public_key", public_key.hex())
    assert sha3(expanded) == case["expanded_key_sha3_512"]


@pytest.mark.parametrize("case", KEMS, ids=name_of)
def test_mlkem_encapsulations_with_known_randomness(case: dict[str, Any]) -> None:
    key = MlKemKey(bytes.fromhex(case["seed"]))

    for known in case["encapsulations"]:
        secret, ciphertext = ML_KEM_1024._encaps_internal(key.public_key, bytes.fromhex(known["m"]))
        assert sha3(ciphertext) == known["ciphertext_sha3_512"]
        assert ciphertext.hex() == known.get("ciphertext", ciphertext.hex())
        assert key.decapsulate(ciphertext) == secret == bytes.fromhex(known["shared_secret"])


@pytest.mark.parametrize("case", KEMS, ids=name_of)
def test_mlkem_rejections(case: dict[str, Any]) -> None:
    seed = bytes.fromhex(case["seed"])
    first = bytes.fromhex(case["encapsulations"][0]["ciphertext"])
    damaged = {
        "zero ciphertext": bytes(1568),
        "ones ciphertext": b"\xff" * 1568,
        "first ciphertext, last byte xor 80": flipped(first, 1567, 0x80),
        "first ciphertext, byte 1408 xor 1": flipped(first, 1408, 1),
    }

    assert {known["ciphertext"] for known in case["rejections"]} == set(damaged)
    for known in case["rejections"]:
        ciphertext = damaged[known["ciphertext"]]
        assert MlKemKey(seed).decapsulate(ciphertext).hex() == known["shared_secret"]
        assert hashlib.shake_256(seed[32:] + ciphertext).hexdigest(32) == known["shared_secret"]


@pytest.mark.parametrize("case", KEMS, ids=name_of)
def test_mlkem_encapsulations_of_ours_are_opened_by_two_others(case: dict[str, Any]) -> None:
    seed = bytes.fromhex(case["seed"])
    expanded = ML_KEM_1024.key_derive(seed)[1]
    secret, ciphertext = encapsulate(MlKemKey(seed).public_key)

    assert ML_KEM_1024.decaps(expanded, ciphertext) == secret
    assert bytes(KEM.SecretKey(expanded).decaps(ciphertext)) == secret


@pytest.mark.parametrize("case", KEMS, ids=name_of)
def test_mlkem_encapsulations_of_two_others_are_opened_by_ours(case: dict[str, Any]) -> None:
    key = MlKemKey(bytes.fromhex(case["seed"]))

    secret, ciphertext = ML_KEM_1024.encaps(key.public_key)
    assert key.decapsulate(ciphertext) == secret
    ciphertext, secret = map(bytes, KEM.encaps(key.public_key))
    assert key.decapsulate(ciphertext) == secret


@pytest.mark.parametrize("case", SIGNERS, ids=name_of)
def test_mldsa_keys_from_seeds(case: dict[str, Any]) -> None:
    seed = bytes.fromhex(case["seed"])
    key = SigningKey(seed)
    public_key, expanded = ML_DSA_87.key_derive(seed)

    assert key.public_key == public_key
    assert sha3(public_key) == case["public_key_sha3_512"]
    assert public_key.hex() == case.get("public_key", public_key.hex())
    assert expand(seed) == expanded
    assert sha3(expanded) == case["expanded_key_sha3_512"]


@pytest.mark.parametrize("case", SIGNERS, ids=name_of)
def test_mldsa_signatures_without_randomness(case: dict[str, Any]) -> None:
    public_key, expanded = ML_DSA_87.key_derive(bytes.fromhex(case["seed"]))

    for known in case["signatures"]:
        message = message_of(known)
        signature = ML_DSA_87.sign(expanded, message, deterministic=True)
        assert sha3(signature) == known["signature_sha3_512"]
        assert signature.hex() == known.get("signature", signature.hex())
        assert verify(public_key, signature, message)
        assert not verify(public_key, signature, message + b"\0")


@pytest.mark.parametrize("case", SIGNERS, ids=name_of)
def test_mldsa_signatures_of_ours_verify_with_two_others(case: dict[str, Any]) -> None:
    key = SigningKey(bytes.fromhex(case["seed"]))
    expanded = ExpandedSigningKey(expand(key.seed) or b"", key.public_key)

    for signature in (key.sign(b"ours"), expanded.sign(b"ours")):
        assert ML_DSA_87.verify(key.public_key, b"ours", signature)
        SIGN.verify(key.public_key, b"ours", signature)  # raises if not
        assert verify(key.public_key, signature, b"ours")
