"""Simulated networks for our tests and yours: whole nodes, virtual time, all from one seed."""

from dna_dht.testing.churn import Churn
from dna_dht.testing.fake_crypto import FakeCrypto, FakeIdentity
from dna_dht.testing.faults import ConstantDelay, Delay, Faults, LogNormalDelay
from dna_dht.testing.internet import Internet
from dna_dht.testing.network import SimNetwork
from dna_dht.testing.operations import SimListener, SimOperation
from dna_dht.testing.sim_node import SimNode

__all__ = [
    "Churn",
    "ConstantDelay",
    "Delay",
    "FakeCrypto",
    "FakeIdentity",
    "Faults",
    "Internet",
    "LogNormalDelay",
    "SimListener",
    "SimNetwork",
    "SimNode",
    "SimOperation",
]
