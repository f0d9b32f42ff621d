"""What commands print: for people, and as JSON, one object a line.

In JSON times are RFC 3339 in UTC, binary is lower-case hex, ids are 40 hex digits, value ids are unsigned
decimal numbers. Human output is not meant to be parsed.
"""

import json
import sys
from datetime import UTC, datetime
from typing import Any

import click

from dna_dht.core.values.value_types import DAY, type_of
from dna_dht.wire.value import Value

_PREVIEW = 200  # characters or bytes of data shown to people where the bytes themselves are not the result


def rfc3339(unix: float) -> str:
    """Unix seconds as RFC 3339 text in UTC, with milliseconds."""
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def print_json(fields: dict[str, Any]) -> None:
    """Print one object on a line of its own and flush it."""
    click.echo(json.dumps(fields, ensure_ascii=False, separators=(",", ":")))


def print_bytes(data: bytes) -> None:
    """Write *data* as it is and flush it; nothing where standard output is closed, like all that prints."""
    if sys.stdout is not None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def value_fields(value: Value) -> dict[str, Any]:
    """A value as JSON fields. ``text`` is null where the data is not UTF-8."""
    return {
        "id": value.id,
        "type": value.type,
        "seq": value.seq,
        "signed": value.is_signed,
        "owner": value.owner_id.hex() if value.owner else None,
        "size": len(value.data),
        "data": value.data.hex(),
        "text": as_text(value.data),
    }


def describe(value: Value) -> str:
    """A value for people, without its data."""
    owner = f"signed by {value.owner_id}" if value.is_signed else "not signed"
    kept, size = lifetime(value.type), len(value.data)
    return f"value id {value.id}, seq {value.seq}, {owner}, kept {kept}, {size:,} bytes"


def lifetime(type_id: int) -> str:
    """How long nodes keep values of a type after the last renewal, in words."""
    seconds = type_of(type_id).lifetime
    return f"{seconds / DAY:.0f} days" if seconds >= DAY else f"{seconds / 60:.0f} minutes"


def preview(data: bytes) -> str:
    """Data on one line: text with control characters escaped, else hex; cut after 200 characters or bytes."""
    text = as_text(data)
    if text is None:
        shown = "hex:" + data[:_PREVIEW].hex()
        cut = len(data) > _PREVIEW
    else:
        shown = "".join(each if each.isprintable() else repr(each)[1:-1] for each in text[:_PREVIEW])
        cut = len(text) > _PREVIEW
    return f"{shown}... ({len(data):,} bytes)" if cut else shown


def as_text(data: bytes) -> str | None:
    """Data decoded as UTF-8, or None."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def milliseconds(seconds: float | None) -> str:
    """A duration for people; ``-`` if unknown."""
    return "-" if seconds is None else f"{1000 * seconds:.1f} ms"
