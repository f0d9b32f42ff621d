"""The files of a node identity: ``<base>.seed .dsa .pub .cert``. Source: spec 03, sections 9.2 and 9.4.

``.seed`` (32 secret bytes) is the identity; the other three follow from it and are there for the
reference to read. ``.dsa`` (expanded secret key) is written only if the optional package
``dilithium-py`` is installed. ``.seed`` is written first, so a process killed while saving leaves either
nothing or an identity that the next start completes.

Reading, case by case:

* no file: there is no identity yet;
* a seed that makes the key in ``.pub``: that identity. A missing companion is written again; a damaged
  one is moved aside first. If ``.pub`` itself is damaged, ``.cert`` or ``.dsa`` must vouch for the seed;
* no seed, but a sound ``.dsa`` (an identity of the reference): refused with a sentence, for the library
  cannot load it and replacing an identity is the operator's decision;
* anything else is damaged: all its files are moved aside (``.bad-<unix time>``), nothing is overwritten.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from dna_dht.crypto.certificate import Certificate
from dna_dht.crypto.expanded_key import EXPANDED_SIZE, belongs_to, expand
from dna_dht.crypto.mldsa import PUBLIC_KEY_SIZE, SEED_SIZE
from dna_dht.crypto.node_identity import NodeIdentity
from dna_dht.errors import CryptoError, DecodeError, StorageError
from dna_dht.private_files import (
    directory_held,
    make_private_directory,
    read_file,
    read_secret,
    set_aside,
    write_private,
)

_CERTIFICATE_LIMIT = 65_536  # bytes read; a certificate has 2667

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Found:
    """What the files hold: *present* ones, those that are *bad*, and the identity if they make one."""

    present: tuple[Path, ...]
    bad: tuple[Path, ...] = ()
    identity: NodeIdentity | None = None
    expanded_only: bool = False


class NodeIdentityFiles:
    """The identity files of one node. Processes that use the same ones take turns; times are Unix seconds."""

    def __init__(self, base: Path, *, fix_permissions: bool = False) -> None:
        """Files beside *base*, a path without suffix.

        A bootstrap node uses ``<persistence path>.identity``. With *fix_permissions* secret files that
        other users may access are made private; without, they are refused.
        """
        self.base = base
        self._fix_permissions = fix_permissions
        self.seed, self.dsa, self.pub, self.cert = (
            base.with_name(base.name + suffix) for suffix in (".seed", ".dsa", ".pub", ".cert")
        )

    def load(self, now: int) -> NodeIdentity | None:
        """The identity in the files, completed if companions are missing; None if there is no file at all.

        Raises:
            ConfigError: other users may access a secret file.
            CryptoError: the files are damaged, or hold only an expanded key. They are left as they are.
            StorageError: a file cannot be read.
        """
        with directory_held(self.base.parent):
            found = self._examine()
            if not found.present:
                return None
            self._refuse_expanded(found)
            if found.identity is None:
                raise CryptoError(
                    f"the identity files {self.base}.* are damaged or do not belong together:"
                    " restore them from a backup, or move them away to start with a new identity"
                )
            self._mend(found.identity, found.bad, now)
            return found.identity

    def load_or_create(self, now: int) -> NodeIdentity:
        """The identity in the files; a new one, saved, if there is none or they are damaged (moved aside).

        Raises:
            ConfigError: other users may access a secret file.
            CryptoError: the files hold only an expanded key.
            StorageError: a file cannot be read, moved or written; nothing was overwritten.
        """
        make_private_directory(self.base.parent)
        with directory_held(self.base.parent):
            found = self._examine()
            self._refuse_expanded(found)
            if found.identity is not None:
                self._mend(found.identity, found.bad, now)
                return found.identity
            self._set_aside(found.present, now)
            identity = NodeIdentity.generate()
            self._complete(identity, now)
            return identity

    def save(self, identity: NodeIdentity, now: int) -> None:
        """Write *identity*; the directory is created (0700) if missing. Never replaces another identity.

        Raises StorageError if files of another or a damaged identity are in the way, or writing fails.
        """
        make_private_directory(self.base.parent)
        with directory_held(self.base.parent):
            found = self._examine()
            if found.present and found.identity != identity:
                raise StorageError(f"{self.base}.* already holds an identity: move its files away first")
            self._set_aside(found.bad, now)
            self._complete(identity, now)

    def _mend(self, identity: NodeIdentity, bad: tuple[Path, ...], now: int) -> None:
        """Replace *bad* and missing companions; a directory that cannot be written must not stop a node."""
        try:
            self._set_aside(bad, now)
            self._complete(identity, now)
        except StorageError as error:
            _log.warning("identity files are incomplete: %s", error)

    def _examine(self) -> _Found:
        seed = read_secret(self.seed, SEED_SIZE + 1, fix_permissions=self._fix_permissions)
        dsa = read_secret(self.dsa, EXPANDED_SIZE + 1, fix_permissions=self._fix_permissions)
        pub = read_file(self.pub, PUBLIC_KEY_SIZE + 1)
        cert = read_file(self.cert, _CERTIFICATE_LIMIT)
        contents = {self.seed: seed, self.dsa: dsa, self.pub: pub, self.cert: cert}
        present = tuple(path for path, content in contents.items() if content is not None)
        if seed is None:
            sound = dsa is not None and len(dsa) == EXPANDED_SIZE and (pub is None or belongs_to(dsa, pub))
            return _Found(present, expanded_only=sound)
        if len(seed) != SEED_SIZE:
            return _Found(present)

        identity = NodeIdentity.from_seed(seed)
        public_key = identity.public_key
        agrees = {
            self.pub: pub == public_key,
            self.cert: cert is not None and _key_of(cert) == public_key,
            self.dsa: dsa is not None and belongs_to(dsa, public_key),
        }
        bad = tuple(path for path in present if not agrees.get(path, True))
        if self.pub in bad and (len(pub or b"") == PUBLIC_KEY_SIZE or not any(agrees.values())):
            return _Found(present)
        return _Found(present, bad, identity)

    def _refuse_expanded(self, found: _Found) -> None:
        if found.expanded_only:
            raise CryptoError(
                f"{self.dsa} holds only an expanded secret key, which needs {self.seed.name} to be loaded:"
                " derive the identity again from its seed or recovery phrase,"
                " or move the files away to start with a new identity"
            )

    def _set_aside(self, paths: tuple[Path, ...], now: int) -> None:
        for path in paths:
            _log.warning(
                "%s is damaged or does not belong to the identity; kept as %s", path, set_aside(path, now)
            )

    def _complete(self, identity: NodeIdentity, now: int) -> None:
        """Write the files that do not exist, the seed first."""
        if not self.seed.exists():
            write_private(self.seed, identity.seed)
        if not self.pub.exists():
            write_private(self.pub, identity.public_key)
        if not self.cert.exists():
            write_private(self.cert, Certificate.of_node(identity.public_key, now).encode())
        if not self.dsa.exists() and (secret_key := expand(identity.seed)) is not None:
            write_private(self.dsa, secret_key)


def _key_of(certificate: bytes) -> bytes | None:
    try:
        return Certificate.decode(certificate).public_key
    except DecodeError:
        return None
