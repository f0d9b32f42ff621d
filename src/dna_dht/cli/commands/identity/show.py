"""dna-dht identity show: who is in a data directory."""

from pathlib import Path

import click

from dna_dht.cli.commands.identity import permissions, shared
from dna_dht.cli.options import json_option


@click.command(short_help="Show an identity, without secrets.")
@shared.data_dir_option
@shared.password_file_option
@shared.unproven_option
@permissions.option
@json_option
def show(
    directory: Path, password_file: Path | None, unproven: bool, fix_permissions: bool, as_json: bool
) -> None:
    """Show the identity in a data directory: fingerprint, DHT key, dialect. Also while it is in use.

    Proves that its files belong together. Nothing is changed, except permissions where you agree.
    """
    from dna_dht.cli.render import print_json
    from dna_dht.keystore.keystore import Keystore

    keystore = Keystore(directory)
    with shared.reporting():
        identity = keystore.read(shared.current_password(keystore, password_file), unproven=unproven)
        permissions.look_at(keystore, fix_permissions)
        fields = shared.identity_fields(identity, keystore)
        exposed = [str(path) for path in keystore.exposed()]
    if as_json:
        print_json({**fields, "exposed": exposed})
    else:
        shared.show_identity(fields)
