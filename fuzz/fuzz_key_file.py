"""Key files: a key whose halves belong together, or DecodeError; the same bytes again but for the name."""

from functools import cache

from dna_dht.crypto.identity import Identity
from dna_dht.crypto.mnemonic import Mnemonic
from dna_dht.dialect import Dialect
from dna_dht.errors import DecodeError, PasswordRequiredError
from dna_dht.keystore.key_file import HEADER_SIZE, KeyFile, KeyKind
from dna_dht.keystore.password import MAGIC, OVERHEAD, VERSION, is_protected, unprotect

__all__ = ["one_input", "seeds"]

_PROTECTED = MAGIC + bytes((VERSION,)) + bytes(OVERHEAD)


@cache
def seeds() -> list[bytes]:
    """Key files of both kinds and versions, and the shape of a protected one."""
    found = [_PROTECTED]
    for dialect in Dialect:
        identity = Identity.from_mnemonic(Mnemonic.from_entropy(bytes(16)), dialect)
        found.append(KeyFile.of_signing(identity.signing, dialect).encode())
        found.append(KeyFile.of_encryption(identity.encryption).encode())
    return found


def one_input(data: bytes) -> None:
    """Check one file, as either kind."""
    try:
        plain = unprotect(data, None)
    except DecodeError:
        return
    except PasswordRequiredError:
        assert is_protected(data)
        return
    assert plain == data
    for kind in KeyKind:
        try:
            file = KeyFile.decode(data, kind)
        except DecodeError:
            continue
        written = file.encode()
        assert written[:11] == data[:11] and written[12:20] == data[12:20]
        assert written[HEADER_SIZE:] == data[HEADER_SIZE:] and len(written) == len(data)
        assert KeyFile.decode(written, kind) == file


if __name__ == "__main__":
    from fuzz.guided import run

    run(one_input, seeds())
