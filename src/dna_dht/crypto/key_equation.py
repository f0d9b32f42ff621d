"""The equation between an expanded ML-DSA-87 key and its public key. Source: FIPS 204, algorithms 6 and 24.

A key pair is A s1 + s2 = t1 2^13 + t0, in polynomials of 256 coefficients modulo x^256 + 1 and q. Here it is
evaluated at one root of x^256 + 1, where polynomials become numbers and a transform is not needed: 1 ms.
A random error in s1, s2 or t0 passes with a chance of 2^-23 for each of 8 rows; an error of one coefficient
never. Not in constant time: for keys as they are read from a file, not for answers to strangers.
"""

import hashlib

_Q = 8_380_417  # the modulus; FIPS 204, table 1
_ROOT = 1753  # of x^256 + 1; FIPS 204, table 1. A^ at index 0 is A at this root
_ONES = -2 * pow(_ROOT - 1, -1, _Q) % _Q  # the polynomial with all coefficients 1, at the root
_ROWS, _COLUMNS = 8, 7  # of A; FIPS 204, table 1
_ETA = 2  # coefficients of s1 and s2 are stored as 2 - c in 3 bits
_LOW_BITS: int = (8 ** (256 * (_ROWS + _COLUMNS)) - 1) // 7  # the lowest bit of each coefficient of s1 and s2
_T0_HIGH = 1 << 12  # coefficients of t0 are stored as 4096 - c in 13 bits
_DROPPED = 13  # bits of t in t0; the rest, 10 bits, is t1


def holds(secret_key: bytes, public_key: bytes) -> bool:
    """Whether s1, s2 and t0 of *secret_key* (4896 bytes) are those of *public_key* (2592 bytes)."""
    if not _are_short(secret_key[128:1568]):
        return False
    rho = public_key[:32]
    s1 = [_ETA * _ONES - each for each in _at_root(secret_key[128:800], 3)]
    s2 = [_ETA * _ONES - each for each in _at_root(secret_key[800:1568], 3)]
    t0 = [_T0_HIGH * _ONES - each for each in _at_root(secret_key[1568:], 13)]
    t1 = _at_root(public_key[32:], 10)
    return all(
        (
            sum(_matrix_entry(rho, row, column) * s1[column] for column in range(_COLUMNS))
            + s2[row]
            - (t1[row] << _DROPPED)
            - t0[row]
        )
        % _Q
        == 0
        for row in range(_ROWS)
    )


def _are_short(vectors: bytes) -> bool:
    """Whether all coefficients of s1 and s2 are within -2 to 2: none is stored as 5, 6 or 7."""
    bits = int.from_bytes(vectors, "little")
    return bits >> 2 & (bits >> 1 | bits) & _LOW_BITS == 0


def _at_root(packed: bytes, width: int) -> list[int]:
    """The polynomials of 256 coefficients, *width* bits each, at the root."""
    size, mask = 32 * width, (1 << width) - 1
    values = []
    for start in range(0, len(packed), size):
        bits, value = int.from_bytes(packed[start : start + size], "little"), 0
        for place in range(255 * width, -1, -width):
            value = (value * _ROOT + (bits >> place & mask)) % _Q
        values.append(value)
    return values


def _matrix_entry(rho: bytes, row: int, column: int) -> int:
    """A[row, column] at the root: the first 23 bits below q that the seed gives (FIPS 204, algorithm 30)."""
    stream = hashlib.shake_128(rho + bytes((column, row))).digest(60)
    draws = (int.from_bytes(stream[i : i + 3], "little") & 0x7F_FFFF for i in range(0, 60, 3))
    return next((draw for draw in draws if draw < _Q), 0)  # all 20 too large: once in 2^200
