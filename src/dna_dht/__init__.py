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

The names are imported when they are first used: the command lines start in a blink, and a program that needs
only :class:`InfoHash` loads neither asyncio nor cryptography.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dna_dht.core.config import CoreConfig, Limits
    from dna_dht.core.effects import NodeEvidence, StatusChanged
    from dna_dht.core.node_state import NodeState
    from dna_dht.crypto.identity import Identity, PublicIdentity
    from dna_dht.crypto.mnemonic import Mnemonic
    from dna_dht.crypto.node_identity import NodeIdentity
    from dna_dht.crypto.seal import Opened, open_sealed, seal
    from dna_dht.crypto.verifiers import VERIFIERS, Verifier
    from dna_dht.dialect import Dialect
    from dna_dht.errors import (
        ConfigError,
        CryptoError,
        DecodeError,
        DecryptionError,
        DhtError,
        IdentityLockedError,
        MissingPackageError,
        MnemonicError,
        NetworkError,
        NotConnectedError,
        OperationTimeoutError,
        PasswordRequiredError,
        PutRefusedError,
        SequenceExhaustedError,
        SignatureError,
        StorageError,
        WrongPasswordError,
    )
    from dna_dht.keystore.identity_lock import IdentityLock, LockStatus
    from dna_dht.keystore.keystore import Keystore
    from dna_dht.keystore.public_bundle import PublicBundle
    from dna_dht.node import (
        Added,
        BatchItem,
        BlockingNode,
        BlockingSubscription,
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
    from dna_dht.nodus.networks import MAINNET
    from dna_dht.store.sqlite import SqliteStore
    from dna_dht.wire.infohash import InfoHash
    from dna_dht.wire.value import Value

__version__ = "0.1.0"

__all__ = [
    "MAINNET",
    "VERIFIERS",
    "Added",
    "BatchItem",
    "BlockingNode",
    "BlockingSubscription",
    "Change",
    "ConfigError",
    "CoreConfig",
    "CryptoError",
    "DecodeError",
    "DecryptionError",
    "DhtError",
    "Dialect",
    "Expired",
    "Identity",
    "IdentityLock",
    "IdentityLockedError",
    "InfoHash",
    "Keystore",
    "Limits",
    "LockStatus",
    "Lookup",
    "MissingPackageError",
    "Mnemonic",
    "MnemonicError",
    "NetworkError",
    "Node",
    "NodeConfig",
    "NodeEvidence",
    "NodeIdentity",
    "NodeState",
    "NotConnectedError",
    "Opened",
    "OperationTimeoutError",
    "PasswordRequiredError",
    "Pong",
    "PublicBundle",
    "PublicIdentity",
    "PutReceipt",
    "PutRefusedError",
    "SequenceExhaustedError",
    "SignatureError",
    "SqliteStore",
    "StatusChanged",
    "StorageError",
    "Subscription",
    "Updated",
    "Value",
    "Verifier",
    "WrongPasswordError",
    "open_sealed",
    "seal",
]

_PLACES = {
    "dna_dht.core.config": (
        "CoreConfig",
        "Limits",
    ),
    "dna_dht.core.effects": (
        "NodeEvidence",
        "StatusChanged",
    ),
    "dna_dht.core.node_state": ("NodeState",),
    "dna_dht.crypto.identity": (
        "Identity",
        "PublicIdentity",
    ),
    "dna_dht.crypto.mnemonic": ("Mnemonic",),
    "dna_dht.crypto.node_identity": ("NodeIdentity",),
    "dna_dht.crypto.seal": (
        "Opened",
        "open_sealed",
        "seal",
    ),
    "dna_dht.crypto.verifiers": (
        "VERIFIERS",
        "Verifier",
    ),
    "dna_dht.dialect": ("Dialect",),
    "dna_dht.errors": (
        "ConfigError",
        "CryptoError",
        "DecodeError",
        "DecryptionError",
        "DhtError",
        "IdentityLockedError",
        "MissingPackageError",
        "MnemonicError",
        "NetworkError",
        "NotConnectedError",
        "OperationTimeoutError",
        "PasswordRequiredError",
        "PutRefusedError",
        "SequenceExhaustedError",
        "SignatureError",
        "StorageError",
        "WrongPasswordError",
    ),
    "dna_dht.keystore.identity_lock": (
        "IdentityLock",
        "LockStatus",
    ),
    "dna_dht.keystore.keystore": ("Keystore",),
    "dna_dht.keystore.public_bundle": ("PublicBundle",),
    "dna_dht.node": (
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
    ),
    "dna_dht.nodus.networks": ("MAINNET",),
    "dna_dht.store.sqlite": ("SqliteStore",),
    "dna_dht.wire.infohash": ("InfoHash",),
    "dna_dht.wire.value": ("Value",),
}
_MODULES = {name: module for module, names in _PLACES.items() for name in names}

if not TYPE_CHECKING:  # so that type checkers refuse names that do not exist

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
