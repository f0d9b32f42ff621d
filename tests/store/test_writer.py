import threading
from collections.abc import Iterator, Sequence

import pytest

from dna_dht.errors import StorageError
from dna_dht.store import writer as writer_module
from dna_dht.store.memory import MemoryStore
from dna_dht.store.port import Change, Removal, Row
from dna_dht.store.writer import GROUP_CHANGES, QUEUE_BYTES, QUEUE_CHANGES, StoreWriter
from dna_dht.wire.infohash import InfoHash

KEY = InfoHash.of(b"key")
PATIENCE = 10.0  # seconds a test waits for a thread before it fails


def row(value_id: int, size: int = 10) -> Row:
    return Row(KEY, value_id, bytes(size), 0x1002, 0, 1000, None)


class Disk(MemoryStore):
    """A store whose commits wait until the gate is open, and fail while *error* is set or with poison."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.busy = threading.Event()
        self.error: Exception | None = None
        self.poison: set[int] = set()  # ids of rows that cannot be stored
        self.batches: list[int] = []
        self.threads: set[str] = set()

    def apply(self, batch: Sequence[Change]) -> None:
        self.busy.set()
        assert self.gate.wait(PATIENCE)
        self.batches.append(len(batch))
        self.threads.add(threading.current_thread().name)
        if self.error is not None:
            raise self.error
        if any(isinstance(change, Row) and change.value_id in self.poison for change in batch):
            raise StorageError("the page is damaged")
        super().apply(batch)


class Completions:
    """Collects what the writer reports, in its thread."""

    def __init__(self) -> None:
        self.reports: list[tuple[list[int], bool]] = []
        self.error: Exception | None = None
        self.heard = threading.Semaphore(0)

    def __call__(self, tickets: Sequence[int], on_disk: bool) -> None:
        self.reports.append((list(tickets), on_disk))
        self.heard.release()
        if self.error is not None:
            raise self.error


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def completions() -> Completions:
    return Completions()


@pytest.fixture
def writer(disk: Disk, completions: Completions) -> Iterator[StoreWriter]:
    running = StoreWriter(disk, completions)
    yield running
    disk.gate.set()
    assert running.stop(PATIENCE)


def hold(writer: StoreWriter, disk: Disk) -> None:
    """Make the writer wait inside the commit of one change."""
    disk.gate.clear()
    disk.busy.clear()
    assert writer.submit(row(1))
    assert disk.busy.wait(PATIENCE)


def test_an_idle_writer_commits_at_once_and_reports_from_its_thread(
    writer: StoreWriter, disk: Disk, completions: Completions
) -> None:
    assert writer.submit(row(1), 7)

    assert completions.heard.acquire(timeout=PATIENCE)
    assert completions.reports == [([7], True)]
    assert list(disk.load_all()) == [row(1)]
    assert disk.threads == {"store-writer"}


def test_changes_that_come_during_a_commit_form_groups_of_200(
    writer: StoreWriter, disk: Disk, completions: Completions
) -> None:
    hold(writer, disk)
    for i in range(2 * GROUP_CHANGES + 50):
        assert writer.submit(row(i), i)
    disk.gate.set()

    assert writer.flush(PATIENCE)

    assert disk.batches == [1, 200, 200, 50]
    assert [ticket for tickets, _ in completions.reports for ticket in tickets] == list(range(450))
    assert writer.pending == 0


def test_between_two_commits_changes_gather_until_the_time_is_up_or_a_group_is_full(
    disk: Disk, completions: Completions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "GROUP_SECONDS", 3600.0)
    writer = StoreWriter(disk, completions)
    writer.submit(row(0), 0)
    assert completions.heard.acquire(timeout=PATIENCE)  # the first one does not wait

    for i in range(GROUP_CHANGES - 1):
        writer.submit(row(i), i)
    assert disk.batches == [1]
    writer.submit(row(999), 999)
    assert completions.heard.acquire(timeout=PATIENCE)
    assert disk.batches == [1, GROUP_CHANGES]

    writer.submit(row(1), 1)
    writer.submit(row(2), 2)
    assert writer.flush(PATIENCE)
    assert disk.batches == [1, GROUP_CHANGES, 2]

    writer.submit(row(3), 3)
    assert writer.stop(PATIENCE)
    assert disk.batches == [1, GROUP_CHANGES, 2, 1]


def test_a_lone_change_after_a_commit_does_not_wait_for_a_group(
    writer: StoreWriter, completions: Completions
) -> None:
    for i in range(3):
        writer.submit(row(i), i)
        assert completions.heard.acquire(timeout=PATIENCE)

    assert [tickets for tickets, _ in completions.reports] == [[0], [1], [2]]


def test_the_queue_takes_4096_changes_and_refuses_one_more(writer: StoreWriter, disk: Disk) -> None:
    hold(writer, disk)

    taken = [writer.submit(row(i)) for i in range(QUEUE_CHANGES)]

    assert taken == [True] * (QUEUE_CHANGES - 1) + [False]  # one is being committed
    assert writer.pending == QUEUE_CHANGES
    disk.gate.set()
    assert writer.flush(PATIENCE)
    assert writer.submit(row(1))


def test_the_queue_takes_32_mebibytes_and_refuses_one_byte_more(writer: StoreWriter, disk: Disk) -> None:
    hold(writer, disk)  # 10 bytes

    assert writer.submit(row(2, QUEUE_BYTES - 10))
    assert not writer.submit(row(3, 1))
    assert writer.submit(Removal(KEY, 1, b""))  # weighs nothing
    disk.gate.set()
    assert writer.flush(PATIENCE)
    assert writer.submit(row(3, QUEUE_BYTES))
    assert not writer.submit(row(4, QUEUE_BYTES + 1))


@pytest.mark.parametrize("error", [StorageError("the disk is full"), OverflowError("a bug")], ids=repr)
def test_a_failed_batch_is_reported_and_the_next_is_tried_afresh(
    writer: StoreWriter,
    disk: Disk,
    completions: Completions,
    error: Exception,
    caplog: pytest.LogCaptureFixture,
) -> None:
    disk.error = error
    for i in range(2):
        writer.submit(row(i), i)
        assert writer.flush(PATIENCE)
    assert not writer.healthy

    disk.error = None
    writer.submit(row(2), 2)
    assert writer.flush(PATIENCE)

    assert completions.reports == [([0], False), ([1], False), ([2], True)]
    assert writer.healthy
    assert list(disk.load_all()) == [row(2)]
    assert "not persisted" in caplog.text and "persisted again" in caplog.text


def test_a_change_the_store_cannot_take_does_not_fail_the_others(
    writer: StoreWriter, disk: Disk, completions: Completions, caplog: pytest.LogCaptureFixture
) -> None:
    disk.poison = {3, 4}
    hold(writer, disk)
    for i in range(1, 8):
        writer.submit(row(i), i)
    disk.gate.set()
    assert writer.flush(PATIENCE)

    assert completions.reports == [([1, 2, 5, 6, 7], True), ([3, 4], False)]
    assert sorted(stored.value_id for stored in disk.load_all()) == [1, 2, 5, 6, 7]
    assert writer.healthy
    assert "2 values are not persisted" in caplog.text


def test_three_failures_in_a_row_fail_the_rest_of_the_group(
    writer: StoreWriter, disk: Disk, completions: Completions
) -> None:
    hold(writer, disk)
    disk.error = StorageError("the disk is full")
    for i in range(GROUP_CHANGES):
        writer.submit(row(i), i)
    disk.gate.set()
    assert writer.flush(PATIENCE)

    assert disk.batches == [1, GROUP_CHANGES, 1, 1, 1]
    assert completions.reports == [(list(range(GROUP_CHANGES)), False)]
    assert not writer.healthy


def test_an_outage_is_logged_once(writer: StoreWriter, disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    disk.error = StorageError("the disk is full")
    for i in range(5):
        writer.submit(row(i))
        assert writer.flush(PATIENCE)

    assert caplog.text.count("the disk is full") == 1


def test_a_callback_that_raises_does_not_end_the_writer(
    writer: StoreWriter, disk: Disk, completions: Completions
) -> None:
    completions.error = RuntimeError("the loop is closed")
    writer.submit(row(1), 1)
    assert writer.flush(PATIENCE)
    writer.submit(row(2), 2)
    assert writer.flush(PATIENCE)

    assert completions.reports == [([1], True), ([2], True)]


def test_changes_without_a_ticket_are_committed_silently(
    writer: StoreWriter, disk: Disk, completions: Completions
) -> None:
    writer.submit(row(1))
    writer.submit(Removal(KEY, 1, row(1).packed))
    assert writer.flush(PATIENCE)

    assert list(disk.load_all()) == []
    assert completions.reports == []


def test_flushing_gives_up_after_its_time(writer: StoreWriter, disk: Disk) -> None:
    hold(writer, disk)

    assert not writer.flush(0.01)


def test_stopping_commits_what_is_queued_and_refuses_more(disk: Disk, completions: Completions) -> None:
    writer = StoreWriter(disk, completions)
    hold(writer, disk)
    for i in range(300):
        writer.submit(row(i), i)
    assert not writer.stop(0.01)  # still in the first commit
    assert not writer.submit(row(1))
    disk.gate.set()

    assert writer.stop(PATIENCE)
    assert writer.stop(PATIENCE)

    assert sum(len(tickets) for tickets, _ in completions.reports) == 300
    assert not writer.submit(row(1))
    assert writer.pending == 0
