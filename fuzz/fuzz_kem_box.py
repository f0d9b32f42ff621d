"""KEM boxes: what was boxed, or DecodeError, DecryptionError; no byte of a box can change."""

from functools import cache

from dna_dht.crypto import kem
from dna_dht.crypto.kem_box import OVERHEAD, close_box, open_box
from dna_dht.crypto.mlkem import CIPHERTEXT_SIZE
from dna_dht.dialect import Dialect
from dna_dht.errors import DecodeError, DecryptionError

__all__ = ["one_input", "seeds"]


@cache
def key() -> kem.DecryptionKey:
    """Of the reader, in the documented dialect."""
    return kem.decryption_key(bytes(32), Dialect.DOCUMENTED)


@cache
def contents() -> dict[bytes, bytes]:
    """Right boxes of both dialects, with what is in them: a byte, a group key, words, and much."""
    return {
        close_box(content, key().public_key, dialect): content
        for dialect in Dialect
        for content in (b"x", bytes(32), b"legal winner".ljust(256, b"\0"), bytes(3000))
    }


def seeds() -> list[bytes]:
    """All of them, and the shortest and the longest that could be one."""
    return [*contents(), bytes(OVERHEAD), bytes(OVERHEAD + 1)]


def one_input(data: bytes) -> None:
    """Check one box; and the input written over a right one where the nonce starts."""
    _check(data)
    if len(data) < 300:
        right = next(iter(contents()))
        _check(right[:CIPHERTEXT_SIZE] + data + right[CIPHERTEXT_SIZE + len(data) :])


def _check(data: bytes) -> None:
    try:
        content = open_box(data, key())
    except DecodeError:
        assert not OVERHEAD < len(data) <= OVERHEAD + 65_536
        return
    except DecryptionError:
        assert data not in contents()
        return
    assert contents()[data] == content


if __name__ == "__main__":
    from fuzz.guided import run

    run(one_input, seeds())
