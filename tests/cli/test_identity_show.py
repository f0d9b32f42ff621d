"""dna-dht identity show and lock-status: what is there, and what is wrong with it."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from dna_dht.cli.failures import Exit
from dna_dht.crypto.identity import Identity
from dna_dht.crypto.mnemonic import Mnemonic
from dna_dht.keystore.identity_lock import IdentityLock
from dna_dht.keystore.keystore import Keystore

Run = Callable[..., Result]
Refused = Callable[..., str]
Tree = dict[str, tuple[int, bytes]]


def test_show(run: Run, dna: Path, tree: Callable[[], Tree], words: str) -> None:
    before = tree()
    identity = Identity.from_mnemonic(Mnemonic(words))
    text, fields = (
        run("identity", "show", "--data-dir", dna),
        run("identity", "show", "--json", "--data-dir", dna),
    )

    assert json.loads(fields.stdout) == {
        "fingerprint": identity.fingerprint,
        "short": f"{identity.fingerprint[:10]}...{identity.fingerprint[-10:]}",
        "owner": identity.node.owner_id.hex(),
        "node_id": identity.node.node_id.hex(),
        "dialect": "documented",
        "protected": False,
        "data_dir": str(dna),
        "proven": True,
        "damaged": [],
        "missing": [],
        "exposed": [],
    }
    assert f"fingerprint  {identity.fingerprint}\n" in text.stdout
    assert f"DHT key      {identity.node.owner_id.hex()} " in text.stdout
    assert "password     no\n" in text.stdout
    assert (text.stderr, fields.stderr) == ("", "")
    assert tree() == before


@pytest.mark.parametrize("name", ["A", "B"])
def test_show_of_a_directory_of_the_reference(
    run: Run, reference: Callable[[str], Path], password_file: Path, tree: Callable[[], Tree], name: str
) -> None:
    directory = reference(name)
    before = tree()
    options = ("--password-file", password_file) if name == "B" else ()
    fields = json.loads(run("identity", "show", "--json", "--data-dir", directory, *options).stdout)

    assert (fields["dialect"], fields["protected"]) == ("deployed", name == "B")
    assert tree() == before


# Passwords


def test_a_password_that_is_missing_or_wrong(refused: Refused, protected: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong").touch(0o600)
    (tmp_path / "wrong").write_text("battery staple\n")
    arguments = ("identity", "show", "--data-dir", protected)

    assert refused(Exit.STORAGE, *arguments) == (
        "the identity is protected by a password: give --password-file FILE, or run this at a terminal"
    )
    assert refused(Exit.STORAGE, *arguments, "--password-file", tmp_path / "wrong") == (
        "the password is wrong (or the key file is damaged): try again"
    )


@pytest.mark.parametrize("content", [b"correct horse", b"correct horse\r\n", b"correct horse\nand a note\n"])
def test_the_password_is_the_first_line_without_its_end(
    run: Run, protected: Path, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "given").write_bytes(content)
    result = run("identity", "show", "--data-dir", protected, "--password-file", tmp_path / "given")
    assert result.exit_code == Exit.OK


def test_a_password_need_not_be_text(run: Run, tmp_path: Path, quick: None) -> None:
    (tmp_path / "given").write_bytes(b"\xff\xfe\n")
    arguments = ("--data-dir", tmp_path / "a", "--password-file", tmp_path / "given")
    assert run("identity", "new", *arguments).exit_code == Exit.OK
    assert run("identity", "show", *arguments).exit_code == Exit.OK


@pytest.mark.parametrize("content", [None, b"", b"a\0b", b"x" * 5_000])
@pytest.mark.parametrize("command", ["show", "export"])
def test_password_files_that_cannot_be_used(
    refused: Refused, protected: Path, tmp_path: Path, content: bytes | None, command: str
) -> None:
    path = tmp_path / "given"
    if content is not None:
        path.write_bytes(content)
    said = refused(Exit.USAGE, "identity", command, "--data-dir", protected, "--password-file", path)
    assert str(path) in said


# Files that are something else


@pytest.mark.parametrize("command", [("show",), ("export",), ("export", "--words"), ("passwd", "--remove")])
def test_without_an_identity(refused: Refused, tmp_path: Path, command: tuple[str, ...]) -> None:
    for directory in (tmp_path, tmp_path / "nowhere"):
        said = refused(Exit.STORAGE, "identity", *command, "--data-dir", directory)
        assert said == (
            f"there is no identity in {directory}: create one, restore yours from its recovery words,"
            " or choose another data directory"
        )


@pytest.mark.parametrize("command", [("show",), ("export", "--words"), ("passwd", "--remove")])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda data: data[:8] + b"\x03" + data[9:],
            "version 3, which a newer release wrote: update this one",
        ),
        (lambda data: b"DNAK\x02" + data, "a newer release protected the key file: update this one"),
        (lambda data: b"PQSIGENC" + data[8:], "this is a sealed message, not a private key file"),
        (
            lambda data: b"-----BEGIN QGP PUBLIC KEY-----",
            "this is a public key bundle, not a private key file",
        ),
        (lambda data: b"hello", "this is something else, not a private key file"),
        (lambda data: b"", "a key file has 1 to 100,000 bytes, got 0"),
        (lambda data: data[:100], "the private key file is cut off after 100 bytes"),
        (lambda data: data[:-1], "the private key file needs "),
        (lambda data: data[:300] + bytes([data[300] ^ 1]) + data[301:], "do not belong together"),
        (lambda data: data.ljust(100_001), "is larger than 100,000 bytes: it is not what belongs there"),
    ],
    ids=["newer", "newer password", "message", "bundle", "text", "empty", "cut", "short", "damaged", "large"],
)
def test_a_key_file_that_is_something_else(
    refused: Refused, dna: Path, change: Callable[[bytes], bytes], said: str, command: tuple[str, ...]
) -> None:
    path = dna / "keys" / "identity.kem"
    path.write_bytes(change(path.read_bytes()))
    sentence = refused(Exit.STORAGE, "identity", *command, "--data-dir", dna)
    assert said in sentence
    assert str(path) in sentence


def test_a_key_file_that_is_a_directory_or_a_link(refused: Refused, dna: Path) -> None:
    path = dna / "keys" / "identity.kem"
    path.rename(dna / "kept")
    path.mkdir()
    assert "is not a file" in refused(Exit.STORAGE, "identity", "show", "--data-dir", dna)
    path.rmdir()
    path.symlink_to(dna / "kept")
    assert "is a symbolic link" in refused(Exit.STORAGE, "identity", "show", "--data-dir", dna)


def test_a_path_that_is_too_long(refused: Refused, tmp_path: Path) -> None:
    for command in ("show", "new", "lock-status"):
        code = Exit.USAGE if command == "lock-status" else Exit.STORAGE
        said = refused(code, "identity", command, "--data-dir", tmp_path / ("x" * 300))
        assert "File name too long" in said


# Permissions


def test_open_permissions_are_told_and_mended(run: Run, dna: Path, tree: Callable[[], Tree]) -> None:
    (dna / "mnemonic.enc").chmod(0o644)
    dna.chmod(0o755)
    before = tree()
    arguments = ("identity", "show", "--json", "--data-dir", dna)

    told = run(*arguments)
    assert told.exit_code == Exit.OK
    assert json.loads(told.stdout)["exposed"] == [str(dna), str(dna / "mnemonic.enc")]
    assert told.stderr == (
        f"dna-dht: other users may access secrets ({dna}, {dna / 'mnemonic.enc'}):"
        f" run: dna-dht identity show --fix-permissions --data-dir {dna}\n"
    )
    assert tree() == before

    mended = run(*arguments, "--fix-permissions")
    assert json.loads(mended.stdout)["exposed"] == []
    assert mended.stderr == f"dna-dht: made {dna} private\ndna-dht: made {dna / 'mnemonic.enc'} private\n"
    assert stat.S_IMODE(dna.stat().st_mode) == 0o700
    assert stat.S_IMODE((dna / "mnemonic.enc").stat().st_mode) == 0o600
    assert run(*arguments, "--fix-permissions").stderr == ""


@pytest.mark.parametrize("command", [("export",), ("export", "--words"), ("passwd", "--remove")])
def test_other_commands_tell_them_too(run: Run, dna: Path, command: tuple[str, ...]) -> None:
    dna.chmod(0o750)
    result = run("identity", *command, "--data-dir", dna)
    assert result.exit_code == Exit.OK
    assert result.stderr.startswith(
        f"dna-dht: other users may access secrets ({dna}):"
        f" run: dna-dht identity show --fix-permissions --data-dir {dna}\n"
    )
    assert stat.S_IMODE(dna.stat().st_mode) == 0o750


@pytest.mark.parametrize("command", ["new", "restore"])
def test_a_directory_that_others_may_enter_is_told_when_an_identity_is_put_there(
    run: Run, tmp_path: Path, words: str, command: str
) -> None:
    directory = tmp_path / "an old one"
    directory.mkdir()
    directory.chmod(0o755)
    result = run("identity", command, "--data-dir", directory, stdin=words.encode())
    assert result.exit_code == Exit.OK
    assert result.stderr.startswith(
        f"dna-dht: other users may access secrets ({directory}):"
        f" run: dna-dht identity show --fix-permissions --data-dir '{directory}'\n"
    )


def test_an_import_tells_of_its_source(run: Run, dna: Path, tmp_path: Path) -> None:
    dna.chmod(0o755)
    result = run("identity", "import", dna, "--data-dir", tmp_path / "copy")
    assert (result.exit_code, result.stderr) == (
        Exit.OK,
        f"dna-dht: other users may access secrets ({dna}):"
        f" run: dna-dht identity show --fix-permissions --data-dir {dna}\n",
    )
    assert stat.S_IMODE(dna.stat().st_mode) == 0o755


def test_permissions_that_cannot_be_mended(
    refused: Refused, dna: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fchmod(descriptor: int, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    dna.chmod(0o755)
    monkeypatch.setattr(os, "fchmod", fchmod)
    said = refused(Exit.STORAGE, "identity", "show", "--fix-permissions", "--data-dir", dna)
    assert said == f"cannot make {dna} private: Operation not permitted"


def test_a_directory_that_cannot_be_looked_into(
    refused: Refused, dna: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def holds_identity(keystore: Keystore) -> bool:
        raise PermissionError(13, "Permission denied", str(keystore.directory))

    monkeypatch.setattr(Keystore, "holds_identity", holds_identity)
    said = refused(Exit.STORAGE, "identity", "new", "--data-dir", dna)
    assert said == f"cannot use {dna}: Permission denied"


# The lock


def test_an_identity_in_use_can_be_shown_but_not_changed(run: Run, refused: Refused, dna: Path) -> None:
    free = run("identity", "lock-status", "--data-dir", dna)
    assert (free.exit_code, free.stdout) == (Exit.OK, "free\n")
    with IdentityLock(dna):
        used = run("identity", "lock-status", "--data-dir", dna)
        assert (used.exit_code, used.stdout) == (Exit.STORAGE, f"in use by process {os.getpid()}\n")
        used = run("identity", "lock-status", "--json", "--data-dir", dna)
        assert json.loads(used.stdout) == {"data_dir": str(dna), "locked": True, "pid": os.getpid()}
        assert used.exit_code == Exit.STORAGE
        assert run("identity", "show", "--data-dir", dna).exit_code == Exit.OK
        assert run("identity", "export", "--data-dir", dna).exit_code == Exit.OK
        said = refused(Exit.STORAGE, "identity", "passwd", "--remove", "--data-dir", dna)
        assert said.startswith(f"another process (pid {os.getpid()}) uses the identity in {dna}: ")
    free = run("identity", "lock-status", "--json", "--data-dir", dna)
    assert json.loads(free.stdout) == {"data_dir": str(dna), "locked": False, "pid": None}


def test_lock_status_makes_nothing(run: Run, tmp_path: Path, tree: Callable[[], Tree]) -> None:
    before = tree()
    assert run("identity", "lock-status", "--data-dir", tmp_path).stdout == "free\n"
    assert tree() == before


@pytest.mark.parametrize("name", ["nowhere", "no\0where"])
def test_a_directory_that_is_not_there_is_not_called_free(
    refused: Refused, tmp_path: Path, name: str
) -> None:
    said = refused(Exit.USAGE, "identity", "lock-status", "--data-dir", f"{tmp_path}/{name}")
    if "\0" in name:
        assert said.startswith("no directory can have the name ")
    else:
        assert said == f"there is no directory {tmp_path / name}: name one with --data-dir"


def test_a_lock_file_that_is_none(refused: Refused, dna: Path) -> None:
    (dna / "identity.lock").mkdir()
    said = refused(Exit.ERROR, "identity", "lock-status", "--data-dir", dna)
    assert said == f"{dna / 'identity.lock'} is not a file: remove it"


def test_damaged_and_missing_files_are_named_and_mended_when_asked(
    run: Run, dna: Path, tree: Callable[[], Tree]
) -> None:
    expected = run("identity", "show", "--json", "--data-dir", dna).stdout
    (dna / "keys" / "identity.dsa").unlink()
    (dna / "dht_identity.seed").write_bytes(b"\1" * 32)
    before = tree()

    shown = run("identity", "show", "--json", "--data-dir", dna)

    assert shown.exit_code == Exit.OK and tree() == before
    assert json.loads(shown.stdout)["damaged"] == [str(dna / "dht_identity.seed")]
    assert json.loads(shown.stdout)["missing"] == [str(dna / "keys" / "identity.dsa")]
    assert f"{dna / 'dht_identity.seed'} is damaged or of another identity: see --mend" in shown.stderr
    assert f"{dna / 'keys' / 'identity.dsa'} is missing: see --mend" in shown.stderr

    mended = run("identity", "show", "--mend", "--json", "--data-dir", dna)
    assert mended.exit_code == Exit.OK and mended.stdout == expected
    assert (dna / "keys" / "identity.dsa").exists()


def test_mending_needs_the_lock(refused: Refused, dna: Path) -> None:
    with IdentityLock(dna):
        said = refused(Exit.STORAGE, "identity", "show", "--mend", "--data-dir", dna)
    assert "uses the identity" in said


def test_keys_that_nothing_proves_are_shown_only_when_asked(run: Run, refused: Refused, dna: Path) -> None:
    (dna / "mnemonic.enc").unlink()
    assert "nothing proves" in refused(Exit.STORAGE, "identity", "show", "--data-dir", dna)

    shown = run("identity", "show", "--unproven", "--json", "--data-dir", dna)
    assert shown.exit_code == Exit.OK
    assert json.loads(shown.stdout)["proven"] is False
    assert "no recovery words prove that these keys belong together" in shown.stderr
