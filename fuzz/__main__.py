"""`python -m fuzz`: DNA_DHT_FUZZ (200,000) mutated inputs for each target, from DNA_DHT_FUZZ_SEED (0)."""

import importlib
import os
import pkgutil
import sys
import time
from random import Random

import fuzz
from fuzz.mutator import Mutator


def main() -> int:
    """Run all targets; 1 if one fails, after naming the input."""
    budget = int(os.environ.get("DNA_DHT_FUZZ", "200000"))
    seed = int(os.environ.get("DNA_DHT_FUZZ_SEED", "0"))
    names = sorted(each.name for each in pkgutil.iter_modules(fuzz.__path__) if each.name.startswith("fuzz_"))
    for name in names:
        target = importlib.import_module(f"fuzz.{name}")
        mutator = Mutator(Random(f"{name}/{seed}"), target.seeds())
        started = time.monotonic()
        for count in range(budget):
            data = mutator.next()
            try:
                target.one_input(data)
            except Exception as error:
                print(f"{name}: input {count}: {error!r}\n{data.hex()}", file=sys.stderr)
                raise
        print(f"{name}: {budget} inputs, {time.monotonic() - started:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
