"""dna-dht as a process, with standard streams that are full, closed or left by their reader."""

import shlex
import subprocess
import sys

import pytest

from dna_dht.cli.failures import Exit
from dna_dht.testing.processes import ServerProcess


def shell(command: str) -> "subprocess.CompletedProcess[str]":
    """Run *command*, in which D stands for dna-dht."""
    program = f'D() {{ {shlex.quote(sys.executable)} -m dna_dht.cli.main "$@"; }}; {command}'
    return subprocess.run(
        ["bash", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def b(server: ServerProcess) -> str:
    return f"-b {server.endpoint}"


@pytest.fixture
def stored(b: str) -> None:
    assert shell(f"D put {b} text:key value").returncode == 0


@pytest.mark.parametrize(
    "command",
    ["get -q B text:key", "get B --json text:key", "lookup B text:key", "listen -q B text:key", "info"],
)
def test_a_full_disk_is_one_sentence(command: str, b: str, stored: None) -> None:
    done = shell(f"D {command.replace('B', b)} > /dev/full")
    assert done.returncode == Exit.ERROR
    assert done.stderr == "dna-dht: cannot write the output: No space left on device\n"


@pytest.mark.parametrize("command", ["get -q B text:key", "lookup B text:key", "listen -q B text:key"])
def test_a_reader_that_leaves_ends_the_command_without_a_word(command: str, b: str, stored: None) -> None:
    done = shell(f"D {command.replace('B', b)} | true; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (Exit.ERROR, "")


@pytest.mark.parametrize(
    "command", ["get -q B text:key", "get -q B --json text:key", "put -q B text:key value"]
)
def test_closed_output_is_no_error(command: str, b: str, stored: None) -> None:
    done = shell(f"D {command.replace('B', b)} >&-")
    assert (done.returncode, done.stderr) == (Exit.OK, "")


def test_closed_input_is_wrong_usage(b: str) -> None:
    done = shell(f"D put {b} text:key - <&-")
    assert (done.returncode, done.stderr) == (
        Exit.USAGE,
        "dna-dht: cannot read standard input: it is closed\n",
    )
