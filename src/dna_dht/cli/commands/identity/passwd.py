"""dna-dht identity passwd: set, change or remove the password of an identity."""

import time
from pathlib import Path

import click

from dna_dht.cli import secret_input
from dna_dht.cli.commands.identity import permissions, shared
from dna_dht.cli.failures import Exit, Failure
from dna_dht.cli.options import json_option


@click.command(short_help="Set, change or remove the password.")
@shared.data_dir_option
@shared.password_file_option
@click.option(
    "--new-password-file",
    "new_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Read the new password from the first line of FILE instead of asking.",
)
@click.option("--remove", is_flag=True, help="Leave the identity without password.")
@json_option
@shared.refusing_arguments(
    "passwords are never taken from the command line (it is in your shell's history now):"
    " type it when asked or give --new-password-file"
)
def passwd(
    directory: Path, password_file: Path | None, new_file: Path | None, remove: bool, as_json: bool
) -> None:
    """Set, change or remove the password that protects the key files. The identity must not be in use.

    At a terminal both passwords are asked for. With a password, dht_identity.seed and dht_identity.bin are
    removed: they would hold a secret key in plain.
    """
    from dna_dht.cli.render import print_json
    from dna_dht.keystore.identity_lock import IdentityLock
    from dna_dht.keystore.keystore import Keystore

    if remove and new_file is not None:
        raise Failure("--remove and --new-password-file exclude each other: give one", Exit.USAGE)
    if not remove and new_file is None and not secret_input.at_terminal():
        raise Failure(
            "give --new-password-file FILE or --remove, or run this at a terminal to be asked", Exit.USAGE
        )
    keystore = Keystore(directory)
    with shared.reporting():
        if not keystore.holds_identity():
            keystore.read()  # says that there is none, and what to do
        if IdentityLock.status(directory).locked:
            with IdentityLock(directory):
                pass  # refused, with the pid, before anything is asked
        permissions.warn_of(keystore)
        old = shared.current_password(keystore, password_file)
        keystore.require_changeable(old)  # refused before a new one is asked for and the lock makes its file
        new = None if remove else _new(new_file)
        with IdentityLock(directory):
            keystore.change_password(old, new, now=int(time.time()))
    if as_json:
        print_json({"data_dir": str(directory), "protected": keystore.is_protected()})
        return
    click.echo("the identity has a new password" if new else "the identity has no password now", err=True)


def _new(file: Path | None) -> str:
    """The new password; Failure (exit 2) if none is typed, for an Enter too many must not remove it."""
    if file is not None:
        return secret_input.password_in(file)
    if password := secret_input.ask_new_password("New password"):
        return password
    raise Failure(
        "no password was typed, so nothing has changed: say --remove to leave the identity without one",
        Exit.USAGE,
    )
