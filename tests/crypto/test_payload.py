"""Fingerprint, time and plaintext in front of what is encrypted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_dht.crypto.payload import Payload, check_time, pack, unpack


@given(st.binary(min_size=64, max_size=64), st.integers(0, 2**64 - 1), st.binary(max_size=100))
def test_parts_come_back(sender: bytes, timestamp: int, plaintext: bytes) -> None:
    payload = Payload(sender.hex(), timestamp, plaintext)

    assert pack(payload) == sender + timestamp.to_bytes(8, "big") + plaintext
    assert unpack(pack(payload)) == payload


@pytest.mark.parametrize("timestamp", [-1, 2**64])
def test_a_time_out_of_range_is_misuse(timestamp: int) -> None:
    with pytest.raises(ValueError, match="not within"):
        check_time(timestamp)


def test_the_plaintext_is_not_shown() -> None:
    assert "secret" not in repr(Payload("00" * 64, 1, b"secret"))
