"""dna-dht listen, as a process of its own, against a real server."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import Result

from dna_dht.cli.failures import Exit
from dna_dht.testing.processes import ServerProcess
from dna_dht.wire.infohash import InfoHash

Run = Callable[..., Result]
Start = Callable[..., "subprocess.Popen[str]"]
WAIT = 20  # seconds


@pytest.fixture
def listen(server: ServerProcess) -> Iterator[Start]:
    """Start `dna-dht listen ARGUMENTS` and return it once it listens."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "dna_dht.cli.main", "listen", "-b", server.endpoint, *arguments]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
        )
        started.append(process)
        assert process.stderr is not None
        assert process.stderr.readline().startswith("listening to ")
        return process

    yield start
    for each in started:
        if each.poll() is None:
            each.kill()
        each.communicate(timeout=WAIT)


def test_values_edits_and_an_interrupt(run: Run, server: ServerProcess, listen: Start) -> None:
    run("put", "-b", server.endpoint, "text:watched", "first")
    listener = listen("text:watched", "--json")
    assert listener.stdout is not None
    added = json.loads(listener.stdout.readline())
    run("put", "-b", server.endpoint, "text:watched", "second")
    updated = json.loads(listener.stdout.readline())
    listener.send_signal(signal.SIGINT)

    assert listener.wait(WAIT) == Exit.OK
    assert [(each["change"], each["text"], each["seq"]) for each in (added, updated)] == [
        ("added", "first", 0),
        ("updated", "second", 1),
    ]
    assert added["key"] == InfoHash.of(b"watched").hex()
    assert added["time"].endswith("Z")
    assert datetime.fromisoformat(added["time"]) <= datetime.fromisoformat(updated["time"])


def test_it_ends_after_count_changes(run: Run, server: ServerProcess, listen: Start) -> None:
    listener = listen("text:counted", "--count", "2")
    for number in range(2):
        run("put", "-b", server.endpoint, "--id", str(number + 1), "text:counted", f"value {number}")
    out, err = listener.communicate(timeout=WAIT)

    assert listener.returncode == Exit.OK
    assert err == ""
    first, second = out.splitlines()
    assert " added id 1 seq 0 by " in first
    assert first.endswith(": value 0")
    assert second.endswith(": value 1")


def test_filters(run: Run, server: ServerProcess, listen: Start, tmp_path: Path) -> None:
    owner = json.loads(run("keygen", tmp_path / "bot", "--json").stdout)["owner"]
    by_owner = listen("text:filtered", "--owner", owner, "--count", "1")
    by_id = listen("text:filtered", "--id", "5", "--count", "1")
    run("put", "-b", server.endpoint, "text:filtered", "mine")
    bot = ("--identity", tmp_path / "bot", "--id", "5")
    run("put", "-b", server.endpoint, *bot, "text:filtered", "the bot's")

    for listener in (by_owner, by_id):
        out, _ = listener.communicate(timeout=WAIT)
        assert out.endswith(": the bot's\n")
        assert out.count("\n") == 1


def test_a_time_limit_with_nothing_to_see(run: Run, server: ServerProcess) -> None:
    result = run("listen", "-b", server.endpoint, "--timeout", "1", "text:quiet")

    assert result.exit_code == Exit.NOT_FOUND
    assert result.stdout == ""
    assert "nothing changed under text:quiet" in result.stderr


def test_a_time_limit_after_a_change(run: Run, server: ServerProcess) -> None:
    run("put", "-b", server.endpoint, "text:seen", "here")
    result = run("listen", "-q", "-b", server.endpoint, "--timeout", "1.5", "text:seen")

    assert result.exit_code == Exit.OK
    assert result.stdout.endswith(": here\n")
    assert result.stderr == ""


def test_no_node_within_the_time_limit(run: Run) -> None:
    result = run("listen", "-b", "127.0.0.1:9", "--timeout", "0.3", "text:x")
    assert result.exit_code == Exit.NO_ANSWER
