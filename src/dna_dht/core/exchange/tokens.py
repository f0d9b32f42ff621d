"""Write tokens: proof that whoever writes receives packets at the address it writes from.

A token is a keyed hash of the address, so nothing is stored per node. The secret is replaced every 15 to 45
minutes and its predecessor stays valid one more period: a token is good for at least 15 and at most 90
minutes. Rotation is lazy but on schedule: the next use makes up for all that was due.
Source: spec 01, section 8.
"""

import hashlib
import hmac
from random import Random

from dna_dht.core.context import CoreContext
from dna_dht.wire.address import Address, pack_ip

SECRET_BYTES = 8
ROTATION = (15 * 60.0, 45 * 60.0)  # seconds, uniform


class Tokens:
    """Issues and checks the tokens of this node."""

    __slots__ = ("_ctx", "_current", "_previous", "_rotates")

    def __init__(self, ctx: CoreContext) -> None:
        self._ctx = ctx
        self._current = _secret(ctx.rng)
        self._previous = _secret(ctx.rng)
        self._rotates = ctx.now.mono + ctx.rng.uniform(*ROTATION)

    def issue(self, address: Address) -> bytes:
        """The current token of *address*, 32 bytes."""
        self._rotate()
        return _token(self._current, address)

    def valid(self, address: Address, token: bytes) -> bool:
        """Whether *token* was issued to exactly this address under the current or the previous secret."""
        self._rotate()
        return hmac.compare_digest(_token(self._current, address), token) or hmac.compare_digest(
            _token(self._previous, address), token
        )

    def _rotate(self) -> None:
        now, rng = self._ctx.now.mono, self._ctx.rng
        if now - self._rotates > 2 * ROTATION[1]:  # idle for so long that nothing issued can still be valid
            self._current = _secret(rng)
            self._rotates = now
        while now >= self._rotates:
            self._previous, self._current = self._current, _secret(rng)
            self._rotates += rng.uniform(*ROTATION)


def _secret(rng: Random) -> bytes:
    return rng.randbytes(SECRET_BYTES)


def _token(secret: bytes, address: Address) -> bytes:
    host, port = address
    return hashlib.sha256(secret + pack_ip(host) + port.to_bytes(2, "big")).digest()
