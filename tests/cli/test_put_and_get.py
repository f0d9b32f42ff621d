"""dna-dht put and get, against a real server."""

import json
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from dna_dht.cli.failures import Exit
from dna_dht.node.publisher import MAX_SIGNED_DATA
from dna_dht.testing.processes import ServerProcess
from dna_dht.wire.infohash import InfoHash

Run = Callable[..., Result]
NOWHERE = "127.0.0.1:9"  # the discard port: nobody answers


@pytest.fixture
def b(server: ServerProcess) -> tuple[str, str]:
    return "-b", server.endpoint


def test_the_example_of_the_readme(run: Run, b: tuple[str, str], tmp_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_bytes(b"Dear reader,\r\n\x00\xff")

    put = run("put", *b, "--permanent", "text:greeting", f"@{letter}")
    got = run("get", *b, "text:greeting")

    assert (put.exit_code, got.exit_code) == (0, 0)
    assert got.stdout_bytes == letter.read_bytes()
    assert "on 1 of 1 nodes for 365 days" in put.stdout
    for each in (put, got):
        assert f"key {InfoHash.of(b'greeting')}" in each.stderr


def test_a_value_is_written_without_a_line_break_of_ours(run: Run, b: tuple[str, str]) -> None:
    run("put", *b, "text:plain", "hello")
    assert run("get", "-q", *b, "text:plain").output == "hello"


def test_data_from_standard_input(run: Run, b: tuple[str, str]) -> None:
    run("put", *b, "text:stdin", "-", stdin=b"from a pipe\n")
    assert run("get", *b, "text:stdin").stdout == "from a pipe\n"


def test_the_largest_value(run: Run, b: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(range(256)) * 227 + bytes(MAX_SIGNED_DATA - 256 * 227))

    assert run("put", *b, "text:largest", f"@{path}").exit_code == 0
    assert run("get", *b, "text:largest").stdout_bytes == path.read_bytes()


def test_one_byte_more_is_refused_with_the_limit(run: Run, b: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "larger"
    path.write_bytes(bytes(MAX_SIGNED_DATA + 1))

    put = run("put", *b, "text:larger", f"@{path}")

    assert put.exit_code == Exit.USAGE
    assert "58,286 bytes" in put.stderr
    assert "chunk layer" in put.stderr
    assert run("get", *b, "text:larger").exit_code == Exit.NOT_FOUND


def test_putting_again_replaces_the_value(run: Run, b: tuple[str, str]) -> None:
    first = json.loads(run("put", *b, "--json", "text:again", "one").stdout)
    second = json.loads(run("put", *b, "--json", "text:again", "two").stdout)

    assert (first["seq"], second["seq"]) == (0, 1)
    assert first["id"] == second["id"]
    assert run("get", "-q", *b, "--all", "text:again").stdout == "two\n"


def test_two_owners_share_a_key(run: Run, b: tuple[str, str], tmp_path: Path) -> None:
    other = tmp_path / "other"
    owner = json.loads(run("keygen", other, "--json").stdout)["owner"]
    run("put", *b, "text:shared", "mine")
    run("put", *b, "--identity", f"{other}.seed", "text:shared", "theirs")

    everything = run("get", "-q", *b, "--all", "text:shared")
    one = run("get", *b, "text:shared")

    assert sorted(everything.stdout.split()) == ["mine", "theirs"]
    assert "1 more under this key" in one.stderr
    assert run("get", "-q", *b, "--owner", owner, "text:shared").stdout == "theirs"
    assert run("get", "-q", *b, "--all", "--owner", owner, "text:shared").stdout == "theirs\n"
    assert run("get", *b, "--owner", "11" * 20, "text:shared").exit_code == Exit.NOT_FOUND


def test_several_values_of_one_owner(run: Run, b: tuple[str, str]) -> None:
    for number in (1, 2**64 - 1):
        run("put", *b, "--id", number, "text:several", f"value {number}")

    assert run("get", "-q", *b, "--id", 2**64 - 1, "text:several").stdout == f"value {2**64 - 1}"
    assert run("get", "-q", *b, "--all", "--id", 1, "text:several").stdout == "value 1\n"


def test_json_of_put_and_get(run: Run, b: tuple[str, str]) -> None:
    put = json.loads(run("put", *b, "--json", "--ttl", "40d", "--verify", "text:json", "ü").stdout)
    got = json.loads(run("get", *b, "--json", "text:json").stdout)

    key = InfoHash.of(b"json").hex()
    assert put == {
        "key": key,
        "id": put["id"],
        "seq": 0,
        "type": 0x1003,
        "owner": put["owner"],
        "size": 2,
        "accepted": 1,
        "refused": 0,
        "silent": 0,
        "verified": True,
    }
    assert got == {
        "key": key,
        "id": put["id"],
        "type": 0x1003,
        "seq": 0,
        "signed": True,
        "owner": put["owner"],
        "size": 2,
        "data": "c3bc",
        "text": "ü",
    }


def test_hex_keys_are_ids(run: Run, b: tuple[str, str]) -> None:
    run("put", *b, "text:by id", "found")
    assert run("get", "-q", *b, "hex:" + InfoHash.of(b"by id").hex()).stdout == "found"


def test_an_empty_value_deletes_for_readers(run: Run, b: tuple[str, str]) -> None:
    run("put", *b, "text:deleted", "there")
    run("put", *b, "text:deleted", "")

    assert run("get", *b, "text:deleted").exit_code == Exit.NOT_FOUND
    assert run("get", "-q", *b, "--all", "text:deleted").stdout == "\n"


def test_nothing_found(run: Run, b: tuple[str, str]) -> None:
    got = run("get", *b, "text:nothing here")

    assert got.exit_code == Exit.NOT_FOUND
    assert got.stdout == ""
    key = InfoHash.of(b"nothing here")
    assert got.stderr == f"dna-dht: nothing found under text:nothing here (key {key})\n"


@pytest.mark.parametrize("command", [("get",), ("put",), ("lookup",)])
def test_no_node_reachable(run: Run, command: tuple[str, ...]) -> None:
    data = ("data",) if command == ("put",) else ()
    result = run(*command, "-b", NOWHERE, "--timeout", "0.3", "text:x", *data)

    assert result.exit_code == Exit.NO_ANSWER
    assert result.stdout == ""
    assert "no node answers: check the bootstrap addresses" in result.stderr


def test_ctrl_c_while_waiting() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.settimeout(20)
        endpoint = f"127.0.0.1:{silent.getsockname()[1]}"
        command = [sys.executable, "-m", "dna_dht.cli.main", "get", "-b", endpoint, "text:x"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            silent.recvfrom(2000)  # the node runs
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)

    assert process.returncode == Exit.INTERRUPTED
    assert (out, err) == (b"", b"")


def test_an_unknown_host_name(run: Run) -> None:
    result = run("get", "-b", "no-such-host.invalid", "--timeout", "0.3", "text:x")
    assert result.exit_code == Exit.NO_ANSWER


@pytest.mark.parametrize("command", ["get", "put", "listen", "lookup"])
def test_without_a_node_to_start_from(run: Run, command: str) -> None:
    result = run(command, "text:x", *(("data",) if command == "put" else ()))

    assert result.exit_code == Exit.USAGE
    assert "no node to start from" in result.stderr


def test_bootstrap_from_the_environment(
    run: Run, server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DNA_DHT_BOOTSTRAP", f"{NOWHERE} {server.endpoint}")
    run("put", "text:environment", "yes")
    assert run("get", "-q", "text:environment").stdout == "yes"


@pytest.mark.parametrize(
    "arguments",
    [
        ("get", "greeting"),
        ("get", "-b", "127.0.0.1:0", "text:x"),
        ("get", "-4", "-6", "-b", NOWHERE, "text:x"),
        ("get", "--timeout", "0", "-b", NOWHERE, "text:x"),
        ("get", "--timeout", "nan", "-b", NOWHERE, "text:x"),
        ("get", "--timeout", "86400.1", "-b", NOWHERE, "text:x"),
        ("get", "--colour", "text:x"),
        ("get", "--network", "elsewhere", "text:x"),
        ("put", "-b", NOWHERE, "--ttl", "1y", "text:x", "data"),
        ("put", "-b", NOWHERE, "--ttl", "7d", "--permanent", "text:x", "data"),
        ("put", "-b", NOWHERE, "--id", "0", "text:x", "data"),
        ("put", "-b", NOWHERE, "text:x", "@missing"),
        ("put", "-b", NOWHERE, "text:x"),
        ("get", *("-b", NOWHERE) * 65, "text:x"),
    ],
    ids=" ".join,
)
def test_wrong_usage(run: Run, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == Exit.USAGE
    assert result.stderr


def test_the_first_put_makes_a_private_key(run: Run, b: tuple[str, str], home: Path) -> None:
    first, second = run("put", *b, "text:key", "1"), run("put", *b, "text:key", "2")

    seed = home / "dna-dht" / "identity.seed"
    assert str(seed) in first.stderr
    assert "made a signing key" not in second.stderr
    assert stat.S_IMODE(seed.stat().st_mode) == 0o600
    assert len(seed.read_bytes()) == 32


def test_an_identity_that_is_missing_is_not_made(run: Run, tmp_path: Path) -> None:
    result = run("put", "-b", NOWHERE, "--identity", tmp_path / "bot", "text:x", "data")

    assert result.exit_code == Exit.STORAGE
    assert f"make one with 'dna-dht keygen {tmp_path / 'bot'}'" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_identity_that_others_may_read_is_refused(run: Run, tmp_path: Path) -> None:
    run("keygen", tmp_path / "bot")
    (tmp_path / "bot.seed").chmod(0o644)

    result = run("put", "-b", NOWHERE, "--identity", tmp_path / "bot", "text:x", "data")

    assert result.exit_code == Exit.STORAGE
    assert "chmod 600" in result.stderr


def test_a_damaged_identity_is_refused_and_kept(run: Run, tmp_path: Path) -> None:
    run("keygen", tmp_path / "bot")
    (tmp_path / "bot.seed").write_bytes(b"short")
    (tmp_path / "bot.dsa").unlink()

    result = run("put", "-b", NOWHERE, "--identity", tmp_path / "bot", "text:x", "data")

    assert result.exit_code == Exit.STORAGE
    assert "damaged" in result.stderr
    assert (tmp_path / "bot.seed").read_bytes() == b"short"


def test_a_value_id_of_another_owner(run: Run, b: tuple[str, str], tmp_path: Path) -> None:
    run("put", *b, "--id", "7", "text:taken", "first come")
    run("keygen", tmp_path / "rival")

    result = run("put", *b, "--id", "7", "--identity", tmp_path / "rival", "text:taken", "second")

    assert result.exit_code == Exit.ERROR
    assert "use another value id" in result.stderr
    assert run("get", "-q", *b, "text:taken").stdout == "first come"
