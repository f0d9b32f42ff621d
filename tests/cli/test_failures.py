"""Every error of the library has an exit code and a sentence."""

import pytest

from dna_dht import errors
from dna_dht.cli.failures import Exit, failure_of

CASES = [
    (errors.NotConnectedError("no node answers"), Exit.NO_ANSWER),
    (errors.OperationTimeoutError(asked=8, answered=2), Exit.NO_ANSWER),
    (errors.NetworkError("cannot resolve node.example"), Exit.NO_ANSWER),
    (errors.PutRefusedError("another owner"), Exit.ERROR),
    (errors.SequenceExhaustedError("used up"), Exit.ERROR),
    (errors.StorageError("cannot write"), Exit.STORAGE),
    (errors.IdentityLockedError("held by process 7", pid=7), Exit.STORAGE),
    (errors.CryptoError("not valid"), Exit.SIGNATURE),
    (errors.SignatureError("forged"), Exit.SIGNATURE),
    (errors.MissingPackageError("needs the package"), Exit.STORAGE),
    (errors.DecryptionError("for another key"), Exit.STORAGE),
    (errors.PasswordRequiredError("give a password"), Exit.STORAGE),
    (errors.WrongPasswordError("wrong password"), Exit.STORAGE),
    (errors.MnemonicError("word 3"), Exit.USAGE),
    (errors.ConfigError("port in use"), Exit.USAGE),
    (errors.DecodeError("not what it claims"), Exit.ERROR),
]


@pytest.mark.parametrize(("error", "code"), CASES, ids=lambda case: type(case).__name__)
def test_exit_codes(error: errors.DhtError, code: Exit) -> None:
    failure = failure_of(error)
    assert failure.exit_code == code
    assert str(error) in failure.format_message()
    assert "\n" not in failure.format_message()


def test_no_error_of_the_library_is_forgotten() -> None:
    def below(kind: type[errors.DhtError]) -> set[type[errors.DhtError]]:
        return {kind, *(each for child in kind.__subclasses__() for each in below(child))}

    public = {kind for kind in below(errors.DhtError) if kind.__module__ == errors.__name__}
    assert public - {type(error) for error, _ in CASES} == {errors.DhtError}
