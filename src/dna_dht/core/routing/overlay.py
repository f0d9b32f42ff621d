"""Overlay: what we know of the nodes of one address family, and how we speak to single ones.

The two families are separate networks that share one store (spec 02, section 19). An overlay ties together
the node cache, the routing table and their upkeep; lookups and operations ask it for the closest nodes and
tell it what answered.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.address_proof import AddressProof
from dna_dht.core.exchange.admission import Admission
from dna_dht.core.exchange.compose import Composer
from dna_dht.core.exchange.remote_node import RemoteNode
from dna_dht.core.exchange.requests import Requests
from dna_dht.core.routing.maintenance import Maintenance, SendFind, SendPing, Work
from dna_dht.core.routing.node_cache import NodeCache
from dna_dht.core.routing.routing_table import HEARD_OF, REPLIED, SENT, RoutingTable
from dna_dht.errors import DecodeError
from dna_dht.wire.address import Address, Family, is_loopback, is_martian
from dna_dht.wire.compact_nodes import CompactNode, pack_nodes, unpack_nodes
from dna_dht.wire.infohash import ZERO, InfoHash, common_bits
from dna_dht.wire.messages import Reply

SEND_NODES = 8  # nodes named in a reply; spec 02, section 1
MEMORY_LIFE = 600.0  # seconds for which the outcome of a lookup holds; spec 02, NODE_EXPIRE_TIME
SMALL_NETWORK = 16  # live nodes up to which we probably know the whole network; spec 02, 25.1 item 2


class Surroundings(NamedTuple):
    """What a lookup found around its key: *nodes* of them up to the distance *radius*; valid *until*."""

    until: float
    radius: int
    nodes: int


class Overlay:
    """One address family.

    Attributes:
        maintenance: shared by both overlays; set by the owner before the first message.
        start_lookup: called with a target that maintenance wants looked up; set by the owner.
    """

    def __init__(
        self,
        ctx: CoreContext,
        family: Family,
        requests: Requests,
        composer: Composer,
        admission: Admission,
        proof: AddressProof,
    ) -> None:
        self.family = family
        self.cache = NodeCache(ctx, family)
        self.table = RoutingTable(ctx, family)
        self.cache.on_changed = self.table.recheck
        self.maintenance: Maintenance
        self.start_lookup: Callable[[InfoHash], None]
        self._ctx = ctx
        self._requests = requests
        self._composer = composer
        self._admission = admission
        self._proof = proof
        self._settled: OrderedDict[InfoHash, Surroundings] = OrderedDict()
        self._joined = False  # a lookup of our own id has been completed

    # -- being told

    def on_request(self, sender: InfoHash, source: Address, *, client: bool) -> RemoteNode:
        """Note that *sender* asked us something from *source*; return its node."""
        node = self.identify(sender, source, client=client)
        if not node.in_table and not node.client:
            self._consider(node, SENT)
        return node

    def on_replied(self, node: RemoteNode) -> None:
        """*node* answered a request of ours, and was told so."""
        if not node.client:
            self._consider(node, REPLIED)

    def identify(self, sender: InfoHash, source: Address, *, client: bool) -> RemoteNode:
        """The node that spoke to us from *source* as *sender*.

        If the node's address is not *source*, the id is not believed to live there (spec 01, 17 #15): the new
        address is pinged, within the budget of addresses that have proved nothing, and the message belongs to
        an endpoint without a name.
        """
        node = self.cache.seen(sender, source, confirmed=True, client=client)
        if node.address != source:
            if self.cache.claims(node):
                self._ping_claim(sender, source)
            return RemoteNode(sender, source, client=True)
        node.heard(self._ctx.now.mono)
        return node

    def on_nodes(self, blob: bytes, replier: RemoteNode) -> list[RemoteNode]:
        """Take in a node list of a reply; return its plausible nodes. A list of wrong length is ignored
        (S-28).
        """
        try:
            entries = unpack_nodes(blob, self.family)
        except DecodeError:
            self._ctx.counters.dropped["node list: length"] += 1
            return []
        found = []
        via_loopback = is_loopback(replier.address[0])
        for node_id, address in entries[:SEND_NODES]:
            if is_loopback(address[0]) and not via_loopback:
                if replier.family != self.family:
                    continue  # its host in this family is unknown, and it is not our own loopback
                address = (replier.address[0], address[1])
            if (
                node_id in (self._ctx.node_id, ZERO)
                or is_martian(address)
                or self._admission.is_blacklisted(address)
            ):
                continue
            node = self.cache.seen(node_id, address, confirmed=False)
            if node.client:
                continue
            if not node.in_table:
                self._consider(node, HEARD_OF)
            found.append(node)
        return found

    def on_expired(self, node: RemoteNode) -> None:
        """Requests to *node* stay unanswered: ping the spare of its bucket, if there is one."""
        spare = self.table.replacement(node)
        if spare is not None:
            self.ping(spare)

    # -- asking

    def ping(self, node: RemoteNode) -> None:
        """Ping a known node; its answer or silence is noted by the tables."""
        self._requests.send(node, "ping", self._composer.ping, on_reply=_ignore, on_failed=_ignore)

    def carry_out(self, work: Iterable[Work]) -> None:
        """Do what maintenance decided."""
        for item in work:
            if isinstance(item, SendPing):
                self.ping(item.node)
            elif isinstance(item, SendFind):
                self._send_find(item)
            else:
                self.start_lookup(item.target)

    # -- closest nodes

    def closest(self, key: InfoHash, k: int) -> list[RemoteNode]:
        """The *k* closest live nodes we know, in the table or not, nearest first."""
        return self.cache.closest(key, k)

    def named(self, key: InfoHash) -> bytes:
        """The compact list of the closest good nodes, for a reply."""
        nodes = self.table.closest(key, SEND_NODES)
        return (
            pack_nodes([CompactNode(node.id, node.address) for node in nodes], self.family) if nodes else b""
        )

    def is_settled(self, key: InfoHash, seeds: Sequence[RemoteNode]) -> bool:
        """Whether *seeds*, the closest nodes we know, are the closest there are, as far as lookups can tell.

        True after a lookup of the key within 10 minutes, as long as most of those it found are alive, and in
        a network so small that we know all of it, once we have looked up ourselves (spec 02, 25.1
        items 3 and 4).
        """
        now = self._ctx.now.mono
        found = self._settled.get(key)
        if found is not None and found.until > now:
            number = int.from_bytes(key, "big")
            left = sum(node.number ^ number <= found.radius for node in seeds[:SEND_NODES])
            if 2 * left > found.nodes:
                return True
        if not self._joined or not seeds or not self._is_small():
            return False
        return all(node.is_good(now) for node in seeds[:SEND_NODES])

    def is_dense(self, key: InfoHash, seeds: Sequence[RemoteNode]) -> bool:
        """Whether we know as many nodes near *key* as there should be: then ask all of them at once."""
        if len(seeds) < SEND_NODES:
            return self._is_small()
        return common_bits(seeds[SEND_NODES - 1].id, key) >= self.table.depth

    def remember_surroundings(self, key: InfoHash, *, radius: int, nodes: int) -> None:
        """A lookup of *key* found the closest nodes, so many, all within the distance *radius*."""
        settled = self._settled
        settled[key] = Surroundings(self._ctx.now.mono + MEMORY_LIFE, radius, nodes)
        settled.move_to_end(key)
        self._joined |= key == self._ctx.node_id
        if len(settled) > self._ctx.config.limits.searches:
            settled.popitem(last=False)

    def reset(self) -> None:
        """Our network changed (spec 02, 8.3)."""
        self._settled.clear()
        self._joined = False
        self.cache.reset()
        self.table.reset()
        self.maintenance.network_changed(self.family)

    # -- inside

    def _is_small(self) -> bool:
        """Whether we know no more live nodes, in the table or not, than a small network has."""
        if self.table.size > SMALL_NETWORK:
            return False
        return len(self.cache.closest(self._ctx.node_id, SMALL_NETWORK + 1)) <= SMALL_NETWORK

    def _consider(self, node: RemoteNode, confirm: int) -> None:
        seen = self.table.on_node(node, confirm)
        self.carry_out(self.maintenance.on_seen(self.table, node, seen, confirm))

    def _send_find(self, item: SendFind) -> None:
        self._requests.send(
            item.node,
            "find",
            lambda tid: self._composer.find(tid, item.target, item.want),
            on_reply=_ignore,
            on_failed=lambda code: self.maintenance.find_expired(item.node, item.target),
        )

    def _ping_claim(self, node_id: InfoHash, address: Address) -> None:
        """Learn whether *node_id* lives at *address*; a forged sender must not aim our pings at a victim."""
        if not (self._proof.proved(address) or self._proof.reply_budget(address)):
            self._ctx.counters.dropped["ping: budget of unproved address"] += 1
            return
        self._requests.ping_address(
            address,
            self._composer.ping,
            on_reply=partial(self._on_claim_answered, node_id, address),
            on_failed=_ignore,
        )

    def _on_claim_answered(self, node_id: InfoHash, address: Address, reply: Reply) -> None:
        if reply.sender == node_id:
            self.cache.moved(node_id, address)


def _ignore(answer: object) -> None:
    """Replies matter by the side effects of the receive path only."""
