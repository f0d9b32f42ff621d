"""Bootstrap addresses: from what a user writes to what a socket takes.

``host:port``, ``[IPv6]:port``, a bare host or a bare IPv6 address. Names, and only they, are resolved in a
thread of their own, so that a slow name server delays nothing, not even the end of the program. Sources:
spec 01, section 2; spec 04, 2.2.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Thread
from typing import NamedTuple, TypeVar, cast

from dna_dht.errors import ConfigError, NetworkError
from dna_dht.wire.address import Address, unmapped, unpack_ip

DEFAULT_PORT = 4000  # servers of this network; spec 01, section 20
STOCK_PORT = 4222  # what stock OpenDHT nodes mean by no port; same
ADDRESSES_PER_HOST = 16  # more are ignored: a name server decides their number

Answer = TypeVar("Answer")


class HostPort(NamedTuple):
    """Where to reach a node: a name or IP address as text, and a port from 1 to 65,535."""

    host: str
    port: int

    @property
    def is_literal(self) -> bool:
        """Whether the host is an IP address, so that no name server is needed."""
        return _literal(self.host) is not None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(text: str, *, default_port: int = DEFAULT_PORT) -> HostPort:
    """Read one address.

    Args:
        text: ``host``, ``host:port``, ``[IPv6]``, ``[IPv6]:port``, or an IPv6 address without port.
        default_port: meant where none is given.

    Raises:
        ConfigError: it is none of these, or the port is not 1 to 65,535.
    """
    text = text.strip()
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ConfigError(f"address {text!r}: write [IPv6]:port")
        if not _is_ipv6(host):
            raise ConfigError(f"address {text!r}: {host!r} is not an IPv6 address")
        port = rest[1:] if rest else None
    elif _is_ipv6(text):
        host, port = text, None
    else:
        host, colon, rest = text.partition(":")
        port = rest if colon else None
    if not host or any(character.isspace() for character in host):
        raise ConfigError(f"address {text!r}: write host:port")
    if port is None:
        return HostPort(host, default_port)
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65_535):
        raise ConfigError(f"address {text!r}: a port is a number from 1 to 65535")
    return HostPort(host, int(port))


async def resolve(place: HostPort, *, ipv4: bool = True, ipv6: bool = True) -> tuple[Address, ...]:
    """The addresses of *place*, at most 16, in the order of the resolver, without duplicates.

    Raises:
        NetworkError: the name is unknown, or it has no address of the wanted families.
    """
    if (literal := _literal(place.host)) is not None:
        return _usable(place, [(literal, place.port)], ipv4=ipv4, ipv6=ipv6)
    try:
        found = await _in_thread(lambda: socket.getaddrinfo(place.host, place.port, type=socket.SOCK_DGRAM))
    except (socket.gaierror, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a valid name"
        raise NetworkError(f"cannot resolve {place.host}: {reason}") from None
    return _usable(place, ((str(name[0]), int(name[1])) for *_, name in found), ipv4=ipv4, ipv6=ipv6)


async def _in_thread(work: Callable[[], Answer]) -> Answer:
    """Run *work* in a thread nobody has to wait for: not who is cancelled, not the end of the process."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Answer] = loop.create_future()

    def finish(result: Answer | None, error: Exception | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(cast(Answer, result))

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except Exception as error:
            failure = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(finish, result, failure)

    Thread(target=run, name="dna-dht-resolve", daemon=True).start()
    return await future


def _usable(place: HostPort, names: Iterable[Address], *, ipv4: bool, ipv6: bool) -> tuple[Address, ...]:
    addresses: dict[Address, None] = {}
    for name, port in names:
        host = unmapped(name.partition("%")[0])
        if (ipv6 if ":" in host else ipv4) and len(addresses) < ADDRESSES_PER_HOST:
            addresses[host, port] = None
    if not addresses:
        raise NetworkError(f"{place.host} has no address that this node could reach")
    return tuple(addresses)


def _literal(host: str) -> str | None:
    """*host* in canonical form if it is an IP address."""
    try:
        return unpack_ip(ipaddress.ip_address(host).packed)
    except ValueError:
        return None


def _is_ipv6(text: str) -> bool:
    literal = _literal(text)
    return literal is not None and ":" in literal
