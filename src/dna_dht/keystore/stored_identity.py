"""What the files of a data directory amount to; none is changed. Source: spec 03, sections 10 and 11.

The encryption key file is the root: it says whether there is a password, and it opens ``mnemonic.enc``. All
keys follow from the words in there, so everything else can be proven to belong, or made again:

* ``mnemonic.enc``, else ``master_seed.enc``, opens and makes the key of ``identity.kem``: that identity. A
  companion that is damaged, or of another identity where it is only a cache (``dht_identity.*``), is to be
  moved aside and made again. A sound signing key file of another identity, or a newer version, is refused.
* neither opens: refused, unless asked to take the key files and ``dht_identity.*`` themselves, if they are
  whole: then nothing proves that they belong together;
* anything else is refused with a sentence.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from dna_dht.crypto import expanded_key, kem_box
from dna_dht.crypto.derive import MASTER_SEED_SIZE
from dna_dht.crypto.export_blob import ExportBlob
from dna_dht.crypto.identity import Identity
from dna_dht.crypto.kem import DecryptionKey, dialect_of
from dna_dht.crypto.mldsa import SEED_SIZE
from dna_dht.crypto.node_identity import NodeIdentity
from dna_dht.errors import CryptoError, DecodeError, DecryptionError, StorageError
from dna_dht.keystore import key_file, password
from dna_dht.keystore.data_directory import DataDirectory
from dna_dht.keystore.key_file import SEEDS, KeyFile, KeyKind

WORDS_SIZE = 256  # bytes of the zero-padded words; spec 03, section 10.3

_RESTORE = "restore it from a backup, or the identity from its recovery words in an empty directory"


@dataclass(frozen=True, slots=True)
class StoredIdentity:
    """An identity with the files it was found in. Its text shows no secret.

    Attributes:
        identity: proven to be what the files hold.
        contents: what is in those files that exist.
        encryption: ``identity.kem`` without its password.
        signing: ``identity.dsa`` without its password; None if it is missing or damaged.
        words: the recovery words as they were typed; None if they are not known.
        missing: companions that can be made again.
        is_derived: whether the keys follow from a secret that is known, so that every file can be made again.
        damaged: companions to move aside.
        protected: whether the identity has a password.
    """

    identity: Identity
    contents: dict[Path, bytes] = field(repr=False)
    encryption: bytes = field(repr=False)
    signing: bytes | None = field(repr=False)
    words: bytes | None = field(repr=False)
    is_derived: bool
    damaged: tuple[Path, ...]
    missing: tuple[Path, ...]
    protected: bool


def pad_words(words: str) -> bytes:
    """What ``mnemonic.enc`` holds of *words*."""
    return words.encode().ljust(WORDS_SIZE, b"\0")


def examine(places: DataDirectory, given: str | None, *, unproven: bool = False) -> StoredIdentity:
    """The identity in *places*, with the password that was *given*; with *unproven*, also without proof.

    Raises:
        PasswordRequiredError, WrongPasswordError: it is protected, and *given* is not its password.
        DecodeError: a key file is damaged, of another kind or of a newer version.
        CryptoError: the files do not belong together, or a package is missing that this identity needs.
        StorageError: there is no identity, or a file cannot be read.
    """
    contents = places.read()
    if places.encryption not in contents:
        raise StorageError(_missing(places))
    root = contents[places.encryption]
    encryption, key = _opened(places.encryption, root, given)
    signing = _signing(places, contents, given)

    words = _words(contents.get(places.words), key)
    seeds = {
        places.words: None if words is None else _master_seed(words),
        places.master_seed: _box(contents.get(places.master_seed), key, MASTER_SEED_SIZE),
    }
    made = {path: None if seed is None else _made(seed, key) for path, seed in seeds.items()}
    derived = made[places.words] or made[places.master_seed]
    if derived is None and any(seeds.values()):
        raise CryptoError(
            f"the key files in {places.keys} do not belong to the recovery words beside them: {_RESTORE}"
        )
    if signing is not None and derived is not None:
        signing = _judged(places, signing, derived)
    identity = derived or _put_together(places, contents, key, signing)
    if derived is None and not unproven:
        raise CryptoError(
            f"{places.words} is missing or damaged, so nothing proves that the key files beside it belong"
            " together: restore the identity from its recovery words in an empty directory, or take the keys"
            " as they are (option --unproven)"
        )
    sound = {
        **{path: found is not None for path, found in made.items()},
        places.signing: signing is not None,
        places.node_seed: contents.get(places.node_seed) == identity.node.seed,
        places.node_blob: _is_blob_of(contents.get(places.node_blob), identity.node),
    }
    return StoredIdentity(
        identity,
        contents,
        encryption,
        signing,
        words if made[places.words] else None,
        derived is not None,
        tuple(path for path, is_sound in sound.items() if path in contents and not is_sound),
        (places.signing,) if derived is not None and places.signing not in contents else (),
        password.is_protected(root),
    )


def _missing(places: DataDirectory) -> str:
    if places.holds_identity():
        return f"{places.encryption} is missing: {_RESTORE}"
    return (
        f"there is no identity in {places.root}:"
        " create one, restore yours from its recovery words, or choose another data directory"
    )


def _opened(path: Path, data: bytes, given: str | None) -> tuple[bytes, DecryptionKey]:
    """The encryption key file in *data* without its password, and the key in it."""
    try:
        plain = password.unprotect(data, given)
        key = KeyFile.decode(plain, KeyKind.ENCRYPTION).decryption_key()
    except DecodeError as error:
        newer = password.is_newer(data) or key_file.is_newer(data)
        raise DecodeError(f"{path}: {error}" + ("" if newer else f" ({_RESTORE})")) from None
    return plain, key


def _signing(places: DataDirectory, contents: dict[Path, bytes], given: str | None) -> bytes | None:
    """The signing key file without its password; None if it is missing or damaged, DecodeError if newer."""
    data = contents.get(places.signing)
    if data is None:
        return None
    plain = data
    try:
        plain = password.unprotect(data, given)
        KeyFile.decode(plain, KeyKind.SIGNING)
    except DecodeError as error:
        if password.is_newer(data) or key_file.is_newer(plain):
            raise DecodeError(f"{places.signing}: {error}") from None
        return None
    except DecryptionError:  # a change of the password was interrupted, or damage
        return None
    return plain


def _judged(places: DataDirectory, signing: bytes, identity: Identity) -> bytes | None:
    """*signing* if it is the key file of *identity*, None if its secret part is damaged."""
    found = KeyFile.decode(signing, KeyKind.SIGNING)
    if found.public_key != identity.public.signing_public_key:
        raise CryptoError(
            f"{places.signing} and {places.encryption.name} belong to different identities: {_RESTORE}"
        )
    return (
        signing
        if found.version == SEEDS or expanded_key.may_be_of(found.secret_key, identity.signing)
        else None
    )


def _words(box: bytes | None, key: DecryptionKey) -> bytes | None:
    padded = _box(box, key, WORDS_SIZE)
    words = None if padded is None else padded.rstrip(b"\0")
    return None if not words or b"\0" in words else words


def _box(box: bytes | None, key: DecryptionKey, size: int) -> bytes | None:
    """The content of *box*, which has to have *size* bytes; None if it is damaged or for another key."""
    if box is None or len(box) != kem_box.OVERHEAD + size:
        return None
    try:
        return kem_box.open_box(box, key)
    except DecryptionError:
        return None


def _master_seed(words: bytes) -> bytes:
    """Of the words as they were typed: the reference does not normalise them. Spec 03, section 2.1."""
    return hashlib.pbkdf2_hmac("sha512", words, b"mnemonic", 2048, MASTER_SEED_SIZE)


def _made(seed: bytes, key: DecryptionKey) -> Identity | None:
    """The identity of a master *seed*; None if its encryption key is not *key*."""
    identity = Identity.from_master_seed(seed, dialect_of(key))
    return identity if identity.encryption == key else None


def _put_together(
    places: DataDirectory, contents: dict[Path, bytes], key: DecryptionKey, signing: bytes | None
) -> Identity:
    """The identity of keys that no recovery words vouch for."""
    node = _node(places, contents)
    if signing is None or node is None:
        lacking = places.signing if signing is None else places.node_seed
        raise CryptoError(
            f"{places.words} is missing or damaged, and {lacking.name} too, so the identity is not whole:"
            f" {_RESTORE}"
        )
    return Identity(KeyFile.decode(signing, KeyKind.SIGNING).signing_key(), key, node)


def _node(places: DataDirectory, contents: dict[Path, bytes]) -> NodeIdentity | None:
    """The node identity of ``dht_identity.seed``, else of ``dht_identity.bin``; None if neither is whole."""
    seed, blob = contents.get(places.node_seed), _blob(contents.get(places.node_blob))
    if seed is None or len(seed) != SEED_SIZE:
        return None if blob is None else blob.identity()
    node = NodeIdentity.from_seed(seed)
    if blob is not None and blob.public_key != node.public_key:
        raise CryptoError(
            f"{places.node_seed} and {places.node_blob.name} belong to different identities: {_RESTORE}"
        )
    return node


def _blob(data: bytes | None) -> ExportBlob | None:
    try:
        return None if data is None else ExportBlob.decode(data)
    except DecodeError:
        return None


def _is_blob_of(data: bytes | None, node: NodeIdentity) -> bool:
    blob = _blob(data)
    if blob is None or blob.public_key != node.public_key:
        return False
    return node.may_have(blob.secret_key)
