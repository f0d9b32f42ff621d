"""NodeConfig: everything a node may be told. Sources: spec 04, section 1; spec 00, section 5."""

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from dna_dht.core.config import CoreConfig
from dna_dht.crypto.node_identity import NodeIdentity
from dna_dht.crypto.verifiers import VERIFIERS
from dna_dht.errors import ConfigError
from dna_dht.runtime.resolve import DEFAULT_PORT, parse
from dna_dht.store.port import ValueStore

MAX_WORKERS = 64  # threads; more than any machine this runs on can use
HOLD_TIMEOUT = 10.0  # seconds; spec 02, section 25, item 11
HAND_OVER_TIMEOUT = 6.0  # seconds; of the ten that stopping may take, reliability, T31


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """Settings of one node; ConfigError if one cannot work.

    Attributes:
        core: behaviour on the network: network id, client mode, families, maintenance, limits. ``persist`` is
            set by whether there is a *store*.
        port: UDP port of both families, 0 to 65,535; 0 lets the system choose.
        ipv4_host, ipv6_host: IP address to bind of each family that ``core`` has switched on. The defaults
            mean all addresses of the machine, and go without a family it lacks; any other must be bindable.
        bootstrap: ``host:port`` or ``[IPv6]:port`` of nodes to join through; none starts a network of its
            own.
        default_port: meant by an address without port.
        identity: the key that signs what is put, and the node's id; None reads and listens only, under a
            random id.
        random_id: take a random node id although there is an identity: for programs of one identity that run
            at the same time, since others would take them for one node.
        verifier: which back end checks signatures: ``cryptography`` or ``liboqs``.
        verify_workers: threads that check and make signatures, 0 to 64; 0 works in the event loop; None takes
            one less than there are cores, at least one.
        store: where values of persisted types are kept; the node closes it when it stops. None: memory only.
        state_path: file for the node id, known nodes and stored values, read at start and written by stop;
            None: no file.
        hold_timeout: seconds that an operation waits for a connection before it fails.
        hand_over_timeout: seconds of stopping in which copies of stored values are brought to other nodes.
    """

    core: CoreConfig = field(default_factory=CoreConfig)
    port: int = 0
    ipv4_host: str = "0.0.0.0"
    ipv6_host: str = "::"
    bootstrap: tuple[str, ...] = ()
    default_port: int = DEFAULT_PORT
    identity: NodeIdentity | None = None
    random_id: bool = False
    verifier: str = VERIFIERS[0]
    verify_workers: int | None = None
    store: ValueStore | None = None
    state_path: Path | None = None
    hold_timeout: float = HOLD_TIMEOUT
    hand_over_timeout: float = HAND_OVER_TIMEOUT

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ConfigError(f"port {self.port}: a port is a number from 0 to 65535")
        if not 1 <= self.default_port <= 65_535:
            raise ConfigError(f"default port {self.default_port}: a port is a number from 1 to 65535")
        for name, host, version in (("ipv4_host", self.ipv4_host, 4), ("ipv6_host", self.ipv6_host, 6)):
            if _version(host) != version:
                raise ConfigError(f"{name} {host!r}: write an IPv{version} address")
        if isinstance(self.bootstrap, str):
            raise ConfigError("bootstrap: give a tuple of addresses, not one text")
        for text in self.bootstrap:
            parse(text, default_port=self.default_port)
        if self.verifier not in VERIFIERS:
            raise ConfigError(f"verifier {self.verifier!r} is unknown: choose one of {', '.join(VERIFIERS)}")
        if self.verify_workers is not None and not 0 <= self.verify_workers <= MAX_WORKERS:
            raise ConfigError(f"verify_workers {self.verify_workers}: 0 to {MAX_WORKERS}")
        if not self.hold_timeout >= 0:
            raise ConfigError(f"hold_timeout {self.hold_timeout}: seconds, 0 or more")
        if not self.hand_over_timeout >= 0:
            raise ConfigError(f"hand_over_timeout {self.hand_over_timeout}: seconds, 0 or more")
        if self.store is not None and self.core.client_mode:
            raise ConfigError("a client keeps nothing for others: leave out the store, or client_mode")


def _version(host: str) -> int | None:
    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        return None
