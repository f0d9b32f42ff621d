"""Whose key signs what the user puts: a named identity, or the one in the user's configuration directory."""

import os
import time
from pathlib import Path

import click

from dna_dht.cli.failures import Exit, Failure
from dna_dht.crypto.node_identity import NodeIdentity
from dna_dht.errors import ConfigError, CryptoError, StorageError
from dna_dht.keystore.node_identity_files import NodeIdentityFiles

_SUFFIXES = (".seed", ".dsa", ".pub", ".cert")


def default_base() -> Path:
    """``$XDG_CONFIG_HOME/dna-dht/identity``, the base of the user's identity files."""
    configured = os.environ.get("XDG_CONFIG_HOME", "")
    home = Path(configured) if configured.startswith("/") else Path.home() / ".config"
    return home / "dna-dht" / "identity"


def base_of(path: Path) -> Path:
    """The base of identity files from what a user names: the base itself, or any one of the files.

    Raises Failure (exit 2) for a bare directory.
    """
    if path.name in ("", "..") or path.is_dir():
        raise Failure(f"{path} is a directory: name the identity in it, like {path / 'identity'}", Exit.USAGE)
    return path.with_suffix("") if path.suffix in _SUFFIXES else path


def place_of(path: Path | None) -> Path:
    """Where the secret is that :func:`load_signer` signs with: a file, or the data directory of a user."""
    home = None if path is None else _data_directory_of(path)
    return home or NodeIdentityFiles(default_base() if path is None else base_of(path)).secret


def load_signer(path: Path | None, *, create: bool) -> NodeIdentity:
    """The identity at *path*; without one the user's own, made at first use if *create*.

    *path* may be the data directory of a user, whose node identity signs then; a password is asked for.

    Raises Failure (exit 3) if there is none, or its files are damaged, unreadable, or readable by others.
    """
    if path is not None and (home := _data_directory_of(path)) is not None:
        return _of_user(home)
    base = default_base() if path is None else base_of(path)
    files, now = NodeIdentityFiles(base), int(time.time())
    try:
        identity = files.load(now)
        if identity is None and path is None and create:
            identity = _make(files, now)
    except (ConfigError, CryptoError, StorageError) as error:
        raise Failure(str(error), Exit.STORAGE) from error
    if identity is None:
        raise Failure(
            f"there is no identity at {base}.seed: make one with 'dna-dht keygen {base}'", Exit.STORAGE
        )
    return identity


def _data_directory_of(path: Path) -> Path | None:
    """The data directory that *path* is, or that it names ``dht_identity.*`` of; None if it does neither."""
    from dna_dht.keystore.keystore import Keystore

    directory = path.parent if path.name.startswith("dht_identity") else path
    return directory if directory.is_dir() and Keystore(directory).holds_identity() else None


def _of_user(directory: Path) -> NodeIdentity:
    from dna_dht.cli.commands.identity import shared
    from dna_dht.keystore.keystore import Keystore

    keystore = Keystore(directory)
    with shared.reporting():
        return keystore.read(shared.current_password(keystore, None)).node


def _make(files: NodeIdentityFiles, now: int) -> NodeIdentity:
    """A new identity in *files*, or the one that another command made there meanwhile."""
    identity = NodeIdentity.generate()
    try:
        files.save(identity, now)
    except StorageError:
        rival = files.load(now)
        if rival is None:
            raise
        return rival
    click.echo(f"made a signing key: {files.seed} (keep a copy: only it can change what you put)", err=True)
    return identity
