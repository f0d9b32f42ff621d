"""Subscription: one node that serves one listen. Source: spec 01, 14.1; spec 02, 16.2, 25.1 item 15.

    start ──► listen ──confirmed──► wait KEEP_ALIVE ──► renewal due? ──yes──► listen again
                │                        ▲                  │ no
                │                        │                  ▼
                │                        └──same token── find: a sign of life, and the node's token
                │ 401: find, listen again                   │ another token: listen again
                ▼                                           ▼
              lost (refused, silent)                      lost

The storing node keeps a subscription for 10 minutes; it is renewed every RENEWAL seconds. The find is left
out if the node gave us a token for another reason meanwhile. Another token than before may mean that the node
restarted and forgot us.

The socket id is opened for the subscription, not for the node: it survives the node's expiry (S-19), and
stays the same over renewals.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

from dna_dht.core.exchange.remote_node import RemoteNode
from dna_dht.core.exchange.requests import EXPIRED, Request
from dna_dht.core.operations.services import Services
from dna_dht.core.routing.overlay import Overlay
from dna_dht.core.timers import Timer
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import Reply, Update
from dna_dht.wire.query import Query

RENEWAL = (210.0, 270.0)  # seconds, uniform; spec 02, 25.1 item 15
KEEP_ALIVE = 20.0  # seconds between signs of life of a serving node; same
SHUN = 600.0  # seconds for which a node that refused or lied is not subscribed to; as the blacklist
REST = 60.0  # the same for one that was silent
MAX_REFUSALS = 3  # tokens a serving node may refuse in a row
UNAUTHORIZED = 401


class Subscription:
    """One serving node; at most one request to it is under way.

    Attributes:
        confirmed: it has been, at least once.
        open: False once it is lost or closed; nothing is told after that.
        on_confirmed, on_lost, on_named: told when a listen was confirmed; when the node is of no use, and for
            how many seconds; when it has named nodes. Set before :meth:`start`.
    """

    __slots__ = (
        "_key",
        "_query",
        "_refusals",
        "_renewal",
        "_request",
        "_services",
        "_timer",
        "_token",
        "confirmed",
        "node",
        "on_confirmed",
        "on_lost",
        "on_named",
        "open",
        "overlay",
        "socket_id",
    )

    def __init__(
        self,
        services: Services,
        overlay: Overlay,
        node: RemoteNode,
        key: InfoHash,
        query: Query,
        serve: Callable[["Subscription", Update], None],
    ) -> None:
        """*serve* gets the updates."""
        self.on_confirmed: Callable[[Subscription], None]
        self.on_lost: Callable[[Subscription, float], None]
        self.on_named: Callable[[Subscription], None]
        self.overlay, self.node = overlay, node
        self.confirmed = False
        self.open = True
        self._services = services
        self._key, self._query = key, query
        self._token = b""  # with which we subscribed
        self._renewal = 0.0  # when it is due, monotonic seconds
        self._refusals = 0  # of our token, in a row
        self._request: Request | None = None
        self._timer: Timer | None = None
        self.socket_id = services.requests.open_socket(node, partial(serve, self))
        node.held += 1

    def start(self) -> None:
        """Subscribe; the node's token is at hand."""
        self._listen()

    def close(self) -> None:
        """Stop; the node forgets us by itself."""
        if not self.open:
            return
        self.open = False
        self.node.held -= 1
        requests = self._services.requests
        requests.close_socket(self.socket_id)
        if self._request is not None:
            requests.cancel(self._request)
        if self._timer is not None:
            self._timer.cancel()

    def got_token(self, token: bytes) -> None:
        """An update brought a token."""
        self.node.got_token(token, self._services.ctx.now.mono)
        self._token = token

    # -- inside

    def _listen(self) -> None:
        composer, node = self._services.composer, self.node
        self._token = node.token
        self._send(
            "listen",
            lambda tid: composer.listen(tid, self._key, node.token, self.socket_id, self._query),
            self._on_confirmed,
        )

    def _find(self, then: Callable[[], None]) -> None:
        """Learn whether the node lives, its token, and whom it thinks closest; go on with *then*."""
        composer, overlay = self._services.composer, self.overlay

        def answered(reply: Reply) -> None:
            nodes = reply.nodes4 if overlay.family == 4 else reply.nodes6
            if nodes:
                overlay.on_nodes(nodes, self.node)
            then()
            self.on_named(self)

        self._send("find", lambda tid: composer.find(tid, self._key), answered)

    def _send(
        self,
        kind: Literal["find", "listen"],
        build: Callable[[int], list[bytes]],
        on_reply: Callable[[Reply], None],
    ) -> None:
        self._request = self._services.requests.send(
            self.node, kind, build, on_reply=on_reply, on_failed=self._on_failed
        )

    def _on_confirmed(self, reply: Reply) -> None:
        ctx = self._services.ctx
        self.confirmed = True
        self._renewal = ctx.now.mono + ctx.rng.uniform(*RENEWAL)
        self._refusals = 0
        self.node.accepted_token()
        self._wait()
        self.on_confirmed(self)

    def _on_failed(self, code: int) -> None:
        if code == UNAUTHORIZED and self._refusals < MAX_REFUSALS:
            self._refusals += 1
            self.node.refused_token()
            self._find(self._listen)
        else:
            self.on_lost(self, REST if code == EXPIRED else SHUN)

    def _wait(self) -> None:
        ctx = self._services.ctx
        if self._timer is not None:
            self._timer.cancel()
        self._timer = ctx.timers.at(ctx.now.mono + ctx.jittered(KEEP_ALIVE, 0.2), self._keep_alive)

    def _keep_alive(self) -> None:
        now, node = self._services.ctx.now.mono, self.node
        if now >= self._renewal:
            if node.has_token(now):
                self._listen()
            else:
                self._find(self._listen)
        elif node.token_time > now - KEEP_ALIVE / 2:
            self._compare_token()
        else:
            self._find(self._compare_token)

    def _compare_token(self) -> None:
        if self.node.token != self._token:
            self._listen()
        else:
            self._wait()
