"""What commands print."""

import json

import pytest

from dna_dht.cli import render
from dna_dht.core.values.value_types import DNA_7_DAYS, DNA_365_DAYS
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.value import Value

OWNER = bytes(range(256)) * 10 + bytes(32)
SIGNED = Value(id=2**64 - 1, type=DNA_365_DAYS, data=b"hi\n", seq=3, owner=OWNER, signature=bytes(4627))


def test_times_are_rfc_3339_in_utc() -> None:
    assert render.rfc3339(0) == "1970-01-01T00:00:00.000Z"
    assert render.rfc3339(1_795_349_138.25) == "2026-11-22T12:05:38.250Z"


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    render.print_json(render.value_fields(SIGNED))

    line = capsys.readouterr().out
    assert line.count("\n") == 1
    assert json.loads(line) == {
        "id": 2**64 - 1,
        "type": 0x1002,
        "seq": 3,
        "signed": True,
        "owner": InfoHash.of(OWNER).hex(),
        "size": 3,
        "data": "68690a",
        "text": "hi\n",
    }


def test_data_that_is_no_text_has_no_text() -> None:
    assert render.value_fields(Value(id=1, data=b"\xff"))["text"] is None
    assert render.value_fields(Value(id=1, data=b"\xff"))["owner"] is None


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"hello", "hello"),
        (b"", ""),
        (b"two\nlines", "two\\nlines"),
        (b"\x1b[31m", "\\x1b[31m"),
        ("grüße\u202e".encode(), "grüße\\u202e"),
        (b"\xff", "hex:ff"),
        (b"x" * 200, "x" * 200),
        (b"x" * 201, "x" * 200 + "... (201 bytes)"),
        (b"\xff" * 201, "hex:" + "ff" * 200 + "... (201 bytes)"),
    ],
)
def test_previews_stay_on_one_line_and_send_no_control_characters(data: bytes, shown: str) -> None:
    assert render.preview(data) == shown


def test_description_of_a_value() -> None:
    text = render.describe(SIGNED)
    assert "seq 3" in text
    assert "kept 365 days" in text
    assert str(InfoHash.of(OWNER)) in text
    assert "not signed" in render.describe(Value(id=1))


def test_lifetimes_in_words() -> None:
    assert render.lifetime(DNA_7_DAYS) == "7 days"
    assert render.lifetime(0) == "10 minutes"


def test_durations() -> None:
    assert render.milliseconds(0.0123) == "12.3 ms"
    assert render.milliseconds(None) == "-"
