"""What goes wrong between two nodes: delay, loss, duplication, reordering, NAT, full buffers, wrong clocks.

Delay belongs to a *path*: each pair of nodes keeps its own, drawn from the distribution, the same in both
directions. So a burst of fragments stays a burst, and reordering is a fault of its own with its own rate.
Model: reliability, 8.3.
"""

from dataclasses import dataclass
from math import exp, log
from statistics import NormalDist
from typing import Protocol

DELAYS = 4096  # entries of a table of delays; a power of two, since nodes index it by XOR


class Delay(Protocol):
    """A distribution of one-way delays."""

    def table(self) -> tuple[float, ...]:
        """:data:`DELAYS` seconds, each as likely as the others."""
        ...


@dataclass(frozen=True, slots=True)
class ConstantDelay:
    """Every path takes *seconds* one way."""

    seconds: float

    def table(self) -> tuple[float, ...]:
        return (self.seconds,) * DELAYS


@dataclass(frozen=True, slots=True)
class LogNormalDelay:
    """Paths like those of the Internet: half below *median*, one in a hundred above *p99*, seconds."""

    median: float = 0.040
    p99: float = 0.300

    def table(self) -> tuple[float, ...]:
        normal = NormalDist()
        spread = log(self.p99 / self.median) / normal.inv_cdf(0.99)
        return tuple(
            self.median * exp(spread * normal.inv_cdf((index + 0.5) / DELAYS)) for index in range(DELAYS)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """The weather of a network. Shares are probabilities, 0 to 1; times are seconds.

    Attributes:
        delay: one way, per path.
        jitter: each datagram takes up to this share longer than its path; those sent together stay together.
        loss: share of datagrams that vanish, independently.
        duplicate: share that arrive twice.
        reorder: share held back by up to *reorder_delay*, so that later ones overtake them.
        unreachable: share of nodes behind a NAT: they hear only whom they wrote to within *nat_memory*.
        receive_buffer: bytes a node can have waiting; None: without limit. What does not fit is lost.
        receive_rate: bytes a second at which that buffer is emptied.
        clock_error: the wall clock of a node is wrong by up to this many seconds, either way.
        verify_time: how long a signature check takes.
        commit_time: how long a commit to disk takes.
    """

    delay: Delay = LogNormalDelay()
    jitter: float = 0.1
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    reorder_delay: float = 0.1
    unreachable: float = 0.0
    nat_memory: float = 60.0
    receive_buffer: int | None = None
    receive_rate: float = 10e6
    clock_error: float = 0.0
    verify_time: float = 0.0003
    commit_time: float = 0.005

    def __post_init__(self) -> None:
        for name in ("loss", "duplicate", "reorder", "unreachable"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: 0 to 1, got {getattr(self, name)}")
