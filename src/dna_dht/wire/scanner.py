"""A bounded MessagePack scanner: finds where objects end, builds none of them.

Why our own: the tolerant reading rules (spec 01, section 3) need bin, str and invalid UTF-8 kept apart,
bytes after the object ignored, entries with odd keys skipped, and for repeated keys sometimes the first,
sometimes the last. No MessagePack library offers that combination, but slices of single objects can be given
to one. So this file only cuts: a map becomes slices of its keys and values.

Bounds, all DecodeError: containers nested deeper than DEPTH, arrays over ARRAY_ITEMS, maps over MAP_ENTRIES,
and a budget of SCAN_ITEMS objects for all scans made with one Scanner, so that no datagram, however odd,
costs more than a few milliseconds. Claimed lengths beyond the data end the scan at once; nothing is allocated
for them.
"""

from dna_dht.errors import DecodeError
from dna_dht.wire.limits import ARRAY_ITEMS, DEPTH, MAP_ENTRIES, SCAN_ITEMS

_LONG_HEADER = 8  # objects charged for a length of its own: it costs as much time to read


class Scanner:
    """Cuts MessagePack maps into slices, within one budget."""

    __slots__ = ("_left",)

    def __init__(self, budget: int = SCAN_ITEMS) -> None:
        self._left = budget

    def charge(self, items: int) -> None:
        """Take *items* off the budget; DecodeError when it is used up."""
        self._left -= items
        if self._left < 0:
            raise DecodeError("too many objects in one datagram")

    def pairs(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """The (key, value) slices of the map at the start of *data*, in order; what follows it is ignored."""
        return self._pairs(data, 0, 1)[0]

    def fields(self, data: bytes, *, first_wins: bool) -> dict[bytes, bytes]:
        """The map at the start of *data* as {text key: value slice}; entries with other keys are left out.

        Of repeated keys the first counts, or the last (spec 01, section 3).
        """
        return _by_name(self.pairs(data), first_wins)

    def envelope(
        self, data: bytes, nested: frozenset[bytes]
    ) -> tuple[dict[bytes, bytes], dict[bytes, dict[bytes, bytes]]]:
        """The fields of a datagram, and those of the maps in it that are named *nested*, in one pass.

        Of repeated keys the last counts.
        """
        count, at = _open(data, 0)
        outer: dict[bytes, bytes] = {}
        inner: dict[bytes, dict[bytes, bytes]] = {}
        for _ in range(count):
            middle = self._end(data, at, 1)
            name = text_of(data[at:middle])
            if name in nested and is_map(data, middle):
                pairs, end = self._pairs(data, middle, 2)
                inner[name] = _by_name(pairs, first_wins=False)
            else:
                end = self._end(data, middle, 1)
                inner.pop(name or b"", None)
            if name is not None:
                outer[name] = data[middle:end]
            at = end
        return outer, inner

    def _pairs(self, data: bytes, at: int, depth: int) -> tuple[list[tuple[bytes, bytes]], int]:
        """The pairs of the map at *at*, and where it ends; *depth* containers are open with it."""
        count, at = _open(data, at)
        found = []
        for _ in range(count):
            middle = self._end(data, at, depth)
            end = self._end(data, middle, depth)
            found.append((data[at:middle], data[middle:end]))
            at = end
        return found, at

    def _end(self, data: bytes, at: int, depth: int) -> int:
        """Where the object that starts at *at*, inside of *depth* containers, ends."""
        fixed_size, size, left = _FIXED_SIZE, len(data), self._left - 1
        waiting: list[int] = []  # objects still to come, for each container left open
        todo = 1  # ... and for the innermost one
        try:
            while True:
                while todo:
                    todo -= 1
                    head = data[at]
                    length = fixed_size[head]
                    if length:
                        at += length
                        continue
                    if head == 0xC4 or head == 0xD9:  # short bin, short str
                        at += 2 + data[at + 1]
                        continue
                    if head < 0xA0:  # fixmap, fixarray (the empty ones are in the table)
                        count = 2 * (head & 0x0F) if head < 0x90 else head & 0x0F
                        at += 1
                    else:
                        prefix, extra, unit = _PREFIX[head]
                        count = int.from_bytes(data[at + 1 : at + 1 + prefix], "big")
                        at += 1 + prefix
                        left -= _LONG_HEADER
                        if not unit:
                            at += count + extra
                            continue
                        if count > (ARRAY_ITEMS if unit == 1 else MAP_ENTRIES):
                            raise DecodeError("array or map too large")
                        count *= unit
                    left -= count + 1  # opening a container costs as much as two other objects
                    if left < 0:
                        raise DecodeError("too many objects in one datagram")
                    waiting.append(todo)
                    if len(waiting) + depth > DEPTH:
                        raise DecodeError("containers nested too deeply")
                    todo = count
                if not waiting:
                    break
                todo = waiting.pop()
        except (IndexError, KeyError):
            raise DecodeError("data cut short, or a byte that starts no object") from None
        finally:
            self._left = left
        if at > size:
            raise DecodeError("data cut short")
        return at


def _open(data: bytes, at: int) -> tuple[int, int]:
    """How many entries the map at *at* has, and where the first one starts."""
    if not is_map(data, at):
        raise DecodeError("a map belongs here")
    head = data[at]
    if head <= 0x8F:
        return head & 0x0F, at + 1
    end = at + (3 if head == 0xDE else 5)
    count = int.from_bytes(data[at + 1 : end], "big")
    if count > MAP_ENTRIES or end > len(data):
        raise DecodeError("map too large or cut short")
    return count, end


def is_map(data: bytes, at: int = 0) -> bool:
    """Whether a map starts at *at*."""
    return at < len(data) and (data[at] & 0xF0 == 0x80 or 0xDE <= data[at] <= 0xDF)


def _by_name(pairs: list[tuple[bytes, bytes]], first_wins: bool) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for key, value in pairs:
        name = text_of(key)
        if name is not None and not (first_wins and name in found):
            found[name] = value
    return found


def text_of(data: bytes) -> bytes | None:
    """The content of *data* if that slice is a text (str), else None."""
    head = data[0]
    if 0xA0 <= head <= 0xBF:
        return data[1:]
    return data[1 + _PREFIX[head][0] :] if 0xD9 <= head <= 0xDB else None


def bytes_of(data: bytes) -> bytes | None:
    """The content of *data* if that slice is a byte string (bin), else None."""
    head = data[0]
    return data[1 + _PREFIX[head][0] :] if 0xC4 <= head <= 0xC6 else None


def _fixed_sizes() -> tuple[int, ...]:
    sizes = [0] * 256  # 0: the size follows from more than the first byte
    for head in (*range(0x80), *range(0xE0, 0x100), 0x80, 0x90, 0xC0, 0xC2, 0xC3):
        sizes[head] = 1  # small integers, empty containers, nil, false, true
    for length in range(32):
        sizes[0xA0 + length] = 1 + length  # short texts
    for head, size in ((0xCA, 5), (0xCB, 9), (0xCC, 2), (0xCD, 3), (0xCE, 5), (0xCF, 9)):
        sizes[head] = size  # floats, unsigned integers
    for head, size in ((0xD0, 2), (0xD1, 3), (0xD2, 5), (0xD3, 9)):
        sizes[head] = size  # signed integers
    for power in range(5):
        sizes[0xD4 + power] = 2 + 2**power  # extensions of fixed length
    return tuple(sizes)


_FIXED_SIZE = _fixed_sizes()
_PREFIX = {  # first byte -> (bytes of the length, bytes besides, objects per unit of length; 0: plain bytes)
    **{0xC4 + i: (1 << i, 0, 0) for i in range(3)},  # bin
    **{0xC7 + i: (1 << i, 1, 0) for i in range(3)},  # ext: a type byte
    **{0xD9 + i: (1 << i, 0, 0) for i in range(3)},  # str
    **{0xDC + i: (2 << i, 0, 1) for i in range(2)},  # array
    **{0xDE + i: (2 << i, 0, 2) for i in range(2)},  # map
}
