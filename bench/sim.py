"""How fast the simulation works off events, the engine included, on one core."""

import time

from bench.report import Report
from dna_dht.testing import SimNetwork
from dna_dht.testing.experiments import put_and_get

TARGET = 8000.0  # events a second
NODES = 300
LOOKUPS = 300


def run(report: Report) -> None:
    """Joining, idling, lookups, and a mixed load of puts and gets."""
    net = SimNetwork(1)
    started = time.process_time()
    net.grow(NODES)
    joined, events = time.process_time() - started, net.events
    report.add("sim.join", events / joined, "events/s", events, least=TARGET, note=f"{NODES} nodes")
    started, before = time.process_time(), net.events
    for _ in range(LOOKUPS):
        net.lookup(net.rng.choice(net.nodes), net.random_key())
    spent, events = time.process_time() - started, net.events - before
    report.add("sim.lookup", events / spent, "events/s", events, least=TARGET)
    report.add("sim.lookups", LOOKUPS / spent, "lookups/s", LOOKUPS, note=f"among {NODES} nodes, conclusive")
    started = time.process_time()
    put, _ = put_and_get(1, nodes=100, loss=0.05, operations=400, size=2048)
    spent = time.process_time() - started
    report.add("sim.put_get", put.events / spent, "events/s", put.events, least=TARGET, note="2 kB, 5 % loss")
