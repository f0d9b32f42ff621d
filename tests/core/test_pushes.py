"""When listeners are told: the first change at once, storms together, never the initial values twice."""

from collections.abc import Callable
from random import Random
from typing import Any, cast

from dna_dht.core.compose import Composer
from dna_dht.core.config import CoreConfig
from dna_dht.core.context import CoreContext
from dna_dht.core.instant import Instant
from dna_dht.core.pushes import COALESCE, Pushes
from dna_dht.core.remote_listeners import RemoteListeners
from dna_dht.core.remote_node import RemoteNode
from dna_dht.core.requests import Requests
from dna_dht.core.stored_value import Stored, StoredValue
from dna_dht.core.tokens import Tokens
from dna_dht.wire.decode import decode
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import Update
from dna_dht.wire.query import ANY
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack

KEY = InfoHash.of(b"key")


class World:
    """One listener, and the updates it is sent; it confirms each at once."""

    def __init__(self) -> None:
        config = CoreConfig()
        self.ctx = CoreContext(config, InfoHash.of(b"us"), Random(1), Instant(1000.0, 1.7e9))
        self.told: list[list[bytes]] = []
        self.listeners = RemoteListeners(self.ctx)
        self.pushes = Pushes(
            self.ctx, self.listeners, cast(Requests, self), Composer(self.ctx), Tokens(self.ctx)
        )
        self.listeners.add(KEY, RemoteNode(InfoHash.of(b"it"), ("192.0.2.1", 4000)), 5, ANY, 1)
        (self.listener,) = self.listeners.of(KEY)

    def send(
        self,
        node: RemoteNode,
        kind: str,
        build: Callable[[int], list[bytes]],
        *,
        on_reply: Any,
        on_failed: Any,
    ) -> None:
        message = decode(build(7)[0])
        assert isinstance(message, Update)
        self.told.append([value.data for value in message.values])
        on_reply(None)

    def edit(self, seq: int) -> None:
        self.pushes.on_change(KEY, Stored(stored(seq), edited=True))

    def advance(self, seconds: float) -> None:
        now = self.ctx.now
        self.ctx.now = Instant(now.mono + seconds, now.unix + seconds)
        self.ctx.timers.run_due(self.ctx.now.mono)


def stored(seq: int) -> StoredValue:
    """A value whose data names its revision."""
    value = Value(id=1, type=3, data=b"%d" % seq)
    return StoredValue(
        key=KEY,
        id=1,
        type=3,
        seq=seq,
        owner_id=value.owner_id,
        user_type=b"",
        is_signed=False,
        packed=pack(value),
        size=value.size,
        signature_digest=b"",
        created=0.0,
        expires=1e9,
        first_stored=0.0,
        source="",
        number=seq,
    )


def test_an_edit_goes_at_once_and_a_storm_of_edits_together() -> None:
    world = World()
    for seq in range(1, 11):
        world.edit(seq)
        world.advance(0.01)
    world.advance(COALESCE)

    assert world.told == [[b"1"], [b"10"]]


def test_an_edit_right_after_the_initial_values_goes_at_once() -> None:
    world = World()
    world.pushes.send_stored(world.listener, KEY, [stored(1)])
    world.advance(0.01)
    world.edit(2)

    assert world.told == [[b"1"], [b"2"]]


def test_after_the_initial_values_a_storm_of_edits_is_two_updates() -> None:
    world = World()
    world.pushes.send_stored(world.listener, KEY, [stored(1)])
    for seq in range(2, 11):
        world.advance(0.01)
        world.edit(seq)
    world.advance(COALESCE)

    assert world.told == [[b"1"], [b"2"], [b"10"]]


def test_edits_farther_apart_than_the_pause_all_go_at_once() -> None:
    world = World()
    for seq in range(1, 4):
        world.edit(seq)
        assert world.told[-1] == [b"%d" % seq]
        world.advance(COALESCE)


def test_nothing_is_kept_about_a_listener_that_hears_nothing_new() -> None:
    world = World()
    world.edit(1)
    assert len(world.pushes) == 1
    world.advance(COALESCE)
    assert len(world.pushes) == 0
