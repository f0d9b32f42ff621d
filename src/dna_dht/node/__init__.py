"""The public asynchronous face of a DHT node, and :class:`BlockingNode`, the same for scripts."""

from dna_dht.node.blocking import BlockingNode, BlockingSubscription
from dna_dht.node.changes import Added, Change, Expired, Updated
from dna_dht.node.config import NodeConfig
from dna_dht.node.node import Node
from dna_dht.node.results import BatchItem, Lookup, Pong, PutReceipt
from dna_dht.node.subscription import Subscription

__all__ = [
    "Added",
    "BatchItem",
    "BlockingNode",
    "BlockingSubscription",
    "Change",
    "Expired",
    "Lookup",
    "Node",
    "NodeConfig",
    "Pong",
    "PutReceipt",
    "Subscription",
    "Updated",
]
