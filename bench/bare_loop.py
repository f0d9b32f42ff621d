"""The fastest closed loop of single datagrams Python can write: for requests answered by one datagram."""

import select
import socket
from collections.abc import Sequence

from bench.processes import now
from dna_dht.wire.address import Address

BUFFER = 8 * 1024 * 1024  # bytes
SILENCE = 1.0  # seconds without an answer after which the window is filled again
REPLY = b"\xa1r"  # where a reply differs from a request: its first key


def drive(server: Address, datagrams: Sequence[bytes], window: int, *, echo: bool = False) -> int:
    """Send each datagram, *window* at a time; return how many answers came.

    Only replies count, unless the server is an *echo*: what else a server sends is not answered.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        client.connect(server)
        client.setblocking(False)
        send, receive = client.send, client.recv
        todo = iter(datagrams)
        answered = outstanding = 0
        heard = now()
        while True:
            while outstanding < window:
                datagram = next(todo, None)
                if datagram is None:
                    break
                send(datagram)
                outstanding += 1
            if not outstanding:
                return answered
            try:
                reply = receive(65536)
            except BlockingIOError:
                select.select([client], [], [], 0.1)
                if now() - heard > SILENCE:
                    outstanding, heard = 0, now()  # lost ones are not sent again: they only count less
                continue
            if echo or reply[1:3] == REPLY:
                answered += 1
                outstanding -= 1
                heard = now()
