"""What the identity commands have in common: options, errors, and how an identity is shown."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dna_dht.cli import secret_input
from dna_dht.cli.failures import Exit, Failure
from dna_dht.errors import ConfigError, DhtError, MnemonicError, PasswordRequiredError

if TYPE_CHECKING:
    from dna_dht.crypto.identity import Identity
    from dna_dht.keystore.keystore import Keystore


class _DataDirectory(click.Path):
    """A directory that need not exist; what is in its place and none is refused."""

    def __init__(self, otherwise: Exit) -> None:
        super().__init__()
        self._otherwise = otherwise

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if not str(value):
            raise click.BadParameter("name a directory", ctx, param)
        path = Path(value)
        if os.path.lexists(path) and not os.path.isdir(path):
            raise Failure(f"{path} is not a directory: choose another --data-dir", self._otherwise)
        return path


def _default_directory() -> Path:
    try:
        return Path.home() / ".dna"
    except RuntimeError:
        raise Failure("you have no home directory: give --data-dir DIR", Exit.USAGE) from None


def _data_dir_option(otherwise: Exit) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(
        "--data-dir",
        "directory",
        type=_DataDirectory(otherwise),
        metavar="DIR",
        envvar="DNA_DHT_DATA_DIR",
        default=_default_directory,
        show_default="~/.dna",
        help="Where the identity is kept. Also: $DNA_DHT_DATA_DIR.",
    )


data_dir_option = _data_dir_option(Exit.STORAGE)
data_dir_of_lock_option = _data_dir_option(Exit.USAGE)  # there, 3 means that the identity is in use
password_file_option = click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Read the password from the first line of FILE instead of asking.",
)
unproven_option = click.option(
    "--unproven", is_flag=True, help="Take the keys as they are where no recovery words prove them."
)
dialect_option = click.option(
    "--dialect",
    "dialect_name",
    type=click.Choice(["documented", "deployed"]),
    default="documented",
    show_default=True,
    help="deployed: exchange messages with users of release 0.6.27.",
)


class _Unwanted(click.Argument):
    """What stands on the command line beside options; help does not speak of it."""

    def get_usage_pieces(self, ctx: click.Context) -> list[str]:
        return []


def refusing_arguments(sentence: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """For a command that may be given secrets by mistake: *sentence* (exit 2), and never the secret."""

    def refuse(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> None:
        if value:
            raise Failure(sentence, Exit.USAGE)

    return click.argument(
        "unwanted", cls=_Unwanted, nargs=-1, expose_value=False, is_eager=True, callback=refuse
    )


class _Echo(logging.Handler):
    """Shows what the library warns of on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"dna-dht: {record.getMessage()}", err=True)


@contextlib.contextmanager
def reporting() -> Iterator[None]:
    """Show warnings of the library, and turn its errors into a sentence with an exit code."""
    logger, handler = logging.getLogger("dna_dht"), _Echo(logging.WARNING)
    logger.addHandler(handler)
    propagated, logger.propagate = logger.propagate, False
    try:
        yield
    except (ConfigError, MnemonicError) as error:
        raise Failure(str(error), Exit.USAGE) from error
    except DhtError as error:
        raise Failure(str(error), Exit.STORAGE) from error
    except OSError as error:
        if error.filename is None:  # the output
            raise
        raise Failure(f"cannot use {error.filename}: {error.strerror}", Exit.STORAGE) from error
    finally:
        logger.propagate = propagated
        logger.removeHandler(handler)


def current_password(keystore: "Keystore", file: Path | None) -> str | None:
    """The password of the identity in *keystore*; None if it has none.

    Raises Failure (exit 3) if there is one and nobody can be asked.
    """
    if not keystore.is_protected():
        return None
    with contextlib.suppress(PasswordRequiredError):
        keystore.read()  # what no password helps with is told before one is asked for
    if file is not None:
        return secret_input.password_in(file)
    if not secret_input.at_terminal():
        raise Failure(
            "the identity is protected by a password: give --password-file FILE, or run this at a terminal",
            Exit.STORAGE,
        )
    return secret_input.ask_password()


def new_password(file: Path | None) -> str | None:
    """The password a new identity gets: from *file*, else asked at a terminal, else none."""
    if file is not None:
        return secret_input.password_in(file)
    return secret_input.ask_new_password() if secret_input.at_terminal() else None


def identity_fields(identity: "Identity", keystore: "Keystore") -> dict[str, Any]:
    """An identity as JSON fields, without secrets."""
    from dna_dht.crypto.identity import short_fingerprint

    return {
        "fingerprint": identity.fingerprint,
        "short": short_fingerprint(identity.fingerprint),
        "owner": identity.node.owner_id.hex(),
        "node_id": identity.node.node_id.hex(),
        "dialect": identity.dialect.value,
        "protected": keystore.is_protected(),
        "data_dir": str(keystore.directory),
    }


def show_identity(fields: dict[str, Any]) -> None:
    """The same for people."""
    click.echo(f"fingerprint  {fields['fingerprint']}")
    click.echo(f"short form   {fields['short']}")
    click.echo(f"DHT key      {fields['owner']} (owner id of what this identity puts)")
    click.echo(f"node id      {fields['node_id']}")
    click.echo(f"dialect      {fields['dialect']}")
    click.echo(f"password     {'yes' if fields['protected'] else 'no'}")
    click.echo(f"directory    {fields['data_dir']}")
