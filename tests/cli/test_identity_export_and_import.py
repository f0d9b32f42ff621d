"""dna-dht identity export and import: public keys, copies of secrets, directories of other clients."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from dna_dht.cli.failures import Exit
from dna_dht.crypto.export_blob import ExportBlob
from dna_dht.crypto.identity import Identity
from dna_dht.crypto.mnemonic import Mnemonic
from dna_dht.crypto.node_identity import NodeIdentity
from dna_dht.dialect import Dialect
from dna_dht.keystore.keystore import Keystore
from dna_dht.keystore.node_identity_files import NodeIdentityFiles
from dna_dht.keystore.public_bundle import PublicBundle
from dna_dht.testing.processes import ServerProcess

Run = Callable[..., Result]
Refused = Callable[..., str]
Tree = dict[str, tuple[int, bytes]]

NOW = 1_769_126_400  # Unix seconds


@pytest.fixture
def exported(run: Run, dna: Path, tmp_path: Path) -> Path:
    """A file with the node identity of *dna*."""
    path = tmp_path / "node.bin"
    run("identity", "export", "--node", "--data-dir", dna, "--output", path)
    return path


# Export


def test_the_public_keys_as_a_text(run: Run, dna: Path, words: str, tree: Callable[[], Tree]) -> None:
    before = tree()
    text = run("identity", "export", "--data-dir", dna, "--name", "Käthe")
    fields = json.loads(run("identity", "export", "--json", "--data-dir", dna).stdout)

    bundle = PublicBundle.decode(text.stdout)
    assert (bundle.name, bundle.public) == ("Käthe", Identity.from_mnemonic(Mnemonic(words)).public)
    assert PublicBundle.decode(fields["bundle"]).public == bundle.public
    assert (set(fields), fields["kind"], text.stderr) == ({"kind", "bundle"}, "bundle", "")
    assert tree() == before


def test_the_words(run: Run, protected: Path, password_file: Path, words: str, tmp_path: Path) -> None:
    arguments = ("identity", "export", "--words", "--data-dir", protected, "--password-file", password_file)
    shown = run(*arguments)
    assert (shown.stdout, shown.stderr) == (f"{words}\n", "")
    assert json.loads(run(*arguments, "--json").stdout) == {"kind": "words", "words": words}

    written = run(*arguments, "--output", tmp_path / "w")
    assert (written.stdout, written.stderr) == ("", f"wrote {tmp_path / 'w'}\n")
    assert (tmp_path / "w").read_text() == f"{words}\n"


@pytest.mark.parametrize("kind", ["bundle", "words", "node"])
def test_files_are_readable_by_the_user_alone(run: Run, dna: Path, tmp_path: Path, kind: str) -> None:
    options = () if kind == "bundle" else (f"--{kind}",)
    path = tmp_path / "out"
    mask = os.umask(0)
    try:
        done = run("identity", "export", *options, "--json", "--data-dir", dna, "--output", path)
    finally:
        os.umask(mask)
    assert json.loads(done.stdout) == {"kind": kind, "path": str(path)}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", [(), ("--words",), ("--node",)])
@pytest.mark.parametrize("there", ["file", "directory", "link"])
def test_export_never_overwrites(
    refused: Refused, dna: Path, tmp_path: Path, kind: tuple[str, ...], there: str
) -> None:
    path = tmp_path / "out"
    if there == "file":
        path.write_text("mine")
    elif there == "directory":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "nowhere")
    said = refused(Exit.USAGE, "identity", "export", *kind, "--data-dir", dna, "--output", path)
    assert said == f"{path} exists: choose another --output, it is not overwritten"


def test_export_leaves_its_neighbours_alone(run: Run, dna: Path, tmp_path: Path) -> None:
    (tmp_path / "out.new").write_text("mine")
    run("identity", "export", "--data-dir", dna, "--output", tmp_path / "out")
    assert (tmp_path / "out.new").read_text() == "mine"


def test_a_file_that_appears_meanwhile_is_kept(
    refused: Refused, dna: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").write_text("mine")
    monkeypatch.setattr(os.path, "lexists", lambda path: path != tmp_path / "out")
    said = refused(Exit.STORAGE, "identity", "export", "--data-dir", dna, "--output", tmp_path / "out")
    assert said == f"cannot write {tmp_path / 'out'}: File exists"


def test_a_full_disk_leaves_no_half_file(
    refused: Refused, dna: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    said = refused(
        Exit.STORAGE, "identity", "export", "--words", "--data-dir", dna, "--output", tmp_path / "o"
    )
    assert said == f"cannot write {tmp_path / 'o'}: No space left on device"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--node", "--words"), "--node and --words exclude each other: give one"),
        (("--node",), "--node exports a secret that is no text: give --output FILE"),
        (("--name", "a\nb"), "--name: a name is printable text of one line and at most 255 bytes"),
        (("--name", "x" * 256), "--name: a name is printable text of one line and at most 255 bytes"),
        (("--name", "\udcff"), "--name: a name is printable text of one line and at most 255 bytes"),
    ],
)
def test_exports_that_make_no_sense(refused: Refused, dna: Path, options: tuple[str, ...], said: str) -> None:
    assert refused(Exit.USAGE, "identity", "export", *options, "--data-dir", dna) == said


def test_words_that_are_not_there(refused: Refused, dna: Path) -> None:
    (dna / "mnemonic.enc").unlink()
    said = refused(Exit.STORAGE, "identity", "export", "--words", "--data-dir", dna)
    assert said == f"{dna} does not hold the recovery words: back up the directory"


# The DHT identity, moved


def test_the_node_identity_moves(run: Run, dna: Path, tmp_path: Path, exported: Path, words: str) -> None:
    node = Identity.from_mnemonic(Mnemonic(words)).node
    assert ExportBlob.decode(exported.read_bytes()).public_key == node.public_key

    done = run("identity", "import", "--json", "--node", tmp_path / "bot", exported)
    assert json.loads(done.stdout) == {
        "path": str(tmp_path / "bot.dsa"),
        "owner": node.owner_id.hex(),
        "node_id": node.node_id.hex(),
    }
    loaded = NodeIdentityFiles(tmp_path / "bot").load(NOW)
    assert loaded is not None and loaded.public_key == node.public_key
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in tmp_path.glob("bot.*"))

    text = run("identity", "import", "--node", tmp_path / "second" / "bot.pub", exported).stdout
    assert text.startswith(
        f"wrote {tmp_path / 'second' / 'bot.dsa'} (secret: keep a copy), bot.pub, bot.cert\n"
    )
    assert f"owner id {node.owner_id}\n" in text


def test_what_it_puts_is_owned_by_the_identity(
    run: Run, tmp_path: Path, exported: Path, words: str, server: ServerProcess
) -> None:
    run("identity", "import", "--node", tmp_path / "bot", exported)
    arguments = ("--json", "--identity", tmp_path / "bot", "-b", server.endpoint, "text:moved", "x")
    put = json.loads(run("put", *arguments).stdout)
    got = json.loads(run("get", "--json", "-b", server.endpoint, "text:moved").stdout)

    assert put["owner"] == got["owner"] == Identity.from_mnemonic(Mnemonic(words)).node.owner_id.hex()


def test_the_blob_of_the_reference_is_imported(
    run: Run, reference: Callable[[str], Path], tmp_path: Path
) -> None:
    source = reference("A") / "dht_identity.bin"
    done = json.loads(run("identity", "import", "--json", "--node", tmp_path / "bot", source).stdout)
    assert done["owner"] == Keystore(source.parent).read().node.owner_id.hex()


def test_another_node_identity_is_not_replaced(refused: Refused, exported: Path, tmp_path: Path) -> None:
    NodeIdentityFiles(tmp_path / "bot").save(NodeIdentity.from_seed(bytes(32)), NOW)
    said = refused(Exit.STORAGE, "identity", "import", "--node", tmp_path / "bot", exported)
    assert said == f"{tmp_path / 'bot'}.* already holds an identity: move its files away first"


def test_a_node_identity_needs_a_base(refused: Refused, exported: Path, tmp_path: Path) -> None:
    said = refused(Exit.USAGE, "identity", "import", "--node", tmp_path, exported)
    assert said == f"{tmp_path} is a directory: name the identity in it, like {tmp_path / 'identity'}"


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda data: data[:-1], "an exported node identity"),
        (lambda data: data + b"\0", "an exported node identity"),
        (lambda data: data[:5_000] + bytes([data[5_000] ^ 1]) + data[5_001:], "an exported node identity"),
        (lambda data: b"", "something else"),
        (lambda data: b"DNAK" + bytes(100), "a password-protected key file"),
    ],
    ids=["cut", "longer", "damaged", "empty", "key file"],
)
def test_what_is_no_exported_node_identity(
    refused: Refused, exported: Path, tmp_path: Path, change: Callable[[bytes], bytes], kind: str
) -> None:
    exported.write_bytes(change(exported.read_bytes()))
    said = refused(Exit.STORAGE, "identity", "import", "--node", tmp_path / "bot", exported)
    assert said.startswith(f"{exported} is {kind}, or damaged; an exported node identity is needed (")


def test_moving_it_needs_packages(
    refused: Refused, dna: Path, exported: Path, tmp_path: Path, without: Callable[[str], None]
) -> None:
    without("pqcrypto")
    said = refused(Exit.STORAGE, "identity", "import", "--node", tmp_path / "bot", exported)
    assert "pqcrypto" in said and said.endswith("run \"pip install 'dna-dht[deployed]'\"")
    without("dilithium_py")
    said = refused(
        Exit.STORAGE, "identity", "export", "--node", "--data-dir", dna, "--output", tmp_path / "o"
    )
    assert "dilithium-py" in said and said.endswith("run \"pip install 'dna-dht[deployed]'\"")


# Import


@pytest.mark.parametrize("name", ["A", "B"])
def test_a_directory_of_the_reference(
    run: Run,
    reference: Callable[[str], Path],
    tmp_path: Path,
    password_file: Path,
    tree: Callable[[], Tree],
    name: str,
) -> None:
    source, password = reference(name), "correct horse" if name == "B" else None
    before, expected = tree(), Keystore(source).read(password)
    options = ("--password-file", password_file) if password else ()
    done = run("identity", "import", "--json", source, "--data-dir", tmp_path / "copy", *options)

    fields = json.loads(done.stdout)
    assert (fields["fingerprint"], fields["dialect"]) == (expected.fingerprint, "deployed")
    assert (fields["protected"], fields["data_dir"]) == (name == "B", str(tmp_path / "copy"))
    assert Keystore(tmp_path / "copy").read(password) == expected
    assert expected.dialect is Dialect.DEPLOYED
    assert {path: content for path, content in tree().items() if not path.startswith("copy")} == before


def test_import_of_our_own_directory(run: Run, dna: Path, tmp_path: Path) -> None:
    done = run("identity", "import", dna, "--data-dir", tmp_path / "copy")
    assert f"directory    {tmp_path / 'copy'}\n" in done.stdout
    assert Keystore(tmp_path / "copy").read() == Keystore(dna).read()


def test_import_of_a_directory_without_password_given(
    refused: Refused, protected: Path, tmp_path: Path
) -> None:
    said = refused(Exit.STORAGE, "identity", "import", protected, "--data-dir", tmp_path / "copy")
    assert said.startswith("the identity is protected by a password: ")


def test_import_of_nothing(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    arguments = ("identity", "import", "--data-dir", tmp_path / "copy")
    assert "there is no identity in " in refused(Exit.STORAGE, *arguments, tmp_path / "empty")
    nowhere = tmp_path / "nowhere"
    sentence = f"there is no {nowhere}: name a data directory, or an exported node identity and --node BASE"
    assert refused(Exit.USAGE, *arguments, nowhere) == sentence
    assert refused(Exit.USAGE, "identity", "import", "--node", tmp_path / "b", nowhere) == sentence


def test_import_never_replaces(refused: Refused, dna: Path, reference: Callable[[str], Path]) -> None:
    said = refused(Exit.STORAGE, "identity", "import", reference("A"), "--data-dir", dna)
    assert said == f"{dna} already holds an identity: use it, or choose another --data-dir"
    assert "already holds" in refused(Exit.STORAGE, "identity", "import", dna, "--data-dir", dna)


@pytest.mark.parametrize("option", ["--data-dir", "--password-file", "--unproven"])
def test_options_that_say_nothing_about_a_node_identity_are_refused(
    refused: Refused, exported: Path, tmp_path: Path, option: str
) -> None:
    value = () if option == "--unproven" else (tmp_path / "any",)
    said = refused(Exit.USAGE, "identity", "import", exported, "--node", tmp_path / "bot", option, *value)
    assert said == f"{option} means nothing with --node: leave it out, or import a data directory"


def test_a_directory_in_the_environment_does_no_harm_to_a_node_identity(
    run: Run, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DNA_DHT_DATA_DIR", str(tmp_path / "elsewhere"))
    assert run("identity", "import", exported, "--node", tmp_path / "bot").exit_code == Exit.OK


@pytest.mark.parametrize("place", ["inside", "keys/inside", "../link/inside"])
def test_no_import_into_its_own_source(refused: Refused, dna: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "link").symlink_to(dna)
    said = refused(Exit.USAGE, "identity", "import", dna, "--data-dir", dna / place)
    assert said == f"{dna / place} is inside {dna}: choose a --data-dir outside of it"


def test_an_exported_node_identity_needs_a_place(refused: Refused, exported: Path) -> None:
    said = refused(Exit.USAGE, "identity", "import", exported)
    assert said == f"{exported} is an exported node identity: say with --node BASE where its files are to go"


def test_what_is_there_already_is_not_called_written(run: Run, exported: Path, tmp_path: Path) -> None:
    arguments = ("identity", "import", exported, "--node", tmp_path / "bot")
    first, again = run(*arguments), run(*arguments)
    assert again.exit_code == Exit.OK
    assert (
        again.stdout.splitlines()[0] == f"{tmp_path / 'bot'}.* already holds this identity: nothing written"
    )
    assert again.stdout.splitlines()[1:] == first.stdout.splitlines()[1:]

    (tmp_path / "bot.pub").unlink()
    assert run(*arguments).stdout.startswith(f"wrote {tmp_path / 'bot.pub'}\n")


def test_import_of_public_keys(refused: Refused, run: Run, dna: Path, tmp_path: Path) -> None:
    run("identity", "export", "--data-dir", dna, "--output", tmp_path / "bundle")
    said = refused(Exit.USAGE, "identity", "import", tmp_path / "bundle", "--data-dir", tmp_path / "copy")
    assert said == (
        f"{tmp_path / 'bundle'} holds the public keys of {Keystore(dna).read().fingerprint}:"
        " there is nothing to import, seal messages with it"
    )


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "something else"),
        (b"\xff" * 200_000, "something else"),
        (b"PQSIGENC" + bytes(20), "a sealed message"),
        (b"PQSIGNUM\x01", "a private key file"),
        (b"-----BEGIN QGP PUBLIC KEY-----\n", "a public key bundle"),
    ],
)
def test_import_of_files_of_another_kind(refused: Refused, tmp_path: Path, content: bytes, kind: str) -> None:
    (tmp_path / "file").write_bytes(content)
    said = refused(Exit.USAGE, "identity", "import", tmp_path / "file", "--data-dir", tmp_path / "copy")
    assert said.startswith(f"{tmp_path / 'file'} is {kind}: name a data directory, or ")


def test_a_damaged_directory_that_cannot_be_completed_here(
    refused: Refused, reference: Callable[[str], Path], tmp_path: Path, without: Callable[[str], None]
) -> None:
    source = reference("A")
    (source / "keys" / "identity.dsa").unlink()
    without("dilithium_py")
    said = refused(Exit.STORAGE, "identity", "import", source, "--data-dir", tmp_path / "copy")
    assert said.startswith(
        f"{source / 'keys' / 'identity.dsa'} is missing or damaged and cannot be made again: "
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--words", "--name", "Ann"), "--name is for the public key bundle: leave it out"),
        (("--node", "--name", "Ann", "--output", "x"), "--name is for the public key bundle: leave it out"),
        (("--words", "--unproven"), "--unproven has no meaning for --words: leave it out"),
    ],
)
def test_options_that_would_be_ignored_are_refused(
    refused: Refused, dna: Path, options: tuple[str, ...], sentence: str
) -> None:
    assert refused(Exit.USAGE, "identity", "export", "--data-dir", dna, *options) == sentence
