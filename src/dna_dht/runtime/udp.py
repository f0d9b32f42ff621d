"""The two UDP sockets of a node: IPv4 and IPv6-only, on the same port number.

Values travel as bursts of up to 52 datagrams without pacing, and the kernel charges over 2 kB for each: the
default receive buffer holds ten values, and one lost datagram costs the whole value. So both sockets ask
for 8 MB, with the privileged option first, and say so when they got much less. Sources: spec 01, section 2;
performance, 3.2.
"""

import errno
import logging
import socket
import sys
from dataclasses import dataclass

from dna_dht.errors import ConfigError, NetworkError
from dna_dht.wire.address import Address, Family

BUFFER = 8 * 1024 * 1024  # bytes asked for; performance, 3.2
BUFFER_WARNING = 1024 * 1024  # bytes; below it bursts of values get lost; same
PORT_ATTEMPTS = 16  # free IPv4 ports tried until the same number is free for IPv6 as well
ANY4, ANY6 = "0.0.0.0", "::"

_FORCE = {socket.SO_RCVBUF: 33, socket.SO_SNDBUF: 32}  # SO_*BUFFORCE; Linux, asm-generic/socket.h
_UNAVAILABLE = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT})
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UdpSockets:
    """Bound, non-blocking sockets; at least one of them.

    Attributes:
        port: of both, 1 to 65,535.
    """

    ipv4: socket.socket | None
    ipv6: socket.socket | None
    port: int

    @property
    def addresses(self) -> tuple[Address, ...]:
        """What is bound, IPv4 first; nothing once they are closed."""
        open_ = (each for each in (self.ipv4, self.ipv6) if each is not None and each.fileno() != -1)
        return tuple((name[0], name[1]) for name in (each.getsockname() for each in open_))

    def close(self) -> None:
        """Close both; harmless when closed already."""
        for each in (self.ipv4, self.ipv6):
            if each is not None:
                each.close()


def bind(port: int, *, ipv4: str | None = ANY4, ipv6: str | None = ANY6) -> UdpSockets:
    """Bind the sockets of a node.

    Args:
        port: 0 to 65,535; 0 lets the system choose.
        ipv4, ipv6: the host to bind, as IP text; None leaves the family out. A family this machine does not
            have is left out too, unless the other is left out or an address of it was demanded (anything
            but 0.0.0.0 or ::).

    Raises:
        ConfigError: the port is in use or needs more rights, or a demanded address is not of this machine.
        NetworkError: the system refuses the sockets for another reason.
    """
    if not 0 <= port <= 65_535:
        raise ValueError(f"port: 0 to 65535, got {port}")
    if ipv4 is None and ipv6 is None:
        raise ValueError("at least one address family is needed")
    for _ in range(PORT_ATTEMPTS if port == 0 else 1):
        first = _bind_family(4, ipv4, port, optional=ipv4 == ANY4 and ipv6 is not None)
        chosen = first.getsockname()[1] if first is not None else port
        try:
            second = _bind_family(6, ipv6, chosen, optional=ipv6 == ANY6 and first is not None)
        except _PortInUse:
            if first is not None:
                first.close()
            if port:
                raise
            continue
        except BaseException:
            if first is not None:
                first.close()
            raise
        if first is None and second is None:
            break
        bound = first or second
        assert bound is not None
        _log_buffers(bound)
        return UdpSockets(first, second, bound.getsockname()[1])
    raise NetworkError("no UDP port is free for both IPv4 and IPv6: name a port, or leave one family out")


class _PortInUse(ConfigError):
    """Another program has the port."""


def _bind_family(family: Family, host: str | None, port: int, *, optional: bool) -> socket.socket | None:
    """The bound socket; None without *host*, or if the machine lacks an *optional* family."""
    if host is None:
        return None
    where = f"[{host}]:{port}" if family == 6 else f"{host}:{port}"
    sock = None
    try:
        sock = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        if family == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            _enlarge(sock, option)
        sock.bind((host, port))
    except OSError as error:
        if sock is not None:
            sock.close()
        if error.errno in _UNAVAILABLE and optional:
            _log.info("IPv%d is not available here: going on without it", family)
            return None
        raise _explained(error, where) from error
    return sock


def _explained(error: OSError, where: str) -> ConfigError | NetworkError:
    reason = error.strerror or str(error)
    if error.errno == errno.EADDRINUSE:
        return _PortInUse(f"UDP port {where} is in use by another program: choose another port")
    if error.errno in (errno.EACCES, errno.EPERM):
        return ConfigError(f"no permission to bind UDP port {where}: choose one above 1023")
    if error.errno in _UNAVAILABLE or isinstance(error, socket.gaierror):
        return ConfigError(f"cannot bind {where}: it is not an address of this machine ({reason})")
    return NetworkError(f"cannot bind UDP {where}: {reason}")


def _enlarge(sock: socket.socket, option: int) -> None:
    force = _FORCE[option] if sys.platform == "linux" else None
    for attempt in (force, option):
        if attempt is None:
            continue
        try:
            sock.setsockopt(socket.SOL_SOCKET, attempt, BUFFER)
        except OSError:  # no privilege, or above the system's maximum where that is an error
            continue
        return


def granted(sock: socket.socket, option: int) -> int:
    """Bytes of a buffer (*option*: SO_RCVBUF or SO_SNDBUF) in the unit of asking; Linux says twice that."""
    size = sock.getsockopt(socket.SOL_SOCKET, option)
    return size // 2 if sys.platform == "linux" else size


def _log_buffers(sock: socket.socket) -> None:
    receive, send = granted(sock, socket.SO_RCVBUF), granted(sock, socket.SO_SNDBUF)
    _log.debug("UDP buffers: %d bytes to receive, %d to send", receive, send)
    if receive < BUFFER_WARNING:
        _log.warning(
            "the UDP receive buffer has only %d kB and loses bursts of values: set net.core.rmem_max to %d",
            receive // 1024,
            BUFFER,
        )
