"""The layout of the container alone; what is in it is tested in test_seal."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_dht.crypto.aead import Encrypted
from dna_dht.crypto.sealed import Entry, Sealed, header_of
from dna_dht.errors import DecodeError


def container_of(recipients: int, payload: int = 75, *, padded: bool = False) -> Sealed:
    """A container whose fields are told apart by their bytes."""
    return Sealed(
        header_of(recipients, payload, pad_signature_block=padded),
        tuple(Entry(bytes([1 + n % 200]) * 1568, bytes([n % 200]) * 40) for n in range(recipients)),
        Encrypted(b"N" * 12, b"C" * payload, b"T" * 16),
        b"S" * 4627,
    )


ONE = container_of(1)
ENCODED = ONE.encode()
BLOCK_AT = len(ENCODED) - 4630


def with_bytes(at: int, replacement: bytes, container: bytes = ENCODED) -> bytes:
    return container[:at] + replacement + container[at + len(replacement) :]


def test_every_field_is_where_the_layout_says() -> None:
    fields = [
        b"PQSIGENC\x08\x02\x01\x00" + struct.pack("<II", 75, 4630),
        b"\1" * 1568 + b"\0" * 40,
        b"N" * 12 + b"C" * 75 + b"T" * 16,
        b"\x01\x12\x13" + b"S" * 4627,
    ]

    assert b"".join(fields) == ENCODED
    assert ONE.header == ENCODED[:20]
    assert Sealed.decode(ENCODED) == ONE


def test_a_padded_block_has_the_length_that_release_0_6_27_writes() -> None:
    padded = container_of(1, padded=True)
    encoded = padded.encode()

    assert encoded[16:20] == struct.pack("<I", 7224)
    assert encoded == padded.header + ENCODED[20:] + bytes(7224 - 4630)
    assert Sealed.decode(encoded) == padded


@pytest.mark.parametrize("recipients", [1, 2, 254, 255])
def test_the_length_for_so_many_recipients(recipients: int) -> None:
    container = container_of(recipients)
    encoded = container.encode()

    assert len(encoded) == 20 + 1608 * recipients + 12 + 75 + 16 + 4630
    assert Sealed.decode(encoded) == container


@given(st.integers(1, 255), st.integers(72, 500), st.booleans(), st.binary(max_size=40))
def test_what_is_encoded_is_decoded_whatever_follows(
    recipients: int, payload: int, padded: bool, behind: bytes
) -> None:
    container = container_of(recipients, payload, padded=padded)

    assert Sealed.decode(container.encode() + behind) == container


@given(st.binary(max_size=300))
def test_any_bytes_are_a_container_or_a_decode_error(data: bytes) -> None:
    for hostile in (data, b"PQSIGENC" + data, ENCODED[:12] + data, with_bytes(8, data[:12])):
        try:
            Sealed.decode(hostile)
        except DecodeError as error:
            assert len(str(error)) < 120


def test_a_container_that_is_cut_off_is_refused_at_every_length() -> None:
    for length in range(len(ENCODED)):
        with pytest.raises(DecodeError, match="too few" if length < 20 else "announced"):
            Sealed.decode(ENCODED[:length])


@pytest.mark.parametrize("at", range(8))
def test_another_magic_is_refused(at: int) -> None:
    with pytest.raises(DecodeError, match="does not start with PQSIGENC"):
        Sealed.decode(with_bytes(at, bytes([ENCODED[at] ^ 0x20])))


@pytest.mark.parametrize("version", [0, 1, 7, 9, 255])
def test_another_version_is_refused(version: int) -> None:
    with pytest.raises(DecodeError, match=f"version {version} is not 8"):
        Sealed.decode(with_bytes(8, bytes([version])))


@pytest.mark.parametrize("key_type", [0, 1, 3, 7, 255])
def test_another_type_of_key_is_refused(key_type: int) -> None:
    with pytest.raises(DecodeError, match=f"key type {key_type}, message type 0 are unknown"):
        Sealed.decode(with_bytes(9, bytes([key_type])))


@pytest.mark.parametrize("message_type", [1, 2, 255])
def test_another_type_of_message_is_refused(message_type: int) -> None:
    with pytest.raises(DecodeError, match=f"key type 2, message type {message_type} are unknown"):
        Sealed.decode(with_bytes(11, bytes([message_type])))


def test_no_recipient_is_refused() -> None:
    empty = with_bytes(10, b"\0", ENCODED[:20]) + ENCODED[20 + 1608 :]

    with pytest.raises(DecodeError, match="no recipient"):
        Sealed.decode(empty)


@pytest.mark.parametrize("count", [2, 3, 255])
def test_more_recipients_than_there_are_is_refused(count: int) -> None:
    with pytest.raises(DecodeError, match="announced"):
        Sealed.decode(with_bytes(10, bytes([count])))


def test_fewer_recipients_than_there_are_shifts_all_that_follows() -> None:
    two = container_of(2).encode()

    with pytest.raises(DecodeError, match="signature type"):
        Sealed.decode(with_bytes(10, b"\1", two))


@pytest.mark.parametrize("size", [0, 1, 71])
def test_a_ciphertext_without_room_for_the_sender_and_the_time_is_refused(size: int) -> None:
    with pytest.raises(DecodeError, match=f"ciphertext of {size} bytes is too short"):
        Sealed.decode(with_bytes(12, struct.pack("<I", size)))


LONGEST = 2**31 - 1 - 16


@pytest.mark.parametrize("size", [76, 65_536, LONGEST])
def test_a_ciphertext_larger_than_the_container_is_refused_before_it_is_copied(size: int) -> None:
    with pytest.raises(DecodeError, match=f"{len(ENCODED) - 75 + size:,} bytes announced, 6,361 are there"):
        Sealed.decode(with_bytes(12, struct.pack("<I", size)))


@pytest.mark.parametrize("size", [LONGEST + 1, 2**31 - 1, 2**31, 2**32 - 1])
def test_a_ciphertext_longer_than_one_call_of_the_cipher_takes_is_refused(size: int) -> None:
    with pytest.raises(DecodeError, match=f"ciphertext of {size:,} bytes is too long"):
        Sealed.decode(with_bytes(12, struct.pack("<I", size)))


def test_the_shortest_payload_and_one_byte_less() -> None:
    shortest = container_of(1, 72)

    assert Sealed.decode(shortest.encode()) == shortest
    with pytest.raises(DecodeError, match="71 bytes is too short"):
        Sealed.decode(container_of(1, 71).encode())


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4629])
def test_a_signature_block_without_room_for_a_signature_is_refused(size: int) -> None:
    with pytest.raises(DecodeError, match=f"signature block of {size} bytes is too short"):
        Sealed.decode(with_bytes(16, struct.pack("<I", size)))


@pytest.mark.parametrize("size", [4631, 7224, 2**31, 2**32 - 1])
def test_a_signature_block_larger_than_the_container_is_refused(size: int) -> None:
    with pytest.raises(DecodeError, match="announced"):
        Sealed.decode(with_bytes(16, struct.pack("<I", size)))


def test_sizes_are_little_endian() -> None:
    with pytest.raises(DecodeError, match=f"{len(ENCODED) - 75 + (75 << 24):,} bytes announced"):
        Sealed.decode(with_bytes(12, struct.pack(">I", 75)))


@pytest.mark.parametrize("kind", [0, 2, 23, 255])
def test_another_type_of_signature_is_refused(kind: int) -> None:
    with pytest.raises(DecodeError, match=f"signature type {kind}, length 4627 are unknown"):
        Sealed.decode(with_bytes(BLOCK_AT, bytes([kind])))


@pytest.mark.parametrize("length", [0, 1, 4626, 4628, 65_535])
def test_another_length_of_signature_is_refused(length: int) -> None:
    with pytest.raises(DecodeError, match=f"signature type 1, length {length} are unknown"):
        Sealed.decode(with_bytes(BLOCK_AT + 1, struct.pack(">H", length)))
