"""Seeded mutations of MessagePack samples: of their bytes, and of the objects they hold.

The same seed gives the same inputs, so that a finding can be repeated without keeping it.
"""

import struct
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import msgpack  # type: ignore[import-untyped]


class Pairs(list[tuple[Any, Any]]):
    """A map as its entries, so that keys can repeat and stand in any order."""


_NAMES = (
    *"aqrutvnsyepwcho",
    *("id", "target", "values", "fileds", "token", "vid", "sid", "ve", "re", "exp", "sa", "n4", "n6", "dat"),
    *("body", "sig", "seq", "owner", "to", "type", "data", "utype", "f", "d", "zz"),
    *("ping", "find", "get", "put", "listen", "refresh", "update"),
)
_SAMPLES: tuple[Any, ...] = (
    *(0, 1, 2, 3, 4, 5, 7, 10, 127, 128, 255, 256, 65_535, 65_536, 65_568, 65_569),
    *(2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1, -1, -32, -33, -(2**31), -(2**63)),
    *(1.5, True, False, None, "", "q", "r", "abcd", "o2", "\udcff\udcfe", "\u00e9" * 20, "x" * 40, "x" * 300),
    *(
        b"",
        b"x",
        b"abcd",
        b"i" * 19,
        b"i" * 20,
        b"i" * 21,
        bytes(20),
        b"t" * 32,
        b"t" * 65,
        b"n" * 26,
        b"n" * 38,
    ),
    *(b"k" * 2592, b"s" * 4627, b"d" * 1280, msgpack.ExtType(5, b"ab"), msgpack.Timestamp(5)),
)


class Mutator:
    """An endless supply of damaged *seeds*."""

    def __init__(self, rng: Random, seeds: Sequence[bytes]) -> None:
        self._rng = rng
        self._seeds = list(seeds)
        self._trees = [tree for tree in map(_tree, seeds) if tree is not None]
        self._ways: tuple[Callable[[], bytes], ...] = (
            self._damaged_tree,
            self._damaged_tree,
            self._damaged_bytes,
            self._damaged_bytes,
            self._spliced,
            self._loose,
            self._noise,
        )
        if not self._trees:  # the format is no MessagePack
            self._ways = self._damaged_bytes, self._damaged_bytes, self._spliced, self._noise

    def next(self) -> bytes:
        """One more input."""
        return self._rng.choice(self._ways)()

    def _damaged_tree(self) -> bytes:
        tree = self._rng.choice(self._trees)
        for _ in range(self._rng.choice((1, 1, 2, 3))):
            tree = self._damage(tree)
        return self._write(tree, self._rng.choice((0.0, 0.0, 0.1)))

    def _loose(self) -> bytes:
        """A sample unchanged but for the way it is written."""
        return self._write(
            self._rng.choice(self._trees), self._rng.choice((0.02, 0.3))
        ) + b"\xc1" * self._rng.choice((0, 0, 3))

    def _damaged_bytes(self) -> bytes:
        rng, data = self._rng, bytearray(self._rng.choice(self._seeds))
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            at = min(rng.randrange(len(data) + 1), rng.randrange(len(data) + 1))
            match rng.randrange(5):
                case 0:
                    data[at : at + 1] = bytes((rng.randrange(256),))
                case 1:
                    del data[at : at + rng.choice((1, 1, 2, 8))]
                case 2:
                    data[at:at] = rng.randbytes(rng.choice((1, 1, 2, 8)))
                case 3:
                    del data[at:]
                case _:
                    data[at : at + 1] = bytes((rng.choice(_HEADS),))
        return bytes(data)

    def _spliced(self) -> bytes:
        rng = self._rng
        one, other = rng.choice(self._seeds), rng.choice(self._seeds)
        return one[: rng.randrange(len(one) + 1)] + other[rng.randrange(len(other) + 1) :]

    def _noise(self) -> bytes:
        rng = self._rng
        head = bytes((rng.choice(_HEADS),)) * rng.choice((1, 1, 5, 200))
        return head + rng.randbytes(rng.choice((0, 1, 4, 16, 60)))

    def _damage(self, tree: Any) -> Any:
        """A copy of *tree* with one change somewhere."""
        rng = self._rng
        if isinstance(tree, list) and tree and rng.random() < 0.75:
            at = rng.randrange(len(tree))
            entry = tree[at]
            if isinstance(tree, Pairs):
                key, value = entry
                changed: Any = (
                    (rng.choice(_NAMES), value) if rng.random() < 0.1 else (key, self._damage(value))
                )
            else:
                changed = self._damage(entry)
            return type(tree)((*tree[:at], changed, *tree[at + 1 :]))
        if isinstance(tree, list):
            return self._reshape(tree)
        if isinstance(tree, int) and rng.random() < 0.5:
            return max(-(2**63), min(2**64 - 1, tree + rng.choice((-1, 1, 256))))
        if isinstance(tree, bytes) and rng.random() < 0.5:
            return rng.choice(
                (tree[:-1], tree + b"z", tree.decode("utf-8", "surrogateescape"), list(tree[:300]))
            )
        return rng.choice(_SAMPLES)

    def _reshape(self, tree: Any) -> Any:
        rng, entries = self._rng, list(tree)
        match rng.randrange(5):
            case 0 if entries:
                del entries[rng.randrange(len(entries))]
            case 1 if entries:
                entries.insert(rng.randrange(len(entries) + 1), rng.choice(entries))
            case 2:
                rng.shuffle(entries)
            case 3 if entries and isinstance(tree, Pairs):
                key, _ = rng.choice(entries)
                entries.insert(rng.randrange(len(entries) + 1), (key, rng.choice(_SAMPLES)))
            case _:
                sample = rng.choice((*_SAMPLES, [], [1, 2], Pairs(), Pairs([("id", 1)]), [[[0]]] * 3))
                entry = (rng.choice((*_NAMES, 5, None, b"id")), sample) if isinstance(tree, Pairs) else sample
                entries.insert(rng.randrange(len(entries) + 1), entry)
        return type(tree)(entries)

    def _write(self, tree: Any, odd: float) -> bytes:
        """*tree* as MessagePack; with probability *odd* an object is written in an unusual way."""
        pieces: list[bytes] = []
        self._append(tree, odd, pieces)
        return b"".join(pieces)

    def _append(self, tree: Any, odd: float, pieces: list[bytes]) -> None:
        rng = self._rng
        strange = odd > 0 and rng.random() < odd
        if isinstance(tree, Pairs):
            pieces.append(struct.pack(">BI", 0xDF, len(tree)) if strange else _header(0x80, 0xDE, len(tree)))
            for key, value in tree:
                self._append(key, odd, pieces)
                self._append(value, odd, pieces)
        elif isinstance(tree, list):
            pieces.append(struct.pack(">BI", 0xDD, len(tree)) if strange else _header(0x90, 0xDC, len(tree)))
            for value in tree:
                self._append(value, odd, pieces)
        elif not strange:
            pieces.append(msgpack.packb(tree, unicode_errors="surrogateescape"))
        elif isinstance(tree, str):
            raw = tree.encode("utf-8", "surrogateescape")
            pieces.append(
                rng.choice((struct.pack(">BH", 0xDA, len(raw)), struct.pack(">BI", 0xC6, len(raw)))) + raw
            )
        elif isinstance(tree, bytes):
            pieces.append(
                rng.choice((struct.pack(">BI", 0xC6, len(tree)), struct.pack(">BI", 0xDB, len(tree)))) + tree
            )
        elif type(tree) is int:
            pieces.append(struct.pack(">BQ", 0xCF, tree) if tree >= 0 else struct.pack(">Bq", 0xD3, tree))
        else:
            pieces.append(msgpack.packb(tree))


_HEADS = (0x00, 0x80, 0x81, 0x90, 0x91, 0xA0, 0xA1, *range(0xC0, 0xE0), 0xFF)


def _header(short: int, long: int, count: int) -> bytes:
    return bytes((short | count,)) if count < 16 else struct.pack(">BH", long, count)


def _tree(data: bytes) -> Any:
    try:
        return msgpack.unpackb(
            data, object_pairs_hook=Pairs, strict_map_key=False, unicode_errors="surrogateescape"
        )
    except (ValueError, TypeError):
        return None
