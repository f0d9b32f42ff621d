"""Who may get long answers, and how many short ones the others get."""

from random import Random

import pytest

from dna_dht.core.config import CoreConfig, Limits
from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.address_proof import AddressProof
from dna_dht.core.instant import Instant
from dna_dht.wire.infohash import InfoHash


def make_ctx(**limits: int) -> CoreContext:
    config = CoreConfig(limits=Limits(**limits))
    return CoreContext(config, InfoHash.of(b"us"), Random(1), Instant(1000.0, 1.7e9))


def advance(ctx: CoreContext, seconds: float) -> None:
    ctx.now = Instant(ctx.now.mono + seconds, ctx.now.unix + seconds)
    ctx.timers.run_due(ctx.now.mono)


PLACE = ("192.0.2.1", 4000)


def test_proof_is_for_one_address_and_port_and_ten_minutes() -> None:
    ctx = make_ctx()
    proof = AddressProof(ctx)
    assert not proof.proved(PLACE)
    proof.prove(PLACE)
    assert proof.proved(PLACE)
    assert not proof.proved(("192.0.2.1", 4001))
    advance(ctx, 599.0)
    proof.prove(PLACE)
    advance(ctx, 599.9)
    assert proof.proved(PLACE)
    advance(ctx, 0.1)
    assert not proof.proved(PLACE)


def test_proved_addresses_are_bounded() -> None:
    proof = AddressProof(make_ctx(nodes=3))
    for port in (1, 2, 3, 1, 4):
        proof.prove(("192.0.2.1", port))
    assert len(proof) == 3
    assert [proof.proved(("192.0.2.1", port)) for port in (1, 2, 3, 4)] == [True, False, True, True]


def test_expired_proofs_make_room_first() -> None:
    ctx = make_ctx()
    proof = AddressProof(ctx)
    for port in range(1, 100):
        proof.prove(("192.0.2.1", port))
    advance(ctx, 600.0)
    proof.prove(("192.0.2.1", 4000))
    assert len(proof) == 1


def test_100_datagrams_a_second_to_an_unproved_source() -> None:
    ctx = make_ctx()
    proof = AddressProof(ctx)
    assert sum(proof.reply_budget(("192.0.2.1", port)) for port in range(1, 1000)) == 100
    advance(ctx, 1.0)
    assert proof.reply_budget(PLACE)


def test_500_datagrams_a_second_to_one_subnet() -> None:
    proof = AddressProof(make_ctx())
    assert sum(proof.reply_budget((f"192.0.2.{n % 250}", 1)) for n in range(5000)) == 500
    assert proof.reply_budget(("192.0.3.1", 1))


def test_loopback_is_exempt_if_so_configured() -> None:
    exempt = AddressProof(make_ctx())
    assert all(exempt.reply_budget(("127.0.0.1", 1)) and exempt.reply_budget(("::1", 1)) for _ in range(1000))
    ctx = make_ctx()
    ctx.config = CoreConfig(exempt_loopback=False)
    assert sum(AddressProof(ctx).reply_budget(("127.0.0.1", 1)) for _ in range(50)) == 50
    strict = AddressProof(ctx)
    assert sum(strict.reply_budget(("127.0.0.1", 1)) for _ in range(1000)) == 100


def test_minus_one_switches_the_budget_off() -> None:
    proof = AddressProof(make_ctx(unproved_per_source=-1))
    assert all(proof.reply_budget(PLACE) for _ in range(10_000))


@pytest.mark.parametrize("limit", [0, 1, 7])
def test_the_bound_per_subnet_and_one_past_it(limit: int) -> None:
    proof = AddressProof(make_ctx(unproved_per_subnet=limit))
    assert [proof.reply_budget((f"192.0.2.{n}", 1)) for n in range(limit + 1)] == [True] * limit + [False]
    assert proof.reply_budget(("192.0.3.1", 1)) is bool(limit)
