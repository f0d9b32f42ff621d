"""The code of the documentation runs, and prints what the page says.

Each page is one story, run in order in an empty directory with a home of its own; the ports it names are
replaced by free ones. Kinds of fenced blocks:

* ``sh``: run; must succeed, and print what a following ``output`` block shows. A first line ``# exit N`` says
  that the last command ends with N.
* ``sh background``: started and left running; a following ``output`` block is waited for.
* ``output background``: further lines of the latest background block.
* ``python``: run as a script; ``output`` as above.
* ``<!-- background: COMMAND -->``: a server that the reader has running already.
* ``sh norun``, ``text``, ``toml``, ``json`` and others: shown, not run.

In output ``…`` stands for anything; the lines must come in this order, others may be between.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
WAIT = 30.0  # seconds until a block must have done its work
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
UNSEEN = re.compile(r"^<!-- background: (.*) -->$", re.MULTILINE)
RUNNING = "=== DNA Nodus v… Running ==="
PORT = re.compile(r"(?<=127\.0\.0\.1:)\d{2,5}|(?<=-p )\d{2,5}|(?<=port=)\d{2,5}")


@dataclass
class Background:
    """A block that keeps running, and what it printed so far."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line.rstrip("\n"))
                self.changed.notify_all()

    def expect(self, shown: str) -> None:
        with self.changed:
            found = self.changed.wait_for(lambda: missing(shown, self.lines) is None, WAIT)
        assert found, f"{missing(shown, self.lines)!r} did not come; printed: {self.lines}"


class Story:
    """One page being run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.running: list[Background] = []
        self.printed: list[str] = []
        self.environment = os.environ | {
            "HOME": str(directory),
            "XDG_CONFIG_HOME": str(directory / "config"),
            "XDG_DATA_HOME": str(directory / "data"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": "120",
        }

    def run(self, command: list[str], code: int = 0) -> None:
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=self.environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=4 * WAIT,
            check=False,
        )
        assert done.returncode == code, done.stdout
        self.printed = done.stdout.splitlines()

    def start(self, command: list[str]) -> None:
        process = subprocess.Popen(
            command,
            cwd=self.directory,
            env=self.environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        started = Background(process)
        self.running.append(started)
        threading.Thread(target=started.read, daemon=True).start()

    def close(self) -> None:
        for each in self.running:
            if each.process.poll() is None:
                os.killpg(each.process.pid, signal.SIGTERM)
        deadline = time.monotonic() + WAIT
        for each in self.running:
            each.process.wait(max(0.0, deadline - time.monotonic()))
            if each.process.stdout is not None:
                each.process.stdout.close()


def missing(shown: str, printed: list[str]) -> str | None:
    """The first line of *shown* that is not in *printed* after the ones before it; None if all are."""
    rest = iter(printed)
    for line in filter(None, shown.splitlines()):
        pattern = re.compile(re.escape(line.rstrip()).replace("…", ".*"))
        if not any(pattern.fullmatch(each.rstrip()) for each in rest):
            return line
    return None


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def with_free_ports(text: str) -> str:
    chosen: dict[str, str] = {}
    return PORT.sub(lambda match: chosen.setdefault(match[0], str(free_port())), text)


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    story = Story(tmp_path)
    yield story
    story.close()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_runs(page: Path, story: Story) -> None:
    latest: Background | None = None
    after_background = False
    text = UNSEEN.sub(rf"```sh background\n\1\n```\n```output\n{RUNNING}\n```", page.read_text())
    for language, rest, code in BLOCK.findall(with_free_ports(text)):
        words = rest.split()
        if "norun" in words:
            continue
        if language == "sh" and "background" in words:
            story.start(["bash", "-c", code])
            latest, after_background = story.running[-1], True
        elif language == "sh":
            exit_code = re.match(r"# exit (\d+)", code)
            story.run(["bash", "-e", "-o", "pipefail", "-c", code], int(exit_code[1]) if exit_code else 0)
            after_background = False
        elif language == "python":
            (story.directory / "block.py").write_text(code)
            story.run([sys.executable, "block.py"])
            after_background = False
        elif language == "output" and ("background" in words or after_background):
            assert latest is not None
            latest.expect(code)
        elif language == "output":
            assert missing(code, story.printed) is None, story.printed
