"""dna-dht identity export: what others need, or a copy of a secret."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dna_dht.cli.commands.identity import permissions, shared
from dna_dht.cli.failures import Exit, Failure
from dna_dht.cli.options import json_option

if TYPE_CHECKING:
    from dna_dht.crypto.identity import Identity


@click.command(short_help="Export public keys, or a secret.")
@shared.data_dir_option
@click.option("--node", is_flag=True, help="The DHT identity, a secret, for `import --node`; needs --output.")
@click.option("--words", is_flag=True, help="The recovery words, a secret.")
@click.option("--name", default="", help="A name to put in the public key bundle; nobody vouches for it.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to FILE, which must not exist, instead of standard output.",
)
@shared.password_file_option
@shared.unproven_option
@json_option
def export(
    directory: Path,
    node: bool,
    words: bool,
    name: str,
    output: Path | None,
    password_file: Path | None,
    unproven: bool,
    as_json: bool,
) -> None:
    """Export the public keys of an identity as text: what others need to seal messages for you.

    With --node or --words a secret is exported instead. Files of secrets are readable by you alone.
    """
    from dna_dht.cli.render import print_json
    from dna_dht.keystore.keystore import Keystore
    from dna_dht.private_files import write_new

    if node and words:
        raise Failure("--node and --words exclude each other: give one", Exit.USAGE)
    if name and (node or words):
        raise Failure("--name is for the public key bundle: leave it out", Exit.USAGE)
    if words and unproven:
        raise Failure("--unproven has no meaning for --words: leave it out", Exit.USAGE)
    if node and output is None:
        raise Failure("--node exports a secret that is no text: give --output FILE", Exit.USAGE)
    if output is not None and os.path.lexists(output):
        raise Failure(f"{output} exists: choose another --output, it is not overwritten", Exit.USAGE)
    keystore = Keystore(directory)
    with shared.reporting():
        permissions.warn_of(keystore)
        password = shared.current_password(keystore, password_file)
        if words:
            kind, content = "words", f"{keystore.recovery_words(password).words}\n".encode()
        else:
            identity = keystore.read(password, unproven=unproven)
            kind, content = _node(identity) if node else _bundle(identity, name)
        if output is not None:
            write_new(output, content)
    if output is not None:
        if as_json:
            print_json({"kind": kind, "path": str(output)})
        else:
            click.echo(f"wrote {output}", err=True)
    elif as_json:
        print_json({"kind": kind, kind: content.decode().rstrip("\n")})
    else:
        click.echo(content.decode(), nl=False)


def _node(identity: "Identity") -> tuple[str, bytes]:
    from dna_dht.crypto.export_blob import ExportBlob

    return "node", ExportBlob.of(identity.node, int(time.time())).encode()


def _bundle(identity: "Identity", name: str) -> tuple[str, bytes]:
    from dna_dht.keystore.public_bundle import PublicBundle

    try:
        return "bundle", PublicBundle(identity.public, name, int(time.time())).encode().encode()
    except ValueError as error:
        raise Failure(f"--name: {error}", Exit.USAGE) from None
