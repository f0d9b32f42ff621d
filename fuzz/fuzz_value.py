"""Packed values: a value or DecodeError, the same from both readers, and the same again after packing."""

from dna_dht.errors import DecodeError
from dna_dht.wire.limits import PUBLIC_KEY
from dna_dht.wire.scanner import Scanner
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack, signed_bytes, unpack, unpack_canonical, unpack_tolerant
from fuzz.checks import check_shortest, is_messagepack
from fuzz.samples import values as seeds

__all__ = ["one_input", "seeds"]


def one_input(data: bytes) -> None:
    """Check one packed value."""
    fast = unpack_canonical(data)
    try:
        value = unpack_tolerant(data, Scanner())
    except DecodeError:
        assert fast is None, "the canonical reader takes what the tolerant one refuses"
        assert _refused(data)
        return
    assert unpack(data) == value and fast in (None, value), "the readers differ"
    assert is_messagepack(data)
    packed = pack(value)
    check_shortest(packed)
    assert unpack(packed) == value and value.same_content(unpack(packed))
    assert len(value.owner) in (0, PUBLIC_KEY)
    if fast is not None:
        assert len(packed) == len(data), "only the shortest form is canonical"
    if not value.is_encrypted:
        assert signed_bytes(value) in packed
        assert unpack_canonical(packed) == value or not _is_utf8(value)


def _refused(data: bytes) -> bool:
    try:
        unpack(data)
    except DecodeError:
        return True
    return False


def _is_utf8(value: Value) -> bool:
    try:
        value.user_type.decode()
    except UnicodeDecodeError:
        return False
    return True


if __name__ == "__main__":
    from fuzz.guided import run

    run(one_input, seeds())
