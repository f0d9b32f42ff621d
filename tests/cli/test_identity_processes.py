"""dna-dht identity as a process: standard streams that are pipes, full, closed or no text, and the lock."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dna_dht.cli.failures import Exit
from dna_dht.crypto.identity import Identity
from dna_dht.crypto.mnemonic import Mnemonic
from dna_dht.keystore.identity_lock import IdentityLock
from dna_dht.keystore.keystore import Keystore

Shell = Callable[..., "subprocess.CompletedProcess[str]"]
Tree = dict[str, tuple[int, bytes]]

_SAME = ("fingerprint", "short", "owner", "node_id", "dialect")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Run a command in the directory of the test; D stands for `dna-dht identity`."""

    def shell(command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        program = f'D() {{ {shlex.quote(sys.executable)} -m dna_dht.cli.main identity "$@"; }}; {command}'
        return subprocess.run(
            ["bash", "-c", program],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
            cwd=tmp_path,
            env={**os.environ, **environment},
        )

    return shell


def test_new_restored_elsewhere_is_the_same(shell: Shell) -> None:
    done = shell(
        "set -e; D new --data-dir a > words; D restore --data-dir b < words > text;"
        " D show --json --data-dir a; DNA_DHT_DATA_DIR=b D show --json; wc -w < words"
    )
    first, second, count = done.stdout.splitlines()

    assert (done.returncode, count.strip()) == (Exit.OK, "24")
    one, other = json.loads(first), json.loads(second)
    assert [one[name] for name in _SAME] == [other[name] for name in _SAME]


def test_the_words_of_another_are_piped_in(shell: Shell, words: str, tmp_path: Path) -> None:
    done = shell(f"echo {words} | D restore --json --data-dir a")
    identity = Identity.from_mnemonic(Mnemonic(words))

    assert (done.returncode, done.stderr) == (Exit.OK, "")
    assert json.loads(done.stdout)["fingerprint"] == identity.fingerprint
    assert Keystore(tmp_path / "a").read() == identity


@pytest.mark.parametrize(
    ("command", "code", "sentence"),
    [
        (
            "echo zoo abot | D restore --data-dir a",
            Exit.USAGE,
            "12, 15, 18, 21 or 24 recovery words are needed, got 2",
        ),
        (
            "D restore --data-dir a <&-",
            Exit.USAGE,
            "cannot read the recovery words: standard input is closed",
        ),
        (
            "D restore --data-dir a < /proc/self/mem",
            Exit.USAGE,
            "cannot read standard input: Input/output error",
        ),
        (
            "head -c 100000000 /dev/zero | D restore --data-dir a",
            Exit.USAGE,
            "standard input holds more than recovery words: give the words only",
        ),
        (
            "printf 'zoo \\xff' | D restore --data-dir a",
            Exit.USAGE,
            "standard input holds no text: give the recovery words",
        ),
        (
            "D new --data-dir a >&-",
            Exit.USAGE,
            "standard output is closed, so nobody would see the recovery words",
        ),
        (
            "D show --data-dir a",
            Exit.STORAGE,
            "there is no identity in a: create one, restore yours from its recovery words,"
            " or choose another data directory",
        ),
    ],
)
def test_a_refusal_is_one_sentence_and_makes_nothing(
    shell: Shell, tree: Callable[[], Tree], command: str, code: Exit, sentence: str
) -> None:
    before = tree()
    done = shell(command)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", f"dna-dht: {sentence}\n")
    assert tree() == before


# Output that goes nowhere


@pytest.mark.parametrize("options", ["", "--json"])
def test_words_that_could_not_be_shown_can_be_shown_again(shell: Shell, tmp_path: Path, options: str) -> None:
    done = shell(f"D new {options} --data-dir 'a b' > /dev/full")
    assert (done.returncode, done.stderr) == (
        Exit.ERROR,
        "dna-dht: made the identity, but cannot show its recovery words (No space left on device):"
        " run \"dna-dht identity export --words --data-dir 'a b'\"\n",
    )
    again = shell("D export --words --data-dir 'a b'")
    identity = Identity.from_mnemonic(Mnemonic(again.stdout))
    assert identity == Keystore(tmp_path / "a b").read()


def test_a_reader_of_the_words_that_leaves(shell: Shell, tmp_path: Path) -> None:
    done = shell("D new --data-dir a | true; exit ${PIPESTATUS[0]}")
    assert done.returncode == Exit.ERROR
    assert done.stderr.startswith(
        "dna-dht: made the identity, but cannot show its recovery words (Broken pipe): "
    )
    assert Keystore(tmp_path / "a").recovery_words().words not in done.stderr


@pytest.mark.parametrize("command", ["show", "show --json", "export", "export --words", "lock-status"])
def test_a_full_disk_is_one_sentence(shell: Shell, dna: Path, tree: Callable[[], Tree], command: str) -> None:
    before = tree()
    done = shell(f"D {command} --data-dir dna > /dev/full")
    assert (done.returncode, done.stderr) == (
        Exit.ERROR,
        "dna-dht: cannot write the output: No space left on device\n",
    )
    assert tree() == before


@pytest.mark.parametrize("command", ["show", "show --json", "export", "lock-status"])
def test_closed_output_is_no_error(shell: Shell, dna: Path, command: str) -> None:
    done = shell(f"D {command} --data-dir dna >&-")
    assert (done.returncode, done.stderr) == (Exit.OK, "")


def test_a_disk_that_is_full_leaves_no_identity(shell: Shell, words: str, tmp_path: Path) -> None:
    done = shell(f"trap '' XFSZ; (ulimit -f 0; D restore --data-dir a) <<< '{words}'")
    assert done.returncode == Exit.STORAGE
    assert done.stderr.startswith("dna-dht: cannot write a/")
    assert done.stderr.count("\n") == 1
    assert not Keystore(tmp_path / "a").holds_identity()
    assert shell(f"D restore --data-dir a <<< '{words}'").returncode == Exit.OK


def test_a_name_that_is_no_text_with_strict_output(shell: Shell) -> None:
    done = shell(
        "N=$(printf 'n\\xff'); D new --json --data-dir $N && D show --data-dir $N",
        PYTHONIOENCODING="utf-8:strict",
    )
    made, *shown = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (Exit.OK, "")
    assert json.loads(made)["data_dir"] == "n\udcff"
    assert shown[-1] == "directory    n\\udcff"


# The lock


def test_the_process_that_uses_an_identity_is_named(
    shell: Shell, dna: Path, tree: Callable[[], Tree]
) -> None:
    code = (
        "import sys; from pathlib import Path; from dna_dht.keystore.identity_lock import IdentityLock;"
        "IdentityLock(Path(sys.argv[1])).acquire(); print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(dna)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        before = tree()
        status = shell("D lock-status --json --data-dir dna")
        refused = shell("D passwd --remove --data-dir dna")
        shown = shell("D show --data-dir dna && D export --data-dir dna && D export --words --data-dir dna")
        assert tree() == before
        holder.send_signal(signal.SIGKILL)

    assert json.loads(status.stdout)["pid"] == holder.pid
    assert (status.returncode, refused.returncode, shown.returncode) == (Exit.STORAGE, Exit.STORAGE, Exit.OK)
    assert refused.stderr == (
        f"dna-dht: another process (pid {holder.pid}) uses the identity in dna:"
        " stop it or choose another data directory\n"
    )
    assert not IdentityLock.status(dna).locked
