import dataclasses
import hashlib
import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fuzz import fuzz_key_file
from fuzz.mutator import Mutator

from dna_dht.crypto.identity import Identity
from dna_dht.crypto.mnemonic import Mnemonic
from dna_dht.dialect import Dialect
from dna_dht.errors import CryptoError, DecodeError
from dna_dht.keystore.key_file import EXPANDED, HEADER_SIZE, SEEDS, KeyFile, KeyKind

VECTORS = Path(__file__).parents[1] / "vectors"
FILES: dict[str, dict[str, Any]] = {
    case["name"]: case for case in json.loads((VECTORS / "crypto-key-files.json").read_text())["cases"]
}
WORDS = json.loads((VECTORS / "crypto-derivation.json").read_text())["cases"]["identities"][0]["mnemonic"]
IDENTITIES = {dialect: Identity.from_mnemonic(Mnemonic(WORDS), dialect) for dialect in Dialect}


def file_of(dialect: Dialect, kind: KeyKind) -> KeyFile:
    identity = IDENTITIES[dialect]
    if kind is KeyKind.SIGNING:
        return KeyFile.of_signing(identity.signing, dialect)
    return KeyFile.of_encryption(identity.encryption)


@pytest.mark.parametrize(
    ("name", "kind"), [("A keys/identity.dsa", KeyKind.SIGNING), ("A keys/identity.kem", KeyKind.ENCRYPTION)]
)
def test_the_recorded_files_are_written_byte_for_byte(name: str, kind: KeyKind) -> None:
    data = file_of(Dialect.DEPLOYED, kind).encode()

    assert data[:HEADER_SIZE].hex() == FILES[name]["header"]
    assert len(data) == FILES[name]["length"]
    assert hashlib.sha3_512(data).hexdigest() == FILES[name]["sha3_512"]


@pytest.mark.parametrize("kind", KeyKind)
@pytest.mark.parametrize("dialect", Dialect)
def test_a_file_gives_its_key_back(dialect: Dialect, kind: KeyKind) -> None:
    written = file_of(dialect, kind)

    read = KeyFile.decode(written.encode(), kind)

    assert read == written
    assert read.version == (EXPANDED if dialect is Dialect.DEPLOYED else SEEDS)
    if kind is KeyKind.ENCRYPTION:
        assert read.decryption_key() == IDENTITIES[dialect].encryption
    else:
        assert read.signing_key().public_key == IDENTITIES[dialect].signing.public_key
        assert KeyFile.of_signing(read.signing_key(), dialect) == written


def test_sizes_of_both_versions() -> None:
    sizes = {(dialect, kind): len(file_of(dialect, kind).encode()) for dialect in Dialect for kind in KeyKind}

    assert sizes == {
        (Dialect.DEPLOYED, KeyKind.SIGNING): 7764,
        (Dialect.DEPLOYED, KeyKind.ENCRYPTION): 5012,
        (Dialect.DOCUMENTED, KeyKind.SIGNING): 2900,
        (Dialect.DOCUMENTED, KeyKind.ENCRYPTION): 1908,
    }


def test_a_name_in_the_file_does_not_matter() -> None:
    data = bytearray(file_of(Dialect.DOCUMENTED, KeyKind.SIGNING).encode())
    data[20:25] = b"alice"

    assert KeyFile.decode(bytes(data), KeyKind.SIGNING) == file_of(Dialect.DOCUMENTED, KeyKind.SIGNING)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "this is something else, not a private key file"),
        (b"hello", "this is something else"),
        (b"QGPPUBKY\x01", "this is a public key file"),
        (b"PQPUBKEY\x02", "this is a public key bundle"),
        (b"-----BEGIN QGP PUBLIC KEY-----\n", "this is a public key bundle"),
        (b"DNAK\x01", "this is a password-protected key file"),
        (b"PQSIGENC\x08", "this is a sealed message"),
        (bytes.fromhex("00001320") + bytes(60), "this is an exported node identity"),
        (b"PQSIGNUM", "cut off after 8 bytes"),
        (b"PQSIGNUM\x01" + bytes(266), "cut off after 275 bytes"),
    ],
)
def test_a_file_of_another_kind_is_named(data: bytes, sentence: str) -> None:
    for kind in KeyKind:
        with pytest.raises(DecodeError, match=sentence):
            KeyFile.decode(data, kind)


def put(offset: int, value: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data[:offset] + value + data[offset + len(value) :]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (put(8, b"\3"), "has version 3, which a newer release wrote: update this one"),
        (put(8, b"\xff"), "has version 255, which a newer release wrote"),
        (put(8, b"\0"), "does not hold the encryption key of an identity .version 0"),
        (put(9, b"\1"), "type 1, purpose 2"),
        (put(10, b"\1"), "type 2, purpose 1"),
        (put(12, b"\xff\xff\xff\xff"), "does not hold the encryption key"),
        (put(16, b"\0\0\0\0"), "does not hold the encryption key"),
        (lambda data: data[:-1], r"needs [0-9,]+ bytes, got"),
        (lambda data: data + b"\0", r"needs [0-9,]+ bytes, got"),
        (put(HEADER_SIZE, b"\0\0\0"), "do not belong together"),
        (lambda data: data[:-70] + bytes(70), "do not belong together"),
    ],
)
@pytest.mark.parametrize("dialect", Dialect)
def test_a_damaged_file_is_refused(dialect: Dialect, change: Callable[[bytes], bytes], sentence: str) -> None:
    data = file_of(dialect, KeyKind.ENCRYPTION).encode()

    with pytest.raises(DecodeError, match=sentence):
        KeyFile.decode(change(data), KeyKind.ENCRYPTION)


@pytest.mark.parametrize("dialect", Dialect)
def test_secret_and_public_key_have_to_belong_together(dialect: Dialect) -> None:
    other = Identity.from_mnemonic(Mnemonic.generate(), dialect)
    for kind, public_key in (
        (KeyKind.SIGNING, other.public.signing_public_key),
        (KeyKind.ENCRYPTION, other.public.encryption_public_key),
    ):
        mixed = dataclasses.replace(file_of(dialect, kind), public_key=public_key)
        with pytest.raises(DecodeError, match="do not belong together"):
            KeyFile.decode(mixed.encode(), kind)


def test_one_kind_does_not_pass_for_the_other() -> None:
    for dialect in Dialect:
        for kind, other in ((KeyKind.SIGNING, KeyKind.ENCRYPTION), (KeyKind.ENCRYPTION, KeyKind.SIGNING)):
            with pytest.raises(DecodeError, match=f"does not hold the {kind.name.lower()} key"):
                KeyFile.decode(file_of(dialect, other).encode(), kind)


def test_the_secret_does_not_show() -> None:
    for dialect in Dialect:
        for kind in KeyKind:
            file = file_of(dialect, kind)
            assert len(repr(file)) < 80
            with pytest.raises(TypeError, match="not pickled"):
                pickle.dumps(file)


def test_without_the_extra_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dilithium_py.ml_dsa", None)

    with pytest.raises(CryptoError, match=r"dilithium-py: run .*dna-dht\[deployed\]"):
        file_of(Dialect.DEPLOYED, KeyKind.SIGNING)
    assert file_of(Dialect.DOCUMENTED, KeyKind.SIGNING).version == SEEDS


def test_hostile_input() -> None:
    mutator = Mutator(Random("key_file"), fuzz_key_file.seeds())
    for data in (*fuzz_key_file.seeds(), *(mutator.next() for _ in range(3000))):
        fuzz_key_file.one_input(data)
