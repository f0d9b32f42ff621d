"""Detecting an address to show."""

import ipaddress
import socket

import pytest

from dna_dht.nodus import public_ip


def test_an_address_of_this_machine_or_none() -> None:
    host = public_ip.detect()
    assert host is None or not ipaddress.IPv4Address(host).is_loopback


def test_loopback_alone_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo")])
    assert public_ip.detect() is None


def test_interfaces_that_cannot_be_asked_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(7, "no-such-interface-at-all")])
    assert public_ip.detect() is None
