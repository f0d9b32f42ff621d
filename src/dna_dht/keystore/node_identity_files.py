"""The files of a node identity: ``<base>.seed .dsa .pub .cert``. Source: spec 03, sections 9.2 and 9.4.

``.seed`` (32 secret bytes) is the identity; the other three follow from it and are there for the
reference to read. ``.dsa`` (expanded secret key) is written only if the optional package
``dilithium-py`` is installed. ``.seed`` is written first, so a process killed while saving leaves either
nothing or an identity that the next start completes.

A server of the reference has no ``.seed``: its identity is ``.dsa`` with the public key in ``.pub`` or
``.cert``. It is used as it is, if the optional package ``pqcrypto`` is there to sign with it.

Reading, case by case. The first that fits decides; whatever disagrees with the identity found is moved aside
(``.bad-<unix time>``, nothing is overwritten), and companions that are missing then are written again:

* no file: there is no identity yet;
* a seed alone, or a seed whose key is that of ``.pub``, ``.cert`` or ``.dsa``: that identity;
* a ``.dsa`` that belongs to the key in ``.pub`` or ``.cert`` (an identity of the reference, or one of ours
  with a damaged seed): that identity, or a refusal if ``pqcrypto`` is missing;
* a ``.dsa`` without any public key, or a 32-byte seed that all other files dispute: refused, for the secret
  may well be sound, and replacing an identity is the operator's decision;
* anything else is damaged beyond use: all of it is moved aside for a new identity.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dna_dht.crypto.certificate import Certificate
from dna_dht.crypto.expanded_key import EXPANDED_SIZE, ExpandedSigningKey, belongs_to, can_sign
from dna_dht.crypto.mldsa import PUBLIC_KEY_SIZE, SEED_SIZE
from dna_dht.crypto.node_identity import NodeIdentity
from dna_dht.errors import CryptoError, DecodeError, MissingPackageError, StorageError
from dna_dht.private_files import (
    directory_held,
    exists,
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
    """What the files hold: *present* ones, those that are *bad*, and the identity if they make one.

    *refusal* says why there is none, if that is not for us to mend.
    """

    present: tuple[Path, ...]
    bad: tuple[Path, ...] = ()
    identity: NodeIdentity | None = None
    refusal: CryptoError | None = None


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

    @property
    def secret(self) -> Path:
        """The file that is the identity: ``.dsa`` if there is one and no ``.seed``, else ``.seed``."""
        return self.dsa if exists(self.dsa) and not exists(self.seed) else self.seed

    def load(self, now: int) -> NodeIdentity | None:
        """The identity in the files, completed if companions are missing; None if there is no file at all.

        Raises:
            ConfigError: other users may access a secret file.
            CryptoError: the files are damaged, or the secret in them cannot be used (MissingPackageError:
                until a package is installed). They are left as they are.
            StorageError: a file cannot be read.
        """
        with directory_held(self.base.parent):
            found = self._examine()
            if not found.present:
                return None
            if found.refusal is not None:
                raise found.refusal
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
            CryptoError: they hold a secret that may be sound, but cannot be used (MissingPackageError: until
                a package is installed). They are left as they are.
            StorageError: a file cannot be read, moved or written; nothing was overwritten.
        """
        make_private_directory(self.base.parent)
        with directory_held(self.base.parent):
            found = self._examine()
            if found.refusal is not None:
                raise found.refusal
            if found.identity is not None:
                self._mend(found.identity, found.bad, now)
                return found.identity
            self._set_aside(found.present, now)
            identity = NodeIdentity.generate()
            self._complete(identity, now)
            return identity

    def save(self, identity: NodeIdentity, now: int) -> tuple[Path, ...]:
        """Write *identity*; the directory is created (0700) if missing. Never replaces another identity.

        Returns the files written: none of those that were there and right.

        Raises StorageError if files of another or a damaged identity are in the way, or writing fails.
        """
        make_private_directory(self.base.parent)
        with directory_held(self.base.parent):
            found = self._examine()
            if found.present and found.identity != identity and not self._is_part_of(identity):
                raise StorageError(f"{self.base}.* already holds an identity: move its files away first")
            self._set_aside(found.bad, now)
            return self._complete(identity, now)

    def _mend(self, identity: NodeIdentity, bad: tuple[Path, ...], now: int) -> None:
        """Replace *bad* and missing companions; a directory that cannot be written must not stop a node."""
        try:
            self._set_aside(bad, now)
            self._complete(identity, now)
        except StorageError as error:
            _log.warning("identity files are incomplete: %s", error)

    def _examine(self) -> _Found:
        contents = self._contents()
        seed, others = contents.get(self.seed), contents.keys() - {self.seed}
        if seed is None or len(seed) != SEED_SIZE:
            return self._of_expanded_key(contents)
        identity = NodeIdentity.from_seed(seed)
        bad = self._disagreeing(identity, contents)
        if not others or len(bad) < len(others):
            return _Found(tuple(contents), bad, identity)
        found = self._of_expanded_key(contents)
        return found if found.identity is not None else self._disputed(tuple(contents))

    def _of_expanded_key(self, contents: dict[Path, bytes]) -> _Found:
        """The identity of ``.dsa``, with the public key in ``.pub`` or ``.cert``."""
        present, dsa = tuple(contents), contents.get(self.dsa)
        keys = self._public_keys(contents)
        if dsa is None or len(dsa) != EXPANDED_SIZE:
            return _Found(present)
        if not keys:
            return self._unusable(present, CryptoError, f"put {self.pub.name} or {self.cert.name} beside it")
        public_key = next((key for key in keys if belongs_to(dsa, key)), None)
        if public_key is None:
            return _Found(present)
        if not can_sign():
            remedy = "run \"pip install 'dna-dht[deployed]'\" (package pqcrypto)"
            return self._unusable(present, MissingPackageError, remedy)
        try:
            identity = NodeIdentity(ExpandedSigningKey(dsa, public_key))
        except CryptoError:  # damaged where no hash covers it
            return _Found(present)
        _log.info("%s has no sound seed beside it: each signature takes 11 ms or more", self.dsa)
        return _Found(present, self._disagreeing(identity, contents), identity)

    def _contents(self) -> dict[Path, bytes]:
        """What is in those files that exist."""
        contents = {
            self.seed: read_secret(self.seed, SEED_SIZE + 1, fix_permissions=self._fix_permissions),
            self.dsa: read_secret(self.dsa, EXPANDED_SIZE + 1, fix_permissions=self._fix_permissions),
            self.pub: read_file(self.pub, PUBLIC_KEY_SIZE + 1),
            self.cert: read_file(self.cert, _CERTIFICATE_LIMIT),
        }
        return {path: content for path, content in contents.items() if content is not None}

    def _public_keys(self, contents: dict[Path, bytes]) -> list[bytes]:
        """The keys in ``.pub`` and ``.cert``, of those that hold one."""
        pub, cert = contents.get(self.pub, b""), _key_of(contents.get(self.cert, b""))
        return [key for key in (pub, cert) if key is not None and len(key) == PUBLIC_KEY_SIZE]

    def _disagreeing(self, identity: NodeIdentity, contents: dict[Path, bytes]) -> tuple[Path, ...]:
        """The files that are not those of *identity*."""
        public_key = identity.public_key
        agrees: dict[Path, Callable[[bytes], bool]] = {
            self.seed: lambda seed: seed == identity.seed,
            self.dsa: lambda dsa: belongs_to(dsa, public_key) and identity.may_have(dsa),
            self.pub: lambda pub: pub == public_key,
            self.cert: lambda cert: _key_of(cert) == public_key,
        }
        return tuple(path for path, content in contents.items() if not agrees[path](content))

    def _is_part_of(self, identity: NodeIdentity) -> bool:
        """Whether a save of *identity* that was interrupted would leave these files."""
        contents = self._contents()
        cert = contents.pop(self.cert, None)
        expected = {
            self.seed: identity.seed,
            self.dsa: identity.expanded_key(),
            self.pub: identity.public_key,
        }
        same = all(expected[path] == content for path, content in contents.items())
        return same and (cert is None or _key_of(cert) == identity.public_key)

    def _unusable(self, present: tuple[Path, ...], error: type[CryptoError], remedy: str) -> _Found:
        """A refusal of ``.dsa`` as it is; *error* with a remedy."""
        refusal = error(
            f"{self.dsa} holds only an expanded secret key, which needs a sound {self.seed.name}"
            " to be loaded: derive the identity again from its seed or recovery phrase,"
            f" or {remedy} to use it as it is,"
            " or move the files away to start with a new identity"
        )
        return _Found(present, refusal=refusal)

    def _disputed(self, present: tuple[Path, ...]) -> _Found:
        """A refusal of the seed, which no other file vouches for."""
        others = ", ".join(path.name for path in present if path != self.seed)
        refusal = CryptoError(
            f"{self.seed} does not belong to {others} beside it, and each of them may be the damaged one:"
            " restore it from a backup, or move the others away to keep the seed,"
            " or all of them to start with a new identity"
        )
        return _Found(present, refusal=refusal)

    def _set_aside(self, paths: tuple[Path, ...], now: int) -> None:
        for path in paths:
            _log.warning(
                "%s is damaged or does not belong to the identity; kept as %s", path, set_aside(path, now)
            )

    def _complete(self, identity: NodeIdentity, now: int) -> tuple[Path, ...]:
        """Write the files that do not exist, the secret first: the seed, or without one the expanded key."""
        made: dict[Path, Callable[[], bytes | None]] = {
            self.seed: lambda: identity.seed,
            self.pub: lambda: identity.public_key,
            self.cert: Certificate.of_node(identity.public_key, now).encode,
            self.dsa: identity.expanded_key,
        }
        secret_first = sorted(
            made, key=lambda path: path != (self.dsa if identity.seed is None else self.seed)
        )
        written = []
        for path in secret_first:
            if not exists(path) and (content := made[path]()) is not None:
                write_private(path, content)
                written.append(path)
        return tuple(written)


def _key_of(certificate: bytes) -> bytes | None:
    try:
        return Certificate.decode(certificate).public_key
    except DecodeError:
        return None
