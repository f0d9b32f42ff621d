import copy
import hashlib
import json
import pickle
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

from dna_dht.crypto.expanded_key import ExpandedSigningKey, expand
from dna_dht.crypto.identity import Identity, PublicIdentity, is_fingerprint, short_fingerprint
from dna_dht.crypto.kyber import KyberKey
from dna_dht.crypto.mldsa import SigningKey, verify
from dna_dht.crypto.mlkem import MlKemKey
from dna_dht.crypto.mnemonic import Mnemonic
from dna_dht.crypto.node_identity import NodeIdentity
from dna_dht.dialect import Dialect
from dna_dht.errors import CryptoError

PATH = Path(__file__).parents[1] / "vectors" / "crypto-derivation.json"
IDENTITIES: list[dict[str, Any]] = json.loads(PATH.read_text())["cases"]["identities"]
MASTER_SEED = bytes(range(64))
ALICE = Identity.from_master_seed(MASTER_SEED)
DEPLOYED_ALICE = Identity.from_master_seed(MASTER_SEED, Dialect.DEPLOYED)
FINGERPRINT = ALICE.fingerprint


def sha3(data: bytes) -> str:
    return hashlib.sha3_512(data).hexdigest()


@pytest.mark.parametrize("case", IDENTITIES, ids=lambda case: case["name"])
def test_recorded_words_give_every_recorded_key(case: dict[str, Any]) -> None:
    identity = Identity.from_mnemonic(Mnemonic(case["mnemonic"]), Dialect.DEPLOYED)

    assert identity.signing.seed == bytes.fromhex(case["signing_seed"])
    assert identity.signing.public_key.hex() == case["signing_public_key"]
    assert identity.public.signing_public_key.hex() == case["signing_public_key"]
    assert sha3(expand(identity.signing.seed) or b"") == case["signing_secret_key_sha3_512"]
    assert identity.fingerprint == identity.public.fingerprint == case["fingerprint"]
    assert isinstance(identity.encryption, KyberKey)
    assert identity.encryption.public_key.hex() == case["kyber_public_key"]
    assert identity.public.encryption_public_key.hex() == case["kyber_public_key"]
    assert sha3(identity.encryption.secret_key) == case["kyber_secret_key_sha3_512"]
    assert identity.node.seed == bytes.fromhex(case["dht_identity_seed"])
    assert sha3(identity.node.public_key) == case["dht_public_key_sha3_512"]
    assert sha3(identity.node.expanded_key() or b"") == case["dht_secret_key_sha3_512"]
    assert identity.dialect is Dialect.DEPLOYED


@pytest.mark.parametrize("case", IDENTITIES, ids=lambda case: case["name"])
def test_only_the_encryption_key_depends_on_the_dialect(case: dict[str, Any]) -> None:
    documented = Identity.from_mnemonic(Mnemonic(case["mnemonic"]))
    deployed = Identity.from_master_seed(bytes.fromhex(case["master_seed"]), Dialect.DEPLOYED)

    assert documented.dialect is Dialect.DOCUMENTED
    assert isinstance(documented.encryption, MlKemKey)
    assert documented.signing == deployed.signing
    assert documented.node == deployed.node
    assert documented.fingerprint == case["fingerprint"]
    assert documented.public.encryption_public_key != deployed.public.encryption_public_key
    assert documented != deployed and documented.public != deployed.public


def test_the_three_keys_are_three_different_ones() -> None:
    assert ALICE.signing.public_key != ALICE.node.public_key
    assert ALICE.signing.seed != ALICE.node.seed
    assert verify(ALICE.public.signing_public_key, ALICE.signing.sign(b"profile"), b"profile")
    assert not verify(ALICE.public.signing_public_key, ALICE.node.sign(b"profile"), b"profile")


def test_identities_are_equal_when_their_keys_are() -> None:
    again = Identity.from_master_seed(MASTER_SEED)
    signing = expand(ALICE.signing.seed or b"")
    node = ALICE.node.expanded_key()
    assert signing is not None and node is not None
    from_expanded = Identity(
        ExpandedSigningKey(signing, ALICE.signing.public_key),
        ALICE.encryption,
        NodeIdentity(ExpandedSigningKey(node, ALICE.node.public_key)),
    )

    for same in (again, from_expanded):
        assert same == ALICE and hash(same) == hash(ALICE)
    assert Identity.from_master_seed(bytes(64)) != ALICE
    assert Identity(ALICE.signing, ALICE.encryption, NodeIdentity.from_seed(bytes(32))) != ALICE
    assert Identity(SigningKey(bytes(32)), ALICE.encryption, ALICE.node) != ALICE
    assert ALICE.public != ALICE


@pytest.mark.parametrize("length", [0, 32, 63, 65])
def test_a_master_seed_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="64 bytes"):
        Identity.from_master_seed(bytes(length))


@pytest.mark.parametrize("module", ["pqcrypto.kem.ml_kem_1024", "kyber_py.kyber.kyber"])
def test_without_the_extra_a_deployed_identity_says_what_to_install(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(
        CryptoError, match=r"package (pqcrypto|kyber-py): run .*dna-dht\[deployed\]"
    ) as refused:
        Identity.from_master_seed(MASTER_SEED, Dialect.DEPLOYED)
    assert refused.value.__cause__ is None and refused.value.__suppress_context__
    assert Identity.from_master_seed(MASTER_SEED) == ALICE  # the documented dialect needs none


@pytest.mark.parametrize("identity", [ALICE, DEPLOYED_ALICE], ids=lambda identity: identity.dialect.value)
def test_no_secret_leaks_through_texts_or_copies(identity: Identity) -> None:
    text = f"{identity!r} {identity} {identity.signing!r} {identity.encryption!r} {identity.node!r}"

    assert repr(identity) == f"<Identity {short_fingerprint(FINGERPRINT)} {identity.dialect.value}>"
    for secret in (identity.signing.seed, identity.encryption.secret_key, identity.node.seed):
        assert secret is not None
        assert secret.hex()[:16] not in text and repr(secret[:8])[2:-1] not in text
    for leak in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled") as refused:
            leak(identity)
        assert (identity.signing.seed or b"").hex() not in "".join(traceback.format_exception(refused.value))


def test_public_keys_of_another_length_are_refused() -> None:
    public = ALICE.public

    for wrong in (
        public.signing_public_key[:-1],
        public.signing_public_key + b"\0",
        b"",
        public.encryption_public_key,
    ):
        with pytest.raises(ValueError, match="a signing public key has 2592 bytes"):
            PublicIdentity(wrong, public.encryption_public_key)
    for wrong in (
        public.encryption_public_key[:-1],
        public.encryption_public_key + b"\0",
        b"",
        public.signing_public_key,
    ):
        with pytest.raises(ValueError, match="an encryption public key has 1568 bytes"):
            PublicIdentity(public.signing_public_key, wrong)


def test_a_public_identity_is_a_value_and_may_travel() -> None:
    again = PublicIdentity(ALICE.public.signing_public_key, ALICE.public.encryption_public_key)

    assert again == ALICE.public and hash(again) == hash(ALICE.public)
    assert pickle.loads(pickle.dumps(again)) == again
    assert repr(again) == f"<PublicIdentity {FINGERPRINT[:10]}...{FINGERPRINT[-10:]}>"


@pytest.mark.parametrize("text", [FINGERPRINT, FINGERPRINT.upper(), "0" * 128, "aF" * 64])
def test_fingerprints(text: str) -> None:
    assert is_fingerprint(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        FINGERPRINT[:-1],
        FINGERPRINT + "0",
        FINGERPRINT + "\n",
        "\n" + FINGERPRINT[1:],
        FINGERPRINT[:-1] + "g",
        FINGERPRINT[:-1] + " ",
        "0x" + FINGERPRINT[2:],
        "٣" * 128,  # digits, but not these
        FINGERPRINT[:-1] + "\uff10",
        FINGERPRINT[:64],
    ],
    ids=range(11),
)
def test_what_is_no_fingerprint(text: str) -> None:
    assert not is_fingerprint(text)


def test_the_short_form() -> None:
    assert short_fingerprint("0123456789" + "a" * 108 + "9876543210") == "0123456789...9876543210"


@pytest.mark.parametrize("name", ["signing", "encryption", "node", "public", "fingerprint", "dialect"])
def test_an_identity_cannot_be_changed(name: str) -> None:
    identity = Identity.from_master_seed(bytes(64))

    with pytest.raises(AttributeError):
        setattr(identity, name, getattr(identity, name))


@pytest.mark.parametrize("name", ["signing_public_key", "encryption_public_key", "fingerprint"])
def test_what_is_public_cannot_be_changed(name: str) -> None:
    public = Identity.from_master_seed(bytes(64)).public

    with pytest.raises(AttributeError):
        setattr(public, name, getattr(public, name))


@pytest.mark.parametrize("name", ["owner_id", "node_id", "owner_value_id", "seed", "public_key"])
def test_a_node_identity_cannot_be_changed(name: str) -> None:
    node = Identity.from_master_seed(bytes(64)).node

    with pytest.raises(AttributeError):
        setattr(node, name, getattr(node, name))
