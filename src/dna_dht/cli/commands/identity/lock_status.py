"""dna-dht identity lock-status: whether a process uses an identity."""

from pathlib import Path

import click

from dna_dht.cli.commands.identity import shared
from dna_dht.cli.failures import Exit, Failure
from dna_dht.cli.options import json_option


@click.command("lock-status", short_help="Say whether a process uses the identity.")
@shared.data_dir_of_lock_option
@json_option
def lock_status(directory: Path, as_json: bool) -> None:
    """Say whether a process uses the identity of a data directory, and which. Exit 0: free, 3: in use.

    Sees running clients of release 0.6.27 too.
    """
    from dna_dht.cli.render import print_json
    from dna_dht.errors import StorageError
    from dna_dht.keystore.identity_lock import IdentityLock

    try:
        directory.stat()
        status = IdentityLock.status(directory)
    except FileNotFoundError:
        raise Failure(f"there is no directory {directory}: name one with --data-dir", Exit.USAGE) from None
    except ValueError:
        raise Failure(
            f"no directory can have the name {str(directory)!r}: name another", Exit.USAGE
        ) from None
    except OSError as error:
        raise Failure(f"cannot use {directory}: {error.strerror or error}", Exit.USAGE) from error
    except StorageError as error:
        raise Failure(str(error)) from error
    if as_json:
        print_json({"data_dir": str(directory), "locked": status.locked, "pid": status.pid})
    elif status.locked:
        click.echo(f"in use by process {status.pid}" if status.pid else "in use by another process")
    else:
        click.echo("free")
    if status.locked:
        raise click.exceptions.Exit(Exit.STORAGE)
