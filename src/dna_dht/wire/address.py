"""Addresses of nodes: (host, port) with the host as the kernel's inet_ntop writes it.

One text per address, so that equality of tuples is equality of addresses. IPv6 without scope and flow
label. Everything is cached, with bounds: a node talks to the same few thousand hosts all the time.
"""

import ipaddress
from functools import lru_cache
from typing import Literal

Address = tuple[str, int]
"""(host text, port)."""

Family = Literal[4, 6]
"""IP version; the two families are two separate overlays."""

_CACHED = 8_192  # hosts; about 1 MB per function
_MAPPED = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96


def family_of(address: Address) -> Family:
    """The IP version of *address*."""
    return 6 if ":" in address[0] else 4


def is_martian(address: Address) -> bool:
    """Whether no packet from, and no node list entry with *address* is to be believed (spec 01, 2.1).

    Sources that are IPv4 mapped into IPv6 are turned into IPv4 before (:func:`unmapped`): mapped is martian.
    """
    return address[1] == 0 or _is_martian_host(address[0])


@lru_cache(_CACHED)
def unmapped(host: str) -> str:
    """An IPv4-mapped IPv6 host as IPv4; others as they are."""
    if ":" not in host:
        return host
    raw = pack_ip(host)
    return unpack_ip(raw[12:]) if raw.startswith(_MAPPED) else host


@lru_cache(_CACHED)
def pack_ip(host: str) -> bytes:
    """4 or 16 bytes; ValueError if *host* is no IP address."""
    return ipaddress.ip_address(host).packed


@lru_cache(_CACHED)
def unpack_ip(raw: bytes) -> str:
    """The canonical text of a 4 or 16 byte address; ValueError for other lengths."""
    if len(raw) == 4:
        return ".".join(map(str, raw))
    address = ipaddress.IPv6Address(raw)
    if not raw.startswith(bytes(10)):
        return address.compressed
    # inet_ntop writes IPv4 inside the mapped and the (long abandoned) compatible range as IPv4.
    tail = ".".join(map(str, raw[12:]))
    if raw[10:12] == b"\xff\xff":
        return "::ffff:" + tail
    if raw[10:12] == b"\0\0" and raw[12:14] != b"\0\0":
        return "::" + tail
    return address.compressed


@lru_cache(_CACHED)
def source_group(host: str) -> str:
    """Whom a rate limit counts: the IPv4 host, or the /64 of an IPv6 one (spec 01, 15.2)."""
    host = unmapped(host)
    return host if ":" not in host else unpack_ip(pack_ip(host)[:8] + bytes(8)) + "/64"


@lru_cache(_CACHED)
def subnet(host: str) -> str:
    """The /24 or /48 of *host*: hosts of one subnet are likely in one hand."""
    raw = pack_ip(unmapped(host))
    return unpack_ip(raw[:3] + b"\0") + "/24" if len(raw) == 4 else unpack_ip(raw[:6] + bytes(10)) + "/48"


@lru_cache(_CACHED)
def is_loopback(host: str) -> bool:
    """Whether *host* is this machine: 127.0.0.0/8, ::1, or the former mapped into IPv6."""
    host = unmapped(host)
    return host.startswith("127.") or host == "::1"


@lru_cache(_CACHED)
def is_private(host: str) -> bool:
    """Whether *host* is loopback, link-local or of a private network (RFC 1918, RFC 4193)."""
    raw = pack_ip(unmapped(host))
    if len(raw) == 4:
        return (
            raw[0] in (10, 127)
            or raw[:2] in (b"\xc0\xa8", b"\xa9\xfe")
            or (raw[0] == 172 and raw[1] & 0xF0 == 16)
        )
    return raw[0] & 0xFE == 0xFC or (raw[0] == 0xFE and raw[1] & 0xC0 == 0x80) or host == "::1"


@lru_cache(_CACHED)
def _is_martian_host(host: str) -> bool:
    try:
        raw = pack_ip(host)
    except ValueError:
        return True
    if len(raw) == 4:
        return raw[0] == 0 or raw[0] >= 224
    return raw[0] == 0xFF or not any(raw) or raw.startswith(_MAPPED)
