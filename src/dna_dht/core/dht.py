"""DhtCore: wires the parts of a node together; no algorithm of its own.

Everything that happens enters through a method with the instant at which it happens; everything the node does
leaves as transmits and events, which the driver takes after each call. No method is called from inside
another. ``receive`` raises nothing for any bytes.

The path of a datagram (spec 01, 15.1): admission, decoding, network, rate, reassembly, the overlay that notes
the sender, then the open request it answers or the handler of its kind.
"""

from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from random import Random
from typing import Any

from dna_dht.core.address_proof import AddressProof
from dna_dht.core.address_votes import AddressVotes
from dna_dht.core.admission import Admission
from dna_dht.core.announces import Announce, Announces
from dna_dht.core.bootstrap import Bootstrap
from dna_dht.core.compose import Composer
from dna_dht.core.config import CoreConfig
from dna_dht.core.context import CoreContext
from dna_dht.core.counters import Counters
from dna_dht.core.effects import (
    Event,
    OperationDone,
    OperationId,
    Outcome,
    PingOutcome,
    PublicAddressChanged,
    PutOutcome,
    StatusChanged,
    Transmit,
)
from dna_dht.core.get import GetOperation, Strength
from dna_dht.core.handlers import Handlers
from dna_dht.core.instant import Instant
from dna_dht.core.listen import ListenOperation
from dna_dht.core.lookup import Candidate, Lookup
from dna_dht.core.maintenance import Maintenance, StartLookup, Work
from dna_dht.core.node_state import NodeState, SavedValue, nodes_to_save
from dna_dht.core.overlay import Overlay
from dna_dht.core.persistence import Persistence
from dna_dht.core.pushes import Pushes
from dna_dht.core.put import Mode, PutOperation
from dna_dht.core.put_jobs import PutJobs
from dna_dht.core.reassembly import PartResult, Reassembly
from dna_dht.core.remote_listeners import RemoteListeners
from dna_dht.core.remote_node import RemoteNode
from dna_dht.core.renewal import Renewal
from dna_dht.core.replies import Replies
from dna_dht.core.requests import Request, Requests
from dna_dht.core.restoring import Restoring, Row
from dna_dht.core.services import Services
from dna_dht.core.storage import Storage
from dna_dht.core.stored_value import Change, Removed, Stored
from dna_dht.core.timers import Timer
from dna_dht.core.tokens import Tokens
from dna_dht.core.value_types import persisted
from dna_dht.core.verification import SIGNATURE_LENGTH, Verification
from dna_dht.errors import DecodeError
from dna_dht.wire.address import Address, Family, family_of, is_martian, unpack_ip
from dna_dht.wire.decode import decode
from dna_dht.wire.infohash import ZERO, InfoHash
from dna_dht.wire.messages import (
    ErrorReply,
    Find,
    Get,
    Listen,
    Notice,
    Part,
    Ping,
    Put,
    Refresh,
    Reply,
    Update,
)
from dna_dht.wire.query import ANY, Field, Query
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack


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
        composer = self._composer = Composer(ctx)
        self._admission = Admission(ctx)
        self._proof = AddressProof(ctx)
        self._votes = AddressVotes(ctx)
        self._reassembly = Reassembly(ctx)
        self._storage = Storage(ctx)
        self._verification = Verification(ctx, signature_length=signature_length)
        self._requests = Requests(ctx, self._reassembly)
        families: list[Family] = []
        if config.ipv4:
            families.append(4)
        if config.ipv6:
            families.append(6)
        self._overlays: dict[Family, Overlay] = {
            family: Overlay(ctx, family, self._requests, composer, self._admission) for family in families
        }
        overlays = list(self._overlays.values())
        self._maintenance = Maintenance(
            ctx, [overlay.table for overlay in overlays], [overlay.cache for overlay in overlays]
        )
        for overlay in overlays:
            overlay.maintenance = self._maintenance
            overlay.start_lookup = partial(self._start_lookup, overlay)
        services = self._services = Services(
            ctx, self._requests, composer, overlays, self._storage, self._verification
        )
        self._bootstrap = Bootstrap(ctx, self._overlays, self._requests, composer)
        self._bootstrap.on_connected = self._on_connected
        self._persistence = Persistence(ctx, self._storage)
        self._restoring = Restoring(ctx, self._storage, self._verification)
        self._listeners = RemoteListeners(ctx)
        tokens = Tokens(ctx)
        self._pushes = Pushes(ctx, self._listeners, self._requests, composer, tokens)
        replies = Replies(ctx, self._proof, self._requests, composer)
        self._put_jobs = PutJobs(ctx, self._storage, self._verification, self._persistence, replies, composer)
        self._handlers = Handlers(
            ctx,
            self._overlays,
            self._storage,
            tokens,
            self._proof,
            self._listeners,
            self._pushes,
            self._put_jobs,
            replies,
            composer,
        )
        self._handlers.on_update = self._on_update
        self._renewal = Renewal(services)
        self._announces = Announces(ctx)
        self._announces.refresh = self._refresh_announce
        self._storage.on_change = self._on_change
        self._requests.on_node_expired = self._on_node_expired
        self._operations: dict[OperationId, GetOperation | PutOperation | ListenOperation | Request] = {}
        self._listens: dict[InfoHash, list[ListenOperation]] = {}
        self._background: set[PutOperation] = set()
        self._last_operation = 0
        self._expiry: Timer | None = None
        self._requests_by_kind: dict[type, Callable[[Any, RemoteNode], None]] = {
            Ping: self._handlers.on_ping,
            Find: self._handlers.on_find,
            Get: self._handlers.on_get,
            Put: self._handlers.on_put,
            Refresh: self._handlers.on_refresh,
            Listen: self._handlers.on_listen,
            Update: self._handlers.on_update_request,
        }

    # -- in: datagrams and time

    def receive(self, datagram: bytes, source: Address, now: Instant) -> None:
        """Handle one datagram. IPv4-mapped sources are given as IPv4. Raises nothing for any bytes."""
        self._ctx.now = now
        dropped = self._ctx.counters.dropped
        if is_martian(source):
            dropped["martian address"] += 1
            return
        if self._admission.is_blacklisted(source):
            dropped["blacklisted"] += 1
            return
        try:
            message = decode(datagram)
        except DecodeError:
            dropped["malformed"] += 1
            return
        if message.network != self.config.network:
            dropped["other network"] += 1
        elif isinstance(message, Part):
            self._on_part(message, source)
        elif message.sender == ZERO or message.sender == self.node_id:
            dropped["no sender"] += 1
        elif isinstance(message, Reply):
            self._on_reply(message, source)
        elif isinstance(message, ErrorReply):
            self._on_error(message, source)
        elif isinstance(message, Notice):
            self._on_notice(message, source)
        else:
            self._on_request(message, source)

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
        operation = self._new_operation()

        def answered(reply: Reply) -> None:
            self._finish(operation, PingOutcome(reply.sender, self._ctx.now.mono - request.sent_at))

        request = self._requests.ping_address(
            address,
            self._composer.ping,
            on_reply=answered,
            on_failed=lambda code: self._finish(operation, PingOutcome(None, None)),
        )
        self._operations[operation] = request
        return operation

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
            query: only its filters matter. owner_id: only values of this owner. timeout: seconds.
        Raises:
            ValueError: *key* is ZERO.
        """
        self._ctx.now = now
        where = query.where if owner_id is None else (*query.where, (Field.OWNER, bytes(owner_id)))
        operation = self._new_operation(key)
        running = GetOperation(
            self._services,
            operation,
            key,
            where,
            strength,
            self.config.operation_timeout if timeout is None else timeout,
            partial(self._finish, operation),
        )
        self._operations[operation] = running
        if self._restoring.concerns(key):
            self._restoring.demand(key, running.start)
        else:
            running.start()
        return operation

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
        """Store a value, signed already, at the nodes closest to *key*; OperationDone with a PutOutcome at
        the quorum.

        Args:
            permanent: keep it alive as long as this node runs.
            created: unix seconds; None: now.
            probe: False if the caller knows the last seq of the value, so that nothing needs to be asked
                first.
        Raises:
            ValueError: *key* is ZERO, or the value has no id.
        """
        self._ctx.now = now
        if not value.id:
            raise ValueError("a value needs an id, 1 to 2**64 - 1")
        operation = self._new_operation(key)
        packed = pack(value)
        born = now.mono if created is None else now.mono - max(0.0, now.unix - created)
        newer = self._storage.get(key, value.id)
        stored = self._storage.store(key, value, packed, created=born, source="", permanent=permanent)
        if stored is None and newer is not None and newer.seq >= value.seq:
            self._finish(
                operation, PutOutcome(0, 0, 0, quorum=False, connected=True, conflicts=((newer.seq, 1),))
            )
            return operation
        if stored is not None:
            self._persistence.commit(stored, _nothing)
        announce: Announce | None = None
        if permanent:
            announce = Announce(key, value.id, value.type, value.seq, packed)
            self._announces.add(announce)
        mode: Mode = "first" if probe else "update"
        sent = None if permanent or created is None else int(created)
        running = self._start_put(
            key, value.id, value.seq, packed, sent, mode, partial(self._on_put_done, operation, announce)
        )
        if not running.done:
            self._operations[operation] = running
        return operation

    def listen(self, key: InfoHash, now: Instant, *, query: Query = ANY) -> OperationId:
        """Be told of every change under *key* as ListenChanged, until cancelled.

        Raises:
            ValueError: *key* is ZERO, or ``Limits.listens`` are running.
        """
        self._ctx.now = now
        if sum(map(len, self._listens.values())) >= self.config.limits.listens:
            raise ValueError(f"too many listens: at most {self.config.limits.listens} at once")
        operation = self._new_operation(key)
        running = ListenOperation(self._services, operation, key, query)
        self._operations[operation] = running
        self._listens.setdefault(key, []).append(running)
        running.start()
        return operation

    def cancel(self, operation: OperationId, now: Instant) -> None:
        """Stop an operation; no event about it follows. One that is over is ignored."""
        self._ctx.now = now
        running = self._operations.pop(operation, None)
        if isinstance(running, Request):
            self._requests.cancel(running)
        elif running is not None:
            running.cancel()
        if isinstance(running, PutOperation):
            self._background.discard(running)
        if isinstance(running, ListenOperation):
            listens = self._listens[running.key]
            listens.remove(running)
            if not listens:
                del self._listens[running.key]

    def cancel_put(self, key: InfoHash, value_id: int, now: Instant) -> bool:
        """Stop keeping a permanent value alive and drop our copy; copies elsewhere live on until they
        expire.
        """
        self._ctx.now = now
        found = self._announces.cancel(key, value_id)
        return self._storage.remove(key, value_id) or found

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
        self._bootstrap.start()

    def connectivity_changed(self, now: Instant) -> None:
        """Our network changed: all we know about reaching others is void."""
        self._ctx.now = now
        for overlay in self._overlays.values():
            overlay.reset()
            self._votes.forget(overlay.family)
        self._bootstrap.network_changed()
        for listens in self._listens.values():
            for running in listens:
                running.resubscribe()

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
            "listens": sum(map(len, self._listens.values())),
            "remote_listeners": len(self._listeners),
            "announces": len(self._announces),
            "open_requests": len(self._requests),
            "reassembly_bytes": self._reassembly.arrived_bytes,
            "verifications_pending": self._verification.pending(),
            "persists_pending": len(self._persistence),
            "restoring": len(self._restoring),
            **self._ctx.counters.snapshot(),
        }

    # -- the path of a datagram

    def _on_request(
        self, message: Ping | Find | Get | Put | Refresh | Listen | Update, source: Address
    ) -> None:
        reassembly = self._reassembly
        carrier = isinstance(message, Put | Update)
        early = carrier and reassembly.has_early(source, message.tid)
        if not early and not self._admission.request_allowed(source):
            self._ctx.counters.dropped["request rate"] += 1
            return
        if isinstance(message, Put | Update) and message.sizes:
            whole = reassembly.expect(message, source)
            if not isinstance(whole, Put | Update):
                return
            message = whole
        self._handle(message, source)

    def _handle(self, message: Ping | Find | Get | Put | Refresh | Listen | Update, source: Address) -> None:
        overlay = self._overlays.get(family_of(source))
        if overlay is None:
            self._ctx.counters.dropped["family not running"] += 1
            return
        kind = type(message)
        self._ctx.counters.received[kind.__name__.lower()] += 1
        node = overlay.on_request(message.sender, source, client=message.client)
        handler = self._requests_by_kind[kind]
        if isinstance(message, Get | Put | Refresh | Listen) and self._restoring.concerns(message.key):
            self._restoring.demand(message.key, partial(handler, message, node))
        else:
            handler(message, node)

    def _on_part(self, part: Part, source: Address) -> None:
        whole = self._reassembly.add(part, source)
        if whole is None:
            return
        if isinstance(whole, PartResult):
            if whole is PartResult.EARLY:
                allowed = self._admission.request_allowed(source)
            else:
                self._ctx.counters.dropped[f"part: {whole.value}"] += 1
                return
            if not allowed:
                self._reassembly.forget(source, part.tid)
                self._ctx.counters.dropped["request rate"] += 1
        elif isinstance(whole, Reply):
            self._on_whole_reply(whole, source)
        else:
            self._handle(whole, source)

    def _on_reply(self, reply: Reply, source: Address) -> None:
        request = self._requests.expects(reply, source)
        if request is None:
            self._on_unexpected(reply, source)
            return
        if reply.sizes:
            whole = self._reassembly.expect(reply, source)
            if request.node is not None:
                request.node.heard(self._ctx.now.mono)
            if not isinstance(whole, Reply):
                return
            reply = whole
        self._on_whole_reply(reply, source)

    def _on_whole_reply(self, reply: Reply, source: Address) -> None:
        request = self._requests.expects(reply, source)
        if request is None:
            self._on_unexpected(reply, source)
            return
        self._ctx.counters.received["reply"] += 1
        self._proof.prove(source)
        overlay = self._overlays[family_of(source)]
        node = request.node or overlay.identify(reply.sender, source, client=reply.client)
        now = self._ctx.now.mono
        if reply.token:
            node.got_token(reply.token, now)
        elif request.kind in ("find", "get"):
            self._ctx.counters.dropped["reply without token"] += 1
            self._admission.blacklist(source)
            self._requests.on_error(request, 0)
            node.timed_out()
            return
        if node is not request.node:
            node.replied(now)
        self._requests.on_reply(request, reply)
        overlay.on_replied(node)
        if reply.seen_ip:
            self._vote(reply.seen_ip)
        self._bootstrap.on_good_node()

    def _on_error(self, error: ErrorReply, source: Address) -> None:
        request = self._requests.expects(error, source)
        if request is None:
            self._ctx.counters.dropped["error: unexpected"] += 1
            return
        self._ctx.counters.received[f"error {error.code}" if error.code in (203, 401, 404) else "error"] += 1
        self._requests.on_error(request, error.code)

    def _on_unexpected(self, reply: Reply, source: Address) -> None:
        """A late answer proves its node alive; for an open socket it is a push of a very old node (spec 01,
        14.3).
        """
        if not self._admission.reply_allowed(source):
            self._ctx.counters.dropped["reply rate"] += 1
            return
        if reply.values:
            update = Update(
                tid=0, sender=reply.sender, socket_id=reply.tid, token=reply.token, values=reply.values
            )
            if self._requests.serve_socket(update, source):
                return
        overlay = self._overlays.get(family_of(source))
        node = overlay.cache.find(reply.sender) if overlay is not None else None
        if node is not None and node.address == source and node.last_sent > -inf:
            node.heard(self._ctx.now.mono)
            self._ctx.counters.received["late reply"] += 1
        else:
            self._ctx.counters.dropped["reply: unexpected"] += 1

    def _on_notice(self, notice: Notice, source: Address) -> None:
        """A version-0 notice for one of our sockets."""
        if not self._admission.request_allowed(source):
            self._ctx.counters.dropped["request rate"] += 1
            return
        update = Update(
            tid=0,
            sender=notice.sender,
            socket_id=notice.tid,
            token=notice.token,
            refreshed=notice.refreshed,
            expired=notice.expired,
        )
        if not self._requests.serve_socket(update, source):
            self._ctx.counters.dropped["notice: unknown socket"] += 1

    def _on_update(self, update: Update, node: RemoteNode) -> None:
        if not self._requests.serve_socket(update, node.address):
            self._ctx.counters.events["update for a closed socket"] += 1

    def _vote(self, seen_ip: bytes) -> None:
        host = unpack_ip(seen_ip)
        family: Family = 4 if len(seen_ip) == 4 else 6
        if self._votes.add(family, host):
            self._ctx.outbox.emit(PublicAddressChanged(host))

    # -- what the parts tell each other

    def _on_change(self, key: InfoHash, change: Change) -> None:
        """The store changed: renewal, expiry timer, remote and own listeners."""
        if isinstance(change, Stored):
            self._renewal.on_stored(key)
            self._arm_expiry()
        elif isinstance(change, Removed):
            for removed in change.values:
                self._persistence.forget(key, removed.id)
        self._pushes.on_change(key, change)
        for running in self._listens.get(key, ()):
            running.on_local_change(change)

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
        overlay = self._overlays[node.family]
        overlay.on_expired(node)
        if self._bootstrap.connected:
            self._bootstrap.update()

    def _on_connected(self) -> None:
        for listens in self._listens.values():
            for running in listens:
                running.on_connected()

    def _start_lookup(self, overlay: Overlay, target: InfoHash) -> None:
        """A lookup for its side effects: it fills the tables."""
        composer, requests = self._composer, self._requests

        def ask(lookup: Lookup, candidate: Candidate) -> None:
            def answered(reply: Reply) -> None:
                lookup.answered(candidate, reply)
                lookup.step()

            def failed(code: int) -> None:
                lookup.failed(candidate)
                lookup.step()

            def slow() -> None:
                lookup.slow(candidate)
                lookup.step()

            requests.send(
                candidate.node,
                "find",
                lambda tid: composer.find(tid, target),
                on_reply=answered,
                on_failed=failed,
                on_slow=slow,
            )

        Lookup(self._ctx, overlay, target, ask).step()

    def _start_put(
        self,
        key: InfoHash,
        value_id: int,
        seq: int,
        packed: bytes,
        created: int | None,
        mode: Mode,
        on_done: Callable[[PutOutcome], None],
    ) -> PutOperation:
        def over() -> None:
            self._background.discard(running)

        running = PutOperation(
            self._services,
            key,
            value_id,
            seq,
            packed,
            created,
            mode,
            self.config.operation_timeout,
            on_done,
            over,
        )
        self._background.add(running)
        running.start()
        return running

    def _refresh_announce(self, announce: Announce, then: Callable[[PutOutcome], None]) -> None:
        self._start_put(announce.key, announce.value_id, announce.seq, announce.packed, None, "refresh", then)

    def _on_put_done(self, operation: OperationId, announce: Announce | None, outcome: PutOutcome) -> None:
        if announce is not None:
            self._announces.on_outcome(announce, outcome)
        self._finish(operation, outcome)

    def _new_operation(self, key: InfoHash | None = None) -> OperationId:
        if key == ZERO:
            raise ValueError("the zero key stores nothing")
        self._last_operation += 1
        return self._last_operation

    def _finish(self, operation: OperationId, outcome: Outcome) -> None:
        self._operations.pop(operation, None)
        self._ctx.outbox.emit(OperationDone(operation, outcome))


def _family_of_work(work: Work) -> Family:
    return work.family if isinstance(work, StartLookup) else work.node.family


def _nothing() -> None:
    """Nobody waits for the commit of our own value: its put is acknowledged by other nodes."""
