"""Real nodes on 127.0.0.1, all in one process and one event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from dna_dht.core.config import CoreConfig
from dna_dht.crypto.node_identity import NodeIdentity
from dna_dht.node import Node, NodeConfig
from dna_dht.wire.infohash import InfoHash

LOCAL = "127.0.0.1"
KEY = InfoHash.of(b"key")
OTHER_KEY = InfoHash.of(b"other key")
PATIENCE = 10  # seconds until a test gives up


@cache
def identity(number: int) -> NodeIdentity:
    """The same for the same number, 0 to 255."""
    return NodeIdentity.from_seed(bytes([number]) * 32)


def config(*through: Node, who: int | None = None, **changes: Any) -> NodeConfig:
    """A node on a free IPv4 port that joins *through* others; ``core`` names settings of the core."""
    core: dict[str, Any] = {"ipv6": False, "maintenance": "off", **changes.pop("core", {})}
    settings: dict[str, Any] = {
        "core": CoreConfig(**core),
        "ipv4_host": LOCAL,
        "bootstrap": tuple(f"{LOCAL}:{node.port}" for node in through),
        "identity": None if who is None else identity(who),
        "verify_workers": 1,
        **changes,
    }
    return NodeConfig(**settings)


@asynccontextmanager
async def network(count: int, **changes: Any) -> AsyncIterator[list[Node]]:
    """*count* full nodes that all know each other; node n has the identity n."""
    nodes: list[Node] = []
    try:
        for number in range(count):
            node = Node(config(*nodes[:1], who=number, **changes))
            await node.start()
            nodes.append(node)
        await until(lambda: all(good_nodes(node) == count - 1 for node in nodes))
        yield nodes
    finally:
        await asyncio.gather(*(node.stop() for node in nodes))


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that no event tells."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.002)


def good_nodes(node: Node) -> int:
    return sum(node.stats()["good_nodes"].values())


def mute(node: Node) -> None:
    """Let *node* answer nothing more, as if its machine had gone."""
    sockets = node._host._driver.sockets
    for sock in (sockets.ipv4, sockets.ipv6):
        if sock is not None:
            asyncio.get_running_loop().remove_reader(sock)


def under_way(*nodes: Node) -> int:
    """Operations, listens and tasks that nodes would have to clean up."""
    return sum(
        len(node._host._operations) + len(node._host._listens) + node.stats()["operations"] for node in nodes
    )
