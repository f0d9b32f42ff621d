"""How a command ends: exit codes, and one sentence on standard error. Source: research/ecosystem, 9.1."""

import sys
from enum import IntEnum
from typing import IO, Any

import click

from dna_dht.errors import (
    ConfigError,
    CryptoError,
    DecryptionError,
    DhtError,
    MissingPackageError,
    MnemonicError,
    NetworkError,
    OperationTimeoutError,
    StorageError,
)


class Exit(IntEnum):
    """Exit codes of `dna-dht`; documented in docs/reference/exit-codes.md."""

    OK = 0
    ERROR = 1
    USAGE = 2
    STORAGE = 3
    NOT_FOUND = 4
    NO_ANSWER = 5
    SIGNATURE = 6
    INTERRUPTED = 130


class Failure(click.ClickException):
    """The command cannot do what it was asked: one sentence for the user, and the exit code."""

    def __init__(self, message: str, code: Exit = Exit.ERROR) -> None:
        super().__init__(message)
        self.exit_code = int(code)  # type: ignore[misc]  # for click the class attribute is a default

    def show(self, file: IO[Any] | None = None) -> None:
        context = click.get_current_context(silent=True)
        program = context.find_root().info_name if context else None
        click.echo(f"{program or 'dna-dht'}: {self.format_message()}", file=file or sys.stderr)


def failure_of(error: DhtError) -> Failure:
    """What the user is told about *error*: a sentence with what to check next."""
    if isinstance(error, OperationTimeoutError):
        return Failure(
            f"too few nodes answered in time ({error}): try again, or give a longer --timeout", Exit.NO_ANSWER
        )
    if isinstance(error, NetworkError):
        return Failure(str(error), Exit.NO_ANSWER)
    if isinstance(error, StorageError | DecryptionError | MissingPackageError):
        return Failure(str(error), Exit.STORAGE)
    if isinstance(error, CryptoError):
        return Failure(str(error), Exit.SIGNATURE)
    if isinstance(error, ConfigError | MnemonicError):
        return Failure(str(error), Exit.USAGE)
    return Failure(str(error), Exit.ERROR)
