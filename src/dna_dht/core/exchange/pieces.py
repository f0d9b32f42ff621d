"""The bytes of one packed value as they come in, in any order. Nothing is allocated before it arrives."""

from bisect import bisect_left
from enum import Enum


class Fit(Enum):
    """What became of a piece."""

    TAKEN = "taken"
    DUPLICATE = "duplicate"
    REFUSED = "refused"
    """Empty, beyond the announced size, or overlapping another piece without being the same."""


class Pieces:
    """One value under construction.

    Attributes:
        size: bytes announced.
        arrived: bytes taken; the value is whole when both are equal, since pieces never overlap.
    """

    __slots__ = ("_data", "_end", "_offsets", "arrived", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.arrived = 0
        self._offsets: list[int] = []
        self._data: list[bytes] = []
        self._end = 0

    def add(self, offset: int, data: bytes) -> Fit:
        """Take *data*, which belongs at *offset*."""
        length = len(data)
        end = offset + length
        if not length or offset < 0 or end > self.size:
            return Fit.REFUSED
        if offset >= self._end:
            self._offsets.append(offset)
            self._data.append(data)
            self._end = end
        else:
            at = bisect_left(self._offsets, offset)
            if at < len(self._offsets):
                following = self._offsets[at]
                if following == offset and len(self._data[at]) == length:
                    return Fit.DUPLICATE
                if end > following:
                    return Fit.REFUSED
            if at and self._offsets[at - 1] + len(self._data[at - 1]) > offset:
                return Fit.REFUSED
            self._offsets.insert(at, offset)
            self._data.insert(at, data)
        self.arrived += length
        return Fit.TAKEN

    def join(self) -> bytes:
        """The bytes taken, in order."""
        return b"".join(self._data)
