"""dna-dht identity import: an identity from another directory, or a node identity from a file."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from dna_dht.cli.commands.identity import permissions, shared
from dna_dht.cli.failures import Exit, Failure
from dna_dht.cli.options import json_option

if TYPE_CHECKING:
    pass

_LIMIT = 100_000  # bytes of a file read; an exported node identity has 10,167
_OF_DIRECTORIES = {"directory": "--data-dir", "password_file": "--password-file", "unproven": "--unproven"}


@click.command("import", short_help="Import an identity from a directory or file.")
@click.argument("source", type=click.Path(path_type=Path))
@shared.data_dir_option
@click.option(
    "--node",
    "base",
    type=click.Path(path_type=Path),
    metavar="BASE",
    help="SOURCE is an exported node identity: write it as the files BASE.*",
)
@shared.password_file_option
@shared.unproven_option
@json_option
@click.pass_context
def import_(
    context: click.Context,
    source: Path,
    directory: Path,
    base: Path | None,
    password_file: Path | None,
    unproven: bool,
    as_json: bool,
) -> None:
    """Copy the identity in the data directory SOURCE into another one, with its password.

    SOURCE may be one of release 0.6.27, and stays as it is.

    With --node, SOURCE is a file of `export --node`, or dht_identity.bin: its key becomes node identity
    files for `dna-nodus` or `put --identity`.
    """
    from dna_dht.cli.render import print_json

    if base is not None:
        _refuse_meaningless(context)
        with shared.reporting():
            _import_node(source, base, as_json)
    elif source.is_dir():
        with shared.reporting():
            fields = _import_directory(source, directory, password_file, unproven)
        if as_json:
            print_json(fields)
        else:
            shared.show_identity(fields)
    else:
        with shared.reporting():
            raise _refusal(source)


def _refuse_meaningless(context: click.Context) -> None:
    """Failure (exit 2) if an option is given that says nothing about a node identity."""
    for name, option in _OF_DIRECTORIES.items():
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise Failure(
                f"{option} means nothing with --node: leave it out, or import a data directory", Exit.USAGE
            )


def _import_directory(
    source: Path, directory: Path, password_file: Path | None, unproven: bool
) -> dict[str, Any]:
    """Copy the identity; its fields."""
    from dna_dht.cli.commands.identity.creation import refuse_existing
    from dna_dht.keystore.identity_lock import IdentityLock
    from dna_dht.keystore.keystore import Keystore
    from dna_dht.private_files import make_private_directory

    keystore, origin = Keystore(directory), Keystore(source)
    if source.resolve() in directory.resolve().parents:
        raise Failure(f"{directory} is inside {source}: choose a --data-dir outside of it", Exit.USAGE)
    refuse_existing(keystore)
    permissions.warn_of(origin)
    password = shared.current_password(origin, password_file)
    origin.require_importable(
        password, unproven=unproven
    )  # what is wrong there is told before anything is made here
    make_private_directory(directory)
    with IdentityLock(directory):
        now = int(time.time())
        identity = keystore.import_directory(source, password, now=now, unproven=unproven)
    return shared.identity_fields(identity, keystore)


def _import_node(source: Path, base: Path, as_json: bool) -> None:
    from dna_dht.cli.render import print_json
    from dna_dht.cli.signer import base_of
    from dna_dht.crypto.export_blob import ExportBlob
    from dna_dht.errors import DecodeError
    from dna_dht.keystore.file_kind import kind_of
    from dna_dht.keystore.node_identity_files import NodeIdentityFiles

    data = _read(source)
    try:
        blob = ExportBlob.decode(data)
    except DecodeError as error:
        raise Failure(
            f"{source} is {kind_of(data)}, or damaged; an exported node identity is needed ({error})",
            Exit.STORAGE,
        ) from None
    files, node = NodeIdentityFiles(base_of(base)), blob.identity()
    written = files.save(node, int(time.time()))
    if as_json:
        print_json({"path": str(files.dsa), "owner": node.owner_id.hex(), "node_id": node.node_id.hex()})
        return
    if written:
        notes = {files.dsa: " (secret: keep a copy)"}
        names = [str(written[0]), *(path.name for path in written[1:])]
        noted = (f"{name}{notes.get(path, '')}" for name, path in zip(names, written, strict=True))
        click.echo(f"wrote {', '.join(noted)}")
    else:
        click.echo(f"{files.base}.* already holds this identity: nothing written")
    click.echo(f"owner id {node.owner_id}")
    click.echo(f"node id  {node.node_id}")


def _refusal(source: Path) -> Failure:
    """Why the file *source* is not imported, and what it is good for."""
    from dna_dht.errors import DecodeError
    from dna_dht.keystore.file_kind import kind_of
    from dna_dht.keystore.public_bundle import PublicBundle

    data = _read(source)
    try:
        bundle = PublicBundle.decode(data.decode("utf-8", "replace"))
    except DecodeError:
        kind = kind_of(data)
        remedy = (
            "say with --node BASE where its files are to go"
            if kind == "an exported node identity"
            else "name a data directory, or an exported node identity and --node BASE"
        )
        return Failure(f"{source} is {kind}: {remedy}", Exit.USAGE)
    return Failure(
        f"{source} holds the public keys of {bundle.public.fingerprint}: there is nothing to import,"
        " seal messages with it",
        Exit.USAGE,
    )


def _read(source: Path) -> bytes:
    from dna_dht.private_files import read_file

    data = read_file(source, _LIMIT)
    if data is None:
        raise Failure(
            f"there is no {source}: name a data directory, or an exported node identity and --node BASE",
            Exit.USAGE,
        )
    return data
