"""Experiments on simulated networks: what the project promises, measured with a seed and a size as arguments.

The tests run them small, ``python -m dna_dht.testing.sim`` runs them whole. An experiment returns a
:class:`Share`: how often something went well, of how many times. Figures and sizes: reliability, 8.3 and 8.4.
"""

from dataclasses import dataclass, replace
from math import sqrt

from dna_dht.core.config import MaintenancePolicy
from dna_dht.testing.churn import HOUR, Churn
from dna_dht.testing.faults import Faults
from dna_dht.testing.network import SimNetwork
from dna_dht.testing.operations import SimOperation
from dna_dht.testing.sim_node import SimNode
from dna_dht.wire.infohash import InfoHash

CLOSEST = 8  # nodes that hold a value; spec 02, section 1
LIMIT = 60.0  # seconds a user waits for an operation; reliability, 8.4
POLICIES: tuple[MaintenancePolicy, ...] = ("renew", "reference")
SMALL = 100  # bytes of a small record
_NORMAL_95 = 1.96  # standard deviations of a 95 % interval


@dataclass(frozen=True, slots=True)
class Share:
    """*good* of *n*, and what it cost to find out.

    Attributes:
        events: worked off by the simulation; datagrams: sent in it.
        failures: some words about the first things that went wrong.
    """

    good: int
    n: int
    events: int = 0
    datagrams: int = 0
    failures: tuple[str, ...] = ()

    @property
    def value(self) -> float:
        """0 to 1; 0 of nothing is 0."""
        return self.good / self.n if self.n else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the share (Wilson); for "all of n" its lower end is about 1 - 3.7/n."""
        if not self.n:
            return 0.0, 1.0
        z2 = _NORMAL_95**2
        middle = (self.good + z2 / 2) / (self.n + z2)
        half = _NORMAL_95 / (self.n + z2) * sqrt(self.good * (self.n - self.good) / self.n + z2 / 4)
        return max(0.0, middle - half), min(1.0, middle + half)

    def __add__(self, other: "Share") -> "Share":
        return Share(
            self.good + other.good,
            self.n + other.n,
            self.events + other.events,
            self.datagrams + other.datagrams,
            (self.failures + other.failures)[:10],
        )


def closest_found(seed: int, *, nodes: int = 1000, lookups: int = 200, loss: float = 0.0) -> Share:
    """*nodes* join; then lookups of random keys by random nodes: did they ask the eight closest of all?

    Not all of the eight have answered when a lookup ends: it does not wait for the slow ones.
    """
    net = SimNetwork(seed, loss=loss)
    net.grow(nodes)
    good, failures = 0, []
    for _ in range(lookups):
        asker, key = net.rng.choice(net.nodes), net.random_key()
        asked = [evidence.node_id for evidence in net.lookup(asker, key, strength="all").evidence]
        wanted = [node.node_id for node in net.true_closest(key, CLOSEST, besides=asker)]
        if asked[: len(wanted)] == wanted:
            good += 1
        else:
            missing = len(set(wanted) - set(asked))
            failures.append(f"seed {seed}: {asker!r} did not ask {missing} of the 8 closest to {key}")
    return _share(net, good, lookups, failures)


def put_and_get(
    seed: int,
    *,
    nodes: int = 300,
    loss: float = 0.05,
    operations: int = 1000,
    size: int = SMALL,
    at_once: int = 20,
    faults: Faults | None = None,
) -> tuple[Share, Share]:
    """Puts by random nodes, each followed by a get by another: (put at a quorum, got what was put)."""
    faults = faults or Faults()
    net = SimNetwork(seed, faults=replace(faults, loss=loss))
    net.grow(nodes)
    rounds = -(-operations // (2 * at_once))
    wrote, read = Share(0, 0), Share(0, 0)
    for _ in range(rounds):
        data = {net.random_key(): net.rng.randbytes(size) for _ in range(at_once)}
        puts = {key: net.start_put(net.rng.choice(net.nodes), key, net.value(data[key])) for key in data}
        net.wait_all(puts.values(), within=LIMIT)
        gets = {key: net.start_get(_other_than(net, puts[key].node), key) for key in data}
        net.wait_all(gets.values(), within=LIMIT)
        wrote += _counted(puts, {key for key, put in puts.items() if put.put and put.put.quorum}, "put", seed)
        read += _counted(gets, {key for key, get in gets.items() if data[key] in _data(get)}, "get", seed)
    return wrote + _share(net, 0, 0, []), read


def survival(
    seed: int,
    *,
    nodes: int = 200,
    values: int = 500,
    hours: float = 24.0,
    per_hour: float = 0.10,
    policy: MaintenancePolicy = "renew",
    loss: float = 0.0,
    size: int = SMALL,
) -> Share:
    """Publishers put *values* and leave for good; after *hours* of churn: which values can be read?"""
    net = SimNetwork(seed, loss=loss, maintenance=policy)
    net.grow(nodes)
    publishers = [net.add() for _ in range(5)]
    if not net.run_until(lambda: all(node.connected for node in publishers), LIMIT):
        raise AssertionError(f"seed {seed}: the publishers found no network")
    keys: dict[InfoHash, bytes] = {}
    while len(keys) < values:
        batch = {net.random_key(): net.rng.randbytes(size) for _ in range(min(20, values - len(keys)))}
        puts = [net.start_put(net.rng.choice(publishers), key, net.value(batch[key])) for key in batch]
        net.wait_all(puts, within=LIMIT)
        keys |= {key: batch[key] for key, put in zip(batch, puts, strict=True) if put.put and put.put.quorum}
    for publisher in publishers:
        net.remove(publisher)
    churn = Churn(net, per_hour=per_hour)
    net.run(hours * HOUR)
    churn.stop()
    good, failures = 0, []
    for key, wanted in keys.items():
        done = net.wait(net.start_get(net.rng.choice(_connected(net)), key))
        if wanted in _data(done):
            good += 1
        else:
            failures.append(f"seed {seed}: {key} is lost, {len(net.holders(key))} nodes hold it")
    return _share(net, good, len(keys), failures)


def large_values(
    seed: int, *, nodes: int = 20, loss: float = 0.10, operations: int = 100, size: int = 45_000
) -> tuple[Share, Share]:
    """Puts of large values, one after the other, each followed by a get by another node."""
    return put_and_get(seed, nodes=nodes, loss=loss, operations=2 * operations, size=size, at_once=1)


def _counted(
    operations: dict[InfoHash, SimOperation], succeeded: set[InfoHash], what: str, seed: int
) -> Share:
    failures = tuple(
        f"seed {seed}: {what} of {key} ended as {operation.outcome!r:.300}"
        for key, operation in operations.items()
        if key not in succeeded
    )
    return Share(len(succeeded), len(operations), failures=failures[:10])


def _data(operation: SimOperation) -> list[bytes]:
    return [value.data for value in operation.get.values] if operation.get is not None else []


def _other_than(net: SimNetwork, node: SimNode) -> SimNode:
    while (other := net.rng.choice(net.nodes)) is node:
        pass
    return other


def _connected(net: SimNetwork) -> list[SimNode]:
    return [node for node in net.nodes if node.connected]


def _share(net: SimNetwork, good: int, n: int, failures: list[str]) -> Share:
    return Share(good, n, net.events, net.internet.sent, tuple(failures[:10]))
