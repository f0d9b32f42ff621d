"""dna-dht keygen: make an identity."""

from pathlib import Path

import click

from dna_dht.cli.failures import Exit, Failure
from dna_dht.cli.options import json_option


@click.command(short_help="Make a signing identity.")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@json_option
def keygen(path: Path | None, as_json: bool) -> None:
    """Make a new signing identity beside PATH: PATH.seed (secret), PATH.pub, PATH.cert.

    Without PATH it becomes the default identity of `put`. Files are readable by you alone; an identity
    that exists is never replaced. `dna-nodus -s STATE` uses STATE.identity.
    """
    import time

    from dna_dht.cli.render import print_json
    from dna_dht.cli.signer import base_of, default_base
    from dna_dht.crypto.node_identity import NodeIdentity
    from dna_dht.errors import DhtError
    from dna_dht.keystore.node_identity_files import NodeIdentityFiles

    files = NodeIdentityFiles(default_base() if path is None else base_of(path))
    identity = NodeIdentity.generate()
    try:
        files.save(identity, int(time.time()))
    except DhtError as error:
        raise Failure(str(error), Exit.STORAGE) from error
    if as_json:
        print_json(
            {
                "path": str(files.seed),
                "owner": identity.owner_id.hex(),
                "node_id": identity.node_id.hex(),
                "fingerprint": identity.node_id_text(),
            }
        )
        return
    click.echo(f"wrote {files.seed} (secret: keep a copy), {files.pub.name}, {files.cert.name}")
    click.echo(f"owner id {identity.owner_id}")
    click.echo(f"node id  {identity.node_id}")
