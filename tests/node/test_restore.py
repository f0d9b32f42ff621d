import asyncio
import threading
from collections.abc import Iterator

from dna_dht.errors import StorageError
from dna_dht.node.restore import AHEAD, SLICE, Restorer
from dna_dht.runtime.mailbox import Mailbox
from dna_dht.store.memory import MemoryStore
from dna_dht.store.port import Row
from dna_dht.wire.infohash import InfoHash


class Rows(MemoryStore):
    """A store that gives *count* rows, then ends or fails."""

    def __init__(self, count: int, failure: Exception | None = None) -> None:
        super().__init__()
        self.count, self.failure = count, failure
        self.given = 0
        self.thread = 0

    def load_all(self) -> Iterator[Row]:
        self.thread = threading.get_ident()
        for number in range(1, self.count + 1):
            self.given = number
            yield Row(InfoHash.of(b"%d" % number), number, b"", 0x1002, 0, 0.0, None)
        if self.failure is not None:
            raise self.failure


async def finish(restorer: Restorer) -> None:
    async with asyncio.timeout(5):
        await restorer.done.wait()


async def test_all_rows_arrive_in_slices_from_another_thread() -> None:
    store, slices = Rows(2 * SLICE + 1), list[list[Row]]()
    mailbox = Mailbox(asyncio.get_running_loop())
    restorer = Restorer(store, mailbox, slices.append)
    restorer.start()
    await finish(restorer)
    restorer.stop()
    mailbox.close()

    assert [len(piece) for piece in slices] == [SLICE, SLICE, 1]
    assert [row.value_id for piece in slices for row in piece] == list(range(1, 2 * SLICE + 2))
    assert (restorer.rows, restorer.error) == (2 * SLICE + 1, None)
    assert store.thread != threading.get_ident()


async def test_the_thread_waits_for_the_loop() -> None:
    store = Rows(100 * SLICE)
    mailbox = Mailbox(asyncio.get_running_loop())
    restorer = Restorer(store, mailbox, lambda piece: None)
    restorer.start()
    thread = restorer._thread
    thread.join(0.05)  # the loop does not turn meanwhile

    assert thread.is_alive()
    assert store.given == (AHEAD + 1) * SLICE
    restorer.stop()
    mailbox.close()
    assert not thread.is_alive()


async def test_stopping_drops_what_has_not_been_handed_over() -> None:
    slices = list[list[Row]]()
    mailbox = Mailbox(asyncio.get_running_loop())
    restorer = Restorer(Rows(100 * SLICE), mailbox, slices.append)
    restorer.start()
    restorer.stop()
    restorer.stop()
    mailbox.close()

    assert slices == []


async def test_a_restorer_that_never_started_can_be_stopped() -> None:
    mailbox = Mailbox(asyncio.get_running_loop())
    Restorer(Rows(1), mailbox, lambda piece: None).stop()
    mailbox.close()


async def test_a_damaged_store_gives_what_it_has_and_its_error() -> None:
    slices = list[list[Row]]()
    for failure, says in ((StorageError("damaged"), "damaged"), (KeyError("odd"), "odd")):
        slices.clear()
        mailbox = Mailbox(asyncio.get_running_loop())
        restorer = Restorer(Rows(SLICE + 1, failure), mailbox, slices.append)
        restorer.start()
        await finish(restorer)
        restorer.stop()
        mailbox.close()

        assert [len(piece) for piece in slices] == [SLICE, 1]
        assert says in str(restorer.error)
