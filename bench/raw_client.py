"""A load generator without a node behind it: the same requests for every kind of server, in a closed loop.

It keeps a number of requests outstanding, sends the next one when an answer is complete, and answers what
servers ask a newcomer, so that its address counts as proved. Its own processor time is nobody's business:
servers are measured from outside.

The parts of a value leave in bursts, as from a sender in C (one system call for all datagrams of one length:
UDP_SEGMENT). Sent one by one from Python, a server on another core would be woken for each of them, which no
sender on a network does to it.
"""

import select
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from bench.processes import now
from dna_dht.errors import DecodeError
from dna_dht.wire import encode as write
from dna_dht.wire import messages as m
from dna_dht.wire.address import Address
from dna_dht.wire.decode import decode
from dna_dht.wire.infohash import InfoHash
from dna_dht.wire.limits import PART_DATA

HOST = "127.0.0.1"
BUFFER = 8 * 1024 * 1024  # bytes
RESEND = 1.0  # seconds without any answer after which everything outstanding is sent again
GIVE_UP = 10.0  # the same until the run ends
UDP_SEGMENT = 103  # socket option of SOL_UDP; linux/udp.h
BURST = 40  # datagrams of one system call: at most 64 kB
SEEN_IP = bytes((127, 0, 0, 1))


@dataclass(slots=True)
class _Open:
    """A request whose answer is not complete."""

    datagrams: list[bytes]
    missing: int = -1  # parts still to come; -1: the header has not come
    early: int = 0  # parts that came before it
    replies: list[m.Reply] = field(default_factory=list)


class RawClient:
    """One socket and one node id.

    Attributes:
        server: who is asked.
        client: every request says that its sender wants to be in no routing table.
        errors: error replies and unreadable datagrams that came.
    """

    def __init__(self, server: Address, rng: Random, *, client: bool = True) -> None:
        self.server, self.client = server, client
        self.node_id = InfoHash(rng.randbytes(20))
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self.socket.setsockopt(socket.SOL_SOCKET, option, BUFFER)
        self.socket.bind((HOST, 0))
        self.socket.setblocking(False)
        self.errors = 0
        self._tid = rng.getrandbits(31)

    def close(self) -> None:
        self.socket.close()

    # -- Requests --------------------------------------------------------------------------------------------

    def pings(self, count: int, window: int) -> int:
        """Send *count* pings; how many were answered."""
        return len(
            self.run(
                (lambda tid: [write.ping(tid, self.node_id, client=self.client)] for _ in range(count)),
                window,
            )
        )

    def finds(self, targets: Iterable[bytes], window: int) -> int:
        """Ask for the nodes close to each target."""
        makers = (
            lambda tid, target=target: [
                write.find(tid, self.node_id, target, m.WANT_IPV4, client=self.client)
            ]
            for target in targets
        )
        return len(self.run(makers, window))

    def gets(self, keys: Sequence[InfoHash], window: int) -> list[m.Reply]:
        """Ask for all values of each key; the headers of the complete answers."""
        makers = (
            lambda tid, key=key: write.encode(
                m.Get(tid=tid, sender=self.node_id, key=key, want=m.WANT_IPV4, client=self.client)
            )
            for key in keys
        )
        return self.run(makers, window)

    def tokens(self, keys: Sequence[InfoHash], window: int) -> list[bytes]:
        """A write token for each key, in order; RuntimeError if one is missing."""
        by_order: dict[int, bytes] = {}
        first = self._tid + 1
        for reply in self.gets(keys, window):
            by_order[reply.tid - first] = reply.token
        if len(by_order) != len(keys):
            raise RuntimeError(f"{len(keys) - len(by_order)} of {len(keys)} gets were not answered")
        return [by_order[order] for order in range(len(keys))]

    def puts(self, writes: Sequence[tuple[InfoHash, bytes, bytes]], window: int) -> int:
        """Put packed values, given as (key, token, packed); how many were accepted."""
        makers = (
            lambda tid, key=key, token=token, packed=packed: write.encode(
                m.Put(tid=tid, sender=self.node_id, key=key, token=token, client=self.client), (packed,)
            )
            for key, token, packed in writes
        )
        return len(self.run(makers, window))

    # -- The loop --------------------------------------------------------------------------------------------

    def run(self, makers: Iterable[Callable[[int], list[bytes]]], window: int) -> list[m.Reply]:
        """Keep *window* requests outstanding until all are answered or nothing comes any more."""
        todo = iter(makers)
        outstanding: dict[int, _Open] = {}
        done: list[m.Reply] = []
        heard = now()
        resent = heard
        more = True
        while True:
            while more and len(outstanding) < window:
                maker = next(todo, None)
                if maker is None:
                    more = False
                    break
                self._tid = (self._tid + 1) & 0xFFFFFFFF
                request = outstanding[self._tid] = _Open(maker(self._tid))
                self._send(request.datagrams)
            if not outstanding:
                return done
            if self._drain(outstanding, done):
                heard = resent = now()
                continue
            select.select([self.socket], [], [], 0.05)
            time = now()
            if time - heard > GIVE_UP:
                return done
            if time - resent > RESEND:
                resent = time
                for request in outstanding.values():
                    self._send(request.datagrams)

    def serve(self, seconds: float) -> None:
        """Only answer, for so long."""
        end = now() + seconds
        while now() < end:
            if not self._drain({}, []):
                select.select([self.socket], [], [], 0.01)

    def answer_pending(self) -> None:
        """Answer what has come until now."""
        self._drain({}, [])

    def _send(self, datagrams: Iterable[bytes]) -> None:
        for burst in _bursts(datagrams):
            if len(burst) == 1:
                self.socket.sendto(burst[0], self.server)
            else:
                segment = (socket.SOL_UDP, UDP_SEGMENT, len(burst[0]).to_bytes(2, sys.byteorder))
                self.socket.sendmsg(burst, [segment], 0, self.server)

    def _drain(self, outstanding: dict[int, _Open], done: list[m.Reply]) -> bool:
        """Read what is there; whether anything answered an open request."""
        progress = False
        for _ in range(256):
            try:
                datagram, source = self.socket.recvfrom(65536)
            except BlockingIOError:
                break
            try:
                message = decode(datagram)
            except DecodeError:
                self.errors += 1
                continue
            if isinstance(message, m.Reply | m.Part | m.ErrorReply):
                progress |= self._on_answer(message, outstanding, done)
            elif not isinstance(message, m.Notice):
                self._answer(message, source)
        return progress

    def _on_answer(
        self, message: m.Reply | m.Part | m.ErrorReply, outstanding: dict[int, _Open], done: list[m.Reply]
    ) -> bool:
        request = outstanding.get(message.tid)
        if request is None:
            return False
        if isinstance(message, m.ErrorReply):
            self.errors += 1
            del outstanding[message.tid]
            return True
        if isinstance(message, m.Part):
            if request.missing < 0:
                request.early += 1
                return True
            request.missing -= 1
        elif request.missing < 0:
            parts = sum(-(-size // PART_DATA) for _, size in message.sizes)
            request.missing = parts - request.early
            request.replies.append(message)
        if request.missing <= 0:
            del outstanding[message.tid]
            done.append(request.replies[0])
        return True

    def _answer(self, message: m.Request, source: Address) -> None:
        if isinstance(message, m.Find | m.Get):
            answer = write.nodes_reply(message.tid, self.node_id, SEEN_IP, b"", b"", bytes(32))
        else:
            answer = [write.pong(message.tid, self.node_id, SEEN_IP)]
        for datagram in answer:
            self.socket.sendto(datagram, source)


def _bursts(datagrams: Iterable[bytes]) -> list[list[bytes]]:
    """Neighbours of one length together; the last of a burst may be shorter."""
    bursts: list[list[bytes]] = []
    for datagram in datagrams:
        burst = bursts[-1] if bursts else []
        if burst and len(burst) < BURST and len(burst[-1]) == len(burst[0]) >= len(datagram):
            burst.append(datagram)
        else:
            bursts.append([datagram])
    return bursts


class Crowd:
    """Many silent nodes that make themselves known to a server, to fill its routing table."""

    def __init__(self, server: Address, rng: Random, size: int = 64) -> None:
        self.clients = deque(RawClient(server, rng, client=False) for _ in range(size))

    def introduce(self, seconds: float = 1.0) -> None:
        """Ping the server from each, and answer its pings for so long."""
        for client in self.clients:
            client.pings(1, 1)
        self.serve(seconds)

    def serve(self, seconds: float) -> None:
        """Answer whatever the server asks."""
        end = now() + seconds
        while now() < end:
            readable, _, _ = select.select([client.socket for client in self.clients], [], [], 0.05)
            for client in self.clients:
                if client.socket in readable:
                    client.answer_pending()

    def close(self) -> None:
        for client in self.clients:
            client.close()
