"""dna-nodus as a process: start, keep, stop, come back; and what it says when it cannot."""

import asyncio
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from dna_dht import CoreConfig, InfoHash, Node, NodeConfig, NodeIdentity, OperationTimeoutError
from dna_dht.core.values.value_types import DNA_7_DAYS, DNA_30_DAYS, DNA_365_DAYS
from dna_dht.nodus import daemon
from dna_dht.nodus.config import NodusConfig
from dna_dht.testing.processes import ServerProcess

WAIT = 20.0  # seconds; nothing here takes longer than two
ME = NodeIdentity.from_seed(bytes(range(32)))


def client(server: ServerProcess, identity: NodeIdentity | None = None) -> Node:
    return Node(
        NodeConfig(
            core=CoreConfig(client_mode=True, ipv6=False),
            ipv4_host="127.0.0.1",
            bootstrap=(server.endpoint,),
            identity=identity,
        )
    )


async def put(server: ServerProcess, values: dict[str, bytes], value_type: int) -> None:
    async with client(server, ME) as node:
        await node.ready(WAIT)
        for name, data in values.items():
            key = InfoHash.of(name.encode())
            receipt = await node.put_signed(key, data, value_id=1, value_type=value_type, permanent=False)
            assert receipt.accepted == 1


async def read(server: ServerProcess, *names: str) -> list[bytes | None]:
    async with client(server) as node:
        await node.ready(WAIT)
        found = [await node.get(InfoHash.of(name.encode()), owner=ME.owner_id) for name in names]
    return [values[0].data if values else None for values in found]


def start_and_fail(*options: str) -> tuple[int, str]:
    """Exit code and standard error of a server that cannot start."""
    done = subprocess.run(
        [sys.executable, "-m", "dna_dht.cli.nodus", "--bind", "127.0.0.1", *options],
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
    )
    assert "Running" not in done.stdout
    return done.returncode, done.stderr


async def test_values_and_edits_survive_kill_9(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "state") as server:
        await put(server, {"year": b"old", "kept": b"as it was"}, DNA_365_DAYS)
        await put(server, {"year": b"edited"}, DNA_365_DAYS)
        await put(server, {"month": b"thirty days"}, DNA_30_DAYS)
        await put(server, {"week": b"seven days"}, DNA_7_DAYS)
        port = server.port
        server.kill()
        server.start()

        assert server.port == port
        read_back = await read(server, "year", "kept", "month", "week")
        assert read_back == [b"edited", b"as it was", b"thirty days", None]


async def test_a_full_disk_is_not_acknowledged_and_a_disk_with_room_again_is_used(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "state") as server:
        await put(server, {"before": b"x"}, DNA_365_DAYS)
        _, no_limit = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (1, no_limit))
        with pytest.raises(OperationTimeoutError):
            await put(server, {"full": b"x"}, DNA_365_DAYS)
        await put(server, {"week": b"needs no disk"}, DNA_7_DAYS)
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (no_limit, no_limit))
        await put(server, {"after": b"x"}, DNA_365_DAYS)
        server.kill()
        server.start()

        assert await read(server, "before", "after") == [b"x", b"x"]


async def test_a_clean_stop_keeps_7_day_values_and_the_identity(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "state") as server:
        await put(server, {"week": b"seven days"}, DNA_7_DAYS)
        node_id = server.wait_for(lambda line: line.startswith("[DHT] Node ID: "), WAIT)
        assert server.stop() == 0
        assert server.lines[-2:] == ["", "Shutting down..."]
        server.start()

        assert server.wait_for(lambda line: line.startswith("[DHT] Node ID: "), WAIT) == node_id
        assert await read(server, "week") == [b"seven days"]


async def test_the_files_of_a_server(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "new" / "state") as server:
        await put(server, {"x": b"x"}, DNA_365_DAYS)
        server.stop()

    names = set(os.listdir(tmp_path / "new"))
    assert names >= {
        "state",
        "state_port.txt",
        "state.identity.seed",
        "state.identity.pub",
        "state.identity.cert",
        "state.values.db",
    }
    assert os.stat(tmp_path / "new").st_mode & 0o077 == 0
    with sqlite3.connect(tmp_path / "new" / "state.values.db") as database:
        assert database.execute("SELECT value_id, value_type FROM dht_values").fetchall() == [(1, 0x1002)]
    database.close()


async def test_a_server_on_ipv6() -> None:
    with ServerProcess(None, options=["--bind", "::1"]) as server:
        assert f"DHT:   [::1]:{server.port}" in server.lines
        config = NodeConfig(
            core=CoreConfig(client_mode=True, ipv4=False),
            ipv6_host="::1",
            bootstrap=(f"[::1]:{server.port}",),
            identity=ME,
        )
        async with Node(config) as node:
            await node.ready(WAIT)
            key = InfoHash.of(b"over IPv6")
            await node.put_signed(key, b"x", value_id=1, permanent=False)
            assert [value.data for value in await node.get(key)] == [b"x"]


async def test_a_server_in_memory_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with ServerProcess(None) as server:
        await put(server, {"x": b"x"}, DNA_365_DAYS)
        assert server.stop() == 0

    assert os.listdir(tmp_path) == []


def test_sigint_stops_it_too(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "state") as server:
        os.kill(server.pid, signal.SIGINT)
        assert server.wait() == 0
        assert server.lines[-1] == "Shutting down..."


def test_sighup_is_ignored(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "state") as server:
        os.kill(server.pid, signal.SIGHUP)
        assert server.stop() == 0


def test_it_prints_the_lines_of_the_reference(tmp_path: Path) -> None:
    options = ["--public-ip", "192.0.2.7", "-i", "east", "-b", "127.0.0.1:9", "--bind", "127.0.0.1"]
    with ServerProcess(tmp_path / "state", options=options) as server:
        lines = list(server.lines)

    assert lines[0].startswith("DNA Nodus v")
    for wanted in (
        "  seed_nodes: 127.0.0.1:9",
        "  identity: east",
        "  public_ip: 192.0.2.7",
        "[DHT] Creating context...",
        "[DHT] Starting on port 0...",
        "[DHT] Started",
        f"DHT:   192.0.2.7:{server.port}",
    ):
        assert wanted in lines, wanted


def test_a_port_in_use(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "first") as server:
        code, error = start_and_fail("-p", str(server.port), "-s", str(tmp_path / "second"))

    assert code == 1
    assert f"UDP port 127.0.0.1:{server.port} is in use" in error


def test_a_database_in_use(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "state") as server:
        code, error = start_and_fail("-p", "0", "-s", str(tmp_path / "state"))

    assert code == 3
    assert f"another process (pid {server.pid}) uses the database" in error


@pytest.mark.parametrize(
    "content", [b"this is no database, whatever its name says" * 100, b"SQLite format 3\x00"]
)
def test_a_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.values.db"
    path.write_bytes(content)

    code, error = start_and_fail("-p", "0", "-s", str(tmp_path / "state"))

    assert code == 3
    assert str(path) in error
    assert error.count("\n") == 1
    assert path.read_bytes() == content
    assert not (tmp_path / "state.identity.seed").exists()


def test_a_database_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "state.values.db"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE bookmarks (url TEXT)")
    database.close()
    before = path.read_bytes()

    code, error = start_and_fail("-p", "0", "-s", str(tmp_path / "state"))

    assert code == 3
    assert str(path) in error
    assert path.read_bytes() == before


def test_a_database_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "state.values.db").mkdir()

    code, error = start_and_fail("-p", "0", "-s", str(tmp_path / "state"))

    assert code == 3
    assert str(tmp_path / "state.values.db") in error
    assert error.count("\n") == 1


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    code, error = start_and_fail("-p", "0", "-s", str(tmp_path / "file" / "state"))

    assert code == 3
    assert "cannot create the directory" in error
    assert error.count("\n") == 1


def test_a_directory_instead_of_a_base_path(tmp_path: Path) -> None:
    code, error = start_and_fail("-p", "0", "-s", str(tmp_path / ""))

    assert code == 3
    assert f"name a file in it, like {tmp_path / 'bootstrap.state'}" in error
    assert os.listdir(tmp_path) == []


def test_a_name_that_is_too_long_for_the_file_system(tmp_path: Path) -> None:
    code, error = start_and_fail("-p", "0", "-s", str(tmp_path / ("x" * 250)))

    assert code == 3
    assert error.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_an_identity_that_others_may_read(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "state") as server:
        server.stop()
    (tmp_path / "state.identity.seed").chmod(0o644)

    code, error = start_and_fail("-p", "0", "-s", str(tmp_path / "state"))

    assert code == 3
    assert "chmod 600" in error
    with ServerProcess(tmp_path / "state", options=["--bind", "127.0.0.1", "--fix-permissions"]):
        assert (tmp_path / "state.identity.seed").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("-p", "65536"), "65536"),
        (("-p", "port"), "port"),
        (("-b", "127.0.0.1:0"), "a port is a number"),
        (
            ("-b", "127.0.0.1:1") * 1
            + ("-b", "127.0.0.1:2", "-b", "a:1", "-b", "b:1", "-b", "c:1", "-b", "d:1"),
            "5",
        ),
        (("--public-ip", "node.example"), "write an IPv4 or IPv6 address"),
        (("--bind", "127.0.0.2"), "one IPv4 and one IPv6"),
        (("--colour",), "--colour"),
        (("--network", "elsewhere"), "mainnet"),
    ],
)
def test_wrong_settings(options: tuple[str, ...], said: str) -> None:
    code, error = start_and_fail("-s", "", *options)
    assert code == 2
    assert said in error


def test_an_address_of_another_machine() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dna_dht.cli.nodus", "-p", "0", "-s", "", "--bind", "192.0.2.200"],
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
    )
    assert done.returncode == 1
    assert "not an address of this machine" in done.stderr


async def test_a_stats_line_each_minute(capfd: pytest.CaptureFixture[str]) -> None:
    config = NodusConfig(port=0, bind=("127.0.0.1",))
    server = asyncio.create_task(daemon.serve(config, minute=0.02))
    out = ""
    async with asyncio.timeout(WAIT):
        while "[2 min]" not in out:
            await asyncio.sleep(0.01)
            out += capfd.readouterr().out
    os.kill(os.getpid(), signal.SIGTERM)

    assert await server == 0
    assert "[1 min] [0 nodes] [0 values]\n" in out
    assert out.index("[1 min]") < out.index("[2 min]")


def test_a_server_outlives_whoever_read_its_output(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dna_dht.cli.nodus", "-p", "0", "-s", str(tmp_path / "state")]
    with subprocess.Popen([*command, "--bind", "127.0.0.1"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith(b"DHT:   "):
            assert process.poll() is None
        process.stdout.close()
        process.send_signal(signal.SIGTERM)  # it prints that it stops
        process.wait(WAIT)

    assert (tmp_path / "state").exists(), "only a clean stop writes the state"


async def test_a_second_signal_exits_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    stop = asyncio.Event()
    daemon.watch_signals(stop)

    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(WAIT):
        await stop.wait()
    assert codes == []
    os.kill(os.getpid(), signal.SIGINT)
    async with asyncio.timeout(WAIT):
        while not codes:  # noqa: ASYNC110 - os._exit tells nobody
            await asyncio.sleep(0)
    assert codes == [1]
