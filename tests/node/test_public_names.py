"""What ``dna_dht`` exports; a change here is a change for every user."""

import dna_dht
from dna_dht import errors

NAMES = [
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
    "MAINNET",
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
    "VERIFIERS",
    "Value",
    "Verifier",
    "WrongPasswordError",
    "open_sealed",
    "seal",
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
