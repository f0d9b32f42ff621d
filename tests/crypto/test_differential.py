"""Two more verifiers judge what ours judges: 1,000 valid and hostile signatures, and no disagreement."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from random import Random

import pqcrypto.sign
import pytest
from dilithium_py.ml_dsa import ML_DSA_87

from dna_dht.crypto.mldsa import PUBLIC_KEY_SIZE, SIGNATURE_SIZE, SigningKey, verify

PER_KIND = 40  # of 25 kinds: 1,000 cases
THIRD_OPINIONS = 3  # of each kind; pure Python takes 30 ms
CHALLENGE, Z, HINTS = slice(0, 64), slice(64, 4544), slice(4544, 4627)  # parts of a signature; FIPS 204, 7.2
OMEGA, ROWS = 75, 8  # positions and counters of the hints
GAMMA1, BETA = 1 << 19, 120


@dataclass(frozen=True)
class Case:
    """What a verifier is asked."""

    owner: bytes
    signature: bytes
    message: bytes


def second_opinion(case: Case) -> bool:
    module = pqcrypto.sign.ml_dsa_87
    try:
        module.verify(case.owner, case.message, case.signature)
    except (pqcrypto.InvalidSignatureError, ValueError):
        return False
    return True


def third_opinion(case: Case) -> bool:
    try:
        return bool(ML_DSA_87.verify(case.owner, case.message, case.signature))
    except (ValueError, IndexError):
        return False


@cache
def signers() -> list[tuple[bytes, bytes]]:
    """(public key, expanded key) of four signers."""
    return [ML_DSA_87.key_derive(bytes([number]) * 32) for number in range(4)]


@cache
def bases() -> list[Case]:
    """Eight signatures that are the same at every run."""
    messages = [b"", b"\0", b"value", bytes(33), b"\xff" * 2000, b"1", b"2", bytes(range(256))]
    return [
        Case(signers()[i % 4][0], ML_DSA_87.sign(signers()[i % 4][1], message, deterministic=True), message)
        for i, message in enumerate(messages)
    ]


@cache
def with_contexts() -> list[Case]:
    """Signatures whose context is not empty, as ours always is."""
    return [
        Case(owner, ML_DSA_87.sign(secret, b"value", ctx=context, deterministic=True), b"value")
        for (owner, secret), context in zip(signers(), [b"\0", b"\0\0", b"x", bytes(255)], strict=True)
    ]


@cache
def above_the_bound() -> list[Case]:
    """Signatures that only their norm gives away: made by a signer that lets z come close to gamma1."""
    lax = copy.copy(ML_DSA_87)
    lax.beta = 0
    found: list[Case] = []
    number = 0
    while len(found) < 8:
        owner, secret = signers()[number % 4]
        message = number.to_bytes(4, "big")
        number += 1
        signature = lax.sign(secret, message, deterministic=True)
        if norm(signature) >= GAMMA1 - BETA and lax.verify(owner, message, signature):
            found.append(Case(owner, signature, message))
    return found


def norm(signature: bytes) -> int:
    bits = int.from_bytes(signature[Z], "little")
    return max(abs(GAMMA1 - (bits >> 20 * i & 0xF_FFFF)) for i in range(7 * 256))


def with_coefficient(signature: bytes, index: int, value: int) -> bytes:
    """*signature* with one coefficient of z set."""
    bits, place = int.from_bytes(signature[Z], "little"), 20 * index
    bits = bits & ~(0xF_FFFF << place) | (GAMMA1 - value & 0xF_FFFF) << place
    return signature[CHALLENGE] + bits.to_bytes(4480, "little") + signature[HINTS]


def with_hints(signature: bytes, positions: bytes, counters: bytes) -> bytes:
    assert len(positions) == OMEGA and len(counters) == ROWS
    return signature[: HINTS.start] + positions + counters


def hints(signature: bytes) -> tuple[bytearray, bytearray]:
    return bytearray(signature[HINTS][:OMEGA]), bytearray(signature[HINTS][OMEGA:])


def crowded_row(counters: bytearray, random: Random) -> int:
    """Where the positions of a row with two hints or more start."""
    ends = [0, *counters]
    return random.choice([ends[row] for row in range(ROWS) if ends[row + 1] - ends[row] >= 2])


def flip(data: bytes, random: Random, part: slice = slice(None)) -> bytes:
    start, stop, _ = part.indices(len(data))
    changed = bytearray(data)
    changed[random.randrange(start, stop)] ^= 1 << random.randrange(8)
    return bytes(changed)


def valid(base: Case, random: Random) -> Case:
    return base


def valid_of_ours(base: Case, random: Random) -> Case:
    key, message = SigningKey(random.randbytes(32)), random.randbytes(random.randrange(300))
    return Case(key.public_key, key.sign(message), message)  # hedged: the signature differs at every run


def bit_of_challenge(base: Case, random: Random) -> Case:
    return replace(base, signature=flip(base.signature, random, CHALLENGE))


def bit_of_z(base: Case, random: Random) -> Case:
    return replace(base, signature=flip(base.signature, random, Z))


def bit_of_hints(base: Case, random: Random) -> Case:
    return replace(base, signature=flip(base.signature, random, HINTS))


def bits_anywhere(base: Case, random: Random) -> Case:
    signature = base.signature
    for _ in range(random.randrange(1, 20, 2)):  # an odd number cannot undo itself
        signature = flip(signature, random)
    return replace(base, signature=signature)


def bit_of_rho(base: Case, random: Random) -> Case:
    return replace(base, owner=flip(base.owner, random, slice(0, 32)))


def bit_of_t1(base: Case, random: Random) -> Case:
    return replace(base, owner=flip(base.owner, random, slice(32, None)))


def other_message(base: Case, random: Random) -> Case:
    changed = flip(base.message, random) if base.message and random.randrange(2) else base.message + b"\0"
    return replace(base, message=changed)


def prefixed_message(base: Case, random: Random) -> Case:
    """The two bytes that stand before a message when it is hashed are no part of it."""
    return replace(base, message=b"\0\0" + base.message)


def with_context(base: Case, random: Random) -> Case:
    return random.choice(with_contexts())


def other_owner(base: Case, random: Random) -> Case:
    return replace(base, owner=random.choice([owner for owner, _ in signers() if owner != base.owner]))


def signature_of_another(base: Case, random: Random) -> Case:
    return replace(base, signature=random.choice([b for b in bases() if b is not base]).signature)


def unsorted_hints(base: Case, random: Random) -> Case:
    positions, counters = hints(base.signature)
    start = crowded_row(counters, random)
    positions[start], positions[start + 1] = positions[start + 1], positions[start]
    return replace(base, signature=with_hints(base.signature, positions, counters))


def repeated_hint(base: Case, random: Random) -> Case:
    """One hint is told twice: the same hints, in one more byte where a byte is free."""
    positions, counters = hints(base.signature)
    start = crowded_row(counters, random)
    if counters[-1] < OMEGA:
        row = next(row for row in range(ROWS) if counters[row] > start)
        positions.insert(start, positions[start])
        del positions[-1]
        counters[row:] = bytes(counter + 1 for counter in counters[row:])
    else:
        positions[start + 1] = positions[start]
    return replace(base, signature=with_hints(base.signature, positions, counters))


def too_many_hints(base: Case, random: Random) -> Case:
    positions, counters = hints(base.signature)
    counters[-1] = random.choice([OMEGA + 1, OMEGA + 8, 128, 255, random.randrange(OMEGA + 1, 256)])
    return replace(base, signature=with_hints(base.signature, positions, counters))


def falling_counters(base: Case, random: Random) -> Case:
    positions, counters = hints(base.signature)
    row = random.randrange(ROWS - 1)
    counters[row] = random.randrange(counters[row + 1] + 1, 256)
    return replace(base, signature=with_hints(base.signature, positions, counters))


def padding_in_use(base: Case, random: Random) -> Case:
    free = [case for case in bases() if case.signature[-1] < OMEGA]
    base = random.choice(free)
    positions, counters = hints(base.signature)
    positions[random.randrange(counters[-1], OMEGA)] = random.randrange(1, 256)
    return replace(base, signature=with_hints(base.signature, positions, counters))


def random_hints(base: Case, random: Random) -> Case:
    counters = bytes(sorted(random.randrange(OMEGA + 1) for _ in range(ROWS)))
    positions = random.randbytes(counters[-1]) + bytes(OMEGA - counters[-1])
    return replace(base, signature=with_hints(base.signature, positions, counters))


def z_at_the_bound(base: Case, random: Random) -> Case:
    value = random.choice([GAMMA1 - BETA - 1, GAMMA1 - BETA, GAMMA1 - BETA + 1, GAMMA1, 1 - GAMMA1])
    value = value * random.choice([1, -1]) if abs(value) < GAMMA1 - 1 else value
    return replace(base, signature=with_coefficient(base.signature, random.randrange(1792), value))


def z_above_the_bound(base: Case, random: Random) -> Case:
    return random.choice(above_the_bound())


def signature_of_another_length(base: Case, random: Random) -> Case:
    length = random.choice(
        [0, 1, 64, 2420, 3309, SIGNATURE_SIZE - 1, SIGNATURE_SIZE + 1, SIGNATURE_SIZE + 64]
    )
    return replace(base, signature=(base.signature + bytes(64))[:length])


def owner_of_another_length(base: Case, random: Random) -> Case:
    length = random.choice([0, 1, 32, 1312, 1952, PUBLIC_KEY_SIZE - 1, PUBLIC_KEY_SIZE + 1, 4896])
    return replace(base, owner=(base.owner + bytes(4896))[:length])


def constant_bytes(base: Case, random: Random) -> Case:
    owner = random.choice([base.owner, bytes(PUBLIC_KEY_SIZE), b"\xff" * PUBLIC_KEY_SIZE])
    return Case(owner, bytes([random.choice([0, 255, random.randrange(256)])]) * SIGNATURE_SIZE, base.message)


def random_bytes(base: Case, random: Random) -> Case:
    owner = random.choice([base.owner, random.randbytes(PUBLIC_KEY_SIZE)])
    return Case(owner, random.randbytes(SIGNATURE_SIZE), random.randbytes(random.randrange(100)))


Kind = Callable[[Case, Random], Case]
VALID: list[Kind] = [valid, valid_of_ours]
HOSTILE: list[Kind] = [
    bit_of_challenge,
    bit_of_z,
    bit_of_hints,
    bits_anywhere,
    bit_of_rho,
    bit_of_t1,
    other_message,
    prefixed_message,
    with_context,
    other_owner,
    signature_of_another,
    unsorted_hints,
    repeated_hint,
    too_many_hints,
    falling_counters,
    padding_in_use,
    random_hints,
    z_at_the_bound,
    z_above_the_bound,
    signature_of_another_length,
    owner_of_another_length,
    constant_bytes,
    random_bytes,
]


@pytest.mark.parametrize("kind", [*VALID, *HOSTILE], ids=lambda kind: kind.__name__)
def test_verifiers_agree(kind: Kind) -> None:
    random = Random(kind.__name__)
    for number in range(PER_KIND):
        case = kind(bases()[number % len(bases())], random)
        answers = [verify(case.owner, case.signature, case.message), second_opinion(case)]
        if number < THIRD_OPINIONS:
            answers.append(third_opinion(case))
        assert answers == [kind in VALID] * len(answers), f"case {number}: {case}"


def test_there_are_a_thousand_cases() -> None:
    assert len({*VALID, *HOSTILE}) * PER_KIND == 1000
    assert len({*VALID, *HOSTILE}) * THIRD_OPINIONS >= 60


def test_hints_told_in_another_way_are_the_same_hints() -> None:
    """Without this the malformed encodings could be refused for what they say, not for how."""
    random = Random(5)
    base = bases()[2]
    for kind in (unsorted_hints, repeated_hint):
        changed = kind(base, random)
        assert changed.signature != base.signature
        assert meant(changed.signature) == meant(base.signature)


def meant(signature: bytes) -> set[tuple[int, int]]:
    positions, counters = hints(signature)
    ends = [0, *counters]
    return {(row, place) for row in range(ROWS) for place in positions[ends[row] : ends[row + 1]]}
