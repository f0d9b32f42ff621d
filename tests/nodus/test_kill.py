"""`kill -9` during writes, again and again: nothing acknowledged is lost or older. Reliability, G1.

DNA_DHT_KILLS says how often; `make kill` does it a hundred times.
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from dna_dht import CoreConfig, InfoHash, NetworkError, Node, NodeConfig, NodeIdentity, PutReceipt
from dna_dht.core.values.value_types import DNA_30_DAYS, DNA_365_DAYS
from dna_dht.testing.processes import ServerProcess

KILLS = int(os.environ.get("DNA_DHT_KILLS", "10"))
SIZES = (10, 2_000, 45_000)  # bytes of data: in one datagram, in a few parts, in many
WRITERS = 6  # keys written at once
LIFE = 0.09  # seconds, the longest that a server writes before it is killed
WAIT = 20.0  # seconds

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


class Ledger:
    """What was tried and what was acknowledged, for one key."""

    def __init__(self, number: int) -> None:
        self.key = InfoHash.of(b"ledger %d" % number)
        self.value_type = (DNA_365_DAYS, DNA_30_DAYS)[number % 2]
        self.size = SIZES[number % len(SIZES)]
        self.tried: list[bytes] = []
        self.acknowledged: PutReceipt | None = None
        self.latest = b""

    async def write(self, node: Node) -> None:
        """Replace the value again and again until the server is gone."""
        while True:
            data = f"{self.key} {len(self.tried)} ".encode().ljust(self.size, b".")
            self.tried.append(data)
            receipt = await node.put_signed(
                self.key, data, value_id=1, value_type=self.value_type, permanent=False
            )
            self.acknowledged, self.latest = receipt, data

    async def check(self, node: Node) -> None:
        """The network has the acknowledged value, or one that was tried after it."""
        if self.acknowledged is None:
            return
        values = await node.get(self.key, owner=ME.owner_id)
        assert values, f"{self.key}: revision {self.acknowledged.seq} was acknowledged and is gone"
        assert values[0].seq >= self.acknowledged.seq, f"{self.key}: an older revision came back"
        assert values[0].data in self.tried[self.tried.index(self.latest) :]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "state") as server:
        yield server


@pytest.mark.timeout(60 + 6 * KILLS)
async def test_no_acknowledged_value_is_lost_or_older(server: ServerProcess) -> None:
    random = Random(20)
    ledgers = [Ledger(number) for number in range(WRITERS)]
    for _ in range(KILLS):
        async with client(server, ME) as node:
            await node.ready(WAIT)
            writing = [asyncio.create_task(ledger.write(node)) for ledger in ledgers]
            await asyncio.sleep(random.uniform(0.0, LIFE))
            await asyncio.to_thread(server.kill)
            for task in writing:
                task.cancel()
            for result in await asyncio.gather(*writing, return_exceptions=True):
                assert isinstance(result, asyncio.CancelledError | NetworkError), result
        await asyncio.to_thread(server.start)
        async with client(server) as reader:
            await reader.ready(WAIT)
            await asyncio.gather(*(ledger.check(reader) for ledger in ledgers))

    assert all(ledger.acknowledged is not None for ledger in ledgers), "too few writes to tell anything"
