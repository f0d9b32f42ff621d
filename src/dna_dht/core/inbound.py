"""Inbound: the path of a datagram through the node. Source: spec 01, 15.1.

    admission (address, blacklist) ─ decoding ─ network ─ rate ─ reassembly ─┬─ reply ─► the open request it
    answers
                                                                             └─ request ─► the handler of its
                                                                             kind

Whatever does not pass is counted by its reason and dropped without an answer. Nothing is raised for any
bytes.
"""

from collections.abc import Callable, Mapping
from functools import partial
from math import inf
from typing import Any

from dna_dht.core.context import CoreContext
from dna_dht.core.effects import PublicAddressChanged
from dna_dht.core.exchange.address_proof import AddressProof
from dna_dht.core.exchange.address_votes import AddressVotes
from dna_dht.core.exchange.admission import Admission
from dna_dht.core.exchange.reassembly import PartResult, Reassembly
from dna_dht.core.exchange.remote_node import RemoteNode
from dna_dht.core.exchange.requests import Requests
from dna_dht.core.routing.overlay import Overlay
from dna_dht.core.serving.handlers import Handlers
from dna_dht.core.values.restoring import Restoring
from dna_dht.errors import DecodeError
from dna_dht.wire.address import Address, Family, family_of, is_martian, unpack_ip
from dna_dht.wire.decode import decode
from dna_dht.wire.infohash import ZERO
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

Query = Ping | Find | Get | Put | Refresh | Listen | Update
KNOWN_ERRORS = (203, 401, 404)  # spec 01, section 13


class Inbound:
    """Takes datagrams to where they belong.

    Attributes:
        on_company: called with the family when a node answered a request of ours; set by the owner.
    """

    def __init__(
        self,
        ctx: CoreContext,
        overlays: Mapping[Family, Overlay],
        admission: Admission,
        proof: AddressProof,
        votes: AddressVotes,
        reassembly: Reassembly,
        requests: Requests,
        restoring: Restoring,
        handlers: Handlers,
    ) -> None:
        self.on_company: Callable[[Family], None] = lambda family: None
        self._ctx = ctx
        self._overlays = overlays
        self._admission = admission
        self._proof = proof
        self._votes = votes
        self._reassembly = reassembly
        self._requests = requests
        self._restoring = restoring
        self._handlers: dict[type, Callable[[Any, RemoteNode], None]] = {
            Ping: handlers.on_ping,
            Find: handlers.on_find,
            Get: handlers.on_get,
            Put: handlers.on_put,
            Refresh: handlers.on_refresh,
            Listen: handlers.on_listen,
            Update: handlers.on_update,
        }

    def receive(self, datagram: bytes, source: Address) -> None:
        """Handle one datagram."""
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
        if message.network != self._ctx.config.network:
            dropped["other network"] += 1
        elif isinstance(message, Part):
            self._on_part(message, source)
        elif message.sender == ZERO or message.sender == self._ctx.node_id:
            dropped["no sender"] += 1
        elif isinstance(message, Reply):
            self._on_reply(message, source)
        elif isinstance(message, ErrorReply):
            self._on_error(message, source)
        elif isinstance(message, Notice):
            self._on_notice(message, source)
        else:
            self._on_request(message, source)

    # -- requests

    def _on_request(self, message: Query, source: Address) -> None:
        carrier = isinstance(message, Put | Update)
        if not (carrier and self._reassembly.has_early(source, message.tid)) and not self._within_rate(
            source
        ):
            return
        if isinstance(message, Put | Update) and message.sizes:
            whole = self._reassembly.expect(message, source)
            if not isinstance(whole, Put | Update):
                return
            message = whole
        self._handle(message, source)

    def _handle(self, message: Query, source: Address) -> None:
        overlay = self._overlays.get(family_of(source))
        if overlay is None:
            self._ctx.counters.dropped["family not running"] += 1
            return
        kind = type(message)
        self._ctx.counters.received[kind.__name__.lower()] += 1
        node = overlay.on_request(message.sender, source, client=message.client)
        handler = self._handlers[kind]
        if isinstance(message, Get | Put | Refresh | Listen) and self._restoring.concerns(message.key):
            self._restoring.demand(message.key, partial(handler, message, node))
        else:
            handler(message, node)

    def _on_notice(self, notice: Notice, source: Address) -> None:
        """A push of a very old node (spec 01, 14.3), for one of our sockets."""
        if not self._within_rate(source):
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

    def _within_rate(self, source: Address) -> bool:
        if self._admission.request_allowed(source):
            return True
        self._ctx.counters.dropped["request rate"] += 1
        return False

    # -- parts

    def _on_part(self, part: Part, source: Address) -> None:
        whole = self._reassembly.add(part, source)
        if whole is None:
            return
        if whole is PartResult.EARLY:
            if not self._within_rate(source):
                self._reassembly.forget(source, part.tid)
        elif isinstance(whole, PartResult):
            self._ctx.counters.dropped[f"part: {whole.value}"] += 1
        elif isinstance(whole, Reply):
            self._on_whole_reply(whole, source)
        else:
            self._handle(whole, source)

    # -- replies

    def _on_reply(self, reply: Reply, source: Address) -> None:
        request = self._requests.expects(reply, source)
        push = request is None and reply.sizes and self._requests.has_socket(reply.tid, source)
        if request is None and not push:
            self._on_unexpected(reply, source)
            return
        if reply.sizes:
            whole = self._reassembly.expect(reply, source)
            if request is not None and request.node is not None:
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
        self.on_company(overlay.family)

    def _on_error(self, error: ErrorReply, source: Address) -> None:
        request = self._requests.expects(error, source)
        if request is None:
            self._ctx.counters.dropped["error: unexpected"] += 1
            return
        known = error.code in KNOWN_ERRORS
        self._ctx.counters.received[f"error {error.code}" if known else "error, other"] += 1
        self._requests.on_error(request, error.code)

    def _on_unexpected(self, reply: Reply, source: Address) -> None:
        """A late answer proves its node alive; for an open socket it is a push of a very old node."""
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

    def _vote(self, seen_ip: bytes) -> None:
        host = unpack_ip(seen_ip)
        if self._votes.add(4 if len(seen_ip) == 4 else 6, host):
            self._ctx.outbox.emit(PublicAddressChanged(host))
