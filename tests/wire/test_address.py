"""Addresses: the texts are those of the kernel, and what is refused."""

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_dht.wire.address import (
    family_of,
    is_loopback,
    is_martian,
    is_private,
    pack_ip,
    source_group,
    subnet,
    unmapped,
    unpack_ip,
)

SPARSE = st.lists(st.sampled_from([0, 0, 0, 1, 0xFF, 0xAB]), min_size=16, max_size=16).map(bytes)
GROUPS = st.lists(
    st.sampled_from([b"\0\0", b"\0\0", b"\0\1", b"\xff\xff", b"\x20\x01"]), min_size=8, max_size=8
)
IPV6 = st.binary(min_size=16, max_size=16) | SPARSE | GROUPS.map(b"".join)
IPV4 = st.binary(min_size=4, max_size=4)


@given(IPV4)
def test_ipv4_text_is_the_kernels(raw: bytes) -> None:
    assert unpack_ip(raw) == socket.inet_ntop(socket.AF_INET, raw)
    assert pack_ip(unpack_ip(raw)) == raw and family_of((unpack_ip(raw), 1)) == 4


@given(IPV6)
def test_ipv6_text_is_the_kernels(raw: bytes) -> None:
    assert unpack_ip(raw) == socket.inet_ntop(socket.AF_INET6, raw)
    assert pack_ip(unpack_ip(raw)) == raw and family_of((unpack_ip(raw), 1)) == 6


@pytest.mark.parametrize(
    "text",
    ["::", "::1", "::2:3", "::ffff:1.2.3.4", "::1.2.3.4", "1::", "1:0:0:2::3", "fe80::1", "1:2:3:4:5:6:0:8"],
)
def test_ipv6_texts_of_note(text: str) -> None:
    raw = socket.inet_pton(socket.AF_INET6, text)
    assert unpack_ip(raw) == socket.inet_ntop(socket.AF_INET6, raw)


@pytest.mark.parametrize("host", ["", "1.2.3", "256.1.1.1", "localhost", "::g"])
def test_other_texts_are_refused(host: str) -> None:
    with pytest.raises(ValueError):
        pack_ip(host)
    assert is_martian((host, 4000))


@pytest.mark.parametrize("length", [0, 3, 5, 15, 17])
def test_other_lengths_are_refused(length: int) -> None:
    with pytest.raises(ValueError):
        unpack_ip(bytes(length))


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("192.0.2.1", 0),
        ("2001:db8::1", 0),
        ("0.1.2.3", 4000),
        ("224.0.0.1", 4000),
        ("255.255.255.255", 4000),
        ("ff02::1", 4000),
        ("::", 4000),
        ("::ffff:192.0.2.1", 4000),
    ],
)
def test_martians(host: str, port: int) -> None:
    assert is_martian((host, port))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.0.0.1", "223.255.255.255", "1.0.0.0", "::1", "fe80::1", "::2"]
)
def test_loopback_and_private_addresses_are_no_martians(host: str) -> None:
    assert not is_martian((host, 1)) and not is_martian((host, 65535))


def test_mapped_addresses_become_ipv4() -> None:
    assert unmapped("::ffff:192.0.2.7") == "192.0.2.7"
    assert unmapped("192.0.2.7") == "192.0.2.7" and unmapped("2001:db8::7") == "2001:db8::7"


def test_groups_of_sources() -> None:
    assert source_group("192.0.2.7") == source_group("::ffff:192.0.2.7") == "192.0.2.7"
    assert source_group("2001:db8:0:1:2::3") == source_group("2001:db8:0:1::") == "2001:db8:0:1::/64"
    assert source_group("2001:db8:0:2::3") != source_group("2001:db8:0:1::3")


def test_subnets() -> None:
    assert subnet("192.0.2.7") == subnet("192.0.2.200") == "192.0.2.0/24" != subnet("192.0.3.7")
    assert (
        subnet("2001:db8:1:2::3")
        == subnet("2001:db8:1:ffff::")
        == "2001:db8:1::/48"
        != subnet("2001:db8:2::")
    )


@given(IPV4.map(unpack_ip) | IPV6.map(unpack_ip))
def test_loopback_and_private_agree_with_the_registry(host: str) -> None:
    plain = ipaddress.ip_address(unmapped(host))
    assert is_loopback(host) == plain.is_loopback
    if is_loopback(host):
        assert is_private(host)
    if is_private(host):
        assert plain.is_private or plain.is_link_local


@pytest.mark.parametrize(
    "host", ["10.1.2.3", "172.16.0.1", "172.31.0.1", "192.168.1.1", "169.254.1.1", "fd00::1"]
)
def test_private_networks(host: str) -> None:
    assert is_private(host) and not is_loopback(host)


@pytest.mark.parametrize("host", ["172.15.0.1", "172.32.0.1", "11.0.0.1", "192.169.0.1", "2001:db8::1"])
def test_public_networks(host: str) -> None:
    assert not is_private(host)
