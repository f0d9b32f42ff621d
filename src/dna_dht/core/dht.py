"""DhtCore: wires the parts of a node together; no algorithm of its own.

Everything that happens enters through a method with the instant at which it happens; everything the node does
leaves as transmits and events, which the driver takes after each call. No method is called from inside
another. ``receive`` raises nothing for any bytes.
"""

from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Any

from dna_dht.core.config import CoreConfig
from dna_dht.core.context import CoreContext
from dna_dht.core.counters import Counters
from dna_dht.core.effects import Event, OperationId, StatusChanged, Transmit
from dna_dht.core.exchange.address_proof import AddressProof
from dna_dht.core.exchange.address_votes import AddressVotes
from dna_dht.core.exchange.admission import Admission
from dna_dht.core.exchange.compose import Composer
from dna_dht.core.exchange.reassembly import Reassembly
from dna_dht.core.exchange.remote_node import RemoteNode
from dna_dht.core.exchange.replies import Replies
from dna_dht.core.exchange.requests import Requests
from dna_dht.core.exchange.tokens import Tokens
from dna_dht.core.inbound import Inbound
from dna_dht.core.instant import Instant
from dna_dht.core.node_state import NodeState, SavedValue, nodes_to_save
from dna_dht.core.operations.explorer import explore
from dna_dht.core.operations.get import Strength
from dna_dht.core.operations.renewal import Renewal
from dna_dht.core.operations.running import Operations
from dna_dht.core.operations.services import Services
from dna_dht.core.routing.bootstrap import Bootstrap
from dna_dht.core.routing.maintenance import Maintenance, StartLookup, Work
from dna_dht.core.routing.overlay import Overlay
from dna_dht.core.serving.handlers import Handlers
from dna_dht.core.serving.pushes import Pushes
from dna_dht.core.serving.put_jobs import PutJobs
from dna_dht.core.serving.remote_listeners import RemoteListeners
from dna_dht.core.timers import Timer
from dna_dht.core.values.persistence import Persistence
from dna_dht.core.values.restoring import Restoring, Row
from dna_dht.core.values.storage import Storage
from dna_dht.core.values.stored_value import Change, Removed, Stored, StoredValue
from dna_dht.core.values.value_types import persisted
from dna_dht.core.values.verification import SIGNATURE_LENGTH, Verification
from dna_dht.wire.address import Address, Family, family_of, is_martian
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.query import ANY, Field, Query
from dna_dht.wire.value import Value


class DhtCore:
    """One node of the network, without sockets, clocks and threads.

    Attributes:
        config: as given.
        node_id: our id.
        counters: what happened, by reason.
    """

    def __init__(
        self,
        config: CoreConfig,
        node_id: InfoHash,
        *,
        rng: Random,
        now: Instant,
        signature_length: int | None = SIGNATURE_LENGTH,
    ) -> None:
        """*signature_length*: bytes every signature must have; None: any (simulations use short
        stand-ins).
        """
        self.config = config
        self.node_id = node_id
        ctx = self._ctx = CoreContext(config, node_id, rng, now)
        composer = Composer(ctx)
        admission, proof, tokens = Admission(ctx), AddressProof(ctx), Tokens(ctx)
        self._votes = AddressVotes(ctx)
        self._reassembly = Reassembly(ctx)
        self._requests = requests = Requests(ctx, self._reassembly)
        self._requests.on_node_expired = self._on_node_expired
        self._storage = Storage(ctx)
        self._storage.on_change = self._on_change
        self._verification = Verification(ctx, signature_length=signature_length)
        self._persistence = Persistence(ctx, self._storage)
        self._restoring = Restoring(ctx, self._storage, self._verification)
        families: list[Family] = [4] if config.ipv4 else []
        families += [6] if config.ipv6 else []
        self._overlays = {
            family: Overlay(ctx, family, requests, composer, admission, proof) for family in families
        }
        overlays = list(self._overlays.values())
        self._maintenance = Maintenance(
            ctx, [overlay.table for overlay in overlays], [overlay.cache for overlay in overlays]
        )
        for overlay in overlays:
            overlay.maintenance = self._maintenance
            overlay.start_lookup = partial(explore, ctx, requests, composer, overlay)
        services = Services(ctx, requests, composer, overlays, self._storage, self._verification)
        self._operations = Operations(services, self._persistence, self._restoring)
        self._renewal = Renewal(services)
        self._bootstrap = Bootstrap(ctx, self._overlays, requests, composer)
        self._bootstrap.on_connected = self._operations.on_connected
        self._replies = replies = Replies(ctx, proof, requests, composer)
        self._listeners = RemoteListeners(ctx)
        self._pushes = Pushes(ctx, self._listeners, requests, composer, tokens)
        put_jobs = PutJobs(ctx, self._storage, self._verification, self._persistence, replies, composer)
        handlers = Handlers(
            ctx,
            self._overlays,
            self._storage,
            tokens,
            proof,
            self._listeners,
            self._pushes,
            put_jobs,
            replies,
            requests,
            composer,
        )
        self._inbound = Inbound(
            ctx,
            self._overlays,
            admission,
            proof,
            self._votes,
            self._reassembly,
            requests,
            self._restoring,
            handlers,
        )
        self._inbound.on_company = self._bootstrap.on_good_node
        self._renewal.adopt = put_jobs.adopt
        self._restoring.on_restored = self._on_restored
        self._expiry: Timer | None = None

    # -- in: datagrams and time

    def receive(self, datagram: bytes, source: Address, now: Instant) -> None:
        """Handle one datagram. IPv4-mapped sources are given as IPv4. Raises nothing for any bytes."""
        self._ctx.now = now
        self._inbound.receive(datagram, source)

    def on_timer(self, now: Instant) -> None:
        """Run what is due at *now*."""
        self._ctx.now = now
        self._ctx.timers.run_due(now.mono)
        if self._maintenance.next_due <= now.mono:
            work = self._maintenance.run()
            for overlay in self._overlays.values():
                overlay.carry_out(item for item in work if _family_of_work(item) == overlay.family)

    def send_failed(self, address: Address, now: Instant) -> None:
        """The system refused to send to *address* (unreachable, not permitted)."""
        self._ctx.now = now
        self._ctx.counters.events["send failed"] += 1
        self._requests.unreachable(address)

    # -- in: operations

    def bootstrap(self, addresses: Sequence[Address], now: Instant) -> None:
        """Ping *addresses* at once and whenever the node is not connected."""
        self._ctx.now = now
        self._bootstrap.add(addresses)

    def ping(self, address: Address, now: Instant) -> OperationId:
        """Ping one address; ends with a PingOutcome."""
        self._ctx.now = now
        return self._operations.ping(address)

    def get(
        self,
        key: InfoHash,
        now: Instant,
        *,
        query: Query = ANY,
        strength: Strength = "fresh",
        owner_id: InfoHash | None = None,
        timeout: float | None = None,
    ) -> OperationId:
        """Read the values of *key*; ValuesFound as they come, then OperationDone with a GetOutcome.

        Args:
            query: only its filters matter.
            owner_id: only values of this owner.
            timeout: seconds.
        Raises:
            ValueError: *key* is ZERO, or the filters cannot be sent.
        """
        self._ctx.now = now
        where = query.where if owner_id is None else (*query.where, (Field.OWNER, bytes(owner_id)))
        return self._operations.get(
            key, where, strength, self.config.operation_timeout if timeout is None else timeout
        )

    def put(
        self,
        key: InfoHash,
        value: Value,
        now: Instant,
        *,
        permanent: bool = False,
        created: float | None = None,
        probe: bool = True,
    ) -> OperationId:
        """Store a signed value at the nodes closest to *key*; OperationDone with a PutOutcome at the quorum.

        Args:
            permanent: keep it alive as long as this node runs.
            created: unix seconds; None: now.
            probe: False if the caller knows the last seq of the value: nothing needs to be asked first.
        Raises:
            ValueError: *key* is ZERO, or the value has no id.
        """
        self._ctx.now = now
        return self._operations.put(key, value, permanent=permanent, created=created, probe=probe)

    def listen(self, key: InfoHash, now: Instant, *, query: Query = ANY) -> OperationId:
        """Be told of every change under *key* as ListenChanged, until cancelled.

        Raises:
            ValueError: *key* is ZERO, the filters cannot be sent, or ``Limits.listens`` are running.
        """
        self._ctx.now = now
        return self._operations.listen(key, query)

    def cancel(self, operation: OperationId, now: Instant) -> None:
        """Stop an operation; no event about it follows. One that is over is ignored."""
        self._ctx.now = now
        self._operations.cancel(operation)

    def cancel_put(self, key: InfoHash, value_id: int, now: Instant) -> bool:
        """Stop keeping a permanent value alive and drop our copy; False if there was none.

        Copies elsewhere live on until they expire.
        """
        self._ctx.now = now
        return self._operations.cancel_put(key, value_id)

    # -- in: completions

    def verified(self, job: int, valid: bool, now: Instant) -> None:
        """The signature of a VerifyRequested was checked."""
        self._ctx.now = now
        self._verification.verified(job, valid)

    def persisted(self, ticket: int, ok: bool, now: Instant) -> None:
        """A PersistRequested was committed, or (*ok* False) could not be."""
        self._ctx.now = now
        self._persistence.persisted(ticket, ok)

    # -- in: restart and change

    def restore(
        self,
        key: InfoHash,
        packed: bytes,
        created: float | None,
        expires: float | None,
        now: Instant,
        *,
        permanent: bool = False,
    ) -> None:
        """Take back a value from disk (times in unix seconds); it is verified before it is served."""
        self._ctx.now = now
        self._restoring.add(key, Row(packed, created, expires, permanent))
        self._restoring.go_on()

    def export_state(self, now: Instant) -> NodeState:
        """Our id, good nodes, and the stored values that no database keeps."""
        self._ctx.now = now
        values = [
            SavedValue(
                key=key,
                packed=stored.packed,
                created=now.unix - (now.mono - stored.created),
                expires=None if stored.permanent else now.unix + (stored.expires - now.mono),
                permanent=stored.permanent,
            )
            for key in sorted(self._storage.keys())
            for stored in self._storage.find(key, ANY)
            if not (self.config.persist and persisted(stored.type))
        ]
        tables = [overlay.table for overlay in self._overlays.values()]
        return NodeState(self.node_id, nodes_to_save(tables), tuple(values))

    def import_state(self, state: NodeState, now: Instant) -> None:
        """Take in saved nodes, which are contacted at once, and values. The saved id is the caller's
        matter.
        """
        self._ctx.now = now
        for node_id, address in state.nodes:
            overlay = self._overlays.get(family_of(address))
            if overlay is not None and node_id != self.node_id and not is_martian(address):
                overlay.cache.seen(node_id, address, confirmed=False)
        for saved in state.values:
            self._restoring.add(saved.key, Row(saved.packed, saved.created, saved.expires, saved.permanent))
        self._restoring.go_on()
        self._bootstrap.start([address for _, address in state.nodes])

    def connectivity_changed(self, now: Instant) -> None:
        """Our network changed: all we know about reaching others is void."""
        self._ctx.now = now
        for overlay in self._overlays.values():
            overlay.reset()
            self._votes.forget(overlay.family)
        self._bootstrap.network_changed()
        self._operations.on_network_changed()

    def shutdown(self, now: Instant) -> None:
        """Prepare to stop: hand copies over to the closest nodes that lack them, unless we keep them on disk.

        Wait for :attr:`handing_over` to become 0, a few seconds at most, then drop the core.
        """
        self._ctx.now = now
        if self.config.maintenance == "renew" and not self.config.client_mode and not self.config.persist:
            self._renewal.hand_over()

    # -- out

    def take_transmits(self) -> list[Transmit]:
        """Datagrams to send, in this order."""
        return self._ctx.outbox.take_transmits()

    def take_events(self) -> list[Event]:
        """Events since the last call, in order."""
        return self._ctx.outbox.take_events()

    def next_wakeup(self) -> float | None:
        """When :meth:`on_timer` is next due, monotonic seconds."""
        timer = self._ctx.timers.next_wakeup()
        due = self._maintenance.next_due
        return due if timer is None or due < timer else timer

    # -- views

    @property
    def counters(self) -> Counters:
        return self._ctx.counters

    @property
    def status(self) -> StatusChanged:
        """Connectivity of both families."""
        return self._bootstrap.status

    @property
    def connected(self) -> bool:
        """Whether any family has a good node."""
        return self._bootstrap.connected

    @property
    def writing(self) -> int:
        """Requests of puts under way; a put goes on after its quorum until all closest nodes have it."""
        return self._operations.writing

    @property
    def handing_over(self) -> int:
        """Renewal requests under way."""
        return self._renewal.under_way

    @property
    def storage(self) -> Storage:
        """The store, to look at."""
        return self._storage

    @property
    def overlays(self) -> dict[Family, Overlay]:
        """What is known of the nodes of each family, to look at."""
        return self._overlays

    def public_hosts(self) -> list[str]:
        """IP addresses under which others see us, likeliest first per family."""
        return self._votes.all()

    def stats(self) -> dict[str, Any]:
        """Figures of spec 02, section 22, and of our own bounds."""
        tables = {family: overlay.table.stats() for family, overlay in self._overlays.items()}
        return {
            "nodes": {family: table.known for family, table in tables.items()},
            "good_nodes": {family: table.good for family, table in tables.items()},
            "dubious_nodes": {family: table.dubious for family, table in tables.items()},
            "network_size": {family: table.network_size for family, table in tables.items()},
            "known_nodes": {family: len(overlay.cache) for family, overlay in self._overlays.items()},
            "stored_values": self._storage.values,
            "keys": len(self._storage),
            "stored_bytes": self._storage.remote_bytes + self._storage.local_bytes,
            "values_by_type": self._storage.values_by_type(),
            "operations": len(self._operations),
            "listens": self._operations.listening,
            "remote_listeners": len(self._listeners),
            "announces": self._operations.announcing,
            "open_requests": len(self._requests),
            "reassembly_bytes": self._reassembly.arrived_bytes,
            "verifications_pending": self._verification.pending(),
            "persists_pending": len(self._persistence),
            "restoring": len(self._restoring),
            "held_requests": len(self._replies),
            "push_channels": len(self._pushes),
            "keys_looked_after": len(self._renewal),
            "timers": len(self._ctx.timers),
            **self._ctx.counters.snapshot(),
        }

    # -- what the parts tell each other

    def _on_change(self, key: InfoHash, change: Change) -> None:
        """The store changed: renewal, expiry timer, remote and own listeners."""
        if isinstance(change, Stored):
            self._renewal.on_stored(key)
            self._arm_expiry()
        elif isinstance(change, Removed):
            for removed in change.values:
                self._persistence.forget(key, removed.id)
            self._renewal.on_removed(key)
        self._pushes.on_change(key, change)
        self._operations.on_change(key, change)

    def _on_restored(self, stored: StoredValue) -> None:
        """A value is back from disk."""
        self._renewal.on_restored(stored.key)
        if stored.permanent:
            self._operations.keep_alive(stored)

    def _arm_expiry(self) -> None:
        due = self._storage.next_expiry()
        if due is None:
            return
        if self._expiry is not None and self._expiry.pending:
            if self._expiry.deadline <= due:
                return
            self._expiry.cancel()
        self._expiry = self._ctx.timers.at(due, self._on_expiry)

    def _on_expiry(self) -> None:
        self._storage.expire()
        self._arm_expiry()

    def _on_node_expired(self, node: RemoteNode) -> None:
        self._overlays[node.family].on_expired(node)
        if self._bootstrap.connected:
            self._bootstrap.update()


def _family_of_work(work: Work) -> Family:
    return work.family if isinstance(work, StartLookup) else work.node.family
