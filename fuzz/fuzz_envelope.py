"""Whole datagrams: a message or DecodeError, the same on both paths, and the same again after encoding."""

from dna_dht.errors import DecodeError
from dna_dht.wire.compact_nodes import pack_nodes, unpack_nodes
from dna_dht.wire.decode import decode, decode_canonical, decode_tolerant
from dna_dht.wire.encode import encode
from dna_dht.wire.messages import Message, Part, Put, Reply, Update, with_values
from dna_dht.wire.value_codec import unpack
from fuzz.checks import check_shortest, is_messagepack
from fuzz.samples import datagrams as seeds

__all__ = ["one_input", "seeds"]


def one_input(data: bytes) -> None:
    """Check one datagram."""
    message = _decoded(data)
    fast = decode_canonical(data)
    try:
        tolerant = decode_tolerant(data)
    except DecodeError:
        assert message is None and fast is None, "the fast path takes what the tolerant one refuses"
        return
    assert message == tolerant and fast in (None, tolerant), "the paths differ"
    assert message is not None and is_messagepack(data)
    written = encode(message)
    for datagram in written:
        check_shortest(datagram)
    assert _read_back(written) == message
    if isinstance(message, Reply):
        _check_nodes(message)


def _decoded(data: bytes) -> Message | None:
    try:
        return decode(data)
    except DecodeError:
        return None


def _read_back(datagrams: list[bytes]) -> Message:
    header = decode(datagrams[0])
    if len(datagrams) == 1:
        return header
    assert isinstance(header, Put | Update | Reply)
    whole = {index: b"" for index, _ in header.sizes}
    for datagram in datagrams[1:]:
        part = decode(datagram)
        assert isinstance(part, Part) and part.tid == header.tid
        ((index, offset, piece),) = part.pieces
        assert offset == len(whole[index]) and piece
        whole[index] += piece
    assert {index: len(raw) for index, raw in whole.items()} == dict(header.sizes)
    return with_values(header, map(unpack, whole.values()))


def _check_nodes(message: Reply) -> None:
    for blob, family in ((message.nodes4, 4), (message.nodes6, 6)):
        version = 4 if family == 4 else 6
        try:
            nodes = unpack_nodes(blob, version)  # type: ignore[arg-type]
        except DecodeError:
            continue
        assert pack_nodes(nodes, version) == blob  # type: ignore[arg-type]


if __name__ == "__main__":
    from fuzz.guided import run

    run(one_input, seeds())
