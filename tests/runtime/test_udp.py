import errno
import logging
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from dna_dht.errors import ConfigError, NetworkError
from dna_dht.runtime import udp
from dna_dht.runtime.udp import UdpSockets, bind, granted


@pytest.fixture
def occupied() -> Iterator[int]:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def test_both_families_share_a_port_the_system_chose() -> None:
    sockets = bind(0, ipv4="127.0.0.1", ipv6="::1")
    with closing(sockets):
        assert sockets.addresses == (("127.0.0.1", sockets.port), ("::1", sockets.port))
        assert sockets.port > 0


def test_sockets_do_not_block() -> None:
    sockets = bind(0, ipv4="127.0.0.1", ipv6=None)
    with closing(sockets):
        assert sockets.ipv4 is not None
        with pytest.raises(BlockingIOError):
            sockets.ipv4.recvfrom(1)


def test_the_ipv6_socket_takes_no_ipv4() -> None:
    sockets = bind(0, ipv4=None, ipv6="::")
    with closing(sockets), closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as other:
        other.bind(("0.0.0.0", sockets.port))  # would be in use otherwise


@pytest.mark.parametrize(("ipv4", "ipv6"), [("127.0.0.1", None), (None, "::1")])
def test_one_family_can_be_left_out(ipv4: str | None, ipv6: str | None) -> None:
    sockets = bind(0, ipv4=ipv4, ipv6=ipv6)
    with closing(sockets):
        assert (sockets.ipv4 is None, sockets.ipv6 is None) == (ipv4 is None, ipv6 is None)


def test_a_port_in_use_is_a_config_error_that_names_it(occupied: int) -> None:
    with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{occupied} is in use"):
        bind(occupied, ipv4="127.0.0.1", ipv6=None)


def test_a_port_in_use_for_one_family_is_an_error_and_leaves_no_socket(occupied: int) -> None:
    with pytest.raises(ConfigError, match="in use"):
        bind(occupied, ipv4="127.0.0.1", ipv6="::1")

    bind(occupied, ipv4=None, ipv6="::1").close()


def test_an_address_of_another_machine_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="not an address of this machine"):
        bind(0, ipv4="192.0.2.1", ipv6=None)


def test_what_is_no_address_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="not an address"):
        bind(0, ipv4="no such host.invalid", ipv6=None)


@pytest.mark.parametrize("port", [-1, 65_536])
def test_ports_out_of_range_are_misuse(port: int) -> None:
    with pytest.raises(ValueError, match="0 to 65535"):
        bind(port)


def test_no_family_at_all_is_misuse() -> None:
    with pytest.raises(ValueError, match="family"):
        bind(0, ipv4=None, ipv6=None)


class _Refusing(socket.socket):
    """A socket whose bind fails as it does for the family and reason the test chose."""

    family_refused: int = socket.AF_INET6
    reason: int = errno.EAFNOSUPPORT

    def bind(self, address: object) -> None:
        if self.family == self.family_refused:
            raise OSError(self.reason, "refused")
        super().bind(address)  # type: ignore[arg-type]


@pytest.mark.parametrize("refused", [socket.AF_INET, socket.AF_INET6])
def test_a_family_the_machine_lacks_is_left_out(monkeypatch: pytest.MonkeyPatch, refused: int) -> None:
    monkeypatch.setattr(_Refusing, "family_refused", refused)
    monkeypatch.setattr(socket, "socket", _Refusing)

    sockets = bind(0)

    with closing(sockets):
        assert (sockets.ipv4 is None) == (refused == socket.AF_INET)
        assert (sockets.ipv6 is None) == (refused == socket.AF_INET6)


def test_a_family_the_machine_lacks_is_an_error_if_it_is_the_only_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "socket", _Refusing)
    with pytest.raises(ConfigError, match=r"\[::\]:0"):
        bind(0, ipv4=None)


def test_a_demanded_address_is_an_error_if_it_cannot_be_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", _Refusing)
    with pytest.raises(ConfigError, match=r"\[::1\]:\d+: it is not"):
        bind(0, ipv6="::1")


def test_missing_rights_are_a_config_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Refusing, "reason", errno.EACCES)
    monkeypatch.setattr(socket, "socket", _Refusing)
    with pytest.raises(ConfigError, match="no permission"):
        bind(0)


def test_other_refusals_are_network_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Refusing, "reason", errno.ENOBUFS)
    monkeypatch.setattr(socket, "socket", _Refusing)
    with pytest.raises(NetworkError, match="refused"):
        bind(0)


def test_another_port_is_tried_if_ipv6_has_not_the_one_of_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    real = udp._bind_family
    refused: list[int] = []

    def once_in_use(family: int, host: str | None, port: int, *, optional: bool) -> socket.socket | None:
        if family == 6 and not refused:
            refused.append(port)
            raise udp._PortInUse("taken")
        return real(family, host, port, optional=optional)  # type: ignore[arg-type]

    monkeypatch.setattr(udp, "_bind_family", once_in_use)
    sockets = bind(0, ipv4="127.0.0.1", ipv6="::1")
    with closing(sockets):
        assert len(sockets.addresses) == 2


def test_large_buffers_are_asked_for_and_small_ones_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    sockets = bind(0, ipv4="127.0.0.1", ipv6=None)
    with closing(sockets):
        assert sockets.ipv4 is not None
        size = granted(sockets.ipv4, socket.SO_RCVBUF)
    assert size > 212_992 or "net.core.rmem_max" in caplog.text

    caplog.clear()
    monkeypatch.setattr(udp, "BUFFER_WARNING", size + 1)
    bind(0, ipv4="127.0.0.1", ipv6=None).close()
    assert "net.core.rmem_max" in caplog.text


def test_closing_twice_is_harmless() -> None:
    sockets: UdpSockets = bind(0, ipv4="127.0.0.1", ipv6=None)
    sockets.close()
    sockets.close()
    bind(sockets.port, ipv4="127.0.0.1", ipv6=None).close()
