"""dna-dht ping, lookup, info, keygen, and the command line itself."""

import json
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dna_dht import __version__
from dna_dht.cli import nodus
from dna_dht.cli.failures import Exit
from dna_dht.cli.main import main
from dna_dht.crypto.node_identity import NodeIdentity
from dna_dht.testing.processes import ServerProcess
from dna_dht.wire.infohash import InfoHash

Run = Callable[..., Result]


def test_ping(run: Run, server: ServerProcess) -> None:
    pong = json.loads(run("ping", "--json", server.endpoint).stdout)

    assert pong["address"] == server.endpoint
    assert len(pong["node_id"]) == 40
    assert 0 < pong["round_trip"] < 5
    assert run("ping", server.endpoint).stdout.startswith(f"{server.endpoint} is {pong['node_id']}, ")


def test_ping_without_answer(run: Run) -> None:
    result = run("ping", "--timeout", "0.3", "127.0.0.1:9")

    assert result.exit_code == Exit.NO_ANSWER
    assert result.stderr.startswith("dna-dht: no answer from 127.0.0.1:9: check address and port")


def test_ping_of_several_nodes_prints_who_answers(run: Run, server: ServerProcess) -> None:
    result = run("ping", "--timeout", "0.3", "-b", server.endpoint, "127.0.0.1:9")

    assert result.stdout.startswith(f"{server.endpoint} is ")
    assert len(result.stdout.splitlines()) == 1
    assert result.exit_code == Exit.NO_ANSWER
    assert "127.0.0.1:9" in result.stderr


def test_ping_of_nobody_is_wrong_usage(run: Run) -> None:
    result = run("ping")
    assert result.exit_code == Exit.USAGE
    assert "no node to ask" in result.stderr


def test_ping_in_another_network(run: Run, server: ServerProcess) -> None:
    result = run("ping", "--network-id", "7", "--timeout", "0.3", server.endpoint)
    assert result.exit_code == Exit.NO_ANSWER
    assert "network id 7" in result.stderr


def test_lookup(run: Run, server: ServerProcess) -> None:
    run("put", "-b", server.endpoint, "--id", "9", "text:looked up", "x\n")
    lines = run("lookup", "-b", server.endpoint, "--json", "text:looked up").stdout.splitlines()
    node, value = map(json.loads, lines)
    text = run("lookup", "-b", server.endpoint, "text:looked up").stdout

    assert node["kind"], value["kind"] == ("node", "value")
    assert node["key"] == value["key"] == InfoHash.of(b"looked up").hex()
    assert (node["address"], node["answered"]) == (server.endpoint, True)
    assert node["holds"] == [{"id": 9, "seq": 0}]
    assert value["text"] == "x\n"
    assert "1 of 1 nodes answered" in text
    assert "holds id 9 seq 0" in text
    assert text.endswith(": x\\n\n")


def test_lookup_of_nothing(run: Run, server: ServerProcess) -> None:
    result = run("lookup", "-b", server.endpoint, "text:never put")

    assert result.exit_code == Exit.NOT_FOUND
    assert "holds nothing" in result.stdout


def test_info_without_network(run: Run) -> None:
    facts = json.loads(run("info", "--json").stdout)
    assert facts["version"] == __version__
    assert (facts["identity"], facts["owner"]) == (None, None)


def test_info_of_an_identity_and_a_network(run: Run, server: ServerProcess, tmp_path: Path) -> None:
    made = json.loads(run("keygen", tmp_path / "bot", "--json").stdout)
    arguments = ("--identity", tmp_path / "bot", "-b", server.endpoint, "-4")
    facts = json.loads(run("info", "--json", *arguments).stdout)

    assert facts["owner"] == made["owner"]
    assert facts["ipv4"] == "connected"
    assert facts["good_nodes_ipv4"] == 1
    assert facts["public_addresses"] == ["127.0.0.1"]
    assert f"owner: {made['owner']}\n" in run("info", *arguments).stdout


def test_keygen_writes_private_files(run: Run, tmp_path: Path) -> None:
    made = json.loads(run("keygen", "--json", tmp_path / "new" / "bot").stdout)

    seed = tmp_path / "new" / "bot.seed"
    identity = NodeIdentity.from_seed(seed.read_bytes())
    assert made == {
        "path": str(seed),
        "owner": identity.owner_id.hex(),
        "node_id": identity.node_id.hex(),
        "fingerprint": identity.node_id_text(),
    }
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in seed.parent.iterdir())


def test_keygen_refuses_to_overwrite(run: Run, tmp_path: Path) -> None:
    run("keygen", tmp_path / "bot")
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}

    result = run("keygen", tmp_path / "bot")

    assert result.exit_code == Exit.STORAGE
    assert "already holds an identity" in result.stderr
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_keygen_where_it_cannot_write(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = run("keygen", tmp_path / "file" / "bot")
    assert result.exit_code == Exit.STORAGE


def test_keygen_makes_the_default_identity(run: Run, server: ServerProcess, home: Path) -> None:
    owner = json.loads(run("keygen", "--json").stdout)["owner"]
    put = json.loads(run("put", "-b", server.endpoint, "--json", "text:default", "x").stdout)

    assert put["owner"] == owner
    assert (home / "dna-dht" / "identity.seed").exists()


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_has_help(run: Run, name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert f"Usage: dna-dht {name}" in result.stdout


@pytest.mark.parametrize(("command", "name"), [(main, "dna-dht"), (nodus.main, "dna-nodus")])
def test_versions(command: object, name: str) -> None:
    result = CliRunner().invoke(command, ["--version"])  # type: ignore[arg-type]
    assert result.stdout == f"{name} v{__version__}\n"


def test_as_a_process_a_failure_is_one_line_and_its_exit_code() -> None:
    command = [sys.executable, "-m", "dna_dht.cli.main", "get", "text:x"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == Exit.USAGE
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
