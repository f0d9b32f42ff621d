"""The two small files of a node: its state and its ports. Sources: spec 04, 13.7; spec 02, section 21.

``<path>`` holds the engine's state as opaque bytes (:mod:`dna_dht.core.node_state` knows them),
``<path>_port.txt`` the two bound ports, one a line, to be used again when port 0 is configured. Both are
replaced whole or not at all. Losing them costs a bootstrap, so what is missing or damaged reads as None;
only a file that exists and cannot be read is an error.
"""

from pathlib import Path
from typing import NamedTuple

from dna_dht.private_files import read_file, write_private

STATE_LIMIT = 512 * 1024 * 1024  # bytes; both value quotas (64 and 256 MiB) with room to spare
_PORTS_LIMIT = 64  # bytes


class Ports(NamedTuple):
    """The bound UDP ports, 1 to 65,535; 0: the family was off."""

    ipv4: int
    ipv6: int


class NodeStateFile:
    """Reads and writes the two files at *path*. StorageError says which file failed and why."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ports_path = path.with_name(path.name + "_port.txt")

    def read(self) -> bytes | None:
        """The state last written; None if there is none or it is larger than ``STATE_LIMIT``."""
        state = read_file(self.path, STATE_LIMIT + 1)
        return state if state and len(state) <= STATE_LIMIT else None

    def write(self, state: bytes) -> None:
        """Replace the state, durably; ValueError if it is larger than ``STATE_LIMIT``."""
        if len(state) > STATE_LIMIT:
            raise ValueError(f"a node state has at most {STATE_LIMIT} bytes, got {len(state)}")
        write_private(self.path, state)

    def read_ports(self) -> Ports | None:
        """The ports last bound; None if there are none or the file is damaged."""
        content = read_file(self.ports_path, _PORTS_LIMIT + 1)
        if content is None or len(content) > _PORTS_LIMIT:
            return None
        lines = content.split()
        if len(lines) != 2 or not all(line.isdigit() and int(line) <= 65_535 for line in lines):
            return None
        return Ports(int(lines[0]), int(lines[1]))

    def write_ports(self, ports: Ports) -> None:
        """Remember the bound ports."""
        write_private(self.ports_path, b"%d\n%d\n" % ports)
