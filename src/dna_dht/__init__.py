"""dna-dht: the post-quantum DHT of DNA Messenger.

::

    async with Node(NodeConfig(bootstrap=("127.0.0.1:4000",), identity=NodeIdentity.generate())) as node:
        key = InfoHash.of(b"greeting")
        await node.put(key, b"hello")
        (value,) = await node.get(key)
        async with node.listen(key) as changes:
            async for change in changes:
                print(change)

Scripts use :class:`BlockingNode`, which does the same without ``await``. Everything that can go wrong at run
time is a :class:`DhtError`. What is listed here is stable; other modules may change in any release.
"""

from dna_dht.core.config import CoreConfig, Limits
from dna_dht.core.effects import NodeEvidence
from dna_dht.core.node_state import NodeState
from dna_dht.crypto.identity import NodeIdentity
from dna_dht.crypto.verifiers import VERIFIERS, Verifier
from dna_dht.errors import (
    ConfigError,
    CryptoError,
    DecodeError,
    DhtError,
    NetworkError,
    NotConnectedError,
    OperationTimeoutError,
    PutRefusedError,
    SequenceExhaustedError,
    StorageError,
)
from dna_dht.node import (
    Added,
    BatchItem,
    BlockingNode,
    Change,
    Expired,
    Lookup,
    Node,
    NodeConfig,
    Pong,
    PutReceipt,
    Subscription,
    Updated,
)
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.value import Value

__version__ = "0.1.0"

__all__ = [
    "VERIFIERS",
    "Added",
    "BatchItem",
    "BlockingNode",
    "Change",
    "ConfigError",
    "CoreConfig",
    "CryptoError",
    "DecodeError",
    "DhtError",
    "Expired",
    "InfoHash",
    "Limits",
    "Lookup",
    "NetworkError",
    "Node",
    "NodeConfig",
    "NodeEvidence",
    "NodeIdentity",
    "NodeState",
    "NotConnectedError",
    "OperationTimeoutError",
    "Pong",
    "PutReceipt",
    "PutRefusedError",
    "SequenceExhaustedError",
    "StorageError",
    "Subscription",
    "Updated",
    "Value",
    "Verifier",
]
