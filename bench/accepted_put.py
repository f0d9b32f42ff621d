"""What a new signed 2 kB value costs the node that accepts it, in units of one bare verification.

Nine datagrams come in, are put together, decoded, verified, stored and acknowledged. Measured twice: as a
node runs by default, with a worker thread that verifies; and without, where nothing is handed from thread to
thread and the answers to others wait meanwhile.
"""

import time
from dataclasses import dataclass, field
from random import Random

from bench.processes import Child, free_port, own_child
from bench.raw_client import RawClient
from bench.report import Report, p50
from dna_dht.crypto.mldsa import SigningKey, verify
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack, signed_bytes, unpack

TARGET = 1.6  # CPU of the node per accepted value over CPU of one verification
ROUNDS = 9
VALUES = 200  # per round
WINDOW = 8
OWNERS = 16
SIZE = 2048  # bytes of data
TYPE = 0x1001  # seven days


async def run(report: Report) -> None:
    """Alternate between bare verifications and puts to both nodes."""
    rng = Random(3)
    owners = [SigningKey(rng.randbytes(32)) for _ in range(OWNERS)]
    async with own_child() as threaded, own_child() as inline:
        nodes = {
            "node.accepted_put": await _Target.start(threaded, rng, None),
            "node.accepted_put.no_threads": await _Target.start(inline, rng, 0),
        }
        for _ in range(ROUNDS):
            for target in nodes.values():
                values = [_signed(owners[index % OWNERS], rng) for index in range(VALUES)]
                target.bare.append(_bare(values))
                target.costs.append(target.accept(values, rng))
        for target in nodes.values():
            target.client.close()
    for name, target in nodes.items():
        ratio = p50([cost / bare for cost, bare in zip(target.costs, target.bare, strict=True)])
        note = f"{p50(target.costs) * 1e6:.0f} us / {p50(target.bare) * 1e6:.0f} us; rate limits off"
        most = TARGET if name == "node.accepted_put" else None
        report.add(name, ratio, "x_bare_verification", ROUNDS * VALUES, most=most, note=note)


@dataclass
class _Target:
    """A node; per round, what a put to it and a bare verification of the same values cost."""

    child: Child
    client: RawClient
    costs: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)

    @classmethod
    async def start(cls, child: Child, rng: Random, workers: int | None) -> "_Target":
        port = free_port()
        await child.call("start", port=port, unlimited=True, workers=workers)
        return cls(child, RawClient(("127.0.0.1", port), rng))

    def accept(self, values: list[bytes], rng: Random) -> float:
        """Put packed values under new keys; the node's seconds of processor time for each."""
        keys = [InfoHash(rng.randbytes(20)) for _ in values]
        writes = list(zip(keys, self.client.tokens(keys, WINDOW), values, strict=True))
        before = self.child.cpu()
        accepted = self.client.puts(writes, WINDOW)
        if accepted != len(values):
            raise RuntimeError(f"only {accepted} of {len(values)} values were accepted")
        return (self.child.cpu() - before) / accepted


def _bare(values: list[bytes]) -> float:
    """Seconds of processor time to verify each of the same values once, without anything else."""
    jobs = [(value.owner, value.signature, signed_bytes(value)) for value in map(unpack, values)]
    started = time.thread_time()
    valid = [verify(*job) for job in jobs]
    spent = time.thread_time() - started
    if not all(valid):
        raise RuntimeError("a signature does not verify")
    return spent / len(values)


def _signed(owner: SigningKey, rng: Random) -> bytes:
    value = Value(id=rng.getrandbits(63) + 1, type=TYPE, data=rng.randbytes(SIZE), owner=owner.public_key)
    signature = owner.sign(signed_bytes(value))
    return pack(Value(id=value.id, type=TYPE, data=value.data, owner=value.owner, signature=signature))
