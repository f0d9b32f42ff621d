import ctypes
from collections.abc import Callable

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA87PrivateKey

from dna_dht.crypto import verifiers
from dna_dht.crypto.mldsa import SigningKey, verify
from dna_dht.crypto.verifiers import LiboqsVerifier, load_verifier
from dna_dht.errors import ConfigError, CryptoError

KEY = SigningKey(b"\x21" * 32)
SIGNATURE = KEY.sign(b"message")


class FakeFunction:
    """A foreign function as ctypes gives it: types can be set on it, and it can be called."""

    def __init__(self, body: Callable[..., object]) -> None:
        self._body = body
        self.restype: object = ctypes.c_int
        self.argtypes: list[object] | None = None

    def __call__(self, *arguments: object) -> object:
        assert self.argtypes is not None and len(arguments) == len(self.argtypes)
        return self._body(*arguments)


class FakeLiboqs:
    """Answers like liboqs; *algorithms* are those it was built with, *judge* decides about signatures."""

    def __init__(
        self,
        algorithms: tuple[bytes, ...] = (b"ML-DSA-87",),
        judge: Callable[[bytes, bytes, bytes], bool] = verify,
    ) -> None:
        self.initialised = 0
        self.handles: list[int] = []
        self._judge = judge
        self.OQS_init = FakeFunction(self._init)
        self.OQS_SIG_new = FakeFunction(lambda name: 4711 if name in algorithms else None)
        self.OQS_SIG_verify = FakeFunction(self._verify)

    def _init(self) -> None:
        self.initialised += 1

    def _verify(
        self, handle: int, message: bytes, length: int, signature: bytes, size: int, owner: bytes
    ) -> int:
        self.handles.append(handle)
        assert (length, size) == (len(message), len(signature))
        return 0 if self._judge(owner, signature, message) else -1


def test_the_default_is_the_cryptography_package() -> None:
    assert load_verifier("cryptography") is verify


def test_a_cryptography_package_without_the_algorithm_is_found_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(seed: bytes) -> None:
        raise UnsupportedAlgorithm("ML-DSA-87 is not supported by this backend.")

    monkeypatch.setattr(MLDSA87PrivateKey, "from_seed_bytes", refuse)
    with pytest.raises(ConfigError, match="built without ML-DSA-87: install its wheel from PyPI"):
        load_verifier("cryptography")
    with pytest.raises(CryptoError, match="built without ML-DSA-87"):
        SigningKey.generate()


def test_a_default_that_takes_forgeries_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifiers, "verify", lambda owner, signature, message: True)
    with pytest.raises(ConfigError, match="misjudges known signatures"):
        load_verifier("cryptography")


def test_liboqs_is_bound_with_its_types_and_agrees_with_the_default() -> None:
    library = FakeLiboqs()
    verifier = load_verifier("liboqs", open_library=lambda: library)

    assert verifier(KEY.public_key, SIGNATURE, b"message")
    assert not verifier(KEY.public_key, SIGNATURE, b"other")
    assert library.initialised == 1
    assert set(library.handles) == {4711}
    assert library.OQS_SIG_new.restype is ctypes.c_void_p  # a pointer cut to 32 bits would crash
    assert library.OQS_SIG_verify.restype is ctypes.c_int
    assert library.OQS_SIG_verify.argtypes == [
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_char_p,
    ]


def test_liboqs_never_sees_wrong_sizes() -> None:
    library = FakeLiboqs()
    verifier = LiboqsVerifier(library)
    calls = len(library.handles)

    assert not verifier(KEY.public_key[:-1], SIGNATURE, b"message")
    assert not verifier(KEY.public_key, SIGNATURE + b"\0", b"message")
    assert not verifier(b"", b"", b"")
    assert len(library.handles) == calls


@pytest.mark.parametrize("answer", [True, False])
def test_a_library_that_misjudges_signatures_is_refused(answer: bool) -> None:
    library = FakeLiboqs(judge=lambda owner, signature, message: answer)
    with pytest.raises(ConfigError, match="misjudges"):
        load_verifier("liboqs", open_library=lambda: library)


def test_a_library_without_the_algorithm_is_refused() -> None:
    with pytest.raises(ConfigError, match="built without ML-DSA-87"):
        load_verifier("liboqs", open_library=lambda: FakeLiboqs(algorithms=(b"Dilithium5",)))


def test_another_library_is_refused() -> None:
    with pytest.raises(ConfigError, match="too old or not liboqs"):
        load_verifier("liboqs", open_library=object)


def test_a_missing_library_is_named_with_the_way_out() -> None:
    def missing() -> object:
        raise OSError("liboqs.so: cannot open shared object file")

    with pytest.raises(ConfigError, match=r"not found; install it or choose the verifier cryptography"):
        load_verifier("liboqs", open_library=missing)


def test_the_system_is_searched_when_no_library_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def find_library(name: str) -> str:
        asked.append(name)
        return "liboqs-99.so.0"

    def open_library(name: str) -> FakeLiboqs:
        asked.append(name)
        return FakeLiboqs()

    monkeypatch.setattr(ctypes.util, "find_library", find_library)
    monkeypatch.setattr(ctypes, "CDLL", open_library)

    assert load_verifier("liboqs")(KEY.public_key, SIGNATURE, b"message")
    assert asked == ["oqs", "liboqs-99.so.0"]


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="'openssl' is unknown: choose one of cryptography, liboqs"):
        load_verifier("openssl")
