import asyncio
import logging
import threading
from typing import Any

import pytest

from dna_dht.runtime.mailbox import Mailbox


async def test_results_of_threads_arrive_in_order_and_in_the_loop() -> None:
    mailbox = Mailbox(asyncio.get_running_loop())
    received: list[int] = []
    done = asyncio.Event()

    def handler(results: list[Any]) -> None:
        assert threading.current_thread() is threading.main_thread()
        received.extend(results)
        if len(received) == 1000:
            done.set()

    def work() -> None:
        for number in range(1000):
            mailbox.post(handler, number)

    thread = threading.Thread(target=work)
    thread.start()
    await asyncio.wait_for(done.wait(), 5)
    thread.join()
    mailbox.close()

    assert received == list(range(1000))


async def test_results_that_arrive_together_come_in_one_call_per_handler() -> None:
    mailbox = Mailbox(asyncio.get_running_loop())
    calls: list[tuple[str, list[Any]]] = []
    done = asyncio.Event()

    def first(results: list[Any]) -> None:
        calls.append(("first", results))

    def second(results: list[Any]) -> None:
        calls.append(("second", results))
        done.set()

    for number in range(4):
        mailbox.post(first if number % 2 else second, number)
    await asyncio.wait_for(done.wait(), 5)
    mailbox.close()

    assert sorted(calls) == [("first", [1, 3]), ("second", [0, 2])]


async def test_a_failing_handler_hurts_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    mailbox = Mailbox(asyncio.get_running_loop())
    received: list[int] = []
    done = asyncio.Event()

    def failing(results: list[Any]) -> None:
        raise RuntimeError("boom")

    def good(results: list[Any]) -> None:
        received.extend(results)
        done.set()

    mailbox.post(failing, 1)
    mailbox.post(good, 2)
    await asyncio.wait_for(done.wait(), 5)
    mailbox.close()

    assert received == [2]
    assert "boom" in caplog.text


async def test_close_delivers_what_has_arrived_and_then_nothing() -> None:
    mailbox = Mailbox(asyncio.get_running_loop())
    received: list[int] = []
    mailbox.post(received.extend, 1)
    mailbox.close()
    mailbox.close()
    mailbox.post(received.extend, 2)
    await asyncio.sleep(0)

    assert received == [1]
