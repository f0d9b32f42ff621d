"""Sealing and opening a message of 2 kB, in units of the primitives that it cannot do without.

The time of a signature varies by a factor of ten (rejection sampling), so container and primitives take turns
and their whole times are compared; the order within a turn alternates.
"""

import time
from collections.abc import Callable
from functools import partial

from bench.report import Report
from dna_dht.crypto import mlkem
from dna_dht.crypto.identity import Identity
from dna_dht.crypto.mldsa import verify
from dna_dht.crypto.seal import open_sealed, seal
from dna_dht.dialect import Dialect

PLAINTEXT = bytes(range(256)) * 8  # 2 kB
TIMESTAMP = 1_769_126_400  # Unix seconds
TURNS = 2000  # of each
MOST = 1.3  # times the primitives


def ratio(
    whole: Callable[[], object], parts: Callable[[], object], turns: int = TURNS
) -> tuple[float, float]:
    """(processor time of *whole* over that of *parts*, seconds of one *whole*), on average."""
    clock = time.thread_time_ns
    spent = [0, 0]
    for turn in range(turns):
        for which in (0, 1) if turn % 2 else (1, 0):
            action = parts if which else whole
            started = clock()
            action()
            spent[which] += clock() - started
    return spent[0] / spent[1], spent[0] / turns / 1e9


def sealing(dialect: Dialect) -> tuple[Callable[[], object], Callable[[], object]]:
    """Sealing for one recipient; one signature of the plaintext and one encapsulation."""
    sender, recipient = _people(dialect)
    to = (recipient.public,)

    def parts() -> None:
        sender.signing.sign(PLAINTEXT)
        mlkem.encapsulate(recipient.public.encryption_public_key)

    return partial(seal, PLAINTEXT, sender, to, timestamp=TIMESTAMP), parts


def opening(dialect: Dialect) -> tuple[Callable[[], object], Callable[[], object]]:
    """Opening with the sender verified; one verification and one decapsulation."""
    sender, recipient = _people(dialect)
    container = seal(PLAINTEXT, sender, (recipient.public,), timestamp=TIMESTAMP)
    signing_public_key, key = sender.public.signing_public_key, recipient.encryption
    opened = open_sealed(container, recipient, find_key=lambda fingerprint: signing_public_key)
    assert opened.verified and opened.plaintext == PLAINTEXT
    _, ciphertext = mlkem.encapsulate(recipient.public.encryption_public_key)

    def parts() -> None:
        verify(signing_public_key, opened.signature, PLAINTEXT)
        key.decapsulate(ciphertext)

    return partial(open_sealed, container, recipient, find_key=lambda fingerprint: signing_public_key), parts


def run(report: Report) -> None:
    """Both operations in both dialects."""
    for dialect in Dialect:
        for name, pair in (("sign_and_encapsulate", sealing), ("verify_and_decapsulate", opening)):
            whole, parts = pair(dialect)
            times, seconds = ratio(whole, parts)
            what = "seal" if pair is sealing else "open"
            report.add(
                f"seal.{what}_{dialect.value}",
                times,
                f"x_{name}",
                TURNS,
                most=MOST,
                note=f"{seconds * 1e6:,.0f} us",
            )


def _people(dialect: Dialect) -> tuple[Identity, Identity]:
    return (
        Identity.from_master_seed(bytes(range(64)), dialect),
        Identity.from_master_seed(bytes(64), dialect),
    )
