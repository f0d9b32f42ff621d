"""Where things are in the data directory of a user, and how they get there. Source: spec 03, section 11.

The key files are what makes an identity of a directory. They come into being together: written to
``keys.new``, which is then renamed to ``keys``. So whenever a process is killed, there is a whole identity or
none, and what it left is moved aside by the next one.
"""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from dna_dht.errors import StorageError
from dna_dht.private_files import (
    exists,
    is_exposed,
    make_new_directory,
    move_directory,
    read_whole,
    remove,
    set_aside,
    write_private,
)

LARGEST = 100_000  # bytes of a file read; the reference's bound on key files, others are smaller

_log = logging.getLogger(__name__)


class DataDirectory:
    """The paths in one data directory."""

    def __init__(self, root: Path) -> None:
        """Those in *root*, which need not exist."""
        self.root = root
        self.keys = root / "keys"
        self.signing = self.keys / "identity.dsa"
        self.encryption = self.keys / "identity.kem"
        self.words = root / "mnemonic.enc"
        self.master_seed = root / "master_seed.enc"
        self.node_seed = root / "dht_identity.seed"
        self.node_blob = root / "dht_identity.bin"
        self.node_dsa = root / "dht_identity.dsa"  # not ours, but node identity files may have been put here
        self._staging = root / "keys.new"

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of an identity that may be there."""
        return (self.encryption, self.signing, *self._loose)

    def kept(self) -> tuple[Path, ...]:
        """What may hold secrets without password and is not in use: set aside, or not of this directory."""
        return tuple(path for path in self._secrets() if ".bad-" in path.name or path == self.node_dsa)

    @property
    def nodes(self) -> tuple[Path, Path]:
        """``dht_identity.*``, which hold the node's secret key in plain."""
        return self.node_seed, self.node_blob

    def remove_leftovers(self) -> None:
        """Remove what killed writers left: it was never in use, and may hold secrets without password."""
        staged = [self._staging / path.name for path in (self.signing, self.encryption)]
        if self._staging.is_symlink() or not self._staging.is_dir():
            staged = []
        for path in (*self.files, *staged):
            remove(path.with_name(path.name + ".new"))
        for path in staged:
            remove(path)
        with contextlib.suppress(OSError):  # there is none, or somebody else put something there
            self._staging.rmdir()

    def holds_identity(self) -> bool:
        """Whether there is a key file, sound or not."""
        return any(exists(path) for path in (self.encryption, self.signing))

    def read(self) -> dict[Path, bytes]:
        """The contents of those files that exist; StorageError if one cannot be read or is too large."""
        contents = {path: read_whole(path, LARGEST) for path in self.files}
        return {path: content for path, content in contents.items() if content is not None}

    def install(self, files: Mapping[Path, bytes], now: int) -> None:
        """Write *files*, the key files last and at once. What is in their way is moved aside.

        Raises StorageError if a key file is there already, or writing fails; then there is no identity.
        """
        if self.holds_identity():
            raise StorageError(
                f"{self.root} already holds an identity: use it, or choose another data directory"
            )
        self.remove_leftovers()
        for path in (*self._loose, self._staging):
            if exists(path):
                self.set_aside(path, now)
        if exists(self.keys) and not self._keys_are_empty():
            self.set_aside(self.keys, now)
        written: list[Path] = []
        try:
            for path in self._loose:
                if path in files:
                    write_private(path, files[path])
                    written.append(path)
            make_new_directory(self._staging)
            for path in (self.signing, self.encryption):
                write_private(self._staging / path.name, files[path])
            move_directory(self._staging, self.keys)
        except StorageError:  # a full disk is not to be filled further
            if not self.holds_identity():
                with contextlib.suppress(StorageError):
                    self.remove_leftovers()
                    for path in written:
                        remove(path)
            raise

    def set_aside(self, path: Path, now: int) -> None:
        """Keep *path* under another name and say so in the log; StorageError if that fails."""
        kept = set_aside(path, now)
        _log.warning("%s is damaged or does not belong to the identity; kept as %s", path, kept)

    def exposed(self) -> tuple[Path, ...]:
        """Directories and secret files that other users have a permission on."""
        return tuple(path for path in self._secrets() if is_exposed(path))

    @property
    def _loose(self) -> tuple[Path, ...]:
        return self.words, self.master_seed, self.node_seed, self.node_blob

    def _secrets(self) -> Iterator[Path]:
        """The root, what belongs to an identity, also if it was set aside, and what is in its directories."""
        yield self.root
        names = [path.name for path in (self.keys, *self._loose, self.node_dsa)]
        for path in _entries(self.root):
            if any(path.name == name or path.name.startswith(f"{name}.") for name in names):
                yield path
                if not path.is_symlink():
                    yield from _entries(path)

    def _keys_are_empty(self) -> bool:
        try:
            return not any(self.keys.iterdir())
        except OSError:
            return False


def _entries(directory: Path) -> list[Path]:
    """What is in *directory*; nothing if it is none or cannot be read: whoever goes on to use it says why."""
    with contextlib.suppress(OSError):
        return sorted(directory.iterdir())
    return []
