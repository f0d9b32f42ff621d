"""Rates at their bounds, in the order the wire specification gives, and a blacklist that forgets."""

from random import Random

from dna_dht.core.config import CoreConfig, Limits
from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.admission import Admission
from dna_dht.core.instant import Instant
from dna_dht.wire.infohash import InfoHash


def make_ctx(**limits: int) -> CoreContext:
    config = CoreConfig(limits=Limits(**limits))
    return CoreContext(config, InfoHash.of(b"us"), Random(1), Instant(1000.0, 1.7e9))


def advance(ctx: CoreContext, seconds: float) -> None:
    ctx.now = Instant(ctx.now.mono + seconds, ctx.now.unix + seconds)
    ctx.timers.run_due(ctx.now.mono)


def host(number: int) -> tuple[str, int]:
    return (f"192.0.{number // 256}.{number % 256}", 4000)


def test_1024_requests_a_second_from_one_source() -> None:
    ctx = make_ctx()
    admission = Admission(ctx)
    assert sum(admission.request_allowed(("192.0.2.1", 1 + n)) for n in range(3000)) == 1024
    advance(ctx, 0.999)
    assert not admission.request_allowed(("192.0.2.1", 1))
    advance(ctx, 0.001)
    assert admission.request_allowed(("192.0.2.1", 1))


def test_8192_requests_a_second_in_all() -> None:
    admission = Admission(make_ctx())
    assert sum(admission.request_allowed(host(n % 64)) for n in range(64 * 200)) == 8192


def test_refusal_by_the_total_counts_for_the_source() -> None:
    ctx = make_ctx(requests_per_source=2, requests_per_second=3)
    admission = Admission(ctx)
    assert [admission.request_allowed(host(n)) for n in (1, 1, 2)] == [True, True, True]
    assert not admission.request_allowed(host(3))  # by the total, and noted for 3
    advance(ctx, 0.5)
    assert not admission.request_allowed(host(3))
    advance(ctx, 0.5)  # the total is free again, as is the first request of 3
    assert [admission.request_allowed(host(3)) for _ in range(2)] == [True, False]


def test_refusal_of_a_source_does_not_use_up_the_total() -> None:
    admission = Admission(make_ctx(requests_per_source=1, requests_per_second=2))
    assert [admission.request_allowed(host(n)) for n in (1, 1, 1, 2)] == [True, False, False, True]


def test_a_64_bit_prefix_is_one_source() -> None:
    admission = Admission(make_ctx(requests_per_source=1))
    assert admission.request_allowed(("2001:db8:0:1::1", 1))
    assert not admission.request_allowed(("2001:db8:0:1:ffff::2", 1))
    assert admission.request_allowed(("2001:db8:0:2::1", 1))


def test_replies_have_their_own_limit() -> None:
    admission = Admission(make_ctx(requests_per_source=1, replies_per_source=3))
    admission.request_allowed(host(1))
    assert [admission.reply_allowed(host(1)) for _ in range(4)] == [True, True, True, False]


def test_minus_one_switches_limits_off() -> None:
    admission = Admission(make_ctx(requests_per_source=-1, requests_per_second=-1, replies_per_source=-1))
    assert all(admission.request_allowed(host(1)) and admission.reply_allowed(host(1)) for _ in range(10_000))


def test_blacklist_names_address_and_port_for_ten_minutes() -> None:
    ctx = make_ctx()
    admission = Admission(ctx)
    assert not admission.is_blacklisted(host(1))
    admission.blacklist(host(1))
    assert admission.is_blacklisted(host(1))
    assert not admission.is_blacklisted((host(1)[0], 4001))
    advance(ctx, 599.9)
    assert admission.is_blacklisted(host(1))
    advance(ctx, 0.1)
    assert not admission.is_blacklisted(host(1))
    assert admission.blacklisted() == 0


def test_blacklist_is_bounded_and_the_oldest_goes_first() -> None:
    admission = Admission(make_ctx())
    for number in range(1000):
        admission.blacklist(host(number))
    admission.blacklist(host(0))  # renewed
    admission.blacklist(host(1000))
    assert admission.blacklisted() == 1000
    assert admission.is_blacklisted(host(0))
    assert not admission.is_blacklisted(host(1))
