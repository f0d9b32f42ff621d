"""Certificates: a certificate or DecodeError, and the same again after encoding."""

import msgspec

from dna_dht.crypto.certificate import Certificate
from dna_dht.errors import DecodeError
from dna_dht.wire.limits import PUBLIC_KEY
from fuzz.checks import check_shortest, is_messagepack
from fuzz.samples import load

__all__ = ["one_input", "seeds"]

_KEY = bytes(range(256)) * 10 + bytes(32)


def seeds() -> list[bytes]:
    """The recorded certificates, and some that are right but unusual."""
    recorded = [case["certificate"] for case in load("crypto-node-identity.json")["cases"]]
    recorded += [case["cert_packed"] for case in load("wire-ids.json")["identities"]]
    unusual = [
        {"pubkey": _KEY},
        {"not_after": -(2**63), "not_before": 2**64 - 1, "x": [{}, None, 1.5], "pubkey": _KEY, "name": ""},
        {"pubkey": _KEY, "name": "\u00e9" * 300, "issuer": "\0"},
    ]
    return [*map(bytes.fromhex, recorded), *map(msgspec.msgpack.encode, unusual)]


def one_input(data: bytes) -> None:
    """Check one certificate."""
    try:
        certificate = Certificate.decode(data)
    except DecodeError as error:
        assert len(str(error)) < 300
        return
    assert is_messagepack(data)
    assert len(certificate.public_key) == PUBLIC_KEY and certificate.public_key in data
    encoded = certificate.encode()
    check_shortest(encoded)
    assert Certificate.decode(encoded) == certificate


if __name__ == "__main__":
    from fuzz.guided import run

    run(one_input, seeds())
