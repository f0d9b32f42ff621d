import asyncio
import time

from dna_dht.runtime.clock import SystemClock


async def test_mono_is_the_clock_of_the_loop() -> None:
    before = asyncio.get_running_loop().time()
    now = SystemClock().now()
    after = asyncio.get_running_loop().time()

    assert before <= now.mono <= after


def test_unix_is_wall_clock_time() -> None:
    before = time.time()
    now = SystemClock().now()

    assert before <= now.unix <= time.time()
