"""Keystore: the identity of a user on disk. Source: spec 03, sections 10 and 11.

Written are ``mnemonic.enc``, ``keys/identity.dsa`` and ``keys/identity.kem``, and without a password also
``dht_identity.seed`` and ``.bin``, which hold the node's secret key in plain: a cache, and what the reference
needs. Files are 0600 in directories 0700. What is damaged is moved aside (``.bad-<unix time>``), never
overwritten. Processes that use one directory take turns for each call; to keep an identity to one process for
longer there is :class:`dna_dht.keystore.identity_lock.IdentityLock`.
"""

import contextlib
import logging
import operator
from dataclasses import dataclass
from pathlib import Path

from dna_dht.crypto import kem_box
from dna_dht.crypto.identity import Identity
from dna_dht.crypto.mnemonic import Mnemonic
from dna_dht.dialect import Dialect
from dna_dht.errors import CryptoError, MnemonicError, StorageError, WrongPasswordError
from dna_dht.keystore import password as envelope
from dna_dht.keystore.data_directory import DataDirectory
from dna_dht.keystore.key_file import KeyFile
from dna_dht.keystore.mending import cache_node, mend, signing_again, signing_file, warn
from dna_dht.keystore.stored_identity import StoredIdentity, examine, pad_words
from dna_dht.private_files import (
    directory_held,
    make_private,
    make_private_directory,
    read_file,
    remove,
    write_private,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is in a data directory.

    Attributes:
        proven: the recovery words, or the master seed, prove that the keys belong together.
        damaged: files that are damaged or of another identity, which are not what *identity* was read from.
        missing: files that :meth:`Keystore.load` would make.
    """

    identity: Identity
    proven: bool
    damaged: tuple[Path, ...]
    missing: tuple[Path, ...]


class Keystore:
    """The identity in one data directory; there is at most one. Times are whole Unix seconds.

    A password is text, used as typed; None and the empty one mean that there is none.
    """

    def __init__(self, directory: Path) -> None:
        """That of *directory*, which need not exist; nothing is read or created yet."""
        self.directory = Path(directory)
        self._places = DataDirectory(self.directory)

    def holds_identity(self) -> bool:
        """Whether there are key files, sound or not."""
        return self._places.holds_identity()

    def is_protected(self) -> bool:
        """Whether a password is needed to load; StorageError if the key file cannot be read."""
        head = read_file(self._places.encryption, envelope.OVERHEAD)
        return head is not None and envelope.is_protected(head)

    def create(
        self,
        mnemonic: Mnemonic,
        *,
        dialect: Dialect = Dialect.DOCUMENTED,
        password: str | None = None,
        now: int,
    ) -> Identity:
        """Write the identity of *mnemonic*; the directory is created (0700) if missing.

        Raises:
            ValueError: the password holds a NUL.
            CryptoError: DEPLOYED, and the extra ``deployed`` is not installed.
            StorageError: the directory already holds an identity, or cannot be written.
        In each case there is no new identity.
        """
        now = _time(now)
        identity = Identity.from_mnemonic(mnemonic, dialect)
        places = self._places
        words = kem_box.close_box(pad_words(mnemonic.words), identity.encryption.public_key, dialect)
        signing = KeyFile.of_signing(identity.signing, dialect).encode()
        encryption = KeyFile.of_encryption(identity.encryption).encode()
        files = {
            places.words: words,
            places.signing: envelope.protected_if(signing, password),
            places.encryption: envelope.protected_if(encryption, password),
        }
        make_private_directory(self.directory)
        with directory_held(self.directory):
            places.install(files, now)
            if not password:
                cache_node(places, identity.node, now)
        return identity

    def load(self, password: str | None = None, *, now: int, unproven: bool = False) -> Identity:
        """The identity, proven to be what its files say; its dialect follows from them.

        The proof is the recovery words in ``mnemonic.enc``, or ``master_seed.enc``, for all keys follow from
        them. With *unproven*, keys are taken as they are, whosesoever, if both are missing or damaged.

        A companion (``identity.dsa``, ``dht_identity.*``) that is missing or damaged is made again if it can
        be, a damaged one moved aside first; what cannot be written is only logged. A password that is not
        needed is ignored. Hold the :class:`IdentityLock` of the directory, for this writes.

        Raises:
            ValueError: the password holds a NUL.
            PasswordRequiredError, WrongPasswordError: the identity has a password, and it is not this one.
            DecodeError: a key file is damaged, of another kind or written by a newer release.
            CryptoError: the files do not belong together, nothing proves that they do, or a package is
                missing that this identity needs.
            StorageError: there is no identity, or a file cannot be read.
        Then nothing was changed.
        """
        now = _time(now)
        with directory_held(self.directory):
            stored = examine(self._places, password, unproven=unproven)
            warn(self._places, stored)
            mend(self._places, stored, password, now)
            return stored.identity

    def read(self, password: str | None = None, *, unproven: bool = False) -> Identity:
        """As :meth:`load`, but nothing is changed on disk, whatever is found; nothing is logged either."""
        return self.inspect(password, unproven=unproven).identity

    def inspect(self, password: str | None = None, *, unproven: bool = False) -> Inspection:
        """The identity, and what is wrong with its files. Changes nothing; raises as :meth:`load`."""
        with directory_held(self.directory):
            stored = examine(self._places, password, unproven=unproven)
        return Inspection(stored.identity, stored.is_derived, stored.damaged, stored.missing)

    def recovery_words(self, password: str | None = None) -> Mnemonic:
        """The words the identity was made from. Nothing is changed.

        Raises as :meth:`load`; CryptoError if the words are not in the directory, or would not restore it.
        """
        with directory_held(self.directory):
            stored = examine(self._places, password, unproven=True)
        if stored.words is None:
            raise CryptoError(f"{self.directory} does not hold the recovery words: back up the directory")
        with contextlib.suppress(MnemonicError):
            mnemonic = Mnemonic(stored.words.decode("utf-8", "replace"))
            if Identity.from_mnemonic(mnemonic, stored.identity.dialect) == stored.identity:
                return mnemonic
        raise CryptoError(
            "the identity was made from words with other spaces or capitals, or from a word too many, so they"
            " would not restore it here: back up the data directory"
        )

    def require_importable(self, password: str | None = None, *, unproven: bool = False) -> None:
        """Raise what :meth:`import_directory` raises for this directory as its source; changes nothing."""
        with directory_held(self.directory):
            _importable(self._places, password, unproven)

    def require_changeable(self, old: str | None) -> None:
        """Raise what :meth:`change_password` raises for *old*, before there is a new one; changes nothing."""
        with directory_held(self.directory):
            self._changeable(old)

    def change_password(self, old: str | None, new: str | None, *, now: int) -> None:
        """Protect the identity by *new* instead of *old*; either may be None.

        With a password ``dht_identity.*`` are removed, for they hold a secret key in plain; without, they are
        written. A process killed meanwhile leaves the identity under *old* or *new*.

        Raises as :meth:`load`; also WrongPasswordError if *old* is given and there is no password, and
        CryptoError if the recovery words are missing. Then, and for StorageError because a file cannot be
        written, *old* remains the password; only if the disk fails after the last file was in place, *new*
        may hold.
        """
        now, places = _time(now), self._places
        with directory_held(self.directory):
            stored = self._changeable(old)
            files = {places.encryption: envelope.protected_if(stored.encryption, new)}
            signing = stored.signing or signing_again(stored)
            if signing is not None:
                files[places.signing] = envelope.protected_if(signing, new)
            for path in stored.damaged:
                if path in files or path in places.nodes:
                    places.set_aside(path, now)
            places.remove_leftovers()
            for path in places.nodes if new else ():
                remove(path)
            if signing is not None:
                write_private(places.signing, files[places.signing])
            try:
                write_private(places.encryption, files[places.encryption])  # decides which password holds
            except StorageError:
                if places.read().get(places.encryption) != files[places.encryption]:
                    self._take_back(stored, signing, old, now)
                raise
            if not new:
                cache_node(places, stored.identity.node, now)
            elif kept := places.kept():
                _log.warning(
                    "%s: may hold secrets without password; delete what you do not need",
                    " ".join(map(str, kept)),
                )

    def import_directory(
        self, source: Path, password: str | None = None, *, now: int, unproven: bool = False
    ) -> Identity:
        """Copy the identity in the data directory *source* here: same keys, same dialect, same password.

        Nothing is changed in *source*. Raises as :meth:`load` for what is there, as :meth:`create` for here.
        """
        now, origin, places = _time(now), DataDirectory(source), self._places
        with directory_held(source):
            stored, signing = _importable(origin, password, unproven)
        files = {
            places.signing: envelope.protected_if(signing, password if stored.protected else None),
            places.encryption: stored.contents[origin.encryption],
        }
        loose = {origin.words: places.words, origin.master_seed: places.master_seed}
        if not stored.is_derived:  # nothing else holds the node's key
            loose |= {origin.node_seed: places.node_seed, origin.node_blob: places.node_blob}
        for path, target in loose.items():
            if path in stored.contents and path not in stored.damaged:
                files[target] = stored.contents[path]
        make_private_directory(self.directory)
        with directory_held(self.directory):
            places.install(files, now)
            warn(places, stored)
            if not stored.protected and stored.is_derived:
                cache_node(places, stored.identity.node, now)
        return stored.identity

    def exposed(self) -> tuple[Path, ...]:
        """The directories and secret files that other users have a permission on."""
        return self._places.exposed()

    def make_private(self) -> tuple[Path, ...]:
        """Take those permissions away; what was changed. StorageError if that fails."""
        found = self.exposed()
        for path in found:
            make_private(path)
        return found

    def _take_back(self, stored: StoredIdentity, signing: bytes | None, old: str | None, now: int) -> None:
        """As it was before a change of the password that failed at the encryption key file."""
        if signing is not None:
            write_private(self._places.signing, envelope.protected_if(signing, old))
        if not old:
            cache_node(self._places, stored.identity.node, now)

    def _changeable(self, old: str | None) -> StoredIdentity:
        stored = examine(self._places, old, unproven=True)
        if old and not stored.protected:
            raise WrongPasswordError("the identity has no password: give none as the old one")
        if not stored.is_derived:  # killed in between, neither password would open it
            raise CryptoError(
                f"the password cannot be changed, for {self._places.words} is missing or damaged: restore the"
                " identity from its recovery words in an empty directory, with the new password"
            )
        return stored


def _time(now: int) -> int:
    """*now*; TypeError unless it is whole, ValueError unless a date can be written."""
    if not 0 <= operator.index(now) < 2**62:
        raise ValueError(f"{now} is no time in Unix seconds")
    return now


def _importable(origin: DataDirectory, password: str | None, unproven: bool) -> tuple[StoredIdentity, bytes]:
    """What is in *origin*, and its signing key file without password, made again if need be."""
    stored = examine(origin, password, unproven=unproven)
    if stored.signing is not None:
        return stored, stored.signing
    try:
        return stored, signing_file(stored.identity)
    except CryptoError as error:
        raise CryptoError(
            f"{origin.signing} is missing or damaged and cannot be made again: {error}"
        ) from None
