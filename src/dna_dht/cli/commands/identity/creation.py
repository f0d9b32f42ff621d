"""Putting an identity into a data directory, with the right to it; used by new and restore."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from dna_dht.cli.commands.identity import permissions
from dna_dht.cli.failures import Exit, Failure

if TYPE_CHECKING:
    from dna_dht.crypto.identity import Identity
    from dna_dht.crypto.mnemonic import Mnemonic
    from dna_dht.keystore.keystore import Keystore


def refuse_existing(keystore: "Keystore") -> None:
    """Failure (exit 3) if there is an identity already."""
    if keystore.holds_identity():
        raise Failure(
            f"{keystore.directory} already holds an identity: use it, or choose another --data-dir",
            Exit.STORAGE,
        )


def create(directory: Path, mnemonic: "Mnemonic", dialect_name: str, password: str | None) -> "Identity":
    """Write the identity of *mnemonic* into *directory*; a DhtError if that fails, then there is none."""
    from dna_dht.crypto.identity import Identity
    from dna_dht.dialect import Dialect
    from dna_dht.keystore.identity_lock import IdentityLock
    from dna_dht.keystore.key_file import KeyFile
    from dna_dht.keystore.keystore import Keystore
    from dna_dht.private_files import make_private_directory

    dialect = Dialect(dialect_name)
    made = Identity.from_mnemonic(mnemonic, dialect)
    KeyFile.of_signing(made.signing, dialect)  # a package that is missing is told before a directory is made
    make_private_directory(directory)
    keystore = Keystore(directory)
    with IdentityLock(directory):
        identity = keystore.create(mnemonic, dialect=dialect, password=password, now=int(time.time()))
    permissions.warn_of(keystore)  # of a directory that was there
    return identity
