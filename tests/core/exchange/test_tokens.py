"""Tokens prove an address for 15 to 90 minutes, and nothing else passes."""

import hashlib
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dna_dht.core.config import CoreConfig, Limits
from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.tokens import Tokens
from dna_dht.core.instant import Instant
from dna_dht.wire.address import Address, pack_ip
from dna_dht.wire.infohash import InfoHash

MINUTE = 60.0
PLACES: list[Address] = [("192.0.2.7", 4000), ("2001:db8::7", 4000)]


def make_ctx(**limits: int) -> CoreContext:
    config = CoreConfig(limits=Limits(**limits))
    return CoreContext(config, InfoHash.of(b"us"), Random(1), Instant(1000.0, 1.7e9))


def advance(ctx: CoreContext, seconds: float) -> None:
    ctx.now = Instant(ctx.now.mono + seconds, ctx.now.unix + seconds)
    ctx.timers.run_due(ctx.now.mono)


@pytest.mark.parametrize("address", PLACES)
def test_token_is_valid_for_its_address_only(address: Address) -> None:
    tokens = Tokens(make_ctx())
    token = tokens.issue(address)
    host, port = address
    assert len(token) == 32
    assert tokens.valid(address, token)
    assert not tokens.valid((host, port + 1), token)
    assert not tokens.valid(("192.0.2.8" if host == "192.0.2.7" else "192.0.2.7", port), token)


def test_shape_of_a_token() -> None:
    class Fixed(Random):
        def randbytes(self, n: int) -> bytes:
            return bytes(range(n))

    ctx = make_ctx()
    ctx.rng = Fixed(1)
    expected = hashlib.sha256(bytes(range(8)) + pack_ip("192.0.2.7") + b"\x0f\xa0").digest()
    assert Tokens(ctx).issue(("192.0.2.7", 4000)) == expected


@pytest.mark.parametrize("forged", [b"", b"x", bytes(31), bytes(32), bytes(33), bytes(65)])
def test_forged_tokens_fail(forged: bytes) -> None:
    assert not Tokens(make_ctx()).valid(PLACES[0], forged)


@pytest.mark.parametrize("cut", [slice(31), slice(1, None)])
def test_part_of_a_token_fails(cut: slice) -> None:
    tokens = Tokens(make_ctx())
    token = tokens.issue(PLACES[0])
    assert not tokens.valid(PLACES[0], token[cut])
    assert not tokens.valid(PLACES[0], token + b"\0")


@settings(max_examples=500)
@given(st.integers(0, 2**32), st.lists(st.floats(0, 120), max_size=6))
def test_token_lives_15_to_90_minutes(seed: int, uses: list[float]) -> None:
    """Whenever the node used its tokens in between."""
    ctx = make_ctx()
    ctx.rng = Random(seed)
    tokens = Tokens(ctx)
    advance(ctx, 10 * MINUTE * ctx.rng.random())
    token, issued = tokens.issue(PLACES[0]), ctx.now.mono
    for minutes in sorted(uses):
        advance(ctx, issued + minutes * MINUTE - ctx.now.mono)
        age = ctx.now.mono - issued
        valid = tokens.valid(PLACES[0], token)
        assert valid or age > 15 * MINUTE
        assert not valid or age <= 90 * MINUTE


def test_token_dies_while_nobody_uses_it() -> None:
    ctx = make_ctx()
    tokens = Tokens(ctx)
    token = tokens.issue(PLACES[0])
    advance(ctx, 90 * MINUTE)
    assert not tokens.valid(PLACES[0], token)
