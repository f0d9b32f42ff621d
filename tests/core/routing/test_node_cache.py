"""The node cache: exact closest nodes, addresses that strangers cannot move, a hard bound."""

from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from dna_dht.core.config import CoreConfig, Limits
from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.remote_node import RemoteNode
from dna_dht.core.instant import Instant
from dna_dht.core.routing.node_cache import MAX_CLAIMS, NodeCache
from dna_dht.wire.infohash import LENGTH, InfoHash

OWN = InfoHash(bytes(LENGTH - 1) + b"\x01")
HERE = ("127.0.0.1", 4000)
THERE = ("127.0.0.2", 4000)
NOW = 100_000.0


def make_cache(limit: int = 65_536) -> NodeCache:
    config = CoreConfig(limits=Limits(nodes=limit))
    return NodeCache(CoreContext(config, OWN, Random(1), Instant(NOW, 0.0)), 4)


def make_id(number: int) -> InfoHash:
    return InfoHash(number.to_bytes(LENGTH, "big"))


def pass_time(cache: NodeCache, seconds: float) -> float:
    cache._ctx.now = Instant(cache._ctx.now.mono + seconds, 0.0)
    return cache._ctx.now.mono


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(0, 400),
    k=st.integers(0, 30),
    bits=st.integers(1, 160),
)
@example(seed=0, count=400, k=8, bits=160)
@example(seed=0, count=400, k=8, bits=9)
@example(seed=0, count=0, k=8, bits=160)
def test_closest_equals_sorting_everything(seed: int, count: int, k: int, bits: int) -> None:
    """Also with clients, expired nodes, evictions and purges; few *bits* make long common prefixes."""
    rng = Random(seed)
    base = rng.getrandbits(160) >> bits << bits
    cache = make_cache(limit=200)
    for _ in range(count):
        node = cache.seen(
            make_id(base | rng.getrandbits(bits)),
            HERE,
            confirmed=rng.random() < 0.5,
            client=rng.random() < 0.2,
        )
        if rng.random() < 0.2:
            node.last_sent = NOW
            node.timed_out()
        if rng.random() < 0.005:
            cache.purge()
    target = make_id(base ^ rng.getrandbits(rng.randint(1, 160)))

    assert (
        cache.closest(target, k)
        == sorted(
            (node for node in cache if not node.client and not node.expired),
            key=lambda node: node.id.distance(target),
        )[:k]
    )


def test_a_node_is_one_object() -> None:
    cache = make_cache()
    node = cache.seen(make_id(5), HERE, confirmed=False)

    assert cache.seen(make_id(5), HERE, confirmed=True) is node
    assert cache.find(make_id(5)) is node and make_id(5) in cache
    assert cache.find(make_id(6)) is None and len(cache) == 1


def test_a_good_node_keeps_its_address_whatever_strangers_send() -> None:
    cache = make_cache()
    node = cache.seen(make_id(5), HERE, confirmed=True)
    node.replied(NOW)
    for confirmed in (True, False):
        assert cache.seen(make_id(5), THERE, confirmed=confirmed, client=True) is node
        assert node.address == HERE and not node.client


def test_a_good_node_moves_when_the_new_address_has_answered() -> None:
    cache = make_cache()
    changed: list[RemoteNode] = []
    cache.on_changed = changed.append
    node = cache.seen(make_id(5), HERE, confirmed=True)
    node.replied(NOW)

    cache.moved(make_id(5), THERE)
    cache.moved(make_id(5), THERE)
    cache.moved(make_id(6), THERE)

    assert node.address == THERE and changed == [node]


def test_a_dubious_node_follows_its_own_messages_only() -> None:
    cache = make_cache()
    node = cache.seen(make_id(5), HERE, confirmed=True)
    node.heard(NOW)
    cache.seen(make_id(5), THERE, confirmed=False)
    assert node.address == HERE

    cache.seen(make_id(5), THERE, confirmed=True)
    assert node.address == THERE


def test_a_silent_node_follows_what_others_say() -> None:
    cache = make_cache()
    node = cache.seen(make_id(5), HERE, confirmed=True)
    node.replied(NOW)
    pass_time(cache, 600)
    cache.seen(make_id(5), THERE, confirmed=False)
    assert node.address == HERE

    pass_time(cache, 0.1)
    cache.seen(make_id(5), THERE, confirmed=False)
    assert node.address == THERE


def test_an_expired_node_that_others_still_name_gets_another_chance() -> None:
    cache = make_cache()
    node = cache.seen(make_id(5), HERE, confirmed=True)
    node.heard(NOW)
    node.last_sent = NOW
    node.timed_out()
    cache.seen(make_id(5), HERE, confirmed=False)
    assert cache.closest(OWN, 8) == []

    pass_time(cache, 60)
    cache.seen(make_id(5), HERE, confirmed=False)
    assert cache.closest(OWN, 8) == [node]


def test_claims_to_another_address_are_pinged_once_in_ten_seconds() -> None:
    cache = make_cache()
    node = cache.seen(make_id(5), HERE, confirmed=True)

    assert cache.claims(node) and not cache.claims(node)
    pass_time(cache, 10)
    assert cache.claims(node)


def test_the_memory_of_claims_is_bounded() -> None:
    cache = make_cache()
    nodes = [cache.seen(make_id(i + 1), HERE, confirmed=True) for i in range(MAX_CLAIMS + 1)]
    for node in nodes:
        assert cache.claims(node)

    assert len(cache._claims) == MAX_CLAIMS
    assert not cache.claims(nodes[-1]) and cache.claims(nodes[0])


def test_the_latest_claims_are_the_remembered_ones() -> None:
    cache = make_cache()
    nodes = [cache.seen(make_id(i + 1), HERE, confirmed=True) for i in range(MAX_CLAIMS + 1)]
    cache.claims(nodes[0])
    pass_time(cache, 10)
    cache.claims(nodes[1])
    cache.claims(nodes[0])
    for node in nodes[2:]:
        cache.claims(node)

    assert not cache.claims(nodes[0]) and cache.claims(nodes[1])


def test_a_node_that_turns_client_is_no_candidate_until_it_turns_back() -> None:
    cache = make_cache()
    changed: list[RemoteNode] = []
    cache.on_changed = changed.append
    node = cache.seen(make_id(5), HERE, confirmed=True)
    cache.seen(make_id(5), HERE, confirmed=False, client=True)
    assert cache.closest(OWN, 8) == [node] and changed == []

    cache.seen(make_id(5), HERE, confirmed=True, client=True)
    assert cache.closest(OWN, 8) == [] and changed == [node]

    cache.seen(make_id(5), HERE, confirmed=True, client=False)
    assert cache.closest(OWN, 8) == [node]


def test_one_past_the_bound_evicts_the_oldest_that_nobody_needs() -> None:
    cache = make_cache(limit=4)
    nodes = [cache.seen(make_id(i), HERE, confirmed=True) for i in range(1, 5)]
    nodes[0].in_table = True
    nodes[1].pending = 1

    cache.seen(make_id(9), HERE, confirmed=False)

    assert len(cache) == 4 and make_id(3) not in cache
    assert make_id(1) in cache and make_id(2) in cache


def test_good_nodes_survive_a_flood_of_new_ids() -> None:
    cache = make_cache(limit=100)
    good = [cache.seen(make_id(i), HERE, confirmed=True) for i in range(1, 11)]
    for node in good:
        node.replied(NOW)
    for i in range(1000, 6000):
        cache.seen(make_id(i), HERE, confirmed=True).heard(NOW)

    assert len(cache) == 100
    assert all(node.id in cache for node in good)


def test_a_cache_of_good_nodes_still_takes_new_ones() -> None:
    cache = make_cache(limit=50)
    for i in range(1, 200):
        cache.seen(make_id(i), HERE, confirmed=True).replied(NOW)

    assert len(cache) == 50


def test_nodes_in_use_exceed_the_bound_rather_than_vanish() -> None:
    cache = make_cache(limit=3)
    for i in range(1, 6):
        cache.seen(make_id(i), HERE, confirmed=True).held = 1

    assert len(cache) == 5


def test_purge_forgets_the_dead_and_only_them() -> None:
    cache = make_cache()
    dead, held, silent, young = (cache.seen(make_id(i), HERE, confirmed=True) for i in range(1, 5))
    for node in (dead, held, silent):
        node.heard(NOW - 1000)
    young.heard(NOW)
    for node in (dead, held, young):
        node.timed_out()
    held.held = 1

    assert cache.purge() == 1
    assert dead.id not in cache and {held, silent, young} == set(cache)
    assert cache.closest(OWN, 8) == [silent]


def test_a_network_change_leaves_nobody_good() -> None:
    cache = make_cache()
    node = cache.seen(make_id(5), HERE, confirmed=True)
    node.replied(NOW)
    cache.reset()

    assert node.is_dubious(NOW)
