"""One bare ML-DSA-87 verification of a 2 kB value: the unit in which accepted values are counted."""

from functools import partial

from bench.report import Report
from bench.timing import cpu_per_call
from dna_dht.crypto.mldsa import SigningKey, verify
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import signed_bytes

DATA = bytes(2048)


def signed_message(key: SigningKey) -> bytes:
    """What is signed of a 2 kB value."""
    return signed_bytes(Value(id=1, type=0x1001, data=DATA, owner=key.public_key))


def bare_verification(budget: float = 0.3) -> tuple[float, int]:
    """Seconds of processor time of one, and the number of samples."""
    key = SigningKey(bytes(range(32)))
    message = signed_message(key)
    signature = key.sign(message)
    assert verify(key.public_key, signature, message)
    return cpu_per_call(partial(verify, key.public_key, signature, message), budget=budget)


def run(report: Report) -> None:
    """Signing in units of verifying."""
    key = SigningKey(bytes(range(32)))
    one, n = bare_verification()
    sign, signed = cpu_per_call(partial(key.sign, signed_message(key)), budget=0.3)
    report.add("verify.bare", one * 1e6, "us", n, note="the unit of accepted_put")
    report.add("verify.sign", sign / one, "x_bare_verification", signed)
