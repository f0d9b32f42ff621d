"""dna-dht identity restore: an identity from its recovery words."""

from pathlib import Path

import click

from dna_dht.cli import secret_input
from dna_dht.cli.commands.identity import shared
from dna_dht.cli.options import json_option


@click.command(short_help="Restore an identity from its recovery words.")
@shared.data_dir_option
@shared.dialect_option
@shared.password_file_option
@json_option
@shared.refusing_arguments(
    "recovery words are never taken from the command line (they are in your shell's history now):"
    " pipe them in or type them when asked"
)
def restore(directory: Path, dialect_name: str, password_file: Path | None, as_json: bool) -> None:
    """Restore an identity from its recovery words, asked for or read from standard input.

    The same words give the same fingerprint and the same DHT key on every machine. The key that others
    encrypt to depends on the dialect: use the one the identity was made in.
    """
    from dna_dht.cli.commands.identity.creation import create, refuse_existing
    from dna_dht.cli.render import print_json
    from dna_dht.crypto.mnemonic import Mnemonic
    from dna_dht.keystore.keystore import Keystore

    keystore = Keystore(directory)
    with shared.reporting():
        refuse_existing(keystore)
        mnemonic = Mnemonic(secret_input.read_words())
        password = shared.new_password(password_file)
        identity = create(directory, mnemonic, dialect_name, password)
        fields = shared.identity_fields(identity, keystore)
    if as_json:
        print_json(fields)
    else:
        shared.show_identity(fields)
