"""Ids, their hashes and their text forms: wire-ids.json, and what a distance is."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_dht.errors import DecodeError
from dna_dht.wire.infohash import ZERO, InfoHash, common_bits, long_id_of, lowbit, node_id_of
from dna_dht.wire.value_codec import unpack

VECTORS: Any = json.loads((Path(__file__).parent.parent / "vectors" / "wire-ids.json").read_text())
IDS = st.binary(min_size=20, max_size=20).map(InfoHash)


@pytest.mark.parametrize("case", VECTORS["hashes"], ids=lambda case: case["name"])
def test_hashes(case: dict[str, str]) -> None:
    data = bytes.fromhex(case["input"])
    assert InfoHash.of(data).hex() == case["infohash"]
    assert long_id_of(data).hex() == case["h256"]


@pytest.mark.parametrize("case", VECTORS["from_hex_text"], ids=lambda case: case["text"] or "empty")
def test_text_as_the_reference_reads_it(case: dict[str, str]) -> None:
    assert InfoHash.from_text(case["text"]).hex() == case["infohash"]


@pytest.mark.parametrize("case", VECTORS["identities"], ids=lambda case: case["seed"][:4])
def test_ids_of_an_identity(case: dict[str, str]) -> None:
    public_key = bytes.fromhex(case["public_key"])
    assert InfoHash.of(public_key).hex() == case["id"] == case["cert_key_1"]
    assert long_id_of(public_key).hex() == case["long_id"]
    assert InfoHash.of(long_id_of(public_key)).hex() == case["cert_key_2"]
    assert node_id_of(public_key).hex() == case["node_id"]


@pytest.mark.parametrize("case", VECTORS["identities"], ids=lambda case: case["seed"][:4])
def test_certificate_values_are_readable(case: dict[str, str]) -> None:
    value = unpack(bytes.fromhex(case["cert_value_packed"]))
    assert (value.id, value.type, value.is_signed) == (1, 8, False)
    assert bytes.fromhex(case["public_key"]) in value.data


def test_text_without_hex_digits_is_zero() -> None:
    assert InfoHash.from_text(" " * 40) == InfoHash.from_text("\u0661" * 40) == ZERO


@pytest.mark.parametrize("field", [b"i" * 19, b"i" * 21, b"", "i" * 20, 5, None])
def test_untrusted_fields(field: object) -> None:
    with pytest.raises(DecodeError):
        InfoHash.from_wire(field)
    assert InfoHash.from_wire(b"i" * 20) == b"i" * 20


@pytest.mark.parametrize("text", ["", "00" * 19, "00" * 21, "zz" * 20])
def test_strict_text(text: str) -> None:
    with pytest.raises(ValueError):
        InfoHash.from_hex(text)


@given(IDS)
def test_both_texts_are_read_back(node_id: InfoHash) -> None:
    assert InfoHash.from_hex(str(node_id)) == InfoHash.from_text(str(node_id).upper() + "99") == node_id


@given(IDS, IDS, IDS)
def test_distance_is_a_metric_of_its_own(a: InfoHash, b: InfoHash, c: InfoHash) -> None:
    assert a.distance(b) == b.distance(a) and (a.distance(b) == 0) == (a == b)
    assert a.distance(c) == a.distance(b) ^ b.distance(c)
    assert common_bits(a, b) == 160 - a.distance(b).bit_length()


@given(IDS)
def test_lowbit_is_the_last_bit_set(node_id: InfoHash) -> None:
    bits = f"{int.from_bytes(node_id, 'big'):0160b}"
    assert lowbit(node_id) == bits.rfind("1")
