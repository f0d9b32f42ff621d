"""NodusConfig: what an operator may set. Sources: spec 04, section 18.1; spec 00, section 5.

Settings come in layers, the strongest first: the command line, whatever a later release reads, the
defaults here. Whoever reads a layer hands over a mapping of field names; :meth:`NodusConfig.layered` joins
them and checks the result once.
"""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from dna_dht.crypto.verifiers import VERIFIERS
from dna_dht.errors import ConfigError
from dna_dht.runtime.resolve import DEFAULT_PORT, parse

MAX_BOOTSTRAP = 5  # -b options; spec 04, section 18.1
LABEL_LIMIT = 255  # bytes of the identity label; spec 04, section 1
PATH_LIMIT = 511  # bytes of the persistence path; spec 04, section 1
STATE_NAME = "bootstrap.state"
SYSTEM_DATA = Path("/var/lib/dna-dht")  # spec 04, section 18.6


@dataclass(frozen=True, slots=True, kw_only=True)
class NodusConfig:
    """Settings of one server; ConfigError if one cannot work.

    Attributes:
        port: UDP port, 0 to 65,535; 0 uses the port of the last run, or lets the system choose.
        identity: label for people; no influence on the network.
        persistence_path: base path of all files; None keeps all in memory, with a new identity each time.
        bootstrap: at most 5 ``host:port`` texts to join through; none starts a network of its own.
        public_ip: address to show as ours; None detects one.
        bind: IP addresses to listen on, at most one a family; none means all of this machine.
        network: network id, 0 to 2**32 - 1.
        verifier: what checks signatures: ``cryptography``, or ``liboqs`` where that library is installed.
        fix_permissions: make secret key files private that other users may access, instead of refusing them.
        verbose: log every event.
    """

    port: int = DEFAULT_PORT
    identity: str = "dna-bootstrap-node"
    persistence_path: Path | None = None
    bootstrap: tuple[str, ...] = ()
    public_ip: str | None = None
    bind: tuple[str, ...] = ()
    network: int = 0
    verifier: str = VERIFIERS[0]
    fix_permissions: bool = False
    verbose: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ConfigError(f"port {self.port}: a port is a number from 0 to 65535")
        if len(self.bootstrap) > MAX_BOOTSTRAP:
            raise ConfigError(f"{len(self.bootstrap)} bootstrap nodes: at most {MAX_BOOTSTRAP} can be given")
        for text in self.bootstrap:
            parse(text)
        if len(self.identity.encode()) > LABEL_LIMIT or not self.identity.isprintable():
            raise ConfigError(f"identity: a printable label of at most {LABEL_LIMIT} bytes")
        if self.persistence_path is not None:
            _check_base(self.persistence_path)
        if self.public_ip is not None:
            _ip_version(self.public_ip, "public ip")
        if self.verifier not in VERIFIERS:
            raise ConfigError(f"verifier {self.verifier!r} is unknown: choose one of {', '.join(VERIFIERS)}")
        versions = [_ip_version(host, "bind") for host in self.bind]
        if len(versions) != len(set(versions)):
            raise ConfigError("bind: one IPv4 and one IPv6 address at most")
        if not 0 <= self.network < 2**32:
            raise ConfigError(f"network {self.network}: a network id is a number from 0 to 2**32 - 1")

    @classmethod
    def layered(cls, *layers: Mapping[str, Any]) -> Self:
        """The configuration of *layers*, the strongest first; None or nothing falls to the next layer.

        Raises ConfigError for an unknown name or a value that cannot work.
        """
        known = {field.name for field in fields(cls)}
        chosen: dict[str, Any] = {}
        for layer in layers:
            for name, value in layer.items():
                if name not in known:
                    raise ConfigError(f"unknown setting {name!r}")
                if value is not None:
                    chosen.setdefault(name, value)
        return cls(**chosen)

    def bind_host(self, family: int) -> str | None:
        """The address to bind of *family* 4 or 6; None if *bind* leaves that family out."""
        if not self.bind:
            return "0.0.0.0" if family == 4 else "::"
        return next((host for host in self.bind if _ip_version(host, "bind") == family), None)


def default_persistence_path(environment: Mapping[str, str], *, system: bool) -> Path:
    """Where a server keeps its files if nobody said: /var/lib/dna-dht, or the user's data directory.

    Args:
        environment: for ``XDG_DATA_HOME`` and ``HOME``.
        system: the first; meant for root, and for users who say so.
    """
    if system:
        return SYSTEM_DATA / STATE_NAME
    configured = environment.get("XDG_DATA_HOME", "")
    if configured.startswith("/"):
        return Path(configured) / "dna-dht" / STATE_NAME
    return Path(environment.get("HOME") or "/") / ".local" / "share" / "dna-dht" / STATE_NAME


def _check_base(path: Path) -> None:
    if len(os.fsencode(path)) > PATH_LIMIT:
        raise ConfigError(f"persistence path: at most {PATH_LIMIT} bytes")
    if path.name in ("", ".."):
        raise ConfigError(f"persistence path {path}: name a file in the directory, like {path / STATE_NAME}")


def _ip_version(host: str, setting: str) -> int:
    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        raise ConfigError(f"{setting} {host!r}: write an IPv4 or IPv6 address") from None
