"""When listeners are told: the first change at once, storms together, never the initial values twice."""

from collections.abc import Callable
from random import Random
from typing import Any, cast

from dna_dht.core.config import CoreConfig, Limits
from dna_dht.core.context import CoreContext
from dna_dht.core.exchange.compose import Composer
from dna_dht.core.exchange.remote_node import RemoteNode
from dna_dht.core.exchange.requests import Requests
from dna_dht.core.exchange.tokens import Tokens
from dna_dht.core.instant import Instant
from dna_dht.core.serving.pushes import COALESCE, WINDOW, Pushes
from dna_dht.core.serving.remote_listeners import RemoteListeners
from dna_dht.core.values.stored_value import Stored, StoredValue
from dna_dht.wire.address import Address
from dna_dht.wire.decode import decode
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.messages import Ping, Update
from dna_dht.wire.query import ANY, Query, where_id
from dna_dht.wire.value import Value
from dna_dht.wire.value_codec import pack

from ..stage import ALICE, BOB, CAROL, Stage, id_of, updates, value
from ..stage import KEY as STAGE_KEY

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
        signature_start=b"",
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


# -- through a whole node


def told(stage: Stage, listener: Address = BOB) -> list[tuple[list[int], list[int], list[int]]]:
    """What the listener was told since the last look; it confirms."""
    messages = stage.take(listener)
    stage.confirm(listener, messages)
    return updates(messages)


def test_a_change_is_pushed_at_once_with_key_version_and_a_valid_token() -> None:
    stage = Stage()
    stage.listen(BOB, 77)
    stage.put(ALICE, value(b"news", id=7))
    (update,) = stage.take(BOB)
    assert isinstance(update, Update)
    assert (update.socket_id, update.key, update.version) == (77, STAGE_KEY, 1)
    assert [each.data for each in update.values] == [b"news"]
    assert stage.put(BOB, value(id=8), token=update.token), "the token lets the listener write"
    assert (8, 0) in stage.stored()


def test_stored_refreshed_and_expired_are_told() -> None:
    stage = Stage()
    stage.listen(BOB)
    stage.put(ALICE, value(id=7, type=0))
    assert told(stage) == [([7], [], [])]
    stage.wait(1)
    stage.put(ALICE, value(id=7, type=0))
    assert told(stage) == [([], [7], [])]
    stage.wait(590)
    stage.listen(BOB)
    stage.wait(10.1)
    assert set(map(repr, told(stage))) == {repr(([], [], [7]))}


def test_only_values_that_match_are_pushed_but_ids_always() -> None:
    stage = Stage()
    stage.listen(BOB, query=where_id(2))
    for number in (1, 2, 3):
        stage.put(ALICE, value(id=number))
    assert told(stage) == [([2], [], [])]
    stage.wait(0.3)
    stage.refresh(ALICE, 1)
    assert told(stage) == [([], [1], [])]


def test_a_selection_of_the_listener_is_ignored() -> None:
    stage = Stage()
    stage.listen(BOB, query=Query(select=(1,)))
    stage.put(ALICE, value(b"whole", id=7))
    (update,) = stage.take(BOB)
    assert isinstance(update, Update) and update.values[0].data == b"whole"


def test_a_storm_becomes_one_update_per_pause() -> None:
    """20 edits of one value and 20 new ones within a pause: the first at once, the rest together."""
    stage = Stage()
    stage.listen(BOB)
    for number in range(20):
        stage.put(ALICE, value(b"%d" % number, id=1, seq=number))
        stage.put(ALICE, value(b"new %d" % number, id=100 + number))
    first = stage.take(BOB)
    assert updates(first) == [([1], [], [])]
    stage.confirm(BOB, first)
    stage.wait(COALESCE)
    messages = stage.take(BOB)
    pushed = [each for message in messages if isinstance(message, Update) for each in message.values]
    assert len(pushed) == 21 and [each.seq for each in pushed if each.id == 1] == [19]


def test_large_values_are_split_over_updates() -> None:
    """An update ends with the value that brings it to 57,344 bytes."""
    stage = Stage()
    for number in range(10):
        stage.put(ALICE, value(bytes([number]) * 20_000, id=number + 1))
    first = stage.listen(BOB)
    sizes = [sum(each.size for each in m.values) for m in first if isinstance(m, Update)]
    assert len(sizes) == 4 and all(57_344 <= size < 57_344 + 25_000 for size in sizes[:-1])
    assert sum(len(ids) for ids, _, _ in updates(first)) == 10


def test_a_new_listener_gets_everything_window_by_window() -> None:
    """Many large values: never more than WINDOW updates under way; the rest follows as they are confirmed."""
    stage = Stage()
    for number in range(60):
        stage.put(ALICE, value(bytes([number]) * 30_000, id=number + 1, owner=f"owner {number % 10}"))
    messages = stage.listen(BOB, confirm=False)
    seen: list[int] = []
    rounds = 0
    while messages:
        pending = [message for message in messages if isinstance(message, Update)]
        assert len(pending) <= WINDOW
        seen += [each.id for message in pending for each in message.values]
        stage.confirm(BOB, pending)
        messages = stage.take(BOB)
        rounds += 1
    assert sorted(seen) == list(range(1, 61)) and rounds > 5
    assert stage.core._pushes.bytes_under_way == 0


def test_many_listeners_of_one_key_do_not_multiply_its_values_in_memory() -> None:
    """The bytes under way have one bound for all; whoever found no room is told later."""
    stage = Stage(unproved_per_source=-1, requests_per_source=-1)
    for number in range(30):
        stage.put(ALICE, value(bytes(40_000), id=number + 1, owner=f"owner {number}"))
    listeners = [(f"31.7.{number}.1", 4000) for number in range(60)]
    reached: dict[Address, set[int]] = {listener: set() for listener in listeners}
    most = 0

    def look() -> None:
        nonlocal most
        most = max(most, stage.core._pushes.bytes_under_way)
        for listener in listeners:
            messages = stage.take(listener)
            reached[listener] |= {number for ids, _, _ in updates(messages) for number in ids}
            stage.confirm(listener, messages)

    for listener in listeners:
        stage.token(listener)
    for listener in listeners:
        stage.listen(listener, confirm=False)
        most = max(most, stage.core._pushes.bytes_under_way)
    assert most <= Limits().push_bytes + 100_000
    for _ in range(40):
        look()
        stage.wait(0.25)
    assert all(ids == set(range(1, 31)) for ids in reached.values())


def test_a_listener_that_never_confirms_holds_nobody_up_and_keeps_its_place() -> None:
    stage = Stage()
    stage.listen(CAROL, 9)
    stage.listen(BOB, 5)
    for number in range(8):
        stage.put(ALICE, value(b"%d" % number, id=1, seq=number))
        assert [ids for ids, _, _ in told(stage)] == [[1]]
        stage.wait(1.5)
        stage.take(CAROL)
    stage.wait(15)
    stage.take(CAROL)
    assert stage.core.stats()["remote_listeners"] == 2
    stage.put(ALICE, value(b"later", id=1, seq=100))
    assert [ids for ids, _, _ in updates(stage.take(CAROL))] == [[1]]


def test_after_ten_minutes_without_a_listen_nothing_is_told() -> None:
    stage = Stage()
    stage.listen(BOB)
    stage.wait(599)
    stage.put(ALICE, value(id=1))
    assert told(stage) == [([1], [], [])]
    stage.wait(2)
    stage.put(ALICE, value(id=2))
    assert told(stage) == []
    assert len(stage.core._pushes) <= 1


def test_a_repeated_update_is_the_same_and_stops_when_confirmed() -> None:
    stage = Stage()
    stage.listen(BOB)
    stage.put(ALICE, value(id=1))
    (first,) = stage.take(BOB)
    stage.wait(0.5)
    (again,) = stage.take(BOB)
    assert again == first
    stage.confirm(BOB, [again])
    stage.wait(5)
    assert stage.take(BOB) == []


def test_pushes_go_where_the_listener_subscribed_whoever_claims_its_id() -> None:
    """T9: a node that never answered us follows its own messages, and those can be forged."""
    stage = Stage()
    stage.listen(ALICE)
    stage.receive(Ping(tid=1, sender=id_of(ALICE), client=True), CAROL)
    stage.take(CAROL)
    stage.put(BOB, value(b"x" * 5000))

    assert updates(stage.take(ALICE)) == [([1], [], [])]
    assert updates(stage.take(CAROL)) == []


def test_pushes_to_a_claimed_listener_are_confirmed_from_its_address() -> None:
    stage = Stage()
    stage.listen(ALICE)
    stage.receive(Ping(tid=1, sender=id_of(ALICE), client=True), CAROL)
    stage.put(BOB, value())
    stage.confirm(ALICE, stage.take(ALICE))
    stage.wait(1)

    assert stage.core.stats()["open_requests"] == stage.core.stats()["push_channels"] == 0
