"""Driver: the pump between the core, its sockets, its one timer and whoever wants its events.

After every call into the core the driver takes what the core has to say, in this order: datagrams, then
events; until there are none. Only then the timer is armed. All of it happens in the loop's thread without
an await, so there are no races, and forgetting to pump is impossible because only the driver holds the
core.

* Reading: ``add_reader`` and a loop that drains at most 64 datagrams a wake-up, then one pump for all of them
  (performance, 3.1: seven times cheaper than asyncio's own datagram transport).
* Writing: ``sendto`` at once. A full socket buffer opens a queue in order of sending, bounded; what does
  not fit is dropped and counted, as a router would. What the system refuses for good (no route, family not
  bound) is reported to the core in the next turn of the loop, never from inside a pump.
* Timer: armed anew only if the core's next deadline is earlier than the armed one. A timer that fires early
  costs less than cancelling one per datagram.
* Failures: an exception in the callback is logged and counted; it never stops the pump. The same holds for
  the core, whose contract is to raise nothing: should it have a fault, one datagram is lost and not the node.
"""

import asyncio
import errno
import logging
import socket
from collections import Counter, deque
from collections.abc import Callable
from typing import Protocol, TypeVar

from dna_dht.core.effects import Event, Transmit
from dna_dht.core.instant import Instant
from dna_dht.runtime.clock import Clock
from dna_dht.runtime.udp import UdpSockets
from dna_dht.wire.address import Address, unmapped
from dna_dht.wire.limits import DATAGRAM

DRAIN = 64  # datagrams read per wake-up, so that timers and other sockets get their turn; performance, 3.1
SEND_QUEUE = 8192  # datagrams waiting for room in a socket buffer, about 10 MB
FAILED_QUEUE = 1024  # addresses waiting to be reported as unreachable; timeouts find the others too
LOGGED_FAILURES = 10  # failures of core or callback logged with their traceback; all are counted

_LOST = frozenset({errno.ENOBUFS, errno.ENOMEM, errno.EMSGSIZE, errno.EINTR})
"""The system dropped this one datagram; that says nothing about its destination."""
Answer = TypeVar("Answer")
_log = logging.getLogger(__name__)


class Core(Protocol):
    """What the driver needs of a core."""

    def receive(self, datagram: bytes, source: Address, now: Instant, /) -> None: ...
    def on_timer(self, now: Instant, /) -> None: ...
    def send_failed(self, address: Address, now: Instant, /) -> None: ...
    def take_transmits(self) -> list[Transmit]: ...
    def take_events(self) -> list[Event]: ...
    def next_wakeup(self) -> float | None: ...


class Driver:
    """Drives one core over its sockets.

    Attributes:
        counters: datagrams ``received`` and ``sent``; ``queued`` for a full buffer, ``overflowed`` its queue,
            ``lost`` to the system, ``unreachable``; ``read_errors``; ``callback_errors``, ``core_errors``.
    """

    def __init__(
        self,
        core: Core,
        sockets: UdpSockets,
        *,
        clock: Clock,
        on_event: Callable[[Event], None],
        on_pumped: Callable[[], None] = lambda: None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._core = core
        self._sockets = sockets
        self._clock = clock
        self._on_event = on_event
        self._on_pumped = on_pumped
        self._loop = loop
        self._pumping = False
        self._running = False
        self._timer: asyncio.TimerHandle | None = None
        self._armed = 0.0
        self._waiting: dict[socket.socket, deque[Transmit]] = {}
        self._failed: deque[Address] = deque()
        self._failed_turn: asyncio.Handle | None = None
        self.counters: Counter[str] = Counter()

    @property
    def sockets(self) -> UdpSockets:
        return self._sockets

    def start(self) -> None:
        """Begin to read, and do what the core has to do already."""
        self._running = True
        for sock in (self._sockets.ipv4, self._sockets.ipv6):
            if sock is not None:
                self._loop.add_reader(sock, self._readable, sock)
        self.pump()

    def stop(self) -> None:
        """Stop reading, writing and the timer, and close the sockets. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._failed_turn is not None:
            self._failed_turn.cancel()
            self._failed_turn = None
        if not self._running:
            self._sockets.close()
            return
        self._running = False
        for sock in (self._sockets.ipv4, self._sockets.ipv6):
            if sock is not None:
                self._loop.remove_reader(sock)
                self._loop.remove_writer(sock)
        self._waiting.clear()
        self._sockets.close()

    def call(self, action: Callable[[Instant], Answer]) -> Answer:
        """Run *action*, which calls the core, with the present instant, then pump; return its answer.

        Safe from an event callback: the pump that runs it goes on afterwards.
        """
        try:
            return action(self._clock.now())
        finally:
            self.pump()

    def pump(self) -> None:
        """Send and dispatch all that the core has ready, then arm the timer."""
        if self._pumping or not self._running:
            return
        self._pumping = True
        core, on_event = self._core, self._on_event
        try:
            while True:
                transmits = core.take_transmits()
                if transmits:
                    self._send(transmits)
                events = core.take_events()
                for event in events:
                    try:
                        on_event(event)
                    except Exception:
                        self._failure("callback_errors", f"the handler of {type(event).__name__} failed")
                if not events:
                    break
        finally:
            self._pumping = False
        self._on_pumped()
        wakeup = core.next_wakeup()
        if wakeup is not None and (self._timer is None or wakeup < self._armed):
            self._arm(wakeup)

    # -- reading

    def _readable(self, sock: socket.socket) -> None:
        receive, recvfrom = self._core.receive, sock.recvfrom
        now = self._clock.now()
        read = 0
        for _ in range(DRAIN):
            try:
                datagram, source = recvfrom(DATAGRAM)
            except BlockingIOError:
                break
            except OSError:  # an ICMP error for something we sent: the core's own timeouts know better
                self.counters["read_errors"] += 1
                continue
            read += 1
            try:
                if len(source) == 2:
                    receive(datagram, source, now)
                else:
                    receive(datagram, (unmapped(source[0].partition("%")[0]), source[1]), now)
            except Exception:
                self._failure("core_errors", "the core failed on a datagram")
        self.counters["received"] += read
        self.pump()

    # -- writing

    def _send(self, transmits: list[Transmit]) -> None:
        ipv4, ipv6, waiting = self._sockets.ipv4, self._sockets.ipv6, self._waiting
        sent = 0
        for transmit in transmits:
            destination, payload = transmit
            sock = ipv6 if ":" in destination[0] else ipv4
            if sock is None:
                self._report(destination)
            elif waiting and sock in waiting:
                self._queue(sock, transmit)
            else:
                try:
                    sock.sendto(payload, destination)
                    sent += 1
                except BlockingIOError:
                    self._queue(sock, transmit)
                except (OSError, OverflowError) as error:
                    self._send_error(destination, error)
        self.counters["sent"] += sent

    def _send_error(self, destination: Address, error: OSError | OverflowError) -> None:
        if isinstance(error, OSError) and error.errno in _LOST:
            self.counters["lost"] += 1
        else:
            self._report(destination)

    def _queue(self, sock: socket.socket, transmit: Transmit) -> None:
        queue = self._waiting.get(sock)
        if queue is None:
            queue = self._waiting[sock] = deque()
            self._loop.add_writer(sock, self._writable, sock)
        if len(queue) >= SEND_QUEUE:
            self.counters["overflowed"] += 1
            return
        self.counters["queued"] += 1
        queue.append(transmit)

    def _writable(self, sock: socket.socket) -> None:
        queue = self._waiting[sock]
        for _ in range(min(DRAIN, len(queue))):
            destination, payload = queue[0]
            try:
                sock.sendto(payload, destination)
                self.counters["sent"] += 1
            except BlockingIOError:
                return
            except (OSError, OverflowError) as error:
                self._send_error(destination, error)
            queue.popleft()
        if not queue:
            del self._waiting[sock]
            self._loop.remove_writer(sock)

    def _report(self, destination: Address) -> None:
        self.counters["unreachable"] += 1
        if len(self._failed) < FAILED_QUEUE:
            self._failed.append(destination)
        if self._failed_turn is None:
            self._failed_turn = self._loop.call_soon(self._report_failed)

    def _report_failed(self) -> None:
        self._failed_turn = None
        now = self._clock.now()
        while self._failed:
            try:
                self._core.send_failed(self._failed.popleft(), now)
            except Exception:
                self._failure("core_errors", "the core failed on an unreachable address")
        self.pump()

    # -- time

    def _arm(self, wakeup: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed = wakeup
        self._timer = self._loop.call_later(max(0.0, wakeup - self._clock.now().mono), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now = self._clock.now()
        wakeup = self._core.next_wakeup()
        if wakeup is not None and wakeup <= now.mono:
            try:
                self._core.on_timer(now)
            except Exception:
                self._failure("core_errors", "the core failed on its timer")
        self.pump()

    # -- failures

    def _failure(self, counter: str, text: str) -> None:
        self.counters[counter] += 1
        if self.counters[counter] <= LOGGED_FAILURES:
            _log.exception(text)
