"""``python -m dna_dht.testing.sim``: run the experiments and print one line a figure.

    python -m dna_dht.testing.sim                     everything, whole size
    python -m dna_dht.testing.sim closest large       these only
    python -m dna_dht.testing.sim --seeds 0:5 --scale 0.2 --minutes 30

A figure names its seeds, so that each can be repeated. The command ends with 1 if a target is missed. With
``--minutes`` no further seed is begun after that time; one that runs is finished.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import inf

from dna_dht.testing import experiments
from dna_dht.testing.experiments import Share

Shares = dict[str, Share]


@dataclass(frozen=True, slots=True)
class Experiment:
    """One experiment at a scale.

    Attributes:
        run: (seed, scale 0 to 1) -> shares by name of figure.
        targets: share each figure must reach; figures without one are for comparison.
    """

    run: Callable[[int, float], Shares]
    targets: dict[str, float]


def _closest(seed: int, scale: float) -> Shares:
    nodes, lookups = _scaled(1000, scale, 20), _scaled(500, scale, 20)
    return {"closest_8_found": experiments.closest_found(seed, nodes=nodes, lookups=lookups)}


def _loss(seed: int, scale: float) -> Shares:
    nodes, operations = _scaled(300, scale, 20), _scaled(2000, scale, 40)
    put, get = experiments.put_and_get(seed, nodes=nodes, operations=operations)
    return {"put_at_5%_loss": put, "get_at_5%_loss": get}


def _churn(seed: int, scale: float) -> Shares:
    nodes, values = _scaled(200, scale, 40), _scaled(500, scale, 20)
    return {
        f"readable_after_24h_of_10%/h_churn.{policy}": experiments.survival(
            seed, nodes=nodes, values=values, policy=policy
        )
        for policy in experiments.POLICIES
    }


def _large(seed: int, scale: float) -> Shares:
    put, get = experiments.large_values(seed, operations=_scaled(200, scale, 10))
    return {"put_45kB_at_10%_loss": put, "get_45kB_at_10%_loss": get}


EXPERIMENTS = {
    "closest": Experiment(_closest, {"closest_8_found": 0.99}),
    "loss": Experiment(_loss, {"put_at_5%_loss": 0.999, "get_at_5%_loss": 0.999}),
    "large": Experiment(_large, {"put_45kB_at_10%_loss": 0.98, "get_45kB_at_10%_loss": 0.95}),
    "churn": Experiment(_churn, {"readable_after_24h_of_10%/h_churn.renew": 0.999}),
}


def run(names: Iterable[str], seeds: list[int], scale: float, seconds: float) -> Iterator[tuple[str, bool]]:
    """Run experiments; yield a line for each figure and whether it is well."""
    began = time.perf_counter()
    for name in names:
        experiment = EXPERIMENTS[name]
        totals: Shares = {}
        used: list[int] = []
        started, events = time.process_time(), 0
        for seed in seeds:
            if used and time.perf_counter() - began > seconds:
                break
            shares = experiment.run(seed, scale)
            used.append(seed)
            events += sum(share.events for share in shares.values())
            for figure, share in shares.items():
                totals[figure] = totals[figure] + share if figure in totals else share
        spent = time.process_time() - started
        for figure, share in totals.items():
            target = experiment.targets.get(figure)
            yield _line(figure, share, target, used), target is None or share.value >= target
            for words in share.failures[:3] if target is not None else ():
                yield f"    {words}", True
        yield f"{name}.events_per_second {events / spent:.0f} 1/s n={events}", True


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m dna_dht.testing.sim", description="simulated experiments"
    )
    known = ", ".join(EXPERIMENTS)
    parser.add_argument("names", nargs="*", metavar="experiment", help=f"of {known}; default: all")
    parser.add_argument("--seeds", default="0:1", help="one number, or first:end (default 0:1)")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size (default 1)")
    parser.add_argument("--minutes", type=float, default=inf, help="begin no seed after that time")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in EXPERIMENTS]
    if unknown:
        parser.error(f"unknown experiment {', '.join(unknown)}; there are {known}")
    names, seeds = options.names or EXPERIMENTS, _seeds(options.seeds)
    well = True
    for line, ok in run(names, seeds, options.scale, options.minutes * 60):
        print(line, flush=True)
        well = well and ok
    return 0 if well else 1


def _line(figure: str, share: Share, target: float | None, seeds: list[int]) -> str:
    low, high = share.interval
    verdict = ""
    if target is not None:
        verdict = f"  (target >= {target:.3%}: {'ok' if share.value >= target else 'NOT REACHED'})"
    return (
        f"{figure} {share.value:.3%} n={share.n} seeds={seeds[0]}..{seeds[-1]}"
        f" 95%=[{low:.3%}, {high:.3%}] events={share.events}{verdict}"
    )


def _seeds(text: str) -> list[int]:
    first, colon, end = text.partition(":")
    return list(range(int(first), int(end) if colon else int(first) + 1))


def _scaled(full: int, scale: float, least: int) -> int:
    return max(least, round(full * scale))


if __name__ == "__main__":
    sys.exit(main())
