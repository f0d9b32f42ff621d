"""One subscription by itself: what it sends when, and that nothing happens after it is closed."""

import pytest

from dna_dht.core.operations.subscription import KEEP_ALIVE, RENEWAL, REST, SHUN, Subscription
from dna_dht.wire.messages import Find, Listen, Update
from dna_dht.wire.query import ANY

from ..peers import KEY, World, value


class Bench:
    def __init__(self) -> None:
        self.world = World(peers=1, known=False)
        self.peer = self.world.peers[0]
        self.world.know(self.peer, tokens=True)
        self.updates: list[Update] = []
        self.confirmed = self.named = 0
        self.lost: list[float] = []
        overlay = self.world.overlay(self.peer)
        self.subscription = Subscription(
            self.world.services,
            overlay,
            self.peer.node,
            KEY,
            ANY,
            lambda _, update: self.updates.append(update),
        )
        self.subscription.on_confirmed = self._on_confirmed
        self.subscription.on_lost = self._on_lost
        self.subscription.on_named = self._on_named
        self.world.call(lambda now: self.subscription.start())

    def _on_confirmed(self, subscription: Subscription) -> None:
        self.confirmed += 1

    def _on_lost(self, subscription: Subscription, rest: float) -> None:
        self.lost.append(rest)
        subscription.close()

    def _on_named(self, subscription: Subscription) -> None:
        self.named += 1

    def sent(self, kind: type) -> int:
        return len(self.world.sent(kind))


def test_it_subscribes_and_takes_updates() -> None:
    bench = Bench()
    bench.world.run(1)
    bench.peer.tell(value())
    bench.world.run(1)

    assert bench.confirmed == 1 and bench.subscription.confirmed
    assert [update.values for update in bench.updates] == [(value(),)]
    assert bench.world.held(bench.peer) == 1


def test_signs_of_life_between_renewals() -> None:
    bench = Bench()
    bench.world.run(RENEWAL[0])

    assert bench.sent(Listen) == 1
    assert 3 <= bench.sent(Find) <= RENEWAL[0] / (0.8 * KEEP_ALIVE)  # upkeep of the table spares some
    assert bench.named == bench.sent(Find)
    bench.world.run(RENEWAL[1] - RENEWAL[0] + 2 * KEEP_ALIVE)
    assert bench.sent(Listen) == 2


def test_token_from_elsewhere_spares_the_sign_of_life() -> None:
    bench = Bench()
    for _ in range(100):
        bench.world.run(1)
        bench.peer.node.got_token(bench.peer.token, bench.world.now.mono)

    assert bench.sent(Find) == 0
    assert bench.sent(Listen) == 1


def test_another_token_means_subscribing_again() -> None:
    bench = Bench()
    bench.world.run(1)
    bench.peer.token = b"another"
    bench.world.run(1.2 * KEEP_ALIVE)

    assert bench.sent(Listen) == 2
    assert len(bench.peer.listeners) == 1


def test_token_that_comes_with_an_update_is_the_one_to_compare_with() -> None:
    bench = Bench()
    bench.world.run(1)
    bench.subscription.got_token(b"from an update")
    bench.peer.token = b"from an update"
    bench.world.run(1.2 * KEEP_ALIVE)

    assert bench.sent(Listen) == 1


@pytest.mark.parametrize(
    ("code", "rest"),
    [(203, SHUN), (401, SHUN), (None, REST)],
    ids=["refused", "every token refused", "silent"],
)
def test_node_of_no_use_is_lost(code: int | None, rest: float) -> None:
    bench = Bench()
    bench.world.run(1)
    bench.peer.token = b"another"
    bench.peer.script = lambda peer, message: (
        ([] if code is None else [peer.error(message.tid, code)]) if isinstance(message, Listen) else None
    )
    bench.world.run(60)

    assert bench.lost == [rest]
    assert bench.world.held(bench.peer) == 0


@pytest.mark.parametrize("after", [0.0, 0.01, 1.0, 19.0, 25.0])
def test_closed_at_any_moment_it_is_silent(after: float) -> None:
    bench = Bench()
    bench.world.run(after)
    bench.subscription.close()
    bench.subscription.close()
    told = bench.confirmed, bench.named, len(bench.updates)
    sent = bench.sent(Listen), bench.sent(Find)
    bench.peer.tell(value())
    bench.world.run(60)

    assert (bench.confirmed, bench.named, len(bench.updates)) == told
    assert (bench.sent(Listen), bench.sent(Find)) == sent
    assert bench.peer.node.pending == bench.world.held(bench.peer) == 0
    assert not bench.subscription.open
