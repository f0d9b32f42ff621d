"""CoreConfig: what a node may be told, every limit named. Sources: spec 02, section 1; reliability, section
6.
"""

from dataclasses import dataclass
from typing import Literal

UNLIMITED = -1

MaintenancePolicy = Literal["renew", "reference", "off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what strangers can make a node spend. ``-1`` switches a limit off where its text says so."""

    requests_per_second: int = 8192
    """Incoming requests answered per second in all; -1: unlimited."""
    requests_per_source: int = 1024
    """The same per IPv4 address or IPv6 /64; -1: unlimited."""
    replies_per_source: int = 4096
    """Replies and stray parts per second and source; -1: unlimited."""
    rate_sources: int = 16_384
    """Sources whose rate is remembered; the longest silent one is forgotten first."""
    unproved_reply_bytes: int = 700
    """Largest answer, in bytes, to an address that has not proved it receives what we send."""
    unproved_per_source: int = 100
    """Answers and pings per second to one unproved address; -1: unlimited, per subnet too."""
    unproved_per_subnet: int = 500
    """The same to one /24 or IPv6 /48; -1: unlimited."""
    held_replies: int = 1024
    """Requests whose answer waits for the proof of an address."""
    held_replies_per_address: int = 16
    """The same of one address."""
    reply_values: int = 16
    """Whole values in one get reply; the rest is reachable by id."""
    reply_value_bytes: int = 1024 * 1024
    """Bytes of packed values in one get reply."""
    value_bytes_per_source: int = 16 * 1024 * 1024
    """Bytes of values per second in replies to one source, 1 or more; -1: unlimited. Loopback is exempt."""
    reassembly_request_bytes: int = 256 * 1024
    """Bytes one request may announce as parts."""
    reassembly_reply_bytes: int = 8 * 1024 * 1024
    """Bytes one reply to us may announce as parts."""
    reassembly_states_per_source: int = 64
    reassembly_bytes_per_source: int = 2 * 1024 * 1024
    """Arrived bytes of unfinished requests from one address."""
    reassembly_states: int = 1024
    reassembly_bytes: int = 32 * 1024 * 1024
    verifications_per_second: int = 2000
    """Signatures of strangers checked per second (half a core); -1: unlimited."""
    verifications_per_source: int = 200
    """The same for one address, with a burst of twice as many; -1: unlimited. Loopback is exempt."""
    verifications_pending: int = 1024
    """Signatures waiting for the verifier; above it values are dropped unanswered (senders retry)."""
    verified_digests: int = 65_536
    """Digests of (owner, signature, body) known to be valid."""
    keys: int = 2**20
    """Keys with values or listeners."""
    new_keys_per_source: int = 1024
    """New keys per minute and source; -1: unlimited. Loopback is exempt."""
    values_per_key: int = 1024
    values_per_key_and_owner: int = 64
    values_per_key_and_source: int = 256
    store_bytes: int = 64 * 1024 * 1024
    """Bytes of stored values received from others; -1: unlimited."""
    local_bytes: int = 256 * 1024 * 1024
    """Bytes of stored values put by this node."""
    tombstones: int = 65_536
    """Highest revisions remembered after a value expired or was evicted."""
    remote_listeners: int = 16_384
    remote_listeners_per_source: int = 1024
    """The same per address and port: what one node may have, for in a small network all meet at few nodes."""
    push_bytes: int = 32 * 1024 * 1024
    """Bytes of values in updates to listeners that are not confirmed yet."""
    listens: int = 1024
    """Listens of this node at once."""
    listen_values: int = 4096
    """Values remembered per listen."""
    blacklist: int = 1000
    address_votes: int = 32
    nodes: int = 65_536
    """Remote nodes remembered per address family."""
    searches: int = 4096
    """Keys whose closest nodes are remembered after an operation."""
    pending_persists: int = 4096
    """Values waiting for the disk; above it puts of persisted types are not answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreConfig:
    """Behaviour of one node. All times in seconds."""

    network: int = 0
    """Network id, 0 to 2**32 - 1; messages of other networks are dropped."""
    client_mode: bool = False
    """Mark every message as from a client: others neither list us nor store on us."""
    bootstrap_mode: bool = False
    """Keep a fuller routing table (buckets split to depth 6)."""
    accept_unsigned: bool = False
    """Store and deliver unsigned values: only for networks of stock OpenDHT nodes."""
    maintenance: MaintenancePolicy = "renew"
    """What keeps copies alive: ``renew`` (default), ``reference`` (hand over on displacement only),
    ``off``.
    """
    persist: bool = False
    """Answer puts of persisted types only after :meth:`DhtCore.persisted`."""
    ipv4: bool = True
    ipv6: bool = True
    operation_timeout: float = 15.0
    """After which an operation that makes no further progress ends with what it has."""
    maintenance_period: float = 600.0
    """Between two checks of a stored key, ± 25 % jitter."""
    check_bucket_period: float = 600.0
    """Age at which a bucket without answers is refreshed."""
    exempt_loopback: bool = True
    """Loopback sources are exempt from the per-source limits on verification and new keys."""
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if not 0 <= self.network < 2**32:
            raise ValueError(f"network: 0 to 2**32 - 1, got {self.network}")
        if not (self.ipv4 or self.ipv6):
            raise ValueError("at least one of ipv4 and ipv6 must be on")
