"""Every exception the package raises on purpose, all under DhtError.

DhtError
├── NetworkError                no usable answer came back: retry later, or check connectivity
│   ├── NotConnectedError       no good node is known (bootstrap failed or has not finished)
│   └── OperationTimeoutError   too few nodes answered (also a builtin TimeoutError)
├── PutRefusedError             nodes answered, but the network keeps another value
│   └── SequenceExhaustedError  the 16-bit revision of a value is used up
├── DecodeError                 bytes from the network or from disk are not what they claim to be
├── CryptoError                 a key or signature cannot be used
│   ├── DecryptionError         not for this key, or changed on the way
│   │   ├── PasswordRequiredError   the identity has a password and none was given
│   │   └── WrongPasswordError      the password given is not the one of the identity
│   ├── SignatureError          a signature that does not verify, or another signer than expected
│   └── MissingPackageError     an optional package is needed; the message says what to install
├── MnemonicError               recovery words that are mistyped, missing or in the wrong order
├── StorageError                a local file or the database cannot be read or written
│   └── IdentityLockedError     another process uses the identity of this data directory
└── ConfigError                 a setting the user gave cannot work

Misuse of a function (a value out of its documented range) stays ValueError or TypeError.
"""


class DhtError(Exception):
    """Base class: ``except DhtError`` catches whatever can go wrong at run time."""


class NetworkError(DhtError):
    """No usable answer came back: retry later, or check connectivity."""


class NotConnectedError(NetworkError):
    """The routing table holds no good node: bootstrap failed or has not finished."""


class OperationTimeoutError(NetworkError, TimeoutError):
    """Too few nodes answered. Not an empty result: empty means enough answered "nothing"."""

    def __init__(self, *, asked: int, answered: int) -> None:
        super().__init__(f"{answered} of {asked} nodes answered")
        self.asked, self.answered = asked, answered


class PutRefusedError(DhtError):
    """Nodes answered the put, but the value read back is not ours: another owner or a higher seq won."""


class SequenceExhaustedError(PutRefusedError):
    """The value's seq is 65,535, the last one: no further revision fits its 16 bits; use a new value id."""


class DecodeError(DhtError):
    """Bytes from the network or from disk are not what they claim to be."""


class CryptoError(DhtError):
    """A key, certificate or signature is damaged or of the wrong kind."""


class DecryptionError(CryptoError):
    """The data is not for this key, or a byte was changed on the way."""


class PasswordRequiredError(DecryptionError):
    """The identity is protected by a password and none was given."""


class WrongPasswordError(DecryptionError):
    """The password given is not the one the identity is protected by."""


class SignatureError(CryptoError):
    """A signature does not verify, or the signer is not the one expected: treat the data as forged."""


class MissingPackageError(CryptoError):
    """What was asked for needs an optional package; the message says what to install."""


class MnemonicError(DhtError):
    """Recovery words are mistyped, missing or in the wrong order; the message names the word."""


class StorageError(DhtError):
    """A local file or the database cannot be opened, read or written."""


class IdentityLockedError(StorageError):
    """Another process uses the identity of this data directory. *pid* is its process, None if unknown."""

    def __init__(self, message: str, *, pid: int | None) -> None:
        super().__init__(message)
        self.pid = pid


class ConfigError(DhtError):
    """A setting the user gave cannot work; the message says which one and what to do."""
