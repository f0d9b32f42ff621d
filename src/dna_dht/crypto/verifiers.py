"""Back ends that check signatures, behind one function. Source: performance, section 2.3.

``cryptography`` is the default and always there. ``liboqs`` is up to five times faster where the operator
has installed the shared library and asks for it; it is bound by ctypes and has to pass a self-test first.
Both release the interpreter lock and may be called from several threads at once.
"""

import ctypes
import ctypes.util
from collections.abc import Callable
from typing import Any, Protocol

from dna_dht.crypto.mldsa import PUBLIC_KEY_SIZE, SIGNATURE_SIZE, SigningKey, verify
from dna_dht.errors import ConfigError, CryptoError

VERIFIERS = ("cryptography", "liboqs")
"""Names :func:`load_verifier` takes."""

_ALGORITHM = b"ML-DSA-87"  # OQS_SIG_alg_ml_dsa_87, liboqs src/sig/sig.h
_SUCCESS = 0  # OQS_SUCCESS, liboqs src/common/common.h


class Verifier(Protocol):
    """Checks an ML-DSA-87 signature. Any bytes give True or False; it never raises."""

    def __call__(self, owner: bytes, signature: bytes, message: bytes, /) -> bool: ...


class LiboqsVerifier:
    """Verification by liboqs. Its algorithm object is only read and lives as long as the process."""

    __slots__ = ("_algorithm", "_verify")

    def __init__(self, library: Any) -> None:
        """Bind *library*, a ``ctypes.CDLL``; ConfigError if it lacks ML-DSA-87 or fails the self-test."""
        try:
            new, self._verify = library.OQS_SIG_new, library.OQS_SIG_verify
            initialise = library.OQS_init
        except AttributeError as error:
            raise ConfigError(f"verifier liboqs: the library is too old or not liboqs ({error})") from None
        initialise.restype, initialise.argtypes = None, []
        new.restype, new.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
        size, data = ctypes.c_size_t, ctypes.c_char_p
        self._verify.restype = ctypes.c_int
        self._verify.argtypes = [ctypes.c_void_p, data, size, data, size, data]
        initialise()
        self._algorithm = new(_ALGORITHM)
        if not self._algorithm:
            raise ConfigError("verifier liboqs: the installed library was built without ML-DSA-87")
        if not _passes_self_test(self):
            raise ConfigError("verifier liboqs: the installed library misjudges known signatures")

    def __call__(self, owner: bytes, signature: bytes, message: bytes) -> bool:
        if len(owner) != PUBLIC_KEY_SIZE or len(signature) != SIGNATURE_SIZE:
            return False
        status: int = self._verify(self._algorithm, message, len(message), signature, len(signature), owner)
        return status == _SUCCESS


def load_verifier(name: str, *, open_library: Callable[[], Any] | None = None) -> Verifier:
    """The back end called *name*: ``cryptography`` or ``liboqs``.

    *open_library* returns the ``ctypes.CDLL`` to bind (OSError: not found); default: search the system.

    Raises:
        ConfigError: unknown name; the library is not installed, lacks ML-DSA-87 or fails its self-test.
    """
    if name == "cryptography":
        try:
            sound = _passes_self_test(verify)
        except CryptoError as error:
            raise ConfigError(f"verifier cryptography: {error}") from None
        if not sound:
            raise ConfigError("verifier cryptography: the installed library misjudges known signatures")
        return verify
    if name != "liboqs":
        raise ConfigError(f"verifier {name!r} is unknown: choose one of {', '.join(VERIFIERS)}")
    try:
        library = (open_library or _open_liboqs)()
    except OSError:
        raise ConfigError(
            "verifier liboqs: the library was not found; install it or choose the verifier cryptography"
        ) from None
    return LiboqsVerifier(library)


def _open_liboqs() -> ctypes.CDLL:
    return ctypes.CDLL(ctypes.util.find_library("oqs") or "liboqs.so")


def _passes_self_test(verifier: Verifier) -> bool:
    key = SigningKey(bytes(range(32)))
    message = b"self-test"
    signature = key.sign(message)
    forged = bytes([signature[0] ^ 1]) + signature[1:]
    return (
        verifier(key.public_key, signature, message)
        and not verifier(key.public_key, forged, message)
        and not verifier(key.public_key, signature, message + b"!")
    )
