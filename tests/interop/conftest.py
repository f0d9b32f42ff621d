"""Both sides of the interoperability tests: C++ nodes in a child process, ours in this one."""

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from dna_dht.core.config import CoreConfig
from dna_dht.node.config import NodeConfig
from dna_dht.node.node import Node

PEER = Path(__file__).with_name("cpp_peer.py")
ANSWER = 30.0  # seconds; the engine gives an operation up after about 14
LINE = 16 * 1024 * 1024  # bytes of one answer


class CppPeer:
    """The child process; every call is answered, or fails after ``ANSWER`` seconds."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._events: dict[int, asyncio.Queue[dict[str, Any]]] = {}
        self._seq = 0
        self._reader = asyncio.create_task(self._read())

    async def call(self, op: str, **arguments: Any) -> dict[str, Any]:
        """Send a command; its answer. AssertionError if the child could not carry it out."""
        self._seq += 1
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[self._seq] = future
        self._events[self._seq] = asyncio.Queue()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"op": op, "seq": self._seq, **arguments}).encode() + b"\n")
        answer = await asyncio.wait_for(future, ANSWER)
        assert "error" not in answer, f"{op}: {answer['error']}"
        return answer

    async def put(self, key: bytes, data: bytes, **arguments: Any) -> bool:
        """Put unsigned data; whether a node acknowledged it."""
        encoded = base64.b64encode(data).decode()
        return bool((await self.call("put", key=key.hex(), data=encoded, **arguments))["ok"])

    async def get(self, key: bytes, **arguments: Any) -> list[bytes]:
        """The data of all values at *key*."""
        answer = await self.call("get", key=key.hex(), **arguments)
        return [base64.b64decode(value["data"]) for value in answer["values"]]

    async def listen(self, key: bytes, **arguments: Any) -> Callable[[], Awaitable[tuple[bytes, bool]]]:
        """Listen; the result waits for the next (data, expired)."""
        await self.call("listen", key=key.hex(), **arguments)
        events = self._events[self._seq]

        async def change() -> tuple[bytes, bool]:
            event = await asyncio.wait_for(events.get(), ANSWER)
            return base64.b64decode(event["data"]), event["expired"]

        return change

    async def close(self) -> None:
        """Kill it: the engine's own way out can hang."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reader

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            answer = json.loads(line)
            if "listen" in answer:
                self._events[answer["listen"]].put_nowait(answer)
            elif not (future := self._waiting.pop(answer["seq"])).done():
                future.set_result(answer)


@pytest.fixture
async def cpp() -> AsyncIterator[CppPeer]:
    """A child process without nodes so far."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PEER), stdin=pipe, stdout=pipe, limit=LINE
    )
    peer = CppPeer(process)
    try:
        yield peer
    finally:
        await peer.close()


@pytest.fixture(params=["127.0.0.1", "::1"], ids=["IPv4", "IPv6"])
def host(request: pytest.FixtureRequest) -> str:
    """Where the nodes of a test live."""
    return str(request.param)


StartNode = Callable[..., Awaitable[Node]]


@pytest.fixture
async def start_node() -> AsyncIterator[StartNode]:
    """Start nodes of ours that take unsigned values, stopped after the test."""
    started: list[Node] = []

    async def start(host: str, *bootstrap: int) -> Node:
        ipv6 = ":" in host
        where = f"[{host}]" if ipv6 else host
        node = Node(
            NodeConfig(
                core=CoreConfig(ipv4=not ipv6, ipv6=ipv6, accept_unsigned=True),
                ipv4_host="127.0.0.1",
                ipv6_host="::1",
                bootstrap=tuple(f"{where}:{port}" for port in bootstrap),
            )
        )
        started.append(node)
        await node.start()
        return node

    yield start
    await asyncio.gather(*(node.stop() for node in started))
