"""A network between processes of one machine: delay and loss for every datagram, in a process of its own.

Each node gets a second port, here. Whoever wants to reach it writes to that port and is seen by it under his
own second port, so nodes know each other by second ports only, and all they say to each other passes through
here:

    node A --> [port of B] --- delay, loss ---> [port of A] --> node B

Commands (JSON lines): ``map port`` -> ``relay`` (its second port); ``weather delay loss`` (seconds one way,
share); ``mute port`` / ``unmute port`` (a node nobody hears and that hears nobody); ``counts``.
"""

import json
import os
import select
import socket
import sys
from collections import deque
from random import Random
from time import monotonic
from typing import Any

BUFFER = 8 * 1024 * 1024  # bytes of socket buffer asked for
BURST = 64  # datagrams taken from one socket before the others get their turn
HOST = "127.0.0.1"


class Relay:
    """Forwards datagrams between mapped ports, late."""

    def __init__(self, seed: int = 1) -> None:
        self._rng = Random(seed)
        self._delay = self._loss = 0.0
        self._node_of: dict[socket.socket, int] = {}
        self._second: dict[int, socket.socket] = {}
        self._muted: set[int] = set()
        self._queue: deque[tuple[float, socket.socket, int, bytes]] = deque()
        self._forwarded = self._lost = self._strange = 0

    def run(self) -> None:
        """Forward until the standard input ends."""
        stdin = sys.stdin.fileno()
        pending = b""
        while True:
            wait = max(0.0, self._queue[0][0] - monotonic()) if self._queue else None
            readable, _, _ = select.select([stdin, *self._node_of], [], [], wait)
            self._forward_due()
            for ready in readable:
                if isinstance(ready, socket.socket):
                    self._take(ready)
                    continue
                chunk = os.read(stdin, 65536)
                if not chunk:
                    return
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    command = json.loads(line)
                    answer = self._obey(command)
                    sys.stdout.write(json.dumps({"seq": command["seq"], **answer}) + "\n")
                    sys.stdout.flush()

    def _obey(self, command: dict[str, Any]) -> dict[str, Any]:
        match command["op"]:
            case "map":
                return {"relay": self._map(command["port"])}
            case "weather":
                self._delay, self._loss = command["delay"], command["loss"]
            case "mute":
                self._muted.add(command["port"])
            case "unmute":
                self._muted.discard(command["port"])
            case "counts":
                return {"forwarded": self._forwarded, "lost": self._lost, "strange": self._strange}
            case other:
                return {"error": f"unknown command {other}"}
        return {}

    def _map(self, port: int) -> int:
        second = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            second.setsockopt(socket.SOL_SOCKET, option, BUFFER)
        second.setblocking(False)
        second.bind((HOST, 0))
        self._node_of[second], self._second[port] = port, second
        relay: int = second.getsockname()[1]
        return relay

    def _take(self, arrived_at: socket.socket) -> None:
        receiver = self._node_of[arrived_at]
        due = monotonic() + self._delay
        for _ in range(BURST):
            try:
                datagram, source = arrived_at.recvfrom(65536)
            except (BlockingIOError, ConnectionError):
                return
            sender = self._second.get(source[1])
            if sender is None:
                self._strange += 1
            elif source[1] in self._muted or receiver in self._muted or self._rng.random() < self._loss:
                self._lost += 1
            else:
                self._queue.append((due, sender, receiver, datagram))

    def _forward_due(self) -> None:
        queue, time = self._queue, monotonic()
        while queue and queue[0][0] <= time:
            _, sender, receiver, datagram = queue.popleft()
            try:
                sender.sendto(datagram, (HOST, receiver))
            except OSError:
                self._lost += 1
            else:
                self._forwarded += 1


if __name__ == "__main__":
    Relay().run()
