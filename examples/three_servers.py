"""Three servers on the loopback address, one of them killed: nothing is lost.

Starts three `dna-nodus` processes, puts values from one client, kills one server with ``kill -9`` and
starts it again, reads all values from another client, and measures how long a listener waits for an edit.
Everything is bounded and cleaned up. Run by ``make demo``; ``--values`` and ``--size`` make it smaller.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from random import Random

from dna_dht import CoreConfig, InfoHash, Node, NodeConfig, NodeIdentity
from dna_dht.testing.processes import ServerProcess

DAY = 86_400  # seconds
WAIT = 10.0  # seconds for a client to find a node, and for a change to arrive
EDIT_LIMIT = 50.0  # milliseconds from a put to a listener, the figure this demo holds the project to
AT_ONCE = 8  # puts and gets under way at once


def client(servers: Iterable[ServerProcess], identity: NodeIdentity | None = None) -> Node:
    """A client of these servers that signs with *identity*."""
    return Node(
        NodeConfig(
            core=CoreConfig(client_mode=True, ipv6=False),
            ipv4_host="127.0.0.1",
            bootstrap=tuple(server.endpoint for server in servers),
            identity=identity,
        )
    )


def make_values(count: int, size: int) -> dict[InfoHash, bytes]:
    """*count* different values of *size* bytes, by key."""
    random = Random(2)
    return {InfoHash.of(b"letter %d" % number): random.randbytes(size) for number in range(count)}


async def put_all(node: Node, values: dict[InfoHash, bytes]) -> None:
    """Put every value, several at once; a put that nobody acknowledges raises."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def put(key: InfoHash, data: bytes) -> None:
        async with limit:
            await node.put_signed(key, data, value_id=1, ttl=365 * DAY, permanent=False)

    async with asyncio.TaskGroup() as group:
        for key, data in values.items():
            group.create_task(put(key, data))


async def count_right(node: Node, values: dict[InfoHash, bytes], owner: InfoHash) -> int:
    """How many of *values* are read back byte for byte."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def is_right(key: InfoHash, data: bytes) -> bool:
        async with limit:
            return [value.data for value in await node.get(key, owner=owner)] == [data]

    return sum(await asyncio.gather(*(is_right(key, data) for key, data in values.items())))


async def edit_delay(writer: Node, reader: Node) -> float:
    """Seconds from the start of a put that edits a value until a listener elsewhere has the edit."""
    key = InfoHash.of(b"watched")
    await writer.put_signed(key, b"before", value_id=1)
    async with asyncio.timeout(WAIT), reader.listen(key) as changes:
        await anext(changes)
        started = time.perf_counter()
        edit = asyncio.create_task(writer.put_signed(key, b"after", value_id=1))
        change = await anext(changes)
        delay = time.perf_counter() - started
        await edit
    assert change.value.data == b"after"
    return delay


async def story(servers: list[ServerProcess], count: int, size: int, edit_limit: float) -> bool:
    """The whole demo on running *servers*; whether everything was as promised."""
    identity = NodeIdentity.generate()
    values = make_values(count, size)
    async with client(servers, identity) as writer:
        await writer.ready(WAIT)
        await put_all(writer, values)
    print(f"put {count} values of {size:,} bytes", flush=True)

    await asyncio.to_thread(servers[1].kill)
    await asyncio.to_thread(servers[1].start)
    print("killed server 2 and started it again", flush=True)

    async with client(servers[1:]) as reader, client(servers[:1], identity) as writer:
        await reader.ready(WAIT)
        await writer.ready(WAIT)
        right = await count_right(reader, values, identity.owner_id)
        print(f"read {right} of {count} values, all as they were put", flush=True)
        delay = 1000 * await edit_delay(writer, reader)
        print(f"a listener saw the edit after {delay:.1f} ms", flush=True)
    return right == count and delay <= edit_limit


def main() -> int:
    """Run the demo; 0 if everything was as promised."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--values", type=int, default=100)
    parser.add_argument("--size", type=int, default=45_000, help="bytes of each")
    parser.add_argument("--edit-limit", type=float, default=EDIT_LIMIT, help="milliseconds until the edit")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        first = stack.enter_context(ServerProcess(Path(directory, "1", "state")))
        others = [
            stack.enter_context(ServerProcess(Path(directory, name, "state"), bootstrap=[first.endpoint]))
            for name in ("2", "3")
        ]
        servers = [first, *others]
        print("three servers: " + ", ".join(server.endpoint for server in servers), flush=True)
        return 0 if asyncio.run(story(servers, options.values, options.size, options.edit_limit)) else 1


if __name__ == "__main__":
    sys.exit(main())
