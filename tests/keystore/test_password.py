import hashlib
import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from dna_dht.errors import DecodeError, PasswordRequiredError, WrongPasswordError
from dna_dht.keystore import password
from dna_dht.keystore.key_file import KeyFile, KeyKind
from dna_dht.keystore.password import MAX_SIZE, OVERHEAD, is_newer, is_protected, protect, unprotect

VECTORS = Path(__file__).parents[1] / "vectors"
FILES: dict[str, dict[str, Any]] = {
    case["name"]: case for case in json.loads((VECTORS / "crypto-key-files.json").read_text())["cases"]
}
B = json.loads((VECTORS / "crypto-derivation.json").read_text())["cases"]["identities"][1]
RECORDED = bytes.fromhex(FILES['B keys/identity.kem, password "correct horse"']["file"])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One round instead of 210,000, where the rounds are not what is tested."""
    monkeypatch.setattr(password, "ROUNDS", 1)


def test_the_recorded_files_open_with_their_password_and_no_other() -> None:
    kem = KeyFile.decode(unprotect(RECORDED, "correct horse"), KeyKind.ENCRYPTION)
    recorded = bytes.fromhex(FILES['B keys/identity.dsa, password "correct horse"']["file"])
    dsa = KeyFile.decode(unprotect(recorded, "correct horse"), KeyKind.SIGNING)

    assert kem.public_key.hex() == B["kyber_public_key"]
    assert hashlib.sha3_512(kem.secret_key).hexdigest() == B["kyber_secret_key_sha3_512"]
    assert dsa.public_key.hex() == B["signing_public_key"]
    with pytest.raises(WrongPasswordError, match="the password is wrong") as caught:
        unprotect(RECORDED, "correct Horse")
    assert "Horse" not in str(caught.value) and caught.value.__suppress_context__


@pytest.mark.usefixtures("quick")
def test_what_is_protected_comes_back_and_looks_different_each_time() -> None:
    first, second = protect(b"secret", "pass"), protect(b"secret", "pass")

    assert unprotect(first, "pass") == unprotect(second, "pass") == b"secret"
    assert len(first) == OVERHEAD + 6 == 71 and is_protected(first)
    assert first[:5] == b"DNAK\1" and first[5:37] != second[5:37] and first[37:49] != second[37:49]


@pytest.mark.usefixtures("quick")
def test_a_password_is_used_as_it_was_typed() -> None:
    composed = "Zo\u00eb "
    protected = protect(b"secret", composed)

    for other in (unicodedata.normalize("NFD", composed), "Zo\u00eb", "zo\u00eb "):
        with pytest.raises(WrongPasswordError):
            unprotect(protected, other)
    assert unprotect(protect(b"secret", "\udcff"), "\udcff") == b"secret"  # not UTF-8 on the terminal


@pytest.mark.parametrize("given", ["", "a\0b"])
def test_passwords_the_reference_would_cut_are_not_set(given: str) -> None:
    with pytest.raises(ValueError, match="a password"):
        protect(b"secret", given)


def test_a_file_without_password_is_returned_whatever_is_given() -> None:
    for given in (None, "", "pass"):
        assert unprotect(b"PQSIGNUM...", given) == b"PQSIGNUM..."
    assert not is_protected(b"PQSIGNUM" + bytes(100)) and not is_protected(b"DNAK\1")


@pytest.mark.parametrize("given", [None, ""])
def test_a_missing_password_is_asked_for(given: str | None) -> None:
    with pytest.raises(PasswordRequiredError, match="protected by a password"):
        unprotect(RECORDED, given)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "has 1 to 100,000 bytes, got 0"),
        (bytes(MAX_SIZE + 1), "has 1 to 100,000 bytes, got 100,001"),
        (RECORDED[:4], "damaged"),
        (RECORDED[:OVERHEAD], "damaged"),
        (b"DNAK\0" + RECORDED[5:], "damaged"),
        (b"DNAK\2" + RECORDED[5:], "a newer release protected the key file: update this one"),
    ],
)
def test_files_that_are_no_envelope_are_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(DecodeError, match=sentence):
        unprotect(data, "correct horse")
    assert is_newer(data) == ("newer" in sentence)


@pytest.mark.usefixtures("quick")
def test_sizes_at_the_bound() -> None:
    assert len(protect(bytes(MAX_SIZE - OVERHEAD), "pass")) == MAX_SIZE
    for size in (0, MAX_SIZE - OVERHEAD + 1):
        with pytest.raises(ValueError, match="a key file has 1 to 99,935 bytes"):
            protect(bytes(size), "pass")


@pytest.mark.usefixtures("quick")
def test_every_changed_byte_is_noticed() -> None:
    protected = protect(b"secret", "pass")

    for at in range(5, len(protected)):
        changed = protected[:at] + bytes((protected[at] ^ 1,)) + protected[at + 1 :]
        with pytest.raises(WrongPasswordError):
            unprotect(changed, "pass")
