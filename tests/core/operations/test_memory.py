"""What is over is gone: a get or put that ended, or was cancelled, is not kept alive by reference cycles."""

import gc
import weakref
from collections.abc import Callable, Iterator

import pytest

from dna_dht.core.operations.get import GetOperation
from dna_dht.core.operations.lookup import Lookup
from dna_dht.core.operations.put import PutOperation

from ..peers import World, value

KINDS = (GetOperation, PutOperation, Lookup)


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def get(world: World) -> None:
    world.got()


def put(world: World) -> None:
    world.stored(value())


def cancelled_get(world: World) -> None:
    world.cancel(world.get())


def cancelled_put(world: World) -> None:
    world.cancel(world.put(value()))


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize("run", [get, put, cancelled_get, cancelled_put])
def test_ended_operation_needs_no_collector(
    run: Callable[[World], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[weakref.ref[object]] = []
    for kind in KINDS:
        begin = kind.__init__

        def remembered(self: object, *args: object, begin: object = begin, **options: object) -> None:
            alive.append(weakref.ref(self))
            begin(self, *args, **options)  # type: ignore[operator]

        monkeypatch.setattr(kind, "__init__", remembered)
    world = World(peers=10)
    world.peers[3].silent = True
    run(world)
    world.run(60)

    assert len(alive) >= 2
    assert [each() for each in alive if each() is not None] == []
