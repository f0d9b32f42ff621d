"""SimNode: one simulated node, from its first start over crashes and restarts. It runs the real core."""

from math import inf

from dna_dht.core.config import CoreConfig
from dna_dht.core.dht import DhtCore
from dna_dht.core.node_state import NodeState
from dna_dht.wire.address import Address, Family, unpack_ip
from dna_dht.wire.infohash import InfoHash

PORT = 4000
_IPV6_PREFIX = bytes.fromhex("2600")  # globally routed
_FIRST_OCTET, _OCTETS = 31, 64  # 31.0.0.0 to 94.255.255.255: public, nothing in it is special


class Endpoint:
    """One address of a node."""

    __slots__ = ("address", "family", "node")

    def __init__(self, node: "SimNode", address: Address, family: Family) -> None:
        self.node, self.address, self.family = node, address, family


class SimNode:
    """A node of a :class:`SimNetwork`. Created by :meth:`SimNetwork.add`.

    Attributes:
        index: number of the node, from 0 in the order they joined.
        node_id: stays the same over restarts.
        core: the engine; None while the node is down.
        state: what it knew when it stopped last; None before that.
        clock_error: seconds its wall clock is ahead.
        contacts: to whom it wrote and when, if it sits behind a NAT; None otherwise.
        protected: churn leaves it alone.
        salt: XOR of the salts of two nodes picks the delay between them.
        armed: monotonic seconds of its earliest timer in the heap.
        backlog, drained: bytes in its receive buffer, and when that was true.
        starts: how often it was started; effects of an earlier life are void.
    """

    __slots__ = (
        "armed",
        "backlog",
        "clock_error",
        "config",
        "contacts",
        "core",
        "drained",
        "endpoints",
        "index",
        "node_id",
        "protected",
        "salt",
        "starts",
        "state",
        "v4",
        "v6",
    )

    def __init__(
        self, index: int, node_id: InfoHash, config: CoreConfig, *, salt: int, clock_error: float, nat: bool
    ) -> None:
        self.index, self.node_id, self.config = index, node_id, config
        self.salt, self.clock_error = salt, clock_error
        self.contacts: dict[Address, float] | None = {} if nat else None
        self.v4 = Endpoint(self, _ipv4(index), 4) if config.ipv4 else None
        self.v6 = Endpoint(self, _ipv6(index), 6) if config.ipv6 else None
        self.endpoints = tuple(endpoint for endpoint in (self.v4, self.v6) if endpoint is not None)
        self.core: DhtCore | None = None
        self.state: NodeState | None = None
        self.protected = False
        self.armed = inf
        self.backlog = self.drained = 0.0
        self.starts = 0

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.core is not None

    @property
    def running(self) -> DhtCore:
        """The engine; RuntimeError if the node is down."""
        if self.core is None:
            raise RuntimeError(f"{self!r} is down")
        return self.core

    @property
    def connected(self) -> bool:
        """Whether it runs and knows a good node."""
        return self.core is not None and self.core.connected

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Its IPv4 and IPv6 address, as far as it has them."""
        return tuple(endpoint.address for endpoint in self.endpoints)

    def __repr__(self) -> str:
        return f"<SimNode {self.index} {self.node_id.hex()[:8]}{'' if self.core else ' down'}>"


def _ipv4(index: int) -> Address:
    """A public address in a /16 of its own (up to 16,384 nodes; then the next ones in the same)."""
    host, octet = divmod(index, _OCTETS)
    high, low = host % 256, host // 256
    return unpack_ip(bytes((_FIRST_OCTET + octet, high, low % 256, 1 + index % 250))), PORT


def _ipv6(index: int) -> Address:
    """A public address in a /48 of its own."""
    return unpack_ip(_IPV6_PREFIX + index.to_bytes(4, "big") + bytes(9) + b"\x01"), PORT
