"""What a new signed 2 kB value costs the node that accepts it, in units of one bare verification.

Nine datagrams come in, are put together, decoded, verified in a worker thread, stored and acknowledged.
"""

import time
from random import Random

from bench.processes import free_port, own_child
from bench.raw_client import RawClient
from bench.report import Report, p50
from dna_dht.crypto.mldsa import SigningKey, verify
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack, signed_bytes, unpack

TARGET = 1.6  # CPU of the node per accepted value over CPU of one verification
ROUNDS = 5
VALUES = 200  # per round
WINDOW = 8
OWNERS = 16
SIZE = 2048  # bytes of data
TYPE = 0x1001  # seven days


async def run(report: Report) -> None:
    """Alternate between bare verifications and puts."""
    rng = Random(3)
    owners = [SigningKey(rng.randbytes(32)) for _ in range(OWNERS)]
    async with own_child() as own:
        port = free_port()
        await own.call("start", port=port, unlimited=True)
        client = RawClient(("127.0.0.1", port), rng)
        puts, verifications = [], []
        for _ in range(ROUNDS):
            keys = [InfoHash(rng.randbytes(20)) for _ in range(VALUES)]
            values = [_signed(owners[index % OWNERS], rng) for index in range(VALUES)]
            writes = list(zip(keys, client.tokens(keys, WINDOW), values, strict=True))
            verifications.append(_bare(values))
            before = own.cpu()
            accepted = client.puts(writes, WINDOW)
            if accepted != VALUES:
                raise RuntimeError(f"only {accepted} of {VALUES} values were accepted")
            puts.append((own.cpu() - before) / accepted)
        client.close()
    note = f"{p50(puts) * 1e6:.0f} us / {p50(verifications) * 1e6:.0f} us; rate limits off"
    ratio = p50(puts) / p50(verifications)
    report.add("node.accepted_put", ratio, "x_bare_verification", ROUNDS * VALUES, most=TARGET, note=note)


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
