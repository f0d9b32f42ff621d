"""Export blobs: an identity whose parts belong together, or DecodeError; the same again after encoding."""

from functools import cache
from zlib import crc32

from dna_dht.crypto.certificate import Certificate
from dna_dht.crypto.export_blob import ExportBlob
from dna_dht.crypto.node_identity import NodeIdentity
from dna_dht.errors import CryptoError, DecodeError
from fuzz.samples import load

__all__ = ["one_input", "seeds"]

_SIGNING = 64  # one in so many right ones becomes an identity, which takes 15 ms
_EXACT = 4 + 4896 + 4 + 2592 + 4  # bytes before the certificate


@cache
def seeds() -> list[bytes]:
    """Two recorded identities, one with another certificate; lengths that overflow; the certificate alone."""
    found = []
    for case in load("crypto-node-identity.json")["cases"]:
        identity = NodeIdentity.from_seed(bytes.fromhex(case["dht_identity_seed"]))
        found.append(ExportBlob.of(identity, 1_769_126_400).encode())
    blob = ExportBlob.decode(found[0])
    other = Certificate(blob.public_key, name="\u00e9" * 200, not_after=2**64 - 1)
    found.append(ExportBlob(blob.secret_key, blob.public_key, other).encode())
    return [*found, b"\xff" * 12, b"\0\0\x13\x20" + bytes(7), blob.certificate.encode()]


def one_input(data: bytes) -> None:
    """Check one blob; and the input as the certificate in a blob that is right otherwise."""
    _check(data)
    _check(seeds()[0][: _EXACT - 4] + len(data).to_bytes(4, "big") + data)


def _check(data: bytes) -> None:
    try:
        blob = ExportBlob.decode(data)
    except DecodeError as error:
        assert len(str(error)) < 300
        return
    assert blob.certificate.public_key == blob.public_key
    encoded = blob.encode()
    assert encoded[: _EXACT - 4] == data[: _EXACT - 4]
    assert int.from_bytes(data[_EXACT - 4 : _EXACT], "big") == len(data) - _EXACT
    assert ExportBlob.decode(encoded) == blob
    if crc32(data) % _SIGNING == 0:
        _use(blob)


def _use(blob: ExportBlob) -> None:
    try:
        assert blob.identity().public_key == blob.public_key
    except CryptoError:  # damaged where no hash covers it
        assert blob.secret_key not in {ExportBlob.decode(seed).secret_key for seed in seeds()[:3]}


if __name__ == "__main__":
    from fuzz.guided import run

    run(one_input, seeds())
