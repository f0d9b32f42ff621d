"""Eight servers on loopback, with or without the relay between them, of our kind or of the C++ engine's."""

from contextlib import AsyncExitStack
from random import Random

from bench.processes import Child, cpp_child, free_port, own_child, relay_child, start_all
from dna_dht.core.config import CoreConfig
from dna_dht.crypto.node_identity import NodeIdentity
from dna_dht.node.config import NodeConfig
from dna_dht.node.node import Node
from dna_dht.wire.infohash import InfoHash

HOST = "127.0.0.1"
SERVERS = 8
READY = 20.0  # seconds to find the network
SERVER_HALF, CLIENT_HALF = (
    0,
    1,
)  # of the id space: keys of the first are closer to all servers than to clients


class Network:
    """Where servers and clients meet: maps ports through the relay if there is one.

    Attributes:
        first: the port everybody bootstraps from; 0 before there is one.
        ports: of the servers.
    """

    def __init__(self, stack: AsyncExitStack, relay: Child | None) -> None:
        self._stack, self._relay = stack, relay
        self._rng = Random(5)
        self.first = 0
        self.ports: list[int] = []

    @classmethod
    async def open(cls, stack: AsyncExitStack, *, delayed: bool) -> "Network":
        """An empty network; *delayed*: everything passes a relay, so far without delay."""
        return cls(stack, await stack.enter_async_context(relay_child()) if delayed else None)

    async def weather(self, *, delay: float = 0.0, loss: float = 0.0) -> None:
        """Seconds one way and share of lost datagrams from now on."""
        if self._relay is None:
            raise RuntimeError("without a relay there is no weather")
        await self._relay.call("weather", delay=delay, loss=loss)

    async def mute(self, port: int, *, on: bool = True) -> None:
        """Nobody hears the node at *port*, and it hears nobody; or it is back."""
        if self._relay is None:
            raise RuntimeError("without a relay nobody can be muted")
        await self._relay.call("mute" if on else "unmute", port=port)

    async def place(self) -> tuple[int, list[str]]:
        """A port for one more node, known to the relay, and whom the node shall bootstrap from."""
        port = free_port()
        known = port
        if self._relay is not None:
            known = (await self._relay.call("map", port=port))["relay"]
        bootstrap = [f"{HOST}:{self.first}"] if self.first else []
        self.first = self.first or known
        return port, bootstrap

    async def own_servers(self) -> list[Child]:
        """Eight nodes of ours, each in a process of its own."""
        children = await start_all(self._stack, own_child, SERVERS)
        for child in children:
            port, bootstrap = await self.place()
            self.ports.append(port)
            await child.call("start", port=port, bootstrap=bootstrap, unlimited=True)
        return children

    async def cpp_servers(self) -> Child:
        """Eight nodes of the C++ engine in one process."""
        child = await self._stack.enter_async_context(cpp_child())
        for number in range(SERVERS):
            self.ports.append(await self.cpp_node(child, number, SERVER_HALF))
        return child

    async def cpp_node(self, child: Child, number: int, half: int) -> int:
        """One node of the C++ engine in *child*, joined, with an id in that *half* of the space; its port."""
        port, bootstrap = await self.place()
        node_id = in_half(half, self._rng)
        await child.call("start", node=number, port=port, unlimited=True, id=node_id.hex())
        for address in bootstrap:
            host, _, known = address.rpartition(":")
            await child.call("bootstrap", node=number, host=host, port=int(known))
        return port

    async def client(self, *, seed: int) -> Node:
        """A node of ours in this process that stores nothing for others, connected."""
        port, bootstrap = await self.place()
        node = await self._stack.enter_async_context(
            Node(
                NodeConfig(
                    core=CoreConfig(ipv6=False, client_mode=True),
                    port=port,
                    ipv4_host=HOST,
                    bootstrap=tuple(bootstrap),
                    identity=NodeIdentity.from_seed(bytes((seed,)) * 32),
                )
            )
        )
        await node.ready(READY)
        return node


def in_half(half: int, rng: Random) -> InfoHash:
    """A random id that begins with the bit *half*."""
    return InfoHash((rng.getrandbits(159) | half << 159).to_bytes(20, "big"))
