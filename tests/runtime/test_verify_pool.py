import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dna_dht.core.effects import VerifyRequested
from dna_dht.crypto.mldsa import verify
from dna_dht.crypto.node_identity import NodeIdentity
from dna_dht.crypto.verifiers import Verifier
from dna_dht.errors import NetworkError
from dna_dht.runtime import verify_pool
from dna_dht.runtime.mailbox import Mailbox
from dna_dht.runtime.verify_pool import VerifyPool, default_workers

IDENTITY = NodeIdentity.from_seed(bytes(32))


class Results(dict[int, bool]):
    """Collects what the pool reports, and how many came in each call."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []
        self.changed = asyncio.Event()

    def add(self, results: list[tuple[int, bool]]) -> None:
        self.batches.append(len(results))
        self.update(results)
        self.changed.set()

    async def reach(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self) < count:
                self.changed.clear()
                await self.changed.wait()


@contextmanager
def running(workers: int, results: Results, verifier: Verifier = verify) -> Iterator[VerifyPool]:
    loop = asyncio.get_running_loop()
    mailbox = Mailbox(loop)
    pool = VerifyPool(verifier, workers=workers, mailbox=mailbox, on_verified=results.add, loop=loop)
    try:
        yield pool
    finally:
        pool.stop()
        mailbox.close()


def request(job: int, message: bytes = b"message") -> VerifyRequested:
    return VerifyRequested(job, IDENTITY.public_key, b"signature", message)


@pytest.mark.parametrize("workers", [0, 1, 3])
async def test_true_and_forged_signatures_are_told_apart(workers: int) -> None:
    signature, results = IDENTITY.sign(b"message"), Results()
    with running(workers, results) as pool:
        for job in range(12):
            message = b"message" if job % 3 else b"other"
            pool.submit(VerifyRequested(job, IDENTITY.public_key, signature, message))
        pool.hand_out()
        await results.reach(12)
        assert pool.waiting == 0

    assert results == {job: job % 3 != 0 for job in range(12)}


@pytest.mark.parametrize("workers", [0, 2])
async def test_work_returns_or_raises_what_it_does(workers: int) -> None:
    def fail() -> None:
        raise KeyError("reason")

    with running(workers, Results()) as pool:
        signature = await pool.run(lambda: IDENTITY.sign(b"message"))
        with pytest.raises(KeyError, match="reason"):
            await pool.run(fail)

    assert verify(IDENTITY.public_key, signature, b"message")


async def test_threads_do_the_work() -> None:
    with running(1, Results()) as pool:
        assert await pool.run(threading.get_ident) != threading.get_ident()
    with running(0, Results()) as pool:
        assert await pool.run(threading.get_ident) == threading.get_ident()


async def test_a_single_one_is_checked_at_once_and_what_comes_on_top_by_a_thread() -> None:
    results, where = Results(), list[int]()

    def note(owner: bytes, signature: bytes, message: bytes) -> bool:
        where.append(threading.get_ident())
        return True

    loop_thread = threading.get_ident()
    with running(1, results, note) as pool:
        pool.submit(request(1))
        pool.hand_out()
        assert (dict(results), where) == ({1: True}, [loop_thread])

        for job in (2, 3):
            pool.submit(request(job))
        pool.hand_out()
        await results.reach(3)
        assert loop_thread not in where[1:]

        where.clear()
        busy = threading.Event()
        waiting = asyncio.ensure_future(pool.run(lambda: busy.wait(5)))
        await asyncio.sleep(0)
        pool.submit(request(4))
        pool.hand_out()
        assert 4 not in results
        busy.set()
        await results.reach(4)
        assert loop_thread not in where
        await waiting


async def test_results_that_lead_to_further_checks_do_not_hold_the_loop() -> None:
    loop, results, jobs = asyncio.get_running_loop(), Results(), iter(range(1, 50))
    mailbox = Mailbox(loop)
    nested = 0

    def on_verified(verified: list[tuple[int, bool]]) -> None:
        nonlocal nested
        nested += 1
        results.add(verified)
        for _ in verified:
            if (job := next(jobs, None)) is not None:
                pool.submit(request(job))
        pool.hand_out()
        nested -= 1
        assert nested < 2

    pool = VerifyPool(lambda *_: True, workers=1, mailbox=mailbox, on_verified=on_verified, loop=loop)
    pool.submit(request(0))
    pool.hand_out()
    await results.reach(50)
    pool.stop()
    mailbox.close()


async def test_without_threads_the_loop_gets_its_turns() -> None:
    results, turns = Results(), 0
    with running(0, results, lambda *_: True) as pool:
        for job in range(3 * verify_pool.INLINE_BATCH):
            pool.submit(request(job))
        while len(results) < 3 * verify_pool.INLINE_BATCH:
            await asyncio.sleep(0)
            turns += 1

    assert turns >= 3
    assert max(results.batches) == verify_pool.INLINE_BATCH


async def test_a_failing_verifier_is_an_invalid_signature() -> None:
    def fail(owner: bytes, signature: bytes, message: bytes) -> bool:
        raise RuntimeError("broken")

    results = Results()
    with running(1, results, fail) as pool:
        pool.submit(request(7))
        pool.hand_out()
        await results.reach(1)

    assert results == {7: False}


async def test_what_is_above_the_bound_counts_as_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_pool, "QUEUE_BOUND", 2)
    results, gate = Results(), threading.Event()
    with running(1, results, lambda *_: gate.wait(5)) as pool:
        for job in range(3):
            pool.submit(request(job))
        pool.hand_out()
        await results.reach(1)
        assert (results, pool.refused) == ({2: False}, 1)
        gate.set()
        await results.reach(3)

    assert results == {0: True, 1: True, 2: False}


@pytest.mark.parametrize("workers", [0, 2])
async def test_stop_joins_the_threads_and_drops_what_waits(workers: int) -> None:
    before, results, gate = threading.active_count(), Results(), threading.Event()
    with running(workers, results, lambda *_: gate.wait(5)) as pool:
        for job in range(100):
            pool.submit(request(job))
        pool.hand_out()
        abandoned = asyncio.ensure_future(pool.run(lambda: None))
        if workers:
            await asyncio.sleep(0)
        gate.set()
        pool.stop()
        pool.stop()
        with pytest.raises(NetworkError, match="stopped"):
            await pool.run(lambda: None)
    assert threading.active_count() == before
    assert len(results) < 100
    with pytest.raises(NetworkError, match="stopped"):  # and not CancelledError: nobody cancelled
        await abandoned


async def test_cancelling_work_leaves_nothing_behind() -> None:
    gate = threading.Event()
    with running(1, Results()) as pool:
        task = asyncio.ensure_future(pool.run(lambda: gate.wait(5)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        gate.set()
        assert task.cancelled()
        assert await pool.run(lambda: 1) == 1
        assert not pool._futures


def test_at_least_one_worker_by_default() -> None:
    assert default_workers() >= 1
