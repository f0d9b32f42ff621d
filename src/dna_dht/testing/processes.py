"""Server processes for tests, demos and measurements: real `dna-nodus`, on the loopback address."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

START_LIMIT = 30.0  # seconds until a server must say that it runs; starting takes well under one
STOP_LIMIT = 10.0  # seconds until a server must have stopped; it promises five
_RUNNING = re.compile(r"DHT:   (?:[^ ]+):(\d+)")


class ServerProcess:
    """One `dna-nodus`, listening on 127.0.0.1. Leaving the ``with`` block kills it if it still runs.

    Attributes:
        port: UDP port; the same again after :meth:`start` of the same *path*.
        lines: what it printed on standard output so far.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        port: int = 0,
        bootstrap: Sequence[str] = (),
        options: Sequence[str] = ("--bind", "127.0.0.1"),
    ) -> None:
        """A server with its files beside *path* (None: in memory); nothing runs before :meth:`start`."""
        self.port = port
        self.lines: list[str] = []
        self._path = path
        self._bootstrap = tuple(bootstrap)
        self._options = tuple(options)
        self._changed = threading.Condition()
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    @property
    def endpoint(self) -> str:
        """``host:port`` for ``-b``."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the latest start."""
        return self._running.pid

    def start(self) -> Self:
        """Start it and wait until it says that it runs; RuntimeError with its output if it does not."""
        if self._process is not None and self._process.poll() is None:
            raise RuntimeError("the server runs already")
        command = [sys.executable, "-m", "dna_dht.cli.nodus", "-p", str(self.port)]
        command += ["-s", str(self._path or "")]
        for each in self._bootstrap:
            command += ["-b", each]
        self.lines = []
        self._process = subprocess.Popen(
            [*command, *self._options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        self._reader = threading.Thread(target=self._read, args=(self._process, self.lines), daemon=True)
        self._reader.start()
        line = self.wait_for(lambda line: bool(_RUNNING.fullmatch(line)), START_LIMIT)
        if line is None:
            self.kill()
            raise RuntimeError("dna-nodus did not start:\n" + "\n".join(self.lines))
        self.port = int(_RUNNING.fullmatch(line)[1])  # type: ignore[index]  # wait_for returned a match
        return self

    def wait_for(self, wanted: Callable[[str], bool], limit: float) -> str | None:
        """The first line that is *wanted*, of all since the start; None after *limit* seconds or its end."""

        def found() -> str | None:
            return next((line for line in self.lines if wanted(line)), None)

        with self._changed:
            self._changed.wait_for(lambda: found() is not None or not self._reading, limit)
            return found()

    def kill(self) -> None:
        """``kill -9``: it has no chance to do anything more. Harmless when it has ended."""
        process = self._running
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait(STOP_LIMIT)
        self._join()

    def stop(self, limit: float = STOP_LIMIT) -> int:
        """SIGTERM; wait at most *limit* seconds for its end and return its exit code."""
        self._running.send_signal(signal.SIGTERM)
        return self.wait(limit)

    def wait(self, limit: float = STOP_LIMIT) -> int:
        """Wait at most *limit* seconds until it ends by itself and return its exit code."""
        code = self._running.wait(limit)
        self._join()
        return code

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.kill()

    @property
    def _running(self) -> "subprocess.Popen[str]":
        if self._process is None:
            raise RuntimeError("the server was never started")
        return self._process

    @property
    def _reading(self) -> bool:
        return self._reader is not None and self._reader.is_alive()

    def _read(self, process: "subprocess.Popen[str]", lines: list[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with self._changed:
                lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def _join(self) -> None:
        if self._reader is not None:
            self._reader.join(STOP_LIMIT)
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()
