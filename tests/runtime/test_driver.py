"""The driver over real loopback sockets, under a core that only keeps a diary."""

import asyncio
import errno
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dna_dht.core.effects import Event, PublicAddressChanged, Transmit
from dna_dht.core.instant import Instant
from dna_dht.runtime import driver as driver_module
from dna_dht.runtime.clock import SystemClock
from dna_dht.runtime.driver import Driver
from dna_dht.runtime.udp import UdpSockets, bind
from dna_dht.wire.address import Address

LOCAL = "127.0.0.1"


class Diary:
    """A core that writes down what it is told and says what it was given to say."""

    def __init__(self) -> None:
        self.received: list[tuple[bytes, Address]] = []
        self.timers: list[float] = []
        self.failed: list[Address] = []
        self.transmits: list[Transmit] = []
        self.events: list[Event] = []
        self.wakeup: float | None = None
        self.changed = asyncio.Event()
        self.on_receive: Callable[[bytes, Address], None] = lambda datagram, source: None

    def receive(self, datagram: bytes, source: Address, now: Instant, /) -> None:
        self.received.append((datagram, source))
        self.changed.set()
        self.on_receive(datagram, source)

    def on_timer(self, now: Instant, /) -> None:
        self.timers.append(now.mono)
        self.wakeup = None
        self.changed.set()

    def send_failed(self, address: Address, now: Instant, /) -> None:
        self.failed.append(address)
        self.changed.set()

    def take_transmits(self) -> list[Transmit]:
        taken, self.transmits = self.transmits, []
        return taken

    def take_events(self) -> list[Event]:
        taken, self.events = self.events, []
        return taken

    def next_wakeup(self) -> float | None:
        return self.wakeup

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def driven(
    core: Diary,
    *,
    ipv4: str | None = LOCAL,
    ipv6: str | None = None,
    sockets: UdpSockets | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
    on_pumped: Callable[[], None] = lambda: None,
) -> AsyncIterator[Driver]:
    loop = asyncio.get_running_loop()
    bound = sockets or bind(0, ipv4=ipv4, ipv6=ipv6)
    driver = Driver(core, bound, clock=SystemClock(), on_event=on_event, on_pumped=on_pumped, loop=loop)
    driver.start()
    try:
        yield driver
    finally:
        driver.stop()


class Scripted:
    """A socket as the driver sees one, whose sendto does what the script says, then works."""

    def __init__(self, script: list[Exception]) -> None:
        self.real = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.real.setblocking(False)
        self.real.bind((LOCAL, 0))
        self.script = script

    def sendto(self, payload: bytes, destination: Address) -> int:
        if self.script:
            raise self.script.pop(0)
        return self.real.sendto(payload, destination)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def sockets(self) -> UdpSockets:
        return UdpSockets(self, None, self.real.getsockname()[1])  # type: ignore[arg-type]


async def test_datagrams_travel_between_two_drivers_of_both_families() -> None:
    one, two = Diary(), Diary()
    async with driven(one, ipv6="::1") as sender, driven(two, ipv6="::1") as receiver:
        for host in (LOCAL, "::1"):
            one.transmits.append(Transmit((host, receiver.sockets.port), host.encode()))
        sender.call(lambda now: None)
        await two.until(lambda: len(two.received) == 2)

        assert sorted(two.received) == sorted(
            (host.encode(), (host, sender.sockets.port)) for host in (LOCAL, "::1")
        )
        assert sender.counters["sent"] == receiver.counters["received"] == 2


async def test_mapped_sources_are_ipv4_and_scopes_are_dropped() -> None:
    core = Diary()

    answers = [(b"a", ("::ffff:192.0.2.7", 5, 0, 0)), (b"b", ("fe80::1%lo", 6, 0, 1))]

    class Mapped(Scripted):
        def recvfrom(self, size: int) -> tuple[bytes, tuple[Any, ...]]:
            if answers:
                return answers.pop(0)
            raise BlockingIOError

    sock = Mapped([])
    async with driven(core, sockets=sock.sockets()):
        sock.real.sendto(b"wake up", sock.real.getsockname())
        await core.until(lambda: len(core.received) == 2)

    assert core.received == [(b"a", ("192.0.2.7", 5)), (b"b", ("fe80::1", 6))]


async def test_a_burst_is_drained_in_bounded_portions_with_one_pump_each() -> None:
    core, pumps = Diary(), 0

    def take() -> list[Transmit]:
        nonlocal pumps
        pumps += 1
        return []

    async with driven(core) as driver:
        core.take_transmits = take  # type: ignore[method-assign]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number in range(100):
                sender.sendto(number.to_bytes(1, "big"), (LOCAL, driver.sockets.port))
        await core.until(lambda: len(core.received) == 100)
        await asyncio.sleep(0)

    assert [datagram[0] for datagram, _ in core.received] == list(range(100))
    assert pumps == 2


async def test_icmp_errors_while_reading_are_ignored() -> None:
    core = Diary()

    class Refused(Scripted):
        errors = 2

        def recvfrom(self, size: int) -> Any:
            if self.errors:
                self.errors -= 1
                raise ConnectionRefusedError
            return self.real.recvfrom(size)

    sock = Refused([])
    async with driven(core, sockets=sock.sockets()) as driver:
        sock.real.sendto(b"after all", sock.real.getsockname())
        await core.until(lambda: core.received)

        assert driver.counters["read_errors"] == 2


async def test_a_core_that_fails_loses_one_datagram_only(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    core = Diary()

    def fail_once(datagram: bytes, source: Address) -> None:
        if len(core.received) == 1:
            raise RuntimeError("boom")

    core.on_receive = fail_once
    async with driven(core) as driver:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(2):
                sender.sendto(b"datagram", (LOCAL, driver.sockets.port))
        await core.until(lambda: len(core.received) == 2)

        assert driver.counters["core_errors"] == 1
    assert "boom" in caplog.text


async def test_datagrams_wait_in_order_for_room_in_the_buffer() -> None:
    core, target = Diary(), Diary()
    sock = Scripted([BlockingIOError()])
    async with driven(target) as receiver, driven(core, sockets=sock.sockets()) as driver:
        core.transmits = [Transmit((LOCAL, receiver.sockets.port), b"%d" % n) for n in range(200)]
        driver.pump()
        assert driver.counters["queued"] == 200
        await target.until(lambda: len(target.received) == 200)

        assert [datagram for datagram, _ in target.received] == [b"%d" % n for n in range(200)]
        assert driver.counters["sent"] == 200
        core.transmits = [Transmit((LOCAL, receiver.sockets.port), b"direct")]
        driver.pump()
        assert (driver.counters["sent"], driver.counters["queued"]) == (201, 200)


async def test_the_queue_is_bounded_and_says_what_it_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "SEND_QUEUE", 3)
    core, sock = Diary(), Scripted([BlockingIOError()])
    async with driven(core, sockets=sock.sockets()) as driver:
        core.transmits = [Transmit((LOCAL, 9), b"x")] * 5
        driver.pump()

        assert (driver.counters["queued"], driver.counters["overflowed"]) == (3, 2)


@pytest.mark.parametrize("code", [errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL, errno.EACCES])
async def test_what_cannot_be_sent_is_reported_in_a_later_turn(code: int) -> None:
    core, sock = Diary(), Scripted([OSError(code, "refused")])
    async with driven(core, sockets=sock.sockets()) as driver:
        core.transmits = [Transmit((LOCAL, 9), b"x")]
        driver.pump()
        assert core.failed == []
        await core.until(lambda: core.failed)

        assert core.failed == [(LOCAL, 9)]
        assert driver.counters["unreachable"] == 1


@pytest.mark.parametrize("code", [errno.ENOBUFS, errno.EMSGSIZE])
async def test_what_the_system_drops_says_nothing_about_the_destination(code: int) -> None:
    core, sock = Diary(), Scripted([OSError(code, "dropped")])
    async with driven(core, sockets=sock.sockets()) as driver:
        core.transmits = [Transmit((LOCAL, 9), b"x")]
        driver.pump()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

        assert core.failed == []
        assert driver.counters["lost"] == 1


@pytest.mark.parametrize("destination", [("::1", 4000), (LOCAL, 0), (LOCAL, 70_000)])
async def test_a_destination_without_socket_or_port_is_unreachable(destination: Address) -> None:
    core = Diary()
    async with driven(core) as driver:
        core.transmits = [Transmit(destination, b"x")]
        driver.pump()
        await core.until(lambda: core.failed)

        assert core.failed == [destination]


async def test_errors_of_queued_datagrams_are_reported_too() -> None:
    core = Diary()
    sock = Scripted([BlockingIOError(), OSError(errno.EHOSTUNREACH, "refused")])
    async with driven(core, sockets=sock.sockets()) as driver:
        core.transmits = [Transmit((LOCAL, 9), b"x")]
        driver.pump()
        await core.until(lambda: core.failed)

        assert core.failed == [(LOCAL, 9)]


async def test_the_timer_fires_at_the_deadline_and_not_before() -> None:
    core = Diary()
    async with driven(core) as driver:
        core.wakeup = deadline = SystemClock().now().mono + 0.02
        driver.pump()
        await core.until(lambda: core.timers)

    assert len(core.timers) == 1
    assert core.timers[0] >= deadline


async def test_an_earlier_deadline_replaces_a_later_one() -> None:
    core = Diary()
    async with driven(core) as driver:
        core.wakeup = SystemClock().now().mono + 3600
        driver.pump()
        core.wakeup = SystemClock().now().mono + 0.01
        driver.pump()
        await core.until(lambda: core.timers)

        assert len(core.timers) == 1


async def test_a_deadline_that_moved_away_is_waited_for() -> None:
    core = Diary()
    async with driven(core) as driver:
        core.wakeup = SystemClock().now().mono + 0.01
        driver.pump()
        core.wakeup = deadline = SystemClock().now().mono + 0.03
        driver.pump()
        await core.until(lambda: core.timers)

    assert core.timers[0] >= deadline


async def test_events_are_dispatched_after_datagrams_and_may_call_the_core_again() -> None:
    core = Diary()
    seen: list[str] = []

    def on_event(event: Event) -> None:
        assert isinstance(event, PublicAddressChanged)
        seen.append(event.host)
        if event.host == "first":
            core.events.append(PublicAddressChanged("second"))
            driver.call(lambda now: seen.append("called"))

    async with driven(core, on_event=on_event) as driver:
        core.events.append(PublicAddressChanged("first"))
        driver.pump()

    assert seen == ["first", "called", "second"]


async def test_the_end_of_a_pump_is_told_after_its_events() -> None:
    core, order = Diary(), list[str]()

    async with driven(
        core, on_event=lambda event: order.append("event"), on_pumped=lambda: order.append("pumped")
    ) as driver:
        order.clear()
        core.events = [PublicAddressChanged("one"), PublicAddressChanged("two")]
        driver.pump()

    assert order == ["event", "event", "pumped"]


async def test_a_failing_callback_never_stops_the_pump(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    core, seen = Diary(), []

    def on_event(event: Event) -> None:
        seen.append(event)
        raise RuntimeError("boom")

    async with driven(core, on_event=on_event) as driver:
        core.events = [PublicAddressChanged("one"), PublicAddressChanged("two")]
        driver.pump()

        assert len(seen) == driver.counters["callback_errors"] == 2
    assert "boom" in caplog.text


async def test_call_returns_the_answer_and_pumps_even_if_the_action_fails() -> None:
    core, target = Diary(), Diary()

    def fail(now: Instant) -> None:
        core.transmits.append(Transmit((LOCAL, receiver.sockets.port), b"still sent"))
        raise ValueError("misuse")

    async with driven(target) as receiver, driven(core) as driver:
        assert driver.call(lambda now: now.unix) > 0
        with pytest.raises(ValueError, match="misuse"):
            driver.call(fail)
        await target.until(lambda: target.received)


async def test_stop_closes_the_sockets_and_leaves_nothing_armed() -> None:
    core = Diary()
    async with driven(core) as driver:
        core.wakeup = SystemClock().now().mono + 0.01
        core.transmits = [Transmit(("::1", 1), b"x")]
        driver.pump()
        driver.stop()
        driver.stop()
        driver.pump()
        await asyncio.sleep(0.02)

        assert not core.timers
        assert not core.failed
        bind(driver.sockets.port, ipv4=LOCAL, ipv6=None).close()


async def test_a_driver_that_never_started_closes_its_sockets() -> None:
    loop = asyncio.get_running_loop()
    driver = Driver(Diary(), bind(0, ipv4=LOCAL, ipv6=None), clock=SystemClock(), on_event=print, loop=loop)
    driver.stop()
    bind(driver.sockets.port, ipv4=LOCAL, ipv6=None).close()
