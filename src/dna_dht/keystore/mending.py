"""What is wrong with a data directory: told in the log, and made good. Source: spec 03, sections 10 and 11.

Only what can be made again is touched: the signing key file and ``dht_identity.*``, from a proven identity. A
damaged one is moved aside when its replacement is at hand. ``mnemonic.enc`` and ``master_seed.enc`` stay as
they are.
"""

import logging
import shlex

from dna_dht.crypto.export_blob import ExportBlob
from dna_dht.crypto.identity import Identity
from dna_dht.crypto.node_identity import NodeIdentity
from dna_dht.errors import CryptoError, StorageError
from dna_dht.keystore import password as envelope
from dna_dht.keystore.data_directory import DataDirectory
from dna_dht.keystore.key_file import KeyFile
from dna_dht.keystore.stored_identity import StoredIdentity
from dna_dht.private_files import exists, write_private

_log = logging.getLogger(__name__)


def warn(places: DataDirectory, stored: StoredIdentity) -> None:
    """Say what the user should know about the directory and what is in it."""
    if exposed := places.exposed():
        names = shlex.join(map(str, exposed))
        _log.warning('other users have permissions on secrets: run "chmod go= %s"', names)
    if not stored.is_derived:
        _log.warning(
            "%s is missing or damaged, so nothing proves that the keys in %s belong together:"
            " better restore the identity from its recovery words in an empty directory",
            places.words,
            places.root,
        )
    elif stored.words is None:
        _log.warning("%s is missing or damaged: keep your recovery words and a backup", places.words)
    plain = [path for path in places.nodes if path in stored.contents]
    if stored.protected and plain:
        _log.warning(
            "%s: the node's secret key is there without password; changing the password removes it",
            " ".join(map(str, plain)),
        )


def mend(places: DataDirectory, stored: StoredIdentity, password: str | None, now: int) -> None:
    """Make companions again; a directory that cannot be written must not stop anyone."""
    try:
        places.remove_leftovers()
        _mend_signing(places, stored, password, now)
        if stored.is_derived and not stored.protected:
            for path in places.nodes:
                if path in stored.damaged:
                    places.set_aside(path, now)
    except StorageError as error:
        _log.warning("the data directory is incomplete: %s", error)
    if stored.is_derived and not stored.protected:
        cache_node(places, stored.identity.node, now)


def cache_node(places: DataDirectory, node: NodeIdentity, now: int) -> None:
    """Write those of ``dht_identity.*`` that are missing and can be made; loading does without them."""
    try:
        if node.seed is not None and not exists(places.node_seed):
            write_private(places.node_seed, node.seed)
        if not exists(places.node_blob) and node.expanded_key() is not None:
            write_private(places.node_blob, ExportBlob.of(node, now).encode())
    except StorageError as error:
        _log.warning("the data directory is incomplete: %s", error)


def signing_again(stored: StoredIdentity) -> bytes | None:
    """The signing key file of *stored*, without password; None if it cannot be made here."""
    try:
        return signing_file(stored.identity)
    except CryptoError as error:
        _log.warning("the signing key file is missing: %s", error)
        return None


def signing_file(identity: Identity) -> bytes:
    """The signing key file of *identity*, without password; CryptoError if it cannot be made here."""
    return KeyFile.of_signing(identity.signing, identity.dialect).encode()


def _mend_signing(places: DataDirectory, stored: StoredIdentity, password: str | None, now: int) -> None:
    path, signing = places.signing, stored.signing
    if signing is None:
        signing = signing_again(stored)
        if signing is not None and path in stored.damaged:
            places.set_aside(path, now)
    elif envelope.is_protected(stored.contents[path]) == stored.protected:
        return
    if signing is not None:
        write_private(path, envelope.protected_if(signing, password if stored.protected else None))
