"""Keys, addresses, lifetimes and data as users write them."""

import errno
import io
from pathlib import Path

import click
import pytest

from dna_dht.cli.failures import Exit, Failure
from dna_dht.cli.options import (
    Key,
    NetworkOptions,
    network_options,
    parse_endpoint,
    parse_key,
    parse_owner,
    parse_ttl,
    read_data,
)
from dna_dht.nodus.networks import MAINNET
from dna_dht.wire.infohash import InfoHash


class Broken(io.RawIOBase):
    """A stream that cannot be read."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        raise OSError(errno.EIO, "Input/output error")


def test_text_keys_are_hashed() -> None:
    # the index key of the bootstrap registry, recorded from the reference (spec 04, 14.1)
    key = parse_key("text:dna:bootstrap:nodes")
    assert key == Key(
        "text:dna:bootstrap:nodes", InfoHash.from_hex("382ec4de700b6aee7d88a8d9b377354b6c172b07")
    )


def test_forty_hex_digits_are_the_id_itself() -> None:
    digits = "ab" * 20
    assert parse_key(f"hex:{digits}").hash == bytes.fromhex(digits)
    assert parse_key(f"hex:{digits.upper()}").hash == bytes.fromhex(digits)


@pytest.mark.parametrize("size", [21, 32, 64])
def test_longer_hex_keys_are_hashed(size: int) -> None:
    raw = bytes(range(size))
    assert parse_key(f"hex:{raw.hex()}").hash == InfoHash.of(raw)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "greeting",
        "text:",
        "hex:",
        "hex:" + "ab" * 19,
        "hex:" + "a" * 41,
        "hex:" + "xy" * 20,
        "hex:" + "0" * 40,
    ],
)
def test_other_keys_are_refused(bad: str) -> None:
    with pytest.raises(click.BadParameter):
        parse_key(bad)


def test_text_keys_need_not_be_ascii() -> None:
    assert parse_key("text:grüße").hash == InfoHash.of("grüße".encode())


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("127.0.0.1:4100", "127.0.0.1:4100"),
        ("127.0.0.1", "127.0.0.1:4000"),
        ("node.example:1", "node.example:1"),
        ("[::1]:4100", "[::1]:4100"),
        ("::1", "[::1]:4000"),
    ],
)
def test_addresses(text: str, endpoint: str) -> None:
    assert parse_endpoint(text) == endpoint


@pytest.mark.parametrize(
    "bad", ["", ":4000", "host:", "host:0", "host:65536", "host:x", "[::1", "two words:1"]
)
def test_malformed_addresses(bad: str) -> None:
    with pytest.raises(click.BadParameter):
        parse_endpoint(bad)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1", 1),
        ("90s", 90),
        ("5m", 300),
        ("12h", 43_200),
        ("7d", 604_800),
        ("52w", 31_449_600),
        ("365d", 31_536_000),
    ],
)
def test_lifetimes(text: str, seconds: int) -> None:
    assert parse_ttl(text) == seconds


@pytest.mark.parametrize("bad", ["", "0", "0d", "-1", "1.5d", "d", "7y", "7 d", "4294967296", "99999999999"])
def test_malformed_lifetimes(bad: str) -> None:
    with pytest.raises(click.BadParameter):
        parse_ttl(bad)


@pytest.mark.parametrize("bad", ["", "ab" * 19, "ab" * 21, "xy" * 20])
def test_malformed_owners(bad: str) -> None:
    with pytest.raises(click.BadParameter):
        parse_owner(bad)


def test_data_is_the_text_itself() -> None:
    assert read_data("grüße", 100) == "grüße".encode()


def test_data_from_a_file_is_taken_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_bytes(b"\x00\xff\r\n")
    assert read_data(f"@{path}", 100) == b"\x00\xff\r\n"


def test_data_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff\n")))
    assert read_data("-", 100) == b"\xff\n"


def test_standard_input_that_cannot_be_read_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(Broken())))
    with pytest.raises(Failure, match="standard input: Input/output error") as caught:
        read_data("-", 100)
    assert caught.value.exit_code == Exit.USAGE


def test_data_up_to_the_limit_and_one_past_it(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(100))
    assert len(read_data(f"@{path}", 100)) == 100
    with pytest.raises(Failure, match=r"larger than the 99 bytes.*chunk layer") as caught:
        read_data(f"@{path}", 99)
    assert caught.value.exit_code == Exit.USAGE


def test_a_file_without_a_name_is_wrong_usage() -> None:
    with pytest.raises(Failure, match="write @FILE") as caught:
        read_data("@", 100)
    assert caught.value.exit_code == Exit.USAGE


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"cannot read .*missing\.txt: No such file") as caught:
        read_data(f"@{tmp_path / 'missing.txt'}", 100)
    assert caught.value.exit_code == Exit.USAGE


def network_of(*arguments: str) -> NetworkOptions:
    """What a command is given for *arguments*. Nothing is contacted."""
    seen: list[NetworkOptions] = []

    @click.command()
    @network_options(default_timeout=30)
    def command(network: NetworkOptions) -> None:
        seen.append(network)

    command(arguments, standalone_mode=False)
    return seen[0]


def test_no_network_is_contacted_unless_it_is_named() -> None:
    assert network_of().bootstrap == ()
    assert network_of("--network", "mainnet").bootstrap == MAINNET


def test_nodes_of_a_named_network_come_after_those_given_and_once() -> None:
    given = ("-b", "127.0.0.1:4100", "-b", MAINNET[1], "-b", "127.0.0.1:4100")
    assert network_of("--network", "mainnet", *given).bootstrap == (
        "127.0.0.1:4100",
        MAINNET[1],
        MAINNET[0],
        MAINNET[2],
    )


@pytest.mark.parametrize(
    ("option", "endpoints"), [("-4", ["[::1]:4000", "::2"]), ("-6", ["127.0.0.1", "127.0.0.2:4000"])]
)
def test_a_family_that_leaves_no_address_is_refused_at_once(option: str, endpoints: list[str]) -> None:
    given = [each for endpoint in endpoints for each in ("-b", endpoint)]
    with pytest.raises(click.UsageError, match=f"{option} leaves out"):
        network_of(option, *given)
    assert len(network_of(option, *given, "-b", "localhost").bootstrap) == 3
    assert len(network_of(*given).bootstrap) == 2


def test_address_families_and_limits() -> None:
    assert network_of() == NetworkOptions((), True, True, 0, 30.0)
    assert network_of("-4", "--network-id", "7", "--timeout", "1.5") == NetworkOptions(
        (), True, False, 7, 1.5
    )
    assert network_of("-6").ipv4 is False
