"""Handlers: what a node does with the requests of others. Source: spec 01, 15; spec 02, 13.

The receive path has checked address, rate and network, and noted the sender. Order of checks: key, then
token; for a refresh token, then storage (spec 01, 13).
"""

from collections.abc import Mapping
from functools import partial

from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.address_proof import AddressProof
from dna_dht.core.exchange.compose import Composer
from dna_dht.core.exchange.remote_node import RemoteNode
from dna_dht.core.exchange.replies import Replies
from dna_dht.core.exchange.requests import Requests
from dna_dht.core.exchange.tokens import Tokens
from dna_dht.core.routing.overlay import Overlay
from dna_dht.core.serving.pushes import Pushes
from dna_dht.core.serving.put_jobs import PutJobs
from dna_dht.core.serving.remote_listeners import RemoteListeners
from dna_dht.core.values.storage import Storage
from dna_dht.core.values.stored_value import StoredValue
from dna_dht.wire.address import Family
from dna_dht.wire.infohash import ZERO, InfoHash
from dna_dht.wire.messages import WANT_IPV4, WANT_IPV6, Find, Get, Listen, Ping, Put, Refresh, Update
from dna_dht.wire.query import ANY, Query, answer_fields

INVALID, UNAUTHORIZED, NOT_FOUND = 203, 401, 404  # error codes; spec 01, section 13
CLOSE_ENOUGH = 14  # rank up to which a node stores; spec 02, 13.1, SEARCH_NODES
TARGET_NODES = 8  # spec 02, section 1


class Handlers:
    """Answers requests."""

    def __init__(
        self,
        ctx: CoreContext,
        overlays: Mapping[Family, Overlay],
        storage: Storage,
        tokens: Tokens,
        proof: AddressProof,
        listeners: RemoteListeners,
        pushes: Pushes,
        put_jobs: PutJobs,
        replies: Replies,
        requests: Requests,
        composer: Composer,
    ) -> None:
        self._ctx = ctx
        self._overlays = overlays
        self._storage = storage
        self._tokens = tokens
        self._proof = proof
        self._listeners = listeners
        self._pushes = pushes
        self._put_jobs = put_jobs
        self._replies = replies
        self._requests = requests
        self._composer = composer

    def on_ping(self, ping: Ping, node: RemoteNode) -> None:
        self._replies.send_one(node.address, self._composer.pong(ping.tid, node.address))

    def on_find(self, find: Find, node: RemoteNode) -> None:
        source = node.address
        want = None if find.target == ZERO else find.want  # so small a question gets no large answer
        nodes = self._nodes(find.target, node.family, want)
        token = self._tokens.issue(source)
        self._replies.send_one(source, self._composer.nodes_reply(find.tid, source, nodes, token)[0])

    def on_get(self, get: Get, node: RemoteNode) -> None:
        source = node.address
        if get.key == ZERO:
            self._error(node, get.tid, INVALID, b"Get: no key")
            return
        query = get.query or ANY
        stored = self._storage.find(get.key, query)
        packed: list[bytes] = []
        fields = None
        if query.select:
            fields = answer_fields(query, stored)
        else:
            packed = self._limited(stored)
            size = sum(map(len, packed))
            if self._replies.must_hold(source, size):
                self._replies.hold(source, partial(self.on_get, get, node))
                return
            if size and not self._replies.may_carry(source, size):
                return
        nodes = self._nodes(get.key, node.family, get.want)
        token = self._tokens.issue(source)
        datagrams = self._composer.nodes_reply(get.tid, source, nodes, token, packed, fields)
        self._replies.send(source, datagrams, partial(self.on_get, get, node))

    def on_put(self, put: Put, node: RemoteNode) -> None:
        if put.key == ZERO:
            self._error(node, put.tid, INVALID, b"Put: no key")
        elif self._authorized(node, put.tid, put.token):
            self._put_jobs.run(put, node.address, keep=self._is_close(put.key, node.family))

    def on_refresh(self, refresh: Refresh, node: RemoteNode) -> None:
        if not self._authorized(node, refresh.tid, refresh.token):
            return
        answer = self._composer.put_reply(refresh.tid, refresh.value_id, node.address)
        if not self._put_jobs.refresh(
            refresh.key, refresh.value_id, lambda: self._replies.send_one(node.address, answer)
        ):
            self._error(node, refresh.tid, NOT_FOUND, b"Refresh: value not found")

    def on_listen(self, listen: Listen, node: RemoteNode) -> None:
        if listen.key == ZERO:
            self._error(node, listen.tid, INVALID, b"Listen: no key")
            return
        if not self._authorized(node, listen.tid, listen.token):
            return
        query = Query((), (listen.query or ANY).where)
        added = self._listeners.add(listen.key, node, listen.socket_id, query, listen.version)
        if added == "refused":
            self._error(node, listen.tid, INVALID, b"Listen: too many")  # silence would make us look dead
            return
        if added == "new":
            listener = self._listeners.find(listen.key, node.address, listen.socket_id)
            if listener is not None:
                self._pushes.send_stored(listener, listen.key, self._storage.find(listen.key, query))
        self._replies.send_one(node.address, self._composer.pong(listen.tid, node.address))

    def on_update(self, update: Update, node: RemoteNode) -> None:
        """Always confirmed, also for sockets we do not know (spec 01, 5.7)."""
        self._replies.send_one(node.address, self._composer.pong(update.tid, node.address))
        if not self._requests.serve_socket(update, node.address):
            self._ctx.counters.events["update for a closed socket"] += 1

    # -- inside

    def _authorized(self, node: RemoteNode, tid: int, token: bytes) -> bool:
        if self._tokens.valid(node.address, token):
            self._proof.prove(node.address)
            return True
        self._error(node, tid, UNAUTHORIZED, b"Wrong token")
        return False

    def _error(self, node: RemoteNode, tid: int, code: int, text: bytes) -> None:
        self._ctx.counters.events[f"error {code} answered"] += 1
        self._replies.send_one(node.address, self._composer.error(tid, code, text))

    def _nodes(self, target: InfoHash, family: Family, want: int | None) -> tuple[bytes, bytes]:
        if want is None:
            want = WANT_IPV4 if family == 4 else WANT_IPV6
        ipv4, ipv6 = self._overlays.get(4), self._overlays.get(6)
        return (
            ipv4.named(target) if ipv4 is not None and want & WANT_IPV4 else b"",
            ipv6.named(target) if ipv6 is not None and want & WANT_IPV6 else b"",
        )

    def _limited(self, stored: list[StoredValue]) -> list[bytes]:
        """The packed values that fit into one reply; the rest is reachable by id."""
        limits = self._ctx.config.limits
        packed: list[bytes] = []
        size = 0
        for value in stored:
            size += len(value.packed)
            if packed and (len(packed) >= limits.reply_values or size > limits.reply_value_bytes):
                self._ctx.counters.events["reply cut off"] += 1
                break
            packed.append(value.packed)
        return packed

    def _is_close(self, key: InfoHash, family: Family) -> bool:
        """Whether we may be among the nodes that store *key* (spec 02, 13.1 step 1)."""
        closest = self._overlays[family].table.closest(key, CLOSE_ENOUGH)
        if len(closest) < TARGET_NODES:
            return True
        number = int.from_bytes(key, "big")
        own = int.from_bytes(self._ctx.node_id, "big")
        return closest[-1].number ^ number >= own ^ number
