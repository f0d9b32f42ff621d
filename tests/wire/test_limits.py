"""Limits that must fit together, so that changing one alone is noticed."""

from dna_dht.wire import limits
from dna_dht.wire.address import unpack_ip
from dna_dht.wire.encode import nodes_reply
from dna_dht.wire.fragments import cut
from dna_dht.wire.packing import map_header, uint


def test_the_fast_path_cannot_reach_the_limits_of_the_tolerant_one() -> None:
    shortest_entry = b"\xa1t" + uint(0)
    assert len(map_header(limits.MAP_ENTRIES) + shortest_entry * limits.MAP_ENTRIES) > limits.FAST_DATAGRAM
    assert limits.FAST_DATAGRAM < limits.ARRAY_ITEMS
    canonical_value_objects = 23  # with their keys: 11 entries in 3 maps
    shortest_value = 25  # bytes
    values = limits.FAST_DATAGRAM // shortest_value
    assert 2 * (limits.FAST_DATAGRAM + values * canonical_value_objects) < limits.SCAN_ITEMS


def test_common_datagrams_are_tried_on_the_fast_path() -> None:
    largest_part = max(map(len, cut(2**32 - 1, [bytes(limits.PACKED_VALUE)], 2**32 - 1, True)))
    inline = [b"v" * (limits.INLINE_BYTES - 1)]
    (reply,) = nodes_reply(
        2**32 - 1, bytes(20), bytes(16), bytes(8 * 26), bytes(8 * 38), bytes(32), 9, True, inline
    )
    assert max(largest_part, len(reply)) <= limits.FAST_DATAGRAM


def test_a_datagram_of_ids_fits_into_an_array() -> None:
    assert limits.DATAGRAM // len(uint(2**64 - 1)) <= limits.ARRAY_ITEMS
    assert 3 * limits.ARRAY_ITEMS <= limits.SCAN_ITEMS


def test_sizes_of_addresses() -> None:
    assert ":" not in unpack_ip(bytes(limits.ADDRESS4)) and ":" in unpack_ip(bytes(limits.ADDRESS6))
