"""Group messages: what was sealed, or DecodeError, DecryptionError, SignatureError; no byte can change."""

from functools import cache

from dna_dht.crypto.group_sealed import group_of, open_group_sealed, seal_for_group
from dna_dht.crypto.identity import Identity
from dna_dht.errors import DecodeError, DecryptionError, SignatureError
from fuzz.samples import load

__all__ = ["one_input", "seeds"]

KEY, GROUP, TIMESTAMP = bytes(range(32)), "00000000-0000-4000-8000-000000000000", 1_769_126_400


@cache
def author() -> Identity:
    """Who signs."""
    return Identity.from_master_seed(bytes(64))


@cache
def seeds() -> list[bytes]:
    """Three of ours, the recorded one, which another signed, and fronts."""
    ours = [seal_for_group(text, author(), GROUP, KEY, 7, timestamp=TIMESTAMP) for text in (b"", b"fuzz")]
    ours.append(seal_for_group(b"fuzz", author(), GROUP, bytes(32), 2**32 - 1, timestamp=TIMESTAMP))
    recorded = bytes.fromhex(load("crypto-containers.json")["cases"][4]["container"])
    return [*ours, recorded, ours[0][:12], ours[1][:70]]


def one_input(data: bytes) -> None:
    """Check one message; and the input written over a right one at the front, the group and the signature."""
    _check(data)
    right = seeds()[1]
    if len(data) < 300:
        for at in (0, 4, 12, len(right) - 4630):
            _check(right[:at] + data + right[at + len(data) :])


def _check(data: bytes) -> None:
    try:
        group, key_version = group_of(data)
    except DecodeError as error:
        assert len(str(error)) < 200
        group = ""
    try:
        opened = open_group_sealed(data, KEY, author().public.signing_public_key)
    except DecodeError:
        assert not group
        return
    except (DecryptionError, SignatureError):
        return
    assert (opened.group, opened.key_version) == (group, key_version) == (GROUP, 7)
    assert (opened.sender, opened.timestamp) == (author().fingerprint, TIMESTAMP)
    assert any(data[: len(seed)] == seed for seed in seeds()[:2])


if __name__ == "__main__":
    from fuzz.guided import run

    run(one_input, seeds())
