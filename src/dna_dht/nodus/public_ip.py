"""The address a server shows as its own. Source: spec 04, 18.2 and section 20."""

import fcntl
import socket
import struct

_SIOCGIFADDR = 0x8915  # Linux: the IPv4 address of an interface
_NAME_LIMIT = 15  # bytes of an interface name


def detect() -> str | None:
    """The first IPv4 address of this machine's interfaces that is not 127.x; None if there is none.

    Private addresses are taken too. Nothing is sent. Where the interfaces cannot be asked (not Linux): None.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:_NAME_LIMIT])
            try:
                answer = fcntl.ioctl(sock.fileno(), _SIOCGIFADDR, request)
            except OSError:  # the interface has no IPv4 address
                continue
            host = socket.inet_ntoa(answer[20:24])
            if not host.startswith("127."):
                return host
    return None
