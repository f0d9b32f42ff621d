"""What users may write on the command line, and what it means: keys, addresses, lifetimes, data."""

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from dna_dht.cli.failures import Exit, Failure
from dna_dht.nodus.networks import NETWORKS
from dna_dht.wire.infohash import LENGTH, ZERO, InfoHash

MAX_BOOTSTRAP = 64
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}  # seconds
_MAX_TTL = 2**32 - 1  # seconds; spec 04, section 1

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Key(NamedTuple):
    """A key as the user wrote it, and the point in the key space that it means."""

    text: str
    hash: InfoHash


def parse_key(text: str) -> Key:
    """``text:WORDS`` (hashed), or ``hex:DIGITS``: 40 digits are the id itself, more are hashed."""
    kind, _, rest = text.partition(":")
    if kind == "text" and rest:
        return Key(text, InfoHash.of(rest.encode("utf-8", "surrogateescape")))
    if kind != "hex":
        raise click.BadParameter(f"{text!r}: write text:WORDS, or hex:DIGITS (40 digits: the id itself)")
    if not re.fullmatch(r"(?:[0-9a-fA-F]{2})+", rest) or len(rest) < 2 * LENGTH:
        raise click.BadParameter(f"hex: needs {2 * LENGTH} hex digits, or an even number above")
    raw = bytes.fromhex(rest)
    key = InfoHash(raw) if len(raw) == LENGTH else InfoHash.of(raw)
    if key == ZERO:
        raise click.BadParameter("hex: the zero id means 'none' and cannot hold values")
    return Key(text, key)


def parse_endpoint(text: str) -> str:
    """``HOST``, ``HOST:PORT`` or ``[IPv6]:PORT``, returned with its port, which defaults to 4000."""
    from dna_dht.errors import ConfigError
    from dna_dht.runtime.resolve import parse

    try:
        return str(parse(text))
    except ConfigError as error:
        raise click.BadParameter(str(error)) from error


def parse_ttl(text: str) -> int:
    """Seconds, 1 to 2**32 - 1; also a number with s, m, h, d or w."""
    match = re.fullmatch(r"([0-9]{1,10})([smhdw]?)", text)
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 1 <= seconds <= _MAX_TTL:
        raise click.BadParameter(f"{text!r}: write seconds, or 7d, 30d, 365d")
    return seconds


def parse_owner(text: str) -> InfoHash:
    """The 40 hex digits of an owner id, as `get` and `keygen` print it."""
    try:
        return InfoHash.from_hex(text)
    except ValueError:
        raise click.BadParameter(f"{text!r}: an owner id has {2 * LENGTH} hex digits") from None


def parsed(parse: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A click callback that applies *parse* to what was given: a text, several, or None."""

    def callback(context: click.Context, parameter: click.Parameter, given: Any) -> Any:
        if isinstance(given, tuple):
            return tuple(parse(text) for text in given)
        return None if given is None else parse(given)

    return callback


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """How to reach a network.

    Attributes:
        bootstrap: ``host:port`` texts to start from.
        ipv4, ipv6: address families to use.
        network: network id, 0 to 2**32 - 1.
        timeout: seconds for the whole command; None: no limit.
    """

    bootstrap: tuple[str, ...]
    ipv4: bool
    ipv6: bool
    network: int
    timeout: float | None

    def require_bootstrap(self) -> None:
        """Refuse, exit 2, if there is no node to start from."""
        if not self.bootstrap:
            raise Failure(
                "no node to start from: give one with -b HOST:PORT, or name a network with --network",
                Exit.USAGE,
            )

    def require_usable(self) -> None:
        """Refuse, exit 2, if -4 or -6 leaves out every address; names may have one of each family."""
        out = r"[0-9.]+:[0-9]+" if not self.ipv4 else r"\[.*" if not self.ipv6 else None
        if out and self.bootstrap and all(re.fullmatch(out, endpoint) for endpoint in self.bootstrap):
            option, family = ("-6", 4) if not self.ipv4 else ("-4", 6)
            raise click.UsageError(
                f"{option} leaves out IPv{family}, and {self.bootstrap[0]} is all there is"
            )


def network_options(
    default_timeout: float | None, *, bootstrap: bool = True
) -> Callable[[_Function], _Function]:
    """Add -4, -6, --network-id, --timeout, and for *bootstrap* -b and --network.

    The command gets them as ``network``.
    """

    def decorate(function: _Function) -> _Function:
        def command(
            *args: Any,
            only4: bool,
            only6: bool,
            network_id: int,
            timeout: float | None,
            endpoints: tuple[str, ...] = (),
            network_name: str | None = None,
            **rest: Any,
        ) -> Any:
            if only4 and only6:
                raise click.UsageError("-4 and -6 exclude each other")
            if len(endpoints) > MAX_BOOTSTRAP:
                raise click.UsageError(f"-b can be given {MAX_BOOTSTRAP} times")
            named = NETWORKS[network_name] if network_name else ()
            options = NetworkOptions(
                tuple(dict.fromkeys((*endpoints, *named))), not only6, not only4, network_id, timeout
            )
            options.require_usable()
            return function(*args, network=options, **rest)

        command.__name__ = function.__name__
        command.__doc__ = function.__doc__
        command.__dict__.update(function.__dict__)
        options = [*(_bootstrap_options() if bootstrap else ()), *_network_options(default_timeout)]
        for option in reversed(options):
            option(command)
        return command  # type: ignore[return-value]  # same function for click, which calls by keyword

    return decorate


def _number(context: click.Context, parameter: click.Parameter, seconds: float | None) -> float | None:
    """Refuse "nan", which is within every range."""
    if seconds is not None and isnan(seconds):
        raise click.BadParameter("nan is no number of seconds")
    return seconds


def _bootstrap_options() -> list[Callable[[Any], Any]]:
    return [
        click.option(
            "-b",
            "endpoints",
            metavar="HOST:PORT",
            multiple=True,
            callback=parsed(parse_endpoint),
            envvar="DNA_DHT_BOOTSTRAP",
            help="A node to start from (repeatable); port 4000 if not given. Also: $DNA_DHT_BOOTSTRAP.",
        ),
        click.option(
            "--network",
            "network_name",
            type=click.Choice(sorted(NETWORKS)),
            help="Start from the nodes of a named public network. Nothing contacts it otherwise.",
        ),
    ]


def _network_options(default_timeout: float | None) -> list[Callable[[Any], Any]]:
    return [
        click.option("-4", "only4", is_flag=True, help="IPv4 only."),
        click.option("-6", "only6", is_flag=True, help="IPv6 only."),
        click.option(
            "--network-id",
            type=click.IntRange(0, 2**32 - 1),
            default=0,
            show_default=True,
            help="Number that keeps networks apart on the wire.",
        ),
        click.option(
            "--timeout",
            type=click.FloatRange(0, 86_400, min_open=True),
            default=default_timeout,
            show_default=True,
            callback=_number,
            help="Seconds for the whole command.",
        ),
    ]


key_argument = click.argument("key", callback=parsed(parse_key))
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="No notes on standard error.")
value_id_option = click.option(
    "--id", "value_id", type=click.IntRange(1, 2**64 - 1), help="Only the value with this id."
)
owner_option = click.option(
    "--owner", metavar="ID", callback=parsed(parse_owner), help="Only values signed by this owner id."
)
identity_option = click.option(
    "--identity",
    "identity_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Sign with this identity (see keygen) or data directory. Default: yours, made at the first put.",
)


def read_data(argument: str, limit: int) -> bytes:
    """The bytes that ``TEXT``, ``@FILE`` or ``-`` (standard input) mean; Failure if more than *limit*."""
    if argument == "-":
        if sys.stdin is None:
            raise Failure("cannot read standard input: it is closed", Exit.USAGE)
        try:
            data = sys.stdin.buffer.read(limit + 1)
        except OSError as error:
            raise Failure(f"cannot read standard input: {error.strerror or error}", Exit.USAGE) from error
    elif argument.startswith("@"):
        if argument == "@":
            raise Failure("@ alone names no file: write @FILE, or - for standard input", Exit.USAGE)
        path = Path(os.fsdecode(argument[1:]))
        try:
            with path.open("rb") as file:
                data = file.read(limit + 1)
        except OSError as error:
            raise Failure(f"cannot read {path}: {error.strerror or error}", Exit.USAGE) from error
    else:
        data = argument.encode("utf-8", "surrogateescape")
    if len(data) > limit:
        raise Failure(
            f"the data is larger than the {limit:,} bytes that fit into one value: cut it into several values"
            " (the chunk layer of the messaging library does that)",
            Exit.USAGE,
        )
    return data
