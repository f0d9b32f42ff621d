import json
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from fuzz import fuzz_certificate
from fuzz.mutator import Mutator
from hypothesis import given
from hypothesis import strategies as st

from dna_dht.crypto.certificate import Certificate
from dna_dht.errors import DecodeError

VECTORS = Path(__file__).parents[1] / "vectors"
RECORDED: list[bytes] = [
    *(
        bytes.fromhex(c["certificate"])
        for c in json.loads((VECTORS / "crypto-node-identity.json").read_text())["cases"]
    ),
    *(
        bytes.fromhex(c["cert_packed"])
        for c in json.loads((VECTORS / "wire-ids.json").read_text())["identities"]
    ),
]
KEY = bytes(range(256)) * 10 + bytes(32)


@pytest.mark.parametrize("data", RECORDED, ids=range(len(RECORDED)))
def test_a_recorded_certificate_is_read_and_made_again_byte_for_byte(data: bytes) -> None:
    certificate = Certificate.decode(data)

    assert certificate.name in ("dht_node", "wirenode")
    assert certificate.issuer == "self-signed"
    assert certificate.not_after - certificate.not_before == 31_536_000
    assert certificate.encode() == data


def test_the_certificate_a_node_writes_is_the_recorded_one() -> None:
    recorded = Certificate.decode(RECORDED[0])

    assert Certificate.of_node(recorded.public_key, recorded.not_before).encode() == RECORDED[0]


def test_a_certificate_has_2667_bytes_while_dates_need_32_bits() -> None:
    assert len(Certificate.of_node(KEY, 2**31).encode()) == 2667


def test_any_order_unknown_keys_and_missing_fields_are_tolerated() -> None:
    fields: dict[str, Any] = {"not_after": 7, "extra": [1, {"x": None}], "pubkey": KEY}

    assert Certificate.decode(msgspec.msgpack.encode(fields)) == Certificate(KEY, not_after=7)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"name": "dht_node"},
        {"pubkey": KEY[:-1]},
        {"pubkey": KEY + b"\0"},
        {"pubkey": "text"},
        {"pubkey": None},
        [KEY],
        KEY,
    ],
    ids=range(8),
)
def test_a_missing_or_wrong_public_key_is_refused(fields: object) -> None:
    with pytest.raises(DecodeError, match="certificate"):
        Certificate.decode(msgspec.msgpack.encode(fields))


def test_trailing_bytes_are_refused() -> None:
    with pytest.raises(DecodeError):
        Certificate.decode(RECORDED[0] + b"\0")


@given(st.binary(max_size=64) | st.integers(0, 2666).map(lambda n: RECORDED[0][:n]))
def test_arbitrary_bytes_are_refused_with_the_documented_error(garbage: bytes) -> None:
    with pytest.raises(DecodeError):
        Certificate.decode(garbage)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x80",
        b"\xdf\xff\xff\xff\xff",  # a map of four billion entries
        b"\x81\xa6pubkey\xc6\xff\xff\xff\xff",  # a key of four gigabytes
        b"\xdb\xff\xff\xff\xff",
        b"\x82\xa6pubkey\xc5\x0a\x20" + KEY + b"\xa4name\xa1\xff",  # not UTF-8
        b"\x82\xa6pubkey\xc5\x0a\x20" + KEY + b"\xaanot_before\xcb\x7f\xf0\0\0\0\0\0\0",  # infinity
        b"\x82\xa6pubkey\xc5\x0a\x20" + KEY + b"\xaanot_before\xca\x3f\x80\0\0",
        b"\x82\xa6pubkey\xc5\x0a\x20" + KEY + b"\xa4name\xc4\x01x",
        b"\x82\xa6pubkey\xc5\x0a\x20" + KEY + b"\xa6pubkey\xc4\x01x",  # the last of two counts
        b"\x81\xa6pubkey\xd9\x20" + b"k" * 32,
        b"\x81\xc4\x06pubkey\xc5\x0a\x20" + KEY[:-1],
    ],
    ids=range(13),
)
def test_hostile_certificates_are_refused(data: bytes) -> None:
    with pytest.raises(DecodeError) as refused:
        Certificate.decode(data)
    assert len(str(refused.value)) < 200


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(DecodeError):
        Certificate.decode(b"\x81\xa1x" + b"\x91" * 100_000)


def test_hostile_input() -> None:
    mutator = Mutator(Random("certificate"), fuzz_certificate.seeds())
    for data in (*fuzz_certificate.seeds(), *(mutator.next() for _ in range(5000))):
        fuzz_certificate.one_input(data)
