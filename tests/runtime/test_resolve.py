import asyncio
import socket
import threading

import pytest

from dna_dht.errors import ConfigError, NetworkError
from dna_dht.runtime.resolve import STOCK_PORT, HostPort, parse, resolve


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bootstrap.example:4001", ("bootstrap.example", 4001)),
        ("bootstrap.example", ("bootstrap.example", 4000)),
        (" 192.0.2.1:1 ", ("192.0.2.1", 1)),
        ("[2001:db8::1]:65535", ("2001:db8::1", 65_535)),
        ("[2001:db8::1]", ("2001:db8::1", 4000)),
        ("2001:db8::1", ("2001:db8::1", 4000)),
        ("::1", ("::1", 4000)),
    ],
)
def test_forms_of_an_address(text: str, expected: tuple[str, int]) -> None:
    assert parse(text) == expected


def test_the_default_port_is_the_callers_choice() -> None:
    assert parse("host", default_port=STOCK_PORT) == ("host", 4222)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":4000",
        "host:",
        "host:0",
        "host:65536",
        "host:-1",
        "host:+1",
        "host:4000x",
        "host:४०००",
        "host:999999999999999999999",
        "a b:4000",
        "[::1",
        "[::1]4000",
        "[::1]:",
        "[host]:4000",
        "[]:4000",
        "1:2:3",
    ],
)
def test_what_is_none_is_a_config_error(text: str) -> None:
    with pytest.raises(ConfigError):
        parse(text)


@pytest.mark.parametrize(("host", "text"), [("::1", "[::1]:4000"), ("host", "host:4000")])
def test_text_can_be_parsed_again(host: str, text: str) -> None:
    assert str(HostPort(host, 4000)) == text
    assert parse(text) == (host, 4000)


async def test_literals_resolve_to_themselves() -> None:
    assert await resolve(HostPort("127.0.0.1", 4000)) == (("127.0.0.1", 4000),)
    assert await resolve(HostPort("::1", 4000)) == (("::1", 4000),)


async def test_mapped_addresses_are_ipv4() -> None:
    assert await resolve(HostPort("::ffff:127.0.0.1", 4000), ipv6=False) == (("127.0.0.1", 4000),)


async def test_names_resolve_without_duplicates(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(*_: object, **__: object) -> list[tuple[object, ...]]:
        found = [("192.0.2.1", 7), ("192.0.2.1", 7), ("fe80::1%eth0", 7, 0, 2)]
        found += [(f"198.51.100.{last}", 7) for last in range(40)]
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", name) for name in found]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    addresses = await resolve(HostPort("many.example", 7))

    assert addresses[:2] == (("192.0.2.1", 7), ("fe80::1", 7))
    assert len(addresses) == len(set(addresses)) == 16


async def test_a_family_the_node_lacks_is_left_out() -> None:
    with pytest.raises(NetworkError, match="no address"):
        await resolve(HostPort("127.0.0.1", 4000), ipv4=False)


@pytest.mark.parametrize("host", ["unknown.invalid", "a" * 300])
async def test_an_unknown_name_is_a_network_error(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    def fail(name: str, *_: object, **__: object) -> list[object]:
        name.encode("idna")
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(NetworkError, match="cannot resolve"):
        await resolve(HostPort(host, 4000))


async def test_nobody_waits_for_a_name_server_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        gate.wait(5)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    resolving = asyncio.ensure_future(resolve(HostPort("slow.example", 4000)))
    await asyncio.sleep(0)
    resolving.cancel()
    await asyncio.gather(resolving, return_exceptions=True)
    (thread,) = [each for each in threading.enumerate() if each.name == "dna-dht-resolve"]

    assert resolving.cancelled()
    assert thread.daemon
    gate.set()
    thread.join()
    await asyncio.sleep(0)
