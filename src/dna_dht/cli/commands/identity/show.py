"""dna-dht identity show: who is in a data directory."""

import time
from pathlib import Path

import click

from dna_dht.cli.commands.identity import permissions, shared
from dna_dht.cli.options import json_option


@click.command(short_help="Show an identity, without secrets.")
@shared.data_dir_option
@shared.password_file_option
@shared.unproven_option
@click.option("--mend", is_flag=True, help="Make damaged and missing files again that can be made.")
@permissions.option
@json_option
def show(
    directory: Path,
    password_file: Path | None,
    unproven: bool,
    mend: bool,
    fix_permissions: bool,
    as_json: bool,
) -> None:
    """Show the identity in a data directory: fingerprint, DHT key, dialect. Also while it is in use.

    Says which files are damaged, and whether recovery words prove the keys. Nothing is changed, except
    permissions where you agree, and with --mend.
    """
    from dna_dht.cli.render import print_json
    from dna_dht.keystore.identity_lock import IdentityLock
    from dna_dht.keystore.keystore import Keystore

    keystore = Keystore(directory)
    with shared.reporting():
        password = shared.current_password(keystore, password_file)
        found = keystore.inspect(password, unproven=unproven)
        permissions.look_at(keystore, fix_permissions)
        if mend:
            with IdentityLock(directory):
                keystore.load(password, now=int(time.time()), unproven=unproven)
            found = keystore.inspect(password, unproven=unproven)
        fields = {
            **shared.identity_fields(found.identity, keystore),
            "proven": found.proven,
            "damaged": [str(path) for path in found.damaged],
            "missing": [str(path) for path in found.missing],
            "exposed": [str(path) for path in keystore.exposed()],
        }
    for path in found.damaged:
        click.echo(f"dna-dht: {path} is damaged or of another identity: see --mend", err=True)
    for path in found.missing:
        click.echo(f"dna-dht: {path} is missing: see --mend", err=True)
    if not found.proven:
        click.echo("dna-dht: no recovery words prove that these keys belong together", err=True)
    if as_json:
        print_json(fields)
    else:
        shared.show_identity(fields)
