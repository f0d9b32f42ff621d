"""dna-dht identity new and restore: from recovery words to a data directory."""

import json
import stat
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import Result

from dna_dht.cli.commands.identity import identity as identity_commands
from dna_dht.cli.failures import Exit
from dna_dht.crypto.identity import Identity, short_fingerprint
from dna_dht.crypto.mnemonic import Mnemonic
from dna_dht.dialect import Dialect
from dna_dht.keystore.identity_lock import IdentityLock
from dna_dht.keystore.keystore import Keystore

Run = Callable[..., Result]
Refused = Callable[..., str]

SAME = ("fingerprint", "short", "owner", "node_id", "dialect")


def shown(run: Run, directory: Path, *options: object) -> dict[str, object]:
    fields: dict[str, object] = json.loads(
        run("identity", "show", "--json", "--data-dir", directory, *options).stdout
    )
    return fields


def test_the_words_of_a_new_identity_restore_it_elsewhere(run: Run, tmp_path: Path) -> None:
    made = run("identity", "new", "--data-dir", tmp_path / "a")
    restored = run("identity", "restore", "--data-dir", tmp_path / "b", stdin=made.stdout_bytes)

    assert (made.exit_code, restored.exit_code) == (Exit.OK, Exit.OK)
    assert len(made.stdout.split()) == 24 and made.stdout.count("\n") == 1
    assert made.stdout.strip() not in made.stderr
    first, second = shown(run, tmp_path / "a"), shown(run, tmp_path / "b")
    assert [first[name] for name in SAME] == [second[name] for name in SAME]
    assert (tmp_path / "a" / "dht_identity.seed").read_bytes() == (
        tmp_path / "b" / "dht_identity.seed"
    ).read_bytes()
    assert f"short form   {first['short']}\n" in restored.stdout


def test_new_shows_its_words_once(run: Run, tmp_path: Path) -> None:
    made = run("identity", "new", "--json", "--words", "12", "--data-dir", tmp_path / "a")

    fields = json.loads(made.stdout)
    identity = Identity.from_mnemonic(Mnemonic(fields["words"]))
    assert (made.stderr, made.stdout.count("\n"), len(fields["words"].split())) == ("", 1, 12)
    assert fields == {
        "words": fields["words"],
        "fingerprint": identity.fingerprint,
        "short": short_fingerprint(identity.fingerprint),
        "owner": identity.node.owner_id.hex(),
        "node_id": identity.node.node_id.hex(),
        "dialect": "documented",
        "protected": False,
        "data_dir": str(tmp_path / "a"),
    }
    again = run("identity", "show", "--data-dir", tmp_path / "a")
    assert fields["words"] not in again.output


@pytest.mark.parametrize("count", ["12", "15", "18", "21", "24"])
def test_new_has_as_many_words_as_asked_for(run: Run, tmp_path: Path, count: str) -> None:
    made = run("identity", "new", "--words", count, "--data-dir", tmp_path / "a")
    assert len(made.stdout.split()) == int(count)


def test_other_numbers_of_words_are_wrong_usage(run: Run, tmp_path: Path) -> None:
    result = run("identity", "new", "--words", "13", "--data-dir", tmp_path / "a")
    assert result.exit_code == Exit.USAGE
    assert not (tmp_path / "a").exists()


def test_everything_made_is_private(run: Run, tmp_path: Path) -> None:
    run("identity", "new", "--data-dir", tmp_path / "a" / "b")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a").rglob("*")}
    assert modes == {
        "b": 0o700,
        "keys": 0o700,
        "identity.dsa": 0o600,
        "identity.kem": 0o600,
        "identity.lock": 0o600,
        "mnemonic.enc": 0o600,
        "dht_identity.seed": 0o600,
        "dht_identity.bin": 0o600,
    }


@pytest.mark.parametrize("dialect", list(Dialect))
def test_restore_in_both_dialects(run: Run, tmp_path: Path, words: str, dialect: Dialect) -> None:
    run("identity", "restore", "--dialect", dialect.value, "--data-dir", tmp_path / "a", stdin=words.encode())

    identity = Identity.from_mnemonic(Mnemonic(words), dialect)
    assert Keystore(tmp_path / "a").read() == identity
    fields = shown(run, tmp_path / "a")
    assert (fields["dialect"], fields["fingerprint"]) == (dialect.value, identity.fingerprint)


def test_restore_prints_json(run: Run, tmp_path: Path, words: str) -> None:
    restored = run("identity", "restore", "--json", "--data-dir", tmp_path / "a", stdin=words.encode())
    fields, found = json.loads(restored.stdout), shown(run, tmp_path / "a")
    assert fields == {name: found[name] for name in fields}
    assert found["exposed"] == []


@pytest.mark.parametrize("before", ["\ufeff", "\r\n\t ", ""])
def test_case_white_space_and_a_mark_of_editors_do_not_matter(
    run: Run, tmp_path: Path, words: str, before: str
) -> None:
    typed = (before + words.upper().replace(" ", "\r\n ") + "\r\n").encode()
    restored = run("identity", "restore", "--data-dir", tmp_path / "a", stdin=typed)
    assert restored.exit_code == Exit.OK
    assert Keystore(tmp_path / "a").recovery_words() == Mnemonic(words)


def test_with_a_password_file_the_keys_are_protected(
    run: Run, tmp_path: Path, words: str, password_file: Path, quick: None
) -> None:
    for command, stdin in (("new", b""), ("restore", words.encode())):
        directory = tmp_path / command
        run("identity", command, "--password-file", password_file, "--data-dir", directory, stdin=stdin)
        assert shown(run, directory, "--password-file", password_file)["protected"] is True
        assert not (directory / "dht_identity.seed").exists()


def test_the_environment_names_the_directory(
    run: Run, tmp_path: Path, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("identity", "restore", stdin=words.encode())
    monkeypatch.setenv("DNA_DHT_DATA_DIR", str(tmp_path / "elsewhere"))
    run("identity", "restore", stdin=words.encode())

    assert Keystore(tmp_path / ".dna").read() == Keystore(tmp_path / "elsewhere").read()
    assert json.loads(run("identity", "show", "--json").stdout)["data_dir"] == str(tmp_path / "elsewhere")


def test_a_link_to_a_directory_is_followed(run: Run, tmp_path: Path, dna: Path) -> None:
    (tmp_path / "link").symlink_to(dna)
    assert shown(run, tmp_path / "link")["fingerprint"] == Keystore(dna).read().fingerprint


def test_a_name_that_is_no_text_is_shown_escaped(run: Run, tmp_path: Path) -> None:
    made = run("identity", "new", "--json", "--data-dir", f"{tmp_path}/\udcff")
    assert json.loads(made.stdout)["data_dir"] == f"{tmp_path}/\udcff"


# Refused


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda words: words.replace("sausage", "sossage"),
            "word 6, 'sossage', is not in the list of recovery words: did you mean 'sausage'?",
        ),
        (lambda words: words + " yellow", "12, 15, 18, 21 or 24 recovery words are needed, got 13"),
        (lambda words: "", "12, 15, 18, 21 or 24 recovery words are needed, got 0"),
        (
            lambda words: words.replace("sausage", "year"),
            "the recovery words do not belong together (the checksum is wrong):"
            " check their order, and that each is the word you wrote down",
        ),
        (
            lambda words: words + "\0",
            "word 12, 'yellow\\x00', is not in the list of recovery words: did you mean 'yellow'?",
        ),
        (
            lambda words: words + " " * 5_000,
            "standard input holds more than recovery words: give the words only",
        ),
        (
            lambda words: words + " " * 1_000,
            "recovery words have at most 1,000 characters: give the words only",
        ),
    ],
    ids=["wrong word", "13 words", "none", "checksum", "NUL", "oversized", "long"],
)
def test_wrong_words_are_named(
    refused: Refused, tmp_path: Path, words: str, change: Callable[[str], str], sentence: str
) -> None:
    typed = change(words).encode()
    said = refused(Exit.USAGE, "identity", "restore", "--data-dir", tmp_path / "a", stdin=typed)
    assert said == sentence


@pytest.mark.parametrize("typed", [b"\xff\xfea\0b\0", b"legal winner \x80"])
def test_words_that_are_no_text(refused: Refused, tmp_path: Path, typed: bytes) -> None:
    said = refused(Exit.USAGE, "identity", "restore", "--data-dir", tmp_path / "a", stdin=typed)
    assert said == "standard input holds no text: give the recovery words"


@pytest.mark.parametrize("command", ["new", "restore"])
def test_an_identity_is_never_replaced(refused: Refused, dna: Path, words: str, command: str) -> None:
    said = refused(Exit.STORAGE, "identity", command, "--data-dir", dna, stdin=words.encode())
    assert said == f"{dna} already holds an identity: use it, or choose another --data-dir"


@pytest.mark.parametrize("command", ["new", "restore"])
def test_a_damaged_identity_is_not_replaced_either(
    refused: Refused, tmp_path: Path, words: str, command: str
) -> None:
    (tmp_path / "dna" / "keys").mkdir(parents=True)
    (tmp_path / "dna" / "keys" / "identity.kem").write_bytes(b"damaged")
    said = refused(Exit.STORAGE, "identity", command, "--data-dir", tmp_path / "dna", stdin=words.encode())
    assert "already holds an identity" in said


@pytest.mark.parametrize("command", ["new", "restore", "show", "export", "passwd", "lock-status"])
@pytest.mark.parametrize("is_link", [False, True])
def test_what_is_no_directory_is_refused(
    refused: Refused, tmp_path: Path, words: str, command: str, is_link: bool
) -> None:
    path = tmp_path / "dna"
    if is_link:
        path.symlink_to(tmp_path / "nowhere")
    else:
        path.write_text("a file")
    code = Exit.USAGE if command == "lock-status" else Exit.STORAGE
    said = refused(code, "identity", command, "--data-dir", path, stdin=words.encode())
    assert said == f"{path} is not a directory: choose another --data-dir"


@pytest.mark.parametrize("command", ["new", "restore"])
def test_where_no_directory_can_be_made(refused: Refused, tmp_path: Path, words: str, command: str) -> None:
    (tmp_path / "file").write_text("in the way")
    said = refused(
        Exit.STORAGE, "identity", command, "--data-dir", tmp_path / "file" / "dna", stdin=words.encode()
    )
    assert said == f"cannot create the directory {tmp_path}/file/dna: File exists"
    said = refused(Exit.STORAGE, "identity", command, "--data-dir", "/proc/dna", stdin=words.encode())
    assert said.startswith("cannot create the directory /proc/dna: ")


def test_an_empty_name_is_no_directory(run: Run, words: str, tmp_path: Path) -> None:
    result = run("identity", "restore", "--data-dir", "", stdin=words.encode())
    assert result.exit_code == Exit.USAGE
    assert "name a directory" in result.stderr


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot read {path}: No such file or directory"),
        (b"", "{path}: its first line has to be the password, 1 to 4,096 bytes"),
        (b"\npassword", "{path}: its first line has to be the password, 1 to 4,096 bytes"),
        (b"pass\0word\n", "{path}: its first line has to be the password, 1 to 4,096 bytes"),
        (b"x" * 5_000, "{path}: its first line has to be the password, 1 to 4,096 bytes"),
    ],
    ids=["missing", "empty", "empty line", "NUL", "oversized"],
)
@pytest.mark.parametrize("command", ["new", "restore"])
def test_password_files_that_cannot_be_used(
    refused: Refused, tmp_path: Path, words: str, command: str, content: bytes | None, sentence: str
) -> None:
    path = tmp_path / "given"
    if content is not None:
        path.write_bytes(content)
    arguments = ("identity", command, "--data-dir", tmp_path / "a", "--password-file", path)
    said = refused(Exit.USAGE, *arguments, stdin=words.encode())
    assert said == sentence.format(path=path)


@pytest.mark.parametrize("package", ["pqcrypto", "kyber_py", "dilithium_py"])
@pytest.mark.parametrize("command", ["new", "restore"])
def test_the_deployed_dialect_needs_its_packages(
    refused: Refused, tmp_path: Path, words: str, command: str, package: str, without: Callable[[str], None]
) -> None:
    without(package)
    arguments = ("identity", command, "--dialect", "deployed", "--data-dir", tmp_path / "a")
    said = refused(Exit.STORAGE, *arguments, stdin=words.encode())
    assert package.replace("_", "-") in said
    assert said.endswith("run \"pip install 'dna-dht[deployed]'\"")


@pytest.mark.parametrize("command", ["new", "restore"])
def test_a_directory_in_use_stays_as_it_is(
    refused: Refused, tmp_path: Path, words: str, command: str
) -> None:
    (tmp_path / "a").mkdir()
    with IdentityLock(tmp_path / "a"):
        said = refused(Exit.STORAGE, "identity", command, "--data-dir", tmp_path / "a", stdin=words.encode())
    assert said.startswith("another process (pid ")


def test_without_a_home_the_directory_has_to_be_named(
    refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", home)
    assert refused(Exit.USAGE, "identity", "show") == "you have no home directory: give --data-dir DIR"


# The command line itself


@pytest.mark.parametrize("name", sorted(identity_commands.commands))
def test_every_command_has_help(run: Run, name: str) -> None:
    result = run("identity", name, "--help")
    assert result.exit_code == 0
    assert f"Usage: dna-dht identity {name}" in result.stdout
    assert "--data-dir DIR" in result.stdout


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (
            "restore",
            "recovery words are never taken from the command line (they are in your shell's history now):"
            " pipe them in or type them when asked",
        ),
        (
            "new",
            "recovery words and passwords are never taken from the command line (they are in your shell's"
            " history now): new makes words itself, and 'dna-dht identity restore' asks for yours",
        ),
        (
            "passwd",
            "passwords are never taken from the command line (it is in your shell's history now):"
            " type it when asked or give --new-password-file",
        ),
    ],
)
def test_secrets_on_the_command_line_are_refused_and_not_repeated(
    refused: Refused, run: Run, tmp_path: Path, words: str, command: str, sentence: str
) -> None:
    for given in ([words], words.split(), ["correct horse"], [words, "--data-dir", tmp_path / "a"]):
        assert refused(Exit.USAGE, "identity", command, *given) == sentence
    assert f"Usage: dna-dht identity {command} [OPTIONS]\n" in run("identity", command, "--help").stdout


def test_words_in_place_of_their_number_are_not_repeated(refused: Refused, words: str) -> None:
    said = refused(Exit.USAGE, "identity", "new", "--words", words)
    assert said == "--words is how many recovery words to make: 12, 15, 18, 21 or 24"


def test_no_secret_is_taken_from_the_command_line() -> None:
    texts = {
        (name, parameter.name)
        for name, command in identity_commands.commands.items()
        for parameter in command.params
        if parameter.name != "unwanted"
        and not isinstance(parameter.type, click.Path | click.Choice | click.types.BoolParamType)
    }
    assert texts == {("export", "name")}
