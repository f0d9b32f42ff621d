"""Services: what the operations of one node work with."""

from dataclasses import dataclass, field

from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.compose import Composer
from dna_dht.core.exchange.requests import Requests
from dna_dht.core.operations.read_repair import ReadRepair
from dna_dht.core.routing.overlay import Overlay
from dna_dht.core.values.storage import Storage
from dna_dht.core.values.verification import Verification


@dataclass(slots=True)
class Services:
    """The parts of a node that gets, puts, listens and renewals share."""

    ctx: CoreContext
    requests: Requests
    composer: Composer
    overlays: list[Overlay]
    storage: Storage
    verification: Verification
    repair: ReadRepair = field(init=False)

    def __post_init__(self) -> None:
        self.repair = ReadRepair(self.ctx, self.requests, self.composer, self.storage)

    def active_overlays(self) -> list[Overlay]:
        """The families an operation should use: those with a good node; if there is none, those with any
        node.
        """
        good = [overlay for overlay in self.overlays if overlay.table.has_good()]
        return good or [overlay for overlay in self.overlays if len(overlay.cache)]
