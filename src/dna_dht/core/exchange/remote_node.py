"""RemoteNode: what we know of one other node. Source: spec 02, section 3.

A node is in one of three states, recomputed from two times and one flag whenever somebody asks:

* **good**: answered us within 120 min and was heard within 10 min. Only good nodes are named to others.
* **dubious**: neither good nor expired: heard of but never asked, or silent for long.
* **expired**: a request to it ran out of attempts (or it kept refusing our tokens). Any valid message
  revives it; so does, after a rest, being named by others: perhaps only our own line was dead.

One object per (id, family) lives in the :class:`~dna_dht.core.routing.node_cache.NodeCache`; tables, lookups
and requests share it. It is touched for every datagram, so the methods do plain arithmetic and allocate
nothing.
"""

from math import inf

from dna_dht.wire.address import Address, Family, family_of
from dna_dht.wire.infohash import InfoHash

NODE_GOOD_TIME = 7200.0  # seconds; last answer of a good node; spec 02, section 1
NODE_EXPIRE_TIME = 600.0  # seconds; last sign of life of a good node, and life of its token; same
MAX_AUTH_ERRORS = 3  # consecutive refusals of our token that are forgiven; same
MIN_RETRY = 0.06  # seconds; first retransmission at the earliest; spec 02, 25.1 item 7
SECOND_CHANCE = 60.0  # seconds an expired node rests before a mention revives it; doubled with every failure
MAX_DOUBLINGS = 6  # of that rest: about an hour at most
UNKNOWN_RETRY = 0.3  # seconds; first retransmission when the round trip was never measured; same
MAX_RETRY = 1.0  # seconds; the fixed delay of the reference, never exceeded; spec 02, section 1


class RemoteNode:
    """One remote node, seen from one address family. Times are monotonic seconds, ``-inf`` for never.

    Attributes:
        id, number: its node id, and the same as an integer (for XOR distances).
        address, family: where requests to it go. Changed by the node cache only.
        client: it asks not to be listed or stored on; such nodes never enter a routing table.
        last_heard: any valid message. last_reply: an answer to a request of ours. last_sent: our last
            request.
        expired: see the module text.
        failures: requests in a row that ran out of attempts.
        auth_errors: refusals of our token in a row.
        token, token_time: its last write token and when it came; ``b""`` if none.
        srtt, rttvar: smoothed round trip and its variation, seconds (RFC 6298); ``srtt`` is None if never
            measured.
        pending: our requests to it that are still open.
        pace_until: when the requests sent to it so far would have gone out at the permitted rate.
        slow: its current request missed the first retry; whoever waits may go on with the next node.
        in_table: a bucket holds it. held: other holders (listens, operations) that want its cache entry to
            stay.
    """

    __slots__ = (
        "address",
        "auth_errors",
        "client",
        "expired",
        "failures",
        "family",
        "held",
        "id",
        "in_table",
        "last_heard",
        "last_reply",
        "last_sent",
        "number",
        "pace_until",
        "pending",
        "rttvar",
        "slow",
        "srtt",
        "token",
        "token_time",
    )

    def __init__(self, node_id: InfoHash, address: Address, *, client: bool = False) -> None:
        self.id = node_id
        self.number = int.from_bytes(node_id, "big")
        self.address = address
        self.family: Family = family_of(address)
        self.client = client
        self.last_heard = -inf
        self.last_reply = -inf
        self.last_sent = -inf
        self.expired = False
        self.failures = 0
        self.auth_errors = 0
        self.token = b""
        self.token_time = -inf
        self.srtt: float | None = None
        self.rttvar = 0.0
        self.pending = 0
        self.slow = False
        self.in_table = False
        self.held = 0
        self.pace_until = -inf

    # -- states

    def is_good(self, now: float) -> bool:
        """It may be named to others and counts as a connection."""
        return (
            not self.expired
            and self.last_reply >= now - NODE_GOOD_TIME
            and self.last_heard >= now - NODE_EXPIRE_TIME
        )

    def is_dubious(self, now: float) -> bool:
        """Neither good nor expired: worth a question."""
        return not self.expired and not self.is_good(now)

    def is_old(self, now: float) -> bool:
        """Silent for more than 10 min, or never heard."""
        return self.last_heard < now - NODE_EXPIRE_TIME

    def has_token(self, now: float) -> bool:
        """A token younger than 10 min is at hand (a storing node accepts it for at least 15)."""
        return bool(self.token) and self.token_time >= now - NODE_EXPIRE_TIME

    def is_in_use(self) -> bool:
        """Somebody needs this very object."""
        return self.in_table or self.pending > 0 or self.held > 0

    # -- what happens to it

    def heard(self, now: float) -> None:
        """A valid message came from it."""
        self.last_heard = now
        self.expired = False

    def mentioned(self, now: float) -> None:
        """Another node named it: an expired node gets a chance 1, 2, 4 ... min after our last request."""
        if self.expired:
            rest = SECOND_CHANCE * 2.0 ** min(max(self.failures - 1, 0), MAX_DOUBLINGS)
            self.expired = self.last_sent > now - rest

    def replied(self, now: float, rtt: float | None = None) -> None:
        """It answered a request of ours; *rtt* in seconds, None if the request was sent twice (Karn)."""
        self.last_heard = self.last_reply = now
        self.expired = self.slow = False
        self.failures = 0
        if rtt is None:
            return
        if self.srtt is None:
            self.srtt = rtt
            self.rttvar = rtt / 2
        else:
            self.rttvar += (abs(self.srtt - rtt) - self.rttvar) / 4  # RFC 6298, 2.3: beta = 1/4
            self.srtt += (rtt - self.srtt) / 8  # alpha = 1/8

    def timed_out(self) -> None:
        """A request ran out of attempts: the node counts as gone until it is heard again."""
        self.expired = True
        self.failures += 1

    def got_token(self, token: bytes, now: float) -> None:
        """Remember a write token."""
        self.token = token
        self.token_time = now

    def refused_token(self) -> None:
        """It answered 401: forget the token; the fourth in a row expires the node."""
        self.token = b""
        self.auth_errors += 1
        if self.auth_errors > MAX_AUTH_ERRORS:
            self.expired = True

    def accepted_token(self) -> None:
        """A request with our token succeeded."""
        self.auth_errors = 0

    def reset(self) -> None:
        """Our network changed: what we knew about reaching it is void (spec 02, 8.3); its identity is not."""
        self.expired = self.slow = False
        self.last_heard = self.last_reply = -inf
        self.failures = self.auth_errors = 0
        self._forget_path()

    def moved(self, address: Address) -> None:
        """It lives at *address* (same family) now: token and round trip belonged to the old one."""
        self.address = address
        self._forget_path()

    # -- numbers

    def retry_after(self) -> float:
        """Seconds to wait for an answer before the first retransmission, 0.06 to 1."""
        if self.srtt is None:
            return UNKNOWN_RETRY
        return min(max(3 * self.srtt + 4 * self.rttvar, MIN_RETRY), MAX_RETRY)

    def distance(self, key_number: int) -> int:
        """XOR distance to a key given as an integer."""
        return self.number ^ key_number

    def __repr__(self) -> str:
        host, port = self.address
        return f"RemoteNode({self.id.hex()[:8]} {host} {port})"

    def _forget_path(self) -> None:
        self.token = b""
        self.srtt = None
        self.rttvar = 0.0
