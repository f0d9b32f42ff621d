"""Fifty nodes in this process: a value outlives its publisher and most of the nodes that held it.

    python examples/simulate.py [seed]

Time is virtual: three hours take some seconds. The same seed gives the same datagrams, on every machine.
"""

import sys

from dna_dht.testing import Churn, Faults, SimNetwork

HOUR = 3600.0  # seconds


def main(seed: int) -> None:
    """Put, lose the publisher, let nodes come and go, read."""
    net = SimNetwork(seed, faults=Faults(loss=0.02, unreachable=0.1))
    publisher, *_ = net.grow(50)
    key = net.random_key()
    receipt = net.put(publisher, key, b"hello")
    print(f"put: {receipt.accepted} nodes accepted it, {len(net.holders(key))} hold it")

    first_holders = net.holders(key)
    net.remove(publisher)
    churn = Churn(net, per_hour=0.4)
    net.run(3 * HOUR)
    left = sum(holder.alive for holder in first_holders)
    print(f"three hours later: {churn.leaves} nodes left, {churn.joins} joined; {left} first holders stayed")

    reader = net.alive()[-1]
    print(f"get: {net.get(reader, key)!r} from one of {len(net.holders(key))} holders")
    print(f"{net.events} events, digest {net.digest}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
