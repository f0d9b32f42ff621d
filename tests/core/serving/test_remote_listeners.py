"""Subscriptions live ten minutes, are bounded per address and in all, and give their nodes back."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from dna_dht.core.config import CoreConfig, Limits
from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.remote_node import RemoteNode
from dna_dht.core.instant import Instant
from dna_dht.core.serving.remote_listeners import RemoteListeners
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.query import ANY, IDS

KEY, OTHER = InfoHash.of(b"key"), InfoHash.of(b"other")


def make_ctx(**limits: int) -> CoreContext:
    config = CoreConfig(limits=Limits(**limits))
    return CoreContext(config, InfoHash.of(b"us"), Random(1), Instant(1000.0, 1.7e9))


def advance(ctx: CoreContext, seconds: float) -> None:
    ctx.now = Instant(ctx.now.mono + seconds, ctx.now.unix + seconds)
    ctx.timers.run_due(ctx.now.mono)


def node(number: int) -> RemoteNode:
    return RemoteNode(InfoHash.of(b"node %d" % number), (f"192.0.2.{number}", 4000))


def test_new_then_known() -> None:
    ctx = make_ctx()
    listeners, alice = RemoteListeners(ctx), node(1)
    assert listeners.add(KEY, alice, 5, ANY, 1) == "new"
    assert listeners.add(KEY, alice, 5, IDS, 0) == "known"
    assert listeners.add(KEY, alice, 6, ANY, 1) == "new"
    assert listeners.add(KEY, node(2), 5, ANY, 1) == "new"
    assert [(one.node.address[0], one.socket_id) for one in listeners.of(KEY)] == [
        ("192.0.2.1", 5),
        ("192.0.2.1", 6),
        ("192.0.2.2", 5),
    ]
    assert (listeners.of(KEY)[0].query, listeners.of(KEY)[0].version) == (IDS, 0)
    assert listeners.has(KEY)
    assert not listeners.has(OTHER)
    assert listeners.of(OTHER) == []


def test_ten_minutes_after_the_last_listen() -> None:
    ctx = make_ctx()
    listeners, alice = RemoteListeners(ctx), node(1)
    listeners.add(KEY, alice, 5, ANY, 1)
    advance(ctx, 300)
    listeners.add(KEY, alice, 5, ANY, 1)
    advance(ctx, 600)
    assert listeners.has(KEY)
    advance(ctx, 0.1)
    assert not listeners.has(KEY)
    assert listeners.of(KEY) == []
    listeners.expire()
    assert len(listeners) == 0
    assert alice.held == 0


def test_bound_per_address_and_one_past_it() -> None:
    ctx = make_ctx()
    listeners, alice = RemoteListeners(ctx), node(1)
    results = [listeners.add(InfoHash.of(b"%d" % n), alice, n, ANY, 1) for n in range(1025)]
    assert results == ["new"] * 1024 + ["refused"]
    assert ctx.counters.dropped["listen: too many"] == 1
    assert listeners.add(InfoHash.of(b"0"), alice, 0, ANY, 1) == "known"
    assert listeners.add(KEY, node(2), 1, ANY, 1) == "new"


def test_bound_in_all_and_one_past_it() -> None:
    ctx = make_ctx(remote_listeners=10)
    listeners = RemoteListeners(ctx)
    results = [listeners.add(KEY, node(n), 1, ANY, 1) for n in range(1, 12)]
    assert results == ["new"] * 10 + ["refused"]
    advance(ctx, 601)
    assert listeners.add(KEY, node(99), 1, ANY, 1) == "new"


def test_forgetting_a_key_frees_everything() -> None:
    ctx = make_ctx(remote_listeners_per_source=2)
    listeners, alice = RemoteListeners(ctx), node(1)
    listeners.add(KEY, alice, 1, ANY, 1)
    listeners.add(OTHER, alice, 2, ANY, 1)
    assert alice.held == 2
    listeners.forget(KEY)
    listeners.forget(KEY)
    assert listeners.keys() == [OTHER]
    assert alice.held == 1
    assert listeners.add(KEY, alice, 3, ANY, 1) == "new"


def test_another_node_object_at_the_address_takes_over() -> None:
    listeners, former, present = RemoteListeners(make_ctx()), node(1), node(1)
    listeners.add(KEY, former, 1, ANY, 1)
    assert listeners.add(KEY, present, 1, ANY, 1) == "known"
    assert (former.held, present.held) == (0, 1)
    assert listeners.of(KEY)[0].node is present


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(1, 3), st.integers(1, 4), st.sampled_from([0, 0, 200, 700])),
        max_size=60,
    )
)
def test_bounds_hold_whatever_comes(steps: list[tuple[int, int, int, int]]) -> None:
    ctx = make_ctx(remote_listeners=6, remote_listeners_per_source=3)
    listeners, nodes = RemoteListeners(ctx), [node(n) for n in range(4)]
    for key, who, socket_id, pause in steps:
        advance(ctx, pause)
        listeners.add(InfoHash.of(b"%d" % key), nodes[who], socket_id, ANY, 1)
        assert len(listeners) <= 6
        assert sum(len(listeners.of(k)) for k in list(listeners.keys())) <= len(listeners)
        assert all(n.held <= 3 for n in nodes)
        assert sum(n.held for n in nodes) == len(listeners)
