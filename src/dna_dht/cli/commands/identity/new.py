"""dna-dht identity new: an identity with new recovery words."""

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from dna_dht.cli.commands.identity import shared
from dna_dht.cli.failures import Exit, Failure
from dna_dht.cli.options import json_option

_ADVICE = """These words are the identity. Write them down now and keep them where nobody else looks:
whoever has them is you, and without them a lost directory is a lost identity."""


class _Count(click.Choice[str]):
    """A number of words; recovery words given in its place are not repeated, as click would."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self.choices:
            raise Failure("--words is how many recovery words to make: 12, 15, 18, 21 or 24", Exit.USAGE)
        return str(value)


@click.command(short_help="Make a new identity.")
@shared.data_dir_option
@click.option(
    "--words",
    "count",
    type=_Count(["12", "15", "18", "21", "24"]),
    default="24",
    show_default=True,
    help="How many recovery words.",
)
@shared.dialect_option
@shared.password_file_option
@json_option
@shared.refusing_arguments(
    "recovery words and passwords are never taken from the command line (they are in your shell's history"
    " now): new makes words itself, and 'dna-dht identity restore' asks for yours"
)
def new(directory: Path, count: str, dialect_name: str, password_file: Path | None, as_json: bool) -> None:
    """Make a new identity in a data directory and show its recovery words, once.

    The words, and nothing else, go to standard output. At a terminal a password is asked for, which protects
    the key files; an empty one means none.
    """
    from dna_dht.cli.commands.identity.creation import create, refuse_existing
    from dna_dht.cli.render import print_json
    from dna_dht.crypto.mnemonic import Mnemonic
    from dna_dht.keystore.keystore import Keystore

    if sys.stdout is None:
        raise Failure("standard output is closed, so nobody would see the recovery words", Exit.USAGE)
    keystore = Keystore(directory)
    with shared.reporting():
        refuse_existing(keystore)
        password = shared.new_password(password_file)
        mnemonic = Mnemonic.generate(int(count))
        identity = create(directory, mnemonic, dialect_name, password)
        fields = shared.identity_fields(identity, keystore)
    try:
        if as_json:
            print_json({"words": mnemonic.words, **fields})
            return
        click.echo(mnemonic.words)
    except OSError as error:
        raise Failure(
            f"made the identity, but cannot show its recovery words ({error.strerror or error}):"
            f' run "dna-dht identity export --words --data-dir {shlex.quote(str(directory))}"'
        ) from error
    click.echo(_ADVICE, err=True)
    click.echo(err=True)
    click.echo(f"made the identity {fields['short']} in {directory}", err=True)
