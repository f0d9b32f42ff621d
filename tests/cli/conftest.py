"""A real server for the commands to talk to, a home directory of their own, and identities in directories."""

import hashlib
import itertools
import json
import logging
import stat
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dna_dht.cli.main import main
from dna_dht.crypto.export_blob import ExportBlob
from dna_dht.crypto.identity import Identity
from dna_dht.crypto.mnemonic import Mnemonic
from dna_dht.dialect import Dialect
from dna_dht.keystore import password as envelope
from dna_dht.keystore.key_file import KeyFile
from dna_dht.keystore.keystore import Keystore
from dna_dht.testing.processes import ServerProcess

Run = Callable[..., Result]
Tree = dict[str, tuple[int, bytes]]

WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"
PASSWORD = "correct horse"
NOW = 1_769_126_400  # Unix seconds
VECTORS = Path(__file__).parents[1] / "vectors"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server") / "state") as server:
        yield server


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user's configuration is."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DNA_DHT_BOOTSTRAP", raising=False)
    monkeypatch.delenv("DNA_DHT_DATA_DIR", raising=False)
    return tmp_path / "config"


@pytest.fixture
def run() -> Run:
    """Run a `dna-dht` command in this process."""

    def run(*arguments: object, stdin: bytes | None = None) -> Result:
        result = CliRunner().invoke(main, [str(each) for each in arguments], input=stdin, prog_name="dna-dht")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


# Identities


@pytest.fixture
def words() -> str:
    """Recovery words of a published test case."""
    return WORDS


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One round of the password hash instead of 210,000, where the rounds are not what is tested."""
    monkeypatch.setattr(envelope, "ROUNDS", 1)


@pytest.fixture
def dna(tmp_path: Path) -> Path:
    """A data directory with the identity of the words, without password."""
    Keystore(tmp_path / "dna").create(Mnemonic(WORDS), now=NOW)
    return tmp_path / "dna"


@pytest.fixture
def protected(tmp_path: Path, quick: None) -> Path:
    """The same under the password "correct horse"."""
    Keystore(tmp_path / "protected").create(Mnemonic(WORDS), password=PASSWORD, now=NOW)
    return tmp_path / "protected"


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    """A file whose first line is the password of *protected*."""
    path = tmp_path / "password"
    path.touch(0o600)
    path.write_text(f"{PASSWORD}\n")
    return path


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes as if a package were not installed."""

    def without(package: str) -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, package, None)

    return without


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[], Tree]:
    """What is on disk now: mode and content of everything below the directory of the test."""

    def tree() -> Tree:
        found = {}
        for path in sorted(tmp_path.rglob("*")):
            mode = path.lstat().st_mode
            content = path.read_bytes() if stat.S_ISREG(mode) else b""
            found[str(path.relative_to(tmp_path))] = (mode, content)
        return found

    return tree


@pytest.fixture
def refused(
    run: Run, tree: Callable[[], Tree], caplog: pytest.LogCaptureFixture
) -> Iterator[Callable[..., str]]:
    """Run a command that has to fail with the code given first, and return what it says: one sentence.

    Nothing may change on disk, nothing may come out, and no secret may be in what is said, logged or raised.
    """

    library = logging.getLogger("dna_dht")  # a command may keep what it logs from others
    library.addHandler(caplog.handler)
    caplog.set_level(logging.DEBUG, "dna_dht")

    def refused(code: int, *arguments: object, stdin: bytes | None = None) -> str:
        before = tree()
        result = run(*arguments, stdin=stdin)
        assert (result.exit_code, result.stdout) == (code, "")
        assert tree() == before
        assert result.stderr.startswith("dna-dht: ")
        assert result.stderr.count("\n") == 1 and result.stderr.endswith("\n")
        assert result.exception is not None
        raised = "".join(traceback.format_exception(result.exception))
        for said in (result.stderr, caplog.text, raised):
            assert_no_secret(said)
        return result.stderr.removeprefix("dna-dht: ").removesuffix("\n")

    yield refused
    library.removeHandler(caplog.handler)


def assert_no_secret(said: str) -> None:
    """Neither the password, nor two of the words in a row."""
    listed = WORDS.split()
    assert PASSWORD not in said
    assert not any(f"{one} {other}" in said for one, other in itertools.pairwise(listed))


@pytest.fixture
def reference(tmp_path: Path) -> Callable[[str], Path]:
    """Makes the data directory that release 0.6.27 left of identity A, or of B (under a password)."""

    def reference(name: str) -> Path:
        root = tmp_path / f"reference-{name}"
        (root / "keys").mkdir(parents=True)
        for path, content in _reference_files(name).items():
            (root / path).write_bytes(content)
        for entry in (root, *root.rglob("*")):
            entry.chmod(0o700 if entry.is_dir() else 0o600)
        return root

    return reference


@cache
def _reference_files(name: str) -> dict[str, bytes]:
    files, nodes = _cases("crypto-key-files"), _cases("crypto-node-identity")
    derived: dict[str, Any] = json.loads((VECTORS / "crypto-derivation.json").read_text())["cases"]
    words = {case["name"]: case["mnemonic"] for case in derived["identities"]}
    keys = Identity.from_mnemonic(Mnemonic(words[name]), Dialect.DEPLOYED)
    blob = ExportBlob.of(keys.node, NOW).encode()
    assert hashlib.sha3_512(blob).hexdigest() == nodes[name]["dht_identity_bin_sha3_512"]
    found = {"mnemonic.enc": bytes.fromhex(files[f"{name} mnemonic.enc"]["file"]), "dht_identity.bin": blob}
    plain = {
        "keys/identity.dsa": KeyFile.of_signing(keys.signing, Dialect.DEPLOYED).encode(),
        "keys/identity.kem": KeyFile.of_encryption(keys.encryption).encode(),
    }
    for path, content in plain.items():
        if name == "A":
            assert hashlib.sha3_512(content).hexdigest() == files[f"A {path}"]["sha3_512"]
            found[path] = content
        else:
            found[path] = bytes.fromhex(files[f'B {path}, password "{PASSWORD}"']["file"])
    return found


def _cases(name: str) -> dict[str, dict[str, Any]]:
    return {case["name"]: case for case in json.loads((VECTORS / f"{name}.json").read_text())["cases"]}
