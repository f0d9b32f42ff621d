"""Composer: the datagrams of one node, with its own id, network and client flag filled in."""

from collections.abc import Sequence

from dna_dht.core.context import CoreContext
from dna_dht.wire import encode
from dna_dht.wire.address import Address, pack_ip
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import Listen, Put, Refresh, Update
from dna_dht.wire.query import FieldAnswer, Query

LISTEN_VERSION = 1  # what we write; spec 01, 5.6


class Composer:
    """Builds what this node sends. Lists hold a header and the parts behind it, in sending order."""

    __slots__ = ("_client", "_network", "_own")

    def __init__(self, ctx: CoreContext) -> None:
        self._own = ctx.node_id
        self._network = ctx.config.network
        self._client = ctx.config.client_mode

    # -- requests

    def ping(self, tid: int) -> list[bytes]:
        return [encode.ping(tid, self._own, self._network, self._client)]

    def find(self, tid: int, target: InfoHash, want: int | None = None) -> list[bytes]:
        return [encode.find(tid, self._own, target, want, self._network, self._client)]

    def get(self, tid: int, key: InfoHash, query: Query) -> list[bytes]:
        asked = query if query.select or query.where else None
        return [encode.get(tid, self._own, key, asked, None, self._network, self._client)]

    def put(
        self, tid: int, key: InfoHash, token: bytes, packed: Sequence[bytes], created: int | None
    ) -> list[bytes]:
        message = Put(
            tid=tid,
            sender=self._own,
            key=key,
            token=token,
            created=created,
            network=self._network,
            client=self._client,
        )
        return encode.encode(message, packed)

    def refresh(self, tid: int, key: InfoHash, value_id: int, token: bytes) -> list[bytes]:
        message = Refresh(
            tid=tid,
            sender=self._own,
            key=key,
            value_id=value_id,
            token=token,
            network=self._network,
            client=self._client,
        )
        return encode.encode(message)

    def listen(self, tid: int, key: InfoHash, token: bytes, socket_id: int, query: Query) -> list[bytes]:
        message = Listen(
            tid=tid,
            sender=self._own,
            key=key,
            token=token,
            socket_id=socket_id,
            query=query if query.select or query.where else None,
            version=LISTEN_VERSION,
            network=self._network,
            client=self._client,
        )
        return encode.encode(message)

    def update_values(
        self, tid: int, key: InfoHash, socket_id: int, token: bytes, packed: Sequence[bytes]
    ) -> list[bytes]:
        message = Update(
            tid=tid,
            sender=self._own,
            socket_id=socket_id,
            token=token,
            key=key,
            version=LISTEN_VERSION,
            network=self._network,
            client=self._client,
        )
        return encode.encode(message, packed)

    def update_ids(
        self,
        tid: int,
        socket_id: int,
        token: bytes,
        refreshed: Sequence[int] = (),
        expired: Sequence[int] = (),
    ) -> list[bytes]:
        message = Update(
            tid=tid,
            sender=self._own,
            socket_id=socket_id,
            token=token,
            refreshed=tuple(refreshed),
            expired=tuple(expired),
            network=self._network,
            client=self._client,
        )
        return encode.encode(message)

    # -- replies

    def pong(self, tid: int, to: Address) -> bytes:
        return encode.pong(tid, self._own, pack_ip(to[0]), self._network, self._client)

    def put_reply(self, tid: int, value_id: int, to: Address) -> bytes:
        return encode.put_reply(tid, self._own, value_id, pack_ip(to[0]), self._network, self._client)

    def error(self, tid: int, code: int, text: bytes) -> bytes:
        return encode.error(tid, self._own, code, text, self._network, self._client)

    def nodes_reply(
        self,
        tid: int,
        to: Address,
        nodes: tuple[bytes, bytes],
        token: bytes,
        packed: Sequence[bytes] = (),
        fields: FieldAnswer | None = None,
    ) -> list[bytes]:
        """*nodes*: compact lists of IPv4 and IPv6 nodes, either may be empty."""
        return encode.nodes_reply(
            tid,
            self._own,
            pack_ip(to[0]),
            nodes[0],
            nodes[1],
            token,
            self._network,
            self._client,
            packed,
            fields,
        )
