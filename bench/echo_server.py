"""The least a node can cost: a socket in an asyncio loop that sends back what it gets.

It is read the way the node's driver reads: by ``add_reader``, drained up to 64 datagrams a wake-up.
"""

import asyncio
import json
import socket
import sys

DRAIN = 64  # datagrams a wake-up; performance, section 3.1
BUFFER = 8 * 1024 * 1024  # bytes


async def main() -> None:
    """Echo until the standard input ends. The first line tells the port."""
    loop = asyncio.get_running_loop()
    echo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    echo.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    echo.setblocking(False)
    echo.bind(("127.0.0.1", 0))

    def on_readable() -> None:
        for _ in range(DRAIN):
            try:
                datagram, source = echo.recvfrom(65536)
            except BlockingIOError:
                return
            echo.sendto(datagram, source)

    loop.add_reader(echo.fileno(), on_readable)
    ended = asyncio.Event()

    def on_command() -> None:
        line = sys.stdin.readline()
        if not line:
            ended.set()
            return
        answer = {"seq": json.loads(line)["seq"], "port": echo.getsockname()[1]}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()

    loop.add_reader(sys.stdin.fileno(), on_command)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(main())
