"""Public key bundles: a bundle that comes back the same, or DecodeError."""

from dna_dht.crypto.identity import PublicIdentity
from dna_dht.errors import DecodeError
from dna_dht.keystore.public_bundle import MAX_LENGTH, PublicBundle

__all__ = ["one_input", "seeds"]


def seeds() -> list[bytes]:
    """A bundle with a name and one without, one of them as Windows writes text."""
    keys = PublicIdentity(bytes(range(256)) * 10 + bytes(32), bytes(1568))
    named, bare = PublicBundle(keys, "Zoë: a friend", 1_769_126_400), PublicBundle(keys, "", 0)
    return [named.encode().encode(), bare.encode().replace("\n", " \r\n").encode()]


def one_input(data: bytes) -> None:
    """Check one file."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        bundle = PublicBundle.decode(text)
    except DecodeError:
        return
    assert len(text) <= MAX_LENGTH
    written = bundle.encode()
    assert PublicBundle.decode(written) == bundle
    assert len(written.splitlines()) == 96, "a name must not add lines"


if __name__ == "__main__":
    from fuzz.guided import run

    run(one_input, seeds())
