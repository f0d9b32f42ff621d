"""``python -m bench [name ...]``: run the benchmarks, print one line a figure, write bench/latest.json.

Every benchmark is bounded in time; all of them together take at most six minutes. The command ends with 1 if
a target is missed.
"""

import argparse
import asyncio
import inspect
import sys
import time
from collections.abc import Callable
from typing import Any

from bench import accepted_put, codec, echo, latency, node_vs_opendht, seal, sim, verify
from bench.report import Report

BENCHMARKS: dict[str, Callable[[Report], Any]] = {
    "codec": codec.run,
    "verify": verify.run,
    "seal": seal.run,
    "echo": echo.run,
    "node_vs_opendht": node_vs_opendht.run,
    "accepted_put": accepted_put.run,
    "sim": sim.run,
    "latency": latency.run,
}
LONGEST = 180.0  # seconds a single benchmark may take


async def run(names: list[str], report: Report) -> list[str]:
    """Run the named benchmarks one after the other; the names of those that failed."""
    failed = []
    for name in names:
        started = time.perf_counter()
        try:
            result = BENCHMARKS[name](report)
            if inspect.isawaitable(result):
                await asyncio.wait_for(result, LONGEST)
        except Exception as error:  # one that fails must not hide the figures of the others
            failed.append(name)
            report.say(f"# {name} FAILED: {error!r}")
        report.say(f"# {name}: {time.perf_counter() - started:.0f} s")
    return failed


def main() -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="benchmarks")
    known = ", ".join(BENCHMARKS)
    parser.add_argument("names", nargs="*", metavar="benchmark", help=f"of {known}; default: all")
    names = parser.parse_args().names
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"unknown benchmark {', '.join(unknown)}; there are {known}")
    report = Report()
    failed = asyncio.run(run(names or list(BENCHMARKS), report))
    report.write()
    missed = [figure.name for figure in report.figures if figure.ok is False]
    if missed:
        report.say(f"# not reached: {', '.join(missed)}")
    return 1 if missed or failed else 0


if __name__ == "__main__":
    sys.exit(main())
