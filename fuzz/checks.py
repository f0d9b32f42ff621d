"""What several targets check."""

from typing import Any

import msgpack  # type: ignore[import-untyped]


def check_shortest(data: bytes) -> None:
    """*data*, written by us, is what an independent MessagePack writer makes of its content."""
    content = msgpack.unpackb(
        data, object_pairs_hook=_Map, strict_map_key=False, unicode_errors="surrogateescape"
    )
    pieces: list[bytes] = []
    _write(content, pieces)
    assert b"".join(pieces) == data


def is_messagepack(data: bytes) -> bool:
    """Whether an independent reader finds a whole object at the start of *data*."""
    unpacker = msgpack.Unpacker(
        strict_map_key=False, raw=True, object_pairs_hook=_Map, ext_hook=lambda code, data: None
    )
    unpacker.feed(data)
    try:
        unpacker.unpack()
    except (ValueError, msgpack.OutOfData) as error:
        return "imestamp" in str(error)  # it looks into timestamps, we skip them
    return True


class _Map(list[tuple[Any, Any]]):
    pass


def _write(content: Any, pieces: list[bytes]) -> None:
    packer = msgpack.Packer(unicode_errors="surrogateescape")
    if isinstance(content, _Map):
        pieces.append(packer.pack_map_header(len(content)))
        for key, value in content:
            _write(key, pieces)
            _write(value, pieces)
    elif isinstance(content, list):
        pieces.append(packer.pack_array_header(len(content)))
        for value in content:
            _write(value, pieces)
    else:
        pieces.append(packer.pack(content))
