import base64
import hashlib
from random import Random

import pytest
from fuzz import fuzz_public_bundle
from fuzz.mutator import Mutator

from dna_dht.crypto.identity import Identity, PublicIdentity
from dna_dht.crypto.mnemonic import Mnemonic
from dna_dht.errors import DecodeError
from dna_dht.keystore.public_bundle import LATEST, MAX_LENGTH, PublicBundle

KEYS = Identity.from_mnemonic(Mnemonic.from_entropy(bytes(16))).public
CREATED = 1_769_126_400
BUNDLE = PublicBundle(KEYS, "Zoë: a friend", CREATED)
TEXT = BUNDLE.encode()


def test_the_text_is_that_of_the_specification() -> None:
    lines = TEXT.split("\n")

    assert lines[:7] == [
        "-----BEGIN QGP PUBLIC KEY-----",
        "Version: qgp 1.1",
        "Name: Zoë: a friend",
        "SigningAlgorithm: ML-DSA-87",
        "EncryptionAlgorithm: ML-KEM-1024",
        "Created: 2026-01-23 00:00:00 UTC",
        "",
    ]
    assert lines[-2:] == ["-----END QGP PUBLIC KEY-----", ""]
    assert {len(line) for line in lines[7:-3]} == {64}
    binary = base64.b64decode("".join(lines[7:-2]))
    assert len(binary) == 4180
    assert binary[:20].hex() == "50515055424b455902010200200a000020060000"
    assert binary[20:] == KEYS.signing_public_key + KEYS.encryption_public_key


@pytest.mark.parametrize("name", ["", "a", "x" * 255, "é" * 127, "Begin: -----BEGIN QGP PUBLIC KEY-----"])
@pytest.mark.parametrize("created", [0, CREATED, LATEST])
def test_a_bundle_comes_back(name: str, created: int) -> None:
    bundle = PublicBundle(KEYS, name, created)

    assert PublicBundle.decode(bundle.encode()) == bundle


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("\n", " \t\r\n"),
        "\n \r\n" + TEXT + "\n\n",
        TEXT.rstrip("\n"),
        TEXT.replace("Created: ", "Comment: by hand\nCreated:   "),
        TEXT.replace("\n\n", "\n\n\n"),
    ],
)
def test_blanks_line_ends_and_further_headers_do_not_matter(text: str) -> None:
    assert PublicBundle.decode(text) == BUNDLE


@pytest.mark.parametrize(
    "name",
    [
        "a\nName: b",
        "a\rb",
        "a\u2028b",
        "a\x85b",
        "a\x00",
        "\x1b[2J",
        "\ud800",
        " a",
        "a ",
        "x" * 256,
        "é" * 128,
    ],
)
def test_a_name_cannot_bring_lines_or_control_characters(name: str) -> None:
    with pytest.raises(ValueError, match="a name is printable text of one line"):
        PublicBundle(KEYS, name, CREATED)


@pytest.mark.parametrize("created", [-1, LATEST + 1])
def test_dates_the_text_cannot_say_are_refused(created: int) -> None:
    with pytest.raises(ValueError, match="Unix seconds"):
        PublicBundle(KEYS, "", created)


def binary_changed(at: int, value: bytes) -> str:
    head, body = TEXT.split("\n\n")
    binary = bytearray(base64.b64decode(body.replace("\n", "").removesuffix("-----END QGP PUBLIC KEY-----")))
    binary[at : at + len(value)] = value
    return f"{head}\n\n{base64.b64encode(binary).decode()}\n-----END QGP PUBLIC KEY-----\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "this is something else, not a public key bundle"),
        ("PQSIGNUM\x01", "this is a private key file, not"),
        ("\ud800", "this is something else"),
        ("-----BEGIN QGP PUBLIC KEY-----", "cut off"),
        (TEXT[:2000], "cut off: its last line"),
        (TEXT + "x", "cut off: its last line"),
        ("x" + TEXT, "this is something else"),
        (TEXT + " " * MAX_LENGTH, "at most 16,384 characters"),
        (TEXT.replace("\n\n", "\n"), "lacks the empty line"),
        (TEXT.replace("Version: qgp 1.1", "Version: qgp 9"), "Version 'qgp 9', only 'qgp 1.1' is known"),
        (TEXT.replace("ML-DSA-87", "ML-DSA-44"), "SigningAlgorithm 'ML-DSA-44', only 'ML-DSA-87' is known"),
        (TEXT.replace("ML-KEM-1024", "RSA"), "EncryptionAlgorithm 'RSA'"),
        (TEXT.replace("Name: Zoë: a friend\n", ""), "lacks Name"),
        (TEXT.replace("Version:", "Version"), "header line that is none"),
        (TEXT.replace("Name:", "Name: Eve\nName:"), "there twice"),
        (TEXT.replace("Zoë", "Z\x1b[2Jo"), "the name .* not printable"),
        (TEXT.replace("Zoë", "Zoë" * 90), "the name .* too long"),
        (TEXT.replace("2026-01-23", "2026-02-30"), "has no date"),
        (TEXT.replace("2026-01-23", "1969-12-31"), "has no date"),
        (TEXT.replace("2026-01-23", "0000-01-23"), "has no date"),
        (TEXT.replace(" UTC", " CET"), "has no date"),
        (TEXT.replace("2026", "２０２６"), "has no date"),
        (TEXT.replace("\n\n", "\n\n!!!!\n"), "not base64"),
        (TEXT.replace("\n\n", "\n\né"), "not base64"),
        (TEXT.replace("==\n", "=\n"), "not base64"),
        (TEXT.replace("\n\n", "\n\nAAAA"), "does not hold the two keys"),
        (binary_changed(0, b"PQSIGNUM"), "does not hold the two keys"),
        (binary_changed(8, b"\3"), "does not hold the two keys of a user, or is of a newer version"),
        (binary_changed(12, b"\0"), "does not hold the two keys"),
        (binary_changed(4180, b"\0"), "does not hold the two keys"),
    ],
)
def test_anything_else_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(DecodeError, match=sentence):
        PublicBundle.decode(text)


def test_base64_with_stray_bits_is_refused() -> None:
    keys = PublicIdentity(KEYS.signing_public_key, KEYS.encryption_public_key[:-1] + b"\0")
    text = PublicBundle(keys, "", 0).encode()
    assert "AA==\n" in text

    with pytest.raises(DecodeError, match="base64 ends wrongly"):
        PublicBundle.decode(text.replace("AA==\n", "AB==\n"))


def test_the_name_of_the_user_follows_from_the_signing_key() -> None:
    read = PublicBundle.decode(TEXT)

    assert read.public.fingerprint == hashlib.sha3_512(KEYS.signing_public_key).hexdigest()


def test_hostile_input() -> None:
    mutator = Mutator(Random("public_bundle"), fuzz_public_bundle.seeds())
    for data in (*fuzz_public_bundle.seeds(), *(mutator.next() for _ in range(5000))):
        fuzz_public_bundle.one_input(data)
