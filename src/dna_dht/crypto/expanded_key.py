"""The expanded form of a secret key, which the reference keeps in its files. Source: spec 03, 3 and 9.4.

Layout, 4896 bytes: rho (32) || K (32) || tr (64) || s1 (672) || s2 (768) || t0 (3328). The seed is not
in it, and the library we sign with cannot load it: we only write it, for the reference to read. Expanding a
seed needs the optional package ``dilithium-py``; without it the ``.dsa`` file is left out, and nothing
else changes.
"""

import hashlib
import hmac
import importlib

EXPANDED_SIZE = 4896  # bytes; FIPS 204, table 2
_RHO = slice(0, 32)  # also the first bytes of the public key
_TR = slice(64, 128)  # SHAKE256(public key, 64)


def expand(seed: bytes) -> bytes | None:
    """The expanded secret key of a 32-byte *seed* (15 ms); None if ``dilithium-py`` is not installed."""
    try:
        library = importlib.import_module("dilithium_py.ml_dsa")
    except ImportError:
        return None
    secret_key: bytes = library.ML_DSA_87.key_derive(seed)[1]
    return secret_key


def belongs_to(secret_key: bytes, public_key: bytes) -> bool:
    """Whether an expanded key has the right size and, as far as its hashes tell, this *public_key*."""
    return (
        len(secret_key) == EXPANDED_SIZE
        and hmac.compare_digest(secret_key[_RHO], public_key[:32])
        and hmac.compare_digest(secret_key[_TR], hashlib.shake_256(public_key).digest(64))
    )
