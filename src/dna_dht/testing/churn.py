"""Churn: nodes leave after exponential lifetimes, and as many others join.

The size of the network stays the same on average and nearly so at every moment, so that what is measured is
renewal, not shrinking. Model: reliability, 2.5 and 8.3.
"""

from functools import partial
from math import inf
from random import Random
from typing import Literal

from dna_dht.testing.network import SimNetwork
from dna_dht.testing.sim_node import SimNode

HOUR = 3600.0  # seconds
ARRIVAL = 10.0  # seconds within which somebody else joins when a node has left


class Churn:
    """Applies to every node that runs when it starts, and to all that join through it.

    Attributes:
        leaves, joins: nodes so far; a restart counts as both.
    """

    def __init__(
        self,
        network: SimNetwork,
        *,
        per_hour: float,
        mode: Literal["replace", "restart"] = "replace",
        downtime: float = 60.0,
        keep_state: bool = True,
        goodbye: float = 0.0,
    ) -> None:
        """Start it.

        Args:
            per_hour: share of the nodes that leaves in an hour, > 0; the mean lifetime is its inverse.
            mode: leavers never come back and strangers take their place, or the same nodes restart.
            downtime: seconds until a node restarts.
            keep_state: whether it then knows what it knew.
            goodbye: share of the leavers that shut down in order and hand over what they hold.
        """
        if per_hour <= 0:
            raise ValueError(f"per_hour: a positive share, got {per_hour}")
        self._network, self._mean = network, HOUR / per_hour
        self._mode, self._downtime, self._keep_state, self._goodbye = mode, downtime, keep_state, goodbye
        self._rng = Random(f"{network.seed} churn")
        self._until = inf
        self.leaves = self.joins = 0
        for node in network.alive():
            self._give_lifetime(node)

    def stop(self) -> None:
        """From now on everybody stays."""
        self._until = self._network.now

    def _give_lifetime(self, node: SimNode) -> None:
        if not node.protected:
            self._network.after(
                self._rng.expovariate(1 / self._mean), partial(self._leave, node, node.starts)
            )

    def _leave(self, node: SimNode, start: int) -> None:
        if self._network.now >= self._until or node.core is None or node.starts != start:
            return
        self.leaves += 1
        if self._rng.random() < self._goodbye:
            self._network.say_goodbye([node])
        else:
            self._network.crash([node])
        wait = self._downtime if self._mode == "restart" else ARRIVAL * self._rng.random()
        self._network.after(wait, partial(self._arrive, node))

    def _arrive(self, node: SimNode) -> None:
        if self._mode == "restart":
            self._network.crash([node])  # it may still be saying goodbye
            self._network.restart([node], state=self._keep_state)
        else:
            self._network.remove(node)
            node = self._network.add()
        self.joins += 1
        self._give_lifetime(node)
