"""Sealed messages: what was sealed, or DecodeError, DecryptionError, SignatureError; never other words.

A changed message opens only where the format leaves a byte to anybody: in the padding, behind the end, and in
the entries of other recipients.
"""

from functools import cache

from dna_dht.crypto import aead, kem
from dna_dht.crypto.identity import Identity
from dna_dht.crypto.seal import Opened, open_sealed, seal
from dna_dht.crypto.sealed import ENTRY_SIZE, PAYLOAD_HEADER, Entry, Sealed, header_of
from dna_dht.dialect import Dialect
from dna_dht.errors import DecodeError, DecryptionError, SignatureError

__all__ = ["accepted", "one_input", "seeds"]

PLAINTEXT, TIMESTAMP = b"fuzz", 1_769_126_400
HEADER, FRONT = 20, 12 + 72 + len(PLAINTEXT) + 16 + 4630  # bytes before and behind the entries that count


@cache
def people() -> tuple[Identity, Identity]:
    """Author and reader. The author speaks the documented dialect."""
    return Identity.from_master_seed(bytes(64)), Identity.from_master_seed(bytes(range(64)))


@cache
def seeds() -> list[bytes]:
    """For the reader, for two, padded, by the reader itself, in the other dialect; headers and a payload."""
    author, reader = people()
    one = seal(PLAINTEXT, author, [reader.public], timestamp=TIMESTAMP)
    two = seal(PLAINTEXT, author, [author.public, reader.public], timestamp=TIMESTAMP)
    padded = seal(PLAINTEXT, author, [reader.public], timestamp=TIMESTAMP, pad_signature_block=True)
    own = seal(PLAINTEXT, reader, [reader.public], timestamp=TIMESTAMP)
    deployed = Identity.from_master_seed(bytes(64), Dialect.DEPLOYED)
    other = seal(PLAINTEXT, deployed, [reader.public], timestamp=TIMESTAMP)
    return [one, two, padded, own, other, one[:HEADER], two[:HEADER], one[8:HEADER], _payload(author)]


def accepted(data: bytes) -> Opened | None:
    """What the reader makes of *data*; None if it refuses it."""
    author, reader = people()
    try:
        return open_sealed(data, reader, find_key={author.fingerprint: author.public.signing_public_key}.get)
    except (DecodeError, DecryptionError, SignatureError) as error:
        assert len(str(error)) < 200
        return None


def one_input(data: bytes) -> None:
    """Check one message; the input written over a right one at three places; as a payload of a stranger."""
    _check(data)
    if len(data) > 300:
        return
    right = seeds()[0]
    for at in (8, HEADER + ENTRY_SIZE, len(right) - 4630):
        _check(right[:at] + data + right[at + len(data) :])
    _check_stranger(data)


def _check(data: bytes) -> None:
    opened = accepted(data)
    if opened is None:
        return
    assert opened.verified and (opened.plaintext, opened.timestamp) == (PLAINTEXT, TIMESTAMP)
    assert opened.sender in {person.fingerprint for person in people()}
    sealed = Sealed.decode(data)
    assert any(_same(data, seed, sealed, opened) for seed in seeds()[:5])


def _check_stranger(payload: bytes) -> None:
    """Whoever knows the reader's public key may seal any *payload*, with any signature."""
    key, entry, signature = _stranger()
    header = header_of(1, len(payload))
    opened = accepted(Sealed(header, (entry,), aead.encrypt(key, payload, header), signature).encode())
    if opened is None:
        assert len(payload) < PAYLOAD_HEADER or payload[:64].hex() in {each.fingerprint for each in people()}
    else:
        assert not opened.verified or opened.plaintext == PLAINTEXT
        assert (
            bytes.fromhex(opened.sender) + opened.timestamp.to_bytes(8, "big") + opened.plaintext == payload
        )


@cache
def _stranger() -> tuple[bytes, Entry, bytes]:
    """A key, the entry that hands it to the reader, and the author's signature of the right plaintext."""
    author, reader = people()
    secret, ciphertext = kem.encapsulate(reader.public.encryption_public_key, Dialect.DOCUMENTED)
    key = bytes(range(32))
    return key, Entry(ciphertext, aead.wrap(secret, key)), author.signing.sign(PLAINTEXT)


def _payload(author: Identity) -> bytes:
    return bytes.fromhex(author.fingerprint) + TIMESTAMP.to_bytes(8, "big") + PLAINTEXT


def _same(data: bytes, seed: bytes, sealed: Sealed, opened: Opened) -> bool:
    """Whether *data* is *seed* in everything that must not change."""
    entry = HEADER + opened.recipient * ENTRY_SIZE
    body = HEADER + opened.recipients * ENTRY_SIZE
    pieces = slice(0, HEADER), slice(entry, entry + ENTRY_SIZE), slice(body, body + FRONT)
    return opened.recipients == len(sealed.entries) and all(data[piece] == seed[piece] for piece in pieces)


if __name__ == "__main__":
    from fuzz.guided import run

    run(one_input, seeds())
