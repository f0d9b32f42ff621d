"""Our node against the C++ engine (PyPI opendht 4.4.2) as servers of the same requests.

Both are driven by the same client, alternating in one run, with rate limits off (all load comes from one
address) and 64 other nodes in the routing table. Figure: processor time per answered request, ours over
theirs. Values are unsigned, 2 kB, and signatures play no part.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from bench.bare_loop import drive
from bench.processes import Child, cpp_child, free_port, own_child
from bench.raw_client import Crowd, RawClient
from bench.report import Report, p50
from dna_dht.wire import encode as write
from dna_dht.wire import messages as m
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack

ROUNDS = 5
SMALL, SMALL_WINDOW = 3000, 16  # requests a round that are answered by one datagram
LARGE, LARGE_WINDOW = 300, 8  # requests a round that carry a value
SIZE = 2048  # bytes of data in a value


@dataclass
class _Server:
    """One side of the comparison."""

    child: Child
    client: RawClient
    crowd: Crowd
    keys: list[InfoHash] = field(default_factory=list)
    costs: dict[str, list[float]] = field(default_factory=dict)

    def measure(self, name: str, action: Callable[[], int], expected: int) -> None:
        """Run *action*, which returns how many requests were answered, and book their cost."""
        before = self.child.cpu()
        answered = action()
        if answered < 0.98 * expected:
            raise RuntimeError(f"{name}: only {answered} of {expected} requests were answered")
        self.costs.setdefault(name, []).append((self.child.cpu() - before) / answered)


async def run(report: Report) -> None:
    """Measure ping, find, get of an unknown key, put and get of a value."""
    rng = Random(2)
    async with own_child() as own, cpp_child() as cpp:
        port = free_port()
        await own.call("start", port=port, unlimited=True, accept_unsigned=True)
        cpp_port = (await cpp.call("start", unlimited=True))["port4"]
        servers = [_server(own, port, rng), _server(cpp, cpp_port, rng)]
        for server in servers:
            server.crowd.introduce()
        for _ in range(ROUNDS):
            for server in servers:
                _round(server, rng)
                server.crowd.serve(0.1)
        for server in servers:
            server.client.close()
            server.crowd.close()
    ours, theirs = servers[0].costs, servers[1].costs
    for name, costs in ours.items():
        n = ROUNDS * (LARGE if name in ("put", "get_value") else SMALL)
        note = f"{p50(costs) * 1e6:.1f} us / {p50(theirs[name]) * 1e6:.1f} us; rate limits off"
        report.add(f"node_vs_opendht.{name}", p50(costs) / p50(theirs[name]), "x_opendht_cpu", n, note=note)


def _server(child: Child, port: int, rng: Random) -> _Server:
    address = ("127.0.0.1", port)
    return _Server(child, RawClient(address, rng), Crowd(address, rng))


def _round(server: _Server, rng: Random) -> None:
    client, address = server.client, server.client.server
    me = client.node_id

    def batch(make: Callable[[int], bytes]) -> Callable[[], int]:
        datagrams = [make(rng.getrandbits(32)) for _ in range(SMALL)]
        return lambda: drive(address, datagrams, SMALL_WINDOW)

    def get(tid: int) -> bytes:
        return write.encode(m.Get(tid=tid, sender=me, key=InfoHash(rng.randbytes(20)), client=True))[0]

    server.measure("ping", batch(lambda tid: write.ping(tid, me, client=True)), SMALL)
    server.measure("find", batch(lambda tid: write.find(tid, me, rng.randbytes(20), client=True)), SMALL)
    server.measure("get_unknown", batch(get), SMALL)
    keys = [InfoHash(rng.randbytes(20)) for _ in range(LARGE)]
    tokens = client.tokens(keys, LARGE_WINDOW)
    packed = pack(Value(id=5, data=rng.randbytes(SIZE)))
    writes = [(key, token, packed) for key, token in zip(keys, tokens, strict=True)]
    server.measure("put", lambda: client.puts(writes, LARGE_WINDOW), LARGE)
    server.measure("get_value", lambda: len(client.gets(keys, LARGE_WINDOW)), LARGE)
