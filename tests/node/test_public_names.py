"""What ``dna_dht`` exports; a change here is a change for every user."""

import dna_dht
from dna_dht import errors

NAMES = [
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
    "DhtError",
    "Expired",
    "InfoHash",
    "Limits",
    "Lookup",
    "MAINNET",
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
    "SqliteStore",
    "StatusChanged",
    "StorageError",
    "Subscription",
    "Updated",
    "Value",
    "Verifier",
]


def test_the_public_names() -> None:
    assert sorted(dna_dht.__all__) == sorted(NAMES)
    for name in NAMES:
        assert getattr(dna_dht, name) is not None


def test_all_errors_are_public() -> None:
    defined = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.DhtError)
    }
    assert defined <= set(dna_dht.__all__)
