"""Child processes: started, spoken to in JSON lines, measured, and gone at the end whatever happens.

Children end when their input ends, so none outlives this process; at the end of a ``with`` they are killed by
their own pid besides, because the C++ engine's way out can hang.
"""

import asyncio
import json
import socket
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
CPP_PEER = ROOT / "tests" / "interop" / "cpp_peer.py"
LINE = 64 * 1024 * 1024  # bytes of one answer; values come in base64
ANSWER = 60.0  # seconds


class Child:
    """A Python process that answers JSON lines: ``{"op": ..., "seq": 1}`` -> ``{"seq": 1, ...}``."""

    def __init__(self, *arguments: str) -> None:
        """*arguments*: of the interpreter, like ``-m bench.relay``."""
        self._arguments = arguments
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._seq = 0
        self._reader: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self.on_event: Callable[[dict[str, Any]], None] = lambda event: None

    async def __aenter__(self) -> Self:
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, *self._arguments, stdin=pipe, stdout=pipe, cwd=ROOT, limit=LINE
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()

    @property
    def pid(self) -> int:
        return self._running.pid

    async def call(self, op: str, **arguments: Any) -> dict[str, Any]:
        """Send a command and return its answer; RuntimeError if it has an ``error`` or the child died."""
        self._seq += 1
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[self._seq] = future
        stdin = self._running.stdin
        assert stdin is not None
        stdin.write(json.dumps({"op": op, "seq": self._seq, **arguments}).encode() + b"\n")
        await stdin.drain()
        answer = await asyncio.wait_for(future, ANSWER)
        if "error" in answer:
            raise RuntimeError(f"{' '.join(self._arguments)}: {op}: {answer['error']}")
        return answer

    async def kill(self) -> None:
        """End it now."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._reader is not None:
            await self._reader
            self._reader = None

    def cpu(self) -> float:
        """Seconds of processor time it has used."""
        return cpu_seconds(self.pid)

    @property
    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError("not started")
        return self._process

    async def _read(self) -> None:
        stdout = self._running.stdout
        assert stdout is not None
        while line := await stdout.readline():
            answer = json.loads(line)
            future = self._waiting.pop(answer.get("seq"), None)
            if future is None:
                self.on_event(answer)
            elif not future.done():
                future.set_result(answer)
        for future in self._waiting.values():
            if not future.done():
                future.set_result({"error": "the process ended"})


def cpp_child() -> Child:
    """A process for nodes of the C++ engine."""
    return Child(str(CPP_PEER))


def own_child() -> Child:
    """A process for one node of ours."""
    return Child("-m", "bench.own_node")


def relay_child() -> Child:
    """A process for the relay."""
    return Child("-m", "bench.relay")


async def start_all(stack: AsyncExitStack, make: Callable[[], Child], count: int) -> list[Child]:
    """Start *count* children that live as long as *stack*."""
    return [await stack.enter_async_context(make()) for _ in range(count)]


def cpu_seconds(pid: int) -> float:
    """Processor time of all threads of a process, by the scheduler's own nanosecond clock."""
    tasks = Path(f"/proc/{pid}/task")
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9


def free_port() -> int:
    """A UDP port of 127.0.0.1 that nobody uses at the moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def now() -> float:
    """Seconds of the clock all benchmarks use."""
    return time.perf_counter()
