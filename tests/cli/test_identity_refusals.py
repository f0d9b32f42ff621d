"""dna-dht identity refuses bad input with one sentence, its exit code, and nothing changed on disk."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dna_dht.cli.main import main

WORDS = "abandon " * 11 + "about"
SECRET = "a long pass phrase"


def run(*arguments: str | Path, stdin: str | bytes = "") -> Result:
    return CliRunner().invoke(main, ["identity", *map(str, arguments)], input=stdin)


def content_of(directory: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None
        for path in directory.rglob("*")
    }


@pytest.fixture
def restored(tmp_path: Path) -> Path:
    """A data directory with the identity of WORDS under the password SECRET."""
    (tmp_path / "password").write_text(SECRET + "\n")
    (tmp_path / "password").chmod(0o600)
    directory = tmp_path / "data"
    result = run("restore", "--data-dir", directory, "--password-file", tmp_path / "password", stdin=WORDS)
    assert result.exit_code == 0, result.stderr
    assert "abandon" not in result.output
    return directory


@pytest.mark.parametrize(
    ("stdin", "says"),
    [
        (WORDS.replace("about", "abuot"), "word 12, 'abuot'"),
        (WORDS.replace("about", "abandon"), "checksum"),
        ("abandon " * 11, "got 11"),
        ("", "got 0"),
        (b"\xff\xfe", "no text"),
        ("x" * 4_097, "more than recovery words"),
    ],
)
def test_bad_words_make_nothing(tmp_path: Path, stdin: str | bytes, says: str) -> None:
    result = run("restore", "--data-dir", tmp_path / "data", stdin=stdin)

    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert "abandon abandon" not in result.output
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("command", ["new", "restore"])
def test_an_existing_identity_is_kept(restored: Path, command: str) -> None:
    before = content_of(restored)
    result = run(command, "--data-dir", restored, stdin=WORDS)

    assert (result.exit_code, result.stdout) == (3, "")
    assert "already holds an identity" in result.stderr
    assert content_of(restored) == before


@pytest.mark.parametrize(
    "arguments", [["show"], ["export", "--words"], ["passwd", "--remove"]], ids=lambda each: each[0]
)
def test_a_wrong_or_missing_password_changes_nothing(
    restored: Path, tmp_path: Path, arguments: list[str]
) -> None:
    (tmp_path / "wrong").write_text("not the pass phrase\n")
    before = content_of(restored / "keys")
    wrong = run(*arguments, "--data-dir", restored, "--password-file", tmp_path / "wrong")
    missing = run(*arguments, "--data-dir", restored)

    assert (wrong.exit_code, missing.exit_code) == (3, 3)
    assert (wrong.stdout, missing.stdout) == ("", "")
    assert "not the pass phrase" not in wrong.stderr
    assert content_of(restored / "keys") == before


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o644, True)])
def test_a_password_file_others_may_read_is_warned_of(
    restored: Path, tmp_path: Path, mode: int, warned: bool
) -> None:
    (tmp_path / "password").chmod(mode)
    result = run("show", "--data-dir", restored, "--password-file", tmp_path / "password")

    assert result.exit_code == 0
    assert ("other users may access" in result.stderr) == warned
    assert SECRET not in result.output


def test_closed_standard_input_is_one_sentence(tmp_path: Path) -> None:
    code = "import os, sys; os.close(0); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    command = ["-m", "dna_dht.cli.main", "identity", "restore", "--data-dir", str(tmp_path / "data")]
    done = subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, text=True, check=False, env=os.environ
    )

    assert done.returncode == 2
    assert "standard input is closed" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("given", [[WORDS], WORDS.split()], ids=["one argument", "many"])
def test_words_in_place_of_a_command_are_not_repeated(given: list[str]) -> None:
    result = run(*given)

    assert result.exit_code == 2
    assert "there is no such command: choose one of export, import" in result.stderr
    assert "abandon" not in result.output
