"""Same seed, same bytes: in one process, in another, and whatever the interpreter's hash seed is."""

import os
import subprocess
import sys

import pytest

from dna_dht.testing import Churn, Faults, SimNetwork

FAULTS = Faults(loss=0.05, duplicate=0.01, reorder=0.02, unreachable=0.1, clock_error=30.0)


def history(seed: int) -> str:
    """A network with everything that can happen in it, as the digest of all its datagrams."""
    net = SimNetwork(seed, faults=FAULTS)
    net.grow(25)
    Churn(net, per_hour=2.0)
    key = net.random_key()
    listener = net.listen(net.nodes[3], key)
    for number in range(5):
        net.put(net.nodes[5], key, net.value(b"%d" % number, value_id=7, seq=number))
        net.run(120)
        net.get(net.rng.choice(net.alive()), key)
    return f"{net.digest} {net.events} {listener.data!r}"


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_seed_gives_the_same_bytes(seed: int) -> None:
    assert history(seed) == history(seed)


def test_another_seed_gives_other_bytes() -> None:
    assert history(1) != history(2)


def test_nothing_depends_on_the_hash_seed_of_the_interpreter() -> None:
    program = (
        "import importlib.util as u, sys;"
        "s = u.spec_from_file_location('h', sys.argv[1]); m = u.module_from_spec(s); s.loader.exec_module(m);"
        "print(m.history(3))"
    )
    histories = {
        subprocess.run(
            [sys.executable, "-c", program, __file__],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
            text=True,
            timeout=120,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(histories) == 1
