import errno
import hashlib
import json
import logging
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dna_dht.crypto import expanded_key, kem, kem_box
from dna_dht.crypto.export_blob import ExportBlob
from dna_dht.crypto.identity import Identity
from dna_dht.crypto.mldsa import verify
from dna_dht.crypto.mnemonic import Mnemonic
from dna_dht.crypto.node_identity import NodeIdentity
from dna_dht.dialect import Dialect
from dna_dht.errors import (
    CryptoError,
    DecodeError,
    DhtError,
    PasswordRequiredError,
    StorageError,
    WrongPasswordError,
)
from dna_dht.keystore import password as envelope
from dna_dht.keystore.key_file import KeyFile, KeyKind
from dna_dht.keystore.keystore import Inspection, Keystore
from dna_dht.keystore.stored_identity import pad_words

VECTORS = Path(__file__).parents[1] / "vectors"
FILES: dict[str, dict[str, Any]] = {
    case["name"]: case for case in json.loads((VECTORS / "crypto-key-files.json").read_text())["cases"]
}
NODES: dict[str, dict[str, Any]] = {
    case["name"]: case for case in json.loads((VECTORS / "crypto-node-identity.json").read_text())["cases"]
}
WORDS = {
    case["name"]: case["mnemonic"]
    for case in json.loads((VECTORS / "crypto-derivation.json").read_text())["cases"]["identities"]
}
NOW = 1_769_126_400
LATER = NOW + 1000
WHOLE = {"keys/identity.dsa", "keys/identity.kem", "mnemonic.enc", "dht_identity.seed", "dht_identity.bin"}
PROTECTED = {"keys/identity.dsa", "keys/identity.kem", "mnemonic.enc"}


@cache
def identity(name: str, dialect: Dialect) -> Identity:
    return Identity.from_mnemonic(Mnemonic(WORDS[name]), dialect)


def contents(directory: Path) -> dict[str, bytes]:
    """Every file below *directory*."""
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def asides(directory: Path) -> set[str]:
    return {name for name in contents(directory) if ".bad-" in name}


@pytest.fixture(autouse=True)
def _pure_python_keys_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same two identities are derived over and over here."""
    monkeypatch.setattr(kem, "decryption_key", _encryption_key)
    monkeypatch.setattr(expanded_key, "expand", lambda seed: _expanded(seed, _can_expand()))


_encryption_key = cache(kem.decryption_key)
_expand = expanded_key.expand


@cache
def _expanded(seed: bytes, possible: bool) -> bytes | None:
    return _expand(seed)


def _can_expand() -> bool:
    return sys.modules.get("dilithium_py.ml_dsa", True) is not None


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One round of the password hash instead of 210,000, where the rounds are not what is tested."""
    monkeypatch.setattr(envelope, "ROUNDS", 1)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "dna"


@pytest.fixture(params=Dialect, ids=lambda dialect: dialect.value)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    found: Dialect = request.param
    return found


@pytest.fixture
def made(home: Path, dialect: Dialect) -> Keystore:
    """Identity A, written by us, without password."""
    keystore = Keystore(home)
    keystore.create(Mnemonic(WORDS["A"]), dialect=dialect, now=NOW)
    return keystore


def of_reference(home: Path, name: str) -> Keystore:
    """The directory of A (plain) or B (password "correct horse") as release 0.6.27 left it."""
    (home / "keys").mkdir(parents=True)
    (home / "mnemonic.enc").write_bytes(bytes.fromhex(FILES[f"{name} mnemonic.enc"]["file"]))
    for suffix in ("dsa", "kem"):
        path = home / "keys" / f"identity.{suffix}"
        if name == "B":
            case = FILES[f'B keys/identity.{suffix}, password "correct horse"']
            path.write_bytes(bytes.fromhex(case["file"]))
        else:
            keys = identity(name, Dialect.DEPLOYED)
            file = (
                KeyFile.of_signing(keys.signing, Dialect.DEPLOYED)
                if suffix == "dsa"
                else KeyFile.of_encryption(keys.encryption)
            )
            case = FILES[f"A keys/identity.{suffix}"]
            assert file.encode()[:276].hex() == case["header"]
            assert hashlib.sha3_512(file.encode()).hexdigest() == case["sha3_512"]
            path.write_bytes(file.encode())
    blob = ExportBlob.of(identity(name, Dialect.DEPLOYED).node, NOW).encode()
    (home / "dht_identity.bin").write_bytes(blob)
    assert hashlib.sha3_512(blob).hexdigest() == NODES[name]["dht_identity_bin_sha3_512"]
    for path in home.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    home.chmod(0o700)
    return Keystore(home)


# Directories of release 0.6.27


@pytest.mark.parametrize(("name", "password"), [("A", None), ("B", "correct horse")])
@pytest.mark.parametrize("sources", ["mnemonic.enc", "master_seed.enc", "both"])
def test_a_directory_of_the_reference_loads(
    home: Path, name: str, password: str | None, sources: str, caplog: pytest.LogCaptureFixture
) -> None:
    keystore, expected = of_reference(home, name), identity(name, Dialect.DEPLOYED)
    if sources != "mnemonic.enc":
        box = kem_box.close_box(
            Mnemonic(WORDS[name]).master_seed(), expected.public.encryption_public_key, Dialect.DEPLOYED
        )
        assert len(box) == 1660
        (home / "master_seed.enc").write_bytes(box)
        (home / "master_seed.enc").chmod(0o600)
    if sources == "master_seed.enc":
        (home / "mnemonic.enc").unlink()
    before = contents(home)

    assert keystore.is_protected() == (password is not None)
    loaded = keystore.load(password, now=LATER)

    assert loaded == expected and loaded.dialect is Dialect.DEPLOYED
    assert hashlib.sha3_512(loaded.node.public_key).hexdigest() == NODES[name]["file_sha3_512"]["pub"]
    after = contents(home)
    assert set(after) - set(before) == (set() if password else {"dht_identity.seed"})
    assert {path: after[path] for path in before} == before
    assert ("without password" in caplog.text) == (password is not None)


def test_its_words_and_its_password_can_be_changed(home: Path) -> None:
    keystore = of_reference(home, "B")

    assert keystore.recovery_words("correct horse").words == WORDS["B"]
    keystore.change_password("correct horse", None, now=LATER)

    assert not keystore.is_protected()
    assert set(contents(home)) == WHOLE
    assert keystore.load(now=LATER) == identity("B", Dialect.DEPLOYED)
    assert len((home / "keys" / "identity.dsa").read_bytes()) == 7764


def test_our_files_are_those_of_the_reference(home: Path) -> None:
    Keystore(home).create(Mnemonic(WORDS["A"]), dialect=Dialect.DEPLOYED, now=NOW)

    written = contents(home)
    assert set(written) == WHOLE
    for suffix in ("dsa", "kem"):
        data = written[f"keys/identity.{suffix}"]
        assert hashlib.sha3_512(data).hexdigest() == FILES[f"A keys/identity.{suffix}"]["sha3_512"]
    data = written["dht_identity.bin"]
    assert hashlib.sha3_512(data).hexdigest() == NODES["A"]["dht_identity_bin_sha3_512"]
    assert len(written["mnemonic.enc"]) == 1852
    recorded = bytes.fromhex(FILES["A mnemonic.enc"]["file"])
    key = identity("A", Dialect.DEPLOYED).encryption
    assert kem_box.open_box(written["mnemonic.enc"], key) == kem_box.open_box(recorded, key)
    assert kem_box.open_box(recorded, key) == pad_words(WORDS["A"])


# Creating and loading


def test_what_was_created_loads(made: Keystore, home: Path, dialect: Dialect) -> None:
    before = contents(home)

    assert made.holds_identity() and not made.is_protected()
    assert made.load(now=LATER) == made.load("not needed", now=LATER) == identity("A", dialect)
    assert made.load(now=LATER).dialect is dialect
    assert made.recovery_words() == Mnemonic(WORDS["A"])
    assert set(before) == WHOLE and contents(home) == before
    assert {stat.S_IMODE(path.stat().st_mode) for path in (home, home / "keys")} == {0o700}
    assert {stat.S_IMODE((home / name).stat().st_mode) for name in before} == {0o600}


def test_both_dialects_have_the_same_name_and_node(tmp_path: Path) -> None:
    made = [
        Keystore(tmp_path / dialect.value).create(Mnemonic(WORDS["A"]), dialect=dialect, now=NOW)
        for dialect in Dialect
    ]

    assert made[0].fingerprint == made[1].fingerprint and made[0].node == made[1].node
    assert made[0] != made[1]


def test_with_a_password_nothing_lies_there_in_plain(home: Path, dialect: Dialect) -> None:
    keystore = Keystore(home)
    made = keystore.create(Mnemonic(WORDS["A"]), dialect=dialect, password="häslich ", now=NOW)
    before = contents(home)

    assert set(before) == PROTECTED
    assert all(data.startswith(b"DNAK") for name, data in before.items() if name.startswith("keys/"))
    assert keystore.is_protected()
    assert keystore.load("häslich ", now=LATER) == made
    for given, error in (
        (None, PasswordRequiredError),
        ("", PasswordRequiredError),
        ("x", WrongPasswordError),
    ):
        with pytest.raises(error, match="password"):
            keystore.load(given, now=LATER)
    with pytest.raises(WrongPasswordError):
        keystore.recovery_words("häslich")
    assert contents(home) == before


def test_an_identity_is_never_created_over_another(made: Keystore, home: Path, tmp_path: Path) -> None:
    before = contents(home)
    other = Keystore(tmp_path / "other")
    other.create(Mnemonic(WORDS["B"]), now=NOW)

    for attempt in (
        lambda: made.create(Mnemonic(WORDS["A"]), now=LATER),
        lambda: made.import_directory(tmp_path / "other", now=LATER),
        lambda: made.import_directory(home, now=LATER),
    ):
        with pytest.raises(StorageError, match="already holds an identity: use it, or choose another"):
            attempt()
    assert contents(home) == before

    (home / "keys" / "identity.kem").unlink()  # half an identity is one, too
    with pytest.raises(StorageError, match="already holds an identity"):
        made.create(Mnemonic(WORDS["A"]), now=LATER)


def test_a_directory_without_identity_is_a_sentence(home: Path) -> None:
    for directory in (home, home.parent):
        keystore = Keystore(directory)
        assert (
            not keystore.holds_identity()
            and not keystore.is_protected()
            and keystore.make_private()
            in (
                (),
                (directory,),
            )
        )
        for use in (
            lambda store=keystore: store.load(now=NOW),
            lambda store=keystore: store.recovery_words(),
            lambda store=keystore: store.change_password(None, "x", now=NOW),
        ):
            with pytest.raises(StorageError, match=r"there is no identity in .*: create one, restore yours"):
                use()
    assert not home.exists()


def test_strays_are_moved_aside_by_a_new_identity(home: Path) -> None:
    for name in ("mnemonic.enc", "master_seed.enc", "dht_identity.bin", "keys.new/note", "keys/note"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(b"precious")
    (home / "dht_identity.seed").symlink_to("nowhere")
    keystore = Keystore(home)

    made = keystore.create(Mnemonic(WORDS["A"]), now=NOW)

    assert keystore.load(now=LATER) == made
    kept = contents(home)
    assert asides(home) == {
        f"mnemonic.enc.bad-{NOW}",
        f"master_seed.enc.bad-{NOW}",
        f"dht_identity.bin.bad-{NOW}",
        f"keys.new.bad-{NOW}/note",
        f"keys.bad-{NOW}/note",
    }
    assert {kept[name] for name in asides(home)} == {b"precious"}
    assert set(kept) - asides(home) == WHOLE


def test_without_the_extra_the_documented_dialect_still_works(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("dilithium_py.ml_dsa", "pqcrypto.kem.ml_kem_1024", "kyber_py.kyber.kyber"):
        monkeypatch.setitem(sys.modules, module, None)
    keystore = Keystore(home)

    with pytest.raises(CryptoError, match=r"run .*dna-dht\[deployed\]"):
        keystore.create(Mnemonic(WORDS["A"]), dialect=Dialect.DEPLOYED, now=NOW)
    assert not home.exists()
    made = keystore.create(Mnemonic(WORDS["A"]), now=NOW)
    assert set(contents(home)) == WHOLE - {"dht_identity.bin"}
    assert keystore.load(now=LATER) == made


def test_a_directory_of_the_reference_needs_the_extra_and_says_so(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keystore = of_reference(home, "A")
    monkeypatch.setitem(sys.modules, "dilithium_py.ml_dsa", None)
    assert keystore.load(now=LATER) == identity("A", Dialect.DEPLOYED)  # all its files are there
    before = contents(home)

    monkeypatch.setitem(sys.modules, "pqcrypto.kem.ml_kem_1024", None)
    with pytest.raises(CryptoError, match=r"the package pqcrypto: run .*dna-dht\[deployed\]"):
        keystore.load(now=LATER)

    assert contents(home) == before


# Kills and failures


class Killed(BaseException):
    pass


def full() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


class Steps:
    """Counts the system calls that change files; the one numbered *at* fails with *failure*."""

    CALLS = ("open", "rename", "unlink", "mkdir", "fsync", "fchmod")

    def __init__(self, patch: pytest.MonkeyPatch, at: int, failure: Callable[[], BaseException]) -> None:
        self.count = 0
        for name in self.CALLS:
            patch.setattr(os, name, self._counted(getattr(os, name), at, failure))

    def _counted(
        self, call: Callable[..., Any], at: int, failure: Callable[[], BaseException]
    ) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            self.count += 1
            if self.count == at:
                raise failure()
            return call(*arguments, **options)

        return counted


def interrupted(action: Callable[[], object], at: int, failure: Callable[[], BaseException]) -> bool:
    """Whether *action* came to its end although its step *at* failed; None of its steps if it has fewer."""
    with pytest.MonkeyPatch.context() as patch:
        steps = Steps(patch, at, failure)
        try:
            action()
        except (Killed, StorageError):
            return False
        return steps.count < at


@pytest.mark.parametrize("failure", [Killed, full])
def test_a_creation_interrupted_anywhere_leaves_a_whole_identity_or_none(
    tmp_path: Path, failure: Callable[[], BaseException]
) -> None:
    outcomes = []
    for at in range(1, 200):
        home = tmp_path / str(at)
        keystore = Keystore(home)
        done = interrupted(lambda store=keystore: store.create(Mnemonic(WORDS["A"]), now=NOW), at, failure)

        outcomes.append(keystore.holds_identity())
        if not keystore.holds_identity():
            with pytest.raises(StorageError, match="there is no identity"):
                keystore.load(now=LATER)
            keystore.create(Mnemonic(WORDS["B"]), now=LATER)
        expected = identity("A" if outcomes[-1] else "B", Dialect.DOCUMENTED)
        assert keystore.load(now=LATER) == expected
        assert keystore.recovery_words() == Mnemonic(WORDS["A" if outcomes[-1] else "B"])
        whole = {name for name in contents(home) if ".bad-" not in name}
        assert whole == WHOLE, f"{at=}"
        if done:
            break
    else:
        raise AssertionError("more steps than expected")

    if failure is Killed:  # a lock that cannot be had, or a directory that is there, stops nobody
        assert outcomes == sorted(outcomes)
    assert outcomes[-1] and 20 < outcomes.count(False) < at


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("failure", [Killed, full])
@pytest.mark.parametrize(("old", "new"), [(None, "new"), ("old", "new"), ("old", None)])
def test_a_change_of_the_password_interrupted_anywhere_leaves_the_old_or_the_new_one(
    tmp_path: Path, old: str | None, new: str | None, failure: Callable[[], BaseException]
) -> None:
    expected = identity("A", Dialect.DOCUMENTED)
    Keystore(tmp_path / "start").create(Mnemonic(WORDS["A"]), password=old, now=NOW)
    outcomes = []
    for at in range(1, 200):
        home = shutil.copytree(tmp_path / "start", tmp_path / str(at))
        keystore = Keystore(home)

        done = interrupted(lambda store=keystore: store.change_password(old, new, now=NOW), at, failure)

        holding = new
        try:
            assert keystore.load(new, now=LATER) == expected
        except DhtError:
            holding = old
        if old is None:
            holding = new if keystore.is_protected() else None
        outcomes.append(holding == new)
        assert keystore.is_protected() == (holding is not None)
        assert keystore.load(holding, now=LATER) == expected
        whole = {name for name in contents(home) if ".bad-" not in name}
        assert whole == (PROTECTED if holding else WHOLE), f"{at=}"
        files = contents(home)
        assert {files[f"keys/identity.{kind}"][:4] for kind in ("dsa", "kem")} == {
            b"DNAK" if holding else b"PQSI"
        }
        keystore.change_password(holding, "next", now=LATER)
        assert keystore.load("next", now=LATER) == expected
        if done:
            break
    else:
        raise AssertionError("more steps than expected")

    if failure is Killed:  # a lock that cannot be had, or a directory that is there, stops nobody
        assert outcomes == sorted(outcomes)
    assert outcomes[-1] and 10 < outcomes.count(False) < at


def test_a_loading_interrupted_by_a_full_disk_succeeds_and_says_so(
    made: Keystore, home: Path, dialect: Dialect, caplog: pytest.LogCaptureFixture
) -> None:
    for path in (home / "keys" / "identity.dsa", home / "dht_identity.seed", home / "dht_identity.bin"):
        path.unlink()

    with pytest.MonkeyPatch.context() as patch:

        def fail(*arguments: object) -> None:
            raise full()

        patch.setattr(os, "rename", fail)
        assert made.load(now=LATER) == identity("A", dialect)
    assert "the data directory is incomplete: cannot write" in caplog.text

    assert made.load(now=LATER) == identity("A", dialect)
    assert set(contents(home)) == WHOLE


# Damage


def flipped(data: bytes) -> bytes:
    return data[:-3] + bytes((data[-3] ^ 1,)) + data[-2:]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut": lambda data: data[:-1],
    "longer": lambda data: data + b"\0",
    "flipped": flipped,
    "zeros": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("name", ["keys/identity.dsa", "dht_identity.seed", "dht_identity.bin"])
def test_a_damaged_companion_is_kept_aside_and_made_again(
    made: Keystore,
    home: Path,
    dialect: Dialect,
    name: str,
    damage: Callable[[bytes], bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = contents(home)
    damaged = damage(before[name])
    if name.endswith(".bin") and len(damaged) == len(before[name]):
        damaged = damaged[:100] + b"\xff" + damaged[101:]
    (home / name).write_bytes(damaged)

    assert made.load(now=LATER) == identity("A", dialect)

    after = contents(home)
    assert after.pop(f"{name}.bad-{LATER}") == damaged
    assert set(after) == WHOLE
    assert {path: after[path] for path in before if path != "dht_identity.bin"} == {
        path: before[path] for path in before if path != "dht_identity.bin"
    }
    assert f"kept as {home / name}.bad-{LATER}" in caplog.text
    assert made.load(now=LATER + 1) == identity("A", dialect) and asides(home) == {f"{name}.bad-{LATER}"}


@pytest.mark.parametrize("name", ["keys/identity.dsa", "dht_identity.seed", "dht_identity.bin"])
def test_a_missing_companion_is_made_again(made: Keystore, home: Path, dialect: Dialect, name: str) -> None:
    before = contents(home)
    (home / name).unlink()

    assert made.load(now=NOW) == identity("A", dialect)

    assert contents(home) == before


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_encryption_key_is_refused_and_nothing_changed(
    made: Keystore, home: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = home / "keys" / "identity.kem"
    path.write_bytes(damage(path.read_bytes()))
    (home / "dht_identity.seed").unlink()
    before = contents(home)

    for use in (
        lambda: made.load(now=LATER),
        lambda: made.change_password(None, "new", now=LATER),
        lambda: made.recovery_words(),
    ):
        with pytest.raises((DecodeError, CryptoError)) as caught:
            use()
        assert "from its recovery words in an empty directory" in str(caught.value)
    assert contents(home) == before
    path.unlink()
    with pytest.raises(StorageError, match=r"identity\.kem is missing: restore it from a backup"):
        made.load(now=LATER)


@pytest.mark.parametrize("place", [0, 5, 700, 1535])
def test_a_bit_of_the_expanded_secret_that_no_hash_covers_is_noticed(home: Path, place: int) -> None:
    Keystore(home).create(Mnemonic(WORDS["A"]), dialect=Dialect.DEPLOYED, now=NOW)
    path = home / "keys" / "identity.kem"
    damaged = bytearray(path.read_bytes())
    damaged[276 + 1568 + place] ^= 1
    path.write_bytes(damaged)
    before = contents(home)

    with pytest.raises(DecodeError, match=r"identity\.kem: the secret key .* is damaged .*restore it"):
        Keystore(home).load(now=LATER)
    with pytest.raises(DecodeError):
        Keystore(home / "copy").import_directory(home, now=LATER)
    assert contents(home) == before


def test_a_time_that_is_not_whole_is_refused_before_anything_is_written(home: Path) -> None:
    keystore = Keystore(home)
    with pytest.raises(TypeError):
        keystore.create(Mnemonic(WORDS["A"]), now=NOW + 0.5)  # type: ignore[arg-type]
    for now in (-1, 2**62, 2**80):
        with pytest.raises(ValueError, match="no time"):
            keystore.create(Mnemonic(WORDS["A"]), now=now)
    for dialect in ("deployed", "a passphrase", None):
        with pytest.raises(TypeError, match=r"^a dialect is Dialect\.DOCUMENTED or Dialect\.DEPLOYED$"):
            keystore.create(Mnemonic(WORDS["A"]), dialect=dialect, now=NOW)  # type: ignore[arg-type]
    assert contents(home) == {}


@pytest.mark.usefixtures("quick")
def test_a_damaged_protected_key_reads_as_a_wrong_password(home: Path) -> None:
    keystore = Keystore(home)
    keystore.create(Mnemonic(WORDS["A"]), password="pass", now=NOW)
    path = home / "keys" / "identity.kem"
    path.write_bytes(flipped(path.read_bytes()))

    with pytest.raises(WrongPasswordError, match=r"wrong \(or the key file is damaged\)"):
        keystore.load("pass", now=LATER)


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        (b"PQSIGNUM\x09", "has version 9, which a newer release wrote: update this one"),
        (b"DNAK\x02", "a newer release protected the key file: update this one"),
    ],
)
@pytest.mark.parametrize("name", ["identity.dsa", "identity.kem"])
def test_files_of_a_newer_release_are_left_alone(
    made: Keystore, home: Path, name: str, head: bytes, sentence: str
) -> None:
    path = home / "keys" / name
    path.write_bytes(head + path.read_bytes()[len(head) :])
    before = contents(home)

    with pytest.raises(DecodeError, match=rf"{name}: .*{sentence}"):
        made.load(now=LATER)

    assert contents(home) == before


@pytest.mark.usefixtures("quick")
def test_a_newer_file_under_a_password_is_left_alone(home: Path) -> None:
    keystore = Keystore(home)
    keystore.create(Mnemonic(WORDS["A"]), password="pass", now=NOW)
    path = home / "keys" / "identity.dsa"
    plain = envelope.unprotect(path.read_bytes(), "pass")
    path.write_bytes(envelope.protect(plain[:8] + b"\3" + plain[9:], "pass"))
    before = contents(home)

    with pytest.raises(DecodeError, match=r"identity\.dsa: .*version 3, which a newer release wrote"):
        keystore.load("pass", now=LATER)

    assert contents(home) == before


def test_a_file_of_another_kind_is_named(made: Keystore, home: Path) -> None:
    (home / "keys" / "identity.kem").write_bytes((home / "dht_identity.bin").read_bytes())

    with pytest.raises(DecodeError, match=r"identity\.kem: this is an exported node identity, not a private"):
        made.load(now=LATER)


@pytest.mark.parametrize("name", ["keys/identity.dsa", "keys/identity.kem", "mnemonic.enc"])
def test_files_of_two_identities_are_not_mixed(
    made: Keystore, home: Path, tmp_path: Path, dialect: Dialect, name: str
) -> None:
    other = Keystore(tmp_path / "other")
    other.create(Mnemonic(WORDS["B"]), dialect=dialect, now=NOW)
    (home / name).write_bytes((tmp_path / "other" / name).read_bytes())
    before = contents(home)

    with pytest.raises(CryptoError, match=r"different identities|nothing proves"):
        made.load(now=LATER)

    assert contents(home) == before


def test_words_of_another_identity_under_our_key_are_refused(
    made: Keystore, home: Path, dialect: Dialect
) -> None:
    box = kem_box.close_box(
        pad_words(WORDS["B"]), identity("A", dialect).public.encryption_public_key, dialect
    )
    (home / "mnemonic.enc").write_bytes(box)
    before = contents(home)

    with pytest.raises(CryptoError, match="do not belong to the recovery words beside them"):
        made.load(now=LATER)

    assert contents(home) == before


@pytest.mark.parametrize("name", ["seed", "bin"])
def test_the_node_identity_of_another_is_only_a_cache(
    made: Keystore, home: Path, dialect: Dialect, name: str
) -> None:
    other = NodeIdentity.from_seed(b"\1" * 32)
    content = b"\1" * 32 if name == "seed" else ExportBlob.of(other, NOW).encode()
    (home / f"dht_identity.{name}").write_bytes(content)

    assert made.load(now=LATER).node == identity("A", dialect).node

    assert contents(home)[f"dht_identity.{name}.bad-{LATER}"] == content
    assert set(contents(home)) - asides(home) == WHOLE


# Without recovery words


@pytest.mark.parametrize("damage", [None, *DAMAGES.values()], ids=["missing", *DAMAGES])
def test_without_words_the_identity_is_put_together_from_its_keys(
    made: Keystore,
    home: Path,
    dialect: Dialect,
    damage: Callable[[bytes], bytes] | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = home / "mnemonic.enc"
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))

    before = contents(home)
    with pytest.raises(CryptoError, match=r"mnemonic\.enc is missing or damaged, so nothing proves"):
        made.load(now=LATER)
    with pytest.raises(
        CryptoError, match=r"cannot be changed, .*restore the identity from its recovery words"
    ):
        made.change_password(None, "new", now=LATER)
    with pytest.raises(CryptoError, match="does not hold the recovery words"):
        made.recovery_words()

    loaded = made.load(now=LATER, unproven=True)

    assert loaded == identity("A", dialect) == made.read(unproven=True)
    assert verify(loaded.public.signing_public_key, loaded.signing.sign(b"hello"), b"hello")
    assert contents(home) == before
    assert "mnemonic.enc is missing or damaged, so nothing proves that the keys" in caplog.text


def test_with_expanded_keys_only_it_signs_as_well(home: Path) -> None:
    keystore = of_reference(home, "A")
    (home / "mnemonic.enc").unlink()

    loaded = keystore.load(now=LATER, unproven=True)

    assert loaded.node.seed is None and loaded.signing.seed is None
    assert loaded == identity("A", Dialect.DEPLOYED)
    assert verify(loaded.node.public_key, loaded.node.sign(b"hello"), b"hello")
    assert "dht_identity.seed" not in contents(home)


@pytest.mark.parametrize("lost", [("dht_identity.seed", "dht_identity.bin"), ("keys/identity.dsa",)])
def test_half_an_identity_is_refused_with_the_way_out(
    made: Keystore, home: Path, lost: tuple[str, ...]
) -> None:
    for name in ("mnemonic.enc", *lost):
        (home / name).unlink()
    before = contents(home)

    with pytest.raises(CryptoError, match="the identity is not whole: restore it from a backup, or"):
        made.load(now=LATER, unproven=True)

    assert contents(home) == before


def test_two_node_identities_without_words_are_refused(made: Keystore, home: Path) -> None:
    (home / "mnemonic.enc").unlink()
    (home / "dht_identity.seed").write_bytes(b"\1" * 32)
    before = contents(home)

    with pytest.raises(CryptoError, match=r"dht_identity\.bin belong to different identities"):
        made.load(now=LATER, unproven=True)

    assert contents(home) == before


def test_words_typed_with_extra_spaces_load_but_are_not_handed_out(home: Path) -> None:
    typed = WORDS["A"].replace(" ", "  ").encode()
    seed = hashlib.pbkdf2_hmac("sha512", typed, b"mnemonic", 2048)
    expected = Identity.from_master_seed(seed, Dialect.DEPLOYED)
    box = kem_box.close_box(typed.ljust(256, b"\0"), expected.public.encryption_public_key, Dialect.DEPLOYED)
    (home / "keys").mkdir(parents=True)
    (home / "mnemonic.enc").write_bytes(box)
    (home / "keys" / "identity.kem").write_bytes(KeyFile.of_encryption(expected.encryption).encode())

    assert Keystore(home).load(now=NOW) == expected
    with pytest.raises(CryptoError, match="other spaces or capitals"):
        Keystore(home).recovery_words()


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("name", ["mnemonic.enc", "master_seed.enc"])
def test_what_cannot_be_made_again_stays_where_it_is(
    home: Path, name: str, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    keystore = of_reference(home, "A")
    for case in ("mnemonic.enc", "master_seed.enc"):
        (home / case).write_bytes(bytes.fromhex(FILES[f"A {case}"]["file"]))
    damaged = damage((home / name).read_bytes())
    (home / name).write_bytes(damaged)

    assert keystore.load(now=LATER) == identity("A", Dialect.DEPLOYED)

    assert (home / name).read_bytes() == damaged and asides(home) == set()
    assert (f"{name} is missing or damaged" in caplog.text) == (name == "mnemonic.enc")


def test_more_words_than_are_valid_are_not_handed_out(home: Path) -> None:
    typed = f"{WORDS['A']} zoo".encode()
    expected = Identity.from_master_seed(hashlib.pbkdf2_hmac("sha512", typed, b"mnemonic", 2048))
    box = kem_box.close_box(
        typed.ljust(256, b"\0"), expected.public.encryption_public_key, Dialect.DOCUMENTED
    )
    (home / "keys").mkdir(parents=True)
    (home / "mnemonic.enc").write_bytes(box)
    (home / "keys" / "identity.kem").write_bytes(KeyFile.of_encryption(expected.encryption).encode())

    assert Keystore(home).read() == expected
    with pytest.raises(CryptoError, match="a word too many"):
        Keystore(home).recovery_words()


def test_an_inspection_names_what_is_wrong_and_changes_nothing(made: Keystore, home: Path) -> None:
    assert made.inspect() == Inspection(made.read(), proven=True, damaged=(), missing=())
    (home / "keys" / "identity.dsa").unlink()
    (home / "dht_identity.seed").write_bytes(b"\1" * 32)
    (home / "dht_identity.bin").write_bytes(b"garbage")
    before = contents(home)

    found = made.inspect()

    assert found.missing == (home / "keys" / "identity.dsa",)
    assert set(found.damaged) == {home / "dht_identity.seed", home / "dht_identity.bin"}
    assert contents(home) == before
    made.load(now=LATER)
    assert made.inspect() == Inspection(made.read(), proven=True, damaged=(), missing=())
    (home / "mnemonic.enc").unlink()
    assert not made.inspect(unproven=True).proven


def test_a_directory_may_be_text(made: Keystore, home: Path) -> None:
    assert Keystore(str(home)).read() == made.read()  # type: ignore[arg-type]


# Passwords


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("old", "new"), [(None, "new"), ("old", "new"), ("old", None)])
def test_a_change_that_cannot_be_finished_is_taken_back(
    home: Path, old: str | None, new: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    keystore = Keystore(home)
    keystore.create(Mnemonic(WORDS["A"]), password=old, now=NOW)
    before = set(contents(home))

    def write(path: Path, data: bytes) -> None:
        if path.name == "identity.kem":
            raise StorageError("the disk is full")
        path.write_bytes(data)

    monkeypatch.setattr("dna_dht.keystore.keystore.write_private", write)
    for _ in range(3):
        with pytest.raises(StorageError, match="full"):
            keystore.change_password(old, new, now=LATER)

    assert set(contents(home)) == before
    assert keystore.read(old) == identity("A", Dialect.DOCUMENTED)
    signing = envelope.unprotect((home / "keys" / "identity.dsa").read_bytes(), old)
    assert KeyFile.decode(signing, KeyKind.SIGNING).public_key == keystore.read(old).public.signing_public_key


@pytest.mark.usefixtures("quick")
def test_what_killed_writers_left_in_plain_is_removed_when_a_password_is_set(
    made: Keystore, home: Path
) -> None:
    for name in ("dht_identity.seed.new", "keys/identity.kem.new", "keys.new/identity.kem"):
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_bytes(b"secret")

    made.change_password(None, "new", now=LATER)

    assert set(contents(home)) == PROTECTED


def test_a_creation_on_a_full_disk_leaves_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(path: Path, data: bytes) -> None:
        if path.name == "identity.kem":
            raise StorageError("the disk is full")
        path.write_bytes(data)

    monkeypatch.setattr("dna_dht.keystore.data_directory.write_private", write)

    with pytest.raises(StorageError, match="full"):
        Keystore(home).create(Mnemonic(WORDS["A"]), now=NOW)
    assert contents(home) == {} and not (home / "keys.new").exists()


@pytest.mark.usefixtures("quick")
def test_node_identity_files_in_plain_are_named_when_a_password_is_set(
    made: Keystore, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = home / "dht_identity.dsa"
    path.write_bytes(b"an expanded secret key")
    path.chmod(0o644)

    assert made.exposed() == (path,)
    made.change_password(None, "new", now=LATER)
    assert f"{path}: may hold secrets without password" in caplog.text


def test_half_a_character_in_a_password_is_misuse_and_not_shown(made: Keystore) -> None:
    with pytest.raises(ValueError, match="half of a character") as refused:
        made.change_password(None, "secret\ud800", now=NOW)
    assert "secret" not in str(refused.value) and refused.value.__cause__ is None


def test_a_password_is_set_changed_and_removed(made: Keystore, home: Path, dialect: Dialect) -> None:
    plain = contents(home)

    made.change_password(None, "first", now=LATER)
    assert set(contents(home)) == PROTECTED and made.load("first", now=LATER) == identity("A", dialect)
    made.change_password("first", "", now=NOW)

    assert contents(home) == plain


def test_what_was_set_aside_in_plain_is_named_when_a_password_is_set(
    made: Keystore, home: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envelope, "ROUNDS", 1)
    (home / "dht_identity.seed").write_bytes(b"damaged")
    made.load(now=LATER)
    kept = home / f"dht_identity.seed.bad-{LATER}"
    kept.chmod(0o644)
    assert made.exposed() == (kept,)
    caplog.clear()

    made.change_password(None, "new", now=LATER)

    assert f"{kept}: may hold secrets without password" in caplog.text
    assert kept.read_bytes() == b"damaged"


@pytest.mark.usefixtures("quick")
def test_the_node_identity_of_another_is_not_deleted_by_a_password(home: Path) -> None:
    keystore = Keystore(home)
    keystore.create(Mnemonic(WORDS["A"]), now=NOW)
    (home / "dht_identity.seed").write_bytes(b"\1" * 32)

    keystore.change_password(None, "new", now=LATER)

    assert set(contents(home)) == PROTECTED | {f"dht_identity.seed.bad-{LATER}"}
    assert keystore.load("new", now=LATER) == identity("A", Dialect.DOCUMENTED)


@pytest.mark.usefixtures("quick")
def test_the_old_password_has_to_be_right(home: Path) -> None:
    keystore = Keystore(home)
    keystore.create(Mnemonic(WORDS["A"]), password="old", now=NOW)
    before = contents(home)

    for given, error in (("wrong", WrongPasswordError), (None, PasswordRequiredError)):
        with pytest.raises(error):
            keystore.change_password(given, "new", now=LATER)
    with pytest.raises(ValueError, match="NUL"):
        keystore.change_password("old", "a\0b", now=LATER)
    assert contents(home) == before

    keystore.change_password("old", None, now=LATER)
    plain = contents(home)
    with pytest.raises(WrongPasswordError, match="has no password: give none"):
        keystore.change_password("old", "new", now=LATER)
    assert contents(home) == plain


@pytest.mark.usefixtures("quick")
def test_what_a_killed_writer_left_in_plain_goes_with_the_next_load(home: Path) -> None:
    keystore = Keystore(home)
    keystore.create(Mnemonic(WORDS["A"]), password="pass", now=NOW)
    for name in ("keys/identity.kem.new", "keys/identity.dsa.new", "dht_identity.seed.new"):
        (home / name).write_bytes(b"secret")

    keystore.load("pass", now=LATER)

    assert set(contents(home)) == PROTECTED


# Import


@pytest.mark.parametrize(("name", "password"), [("A", None), ("B", "correct horse")])
def test_a_directory_of_the_reference_is_imported_and_left_as_it_is(
    home: Path, tmp_path: Path, name: str, password: str | None
) -> None:
    of_reference(home, name)
    (home / "dht_identity.bin").write_bytes(b"damaged")
    if name == "A":
        (home / "keys" / "identity.dsa").unlink()
    before = contents(home)
    copy = Keystore(tmp_path / "copy")

    imported = copy.import_directory(home, password, now=NOW)

    assert imported == identity(name, Dialect.DEPLOYED) == copy.load(password, now=LATER)
    assert copy.is_protected() == (password is not None)
    assert contents(home) == before
    copied = contents(tmp_path / "copy")
    assert set(copied) == (PROTECTED if password else WHOLE)
    for same in ("mnemonic.enc", "keys/identity.kem"):
        assert copied[same] == before[same]
    assert copy.exposed() == ()


def test_an_import_that_fails_changes_nothing(home: Path, tmp_path: Path) -> None:
    of_reference(home, "B")
    copy = Keystore(tmp_path / "copy")

    with pytest.raises(PasswordRequiredError):
        copy.import_directory(home, now=NOW)
    with pytest.raises(StorageError, match="there is no identity in"):
        copy.import_directory(tmp_path / "missing", now=NOW)

    assert not (tmp_path / "copy").exists()


@pytest.mark.usefixtures("quick")
def test_what_cannot_be_derived_is_copied(home: Path, tmp_path: Path) -> None:
    source = Keystore(home)
    source.create(Mnemonic(WORDS["A"]), password="pass", now=NOW)
    seed = identity("A", Dialect.DOCUMENTED).node.seed
    assert seed is not None
    (home / "dht_identity.seed").write_bytes(seed)
    (home / "mnemonic.enc").unlink()
    copy = Keystore(tmp_path / "copy")

    with pytest.raises(CryptoError, match="nothing proves"):
        copy.import_directory(home, "pass", now=NOW)
    copied = copy.import_directory(home, "pass", now=NOW, unproven=True)

    assert copied == copy.load("pass", now=LATER, unproven=True) == identity("A", Dialect.DOCUMENTED)
    assert set(contents(tmp_path / "copy")) == PROTECTED - {"mnemonic.enc"} | {"dht_identity.seed"}


# Permissions and odd files


def test_what_others_may_access_is_named_and_mended(
    made: Keystore, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert made.exposed() == () == made.make_private()
    (home / "dht_identity.bin").chmod(0o644)
    (home / "keys").chmod(0o750)
    (home / "keys" / "identity.kem").chmod(0o620)
    (home / "keyserver_cache.db").write_bytes(b"no secret")
    expected = (home / "dht_identity.bin", home / "keys", home / "keys" / "identity.kem")

    made.load(now=LATER)
    assert f'run "chmod go= {" ".join(map(str, expected))}"' in caplog.text
    assert made.exposed() == expected  # loading changes nothing of it

    assert made.make_private() == expected
    assert made.exposed() == ()
    assert stat.S_IMODE((home / "keys").stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "dht_identity.bin").stat().st_mode) == 0o600
    caplog.clear()
    made.load(now=LATER)
    assert caplog.text == ""


@pytest.mark.parametrize("name", sorted(WHOLE))
@pytest.mark.parametrize(
    ("replace", "sentence"),
    [
        (
            lambda path: path.symlink_to("../dna/config"),
            "is a symbolic link: put the file itself in its place",
        ),
        (lambda path: path.mkdir(), "it is not a file"),
        (os.mkfifo, "it is not a file"),
        (lambda path: path.write_bytes(bytes(100_001)), "is larger than 100,000 bytes"),
    ],
    ids=["link", "directory", "pipe", "large"],
)
def test_odd_files_are_refused_with_a_sentence(
    made: Keystore, home: Path, name: str, replace: Callable[[Path], object], sentence: str
) -> None:
    (home / name).unlink()
    replace(home / name)
    before = contents(home)

    with pytest.raises(StorageError, match=rf"{name}.*{sentence}"):
        made.load(now=LATER)

    assert contents(home) == before


def test_a_file_that_cannot_be_read_is_a_sentence(
    made: Keystore, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def deny(path: Path, *arguments: Any, **options: Any) -> int:
        if str(path).endswith("mnemonic.enc"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", deny)
    with pytest.raises(StorageError, match=r"cannot read .*mnemonic\.enc: Permission denied"):
        made.load(now=LATER)


def test_a_file_in_place_of_the_directory_is_a_sentence(home: Path) -> None:
    home.write_bytes(b"")

    with pytest.raises(StorageError, match="cannot create the directory"):
        Keystore(home).create(Mnemonic(WORDS["A"]), now=NOW)


# Several at once


def test_of_threads_that_create_at_once_one_wins(home: Path) -> None:
    outcomes: list[object] = []

    def create(name: str) -> None:
        try:
            outcomes.append(Keystore(home).create(Mnemonic(WORDS[name]), now=NOW))
        except StorageError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=create, args=("AB"[number % 2],)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    (winner,) = (outcome for outcome in outcomes if isinstance(outcome, Identity))
    assert len(outcomes) == 4 and Keystore(home).load(now=LATER) == winner
    assert asides(home) == set()


def test_of_processes_that_create_at_once_one_wins(home: Path) -> None:
    code = """
import sys
from pathlib import Path
from dna_dht import Keystore, Mnemonic, StorageError
sys.stdin.readline()
try:
    print(Keystore(Path(sys.argv[1])).create(Mnemonic.generate(), now=1).fingerprint)
except StorageError:
    print("lost")
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, home], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[0].strip() for process in processes]

    (winner,) = (line for line in said if line != "lost")
    assert said.count("lost") == 2 and Keystore(home).load(now=LATER).fingerprint == winner
    assert asides(home) == set()


def test_no_secret_is_logged_or_shown(
    made: Keystore, home: Path, dialect: Dialect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (home / "dht_identity.seed").write_bytes(b"damaged")
    (home / "keys" / "identity.dsa").unlink()

    made.load(now=LATER)

    secrets = [*WORDS["A"].split(), str(identity("A", dialect).node.seed)]
    assert not [word for word in secrets if f" {word} " in caplog.text]
    assert WORDS["A"] not in repr(made)
