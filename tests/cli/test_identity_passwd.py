"""dna-dht identity passwd: setting, changing and removing the password."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from dna_dht.cli.failures import Exit
from dna_dht.keystore.identity_lock import IdentityLock
from dna_dht.keystore.keystore import Keystore

Run = Callable[..., Result]
Refused = Callable[..., str]
Tree = dict[str, tuple[int, bytes]]


@pytest.fixture
def new_file(tmp_path: Path) -> Path:
    """A file with the password "battery staple"."""
    path = tmp_path / "new password"
    path.touch(0o600)
    path.write_text("battery staple\n")
    return path


def test_set_change_and_remove(run: Run, dna: Path, quick: None, new_file: Path, password_file: Path) -> None:
    identity = Keystore(dna).read()
    arguments = ("identity", "passwd", "--data-dir", dna)

    done = run(*arguments, "--new-password-file", new_file)
    assert (done.exit_code, done.stdout, done.stderr) == (Exit.OK, "", "the identity has a new password\n")
    assert Keystore(dna).is_protected() and Keystore(dna).read("battery staple") == identity
    assert not (dna / "dht_identity.seed").exists() and not (dna / "dht_identity.bin").exists()

    done = run(*arguments, "--json", "--password-file", new_file, "--new-password-file", password_file)
    assert json.loads(done.stdout) == {"data_dir": str(dna), "protected": True}
    assert Keystore(dna).read("correct horse") == identity

    done = run(*arguments, "--password-file", password_file, "--remove")
    assert (done.stdout, done.stderr) == ("", "the identity has no password now\n")
    assert Keystore(dna).read() == identity
    assert (dna / "dht_identity.seed").exists()


def test_the_password_of_a_directory_of_the_reference(
    run: Run, reference: Callable[[str], Path], password_file: Path, new_file: Path
) -> None:
    directory = reference("B")
    identity = Keystore(directory).read("correct horse")
    options = ("--password-file", password_file, "--new-password-file", new_file)
    assert run("identity", "passwd", "--data-dir", directory, *options).exit_code == Exit.OK
    assert Keystore(directory).read("battery staple") == identity


def test_a_wrong_password(refused: Refused, protected: Path, new_file: Path) -> None:
    arguments = ("identity", "passwd", "--data-dir", protected)
    before = Keystore(protected).read("correct horse")

    said = refused(Exit.STORAGE, *arguments, "--remove")
    assert said.startswith("the identity is protected by a password: ")
    for what in (("--remove",), ("--new-password-file", new_file)):
        said = refused(Exit.STORAGE, *arguments, *what, "--password-file", new_file)
        assert said == "the password is wrong (or the key file is damaged): try again"
    assert Keystore(protected).read("correct horse") == before


@pytest.mark.parametrize("content", [None, b"", b"\r\n", b"a\0b", b"x" * 5_000])
def test_new_password_files_that_cannot_be_used(
    refused: Refused, dna: Path, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "given"
    if content is not None:
        path.write_bytes(content)
    said = refused(Exit.USAGE, "identity", "passwd", "--data-dir", dna, "--new-password-file", path)
    assert str(path) in said


@pytest.mark.parametrize("content", [b"caf\xe9\r\n", "пароль\r\n".encode()])
def test_a_new_password_need_not_be_text(
    run: Run, dna: Path, tmp_path: Path, quick: None, content: bytes
) -> None:
    (tmp_path / "given").write_bytes(content)
    run("identity", "passwd", "--data-dir", dna, "--new-password-file", tmp_path / "given")
    assert Keystore(dna).is_protected()
    Keystore(dna).read(content.removesuffix(b"\r\n").decode("utf-8", "surrogateescape"))


def test_what_to_do_has_to_be_said(refused: Refused, dna: Path, new_file: Path) -> None:
    arguments = ("identity", "passwd", "--data-dir", dna)
    assert refused(Exit.USAGE, *arguments) == (
        "give --new-password-file FILE or --remove, or run this at a terminal to be asked"
    )
    assert refused(Exit.USAGE, *arguments, "--remove", "--new-password-file", new_file) == (
        "--remove and --new-password-file exclude each other: give one"
    )


def test_without_its_words_the_password_stays(refused: Refused, dna: Path, new_file: Path) -> None:
    (dna / "mnemonic.enc").unlink()
    said = refused(Exit.STORAGE, "identity", "passwd", "--data-dir", dna, "--new-password-file", new_file)
    assert said.startswith(
        f"the password cannot be changed, for {dna / 'mnemonic.enc'} is missing or damaged: "
    )


def test_removing_a_password_that_is_not_there(run: Run, dna: Path, tree: Callable[[], Tree]) -> None:
    identity = Keystore(dna).read()
    done = run("identity", "passwd", "--data-dir", dna, "--remove")
    assert (done.exit_code, done.stderr) == (Exit.OK, "the identity has no password now\n")
    assert Keystore(dna).read() == identity


def test_nobody_else_uses_the_identity_meanwhile(
    run: Run, dna: Path, tmp_path: Path, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = []
    for name in ("create", "change_password", "import_directory"):
        original = getattr(Keystore, name)

        def watched(keystore: Keystore, *arguments: Any, original: Any = original, **options: Any) -> Any:
            held.append(IdentityLock.status(keystore.directory).locked)
            return original(keystore, *arguments, **options)

        monkeypatch.setattr(Keystore, name, watched)
    run("identity", "passwd", "--remove", "--data-dir", dna)
    run("identity", "import", dna, "--data-dir", tmp_path / "copy")
    run("identity", "restore", "--data-dir", tmp_path / "restored", stdin=words.encode())
    run("identity", "new", "--data-dir", tmp_path / "new")

    assert held == [True] * 4
    assert not IdentityLock.status(dna).locked
