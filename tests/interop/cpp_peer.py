"""Stock OpenDHT nodes (the PyPI package ``opendht``) in a process of their own, driven by JSON lines.

Run as a child: commands on standard input, one JSON object a line; answers and events on standard output. It
ends with its input, at once and without the engine's own shutdown, which can hang. Every command carries
``seq``, which its answer repeats, and ``node``, which of the nodes of this process is meant (default 0):

    start      ipv4, ipv6 (addresses, "" for none), port, network, unlimited, id (hex)  ->  id, port4, port6
    bootstrap  host, port                       ->  ok
    ping       host, port                       ->  ok, seconds
    put        key (hex), data (base64), id, user_type  ->  ok, seconds
    get        key                              ->  ok, values [{id, data, user_type}], first, seconds
    listen     key                              ->  ok; then events {listen: seq, id, data, expired}
    cpu        (nothing)                        ->  seconds of processor time this process has used

``seconds`` and ``first`` run from the call into the engine to its callback. Every answer says when it was
written (``at``, seconds of CLOCK_MONOTONIC, which all processes share).
"""

import base64
import json
import os
import resource
import socket
import sys
import threading
import time
from typing import Any

import opendht

_out = threading.Lock()


def say(answer: dict[str, Any]) -> None:
    """Write one answer; callbacks come from the threads of the engine."""
    line = json.dumps({"at": time.perf_counter(), **answer}) + "\n"
    with _out:
        sys.stdout.write(line)
        sys.stdout.flush()


class Nodes:
    """The nodes of this process and what can be asked of them."""

    def __init__(self) -> None:
        self._nodes: dict[int, Any] = {}
        self._tokens: list[Any] = []

    def start(self, command: dict[str, Any]) -> None:
        config = opendht.DhtConfig()
        config.setNetwork(command.get("network", 0))
        if "id" in command:
            config.setNodeId(opendht.InfoHash(command["id"].encode()))
        if command.get("unlimited"):
            config.setRateLimit(-1, -1)
        ipv4, ipv6 = command.get("ipv4", "127.0.0.1"), command.get("ipv6", "")
        node = opendht.DhtRunner()
        node.run(port=command.get("port", 0), ipv4=ipv4, ipv6=ipv6, config=config)
        self._nodes[command.get("node", 0)] = node
        say(
            {
                "seq": command["seq"],
                "id": str(node.getNodeId()),
                "port4": node.getBound(socket.AF_INET).getPort() if ipv4 else 0,
                "port6": node.getBound(socket.AF_INET6).getPort() if ipv6 else 0,
            }
        )

    def bootstrap(self, command: dict[str, Any]) -> None:
        self._node(command).bootstrap(command["host"], str(command["port"]))
        say({"seq": command["seq"], "ok": True})

    def ping(self, command: dict[str, Any]) -> None:
        address = opendht.SockAddr.resolve(command["host"], str(command["port"]))[0]
        started = time.perf_counter()
        self._node(command).ping(address, lambda ok, *_: self._done(command, ok, started))

    def put(self, command: dict[str, Any]) -> None:
        value = opendht.Value(base64.b64decode(command["data"]))
        if "id" in command:
            value.id = command["id"]
        if "user_type" in command:
            value.user_type = command["user_type"]
        key = opendht.InfoHash(command["key"].encode())
        started = time.perf_counter()
        self._node(command).put(key, value, lambda ok, *_: self._done(command, ok, started))

    def get(self, command: dict[str, Any]) -> None:
        key = opendht.InfoHash(command["key"].encode())
        values: list[dict[str, Any]] = []
        first: list[float] = []
        started = time.perf_counter()

        def found(value: Any) -> bool:
            first.append(time.perf_counter() - started)
            values.append(_described(value))
            return True

        def done(ok: bool, *_: Any) -> None:
            self._done(command, ok, started, values=values, first=first[0] if first else None)

        self._node(command).get(key, found, done)

    def listen(self, command: dict[str, Any]) -> None:
        key = opendht.InfoHash(command["key"].encode())

        def changed(value: Any, expired: bool) -> bool:
            say({"listen": command["seq"], "expired": bool(expired), **_described(value)})
            return True

        self._tokens.append(self._node(command).listen(key, changed))
        say({"seq": command["seq"], "ok": True})

    def cpu(self, command: dict[str, Any]) -> None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        say({"seq": command["seq"], "seconds": usage.ru_utime + usage.ru_stime})

    def _node(self, command: dict[str, Any]) -> Any:
        return self._nodes[command.get("node", 0)]

    @staticmethod
    def _done(command: dict[str, Any], ok: bool, started: float, **more: Any) -> None:
        say({"seq": command["seq"], "ok": bool(ok), "seconds": time.perf_counter() - started, **more})


def _described(value: Any) -> dict[str, Any]:
    user_type = value.user_type
    return {
        "id": value.id,
        "data": base64.b64encode(value.data).decode(),
        "user_type": user_type.decode() if isinstance(user_type, bytes) else user_type,
    }


def main() -> None:
    """Obey until the input ends."""
    nodes = Nodes()
    commands = {
        "start": nodes.start,
        "bootstrap": nodes.bootstrap,
        "ping": nodes.ping,
        "put": nodes.put,
        "get": nodes.get,
        "listen": nodes.listen,
        "cpu": nodes.cpu,
    }
    for line in sys.stdin:
        command = json.loads(line)
        try:
            commands[command["op"]](command)
        except Exception as error:  # whatever the binding raises belongs to the command, not to the process
            say({"seq": command.get("seq"), "ok": False, "error": repr(error)})
    os._exit(0)


if __name__ == "__main__":
    main()
